//! Compares, stores and shows the values of facts.

use serde_json::{Value, json};

/// The value of a word in a text.
pub(crate) fn parsed(word: &str) -> Value {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        _ => word
            .parse::<i64>()
            .map_or_else(|_| json!(word), Value::from),
    }
}

/// A list as a set: sorted and without repetitions.
pub(crate) fn set(values: impl IntoIterator<Item = Value>) -> Value {
    let mut values: Vec<Value> = values.into_iter().collect();
    values.sort_by_cached_key(sort_key);
    values.dedup();
    Value::Array(values)
}

fn sort_key(value: &Value) -> (Option<i64>, String) {
    (value.as_i64(), value.to_string())
}

/// A value as a fact. A text that is long or could control a terminal is replaced by its fingerprint.
pub(crate) fn short(value: Value) -> Value {
    match value {
        Value::String(text) if clean(&text, 200) != text => {
            json!(fingerprint(&text))
        }
        Value::Array(values) => values.into_iter().map(short).collect(),
        Value::Object(_) => json!(fingerprint(&value.to_string())),
        value => value,
    }
}

/// Twelve hexadecimal digits of FNV-1a. They depend on the words of a text and not on its white space.
pub(crate) fn fingerprint(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for word in text.split_whitespace() {
        for byte in word.bytes().chain([b' ']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{:012x}", hash & 0xffff_ffff_ffff)
}

/// Shows a value to people, on one line and cut to a length. Values can come from others, so [`clean`] is applied.
pub(crate) fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let values: Vec<String> = values.iter().map(|it| shown(Some(it))).collect();
            values.join(" ")
        }
        Some(value) => value.to_string(),
    };
    clean(&text, 120)
}

/// A text of others on one line, cut to a number of characters. Characters that control a terminal or turn the
/// direction of a line become blanks.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let is_steering = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean: String = text
        .chars()
        .map(|c| if is_steering(c) { ' ' } else { c })
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        clean.push('…');
    }
    clean
}
