use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// URLs, from whichever form a provider gives them in: an array, JSON text that holds an array, text in brackets without
/// quotes, or a single URL.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct UrlList(pub Vec<String>);

impl<'de> Deserialize<'de> for UrlList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(urls(Value::deserialize(deserializer)?)))
    }
}

fn urls(value: Value) -> Vec<String> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .filter(|url| !url.is_empty())
            .collect(),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(value @ Value::Array(_)) => urls(value),
            _ => {
                let text = text.trim();
                let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
                // A comma outside of brackets belongs to a single URL.
                let parts: Vec<_> = inside.map_or_else(|| vec![text], |inside| inside.split(',').collect());
                parts.into_iter().map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
            }
        },
        _ => Vec::new(),
    }
}
