//! kie.ai's current form, in which one call makes every kind of task: the requests, and the meaning of the replies.

use kie_api::{Client, started_task, types};
use serde_json::{Value, json};
use veo_transport::Named;

use super::form::{CURRENT, Form};
use super::models::EXTENSION;
use super::refusals::{REFUSALS, of_upgrade, table_of};
use super::words;
use crate::providers::body::{self, Body};
use crate::providers::submit::{self, failed_request, is_id, no_id, perhaps_accepted};
use crate::{
    ErrorKind, Image, Input, JobRef, Mode, Model, Offer, Operation, Reason, Resolution, Submission,
    Upgrade, VideoRequest,
};

/// The fields of kie.ai's input that `VideoRequest` covers, each with its name in `VideoRequest`.
const COVERED: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("image_urls", "input"),
    ("generation_type", "input"),
    ("model", "tier"),
    ("aspect_ratio", "aspect_ratio"),
    ("resolution", "resolution"),
    ("duration", "seconds"),
    ("watermark", "watermark"),
    ("enable_translation", "translate_prompt"),
    (words::CALLBACK, "callback_url"),
];
/// The fields of an extension that `VideoRequest` covers, each with its name in `VideoRequest`.
const COVERED_BY_EXTENSION: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("task_id", "input"),
    ("seeds", "seed"),
    ("watermark", "watermark"),
    (words::CALLBACK, "callback_url"),
];

/// Makes the offer of a model for a request.
pub(super) fn offer(model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
    let is_extension = matches!(request.input, Input::Extension { .. });
    let (operation, body) = if is_extension {
        (Operation::Extend, extension(request)?)
    } else {
        (Operation::Generate, generation(model, request)?)
    };
    let mut offer = Offer::new(model, request, operation, body);
    offer.form = Some(CURRENT.to_owned());
    offer.warnings = words::warnings_of_extension(request, Form::Current);
    if is_extension {
        EXTENSION.clone_into(&mut offer.model);
        let warning = "tier: kie.ai's current form has no word for the tier of an extension, so the tier that makes it, and its \
                       price, are not known";
        offer.warnings.push(warning.to_owned());
    }
    Ok(offer)
}

/// Sends the body of the offer unchanged, and returns the outcome.
pub(super) async fn submit(client: &Client, offer: &Offer) -> Submission {
    let sending = async {
        let body = body::read::<types::CreateTaskRequest, _>(offer)?;
        client.create_task().body(body).send().await
    };
    let source = offer.body["input"]["task_id"].as_str();
    submit::submit(
        offer,
        "kie.ai",
        table_of(offer.operation),
        sending,
        |result| started_task(result, source),
    )
    .await
}

/// Begins an upgrade, which is a new task. A second call would be charged again.
pub(super) async fn upgrade(client: &Client, job: &JobRef, to: Resolution) -> Upgrade {
    let body = match to {
        Resolution::K4 => {
            let model = types::Upgrade4kTaskModel::Get4k.as_str();
            json!({ "model": model, "input": { "task_id": job.task } })
        }
        _ => {
            let model = types::Upgrade1080pTaskModel::Get1080p.as_str();
            json!({ "model": model, "input": { "taskId": job.task } })
        }
    };
    let result = match body::typed::<types::CreateTaskRequest, _>(&body) {
        Ok(body) => client.create_task().body(body).send().await,
        Err(error) => Err(error),
    };
    // If the reply names a task, the upgrade is paid for, whatever else the reply says.
    match (started_task(&result, Some(&job.task)), &result) {
        (Some(Named::Task(task)), _) if is_id(&task) => {
            return Upgrade::Running { task: Some(task) };
        }
        (Some(Named::Task(task)), _) => {
            return Upgrade::Unknown(no_id("kie.ai", &task).with_job(job));
        }
        (Some(Named::Possible(task)), Err(error)) => {
            return Upgrade::Unknown(perhaps_accepted(error, &task).with_job(job));
        }
        _ => {}
    }
    let error = match result {
        Err(error) => error,
        Ok(reply) => {
            let message = "kie.ai accepted the upgrade but named no task";
            let error = crate::Error::new(ErrorKind::OutcomeUnknown, message);
            return Upgrade::Unknown(error.with_reply(reply.body()).with_job(job));
        }
    };
    let kind = failed_request(&error, REFUSALS, ErrorKind::OutcomeUnknown).kind();
    match kind {
        ErrorKind::OutcomeUnknown => Upgrade::Unknown(of_upgrade(kind, &error, job)),
        ErrorKind::Unauthorized | ErrorKind::KeyExhausted => {
            Upgrade::Unavailable(of_upgrade(kind, &error, job))
        }
        ErrorKind::NotSent | ErrorKind::RateLimited | ErrorKind::Maintenance => {
            Upgrade::Unavailable(of_upgrade(ErrorKind::Unavailable, &error, job))
        }
        ErrorKind::InvalidRequest | ErrorKind::InsufficientCredits | ErrorKind::Retired => {
            Upgrade::Rejected(of_upgrade(kind, &error, job))
        }
        _ => Upgrade::Rejected(of_upgrade(ErrorKind::Refused, &error, job)),
    }
}

/// Returns the size to which a model upgrades videos, if it is the model of an upgrade.
pub(super) fn size_of_upgrade(model: &str) -> Option<Resolution> {
    if model == types::Upgrade4kTaskModel::Get4k.as_str() {
        Some(Resolution::K4)
    } else if model == types::Upgrade1080pTaskModel::Get1080p.as_str() {
        Some(Resolution::P1080)
    } else {
        None
    }
}

fn generation(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let mode = request.mode();
    words::check_generation(request)?;
    if request.seed.is_some() {
        let message = "kie.ai's current form takes a seed for an extension only; leave it out";
        return Err(vec![Reason::new("seed", message)]);
    }
    let mut input = Body::default();
    input.set("prompt", Value::from(request.prompt.as_str()));
    input.set("model", Value::from(model.name));
    input.set("generation_type", Value::from(words::generation_type(mode)));
    input.set(
        "image_urls",
        (mode != Mode::Text).then(|| request.images().into_iter().map(Image::in_body).collect()),
    );
    input.set("aspect_ratio", Value::from(words::ratio(request)));
    input.set(
        "resolution",
        Value::from(request.resolution.unwrap_or(Resolution::P720).to_string()),
    );
    input.set("duration", Value::from(request.seconds.unwrap_or(8)));
    input.set(
        "enable_translation",
        Value::from(request.translate_prompt.unwrap_or(true)),
    );
    input.set("watermark", request.watermark.as_deref().map(Value::from));
    words::merge_extra(&mut input, request, COVERED)?;
    let model = types::GenerateTaskModel::Veo31.as_str();
    words::task(model, request, input).check(types::GenerateTask::check)
}

fn extension(request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let job = words::source_of_extension(request)?;
    if request.tier.is_some() {
        let message =
            "kie.ai's current form has no word for the tier of an extension; leave it out";
        return Err(vec![Reason::new("tier", message)]);
    }
    let mut input = Body::default();
    input.set("prompt", Value::from(request.prompt.as_str()));
    input.set("task_id", Value::from(job.task.as_str()));
    input.set("seeds", request.seed.map(Value::from));
    input.set("watermark", request.watermark.as_deref().map(Value::from));
    words::merge_extra(&mut input, request, COVERED_BY_EXTENSION)?;
    words::task(EXTENSION, request, input).check(types::ExtendTask::check)
}
