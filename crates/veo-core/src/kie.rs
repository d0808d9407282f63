//! Translation to and from `kie-api`, which no other file names.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use kie_api::types::{self, Code, SuccessFlag};
use kie_api::{Error as ApiError, Rejection, UrlList, bounds};
use serde::Deserialize;
use serde_json::Value;
use veo_transport::{members, words};

use crate::job::now;
use crate::translation::{Body, at_milliseconds, failure, is_refusal, refusal, refusal_status, start, translated};
use crate::{
    Access, AspectRatio, BoxFuture, Error, ErrorKind, Feature, Image, Input, Job, JobRef, Limit, Mode, Model, Offer,
    Provider, Reason, Resolution, State, Subject, Submission, Tier, Video, VideoRequest,
};

pub(crate) const NAME: &str = "kie";

const EVERYTHING: &[Feature] = &[Feature::Watermark, Feature::Translation, Feature::Callback, Feature::ExtendJob];
const WITHOUT_REFERENCES: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::Extension];
const ALL_MODES: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::References, Mode::Extension];

/// The fields of its requests that the vocabulary covers, and how they are called there.
const COVERED: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("imageUrls", "input"),
    ("generationType", "input"),
    ("model", "tier"),
    ("aspectRatio", "aspect_ratio"),
    ("aspect_ratio", "aspect_ratio"),
    ("resolution", "resolution"),
    ("duration", "seconds"),
    ("seeds", "seed"),
    ("watermark", "watermark"),
    ("enableTranslation", "translate_prompt"),
    ("callBackUrl", "callback_url"),
];
/// The same for an extension, which has no other fields yet.
const COVERED_BY_EXTENSION: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("taskId", "input"),
    ("model", "tier"),
    ("seeds", "seed"),
    ("watermark", "watermark"),
    ("callBackUrl", "callback_url"),
];

static MODELS: [Model; 3] = [
    model(types::Model::Quality, Tier::Quality, WITHOUT_REFERENCES),
    model(types::Model::Fast, Tier::Fast, ALL_MODES),
    model(types::Model::Lite, Tier::Lite, ALL_MODES),
];

const fn model(name: types::Model, tier: Tier, modes: &'static [Mode]) -> Model {
    Model::new(NAME, name.as_str(), tier)
        .modes(modes)
        .resolutions(&[Resolution::P720, Resolution::P1080, Resolution::K4])
        .aspect_ratios(&[AspectRatio::Landscape, AspectRatio::Portrait, AspectRatio::Auto])
        .seconds(&[4, 6, 8])
        .references(1..=*bounds::generate_request::IMAGE_URLS.end())
        .seeds(bounds::generate_request::SEEDS)
        .options(EVERYTHING)
}

/// The reseller kie.ai.
///
/// It has every mode, three tiers, extension of its own videos, upgrades to 1080p and 4K, uploads, a balance and
/// [webhooks](crate::Webhooks). It cannot leave out the sound, and knows no negative prompt.
///
/// ```
/// use veo_core::{Access, Client, Kie};
///
/// # fn main() -> Result<(), veo_core::Error> {
/// let client = Client::new(Kie::new("the API key")?)?;
/// let simulated = Client::new(Kie::new(Access::new("any key").base_url("http://127.0.0.1:8787"))?)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Kie {
    client: kie_api::Client,
}

impl Kie {
    /// kie.ai with a key, or with [more](Access). Makes no connection yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Access, Kie};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let kie = Kie::new(Access::new("the API key").submit_timeout(Duration::from_secs(300)))?;
    /// assert!(Kie::new("").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key cannot be one, or the rest cannot work.
    pub fn new(access: impl Into<Access>) -> Result<Self, Error> {
        let client = kie_api::Client::new(access.into().config);
        Ok(Self { client: client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))? })
    }

    async fn submit(&self, offer: &Offer) -> Submission {
        let sent_at = now();
        let unread = |error: serde_json::Error| ApiError::InvalidRequest(error.to_string());
        // What was planned is what is sent, to the letter.
        let result = if offer.operation == "extend" {
            match serde_json::from_value::<types::ExtendRequest>(offer.body.clone()) {
                Ok(body) => self.client.extend().body(body).send().await,
                Err(error) => Err(unread(error)),
            }
        } else {
            match serde_json::from_value::<types::GenerateRequest>(offer.body.clone()) {
                Ok(body) => self.client.generate().body(body).send().await,
                Err(error) => Err(unread(error)),
            }
        };
        // That of the video to extend says nothing.
        let source = offer.body["taskId"].as_str();
        let error = match result {
            Ok(reply) => {
                let typed = reply.data.as_ref().and_then(|task| task.task_id.clone()).filter(|id| !id.is_empty());
                // Where the task would be there may be the bare id.
                let is_id = |id: &String| reply.code.is_some() && !id.contains(' ');
                let bare = || members(reply.body(), "data").next().filter(is_id);
                match typed.or_else(|| id_in(reply.body(), source)).or_else(bare) {
                    Some(id) => return Submission::Accepted(Job::new(offer, id)),
                    None => Error::new(ErrorKind::OutcomeUnknown, "kie.ai accepted the request but named no task")
                        .with_reply(reply.body()),
                }
            }
            Err(error) => match (id_of(&error, source), &error) {
                // A reply that holds the id of a task is an acceptance, whatever else is wrong with it.
                (Some(id), _) => return Submission::Accepted(Job::new(offer, id)),
                // What is not found is then the video to extend.
                (None, ApiError::Rejected(rejection))
                    if offer.operation == "extend" && rejection.code == Some(Code::NotFound) =>
                {
                    explained(ErrorKind::Refused, rejection)
                }
                (None, error) => refused(error, ErrorKind::OutcomeUnknown),
            },
        };
        Submission::of_error(error, offer, sent_at)
    }

    async fn state(&self, job: &JobRef) -> Result<State, Error> {
        let reply = match self.client.record_info().task_id(&job.task).send().await {
            Ok(reply) => reply,
            Err(ApiError::Rejected(rejection)) => {
                let kind = match rejection.code {
                    Some(Code::Unauthorized) => ErrorKind::Unauthorized,
                    // Documented for the failure of the job, and seen while a larger video is being made.
                    Some(Code::BadRequest) if !is_in_progress(&rejection) => ErrorKind::JobFailed,
                    Some(Code::ImageFetchFailed | Code::GenerationFailed) => ErrorKind::JobFailed,
                    _ => ErrorKind::Unavailable,
                };
                return Err(explained(kind, &rejection).with_job(job));
            }
            Err(error) => return Err(translated(ErrorKind::Unavailable, &error).with_job(job)),
        };
        let raw = start(reply.body());
        let Some(record) = reply.into_inner().data else {
            let message = "kie.ai does not know the job, or not yet";
            return Err(Error::new(ErrorKind::Unavailable, message).with_reply(raw).with_job(job));
        };
        match record.success_flag {
            Some(SuccessFlag::Succeeded) => succeeded(record, job, raw),
            Some(SuccessFlag::Failed | SuccessFlag::GenerationFailed) => {
                Err(failed(&record).with_reply(raw).with_job(job))
            }
            Some(SuccessFlag::Generating) => Ok(State::Running { percent: None }),
            _ => Ok(State::Pending),
        }
    }

    /// One call of the upgrade. To call again is how kie.ai has its progress asked for, in words that differ: codes 400, 422
    /// and 500 all stand for "not yet", and a 422 can carry the finished URLs.
    async fn upgrade(&self, job: &JobRef, to: Resolution) -> Result<State, Error> {
        let (result, raw) = match to {
            Resolution::K4 => match self.client.get_4k_video().body_map(|body| body.task_id(&*job.task)).send().await {
                Ok(reply) => {
                    let raw = start(reply.body());
                    (Ok(reply.into_inner().data.and_then(|data| data.result_urls)), raw)
                }
                Err(ApiError::Rejected(rejection)) => {
                    let raw = start(&rejection.body);
                    let data = rejection.data.as_ref().and_then(|data| types::Upgrade4k::deserialize(data).ok());
                    let urls = data.and_then(|data| data.result_urls);
                    let urls = urls.filter(|urls| !urls.0.is_empty());
                    (urls.map(Some).ok_or(ApiError::Rejected(rejection)), raw)
                }
                Err(error) => (Err(error), String::new()),
            },
            _ => match self.client.get_1080p_video().task_id(&job.task).send().await {
                Ok(reply) => {
                    let raw = start(reply.body());
                    (Ok(reply.into_inner().data.and_then(|data| data.result_url).map(|url| UrlList(vec![url]))), raw)
                }
                Err(error) => (Err(error), String::new()),
            },
        };
        match result {
            Ok(urls) => match urls.unwrap_or_default().0 {
                urls if urls.iter().all(String::is_empty) => Ok(State::Running { percent: None }),
                urls => Ok(State::Finished(Box::new(Video {
                    resolution: Some(to.to_string()),
                    raw,
                    ..Video::new(job.clone(), urls)
                }))),
            },
            Err(ApiError::Rejected(rejection)) => {
                let words = rejection.message.as_deref().unwrap_or_default();
                let kind = match rejection.code {
                    Some(Code::Unauthorized) => ErrorKind::Unauthorized,
                    Some(code) if is_empty_account(code, words) => ErrorKind::InsufficientCredits,
                    Some(Code::KeyLimit) => ErrorKind::KeyExhausted,
                    Some(Code::FeatureDisabled) => ErrorKind::Retired,
                    // These say when to come back, and nothing of the upgrade.
                    Some(Code::RateLimited | Code::CallFrequency | Code::Maintenance) => ErrorKind::Unavailable,
                    _ if is_in_progress(&rejection) => return Ok(State::Running { percent: None }),
                    Some(
                        Code::BadRequest
                        | Code::NotFound
                        | Code::ValidationError
                        | Code::ImageFetchFailed
                        | Code::GenerationFailed,
                    ) => ErrorKind::Refused,
                    // The one server error that says of itself that it will not pass.
                    Some(Code::ServerError) if words.contains("is unavailable") => ErrorKind::Refused,
                    _ => ErrorKind::Unavailable,
                };
                // A policy would be the end of the job, which has a video.
                Err(with_words(Error::new(kind, rejection.to_string()), &rejection).with_job(job))
            }
            Err(error) => Err(translated(ErrorKind::Unavailable, &error).with_job(job)),
        }
    }

    /// A link that lives for 20 minutes.
    async fn fresh_link(&self, url: &str) -> Result<Option<String>, Error> {
        let reply = self.client.download_url().body_map(|body| body.url(url)).send().await;
        let reply = reply.map_err(|error| translated(ErrorKind::Download, &error))?;
        Ok(reply.into_inner().data.filter(|link| !link.is_empty()))
    }

    async fn credits(&self) -> Result<f64, Error> {
        let reply = self.client.account_credits().send().await.map_err(|error| refused(&error, ErrorKind::NotSent))?;
        let credits = reply.into_inner().data;
        credits.ok_or_else(|| Error::new(ErrorKind::NotSent, "kie.ai answered without a balance; ask again"))
    }

    async fn upload(&self, image: Bytes, name: String) -> Result<String, Error> {
        let sent = self.client.upload_stream().file(image).upload_path("veo").file_name(name).send().await;
        let reply = sent.map_err(|error| refused(&error, ErrorKind::NotSent))?;
        let url = reply.into_inner().data.and_then(|file| file.download_url).filter(|url| !url.is_empty());
        url.ok_or_else(|| Error::new(ErrorKind::NotSent, "kie.ai took the image but gave no URL for it; try again"))
    }
}

impl Provider for Kie {
    fn name(&self) -> &'static str {
        NAME
    }

    fn models(&self) -> &[Model] {
        &MODELS
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        let (operation, body) = match &request.input {
            Input::Extension { .. } => ("extend", extension(model, request)?),
            _ => ("generate", generation(model, request)?),
        };
        let mut offer = Offer::new(model, request, operation, body);
        if request.seed.is_some() && operation == "generate" {
            offer.warnings.push("seed: kie.ai's latest pages do not mention it any more; it may be ignored".to_owned());
        }
        if let Input::Extension { source } = &request.input
            && let Some(larger) = source.job.as_ref().and_then(|job| job.resolution)
            && larger > Resolution::P720
        {
            let warning =
                format!("input: the video was asked for in {larger}, and kie.ai may extend those of 720p only");
            offer.warnings.push(warning);
        }
        Ok(offer)
    }

    fn limit(&self) -> Option<Limit> {
        Some(Limit { requests: 20, per: Duration::from_secs(10) })
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(self.submit(offer))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(self.state(job))
    }

    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> Option<BoxFuture<'a, Result<State, Error>>> {
        (to > Resolution::P720).then(|| Box::pin(self.upgrade(job, to)) as BoxFuture<'a, _>)
    }

    fn fresh_link<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(self.fresh_link(url))
    }

    fn credits(&self) -> Option<BoxFuture<'_, Result<f64, Error>>> {
        Some(Box::pin(self.credits()))
    }

    fn upload<'a>(&'a self, image: Bytes, name: String) -> Option<BoxFuture<'a, Result<String, Error>>> {
        Some(Box::pin(self.upload(image, name)))
    }
}

fn generation(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let mode = request.mode();
    if mode == Mode::References && request.seconds.is_some_and(|seconds| seconds != 8) {
        return Err(vec![Reason::new(
            "seconds",
            "kie.ai makes videos from reference images of 8 s only; leave it out",
        )]);
    }
    let ratio = match request.aspect_ratio.unwrap_or(AspectRatio::Landscape) {
        AspectRatio::Landscape => types::AspectRatio::Landscape,
        AspectRatio::Portrait => types::AspectRatio::Portrait,
        AspectRatio::Auto => types::AspectRatio::Auto,
    };
    let generation_type = match mode {
        Mode::References => types::GenerationType::Reference,
        Mode::Image | Mode::Frames => types::GenerationType::FirstAndLastFrames,
        _ => types::GenerationType::Text,
    };
    let mut body = common(request);
    body.set("model", Value::from(model.name));
    body.set("generationType", Value::from(generation_type.as_str()));
    body.set("imageUrls", (mode != Mode::Text).then(|| request.images().into_iter().map(Image::in_body).collect()));
    body.set("aspectRatio", Value::from(ratio.as_str()));
    // The field's later name, which cannot be in the specification beside the first one.
    body.set("aspect_ratio", Value::from(ratio.as_str()));
    body.set("resolution", Value::from(request.resolution.unwrap_or(Resolution::P720).to_string()));
    body.set("duration", Value::from(request.seconds.unwrap_or(8)));
    body.set("enableTranslation", request.translate_prompt.map(Value::from));
    body.merge(request.extra.get(NAME), COVERED)?;
    body.check::<types::GenerateRequest>()
}

fn extension(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let mut reasons = Vec::new();
    let job = match &request.input {
        Input::Extension { source } => source.job.as_ref().filter(|job| job.provider == NAME),
        _ => None,
    };
    if job.is_none() {
        reasons.push(Reason::new("input", "kie.ai extends only videos that it has made; give the job of one"));
    }
    for (field, asked) in [
        ("resolution", request.resolution.is_some_and(|resolution| resolution != Resolution::P720)),
        ("seconds", request.seconds.is_some()),
        ("translate_prompt", request.translate_prompt.is_some()),
    ] {
        if asked {
            reasons.push(Reason::new(field, "kie.ai leaves no choice for an extension; leave it out"));
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let model = match model.tier {
        Tier::Quality => types::ExtendModel::Quality,
        Tier::Fast => types::ExtendModel::Fast,
        Tier::Lite => types::ExtendModel::Lite,
    };
    let mut body = common(request);
    body.set("taskId", job.map(|job| Value::from(job.task.as_str())));
    body.set("model", Value::from(model.as_str()));
    body.merge(request.extra.get(NAME), COVERED_BY_EXTENSION)?;
    body.check::<types::ExtendRequest>()
}

/// What a generation and an extension have in common.
fn common(request: &VideoRequest) -> Body {
    let mut body = Body::default();
    body.set("prompt", Value::from(request.prompt.as_str()));
    body.set("seeds", request.seed.map(Value::from));
    body.set("watermark", request.watermark.as_deref().map(Value::from));
    body.set("callBackUrl", request.callback_url.as_deref().map(Value::from));
    body
}

/// Whether the account has not enough credits. Some of kie.ai's pages give an empty one the code for too many requests.
fn is_empty_account(code: Code, words: &str) -> bool {
    code == Code::InsufficientCredits || code == Code::RateLimited && words.to_lowercase().contains("insufficient")
}

/// Whether a refusal only says that something is on its way.
fn is_in_progress(rejection: &Rejection) -> bool {
    let words = rejection.message.as_deref().unwrap_or_default().to_lowercase();
    let not_yet = ["is processing", "being generated", "generated successfully", "try again later", "check back"];
    not_yet.iter().any(|part| words.contains(part))
}

/// The id of a task in an error, which is then none.
fn id_of(error: &ApiError, source: Option<&str>) -> Option<String> {
    match error {
        ApiError::NoReply { partial, .. } => id_in(partial, source),
        ApiError::Unreadable(reply) => id_in(&reply.body, source),
        ApiError::Rejected(rejection) => id_in(&rejection.body, source),
        _ => None,
    }
}

/// The id of a task in a reply that does not have it in its place, but for that of the video to extend.
fn id_in(body: &[u8], source: Option<&str>) -> Option<String> {
    let mut ids = ["taskId", "task_id"].into_iter().flat_map(|member| members(body, member));
    ids.find(|id| !id.is_empty() && Some(id.as_str()) != source)
}

/// What an error of a request says about the money, with the kind for those that say nothing: a call that costs nothing is
/// never in doubt in a way that matters.
fn refused(error: &ApiError, unclear: ErrorKind) -> Error {
    match error {
        ApiError::InvalidRequest(_) => translated(ErrorKind::InvalidRequest, error),
        ApiError::NotConnected { .. } => translated(ErrorKind::NotSent, error),
        ApiError::Unreadable(reply) if is_refusal(reply.head.status) => {
            translated(refusal_status(reply.head.status), error)
        }
        ApiError::Rejected(rejection) => {
            let words = rejection.message.as_deref().unwrap_or_default();
            let kind = match rejection.code {
                Some(Code::Unauthorized) => ErrorKind::Unauthorized,
                Some(code) if is_empty_account(code, words) => ErrorKind::InsufficientCredits,
                Some(Code::RateLimited | Code::CallFrequency) => ErrorKind::RateLimited,
                Some(Code::KeyLimit) => ErrorKind::KeyExhausted,
                Some(Code::Maintenance) => ErrorKind::Maintenance,
                Some(Code::NotFound | Code::MethodNotAllowed | Code::FeatureDisabled) => ErrorKind::Retired,
                Some(Code::ValidationError) if words == "Invalid model" => ErrorKind::Retired,
                // Documented for a new request too: "1080P is processing". Then something was accepted.
                Some(Code::BadRequest | Code::ValidationError) if is_in_progress(rejection) => unclear,
                Some(Code::BadRequest | Code::ValidationError | Code::ImageFetchFailed) => ErrorKind::Refused,
                None if is_refusal(rejection.head.status) => refusal_status(rejection.head.status),
                _ => unclear,
            };
            explained(kind, rejection)
        }
        _ => translated(unclear, error),
    }
}

/// A refusal with all that kie.ai said.
fn explained(kind: ErrorKind, rejection: &Rejection) -> Error {
    with_words(refusal(kind, rejection, rejection.message.as_deref()), rejection)
}

fn with_words(error: Error, rejection: &Rejection) -> Error {
    error
        .with_provider(rejection.code.map(|code| code.to_string()), rejection.message.clone())
        .with_retry_after(rejection.head.retry_after)
        .with_reply(&rejection.body)
}

fn succeeded(record: types::Record, job: &JobRef, raw: String) -> Result<State, Error> {
    let result = record.response.unwrap_or_default();
    let places = [result.full_result_urls, result.result_urls, record.result_urls];
    match places.into_iter().flatten().map(|urls| urls.0).find(|urls| !urls.is_empty()) {
        Some(urls) => Ok(State::Finished(Box::new(Video {
            resolution: result.resolution.map(words),
            has_audio: (!result.has_audio_list.is_empty()).then(|| result.has_audio_list.iter().all(|has| *has)),
            seeds: result.seeds,
            credits: record.credits_consumed.or(result.credits_consumed),
            created_at: record.create_time.and_then(time),
            completed_at: record.complete_time.and_then(time),
            raw,
            ..Video::new(job.clone(), urls)
        }))),
        None => {
            let message = "kie.ai reports success without a video; it was most likely filtered";
            Err(Error::policy(Subject::Output, message).with_reply(raw).with_job(job))
        }
    }
}

/// A time that is a number. What kie.ai documents instead is a text that does not name its time zone.
fn time(time: types::Timestamp) -> Option<SystemTime> {
    match time {
        types::Timestamp::Int64(milliseconds) => at_milliseconds(milliseconds),
        types::Timestamp::String(text) => at_milliseconds(text.parse().ok()?),
        _ => None,
    }
}

fn failed(record: &types::Record) -> Error {
    let words = record.error_message.clone().map(words).filter(|words| !words.is_empty());
    let words = words.as_deref();
    let code = record.error_code.map(|code| code.to_string());
    let message = match &code {
        Some(code) => format!("kie.ai failed to make the video, code {code}: {}", words.unwrap_or("no reason given")),
        None => format!("kie.ai failed to make the video: {}", words.unwrap_or("no reason given")),
    };
    failure(words.unwrap_or_default(), message).with_provider(code, words.map(str::to_owned))
}
