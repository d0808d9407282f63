//! The requests of the old form that start a task: a new video, or the extension of one.

use serde_json::{Map, Value, json};

use super::envelope::{Answer, body, fits, success};
use super::price::TIERS;
use super::video::{
    INVALID_MODEL, NO_PROMPT, Names, VIDEO_SECONDS, Video, accept, check_seed, extension,
};
use crate::visit::{Visit, text, word};

pub(crate) fn generate(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let video = Video::read(visit, &request, &Names::OLD)?;
    let echo = echo(&request, &video);
    let task = visit.task(video.format, VIDEO_SECONDS, echo.to_string());
    let id = accept(visit, text(&request, "callBackUrl"), task, video.price)?;
    Ok(success(json!({ "taskId": id })))
}

/// The request as a callback repeats it. Only these fields were seen or are documented.
fn echo(request: &Map<String, Value>, video: &Video<'_>) -> Value {
    let mut echo = json!({
        "aspectRatio": video.ratio,
        "enableFallback": request.get("enableFallback").is_some_and(|flag| flag == true),
        "enableTranslation": request.get("enableTranslation").is_none_or(|flag| flag == true),
        "model": video.tier.name,
        "prompt": video.prompt,
    });
    for (field, name) in [
        ("callBackUrl", "callBackUrl"),
        // These URLs are images of the request and not results.
        ("imageUrls", "imageUrls"),
        ("watermark", "waterMark"),
    ] {
        if let Some(value) = request.get(field) {
            echo[name] = value.clone();
        }
    }
    echo
}

pub(crate) fn extend(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let prompt = text(&request, "prompt").ok_or(NO_PROMPT)?;
    let model = word(&request, "model", &TIERS.map(|tier| tier.extending)).ok_or(INVALID_MODEL)?;
    check_seed(&request)?;
    fits(visit)?;
    let (mut task, _) = extension(visit, text(&request, "taskId").unwrap_or_default())?;
    // No record of an extension has been seen.
    task.echo = json!({ "model": model, "prompt": prompt }).to_string();
    let tier = TIERS.iter().find(|tier| tier.extending == model);
    let price = tier.map_or(0, |tier| tier.extension);
    let id = accept(visit, text(&request, "callBackUrl"), task, price)?;
    Ok(success(json!({ "taskId": id })))
}
