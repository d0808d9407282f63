//! kie.ai's endpoints for Veo: what is sent to them, and what their replies mean.

use kie_api::{Client, Error as ApiError, UpgradeReply, started_task, types};
use serde::de::DeserializeOwned;
use serde_json::Value;
use veo_transport::absolute;

use super::callback::with_marker;
use super::models::NAME;
use super::refusals::{REFUSALS, REFUSALS_OF_EXTENSION, of_upgrade};
use crate::providers::body::Body;
use crate::providers::errors::{failure, start, translated};
use crate::providers::submit::{self, RefusalRow, explained, is_id, no_id};
use crate::{
    AspectRatio, Described, Error, ErrorKind, Image, Input, JobRef, Mode, Model, Offer, Operation,
    Reason, Resolution, State, Submission, Tier, Upgrade, Video, VideoRequest,
};

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

/// The field with the callback address.
const CALLBACK: &str = "callBackUrl";
/// The exact request for a model.
pub(super) fn offer(model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
    let (operation, body) = match &request.input {
        Input::Extension { .. } => (Operation::Extend, extension(model, request)?),
        _ => (Operation::Generate, generation(model, request)?),
    };
    let mut offer = Offer::new(model, request, operation, body);
    if request.seed.is_some() && operation == Operation::Generate {
        let warning =
            "seed: kie.ai's latest pages do not mention it any more; it may be ignored".to_owned();
        offer.warnings.push(warning);
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

/// The offer with a marker in its callback address.
pub(super) fn marked(offer: &Offer, marker: &str) -> Offer {
    let mut marked = offer.clone();
    if let Some(url) = &offer.request.callback_url {
        marked.body[CALLBACK] = Value::from(with_marker(url, marker));
    }
    marked
}

/// Sends what was planned, to the letter.
pub(super) async fn submit(client: &Client, offer: &Offer) -> Submission {
    let is_extension = offer.operation == Operation::Extend;
    let sending = async {
        if is_extension {
            let body = read::<types::ExtendRequest>(offer)?;
            client.extend().body(body).send().await
        } else {
            let body = read::<types::GenerateRequest>(offer)?;
            client.generate().body(body).send().await
        }
    };
    let (first, source): (&[RefusalRow], _) = if is_extension {
        (REFUSALS_OF_EXTENSION, offer.body["taskId"].as_str())
    } else {
        (&[], None)
    };
    let table = first.iter().chain(REFUSALS);
    submit::submit(offer, "kie.ai", table, sending, |result| {
        started_task(result, source)
    })
    .await
}

/// Asks for the record of a job.
pub(super) async fn describe(client: &Client, job: &JobRef) -> Result<Described, Error> {
    let reply = match client.record_info().task_id(&job.task).send().await {
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
    let inline = reply.inline().to_vec();
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
        word: record.unknown_word(),
        ..Described::new(state(&record, job, raw, client.address())?.with_inline(inline))
    })
}

/// Makes the call of an upgrade.
pub(super) async fn upgrade(client: &Client, job: &JobRef, to: Resolution) -> Upgrade {
    let reply = match to {
        Resolution::K4 => UpgradeReply::of(
            client
                .get_4k_video()
                .body_map(|body| body.task_id(&job.task))
                .send()
                .await,
        ),
        _ => UpgradeReply::of(client.get_1080p_video().task_id(&job.task).send().await),
    };
    match reply {
        UpgradeReply::Finished { urls, body, inline } => Upgrade::Finished(Box::new(Video {
            resolution: Some(to.to_string()),
            raw: start(&body),
            inline,
            ..Video::new(job.clone(), urls)
        })),
        UpgradeReply::Running { task: Some(task) } if !is_id(&task) => {
            Upgrade::Unknown(no_id("kie.ai", &task).with_job(job))
        }
        UpgradeReply::Running { task } => Upgrade::Running {
            task: task.filter(|task| *task != job.task),
        },
        UpgradeReply::Refused(error) => {
            let kind = match &error {
                ApiError::InvalidRequest(_) => ErrorKind::InvalidRequest,
                ApiError::Rejected(rejection) if rejection.is_empty_account() => {
                    ErrorKind::InsufficientCredits
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
        Value::from(request.translate_prompt.unwrap_or(true)),
    );
    body.merge(request.extra.get(NAME), COVERED)?;
    body.check(types::GenerateRequest::check)
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
    body.check(types::ExtendRequest::check)
}

/// The fields that a generation and an extension have in common.
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

/// The body of an offer in kie.ai's own type.
fn read<T: DeserializeOwned>(offer: &Offer) -> Result<T, ApiError> {
    T::deserialize(&offer.body).map_err(|error| ApiError::InvalidRequest(error.to_string()))
}

fn state(record: &types::Record, job: &JobRef, raw: String, address: &str) -> Result<State, Error> {
    match record.state() {
        kie_api::State::Succeeded => {
            let urls = record.urls().into_iter();
            let urls = urls.map(|url| absolute(url, address)).collect();
            Ok(State::Finished(Box::new(Video {
                resolution: record.resolution(),
                has_audio: record.has_audio(),
                seeds: record.seeds().to_vec(),
                credits: record.credits(),
                created_at: record.created_at(),
                completed_at: record.completed_at(),
                raw,
                ..Video::new(job.clone(), urls)
            })))
        }
        kie_api::State::Empty => {
            let failed = failed(record);
            if failed.kind() == ErrorKind::Policy {
                let failed = failed.with_reply(raw).with_job(job);
                return Ok(State::Failed(Box::new(failed)));
            }
            let message =
                "kie.ai reports success and names no video; ask again later, or look at its reply";
            Err(Error::new(ErrorKind::Download, message)
                .with_reply(raw)
                .with_job(job))
        }
        kie_api::State::Failed => {
            let failed = failed(record).with_reply(raw).with_job(job);
            Ok(State::Failed(Box::new(failed)))
        }
        kie_api::State::Running => Ok(State::Running { percent: None }),
        _ => Ok(State::Pending),
    }
}

fn failed(record: &types::Record) -> Error {
    let code = record.failure_code();
    let words = record.failure();
    let because = words.as_deref().unwrap_or("no reason given");
    let message = match &code {
        Some(code) => format!("kie.ai failed to make the video, code {code}: {because}"),
        None => format!("kie.ai failed to make the video: {because}"),
    };
    let said = words.as_deref().unwrap_or_default();
    let error = failure(message, code.as_deref(), said).with_provider(code, words);
    if record.asked().has_images == Some(false) {
        error.not_of_an_image()
    } else {
        error
    }
}
