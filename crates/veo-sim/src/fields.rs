//! Reading what the bodies of both providers have in common.

use serde_json::{Map, Value};

/// The body as a JSON object.
pub(crate) fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

/// A member that is a string and not blank.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object
        .get(key)?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

/// A member that must be one of the given words if it is there; the first is the default.
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

/// The length of the video to make, if it is one that Veo can make.
pub(crate) fn duration(object: &Map<String, Value>) -> Option<u32> {
    match object.get("duration") {
        None => Some(8),
        Some(value) => [4, 6, 8]
            .into_iter()
            .find(|seconds| value.as_u64() == Some(u64::from(*seconds))),
    }
}
