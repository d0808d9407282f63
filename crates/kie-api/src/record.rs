//! Reads the record of a task, in each of its shapes.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use veo_transport::{UrlList, is_link, json, shortened};

use crate::types::{
    Code, GenerateTaskModel, GenerationType, Record, RecordResult, RecordState, SuccessFlag,
    Timestamp,
};

/// Words of kie.ai, in lower case, about unfinished work. kie.ai sends them with codes that otherwise mean a refusal.
pub const IN_PROGRESS: &[&str] = &[
    "is processing",
    "being generated",
    "generated successfully",
    "try again later",
    "check back",
];

/// The state of a task, from the record's number or word for it, or from other fields if this crate knows neither.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum State {
    /// Accepted and not started.
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

/// The request, as the record repeats it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Asked {
    /// The prompt.
    pub prompt: Option<String>,
    /// The name of the model, as the request names it. The field is empty for the one model of the current form that
    /// has tiers, since its name does not say the tier.
    pub model: Option<String>,
    /// The model of the task in the current form. It says what the task makes: a video, an extension or an upgrade.
    pub kind: Option<String>,
    /// The id of the task to extend or to upgrade.
    pub task: Option<String>,
    /// True if the request had images. `None` if the record does not show whether it had any.
    pub has_images: Option<bool>,
}

impl Record {
    /// The state of the task. An unknown word is neither a success nor a failure by itself. Beside an unknown word, a
    /// video means success, and an error means failure. With neither, the task is pending.
    pub fn state(&self) -> State {
        let finished = if self.urls().is_empty() {
            State::Empty
        } else {
            State::Succeeded
        };
        match (self.success_flag, self.state_word()) {
            (Some(SuccessFlag::Generating), _) => State::Running,
            (Some(SuccessFlag::Succeeded), _) => finished,
            (Some(SuccessFlag::Failed | SuccessFlag::GenerationFailed), _) => State::Failed,
            (_, Some(RecordState::Succeeded)) => finished,
            (_, Some(RecordState::Failed)) => State::Failed,
            (_, Some(RecordState::Generating)) => State::Running,
            (_, Some(RecordState::Waiting | RecordState::Queuing)) => State::Pending,
            (_, Some(RecordState::Unknown(word))) if is_one_of(&word, ENDED) => finished,
            (_, Some(RecordState::Unknown(word))) if is_one_of(&word, FAILED) => State::Failed,
            _ if finished == State::Succeeded => finished,
            _ if self.has_error() => State::Failed,
            _ => State::Pending,
        }
    }

    /// The word or the number for the state, if this crate does not know it.
    pub fn unknown_word(&self) -> Option<String> {
        match (self.success_flag, self.state_word()) {
            (_, Some(RecordState::Unknown(word))) if !word.is_empty() => Some(shortened(word)),
            (Some(SuccessFlag::Unknown(number)), None) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The URLs of the videos as they arrived, each once. The URL of a whole extended film replaces that of its added
    /// part.
    pub fn urls(&self) -> Vec<&str> {
        let results = || [&self.response, &self.result_json].into_iter().flatten();
        let films = results().filter_map(|result| result.full_result_urls.as_ref());
        let films = distinct(films);
        if !films.is_empty() {
            return films;
        }
        let parts = results().filter_map(|result| result.result_urls.as_ref());
        distinct(parts.chain(&self.result_urls))
    }

    /// The reason of a failure in kie.ai's words; the first few KiB.
    pub fn failure(&self) -> Option<String> {
        let mut places = [&self.error_message, &self.fail_msg].into_iter().flatten();
        places
            .find(|text| !is_one_of(text, NOTHING))
            .cloned()
            .map(shortened)
    }

    /// The code of a failure.
    pub fn failure_code(&self) -> Option<String> {
        let number = self
            .error_code
            .filter(|code| *code != Code::Success && code.value() != 0);
        let word = || {
            let code = self.fail_code.clone();
            code.filter(|code| !is_one_of(code, NOTHING))
        };
        number
            .map(|code| code.to_string())
            .or_else(word)
            .map(shortened)
    }

    /// The price in credits. A number below zero counts as missing.
    pub fn credits(&self) -> Option<f64> {
        let credits = self
            .credits_consumed
            .or_else(|| self.result()?.credits_consumed);
        credits.filter(|credits| credits.is_finite() && *credits >= 0.0)
    }

    /// The size of the delivered picture, such as 720p.
    pub fn resolution(&self) -> Option<String> {
        self.result()?.resolution.clone().map(shortened)
    }

    /// Returns whether all videos have sound, if the record says so.
    pub fn has_audio(&self) -> Option<bool> {
        let list = &self.result()?.has_audio_list;
        (!list.is_empty()).then(|| list.iter().all(|has| *has))
    }

    /// The seed of each video.
    pub fn seeds(&self) -> &[i64] {
        self.result().map_or(&[], |result| &result.seeds)
    }

    /// The time at which the task was accepted.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.create_time.as_ref().and_then(time)
    }

    /// The time at which the task ended.
    pub fn completed_at(&self) -> Option<SystemTime> {
        self.complete_time.as_ref().and_then(time)
    }

    /// The request that the record repeats.
    pub fn asked(&self) -> Asked {
        if let Some(param) = self.param.as_deref() {
            let asked = asked_of_task(param);
            let kind = asked.kind.or_else(|| self.model.clone());
            return Asked { kind, ..asked };
        }
        let asked = self.param_json.as_deref().map_or(Value::Null, decoded);
        Asked {
            prompt: text(&asked, "prompt"),
            model: text(&asked, "model"),
            kind: None,
            task: parent(&asked),
            has_images: has_images(&asked["generationType"], &asked["imageUrls"]),
        }
    }

    /// Returns whether a task has ended without an expected video. With an unknown state, a time of the end shows the
    /// end.
    pub(crate) fn lacks_video(&self) -> bool {
        let has_time = || {
            self.completed_at()
                .is_some_and(|time| time > SystemTime::UNIX_EPOCH)
        };
        match self.state() {
            State::Empty => true,
            State::Pending => self.unknown_word().is_some() && has_time(),
            _ => false,
        }
    }

    /// The word for the state, in any spelling.
    fn state_word(&self) -> Option<RecordState> {
        match self.state.as_ref()? {
            RecordState::Unknown(word) => {
                let known = RecordState::from(word.trim().to_lowercase());
                let is_known = !matches!(known, RecordState::Unknown(_));
                let as_written = || RecordState::Unknown(word.trim().to_owned());
                Some(if is_known { known } else { as_written() })
            }
            known => Some(known.clone()),
        }
    }

    /// Returns whether a record with an unknown state has an error. The code of a failure is enough. Words are enough
    /// if no code denies a failure, and if the words do not say that the task is running.
    fn has_error(&self) -> bool {
        if self.failure_code().is_some() {
            return true;
        }
        let is_denied = self.error_code.is_some()
            || self
                .fail_code
                .as_ref()
                .is_some_and(|code| is_one_of(code, NO_FAILURE));
        let is_in_progress = |words: String| {
            let words = words.to_lowercase();
            let mut parts = IN_PROGRESS.iter().chain(GOES_ON);
            parts.any(|part| words.contains(part))
        };
        !is_denied && self.failure().is_some_and(|words| !is_in_progress(words))
    }

    fn result(&self) -> Option<&RecordResult> {
        self.response.as_ref().or(self.result_json.as_ref())
    }
}

/// Reads the request of the current form. The input of the request is an object, or JSON in a string.
fn asked_of_task(param: &str) -> Asked {
    let task = decoded(param);
    let input = match &task["input"] {
        Value::String(input) => decoded(input),
        input => input.clone(),
    };
    let kind = text(&task, "model");
    let has_tiers = |kind: &String| kind.trim() == GenerateTaskModel::Veo31.as_str();
    let without_tiers = kind.clone().filter(|kind| !has_tiers(kind));
    Asked {
        prompt: text(&input, "prompt"),
        model: text(&input, "model").or(without_tiers),
        kind,
        task: parent(&input),
        has_images: has_images(&input["generation_type"], &input["image_urls"]),
    }
}

/// Decodes JSON in a string, even if it was encoded more than once. Any other string is returned as a string value.
pub(crate) fn decoded(text: &str) -> Value {
    match json(text.as_bytes()) {
        Ok(Value::String(inside)) => decoded(&inside),
        Ok(value) => value,
        Err(_) => text.into(),
    }
}

/// The id of the task to extend or to upgrade, in either spelling.
fn parent(asked: &Value) -> Option<String> {
    text(asked, "taskId").or_else(|| text(asked, "task_id"))
}

fn text(asked: &Value, member: &str) -> Option<String> {
    asked[member].as_str().map(str::to_owned)
}

fn has_images(generation_type: &Value, images: &Value) -> Option<bool> {
    if *generation_type == GenerationType::Text.as_str() {
        return Some(false);
    }
    images.as_array().map(|images| !images.is_empty())
}

/// Collects the links in lists of URLs, each once. Links with other schemes are kept, so that an error can name them.
fn distinct<'a>(lists: impl Iterator<Item = &'a UrlList>) -> Vec<&'a str> {
    let mut links = Vec::new();
    for url in lists.flat_map(|list| &list.0) {
        let url = url.trim();
        let is_link = is_link(url) || url.contains("://");
        if is_link && !links.contains(&url) {
            links.push(url);
        }
    }
    links
}

/// Words for states that the pages of kie.ai do not have.
const ENDED: &[&str] = &[
    "succeeded",
    "succeed",
    "complete",
    "completed",
    "finished",
    "done",
];
const FAILED: &[&str] = &[
    "failed",
    "failure",
    "error",
    "rejected",
    "refused",
    "cancelled",
    "canceled",
    "expired",
    "timeout",
];
/// Codes that mean no failure.
const NO_FAILURE: &[&str] = &["0", "200", "success"];
/// Texts that stand where the reason would be and give none.
const NOTHING: &[&str] = &["", "null", "0", "200", "success"];
/// Parts of words about a running task, besides those in [`IN_PROGRESS`].
const GOES_ON: &[&str] = &["in progress", "processing", "generating", "waiting", "queu"];

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words
        .iter()
        .any(|known| word.trim().eq_ignore_ascii_case(known))
}

/// Reads a time in milliseconds. kie.ai's pages show a text without a time zone instead, which is no exact time.
fn time(time: &Timestamp) -> Option<SystemTime> {
    let milliseconds = match time {
        Timestamp::Int64(milliseconds) => *milliseconds,
        Timestamp::String(text) => text.parse().ok()?,
    };
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(milliseconds).ok()?))
}
