//! Requests that start a task, in both forms of kie.ai: the fields of a Veo 3.1 video, its extension, and the charge.

use serde_json::{Map, Value};

use super::envelope::{INVALID, NO_CREDITS, Refusal, TOO_MANY, UNKNOWN_TASK, fits};
use super::follow::follow;
use super::price::{TIERS, Tier};
use super::task::finished;
use crate::clip::{Format, Resolution};
use crate::state::unique_id;
use crate::task::{Subject, Task};
use crate::visit::{Visit, duration, holding, text, word};

// These words were seen, or are on kie.ai's pages.
pub(crate) const INVALID_MODEL: Refusal = Refusal(422, "Invalid model");
const INVALID_RATIO: Refusal = Refusal(422, "Ratio error");
// These words are not known in full, and are made like those that are known.
const INVALID_RESOLUTION: Refusal = Refusal(422, "Resolution error");
const INVALID_DURATION: Refusal = Refusal(422, "Duration error");
pub(crate) const NO_PROMPT: Refusal = Refusal(422, "Please enter prompt.");
const UNKNOWN_SOURCE: Refusal = Refusal(404, "The original video does not exist.");
const LARGE_SOURCE: Refusal = Refusal(422, "Videos upgraded to 1080P cannot be extended.");

/// The time of a video in seconds. Two real videos took 67 and 89. The other times are documented in minutes.
pub(crate) const VIDEO_SECONDS: u64 = 90;
const EXTENSION_SECONDS: u64 = 300;

/// The seconds that an extension adds.
const ADDED_SECONDS: u32 = 7;

/// The names that a form has for the fields of a video.
pub(crate) struct Names {
    /// The path of the fields, for sentences about differences from the pages.
    place: &'static str,
    /// The names of the aspect ratio. The first name that is in the request counts.
    ratio: &'static [&'static str],
    images: &'static str,
    mode: &'static str,
}

impl Names {
    pub(crate) const OLD: Names = Names {
        place: "",
        // Both spellings are in use. The first is the newer one.
        ratio: &["aspect_ratio", "aspectRatio"],
        images: "imageUrls",
        mode: "generationType",
    };
    pub(crate) const CURRENT: Names = Names {
        place: "/input",
        ratio: &["aspect_ratio"],
        images: "image_urls",
        mode: "generation_type",
    };
}

/// A video of Veo 3.1 that can be made.
pub(crate) struct Video<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) tier: &'static Tier,
    pub(crate) ratio: &'a str,
    pub(crate) format: Format,
    pub(crate) price: u32,
}

impl Video<'_> {
    /// Reads the fields of a request, and records combinations of fields that kie.ai's pages do not allow.
    pub(crate) fn read<'a>(
        visit: &Visit<'_>,
        fields: &'a Map<String, Value>,
        names: &Names,
    ) -> Result<Video<'a>, Refusal> {
        let prompt = text(fields, "prompt").ok_or(NO_PROMPT)?;
        let tier = word(fields, "model", &TIERS.map(|tier| tier.name)).ok_or(INVALID_MODEL)?;
        let tier = TIERS
            .iter()
            .find(|it| it.name == tier)
            .ok_or(INVALID_MODEL)?;
        let mut ratios = names
            .ratio
            .iter()
            .filter(|name| fields.contains_key(**name));
        let ratio = ratios.next().unwrap_or(&"aspect_ratio");
        let ratio = word(fields, ratio, &["16:9", "9:16", "Auto"]).ok_or(INVALID_RATIO)?;
        let resolution = word(fields, "resolution", &["720p", "1080p", "4k"]);
        let resolution = resolution
            .and_then(Resolution::of)
            .ok_or(INVALID_RESOLUTION)?;
        let seconds = duration(fields).ok_or(INVALID_DURATION)?;
        let differences = differences(fields, names, tier.name, seconds)?;
        fits(visit)?;
        visit.record_differences(&differences);
        Ok(Video {
            prompt,
            tier,
            ratio,
            format: Format {
                resolution,
                portrait: ratio == "9:16",
                seconds,
                audio: true,
            },
            price: tier.video(resolution, images(fields, names)),
        })
    }
}

/// Makes the task that extends a finished video, and returns the tier of that video. The tier is empty in the old form.
pub(crate) fn extension(visit: &Visit<'_>, source: &str) -> Result<(Task, &'static str), Refusal> {
    let Source {
        portrait,
        film,
        tier,
    } = Source::of(visit, source)?;
    let format = Format {
        resolution: Resolution::P720,
        portrait,
        seconds: ADDED_SECONDS,
        audio: true,
    };
    let mut task = visit.task(format, EXTENSION_SECONDS, String::new());
    task.film = Some(film + ADDED_SECONDS);
    Ok((task, tier))
}

/// Charges a task, starts it and prepares its callback. Returns its id.
pub(crate) fn accept(
    visit: &Visit<'_>,
    callback: Option<&str>,
    task: Task,
    price: u32,
) -> Result<String, Refusal> {
    let id = unique_id();
    let state = &mut *visit.shared.state();
    if !state.keeps_to_limit(&visit.account) {
        return Err(TOO_MANY);
    }
    let accepted = state.accept(visit.operation, &id, task, price.into());
    if accepted.is_none() {
        return Err(NO_CREDITS);
    }
    if let Some(url) = callback {
        follow(visit.shared, state, &id, url, Subject::Video);
    }
    Ok(id)
}

/// A video to extend.
struct Source {
    portrait: bool,
    /// The length of its film in seconds.
    film: u32,
    /// The tier. Empty in the old form.
    tier: &'static str,
}

impl Source {
    fn of(visit: &Visit<'_>, id: &str) -> Result<Source, Refusal> {
        let state = &mut *visit.shared.state();
        let task = match finished(state, visit, id) {
            Ok(task) => task,
            Err(refusal) if refusal.1 == UNKNOWN_TASK.1 => return Err(UNKNOWN_SOURCE),
            Err(refusal) => return Err(refusal),
        };
        // The pages of the old form exclude videos with an upgrade, and those of the current form exclude larger videos
        // too.
        let is_large = task.current.is_some() && task.format.resolution > Resolution::P720;
        if is_large || task.upgrade(Resolution::P1080).is_some() {
            return Err(LARGE_SOURCE);
        }
        Ok(Source {
            portrait: task.format.portrait,
            film: task.film.unwrap_or(task.format.seconds),
            tier: task.current.unwrap_or_default().tier,
        })
    }
}

/// Checks the rules of kie.ai's pages about several fields together. A number out of a documented bound is refused. A
/// forbidden combination of fields is accepted and reported, since the real answer is not known.
fn differences(
    fields: &Map<String, Value>,
    names: &Names,
    tier: &str,
    seconds: u32,
) -> Result<Vec<String>, Refusal> {
    const MODES: [&str; 3] = [
        "TEXT_2_VIDEO",
        "FIRST_AND_LAST_FRAMES_2_VIDEO",
        "REFERENCE_2_VIDEO",
    ];
    check_seed(fields)?;
    let images = images(fields, names);
    let mode = if fields.contains_key(names.mode) {
        word(fields, names.mode, &MODES).ok_or(INVALID)?
    } else {
        // The images then decide the mode.
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
    let found = holding(&[
        (
            mode == "TEXT_2_VIDEO" && images > 0,
            (names.images, "are not for TEXT_2_VIDEO"),
        ),
        (
            is_reference && tier == "veo3",
            (
                "model",
                "has to be \"veo3_fast\" or \"veo3_lite\" for REFERENCE_2_VIDEO",
            ),
        ),
        // Only later pages have this rule. The first pages have no duration.
        (
            is_reference && seconds != 8,
            ("duration", "has to be 8 for REFERENCE_2_VIDEO"),
        ),
    ]);
    let place = names.place;
    let sentences = found
        .iter()
        .map(|(field, how)| format!("body {place}/{field}: {how}"));
    Ok(sentences.collect())
}

/// The number of images of a request.
fn images(fields: &Map<String, Value>, names: &Names) -> usize {
    let images = fields.get(names.images).and_then(Value::as_array);
    images.map_or(0, Vec::len)
}

/// Refuses a seed outside 10,000 to 99,999.
pub(crate) fn check_seed(request: &Map<String, Value>) -> Result<(), Refusal> {
    match request.get("seeds").map(Value::as_f64) {
        None => Ok(()),
        Some(Some(seed)) if (10_000.0..=99_999.0).contains(&seed) => Ok(()),
        Some(_) => Err(INVALID),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// These rules apply with and without the check against the specification.
    #[test]
    fn documented_rules_between_fields_are_kept() {
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
            let seen = differences(object, &Names::OLD, model, duration(object).unwrap()).ok();
            let places = seen.map(|ways| ways.iter().map(|way| place(way)).collect::<String>());
            assert_eq!(places.as_deref(), wanted, "{request}");
        }
    }

    fn place(difference: &str) -> &str {
        difference
            .strip_prefix("body ")
            .and_then(|rest| rest.split(':').next())
            .unwrap()
    }
}
