//! Reads a task, in each of its shapes.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use veo_transport::{
    Named, Reply, Unreadable, is_link, member_texts, members, possible_task, task_id,
};

use crate::Error;
use crate::types::{TaskErrorObject, VideoStatus, VideoTask};

/// Finds the task that a reply to `create_video` names. A reply that names a task is an acceptance, even if all else in
/// it is wrong. So the search includes refusals, error pages, and the part of a broken reply that arrived. If a task is
/// overlooked, its request may be paid for again.
///
/// An `id` beside an error can be anything, such as the id of the request. A `task_id` is the id of a task everywhere.
pub fn started_task(result: &Result<Reply<VideoTask>, Error>) -> Option<Named> {
    let (body, is_refusal) = match result {
        Ok(task) => match task.poll_id() {
            Some(id) => return Some(Named::Task(whole(id, task.body()))),
            None => (task.body(), false),
        },
        Err(Error::NoReply { partial, .. }) => (partial, false),
        Err(Error::Unreadable(reply)) => (&reply.body, is_error(reply)),
        Err(Error::Rejected(rejection)) => (&rejection.body, true),
        Err(_) => return None,
    };
    // In a refusal only a `task_id` counts, since an `id` can be the id of the request.
    let id = || (!is_refusal).then(|| id_in(body, "id")).flatten();
    if let Some(id) = id_in(body, "task_id").or_else(id) {
        return Some(Named::Task(id));
    }
    possible_task(body, is_refusal)
}

/// Returns whether a reply that is no task is an error.
fn is_error(reply: &Unreadable) -> bool {
    let is_there = |member| member_texts(&reply.body, member).any(|text| !text.is_empty());
    let says_error = ["error", "code", "message"].into_iter().any(is_there);
    says_error && !reply.head.is_success()
}

fn id_in(body: &[u8], member: &str) -> Option<String> {
    member_texts(body, member).find_map(|text| task_id(&text).map(str::to_owned))
}

/// Restores an id with all its digits. A long number loses digits when it is decoded; the body has all of them. A wrong
/// id would lose a paid video.
fn whole(id: &str, body: &[u8]) -> String {
    let named = || {
        ["id", "task_id"]
            .into_iter()
            .flat_map(|member| members(body, member))
    };
    let is_number = |text: &String| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse() == id.parse::<f64>()
    };
    if named().any(|named| named.trim() == id) {
        id.to_owned()
    } else {
        named().find(is_number).unwrap_or_else(|| id.to_owned())
    }
}

/// The state of a task, from any of the words for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Accepted and not started. An unknown word counts as pending, since a paid task must not be given up for a word.
    Pending,
    /// Being made.
    Running,
    /// Finished, with at least one video.
    Succeeded,
    /// Finished, without the URL of a video.
    Empty,
    /// Failed.
    Failed,
}

impl VideoTask {
    /// The id with which a query asks for the task. In replies to queries, `task_id` is the id of another service.
    pub fn poll_id(&self) -> Option<&str> {
        [&self.id, &self.task_id]
            .into_iter()
            .flatten()
            .find_map(|id| task_id(id))
    }

    /// The state of the task. If the word is unknown, a URL means success if the progress is 100 % or if the reply has
    /// a time of the end, and an error means failure. Otherwise the task is pending.
    pub fn state(&self) -> State {
        let has_video = !self.urls().is_empty();
        let word = plain(self.word());
        let is_ready = self.progress == Some(Percent(100))
            || self.completed_at.is_some()
            || READY.contains(&word.as_str());
        match known_state(&word) {
            Some(State::Succeeded) if !has_video => State::Empty,
            Some(state) => state,
            None if is_ready && has_video => State::Succeeded,
            None if self.has_failed() => State::Failed,
            None => State::Pending,
        }
    }

    /// The word for the state, if this crate does not know it.
    pub fn unknown_word(&self) -> Option<&str> {
        let word = self.word();
        let is_unknown = !word.is_empty() && known_state(&plain(word)).is_none();
        is_unknown.then_some(word)
    }

    fn word(&self) -> &str {
        self.status.as_ref().map_or("", VideoStatus::as_str).trim()
    }

    /// Returns whether there is an error, or the reason of a failure.
    fn has_failed(&self) -> bool {
        let has_error = self
            .error
            .as_ref()
            .is_some_and(|error| error.code.is_some() || error.message.is_some());
        let has_reason = self
            .fail_reason
            .as_ref()
            .is_some_and(|reason| !reason.is_empty() && !is_link(reason));
        has_error || has_reason
    }

    /// The URLs of the videos from all places that can have them, each once and as they arrived. `data:` URLs and paths
    /// at the address of the API are among them.
    pub fn urls(&self) -> Vec<&str> {
        let result = self.result.as_ref();
        let outputs = result
            .and_then(|result| result.outputs.as_ref())
            .into_iter()
            .flat_map(|outputs| &outputs.0);
        let singles = [
            result.and_then(|result| result.video_url.as_deref()),
            self.video_url.as_deref(),
            self.url.as_deref(),
            self.result_url.as_deref(),
            self.metadata
                .as_ref()
                .and_then(|metadata| metadata.url.as_deref()),
            // Old gateway software puts the URL into this field on success, and the reason on failure.
            self.fail_reason.as_deref(),
        ];
        let mut urls = Vec::new();
        for url in outputs
            .map(String::as_str)
            .chain(singles.into_iter().flatten())
        {
            let url = url.trim();
            if is_link(url) && !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// The time at which the task was accepted.
    pub fn created(&self) -> Option<SystemTime> {
        self.created_at.and_then(time)
    }

    /// The time of the task's end, if the task has ended. UniAll also fills this field before the end.
    pub fn completed(&self) -> Option<SystemTime> {
        self.completed_at.and_then(time)
    }

    /// The reason of a failure in UniAll's words. Gateways also put the reason where the URL would be.
    pub fn failure(&self) -> Option<&str> {
        let error = self
            .error
            .as_ref()
            .and_then(|error| error.message.as_deref());
        let places = [
            error,
            self.fail_reason.as_deref(),
            self.message.as_deref(),
            self.result_url.as_deref(),
            self.url.as_deref(),
        ];
        places
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty() && !is_link(text))
    }
}

/// Words that can be about the reply or about the video. If the reply has a video, they mean that the task is finished.
const READY: &[&str] = &["ok", "ready", "available"];

/// Brings a word for a state to lower case, without its subject: `Video Generation Failed` becomes `failed`.
fn plain(word: &str) -> String {
    const SUBJECTS: &[&str] = &[
        "video_generation_",
        "generation_",
        "task_",
        "job_",
        "video_",
        "status_",
        "state_",
    ];
    let word = word.trim().to_lowercase().replace([' ', '-'], "_");
    let mut plain = word.as_str();
    while let Some(rest) = SUBJECTS
        .iter()
        .find_map(|subject| plain.strip_prefix(subject))
    {
        plain = rest;
    }
    plain.to_owned()
}

fn known_state(word: &str) -> Option<State> {
    match word {
        "queued" | "pending" | "submitted" | "not_start" | "created" | "starting" | "preparing" => {
            Some(State::Pending)
        }
        "in_progress" | "processing" | "preprocessing" | "running" | "generating" => {
            Some(State::Running)
        }
        "completed" | "complete" | "success" | "succeeded" | "succeed" | "successful"
        | "finished" | "finish" | "done" => Some(State::Succeeded),
        "failed" | "failure" | "fail" | "error" | "cancelled" | "canceled" | "expired"
        | "timeout" | "timed_out" | "rejected" | "refused" | "denied" | "blocked" | "aborted"
        | "terminated" => Some(State::Failed),
        _ => None,
    }
}

/// Reads a time. UniAll counts the seconds since 1970.
fn time(seconds: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// The progress in percent, from 0 to 100.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Percent(pub u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_f64().or_else(|| {
            value
                .as_str()?
                .trim()
                .trim_end_matches('%')
                .trim_end()
                .parse()
                .ok()
        });
        let number = number
            .filter(|number| number.is_finite())
            .ok_or_else(|| serde::de::Error::custom("not a percentage"))?;
        // The clamp makes the cast safe. The fraction is not needed.
        Ok(Self(number.clamp(0.0, 100.0) as u8))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

/// The reason of a failure, which arrives as text or as an object.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskError {
    /// The code, a word or a number.
    pub code: Option<String>,
    /// The words for a person.
    pub message: Option<String>,
}

impl<'de> Deserialize<'de> for TaskError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let object = TaskErrorObject::deserialize(&value).unwrap_or_default();
        let message = value.as_str().map(str::to_owned).or(object.message);
        Ok(Self {
            code: object.code.as_ref().and_then(word),
            message: message.filter(|text| !text.is_empty()),
        })
    }
}

/// Turns a code into text, from a word or a number. Returns nothing for an empty code.
pub(crate) fn word(code: &Value) -> Option<String> {
    match code {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
