//! kie.ai's old form, with an endpoint for each operation: the requests, and the meaning of the replies.

use kie_api::{Client, Error as ApiError, UpgradeReply, started_task, types};
use serde_json::Value;

use super::form::{Form, Forms};
use super::models::NAME;
use super::refusals::{is_gone, of_upgrade, table_of};
use super::words;
use crate::providers::body::{self, Body};
use crate::providers::errors::start;
use crate::providers::submit::{self, is_id, no_id};
use crate::{
    ErrorKind, Image, Input, JobRef, Mode, Model, Offer, Operation, Reason, Resolution, Submission,
    Tier, Upgrade, Video, VideoRequest,
};

/// The fields of kie.ai's request that `VideoRequest` covers, each with its name in `VideoRequest`.
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
/// All fields of an extension, each with its name in `VideoRequest`.
const COVERED_BY_EXTENSION: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("taskId", "input"),
    ("model", "tier"),
    ("seeds", "seed"),
    ("watermark", "watermark"),
    ("callBackUrl", "callback_url"),
];

/// Makes the offer of a model for a request.
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
    offer
        .warnings
        .extend(words::warnings_of_extension(request, Form::Old));
    Ok(offer)
}

/// Sends the body of the offer unchanged, and returns the outcome. `forms` remembers if the reply says that the form is
/// gone.
pub(super) async fn submit(client: &Client, forms: &Forms, offer: &Offer) -> Submission {
    let is_extension = offer.operation == Operation::Extend;
    let sending = async {
        if is_extension {
            let body = body::read::<types::ExtendRequest, _>(offer)?;
            client.extend().body(body).send().await
        } else {
            let body = body::read::<types::GenerateRequest, _>(offer)?;
            client.generate().body(body).send().await
        }
    };
    let source = offer.body["taskId"].as_str();
    submit::submit(
        offer,
        "kie.ai",
        table_of(offer.operation),
        sending,
        |result| {
            let task = started_task(result, source);
            if let (None, Err(ApiError::Rejected(rejection))) = (&task, result)
                && is_gone(rejection, offer.operation)
            {
                forms.old_is_gone(rejection);
            }
            task
        },
    )
    .await
}

pub(super) async fn upgrade(client: &Client, job: &JobRef, to: Resolution) -> Upgrade {
    let reply = match to {
        Resolution::K4 => UpgradeReply::of(
            client
                .get_4k_video()
                .body_map(|body| body.task_id(&job.task))
                .send()
                .await,
            &job.task,
        ),
        _ => UpgradeReply::of(
            client.get_1080p_video().task_id(&job.task).send().await,
            &job.task,
        ),
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
        UpgradeReply::Running { task } => Upgrade::Running { task },
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
    words::check_generation(request)?;
    let ratio = words::ratio(request);
    let mut body = common(request);
    body.set("model", Value::from(model.name));
    body.set("generationType", Value::from(words::generation_type(mode)));
    body.set(
        "imageUrls",
        (mode != Mode::Text).then(|| request.images().into_iter().map(Image::in_body).collect()),
    );
    body.set("aspectRatio", Value::from(ratio));
    // `aspect_ratio` is kie.ai's later name for `aspectRatio`. The specification cannot have both names.
    body.set("aspect_ratio", Value::from(ratio));
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
    let job = words::source_of_extension(request)?;
    let model = match model.tier {
        Some(Tier::Quality) => types::ExtendModel::Quality,
        Some(Tier::Fast) => types::ExtendModel::Fast,
        Some(Tier::Lite) | None => types::ExtendModel::Lite,
    };
    let mut body = common(request);
    body.set("taskId", Value::from(job.task.as_str()));
    body.set("model", Value::from(model.as_str()));
    body.merge(request.extra.get(NAME), COVERED_BY_EXTENSION)?;
    body.check(types::ExtendRequest::check)
}

/// Makes a body with the fields that a generation and an extension share.
fn common(request: &VideoRequest) -> Body {
    let mut body = Body::default();
    body.set("prompt", Value::from(request.prompt.as_str()));
    body.set("seeds", request.seed.map(Value::from));
    body.set("watermark", request.watermark.as_deref().map(Value::from));
    body.set(words::CALLBACK, words::callback(request));
    body
}
