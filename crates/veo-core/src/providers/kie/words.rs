//! The values that both forms have for a request, and the checks for requests that neither form accepts.

use kie_api::types;
use serde_json::Value;

use super::callback::with_marker;
use super::form::Form;
use super::models::NAME;
use crate::providers::body::Body;
use crate::{AspectRatio, Input, JobRef, Mode, Offer, Reason, Resolution, VideoRequest};

pub(super) const CALLBACK: &str = "callBackUrl";

/// Returns the callback address with `veo=...`, in place of the marker of a ledger.
pub(super) fn callback(request: &VideoRequest) -> Option<Value> {
    let url = request.callback_url.as_deref()?;
    Some(Value::from(with_marker(url, "...")))
}

/// Returns the offer with a marker in its callback address.
pub(super) fn marked(offer: &Offer, marker: &str) -> Offer {
    let mut marked = offer.clone();
    if let Some(url) = &offer.request.callback_url {
        marked.body[CALLBACK] = Value::from(with_marker(url, marker));
    }
    marked
}

pub(super) fn ratio(request: &VideoRequest) -> &'static str {
    let ratio = match request.aspect_ratio.unwrap_or(AspectRatio::Landscape) {
        AspectRatio::Landscape => types::AspectRatio::Landscape,
        AspectRatio::Portrait => types::AspectRatio::Portrait,
        AspectRatio::Auto => types::AspectRatio::Auto,
    };
    ratio.as_str()
}

pub(super) fn generation_type(mode: Mode) -> &'static str {
    let generation_type = match mode {
        Mode::References => types::GenerationType::Reference,
        Mode::Image | Mode::Frames => types::GenerationType::FirstAndLastFrames,
        _ => types::GenerationType::Text,
    };
    generation_type.as_str()
}

/// Refuses a request with a field that no generation supports.
pub(super) fn check_generation(request: &VideoRequest) -> Result<(), Vec<Reason>> {
    let is_of_references = request.mode() == Mode::References;
    if is_of_references && request.seconds.is_some_and(|seconds| seconds != 8) {
        return Err(vec![Reason::new(
            "seconds",
            "kie.ai makes only videos of 8 s from reference images; leave it out",
        )]);
    }
    Ok(())
}

/// Returns the job to extend, or the reasons if the request has a field that no extension supports.
pub(super) fn source_of_extension(request: &VideoRequest) -> Result<&JobRef, Vec<Reason>> {
    let mut reasons = Vec::new();
    let job = source(request).filter(|job| job.provider == NAME);
    if job.is_none() {
        reasons.push(Reason::new(
            "input",
            "kie.ai extends only videos that it has made; give the job of one",
        ));
    }
    let is_larger = request
        .resolution
        .is_some_and(|resolution| resolution != Resolution::P720);
    for (field, asked) in [
        ("resolution", is_larger),
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
    match job {
        Some(job) if reasons.is_empty() => Ok(job),
        _ => Err(reasons),
    }
}

/// Returns warnings about an extension that may not be possible.
pub(super) fn warnings_of_extension(request: &VideoRequest, form: Form) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(source) = source(request) else {
        return warnings;
    };
    if let Some(larger) = source.resolution.filter(|size| *size > Resolution::P720) {
        warnings.push(format!(
            "input: the video was asked for in {larger}, and kie.ai may extend those of 720p only"
        ));
    }
    if source.form.as_deref() != form.name() {
        let message = "input: the video was made in the other form of kie.ai's API, and whether it can be extended in this one is \
                       not known";
        warnings.push(message.to_owned());
    }
    warnings
}

/// Returns the job of the video that a request extends.
pub(super) fn source(request: &VideoRequest) -> Option<&JobRef> {
    match &request.input {
        Input::Extension { source } => source.job.as_ref(),
        _ => None,
    }
}

/// Adds the caller's own fields to the input of a task. It refuses a name of the old form: kie.ai would answer with the
/// error of a failed server, and then the outcome would be unknown.
pub(super) fn merge_extra(
    input: &mut Body,
    request: &VideoRequest,
    covered: &[(&str, &str)],
) -> Result<(), Vec<Reason>> {
    let extra = request.extra.get(NAME);
    input.merge(extra, covered)?;
    let is_of_old = |name: &&String| name.contains(|c: char| c.is_ascii_uppercase());
    let Some(name) = extra.and_then(|extra| extra.keys().find(is_of_old)) else {
        return Ok(());
    };
    let message = format!(
        "{name} is spelt as in kie.ai's old form; write words in small letters with _ between them"
    );
    Err(vec![Reason::new("extra", message)])
}

/// Makes a task of the current form with its input.
pub(super) fn task(model: &str, request: &VideoRequest, input: Body) -> Body {
    let mut task = Body::default();
    task.set("model", Value::from(model));
    task.set(CALLBACK, callback(request));
    task.set("input", input);
    task
}
