//! The record of a task of the old form.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::envelope::{Answer, Refusal, success};
use super::shapes::other_id;
use super::task::{NO_4K, count_question, failure, find_task, has_origin, urls};
use crate::clip::Resolution;
use crate::media;
use crate::scenario::Fate;
use crate::state::State;
use crate::task::Task;
use crate::visit::Visit;

pub(crate) fn record_info(visit: &Visit<'_>) -> Answer {
    let id = visit.query("taskId").unwrap_or_default();
    let state = &mut *visit.shared.state();
    let record = match count_question(state, visit, &id) {
        Ok((task, has_ended)) => record(task, &id, has_ended, &visit.shared.media_url),
        Err(refusal) => upgrade_record(state, visit, &id).ok_or(refusal)?,
    };
    Ok(success(record))
}

fn record(task: &Task, id: &str, has_ended: bool, base: &str) -> Value {
    let failure = failure(task).filter(|_| has_ended);
    let flag = match failure {
        None => i32::from(has_ended),
        Some(_) if task.fate == Fate::FailedEarly => 2,
        Some(_) => 3,
    };
    let response = if flag == 1 {
        response(task, id, base)
    } else {
        Value::Null
    };
    json!({
        "taskId": id,
        "paramJson": param_json(&task.echo),
        "response": response,
        "successFlag": flag,
        "fallbackFlag": task.fate == Fate::Fallback,
        "completeTime": task.work.done.map(milliseconds),
        "createTime": milliseconds(task.work.started),
        "errorCode": failure.as_ref().map(|failure| failure.0),
        "errorMessage": failure.as_ref().map(|failure| failure.1),
    })
}

/// The request as a record repeats it. Fields that were seen only in callbacks are left out.
fn param_json(echo: &str) -> String {
    let mut echo: Map<String, Value> = serde_json::from_str(echo).unwrap_or_default();
    echo.retain(|name, _| {
        !["callBackUrl", "enableFallback", "enableTranslation"].contains(&&**name)
    });
    Value::Object(echo).to_string()
}

fn response(task: &Task, id: &str, base: &str) -> Value {
    let urls = |which| urls(task, id, base, which);
    let mut response = json!({
        "taskId": id,
        "resolution": task.delivered().resolution.word(),
        "originUrls": null,
        "resultUrls": urls(""),
        "hasAudioList": [true],
        "seeds": [56896],
    });
    if has_origin(task) {
        response["originUrls"] = urls("_origin");
    }
    if task.film.is_some() {
        response["fullResultUrls"] = urls("_full");
    }
    response
}

/// The record of an upgrade to 4K under its own id. Only [`Shape::New4kId`](crate::Shape) gives the upgrade such an id.
fn upgrade_record(state: &mut State, visit: &Visit<'_>, id: &str) -> Option<Value> {
    let source = other_id(id);
    let task = find_task(state, visit, &source).ok()?;
    let fails = task.has_no_upgrade(Resolution::K4);
    let work = task.upgrades[1].as_mut()?;
    let has_ended = work.ask(visit.pace, visit.now);
    let started = work.started;
    let end = work.end(visit.pace, visit.now);
    task.wake();
    let mut response = Value::Null;
    let mut failure: Option<Refusal> = None;
    let flag = match (has_ended, fails) {
        (false, _) => 0,
        (true, false) => {
            let urls = [media::url(&visit.shared.media_url, &source, "_4k")];
            response = json!({ "taskId": id, "resultUrls": urls, "mediaIds": [source], "resolution": "4k" });
            1
        }
        (true, true) => {
            failure = Some(NO_4K);
            3
        }
    };
    // This record has no `fallbackFlag`.
    Some(json!({
        "taskId": id,
        // The real value is not known.
        "paramJson": null,
        "response": response,
        "successFlag": flag,
        "completeTime": has_ended.then(|| milliseconds(end)),
        "createTime": milliseconds(started),
        "errorCode": failure.as_ref().map(|failure| failure.0),
        "errorMessage": failure.as_ref().map(|failure| failure.1),
    }))
}

/// Milliseconds, rounded down to whole seconds as on the wire.
fn milliseconds(time: Duration) -> u64 {
    time.as_secs() * 1000
}
