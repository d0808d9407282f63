//! UniAll's replies: a task as it is or in an envelope, and errors of two families.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veo_transport::{Head, RawReply, Reply, Verdict, without_queries};

use crate::types::ErrorReply;
use crate::{Error, task};

/// A refusal in UniAll's words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rejection {
    /// HTTP status and headers. The status is 200 in rare refusals.
    pub head: Head,
    /// The code of the error, a word or a number, if there was one.
    pub code: Option<String>,
    /// The words of the error, if there were some. They can hold JSON of the service behind UniAll.
    pub message: Option<String>,
    /// The whole reply.
    pub body: Value,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniAll answered with HTTP {}", self.head.status)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        write!(f, ": {}", without_queries(self.message.as_deref().unwrap_or("no reason given")))
    }
}

/// Understands a reply.
pub(crate) fn open<T: DeserializeOwned>(raw: RawReply) -> Result<Reply<T>, Error> {
    veo_transport::open(raw, judge)
}

fn judge(head: &Head, json: Value) -> Verdict<Rejection> {
    let Value::Object(json) = json else { return Verdict::Foreign("the body is not a JSON object") };
    if head.is_success()
        && let Some(task) = unwrapped(&json)
    {
        return Verdict::Reply(Value::Object(task));
    }
    if head.is_success() && json.get("code").is_some_and(|code| code == "success") {
        return Verdict::Foreign("the body says success and has no task");
    }
    let known = ["error", "code", "message", "success"]
        .into_iter()
        .any(|field| json.get(field).is_some_and(|value| !value.is_null()));
    let body = Value::Object(json);
    match serde_json::from_value::<ErrorReply>(body.clone()) {
        Ok(reply) if known => {
            let error = reply.error.unwrap_or_default();
            Verdict::Rejected(Rejection {
                head: head.clone(),
                code: error.code.or_else(|| reply.code.as_ref().and_then(task::word)),
                message: error.message.or(reply.message),
                body,
            })
        }
        _ => Verdict::Foreign("the body is neither a task of UniAll nor an error"),
    }
}

/// The task of a reply, out of its envelope if it is in one.
fn unwrapped(json: &Map<String, Value>) -> Option<Map<String, Value>> {
    match json.get("data") {
        Some(Value::Object(data)) if is_task(data) => Some(real_id(data.clone())),
        // An envelope around the bare id, or around nothing and then a refusal.
        Some(Value::String(id)) if !is_task(json) && !id.is_empty() => {
            Some(Map::from_iter([("id".to_owned(), Value::from(id.as_str()))]))
        }
        _ => is_task(json).then(|| real_id(json.clone())),
    }
}

/// A task has an id or a state.
fn is_task(json: &Map<String, Value>) -> bool {
    ["id", "task_id", "status"]
        .into_iter()
        .any(|field| json.get(field).is_some_and(|value| !value.is_null() && value != ""))
}

/// Some gateways put the number of a database row into `id`.
fn real_id(mut task: Map<String, Value>) -> Map<String, Value> {
    if !task.get("id").is_some_and(Value::is_string) && task.get("task_id").is_some_and(Value::is_string) {
        task.remove("id");
    }
    task
}
