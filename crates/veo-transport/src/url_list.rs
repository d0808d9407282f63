use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::json::{bounded, json};

/// A list of URLs in any format that a provider sends: an array, JSON of an array, text in brackets, or one URL.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct UrlList(pub Vec<String>);

impl<'de> Deserialize<'de> for UrlList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(urls(bounded(deserializer)?)))
    }
}

/// The most URLs that are read from a list that is not JSON.
const MOST: usize = 200;

fn urls(value: Value) -> Vec<String> {
    let text = match value {
        Value::Array(items) => return texts(items),
        Value::String(text) => text,
        _ => return Vec::new(),
    };
    // The list is JSON inside a JSON string.
    if text.trim_start().starts_with('"')
        && let Ok(inside) = json(text.as_bytes())
    {
        return urls(inside);
    }
    // A single URL can be a data URL with a whole video, so it is not copied.
    if !text.trim_start().starts_with('[') {
        return if text.trim().is_empty() {
            Vec::new()
        } else {
            vec![trimmed(text)]
        };
    }
    if let Ok(Value::Array(items)) = json(text.as_bytes()) {
        return texts(items);
    }
    match text
        .trim()
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(inside) => inside
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .take(MOST)
            .map(str::to_owned)
            .collect(),
        None => vec![trimmed(text)],
    }
}

fn texts(items: Vec<Value>) -> Vec<String> {
    let text = |item| {
        if let Value::String(text) = item {
            Some(text)
        } else {
            None
        }
    };
    items
        .into_iter()
        .filter_map(text)
        .filter(|url| !url.is_empty())
        .collect()
}

fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() {
        text
    } else {
        text.trim().to_owned()
    }
}
