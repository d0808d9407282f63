//! Opens UniAll's replies: a task with or without an envelope, and errors in two formats.

use std::fmt;
use std::mem;

use bytes::Bytes;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use veo_transport::{
    Head, RawReply, Reply, Verdict, filter_reasons, find_links, json, looks_like_task_id,
    shortened, task_id, without_queries,
};

use crate::types::{ErrorReply, VideoTask};
use crate::{Error, task};

/// A refusal in UniAll's words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status and the headers. Rare refusals have the status 200.
    pub head: Head,
    /// The code of the error, a word or a number, if there is one.
    pub code: Option<String>,
    /// The words of the error, if there are some; the first few KiB. They can be JSON of the service behind UniAll.
    pub message: Option<String>,
    /// The whole reply, as it arrived.
    pub body: Bytes,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniAll answered with HTTP {}", self.head.status)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        let sentence = sentence(self.message.as_deref().unwrap_or("no reason given"));
        write!(f, ": {}", without_queries(&sentence))
    }
}

/// Finds the sentence in the words of an error. The words can be the JSON error of a service behind a gateway.
pub fn sentence(words: &str) -> String {
    /// The most levels of JSON, one inside another, that are opened.
    const DEPTH: usize = 4;
    let mut words = words.trim().to_owned();
    for _ in 0..DEPTH {
        let Ok(Value::Object(inside)) = json(words.as_bytes()) else {
            break;
        };
        let error = inside.get("error");
        let message = error.and_then(|error| error.get("message"));
        let Some(text) = [message, error, inside.get("message")]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
        else {
            break;
        };
        words = text.trim().to_owned();
    }
    words
}

pub(crate) fn open<T: DeserializeOwned>(raw: RawReply) -> Result<Reply<T>, Error> {
    veo_transport::open(raw, judge)
}

fn judge(raw: &RawReply, mut json: Value) -> Verdict<Rejection> {
    let Some(json) = object(&mut json) else {
        return Verdict::NotThisProvider("the body is not a JSON object");
    };
    let mut json = mem::take(json);
    // A named task is paid for, even beside the HTTP status of an error, so such a reply is not a refusal.
    if (raw.head.is_success() || names_task(&json))
        && let Some(task) = unwrapped(&mut json)
    {
        return Verdict::Reply(Value::Object(task));
    }
    // Success without a task is not a refusal: the request may have been charged, so its outcome is unknown.
    if raw.head.is_success() && json.get("code").is_some_and(|code| code == "success") {
        return Verdict::NotThisProvider("the body says success and has no task");
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
                    .map(shortened),
                message: error.message.or(reply.message).map(shortened),
                body: raw.body.clone(),
            })
        }
        _ => Verdict::NotThisProvider("the body is neither a task of UniAll nor an error"),
    }
}

/// Returns whether a reply with the status of an error names a task. An `id` beside an error can be the request's.
fn names_task(json: &Map<String, Value>) -> bool {
    let code = json.get("code").and_then(task::word).unwrap_or_default();
    let is_error = says(json, "error")
        || !["", "0", "200", "success"].contains(&code.as_str())
        || json.get("success") == Some(&Value::Bool(false))
        || says(json, "message") && !says(json, "status") && !says(json, "data");
    !is_error && task_in(&mut json.clone(), 0).is_some_and(|task| has_id(&task))
}

fn has_id(task: &Map<String, Value>) -> bool {
    ["id", "task_id"]
        .into_iter()
        .filter_map(|member| task.get(member).and_then(task::word))
        .any(|id| task_id(&id).is_some())
}

/// Takes the task out of its envelopes, and moves its members from unusual places to the places that the types expect.
fn unwrapped(json: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let mut task = real_id(task_in(json, 0)?);
    normalize_state(&mut task);
    normalize_places(&mut task);
    Some(task)
}

/// Finds the task in an object, which is the task itself or an envelope. `depth` is the number of envelopes around it.
fn task_in(json: &mut Map<String, Value>, depth: usize) -> Option<Map<String, Value>> {
    /// The most envelopes, one in another, that are opened.
    const DEEPEST: usize = 4;
    let is_bare = !is_task(json);
    // If a task is in an envelope, its own `data` comes from the service behind UniAll, and has ids of that service.
    if depth == DEEPEST || depth > 0 && has_id(json) {
        return (!is_bare).then(|| mem::take(json));
    }
    let wrappers: &[&str] = if is_bare {
        &["data", "task", "output", "result", "response"]
    } else {
        &["data"]
    };
    // If a task has an id and a state, its `data` can be its videos.
    let is_whole = has_id(json) && has_state(json);
    for wrapper in wrappers {
        let inside = json.get_mut(*wrapper).and_then(object);
        if let Some(inside) = inside
            && (!is_whole || has_state(inside))
            && let Some(task) = task_in(inside, depth + 1)
        {
            return Some(task);
        }
    }
    if !is_bare {
        return Some(mem::take(json));
    }
    // The `data` can be just the id. If it is no id, the reply may be a refusal.
    let id = json
        .get("data")?
        .as_str()
        .filter(|id| looks_like_task_id(id))?;
    Some(Map::from_iter([("id".to_owned(), Value::from(id))]))
}

/// Returns the object in a value: the value itself, JSON in a text, or the only item of a list.
fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if let Value::String(text) = value
        && let Ok(inside) = json(text.as_bytes())
        && !inside.is_number()
    {
        *value = inside;
    }
    match value {
        Value::Object(object) => Some(object),
        Value::Array(items) if items.len() == 1 => items.first_mut()?.as_object_mut(),
        _ => None,
    }
}

/// Moves the word for the state to where the types expect it.
fn normalize_state(task: &mut Map<String, Value>) {
    if let Some(word) = state_word(task) {
        task.insert("status".to_owned(), word.into());
    }
}

fn has_state(task: &Map<String, Value>) -> bool {
    state_word(task).is_some()
}

/// The word for the state, under any of its names.
fn state_word(task: &Map<String, Value>) -> Option<String> {
    let mut words = STATES
        .iter()
        .filter_map(|member| task.get(*member)?.as_str());
    words
        .find(|word| !word.trim().is_empty())
        .map(str::to_owned)
}

/// Moves the reason of a failure and the links of the videos to where the types expect them.
fn normalize_places(task: &mut Map<String, Value>) {
    let reason = task.remove("failure_reason");
    if !says(task, "fail_reason")
        && let Some(reason) = reason
    {
        task.insert("fail_reason".to_owned(), reason);
    }
    let known = VideoTask::deserialize(&*task).unwrap_or_default();
    let known = known.urls();
    let mut found = find_links(task);
    found.retain(|link| !known.contains(&link.as_str()));
    if !found.is_empty() {
        // The links from the usual places come first.
        let known = known.into_iter().map(str::to_owned);
        let outputs: Vec<String> = known.chain(found).collect();
        task.insert("result".to_owned(), json!({ "outputs": outputs }));
    } else if known.is_empty()
        && !says(task, "error")
        && let Some(reasons) = filter_reasons(task)
    {
        let error = json!({ "code": "raiMediaFiltered", "message": reasons });
        task.insert("error".to_owned(), error);
    }
}

fn says(json: &Map<String, Value>, member: &str) -> bool {
    json.get(member)
        .is_some_and(|value| !value.is_null() && value != "")
}

/// The names of the member that has the state.
const STATES: [&str; 3] = ["status", "state", "task_status"];

/// Returns whether an object is a task: it has an id or a state.
fn is_task(json: &Map<String, Value>) -> bool {
    ["id", "task_id"]
        .into_iter()
        .chain(STATES)
        .any(|member| says(json, member))
}

/// Removes an `id` that is a number beside a `task_id`. Some gateways put the number of a database row into it.
fn real_id(mut task: Map<String, Value>) -> Map<String, Value> {
    if !task.get("id").is_some_and(Value::is_string)
        && task.get("task_id").is_some_and(Value::is_string)
    {
        task.remove("id");
    }
    task
}
