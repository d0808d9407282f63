//! Translation to and from `kie-api`, which no other file names.

use std::time::Duration;

use bytes::Bytes;
use kie_api::types;
use kie_api::{
    EMPTY_ACCOUNT, Error as ApiError, Head, IN_PROGRESS, Rejection, UpgradeReply, bounds,
    started_task,
};
use serde_json::Value;

use crate::submit::{self, Row, Said, explained, refused, with_words};
use crate::translation::{Body, failure, named, start, translated};
use crate::{
    Access, AspectRatio, BoxFuture, Capabilities, Described, Error, ErrorKind, Feature, Image,
    Input, JobRef, Limit, Mode, Model, Offer, Operation, Provider, Reason, Resolution, State,
    Subject, Submission, Tier, Upgrade, Video, VideoRequest,
};

pub(crate) const NAME: &str = "kie";

const EVERYTHING: &[Feature] = &[
    Feature::Watermark,
    Feature::Translation,
    Feature::Callback,
    Feature::ExtendJob,
];
const WITHOUT_REFERENCES: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::Extension];
const ALL_MODES: &[Mode] = &[
    Mode::Text,
    Mode::Image,
    Mode::Frames,
    Mode::References,
    Mode::Extension,
];

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
/// The field with the callback address.
const CALLBACK: &str = "callBackUrl";
/// The name of the pair that is added to its query.
const MARKER: &str = "veo";
/// The same for an extension, which has no other fields yet.
const COVERED_BY_EXTENSION: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("taskId", "input"),
    ("model", "tier"),
    ("seeds", "seed"),
    ("watermark", "watermark"),
    ("callBackUrl", "callback_url"),
];

/// What its refusals of a paid request mean, by the code in the envelope, or by the HTTP status without one.
const REFUSALS: &[Row] = &[
    // Documented for a new request too: "1080P is processing". Then something was accepted.
    Row::new(&[400, 422], ErrorKind::OutcomeUnknown).saying(IN_PROGRESS),
    Row::new(&[401], ErrorKind::Unauthorized),
    Row::new(&[402], ErrorKind::InsufficientCredits),
    Row::new(&[429], ErrorKind::InsufficientCredits).saying(EMPTY_ACCOUNT),
    Row::new(&[429, 430], ErrorKind::RateLimited),
    Row::new(&[433], ErrorKind::KeyExhausted),
    Row::new(&[455], ErrorKind::Maintenance),
    Row::new(&[422], ErrorKind::Retired).saying(&["invalid model"]),
    Row::new(&[404, 405, 505], ErrorKind::Retired),
    Row::new(&[400, 403, 413, 422, 451], ErrorKind::Refused),
];
/// The same for an extension, before those: what is not found is then the video to extend.
const REFUSALS_OF_EXTENSION: &[Row] = &[Row::new(&[404], ErrorKind::Refused)];

static MODELS: [Model; 3] = [
    model(types::Model::Quality, Tier::Quality, WITHOUT_REFERENCES),
    model(types::Model::Fast, Tier::Fast, ALL_MODES),
    model(types::Model::Lite, Tier::Lite, ALL_MODES),
];

const fn model(name: types::Model, tier: Tier, modes: &'static [Mode]) -> Model {
    Model::new(NAME, name.as_str(), tier)
        .modes(modes)
        .resolutions(&[Resolution::P720, Resolution::P1080, Resolution::K4])
        .aspect_ratios(&[
            AspectRatio::Landscape,
            AspectRatio::Portrait,
            AspectRatio::Auto,
        ])
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
    account: String,
    limit: Limit,
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
        let client = client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))?;
        Ok(Self {
            client,
            account: NAME.to_owned(),
            limit: Limit {
                requests: 20,
                per: Duration::from_secs(10),
            },
        })
    }

    /// The same with another limit than the usual 20 requests in 10 seconds, for an account whose limit was raised.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Kie, Limit};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let kie = Kie::new("the API key")?.limit(Limit { requests: 100, per: Duration::from_secs(10) });
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// The same as an account with a name, which its jobs carry: `kie@studio` for `studio`. So one [`Client`](crate::Client) can
    /// have several.
    ///
    /// ```
    /// use veo_core::{Client, Kie};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let client = Client::new(Kie::new("a key")?)?.or(Kie::new("another key")?.named("studio"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn named(mut self, account: &str) -> Self {
        self.account = named(NAME, account);
        self
    }

    async fn submit(&self, offer: &Offer) -> Submission {
        // What was planned is what is sent, to the letter.
        let (first, source) = match offer.operation {
            Operation::Extend => (REFUSALS_OF_EXTENSION, offer.body["taskId"].as_str()),
            _ => (&[] as &[Row], None),
        };
        let sending = async {
            match offer.operation {
                Operation::Extend => {
                    self.client
                        .extend()
                        .body(read::<types::ExtendRequest>(offer)?)
                        .send()
                        .await
                }
                _ => {
                    self.client
                        .generate()
                        .body(read::<types::GenerateRequest>(offer)?)
                        .send()
                        .await
                }
            }
        };
        let table = first.iter().chain(REFUSALS);
        submit::submit(offer, "kie.ai", table, sending, |result| {
            started_task(result, source)
        })
        .await
    }

    async fn describe(&self, job: &JobRef) -> Result<Described, Error> {
        let reply = match self.client.record_info().task_id(&job.task).send().await {
            Ok(reply) => reply,
            Err(ApiError::Rejected(rejection)) if rejection.is_failed_task() => {
                let error = explained(ErrorKind::JobFailed, &*rejection).with_job(job);
                return Ok(Described::new(State::Failed(Box::new(error))));
            }
            Err(ApiError::Rejected(rejection)) => {
                let is_unauthorized = rejection.code == Some(types::Code::Unauthorized);
                let kind = if is_unauthorized {
                    ErrorKind::Unauthorized
                } else {
                    ErrorKind::Unavailable
                };
                return Err(explained(kind, &*rejection).with_job(job));
            }
            Err(error) => return Err(translated(ErrorKind::Unavailable, &error).with_job(job)),
        };
        let raw = start(reply.body());
        let Some(record) = reply.into_inner().data else {
            let message = "kie.ai does not know the job, or not yet";
            return Err(Error::new(ErrorKind::Unavailable, message)
                .with_reply(raw)
                .with_job(job));
        };
        let asked = record.asked();
        Ok(Described {
            prompt: asked.prompt,
            model: asked.model,
            ..Described::new(state(&record, job, raw))
        })
    }

    async fn upgrade(&self, job: &JobRef, to: Resolution) -> Upgrade {
        let reply = match to {
            Resolution::K4 => UpgradeReply::of(
                self.client
                    .get_4k_video()
                    .body_map(|body| body.task_id(&*job.task))
                    .send()
                    .await,
            ),
            _ => UpgradeReply::of(
                self.client
                    .get_1080p_video()
                    .task_id(&job.task)
                    .send()
                    .await,
            ),
        };
        match reply {
            UpgradeReply::Finished { urls, body } => Upgrade::Finished(Box::new(Video {
                resolution: Some(to.to_string()),
                raw: start(&body),
                ..Video::new(job.clone(), urls)
            })),
            UpgradeReply::Running { task } => Upgrade::Running {
                task: task.filter(|task| *task != job.task),
            },
            UpgradeReply::Refused(error) => {
                let kind = match &error {
                    ApiError::InvalidRequest(_) => ErrorKind::InvalidRequest,
                    ApiError::Rejected(rejection) if rejection.is_empty_account() => {
                        ErrorKind::InsufficientCredits
                    }
                    ApiError::Rejected(rejection) if rejection.number() == 505 => {
                        ErrorKind::Retired
                    }
                    _ => ErrorKind::Refused,
                };
                Upgrade::Rejected(of_upgrade(kind, &error, job))
            }
            UpgradeReply::NotNow(error) => {
                let kind = match &error {
                    ApiError::Rejected(rejection) if rejection.number() == 401 => {
                        ErrorKind::Unauthorized
                    }
                    ApiError::Rejected(rejection) if rejection.number() == 433 => {
                        ErrorKind::KeyExhausted
                    }
                    _ => ErrorKind::Unavailable,
                };
                Upgrade::Unavailable(of_upgrade(kind, &error, job))
            }
            UpgradeReply::Unknown(error) => {
                Upgrade::Unknown(of_upgrade(ErrorKind::Unavailable, &error, job))
            }
        }
    }

    /// A link that lives for 20 minutes.
    async fn fresh_link(&self, url: &str) -> Result<Option<String>, Error> {
        let reply = self
            .client
            .download_url()
            .body_map(|body| body.url(url))
            .send()
            .await;
        let reply = reply.map_err(|error| translated(ErrorKind::Download, &error))?;
        Ok(reply.into_inner().data.filter(|link| !link.is_empty()))
    }

    async fn credits(&self) -> Result<f64, Error> {
        let reply = self
            .client
            .account_credits()
            .send()
            .await
            .map_err(|error| of_free_call(&error))?;
        let credits = reply.into_inner().data;
        credits.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "kie.ai answered without a balance; ask again",
            )
        })
    }

    async fn upload(&self, image: Bytes, name: String) -> Result<String, Error> {
        let sent = self
            .client
            .upload_stream()
            .file(image)
            .upload_path("veo")
            .file_name(name)
            .send()
            .await;
        let reply = sent.map_err(|error| of_free_call(&error))?;
        let url = reply
            .into_inner()
            .data
            .and_then(|file| file.download_url)
            .filter(|url| !url.is_empty());
        url.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "kie.ai took the image but gave no URL for it; try again",
            )
        })
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
            Input::Extension { .. } => (Operation::Extend, extension(model, request)?),
            _ => (Operation::Generate, generation(model, request)?),
        };
        let mut offer = Offer::new(model, request, operation, body);
        if request.seed.is_some() && operation == Operation::Generate {
            offer.warnings.push(
                "seed: kie.ai's latest pages do not mention it any more; it may be ignored"
                    .to_owned(),
            );
        }
        if let Input::Extension { source } = &request.input
            && let Some(larger) = source.job.as_ref().and_then(|job| job.resolution)
            && larger > Resolution::P720
        {
            let warning = format!(
                "input: the video was asked for in {larger}, and kie.ai may extend those of 720p only"
            );
            offer.warnings.push(warning);
        }
        Ok(offer)
    }

    fn capabilities(&self) -> Capabilities {
        let upgrades = &[Resolution::P1080, Resolution::K4];
        Capabilities::default()
            .limit(self.limit)
            .uploads()
            .credits()
            .upgrades(upgrades)
            .marks_callbacks()
    }

    fn account(&self) -> String {
        self.account.clone()
    }

    fn base_url(&self) -> Option<&str> {
        self.client.base_url()
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(self.submit(offer))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async { self.describe(job).await.map(|described| described.state) })
    }

    fn marked(&self, offer: &Offer, marker: &str) -> Offer {
        let mut marked = offer.clone();
        if let Some(url) = &offer.request.callback_url {
            marked.body[CALLBACK] = Value::from(with_marker(url, marker));
        }
        marked
    }

    fn describe<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<Described, Error>> {
        Box::pin(self.describe(job))
    }

    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> BoxFuture<'a, Upgrade> {
        Box::pin(self.upgrade(job, to))
    }

    fn fresh_link<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(self.fresh_link(url))
    }

    fn credits(&self) -> BoxFuture<'_, Result<f64, Error>> {
        Box::pin(self.credits())
    }

    fn upload<'a>(&'a self, image: Bytes, name: String) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(self.upload(image, name))
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
    body.set(
        "imageUrls",
        (mode != Mode::Text).then(|| request.images().into_iter().map(Image::in_body).collect()),
    );
    body.set("aspectRatio", Value::from(ratio.as_str()));
    // The field's later name, which cannot be in the specification beside the first one.
    body.set("aspect_ratio", Value::from(ratio.as_str()));
    body.set(
        "resolution",
        Value::from(request.resolution.unwrap_or(Resolution::P720).to_string()),
    );
    body.set("duration", Value::from(request.seconds.unwrap_or(8)));
    body.set(
        "enableTranslation",
        request.translate_prompt.map(Value::from),
    );
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
        reasons.push(Reason::new(
            "input",
            "kie.ai extends only videos that it has made; give the job of one",
        ));
    }
    for (field, asked) in [
        (
            "resolution",
            request
                .resolution
                .is_some_and(|resolution| resolution != Resolution::P720),
        ),
        ("seconds", request.seconds.is_some()),
        ("translate_prompt", request.translate_prompt.is_some()),
    ] {
        if asked {
            reasons.push(Reason::new(
                field,
                "kie.ai leaves no choice for an extension; leave it out",
            ));
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
    // Where a record of what was paid puts a marker.
    body.set(
        CALLBACK,
        request
            .callback_url
            .as_deref()
            .map(|url| Value::from(with_marker(url, "..."))),
    );
    body
}

/// A callback address with a marker as the last pair of its query, and else as the caller has written it.
fn with_marker(url: &str, marker: &str) -> String {
    if marker.is_empty() {
        return url.to_owned();
    }
    let (address, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = match address.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{address}{separator}{MARKER}={marker}{fragment}")
}

/// The body of an offer in kie.ai's own type.
fn read<T: serde::de::DeserializeOwned>(offer: &Offer) -> Result<T, ApiError> {
    T::deserialize(&offer.body).map_err(|error| ApiError::InvalidRequest(error.to_string()))
}

impl Said for Rejection {
    fn head(&self) -> &Head {
        &self.head
    }

    fn number(&self) -> i64 {
        self.number()
    }

    fn code(&self) -> Option<String> {
        self.code.map(|code| code.to_string())
    }

    fn words(&self) -> Option<&str> {
        self.message.as_deref()
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// An error of a call that costs nothing.
fn of_free_call(error: &ApiError) -> Error {
    refused(error, REFUSALS, ErrorKind::NotSent)
}

/// An error of an upgrade. If it were one of policy, it would be the end of the job, which has a video.
fn of_upgrade(kind: ErrorKind, error: &ApiError, job: &JobRef) -> Error {
    let error = match error {
        ApiError::Rejected(rejection) => {
            with_words(Error::new(kind, rejection.to_string()), &**rejection)
        }
        error => translated(kind, error),
    };
    error.with_job(job)
}

fn state(record: &types::Record, job: &JobRef, raw: String) -> State {
    match record.state() {
        kie_api::State::Succeeded => State::Finished(Box::new(Video {
            resolution: record.resolution(),
            has_audio: record.has_audio(),
            seeds: record.seeds().to_vec(),
            credits: record.credits(),
            created_at: record.created_at(),
            completed_at: record.completed_at(),
            raw,
            ..Video::new(job.clone(), record.urls().to_vec())
        })),
        kie_api::State::Empty => {
            let message = "kie.ai reports success without a video; it was most likely filtered";
            let error = Error::policy(Subject::Output, message)
                .with_reply(raw)
                .with_job(job);
            State::Failed(Box::new(error))
        }
        kie_api::State::Failed => {
            State::Failed(Box::new(failed(record).with_reply(raw).with_job(job)))
        }
        kie_api::State::Running => State::Running { percent: None },
        _ => State::Pending,
    }
}

fn failed(record: &types::Record) -> Error {
    let (code, words) = (record.failure_code(), record.failure());
    let because = words.as_deref().unwrap_or("no reason given");
    let message = match &code {
        Some(code) => format!("kie.ai failed to make the video, code {code}: {because}"),
        None => format!("kie.ai failed to make the video: {because}"),
    };
    failure(words.as_deref().unwrap_or_default(), message).with_provider(code, words)
}
