//! What a task says, in whichever of its forms.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::types::{TaskErrorObject, VideoStatus, VideoTask};

/// The state of a task, from all the words for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Accepted, not started; also what a word that nobody knows is taken for, since a paid task is not given up for it.
    Pending,
    /// Being made.
    Running,
    /// Finished, with at least one video.
    Succeeded,
    /// Finished, and without a video, which is most often filtered.
    Empty,
    /// Failed.
    Failed,
}

impl VideoTask {
    /// The id to ask with. In query replies `task_id` is another service's.
    pub fn poll_id(&self) -> Option<&str> {
        [&self.id, &self.task_id].into_iter().flatten().map(String::as_str).find(|id| !id.is_empty())
    }

    /// The state.
    pub fn state(&self) -> State {
        let word = self.status.as_ref().map_or("", VideoStatus::as_str).trim().to_lowercase();
        match word.as_str() {
            "in_progress" | "processing" | "running" | "generating" => State::Running,
            "completed" | "complete" | "success" | "succeeded" | "finished" if self.urls().is_empty() => State::Empty,
            "completed" | "complete" | "success" | "succeeded" | "finished" => State::Succeeded,
            "failed" | "failure" | "fail" | "error" | "cancelled" | "canceled" | "expired" | "timeout" => State::Failed,
            _ => State::Pending,
        }
    }

    /// The URLs of the videos, from all the places they can be in, each once. `data:` URLs are among them.
    pub fn urls(&self) -> Vec<&str> {
        let result = self.result.as_ref();
        let outputs = result.and_then(|result| result.outputs.as_ref()).into_iter().flat_map(|outputs| &outputs.0);
        let singles = [
            result.and_then(|result| result.video_url.as_deref()),
            self.video_url.as_deref(),
            self.url.as_deref(),
            self.result_url.as_deref(),
            self.metadata.as_ref().and_then(|metadata| metadata.url.as_deref()),
            // Where old gateway software puts it on success, and the reason on failure.
            self.fail_reason.as_deref(),
        ];
        let mut urls = Vec::new();
        for url in outputs.map(String::as_str).chain(singles.into_iter().flatten()) {
            if is_url(url) && !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    /// Why the task failed, in UniAll's words. Gateways also put it where the URL would be.
    pub fn failure(&self) -> Option<&str> {
        let error = self.error.as_ref().and_then(|error| error.message.as_deref());
        let places = [
            error,
            self.fail_reason.as_deref(),
            self.message.as_deref(),
            self.result_url.as_deref(),
            self.url.as_deref(),
        ];
        places.into_iter().flatten().find(|text| !text.is_empty() && !is_url(text))
    }
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "data:video/"].into_iter().any(|start| text.starts_with(start))
}

/// Progress from 0 to 100.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Percent(pub u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().trim_end_matches('%').trim_end().parse().ok());
        let number =
            number.filter(|number| number.is_finite()).ok_or_else(|| serde::de::Error::custom("not a percentage"))?;
        // In range after the clamp, and the fraction is of no use.
        Ok(Self(number.clamp(0.0, 100.0) as u8))
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

/// A reason that came as text or as an object.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskError {
    /// A word or a number.
    pub code: Option<String>,
    /// Words for a person.
    pub message: Option<String>,
}

impl<'de> Deserialize<'de> for TaskError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let object = TaskErrorObject::deserialize(&value).unwrap_or_default();
        let message = value.as_str().map(str::to_owned).or(object.message);
        Ok(Self { code: object.code.as_ref().and_then(word), message: message.filter(|text| !text.is_empty()) })
    }
}

/// A code as text, whether it came as a word or as a number; nothing if it says nothing.
pub(crate) fn word(code: &Value) -> Option<String> {
    match code {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
