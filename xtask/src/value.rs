//! Values of facts: how they are compared, kept and shown.

use serde_json::{Value, json};

/// A word of a text as the value that it stands for.
pub(crate) fn parsed(word: &str) -> Value {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        _ => word
            .parse::<i64>()
            .map_or_else(|_| json!(word), Value::from),
    }
}

/// A list as a set: sorted, and every value once.
pub(crate) fn set(values: impl IntoIterator<Item = Value>) -> Value {
    let mut values: Vec<Value> = values.into_iter().collect();
    values.sort_by_cached_key(sort_key);
    values.dedup();
    Value::Array(values)
}

fn sort_key(value: &Value) -> (Option<i64>, String) {
    (value.as_i64(), value.to_string())
}

/// A value as a fact: a text that is long or could steer a terminal is no value, and only its fingerprint is kept.
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

/// Twelve hexadecimal digits that change with the words of a text and not with its white space: 64 bits of FNV-1a, cut.
pub(crate) fn fingerprint(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for word in text.split_whitespace() {
        for byte in word.bytes().chain([b' ']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{:012x}", hash & 0xffff_ffff_ffff)
}

/// A value as a person reads it, on one line and cut to a length. It can be of others: control characters are left out, and
/// so is what turns the direction of a line around.
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

/// A text of others on one line, without what could steer a terminal, and cut to a number of characters.
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
