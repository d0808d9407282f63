//! The bodies of callbacks.

use serde_json::{Value, json};

use super::envelope::Refusal;
use super::forms::{other_id, reshape};
use super::price::UPGRADE_TO_4K;
use super::task::{NO_4K, failure, has_origin};
use crate::clip::Resolution;
use crate::media;
use crate::scenario::{Callbacks, Fate};
use crate::task::{Subject, Task};

/// The body of a callback about a task that has ended. It is the same each time.
pub(crate) fn body(task: &Task, id: &str, subject: Subject, base: &str, how: &Callbacks) -> Value {
    let mut body = match subject {
        Subject::Video => video(task, id, base),
        Subject::Upgrade4k => upgrade_4k(task, id, base, how.snake_case),
    };
    if let Some(shape) = how.shape {
        // A callback is a request, and so has no status.
        reshape(shape, &mut body, &mut 200);
    }
    body
}

/// After a generation or an extension.
fn video(task: &Task, id: &str, base: &str) -> Value {
    if let Some(Refusal(code, message)) = failure(task.fate) {
        let data = json!({ "taskId": id, "fallbackFlag": false });
        return json!({ "code": code, "msg": message, "data": data });
    }
    let urls = match task.fate {
        Fate::Filtered => json!([]),
        _ => json!([media::url(base, id, "")]),
    };
    let mut info = json!({ "resultUrls": urls, "resolution": task.delivered().resolution.word() });
    if has_origin(task) {
        info["originUrls"] = json!([media::url(base, id, "_origin")]);
    }
    let is_fallback = task.fate == Fate::Fallback;
    let mut data = json!({ "taskId": id, "info": info, "fallbackFlag": is_fallback });
    let message = if task.film.is_some() {
        // The whole film is not in it: no page says that it is.
        "Veo3.1 video extension successful."
    } else {
        data["promptJson"] = json!(task.echo);
        if is_fallback {
            "Veo3.1 video generated successfully (using fallback model)."
        } else {
            "Veo3.1 video generated successfully."
        }
    };
    json!({ "code": 200, "msg": message, "data": data })
}

/// After an upgrade to 4K. The page about callbacks has one form, and that about 4K the other, in snake_case. No real one
/// has been seen.
fn upgrade_4k(task: &Task, id: &str, base: &str, snake_case: bool) -> Value {
    if task.has_no_upgrade(Resolution::K4) {
        let name = if snake_case { "task_id" } else { "taskId" };
        return json!({ "code": NO_4K.0, "msg": NO_4K.1, "data": { name: id } });
    }
    let urls = [media::url(base, id, "_4k")];
    let data = if snake_case {
        json!({ "task_id": id, "result_urls": urls, "media_ids": [other_id(id)], "image_urls": [] })
    } else {
        let info = json!({ "imageUrls": [], "resultUrls": urls });
        json!({ "creditsConsumed": UPGRADE_TO_4K, "info": info, "taskId": id })
    };
    json!({ "code": 200, "msg": "4K Video generated successfully.", "data": data })
}
