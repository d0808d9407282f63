use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::{bounded, json};

/// Decodes a field of a reply so that nothing in it can cost the rest: a null, or what is not of the expected type even
/// when text is read as a number or a number as text, becomes the default. [`Reply::body`](crate::Reply::body) has all.
///
/// For `#[serde(deserialize_with = "veo_transport::lenient")]`.
///
/// # Errors
///
/// Only if the text is not JSON.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = bounded(deserializer)?;
    let decoded = if value.is_null() {
        None
    } else {
        T::deserialize(&value)
            .ok()
            .or_else(|| T::deserialize(respelled(&value)?).ok())
    };
    Ok(decoded.unwrap_or_default())
}

/// The same thing as text if it was none, and as what the text says if it was.
fn respelled(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => json(text.trim().as_bytes()).ok(),
        Value::Number(number) => Some(Value::String(number.to_string())),
        Value::Bool(boolean) => Some(Value::String(boolean.to_string())),
        _ => None,
    }
}
