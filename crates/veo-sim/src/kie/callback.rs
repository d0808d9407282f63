//! The bodies of callbacks.

use serde_json::{Value, json};

use super::envelope::Refusal;
use super::get_task::record;
use super::shapes::{other_id, reshape};
use super::task::{NO_4K, TO_4K, failure, has_origin, urls};
use crate::clip::Resolution;
use crate::media;
use crate::scenario::{CallbackBody, Callbacks, Fate};
use crate::task::{Subject, Task};

/// The body of a callback about a task that has ended. It is the same for each attempt. In one of the shapes it contains
/// `balance`, the balance of the account.
pub(crate) fn body(
    task: &Task,
    id: &str,
    subject: Subject,
    base: &str,
    how: &Callbacks,
    balance: f64,
) -> Value {
    let mut body = match (subject, how.body) {
        (Subject::Upgrade4k, _) => upgrade_4k(task, id, base, how.snake_case),
        (Subject::Video, _) if task.current.is_none() => video(task, id, base),
        (Subject::Video, CallbackBody::OldForm) => video(task, id, base),
        (Subject::Video, CallbackBody::Record) => as_record(task, id, base),
        (Subject::Video, CallbackBody::Playground) => as_playground(task, id, base, balance),
    };
    if let Some(shape) = how.shape {
        // A callback is a request and has no status, so a change of it is ignored.
        reshape(shape, &mut body, &mut 200);
    }
    body
}

/// The body of the current form, as its page says. No real callback has been seen.
fn as_record(task: &Task, id: &str, base: &str) -> Value {
    let (code, message) = match failure(task) {
        Some(failure) => (501, failure.1),
        None => (200, "success"),
    };
    json!({ "code": code, "msg": message, "data": record(task, id, true, base) })
}

/// The body of the current form, as a sibling model sent it.
fn as_playground(task: &Task, id: &str, base: &str, balance: f64) -> Value {
    let mut body = as_record(task, id, base);
    body["msg"] = match failure(task) {
        Some(_) => json!("Playground task failed."),
        None => json!("Playground task completed successfully."),
    };
    let data = &mut body["data"];
    data["consumeCredits"] = data["creditsConsumed"].take();
    data["remainedCredits"] = json!(balance);
    if let Some(data) = data.as_object_mut() {
        data.remove("creditsConsumed");
    }
    body
}

/// The body of the old form, for a generation or an extension.
fn video(task: &Task, id: &str, base: &str) -> Value {
    if let Some(Refusal(code, message)) = failure(task) {
        let data = json!({ "taskId": id, "fallbackFlag": false });
        return json!({ "code": code, "msg": message, "data": data });
    }
    let mut info = json!({ "resultUrls": urls(task, id, base, ""), "resolution": task.delivered().resolution.word() });
    if has_origin(task) {
        info["originUrls"] = urls(task, id, base, "_origin");
    }
    let is_fallback = task.fate == Fate::Fallback;
    let mut data = json!({ "taskId": id, "info": info, "fallbackFlag": is_fallback });
    let message = if task.film.is_some() {
        // No page says that the callback has the whole film.
        "Veo3.1 video extension successful."
    } else {
        data["promptJson"] = json!(prompt_json(task));
        if is_fallback {
            "Veo3.1 video generated successfully (using fallback model)."
        } else {
            "Veo3.1 video generated successfully."
        }
    };
    json!({ "code": 200, "msg": message, "data": data })
}

/// The request as a callback repeats it. In the current form, if that ever sends this body, it repeats the input.
fn prompt_json(task: &Task) -> String {
    if task.current.is_none() {
        return task.echo.clone();
    }
    let echo: Value = serde_json::from_str(&task.echo).unwrap_or_default();
    echo["input"].to_string()
}

/// The body of the old form, for an upgrade to 4K. The page about callbacks shows one form of it, and the page about 4K
/// another form in snake_case. No real callback has been seen.
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
        json!({ "creditsConsumed": TO_4K.price, "info": info, "taskId": id })
    };
    json!({ "code": 200, "msg": "4K Video generated successfully.", "data": data })
}
