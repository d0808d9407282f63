//! The video endpoints of UniAll. Refusals come in two families: an `error` object from routing and keys, and a flat
//! `code`, `message`, `data` from the tasks themselves.

use serde_json::{Map, Value, json};

use crate::Fate;
use crate::clip::{Format, Resolution};
use crate::fields::{self, duration, text, word};
use crate::media;
use crate::reply::Reply;
use crate::server::Visit;
use crate::state::{Progress, Task, unique_id};

/// The models, and cents for a second of video. UniAll publishes no price; these are Google's.
const MODELS: [(&str, Resolution, u32); 6] = [
    ("veo3.1-video-720p", Resolution::P720, 40),
    ("veo3.1-video-1080p", Resolution::P1080, 40),
    ("veo3.1-video-4k", Resolution::K4, 60),
    ("veo3.1-fast-video-720p", Resolution::P720, 10),
    ("veo3.1-fast-video-1080p", Resolution::P1080, 12),
    ("veo3.1-fast-video-4k", Resolution::K4, 30),
];

/// How long a video takes, in seconds.
const VIDEO_SECONDS: u64 = 90;
/// How many seconds an extension adds, as at Google.
const ADDED_SECONDS: u32 = 7;

/// A refusal of either family: HTTP status, code and message.
enum Refusal {
    Gateway(u16, &'static str, String),
    Task(u16, &'static str, String),
}

type Answer = Result<Reply, Refusal>;

/// An error, with the code, the words and the family that go with its status if none are given.
pub(crate) fn error(status: u16, code: Option<&str>, words: Option<&str>) -> Reply {
    let (is_gateway, usual_code, usual_words) = match status {
        401 => (true, "", "Invalid token"),
        402 => (false, "insufficient_user_quota", "The balance is too low"),
        403 => (true, "access_denied", "This token may not use the model"),
        404 => (true, "", "Invalid URL"),
        408 => (
            false,
            "do_request_failed",
            "The upstream service did not answer in time",
        ),
        413 => (
            false,
            "read_request_body_failed",
            "The request body is too large",
        ),
        429 => (false, "fail_to_fetch_task", SATURATED),
        503 => (
            true,
            "model_not_found",
            "No available channel for the model",
        ),
        500.. => (
            false,
            "do_request_failed",
            "The request to the upstream service failed",
        ),
        _ => (false, "invalid_request", "Invalid request"),
    };
    let words = words.unwrap_or(usual_words);
    match code {
        None if is_gateway => gateway_error(status, usual_code, words),
        code => task_error(status, code.unwrap_or(usual_code), words),
    }
}

const SATURATED: &str = "The upstream of this group is saturated, please try again later";

fn gateway_error(status: u16, code: &str, words: &str) -> Reply {
    let kind = if status == 404 {
        "invalid_request_error"
    } else {
        "new_api_error"
    };
    // The gateway adds an id to whatever it says.
    let message = format!("{words} (request id: {})", unique_id());
    Reply::json(
        status,
        json!({ "error": { "message": message, "type": kind, "param": "", "code": code } }),
    )
}

fn task_error(status: u16, code: &str, words: &str) -> Reply {
    Reply::json(
        status,
        json!({ "code": code, "message": words, "data": null }),
    )
}

/// What UniAll answers.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation.id {
        "create_video" => create(visit),
        "query_video" => query(visit),
        _ => Ok(error(
            501,
            Some("not_implemented"),
            Some(&visit.is_not_played()),
        )),
    };
    answer.unwrap_or_else(|refusal| match refusal {
        Refusal::Gateway(status, code, words) => gateway_error(status, code, &words),
        Refusal::Task(status, code, words) => task_error(status, code, &words),
    })
}

fn create(visit: &Visit<'_>) -> Answer {
    let bad = |why: &str| Refusal::Gateway(400, "", format!("Invalid request: {why}"));
    let request =
        fields::json_object(&visit.body).ok_or_else(|| bad("the body must be a JSON object"))?;
    // The gateway chooses a channel by the model before anything looks at the rest.
    let model = text(&request, "model").ok_or_else(|| bad("no model is named"))?;
    let Some((_, resolution, price)) = MODELS.iter().find(|(name, ..)| *name == model) else {
        return Err(Refusal::Gateway(
            503,
            "model_not_found",
            format!("No available channel for model {model}"),
        ));
    };
    let invalid = |why: &str| refusal(400, "invalid_request", why);
    text(&request, "prompt").ok_or_else(|| invalid("prompt is required"))?;
    let ratio = word(&request, "aspect_ratio", &["16:9", "9:16"]);
    let ratio = ratio.ok_or_else(|| invalid("aspect_ratio must be 16:9 or 9:16"))?;
    let seconds =
        duration(&request).ok_or_else(|| invalid("duration must be the integer 4, 6 or 8"))?;
    let differences = rules(&request, model, resolution.word())
        .ok_or_else(|| invalid("images must be 2 or 3 URLs"))?;
    if let Some(mismatch) = visit.mismatches.first() {
        return Err(invalid(mismatch));
    }
    differences.into_iter().for_each(|how| visit.differs(how));
    let seconds = if request.contains_key("video") {
        ADDED_SECONDS
    } else {
        seconds
    };
    let audio = request
        .get("extra_body")
        .and_then(|extra| extra["generate_audio"].as_bool());
    let format = Format {
        resolution: *resolution,
        portrait: ratio == "9:16",
        seconds,
        audio: audio.unwrap_or(true),
    };

    let id = format!("task_{}", unique_id());
    let state = &mut *visit.shared.state();
    if !state.keeps_to_limit(&visit.account) {
        return Err(refusal(429, "fail_to_fetch_task", SATURATED));
    }
    let task = Task::new(state, visit, format, VIDEO_SECONDS, model.to_owned());
    let task = Task {
        upstream: Some(unique_id()),
        ..task
    };
    let reply = job(&task, &id, &id, "queued", 0);
    if !state.accept(
        visit.operation.id,
        id,
        task,
        f64::from(price * seconds) / 100.0,
    ) {
        return Err(refusal(
            403,
            "insufficient_user_quota",
            "The balance of the account is too low",
        ));
    }
    Ok(Reply::json(200, reply))
}

/// What UniAll's pages say of fields together. What is no list of images is refused, and then there is nothing. What
/// does not go together is taken, since nobody has seen the answer; this is how it differs.
fn rules(request: &Map<String, Value>, model: &str, resolution: &str) -> Option<Vec<&'static str>> {
    let has = |name: &str| request.contains_key(name);
    let images = request
        .get("images")
        .map(|images| images.as_array().map_or(0, Vec::len));
    if images.is_some_and(|images| !(2..=3).contains(&images)) {
        return None;
    }
    let inputs = ["image", "images", "video"]
        .into_iter()
        .filter(|input| has(input))
        .count();
    let differences = [
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
            text(request, "size").is_some_and(|size| size != resolution),
            "body /size: is not that of the model",
        ),
    ];
    Some(
        differences
            .into_iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, how)| how)
            .collect(),
    )
}

fn query(visit: &Visit<'_>) -> Answer {
    let id = visit.path.rsplit('/').next().unwrap_or_default();
    let state = &mut *visit.shared.state();
    let progress = state.ask(&visit.account, id);
    let unknown = || refusal(400, "task_not_exist", "task_not_exist");
    let (task, progress) = state.tasks.get(id).zip(progress).ok_or_else(unknown)?;
    let failure = task.fate.failure();
    let (status, percent) = match progress {
        Progress::Running(0.0) => ("queued", 0),
        Progress::Running(part) => ("in_progress", (part * 100.0) as u64),
        Progress::Ended if failure.is_some() => ("failed", 100),
        Progress::Ended => ("completed", 100),
    };
    let mut job = job(
        task,
        id,
        task.upstream.as_deref().unwrap_or(id),
        status,
        percent,
    );
    if let Progress::Ended = progress {
        job["error"] = failure.map_or(
            Value::Null,
            |(code, words)| json!({ "message": words, "code": code.to_string() }),
        );
        job["raw_status"] = json!(if failure.is_some() {
            "FAILED"
        } else {
            "COMPLETED"
        });
        // This one stands for the members that nobody has documented.
        job["trace_id"] = json!(task.upstream);
        if failure.is_none() && task.fate != Fate::Filtered {
            let url = media::url(&visit.shared.url, id, "");
            job["result"] = json!({ "outputs": [url], "video_url": url });
            job["video_url"] = json!(url);
        }
    }
    Ok(Reply::stored(job))
}

fn job(task: &Task, id: &str, task_id: &str, status: &str, progress: u64) -> Value {
    json!({
        "id": id,
        "task_id": task_id,
        "object": "video.generation.job",
        "model": task.request,
        "status": status,
        "progress": progress,
        "created_at": task.work.started.as_secs(),
    })
}

fn refusal(status: u16, code: &'static str, message: &str) -> Refusal {
    Refusal::Task(status, code, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refused or named whether or not requests are checked against the specification as well.
    #[test]
    fn what_the_pages_say_of_fields_together_is_kept() {
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
            let seen = rules(object, model, "720p");
            let seen = seen.map(|ways| {
                ways.iter()
                    .filter_map(|way| way.split(':').next())
                    .collect::<Vec<_>>()
            });
            assert_eq!(seen, wanted, "{request}");
        }
    }
}
