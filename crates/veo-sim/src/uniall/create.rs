//! The request that starts a task.

use serde_json::{Map, Value};

use super::errors::{EMPTY_ACCOUNT, SATURATED, gateway_error, task_error};
use super::models::MODELS;
use super::query::job;
use crate::clip::{Format, Resolution};
use crate::reply::Reply;
use crate::scenario::Fate;
use crate::state::unique_id;
use crate::visit::{Visit, duration, holding, text, word};

/// The time of a video in seconds.
const VIDEO_SECONDS: u64 = 90;
/// The seconds that an extension adds, as at Google.
const ADDED_SECONDS: u32 = 7;

/// Starts a task, or answers with a refusal.
pub(crate) fn create(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let request = visit
        .json()
        .ok_or_else(|| bad("the body must be a JSON object"))?;
    // The gateway chooses a channel by the model before it checks the rest.
    let model = text(&request, "model").ok_or_else(|| bad("no model is named"))?;
    let Some((_, resolution, price)) = MODELS.iter().find(|(name, ..)| *name == model) else {
        let words = format!("No available channel for model {model} under group default");
        return Err(gateway_error(503, "model_not_found", &words));
    };
    let mut format = format(&request, *resolution)?;
    let differences = differences(&request, model, *resolution)?;
    if let Some(mismatch) = visit.mismatches.first() {
        return Err(invalid(mismatch));
    }
    visit.record_differences(&differences);
    if request.contains_key("video") {
        format.seconds = ADDED_SECONDS;
    }
    let price = f64::from(price * format.seconds) / 100.0;

    let id = format!("task_{}", unique_id());
    let task = visit.task(format, VIDEO_SECONDS, model.to_owned());
    let state = &mut *visit.shared.state();
    if !state.keeps_to_limit(&visit.account) {
        return Err(task_error(429, "do_request_failed", SATURATED));
    }
    let Some(task) = state.accept(visit.operation, &id, task, price) else {
        return Err(task_error(403, "insufficient_user_quota", EMPTY_ACCOUNT));
    };
    // Only kie.ai has a fallback model, and upgrades.
    if let Fate::Fallback | Fate::No4k = task.fate {
        task.fate = Fate::Made;
    }
    Ok(Reply::json(200, job(task, &id, &id, "queued", 0)))
}

fn bad(why: &str) -> Reply {
    gateway_error(400, "", &format!("Invalid request: {why}"))
}

fn invalid(why: &str) -> Reply {
    task_error(400, "invalid_request", why)
}

/// The requested format of the video.
fn format(request: &Map<String, Value>, resolution: Resolution) -> Result<Format, Reply> {
    text(request, "prompt").ok_or_else(|| invalid("prompt is required"))?;
    let ratio = word(request, "aspect_ratio", &["16:9", "9:16"]);
    let ratio = ratio.ok_or_else(|| invalid("aspect_ratio must be 16:9 or 9:16"))?;
    let seconds = duration(request);
    let seconds = seconds.ok_or_else(|| invalid("duration must be the integer 4, 6 or 8"))?;
    let extra = request.get("extra_body");
    let audio = extra.and_then(|extra| extra["generate_audio"].as_bool());
    Ok(Format {
        resolution,
        portrait: ratio == "9:16",
        seconds,
        audio: audio.unwrap_or(true),
    })
}

/// Checks the rules of UniAll's pages about several fields together. Images that are no list of 2 or 3 are refused. For
/// fields that must not be combined the real answer is not known: they are accepted, and the differences are returned.
fn differences(
    request: &Map<String, Value>,
    model: &str,
    resolution: Resolution,
) -> Result<Vec<&'static str>, Reply> {
    let has = |name: &str| request.contains_key(name);
    if let Some(images) = request.get("images") {
        let count = images.as_array().map_or(0, Vec::len);
        if !(2..=3).contains(&count) {
            return Err(invalid("images must be 2 or 3 URLs"));
        }
    }
    let inputs = ["image", "images", "video"];
    let inputs = inputs.into_iter().filter(|input| has(input)).count();
    let size = text(request, "size");
    Ok(holding(&[
        (
            has("images") && model.contains("-fast-"),
            "body /images: are not for the fast models",
        ),
        (
            has("last_image") && !has("image"),
            "body /last_image: is given without image",
        ),
        (
            inputs > 1,
            "body: has more than one of image, images and video",
        ),
        (
            size.is_some_and(|size| size != resolution.word()),
            "body /size: is not that of the model",
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// These rules apply with and without the check against the specification.
    #[test]
    fn documented_rules_between_fields_are_kept() {
        let a = "https://img.example.net/kite.png";
        for (request, wanted) in [
            (json!({}), Some(vec![])),
            (json!({ "images": [a, a] }), Some(vec![])),
            (json!({ "images": [a, a, a] }), Some(vec![])),
            (json!({ "images": [a] }), None),
            (json!({ "images": [a, a, a, a] }), None),
            (json!({ "images": a }), None),
            (
                json!({ "images": [a, a], "model": "veo3.1-fast-video-720p" }),
                Some(vec!["body /images"]),
            ),
            (json!({ "image": a, "last_image": a }), Some(vec![])),
            (json!({ "last_image": a }), Some(vec!["body /last_image"])),
            (json!({ "image": a, "images": [a, a] }), Some(vec!["body"])),
            (json!({ "image": a, "video": a }), Some(vec!["body"])),
            (json!({ "size": "720p" }), Some(vec![])),
            (json!({ "size": "1080p" }), Some(vec!["body /size"])),
        ] {
            let object = request.as_object().unwrap();
            let model = text(object, "model").unwrap_or("veo3.1-video-720p");
            let seen = differences(object, model, Resolution::P720).ok();
            let seen = seen.map(|ways| {
                ways.iter()
                    .filter_map(|way| way.split(':').next())
                    .collect::<Vec<_>>()
            });
            assert_eq!(seen, wanted, "{request}");
        }
    }
}
