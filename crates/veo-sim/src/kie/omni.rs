//! Videos of Gemini Omni Flash, which kie.ai sells as the successor of Veo 3.1, in the current form only.

use serde_json::{Map, Value};

use super::envelope::{INVALID, Refusal, fits};
use super::video::VIDEO_SECONDS;
use crate::clip::{Format, Resolution};
use crate::task::{Current, Task};
use crate::visit::{Visit, holding, text, word};

pub(crate) const OMNI: &str = "google/gemini-omni-flash-1-1";

/// Prices in credits by the length in seconds: up to 1080p, and in 4K.
const PRICES: [(&str, u32, u32, u32); 4] = [
    ("4", 4, 63, 147),
    ("6", 6, 84, 168),
    ("8", 8, 105, 189),
    ("10", 10, 126, 210),
];
/// The prices of a video of any length that is made from another video: up to 1080p, and in 4K.
const PRICES_WITH_VIDEO: (u32, u32) = (168, 252);

const MOST_LETTERS: usize = 20_000;
const MOST: [(&str, usize); 3] = [("image_urls", 7), ("audio_ids", 3), ("video_list", 1)];

/// Makes the task of a video. kie.ai's words for its refusals are not known, and neither is the time that it takes.
pub(crate) fn omni(visit: &Visit<'_>, input: &Map<String, Value>) -> Result<Task, Refusal> {
    let prompt = text(input, "prompt").ok_or(INVALID)?;
    let duration = text(input, "duration").ok_or(INVALID)?;
    let mut prices = PRICES.iter();
    let price = prices.find(|(word, ..)| *word == duration).ok_or(INVALID)?;
    let (_, seconds, small, large) = *price;
    let ratio = word(input, "aspect_ratio", &["16:9", "9:16"]).ok_or(INVALID)?;
    let resolution = word(input, "resolution", &["720p", "360p", "1080p", "4k"]);
    let resolution = resolution.and_then(Resolution::of).ok_or(INVALID)?;
    let is_too_many = |(name, most): &(&str, usize)| count(input, name) > *most;
    if prompt.chars().count() > MOST_LETTERS || MOST.iter().any(is_too_many) {
        return Err(INVALID);
    }
    fits(visit)?;
    visit.record_differences(&differences(input));

    let format = Format {
        resolution,
        portrait: ratio == "9:16",
        seconds,
        audio: true,
    };
    let (small, large) = match count(input, "video_list") {
        0 => (small, large),
        _ => PRICES_WITH_VIDEO,
    };
    let is_large = resolution == Resolution::K4;
    let mut task = visit.task(format, VIDEO_SECONDS, String::new());
    task.current = Some(Current {
        model: OMNI,
        tier: "",
        credits: if is_large { large } else { small },
        is_upgrade: false,
    });
    Ok(task)
}

/// The fields that kie.ai's page does not allow together. The real answer is not known, so they are accepted.
fn differences(input: &Map<String, Value>) -> Vec<&'static str> {
    let has_first = text(input, "first_frame_url").is_some();
    let has_last = text(input, "last_frame_url").is_some();
    let mut others = ["image_urls", "audio_ids", "character_ids", "video_list"].into_iter();
    let has_others = others.any(|name| count(input, name) > 0);
    holding(&[
        (
            has_last && !has_first,
            "body /input/last_frame_url: is given without first_frame_url",
        ),
        (
            (has_first || has_last) && has_others,
            "body /input: has frames beside images, sounds, characters or a video",
        ),
    ])
}

fn count(input: &Map<String, Value>, list: &str) -> usize {
    let list = input.get(list).and_then(Value::as_array);
    list.map_or(0, Vec::len)
}
