//! UniAll's replies: a task as it is or in an envelope, and errors of two families.

use std::fmt;
use std::mem;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veo_transport::{Head, RawReply, Reply, Verdict, without_queries, words};

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
    /// The words of the error, if there were some; the first few KiB of them. They can hold JSON of the service behind UniAll.
    pub message: Option<String>,
    /// The whole reply, as it came.
    pub body: Bytes,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniAll answered with HTTP {}", self.head.status)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        write!(
            f,
            ": {}",
            without_queries(self.message.as_deref().unwrap_or("no reason given"))
        )
    }
}

/// Understands a reply.
pub(crate) fn open<T: DeserializeOwned>(raw: RawReply) -> Result<Reply<T>, Error> {
    veo_transport::open(raw, judge)
}

fn judge(raw: &RawReply, json: Value) -> Verdict<Rejection> {
    let Value::Object(mut json) = json else {
        return Verdict::Foreign("the body is not a JSON object");
    };
    if (raw.head.is_success() || names_task(&json))
        && let Some(task) = unwrapped(&mut json)
    {
        return Verdict::Reply(Value::Object(task));
    }
    if raw.head.is_success() && json.get("code").is_some_and(|code| code == "success") {
        return Verdict::Foreign("the body says success and has no task");
    }
    let known = ["error", "code", "message", "success"]
        .into_iter()
        .any(|field| json.get(field).is_some_and(|value| !value.is_null()));
    match serde_json::from_value::<ErrorReply>(Value::Object(json)) {
        Ok(reply) if known => {
            let error = reply.error.unwrap_or_default();
            Verdict::Rejected(Rejection {
                head: raw.head.clone(),
                code: error
                    .code
                    .or_else(|| reply.code.as_ref().and_then(task::word))
                    .map(words),
                message: error.message.or(reply.message).map(words),
                body: raw.body.clone(),
            })
        }
        _ => Verdict::Foreign("the body is neither a task of UniAll nor an error"),
    }
}

/// Whether a reply with the status of an error names a task all the same. An id beside an error is not that of a task.
fn names_task(json: &Map<String, Value>) -> bool {
    let says = |field: &str| {
        json.get(field)
            .is_some_and(|value| !value.is_null() && value != "")
    };
    let code = json.get("code").and_then(task::word).unwrap_or_default();
    let is_error = says("error")
        || !["", "0", "200", "success"].contains(&code.as_str())
        || json.get("success") == Some(&Value::Bool(false))
        || says("message") && !says("status") && !says("data");
    let has_id = |json: &Map<String, Value>| {
        ["id", "task_id"]
            .into_iter()
            .any(|field| json.get(field).and_then(task::word).is_some())
    };
    !is_error
        && (has_id(json)
            || json
                .get("data")
                .and_then(Value::as_object)
                .is_some_and(has_id))
}

/// The task of a reply, taken out of its envelope if it is in one.
fn unwrapped(json: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let is_bare = !is_task(json);
    match json.get_mut("data") {
        Some(Value::Object(data)) if is_task(data) => Some(real_id(mem::take(data))),
        // An envelope around the bare id, or around nothing and then a refusal.
        Some(Value::String(id)) if is_bare && !id.is_empty() => Some(Map::from_iter([(
            "id".to_owned(),
            Value::from(mem::take(id)),
        )])),
        _ if is_bare => None,
        _ => Some(real_id(mem::take(json))),
    }
}

/// A task has an id or a state.
fn is_task(json: &Map<String, Value>) -> bool {
    ["id", "task_id", "status"].into_iter().any(|field| {
        json.get(field)
            .is_some_and(|value| !value.is_null() && value != "")
    })
}

/// Some gateways put the number of a database row into `id`.
fn real_id(mut task: Map<String, Value>) -> Map<String, Value> {
    if !task.get("id").is_some_and(Value::is_string)
        && task.get("task_id").is_some_and(Value::is_string)
    {
        task.remove("id");
    }
    task
}
