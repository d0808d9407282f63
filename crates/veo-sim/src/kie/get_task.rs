//! The record of a task of the current form.

use std::time::Duration;

use serde_json::{Value, json};

use super::envelope::{Answer, Refusal, success};
use super::task::{VEO, count_question, failure, urls};
use crate::clip::Resolution;
use crate::task::Task;
use crate::visit::Visit;

const NO_ID: Refusal = Refusal(400, "taskId parameter is required");
const NO_RECORD: Refusal = Refusal(422, "recordInfo is null");

pub(crate) fn get_task(visit: &Visit<'_>) -> Answer {
    let id = visit
        .query("taskId")
        .filter(|id| !id.is_empty())
        .ok_or(NO_ID)?;
    let state = &mut *visit.shared.state();
    let (task, has_ended) = count_question(state, visit, &id).map_err(|_| NO_RECORD)?;
    let record = record(task, &id, has_ended, &visit.shared.media_url);
    Ok(success(record))
}

/// The record of a task, which a callback contains too.
pub(crate) fn record(task: &Task, id: &str, has_ended: bool, base: &str) -> Value {
    let current = task.current.unwrap_or_default();
    let failure = failure(task).filter(|_| has_ended);
    let state = match (has_ended, &failure) {
        // Most tasks that were seen had this state until their end.
        (false, _) => "waiting",
        (true, None) => "success",
        (true, Some(_)) => "fail",
    };
    let result = match state {
        "success" => result(task, id, base).to_string(),
        _ => String::new(),
    };
    let started = task.work.started;
    let done = task.work.done.filter(|_| has_ended);
    let mut record = json!({
        "taskId": id,
        "model": current.model,
        "state": state,
        "param": param(&task.echo),
        "resultJson": result,
        "failCode": failure.as_ref().map(|failure| failure.0.to_string()),
        "failMsg": failure.as_ref().map(|failure| failure.1),
        // In seconds, as seen. The pages say milliseconds.
        "costTime": done.map(|done| done.saturating_sub(started).as_secs()),
        "completeTime": done.map(milliseconds),
        "createTime": milliseconds(started),
    });
    if let Some(done) = done {
        let is_free = task.is_refunded();
        record["updateTime"] = json!(milliseconds(done));
        record["creditsConsumed"] = json!(if is_free { 0 } else { current.credits });
    }
    record
}

/// The request as the record repeats it: a JSON text, whose input is a JSON text too.
fn param(echo: &str) -> String {
    let mut param: Value = serde_json::from_str(echo).unwrap_or_default();
    param["input"] = json!(param["input"].to_string());
    param.to_string()
}

/// The result of a success. The real results of an extension and of an upgrade are not known.
fn result(task: &Task, id: &str, base: &str) -> Value {
    let urls = |which| urls(task, id, base, which);
    let is_video = task.current.is_some_and(|current| current.model == VEO);
    if is_video && task.format.resolution > Resolution::P720 {
        json!({ "data": { "result_urls": urls(""), "origin_urls": urls("_origin") } })
    } else {
        json!({ "resultUrls": urls("") })
    }
}

/// Milliseconds. Unlike in the old form, they are not rounded.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
