//! A request to a provider, with its account and its time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use serde_json::{Map, Value};

use crate::clip::Format;
use crate::scenario::{Fate, Fault, Pace};
use crate::state::Shared;
use crate::task::{Task, Work};

/// A request that was admitted, read and recorded.
pub(crate) struct Visit<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) account: Arc<str>,
    pub(crate) pace: Pace,
    /// The simulated time of the account.
    pub(crate) now: Duration,
    /// The operation id of the specification.
    pub(crate) operation: &'static str,
    /// The number of the call.
    pub(crate) call: usize,
    pub(crate) parts: &'a Parts,
    /// The path, decoded.
    pub(crate) path: &'a str,
    pub(crate) body: Bytes,
    /// The differences from the specification.
    pub(crate) mismatches: Vec<String>,
    /// The fault of the call, for replies that apply it themselves.
    pub(crate) fault: Option<&'a Fault>,
}

impl Visit<'_> {
    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        parameter(self.parts, name)
    }

    pub(crate) fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Makes the task that the request starts. It takes `seconds` of simulated time.
    pub(crate) fn task(&self, format: Format, seconds: u64, echo: String) -> Task {
        Task {
            account: self.account.clone(),
            pace: self.pace,
            fate: Fate::Made,
            work: Work::new(self.now, seconds),
            format,
            film: None,
            echo,
            upgrades: [None, None],
            current: None,
            call: self.call,
            changed: None,
        }
    }

    /// Records how an accepted request differs from the provider's pages.
    pub(crate) fn record_differences(&self, ways: &[impl AsRef<str>]) {
        let record = &mut self.shared.state().record;
        for how in ways {
            record.record_difference(self.call, how.as_ref());
        }
    }

    /// Records that the simulator does not have this operation, and returns a sentence about it.
    pub(crate) fn not_simulated(&self) -> String {
        let why = format!(
            "the simulator does not have the operation {}",
            self.operation
        );
        self.shared.state().record.surprise(self.call, &why);
        why
    }
}

/// A parameter of the query of a request.
pub(crate) fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let (_, value) = parameters.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

/// A member of an object, if it is a string that is not blank.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let text = object.get(key)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

/// A member that must be one of `words` if it is there. The first word is the default.
pub(crate) fn word<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    words: &[&'a str],
) -> Option<&'a str> {
    match object.get(key) {
        None => words.first().copied(),
        Some(value) => value.as_str().filter(|word| words.contains(word)),
    }
}

/// The requested length of the video in seconds, if Veo can make it. The default is 8.
pub(crate) fn duration(object: &Map<String, Value>) -> Option<u32> {
    let Some(value) = object.get("duration") else {
        return Some(8);
    };
    match value.as_u64() {
        Some(4) => Some(4),
        Some(6) => Some(6),
        Some(8) => Some(8),
        _ => None,
    }
}

/// The values whose conditions hold.
pub(crate) fn holding<T: Copy>(conditions: &[(bool, T)]) -> Vec<T> {
    let holding = conditions.iter().filter(|(holds, _)| *holds);
    holding.map(|(_, what)| *what).collect()
}
