use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::{bounded, json};

/// Decodes a field of a reply, so that an unexpected value does not lose the other fields. A null becomes the default.
/// A text of the wrong type is read as JSON, and a number or bool as text. A value that still has the wrong type
/// becomes the default. [`Reply::body`](crate::Reply::body) has the original value.
///
/// Use it with `#[serde(deserialize_with = "veo_transport::lenient")]`.
///
/// # Errors
///
/// Fails only if the text is not JSON.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = bounded(deserializer)?;
    let decoded = match value {
        Value::Null => None,
        // It has no other spelling, so nothing of it is copied.
        Value::Object(_) | Value::Array(_) => T::deserialize(value).ok(),
        _ => T::deserialize(&value)
            .ok()
            .or_else(|| T::deserialize(respelled(&value)?).ok()),
    };
    Ok(decoded.unwrap_or_default())
}

/// Turns a number or a bool into text, and a text into the JSON that it holds.
fn respelled(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => json(text.trim().as_bytes()).ok(),
        Value::Number(number) => Some(Value::String(number.to_string())),
        Value::Bool(boolean) => Some(Value::String(boolean.to_string())),
        _ => None,
    }
}
