//! The requests for Gemini Omni in kie.ai's current form. Google names Gemini Omni as the successor of Veo 3.1.

use kie_api::types;
use serde_json::Value;

use super::form::CURRENT;
use super::words;
use crate::providers::body::Body;
use crate::{Image, Input, Model, Offer, Operation, Reason, Resolution, VideoRequest};

/// The fields of kie.ai's input that `VideoRequest` covers, each with its name in `VideoRequest`.
const COVERED: &[(&str, &str)] = &[
    ("prompt", "prompt"),
    ("first_frame_url", "input"),
    ("last_frame_url", "input"),
    ("image_urls", "input"),
    ("aspect_ratio", "aspect_ratio"),
    ("resolution", "resolution"),
    ("duration", "seconds"),
    ("seed", "seed"),
    (words::CALLBACK, "callback_url"),
];

/// Makes the offer of a model for a request.
pub(super) fn offer(model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
    let body = body(model, request)?;
    let mut offer = Offer::new(model, request, Operation::Generate, body);
    offer.form = Some(CURRENT.to_owned());
    let name = model.name;
    offer.warnings = vec![
        format!(
            "model: {name} is not a Veo model, and kie.ai's page leaves open whether it has sound, what a failed video costs, \
             and how long it is sold"
        ),
        format!(
            "seconds: the price of {name} depends on the length, and 4k has a price of its own"
        ),
    ];
    if request.seed.is_some() {
        let warning = format!("seed: kie.ai does not say which seeds {name} takes");
        offer.warnings.push(warning);
    }
    Ok(offer)
}

fn body(model: &Model, request: &VideoRequest) -> Result<Value, Vec<Reason>> {
    let urls = || request.images().into_iter().map(Image::in_body);
    let mut input = Body::default();
    input.set("prompt", Value::from(request.prompt.as_str()));
    if let Input::References { .. } = &request.input {
        input.set("image_urls", urls().collect::<Value>());
    } else {
        for (field, url) in ["first_frame_url", "last_frame_url"]
            .into_iter()
            .zip(urls())
        {
            input.set(field, Value::from(url));
        }
    }
    input.set("aspect_ratio", Value::from(words::ratio(request)));
    let resolution = request.resolution.unwrap_or(Resolution::P720);
    input.set("resolution", Value::from(resolution.to_string()));
    // In kie.ai's page, the type of the duration is a string.
    let seconds = request.seconds.unwrap_or(8);
    input.set("duration", Value::from(seconds.to_string()));
    input.set("seed", request.seed.map(Value::from));
    words::merge_extra(&mut input, request, COVERED)?;
    words::task(model.name, request, input).check(types::OmniTask::check)
}
