//! Translation to and from `uniall-api`, which no other file names.

use std::time::SystemTime;

use serde_json::Value;
use uniall_api::types;
use uniall_api::{Error as ApiError, Rejection, bounds};
use veo_transport::{members, words};

use crate::job::now;
use crate::translation::{Body, at_milliseconds, failure, is_refusal, refusal, refusal_status, start, translated};
use crate::{
    Access, AspectRatio, BoxFuture, Error, ErrorKind, Feature, Image, Input, Job, JobRef, Mode, Model, Offer, Provider,
    Reason, Resolution, State, Subject, Submission, Tier, Video, VideoRequest,
};

const NAME: &str = "uniall";

const STANDARD: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::References, Mode::Extension];
const FAST: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::Extension];

/// The fields of its requests that the vocabulary covers, and how they are called there.
const COVERED: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("image", "input"),
    ("last_image", "input"),
    ("images", "input"),
    ("video", "input"),
    ("model", "tier"),
    ("size", "resolution"),
    ("aspect_ratio", "aspect_ratio"),
    ("duration", "seconds"),
];
/// The same of the options of the model.
const COVERED_OPTIONS: &[(&str, &str)] =
    &[("generate_audio", "audio"), ("negative_prompt", "negative_prompt"), ("seed", "seed")];

static MODELS: [Model; 6] = [
    model(types::Model::Standard720p, Tier::Quality, STANDARD, &[Resolution::P720]),
    model(types::Model::Standard1080p, Tier::Quality, STANDARD, &[Resolution::P1080]),
    model(types::Model::Standard4k, Tier::Quality, STANDARD, &[Resolution::K4]),
    model(types::Model::Fast720p, Tier::Fast, FAST, &[Resolution::P720]),
    model(types::Model::Fast1080p, Tier::Fast, FAST, &[Resolution::P1080]),
    model(types::Model::Fast4k, Tier::Fast, FAST, &[Resolution::K4]),
];

const fn model(name: types::Model, tier: Tier, modes: &'static [Mode], resolutions: &'static [Resolution]) -> Model {
    Model::new(NAME, name.as_str(), tier)
        .modes(modes)
        .resolutions(resolutions)
        .aspect_ratios(&[AspectRatio::Landscape, AspectRatio::Portrait])
        .seconds(&[4, 6, 8])
        .references(bounds::create_video_request::IMAGES)
        // UniAll names no range; this is that of the service behind it.
        .seeds(0..=u32::MAX as i64)
        .options(&[Feature::Silence, Feature::NegativePrompt, Feature::ExtendUrl])
}

/// The reseller UniAll.
///
/// It has every mode, two tiers, extension of any video by its URL, video without sound, and negative prompts. It has no place
/// for images of this machine; with [`Kie`](crate::Kie) in the same [`Client`](crate::Client) they are stored there.
///
/// ```
/// use veo_core::{Access, Client, UniAll};
///
/// # fn main() -> Result<(), veo_core::Error> {
/// let client = Client::new(UniAll::new("the API key")?)?;
/// let simulated = Client::new(UniAll::new(Access::new("any key").base_url("http://127.0.0.1:8787"))?)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct UniAll {
    client: uniall_api::Client,
}

impl UniAll {
    /// UniAll with a key, or with [more](Access). Makes no connection yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Access, UniAll};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let uniall = UniAll::new(Access::new("the API key").submit_timeout(Duration::from_secs(300)))?;
    /// assert!(UniAll::new("").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key cannot be one, or the rest cannot work.
    pub fn new(access: impl Into<Access>) -> Result<Self, Error> {
        let client = uniall_api::Client::new(access.into().config);
        Ok(Self { client: client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))? })
    }

    async fn submit(&self, offer: &Offer) -> Submission {
        let sent_at = now();
        // What was planned is what is sent, to the letter.
        let result = match serde_json::from_value::<types::CreateVideoRequest>(offer.body.clone()) {
            Ok(body) => self.client.create_video().body(body).send().await,
            Err(error) => Err(ApiError::InvalidRequest(error.to_string())),
        };
        let error = match result {
            Ok(task) => match task.poll_id() {
                Some(id) => return Submission::Accepted(Job::new(offer, id)),
                None => Error::new(ErrorKind::OutcomeUnknown, "UniAll answered without naming a task")
                    .with_reply(task.body()),
            },
            Err(error) => match id_of(&error) {
                // A reply that holds the id of a task is an acceptance, whatever else is wrong with it.
                Some(id) => return Submission::Accepted(Job::new(offer, id)),
                None => refused(&error),
            },
        };
        Submission::of_error(error, offer, sent_at)
    }

    async fn state(&self, job: &JobRef) -> Result<State, Error> {
        let task = match self.client.query_video().task_id(&job.task).send().await {
            Ok(task) => task,
            Err(ApiError::Rejected(rejection)) if rejection.head.status == 401 => {
                return Err(explained(ErrorKind::Unauthorized, &rejection).with_job(job));
            }
            Err(ApiError::Rejected(rejection)) => {
                return Err(explained(ErrorKind::Unavailable, &rejection).with_job(job));
            }
            Err(error) => return Err(translated(ErrorKind::Unavailable, &error).with_job(job)),
        };
        let raw = start(task.body());
        match task.state() {
            uniall_api::State::Succeeded => {
                let urls = task.urls().into_iter().map(str::to_owned).collect();
                Ok(State::Finished(Box::new(Video {
                    resolution: task.size.clone().map(words),
                    created_at: task.created_at.and_then(time),
                    completed_at: task.completed_at.and_then(time),
                    raw,
                    ..Video::new(job.clone(), urls)
                })))
            }
            uniall_api::State::Empty => {
                let message = "UniAll reports success without a video; it was most likely filtered";
                Err(Error::policy(Subject::Output, message).with_reply(raw).with_job(job))
            }
            uniall_api::State::Failed => Err(failed(&task).with_reply(raw).with_job(job)),
            uniall_api::State::Running => Ok(State::Running { percent: task.progress.map(|percent| percent.0) }),
            _ => Ok(State::Pending),
        }
    }
}

impl Provider for UniAll {
    fn name(&self) -> &'static str {
        NAME
    }

    fn models(&self) -> &[Model] {
        &MODELS
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        let mut offer = Offer::new(model, request, "create_video", body(model, request)?);
        offer.warnings = warnings(request, offer.resolution());
        Ok(offer)
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(self.submit(offer))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(self.state(job))
    }
}

fn body(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let mut body = Body::default();
    body.set("model", Value::from(model.name));
    body.set("prompt", Value::from(request.prompt.as_str()));
    body.set("size", Value::from(request.resolution.unwrap_or(Resolution::P720).to_string()));
    match &request.input {
        Input::Image { image } => body.set("image", Value::from(image.in_body())),
        Input::Frames { first, last } => {
            body.set("image", Value::from(first.in_body()));
            body.set("last_image", Value::from(last.in_body()));
        }
        Input::References { images } => body.set("images", images.iter().map(Image::in_body).collect::<Value>()),
        Input::Extension { source } => body.set("video", source.url.as_deref().map(Value::from)),
        Input::Text => {}
    }
    if request.mode() == Mode::Extension {
        body.set("duration", request.seconds.map(Value::from));
    } else {
        let ratio = request.aspect_ratio.unwrap_or(AspectRatio::Landscape);
        body.set("aspect_ratio", Value::from(ratio.to_string()));
        body.set("duration", Value::from(request.seconds.unwrap_or(8)));
    }

    // Options of the model go into an object of their own, and so do the caller's.
    let mut extra = request.extra.get(NAME).cloned().unwrap_or_default();
    let extra_options = extra.remove("extra_body");
    let mut options = Body::default();
    options.set("generate_audio", request.audio.map(Value::from));
    options.set("negative_prompt", request.negative_prompt.as_deref().map(Value::from));
    options.set("seed", request.seed.map(Value::from));
    match &extra_options {
        None => {}
        Some(Value::Object(extra)) => options.merge(Some(extra), COVERED_OPTIONS)?,
        Some(_) => return Err(vec![Reason::new("extra", "extra_body has to be an object")]),
    }
    body.set("extra_body", Option::<Value>::from(options));
    body.merge(Some(&extra), COVERED)?;
    body.check::<types::CreateVideoRequest>()
}

/// Limits of the service behind UniAll, which UniAll may enforce or not.
fn warnings(request: &VideoRequest, resolution: Resolution) -> Vec<String> {
    let mode = request.mode();
    let short = request.seconds.is_some_and(|seconds| seconds != 8);
    let table = [
        (mode == Mode::References && short, "seconds: Google makes videos from reference images of 8 s only"),
        (resolution > Resolution::P720 && short, "seconds: Google's own API makes 1080p and 4K of 8 s only"),
        (mode == Mode::Extension && resolution > Resolution::P720, "resolution: Google's own API extends at 720p only"),
        (mode == Mode::Extension && request.seconds.is_some(), "seconds: an extension may ignore it"),
        (
            matches!(mode, Mode::Image | Mode::Frames | Mode::References) && request.aspect_ratio.is_some(),
            "aspect_ratio: UniAll is sure to honour it for text only",
        ),
    ];
    table.into_iter().filter(|(applies, _)| *applies).map(|(_, warning)| warning.to_owned()).collect()
}

/// The id of a task in an error, which is then none.
fn id_of(error: &ApiError) -> Option<String> {
    match error {
        ApiError::NoReply { partial, .. } => id_in(partial),
        ApiError::Unreadable(reply) if reply.head.is_success() => id_in(&reply.body),
        // The `id` of an error can be anything.
        ApiError::Unreadable(reply) => texts_in(&reply.body, "task_id").next(),
        ApiError::Rejected(rejection) => texts_in(&rejection.body, "task_id").next(),
        _ => None,
    }
}

/// The id of a task in a reply that does not have it in its place.
fn id_in(body: &[u8]) -> Option<String> {
    ["task_id", "id"].into_iter().flat_map(|member| texts_in(body, member)).next()
}

fn texts_in(body: &[u8], member: &str) -> impl Iterator<Item = String> {
    members(body, member).filter(|text| !text.is_empty())
}

/// What an error of a paid request says about the money.
fn refused(error: &ApiError) -> Error {
    match error {
        ApiError::InvalidRequest(_) => translated(ErrorKind::InvalidRequest, error),
        ApiError::NotConnected { .. } => translated(ErrorKind::NotSent, error),
        ApiError::Unreadable(reply) if is_refusal(reply.head.status) => {
            translated(refusal_status(reply.head.status), error)
        }
        ApiError::Rejected(rejection) => {
            let kind = match rejection.code.as_deref() {
                // The gateway found nobody to pass the request to.
                Some("model_not_found") => ErrorKind::Retired,
                Some("insufficient_user_quota" | "quota_not_enough") => ErrorKind::InsufficientCredits,
                Some("pre_consume_token_quota_failed") => ErrorKind::KeyExhausted,
                _ if !is_refusal(rejection.head.status) => ErrorKind::OutcomeUnknown,
                _ if rejection.message.as_deref().is_some_and(|words| words.contains("quota is exhausted")) => {
                    ErrorKind::KeyExhausted
                }
                _ => refusal_status(rejection.head.status),
            };
            explained(kind, rejection)
        }
        _ => translated(ErrorKind::OutcomeUnknown, error),
    }
}

/// A refusal with all that UniAll said.
fn explained(kind: ErrorKind, rejection: &Rejection) -> Error {
    let error = refusal(kind, rejection, rejection.message.as_deref());
    error
        .with_provider(rejection.code.clone(), rejection.message.clone())
        .with_retry_after(rejection.head.retry_after)
        .with_reply(&rejection.body)
}

/// UniAll counts seconds.
fn time(seconds: i64) -> Option<SystemTime> {
    at_milliseconds(seconds.checked_mul(1000)?)
}

fn failed(task: &types::VideoTask) -> Error {
    let words = task.failure().map(|text| words(text.to_owned()));
    let words = words.as_deref();
    let code = task.error.as_ref().and_then(|error| error.code.clone());
    let message = format!("UniAll failed to make the video: {}", words.unwrap_or("no reason given"));
    // The code can be the only one to say that it is a matter of policy.
    let all = format!("{} {}", words.unwrap_or_default(), code.as_deref().unwrap_or_default());
    failure(&all, message).with_provider(code, words.map(str::to_owned))
}
