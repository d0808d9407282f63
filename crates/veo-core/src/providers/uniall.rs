//! A provider that makes videos with UniAll. No other file uses the crate of its client, `uniall-api`.

use serde::Deserialize as _;
use serde_json::Value;
use uniall_api::{Error as ApiError, Head, Rejection, bounds, sentence, started_task, types};
use veo_transport::{absolute, shortened};

use super::access;
use super::body::Body;
use super::errors::{failure, start, translated};
use super::meaning::Meaning;
use super::submit::{self, ACCEPTED_BEFORE, ProviderRefusal, RefusalRow, explained};
use crate::{
    Access, ApiAddress, AspectRatio, BoxFuture, Capabilities, Described, Error, ErrorKind, Feature,
    Image, Input, JobRef, Mode, Model, Offer, Operation, Provider, Reason, Resolution, State,
    Submission, Tier, Video, VideoRequest,
};

const NAME: &str = "uniall";

const STANDARD: &[Mode] = &[
    Mode::Text,
    Mode::Image,
    Mode::Frames,
    Mode::References,
    Mode::Extension,
];
const FAST: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::Extension];

/// The fields of UniAll's request that `VideoRequest` covers, each with its name in `VideoRequest`.
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
/// The options of the model that `VideoRequest` covers, each with its name in `VideoRequest`.
const COVERED_OPTIONS: &[(&str, &str)] = &[
    ("generate_audio", "audio"),
    ("negative_prompt", "negative_prompt"),
    ("seed", "seed"),
];

/// The HTTP statuses with which UniAll refuses a paid request.
const REFUSED: &[i64] = &[400, 401, 402, 403, 404, 405, 413, 429];
/// The meaning of UniAll's refusals of a paid request, by the HTTP status.
const REFUSALS: &[RefusalRow] = &[
    // The gateway found no service for the request. With a server error, only this code is a rejection.
    RefusalRow::new(
        &[400, 401, 402, 403, 404, 405, 413, 429, 503],
        ErrorKind::Retired,
    )
    .with_codes(&["model_not_found"]),
    // UniAll says that it has accepted the same request before, so there may be a paid task.
    RefusalRow::new(&[400], ErrorKind::OutcomeUnknown).saying(ACCEPTED_BEFORE),
    RefusalRow::new(REFUSED, ErrorKind::InsufficientCredits).meaning(Meaning::Credits),
    RefusalRow::new(REFUSED, ErrorKind::KeyExhausted).meaning(Meaning::KeyExhausted),
    RefusalRow::new(REFUSED, ErrorKind::Unauthorized).meaning(Meaning::ShutOut),
    RefusalRow::new(&[401], ErrorKind::Unauthorized),
    RefusalRow::new(&[402], ErrorKind::InsufficientCredits),
    RefusalRow::new(&[429], ErrorKind::RateLimited),
    RefusalRow::new(&[404, 405], ErrorKind::Retired),
    RefusalRow::new(REFUSED, ErrorKind::Refused),
];

static MODELS: [Model; 6] = [
    model(
        types::Model::Standard720p,
        Tier::Quality,
        STANDARD,
        &[Resolution::P720],
    )
    .references(bounds::create_video_request::IMAGES),
    model(
        types::Model::Standard1080p,
        Tier::Quality,
        STANDARD,
        &[Resolution::P1080],
    )
    .references(bounds::create_video_request::IMAGES),
    model(
        types::Model::Standard4k,
        Tier::Quality,
        STANDARD,
        &[Resolution::K4],
    )
    .references(bounds::create_video_request::IMAGES),
    model(
        types::Model::Fast720p,
        Tier::Fast,
        FAST,
        &[Resolution::P720],
    ),
    model(
        types::Model::Fast1080p,
        Tier::Fast,
        FAST,
        &[Resolution::P1080],
    ),
    model(types::Model::Fast4k, Tier::Fast, FAST, &[Resolution::K4]),
];

const fn model(
    name: types::Model,
    tier: Tier,
    modes: &'static [Mode],
    resolutions: &'static [Resolution],
) -> Model {
    Model::new(NAME, name.as_str(), tier)
        .modes(modes)
        .resolutions(resolutions)
        .aspect_ratios(&[AspectRatio::Landscape, AspectRatio::Portrait])
        .seconds(&[4, 6, 8])
        // UniAll documents no range. This is the range of the service behind UniAll.
        .seeds(0..=u32::MAX as i64)
        .options(&[
            Feature::Silence,
            Feature::NegativePrompt,
            Feature::ExtendUrl,
        ])
}

/// The reseller UniAll.
///
/// It has every mode, two tiers, extension of any video by its URL, video without sound, and negative prompts. It
/// stores no images of this machine, but [`Kie`](crate::Kie) in the same [`Client`](crate::Client) does.
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
    account: String,
}

impl UniAll {
    /// Makes the provider with an API key, or with an [`Access`] for more settings. It makes no connection yet.
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
    /// [`ErrorKind::InvalidRequest`] if the text cannot be an API key, or the settings cannot work.
    pub fn new(access: impl Into<Access>) -> Result<Self, Error> {
        let client = uniall_api::Client::new(access.into().config);
        let client = client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))?;
        Ok(Self {
            client,
            account: NAME.to_owned(),
        })
    }

    /// Names the account, so that one [`Client`](crate::Client) can have several accounts. The name is in the account's
    /// jobs: `uniall@studio:TASK` for `studio`.
    ///
    /// ```
    /// use veo_core::{Client, UniAll};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let client = Client::new(UniAll::new("a key")?)?.or(UniAll::new("another key")?.named("studio"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn named(mut self, account: &str) -> Self {
        self.account = access::account(NAME, account);
        self
    }

    async fn submit(&self, offer: &Offer) -> Submission {
        let sending = async {
            // The body of the offer is sent unchanged.
            let body = types::CreateVideoRequest::deserialize(&offer.body);
            let body = body.map_err(|error| ApiError::InvalidRequest(error.to_string()))?;
            self.client.create_video().body(body).send().await
        };
        submit::submit(offer, "UniAll", REFUSALS, sending, started_task).await
    }

    async fn describe(&self, job: &JobRef) -> Result<Described, Error> {
        let task = match self.client.query_video().task_id(&job.task).send().await {
            Ok(task) => task,
            Err(ApiError::Rejected(rejection)) => {
                let is_unauthorized = rejection.head.status == 401;
                let kind = if is_unauthorized {
                    ErrorKind::Unauthorized
                } else {
                    ErrorKind::Unavailable
                };
                return Err(explained(kind, &*rejection).with_job(job));
            }
            Err(error) => return Err(translated(ErrorKind::Unavailable, &error).with_job(job)),
        };
        let state = state(&task, job, task.body(), &self.client);
        Ok(Described {
            model: task.model.clone(),
            word: task.unknown_word().map(|word| shortened(word.to_owned())),
            ..Described::new(state.with_inline(task.inline().to_vec()))
        })
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
        let operation = if request.mode() == Mode::Extension {
            Operation::Extend
        } else {
            Operation::Generate
        };
        let mut offer = Offer::new(model, request, operation, body(model, request)?);
        offer.warnings = warnings(request, offer.resolution());
        Ok(offer)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn account(&self) -> String {
        self.account.clone()
    }

    fn base_url(&self) -> Option<&str> {
        self.client.base_url()
    }

    fn api(&self) -> Option<ApiAddress> {
        let authorization = self.client.authorization().to_str().ok()?;
        Some(ApiAddress::new(self.client.address(), authorization))
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(self.submit(offer))
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async { self.describe(job).await.map(|described| described.state) })
    }

    fn describe<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<Described, Error>> {
        Box::pin(self.describe(job))
    }

    fn fresh_link<'a>(
        &'a self,
        job: &'a JobRef,
        _url: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let content = self.client.video_content_url(&job.task);
        Box::pin(std::future::ready(Ok(Some(content))))
    }
}

fn body(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let mut body = Body::default();
    body.set("model", Value::from(model.name));
    body.set("prompt", Value::from(request.prompt.as_str()));
    body.set(
        "size",
        Value::from(request.resolution.unwrap_or(Resolution::P720).to_string()),
    );
    match &request.input {
        Input::Image { image } => body.set("image", Value::from(image.in_body())),
        Input::Frames { first, last } => {
            body.set("image", Value::from(first.in_body()));
            body.set("last_image", Value::from(last.in_body()));
        }
        Input::References { images } => body.set(
            "images",
            images.iter().map(Image::in_body).collect::<Value>(),
        ),
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

    // UniAll has the options of the model in an object of their own. The caller's options go into this object too.
    let mut extra = request.extra.get(NAME).cloned().unwrap_or_default();
    let extra_options = extra.remove("extra_body");
    let mut options = Body::default();
    options.set("generate_audio", request.audio.map(Value::from));
    options.set(
        "negative_prompt",
        request.negative_prompt.as_deref().map(Value::from),
    );
    options.set("seed", request.seed.map(Value::from));
    match &extra_options {
        None => {}
        Some(Value::Object(extra)) => options.merge(Some(extra), COVERED_OPTIONS)?,
        Some(_) => return Err(vec![Reason::new("extra", "extra_body has to be an object")]),
    }
    body.set("extra_body", Option::<Value>::from(options));
    body.merge(Some(&extra), COVERED)?;
    body.check(types::CreateVideoRequest::check)
}

/// Returns warnings about limits of the service behind UniAll. UniAll does not say whether they hold for it.
fn warnings(request: &VideoRequest, resolution: Resolution) -> Vec<String> {
    let mode = request.mode();
    let short = request.seconds.is_some_and(|seconds| seconds != 8);
    let table = [
        (
            mode == Mode::References && short,
            "seconds: Google makes only videos of 8 s from reference images",
        ),
        (
            resolution > Resolution::P720 && short,
            "seconds: Google's own API makes only videos of 8 s in 1080p and 4K",
        ),
        (
            mode == Mode::Extension && resolution > Resolution::P720,
            "resolution: Google's own API extends at 720p only",
        ),
        (
            mode == Mode::Extension && request.seconds.is_some(),
            "seconds: an extension may ignore it",
        ),
        (
            matches!(mode, Mode::Image | Mode::Frames | Mode::References)
                && request.aspect_ratio.is_some(),
            "aspect_ratio: UniAll is known to honour it for text only",
        ),
    ];
    table
        .into_iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, warning)| warning.to_owned())
        .collect()
}

impl ProviderRefusal for Rejection {
    fn head(&self) -> &Head {
        &self.head
    }

    fn number(&self) -> i64 {
        self.head.status.into()
    }

    fn code(&self) -> Option<String> {
        self.code.clone()
    }

    fn words(&self) -> Option<&str> {
        self.message.as_deref()
    }

    fn sentence(&self) -> Option<String> {
        self.message.as_deref().map(sentence)
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

fn state(task: &types::VideoTask, job: &JobRef, body: &[u8], client: &uniall_api::Client) -> State {
    match task.state() {
        found @ (uniall_api::State::Succeeded | uniall_api::State::Empty) => {
            if found == uniall_api::State::Empty {
                let failed = failed(task);
                if failed.kind() == ErrorKind::Policy {
                    return State::Failed(Box::new(failed.with_reply(body).with_job(job)));
                }
            }
            let address = client.address();
            let urls = task.urls().into_iter();
            let mut urls: Vec<String> = urls.map(|url| absolute(url, address)).collect();
            if urls.is_empty() {
                // For some services behind the gateway, this URL is the only link to the video.
                urls.push(client.video_content_url(&job.task));
            }
            State::Finished(Box::new(Video {
                resolution: task.size.clone().map(shortened),
                created_at: task.created(),
                completed_at: task.completed(),
                raw: start(body),
                ..Video::new(job.clone(), urls)
            }))
        }
        uniall_api::State::Failed => {
            State::Failed(Box::new(failed(task).with_reply(body).with_job(job)))
        }
        uniall_api::State::Running => State::Running {
            percent: task.progress.map(|percent| percent.0),
        },
        _ => State::Pending,
    }
}

fn failed(task: &types::VideoTask) -> Error {
    let all = task.failure().map(|text| shortened(text.to_owned()));
    let said = all.as_deref().map(sentence);
    let code = task.error.as_ref().and_then(|error| error.code.clone());
    let message = format!(
        "UniAll failed to make the video: {}",
        said.as_deref().unwrap_or("no reason given")
    );
    failure(message, code.as_deref(), all.as_deref().unwrap_or_default()).with_provider(code, said)
}
