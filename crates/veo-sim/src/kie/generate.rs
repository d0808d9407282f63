//! The requests that start a task: a new video, or the extension of one.

use serde_json::{Map, Value, json};

use super::envelope::{
    Answer, INVALID, NO_CREDITS, Refusal, TOO_MANY, UNKNOWN_TASK, body, fits, success,
};
use super::follow::follow;
use super::task::finished;
use crate::clip::{Format, Resolution};
use crate::state::unique_id;
use crate::task::{Subject, Task};
use crate::visit::{Visit, duration, text, those_that_hold, word};

// The service was seen to say these, or its pages say them.
const INVALID_MODEL: Refusal = Refusal(422, "Invalid model");
const INVALID_RATIO: Refusal = Refusal(422, "Ratio error");
// The words for these are not known in full; they follow those that are.
const INVALID_RESOLUTION: Refusal = Refusal(422, "Resolution error");
const INVALID_DURATION: Refusal = Refusal(422, "Duration error");
const NO_PROMPT: Refusal = Refusal(422, "Please enter prompt.");
const UNKNOWN_SOURCE: Refusal = Refusal(404, "The original video does not exist.");
const UPGRADED_SOURCE: Refusal = Refusal(422, "Videos upgraded to 1080P cannot be extended.");

/// How long things take, in seconds: two videos were seen to take 67 and 89, the rest is documented in minutes.
const VIDEO_SECONDS: u64 = 90;
const EXTENSION_SECONDS: u64 = 300;

/// Prices in credits, of the public price feed in September 2026: for 720p, 1080p and 4K.
const PRICES: [(&str, [f64; 3]); 3] = [
    ("veo3_lite", [30.0, 35.0, 150.0]),
    ("veo3_fast", [60.0, 65.0, 180.0]),
    ("veo3", [250.0, 255.0, 380.0]),
];
/// The one price that is another with images: of `veo3` in 4K.
const PRICE_4K_WITH_IMAGES: f64 = 370.0;
const EXTENSION_PRICES: [(&str, f64); 3] = [("fast", 60.0), ("quality", 250.0), ("lite", 30.0)];
/// How many seconds an extension adds.
const ADDED_SECONDS: u32 = 7;

/// Starts a video.
pub(crate) fn generate(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let prompt = text(&request, "prompt").ok_or(NO_PROMPT)?;
    let models = ["veo3_fast", "veo3", "veo3_lite"];
    let model = word(&request, "model", &models).ok_or(INVALID_MODEL)?;
    // Both spellings are in use; the newer one wins.
    let ratio_key = if request.contains_key("aspect_ratio") {
        "aspect_ratio"
    } else {
        "aspectRatio"
    };
    let ratio = word(&request, ratio_key, &["16:9", "9:16", "Auto"]).ok_or(INVALID_RATIO)?;
    let resolution = word(&request, "resolution", &["720p", "1080p", "4k"]);
    let resolution = resolution
        .and_then(Resolution::of)
        .ok_or(INVALID_RESOLUTION)?;
    let seconds = duration(&request).ok_or(INVALID_DURATION)?;
    let differences = differences(&request, model, seconds)?;
    fits(visit)?;
    visit.differs(&differences);

    let echo = echo(&request, ratio, model, prompt);
    let format = Format {
        resolution,
        portrait: ratio == "9:16",
        seconds,
        audio: true,
    };
    let task = visit.task(format, VIDEO_SECONDS, echo.to_string());
    accept(visit, &request, task, price(&request, model, resolution))
}

/// The request as a callback repeats it. Only these fields have been seen or documented to come back.
fn echo(request: &Map<String, Value>, ratio: &str, model: &str, prompt: &str) -> Value {
    let mut echo = json!({
        "aspectRatio": ratio,
        "enableFallback": request.get("enableFallback").is_some_and(|flag| flag == true),
        "enableTranslation": request.get("enableTranslation").is_none_or(|flag| flag == true),
        "model": model,
        "prompt": prompt,
    });
    for (field, name) in [
        ("callBackUrl", "callBackUrl"),
        // These are no results, although they are URLs.
        ("imageUrls", "imageUrls"),
        ("watermark", "waterMark"),
    ] {
        if let Some(value) = request.get(field) {
            echo[name] = value.clone();
        }
    }
    echo
}

/// Starts the extension of a finished video.
pub(crate) fn extend(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let prompt = text(&request, "prompt").ok_or(NO_PROMPT)?;
    let model = word(&request, "model", &["fast", "quality", "lite"]).ok_or(INVALID_MODEL)?;
    check_seed(&request)?;
    fits(visit)?;
    let source = text(&request, "taskId").unwrap_or_default();
    let (portrait, film) = source_of_extension(visit, source)?;
    let price = EXTENSION_PRICES.iter().find(|(name, _)| *name == model);
    let price = price.map_or(0.0, |(_, price)| *price);
    // No record of an extension has been seen.
    let echo = json!({ "model": model, "prompt": prompt });
    let format = Format {
        resolution: Resolution::P720,
        portrait,
        seconds: ADDED_SECONDS,
        audio: true,
    };
    let mut task = visit.task(format, EXTENSION_SECONDS, echo.to_string());
    task.film = Some(film + ADDED_SECONDS);
    accept(visit, &request, task, price)
}

/// Whether the video to extend is a portrait, and the length of its film in seconds.
fn source_of_extension(visit: &Visit<'_>, id: &str) -> Result<(bool, u32), Refusal> {
    let state = &mut *visit.shared.state();
    let task = match finished(state, visit, id) {
        Ok(task) => task,
        Err(refusal) if refusal.1 == UNKNOWN_TASK.1 => return Err(UNKNOWN_SOURCE),
        Err(refusal) => return Err(refusal),
    };
    if task.upgrade(Resolution::P1080).is_some() {
        return Err(UPGRADED_SOURCE);
    }
    let film = task.film.unwrap_or(task.format.seconds);
    Ok((task.format.portrait, film))
}

/// Charges a task and starts it, and sees to its callback.
fn accept(visit: &Visit<'_>, request: &Map<String, Value>, task: Task, price: f64) -> Answer {
    let id = unique_id();
    let state = &mut *visit.shared.state();
    if !state.keeps_to_limit(&visit.account) {
        return Err(TOO_MANY);
    }
    if state.accept(visit.operation, &id, task, price).is_none() {
        return Err(NO_CREDITS);
    }
    if let Some(url) = text(request, "callBackUrl") {
        follow(visit.shared, state, &id, url, Subject::Video);
    }
    Ok(success(json!({ "taskId": id })))
}

fn price(request: &Map<String, Value>, model: &str, resolution: Resolution) -> f64 {
    if model == "veo3" && resolution == Resolution::K4 && images(request) > 0 {
        return PRICE_4K_WITH_IMAGES;
    }
    let prices = PRICES.iter().find(|(name, _)| *name == model);
    prices.map_or(0.0, |(_, prices)| prices[resolution as usize])
}

/// Checks the rules of kie.ai's pages about several fields together. A number beyond a bound that they name is refused.
/// Where they only say that fields do not go together, nobody has seen the answer: such a request is taken, and the
/// differences are returned.
fn differences(
    request: &Map<String, Value>,
    model: &str,
    seconds: u32,
) -> Result<Vec<&'static str>, Refusal> {
    const MODES: [&str; 3] = [
        "TEXT_2_VIDEO",
        "FIRST_AND_LAST_FRAMES_2_VIDEO",
        "REFERENCE_2_VIDEO",
    ];
    check_seed(request)?;
    let images = images(request);
    let mode = if request.contains_key("generationType") {
        word(request, "generationType", &MODES).ok_or(INVALID)?
    } else {
        // It is then found out from the images.
        MODES[usize::from(images > 0)]
    };
    let allowed = match mode {
        "TEXT_2_VIDEO" => 0..=2,
        "REFERENCE_2_VIDEO" => 1..=3,
        _ => 1..=2,
    };
    if !allowed.contains(&images) {
        return Err(INVALID);
    }
    let is_reference = mode == "REFERENCE_2_VIDEO";
    Ok(those_that_hold(&[
        (
            mode == "TEXT_2_VIDEO" && images > 0,
            "body /imageUrls: are not for TEXT_2_VIDEO",
        ),
        (
            is_reference && model == "veo3",
            "body /model: has to be \"veo3_fast\" or \"veo3_lite\" for REFERENCE_2_VIDEO",
        ),
        // Of later pages; the first ones know no duration.
        (
            is_reference && seconds != 8,
            "body /duration: has to be 8 for REFERENCE_2_VIDEO",
        ),
    ]))
}

/// How many images a request has.
fn images(request: &Map<String, Value>) -> usize {
    let images = request.get("imageUrls").and_then(Value::as_array);
    images.map_or(0, Vec::len)
}

/// Refuses a seed beyond its bounds.
fn check_seed(request: &Map<String, Value>) -> Result<(), Refusal> {
    match request.get("seeds").map(Value::as_f64) {
        None => Ok(()),
        Some(Some(seed)) if (10_000.0..=99_999.0).contains(&seed) => Ok(()),
        Some(_) => Err(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_specification_has_a_price() {
        let contract: Value = serde_json::from_str(include_str!("../contract.json")).unwrap();
        for model in contract["kie"]["$defs"]["Model"]["enum"]
            .as_array()
            .unwrap()
        {
            assert!(
                PRICES.iter().any(|(name, _)| model == name),
                "openapi/kie.yaml has the model {model}: give it a row in PRICES of crates/veo-sim/src/kie/generate.rs"
            );
        }
    }

    /// Refused or named whether or not requests are checked against the specification as well.
    #[test]
    fn what_the_pages_say_of_fields_together_is_kept() {
        // The mode, the number of images, other fields, and the place of the difference if it is not refused.
        for (mode, images, rest, wanted) in [
            ("", 0, json!({}), Some("")),
            ("", 1, json!({}), Some("")),
            ("", 2, json!({}), Some("")),
            ("", 3, json!({}), None),
            ("TEXT_2_VIDEO", 0, json!({}), Some("")),
            ("TEXT_2_VIDEO", 2, json!({}), Some("/imageUrls")),
            ("TEXT_2_VIDEO", 3, json!({}), None),
            ("FIRST_AND_LAST_FRAMES_2_VIDEO", 0, json!({}), None),
            ("FIRST_AND_LAST_FRAMES_2_VIDEO", 1, json!({}), Some("")),
            ("FIRST_AND_LAST_FRAMES_2_VIDEO", 2, json!({}), Some("")),
            ("FIRST_AND_LAST_FRAMES_2_VIDEO", 3, json!({}), None),
            ("REFERENCE_2_VIDEO", 0, json!({}), None),
            ("REFERENCE_2_VIDEO", 1, json!({}), Some("")),
            ("REFERENCE_2_VIDEO", 3, json!({}), Some("")),
            ("REFERENCE_2_VIDEO", 4, json!({}), None),
            (
                "REFERENCE_2_VIDEO",
                1,
                json!({ "model": "veo3_lite" }),
                Some(""),
            ),
            (
                "REFERENCE_2_VIDEO",
                1,
                json!({ "model": "veo3" }),
                Some("/model"),
            ),
            (
                "REFERENCE_2_VIDEO",
                1,
                json!({ "duration": 4 }),
                Some("/duration"),
            ),
            ("AUDIO_2_VIDEO", 0, json!({}), None),
            ("", 0, json!({ "generationType": null }), None),
            ("", 0, json!({ "imageUrls": [] }), Some("")),
            ("REFERENCE_2_VIDEO", 0, json!({ "imageUrls": [] }), None),
            ("", 0, json!({ "seeds": 10_000 }), Some("")),
            ("", 0, json!({ "seeds": 99_999 }), Some("")),
            ("", 0, json!({ "seeds": 9_999 }), None),
            ("", 0, json!({ "seeds": 100_000 }), None),
            ("", 0, json!({ "seeds": -1 }), None),
            ("", 0, json!({ "seeds": "10000" }), None),
            ("", 0, json!({ "seeds": null }), None),
        ] {
            let mut request = rest;
            if !mode.is_empty() {
                request["generationType"] = json!(mode);
            }
            if images > 0 {
                request["imageUrls"] = json!(vec!["https://img.example.net/kite.png"; images]);
            }
            let object = request.as_object().unwrap();
            let model = text(object, "model").unwrap_or("veo3_fast");
            let seen = differences(object, model, duration(object).unwrap()).ok();
            let places = seen.map(|ways| ways.into_iter().map(place).collect::<String>());
            assert_eq!(places.as_deref(), wanted, "{request}");
        }
    }

    fn place(difference: &'static str) -> &'static str {
        difference
            .strip_prefix("body ")
            .and_then(|rest| rest.split(':').next())
            .unwrap()
    }
}
