//! What can be told of a text of others without keeping it.

use serde_json::{Value, json};

use crate::surface::{Facts, set};

/// The facts of a description: its fingerprint, the values that it lists, and the default that it names.
pub(crate) fn facts(text: &str) -> Facts {
    let mut facts = Facts::new();
    if text.trim().is_empty() {
        return facts;
    }
    facts.insert("wording".to_owned(), json!(fingerprint(text)));
    let listed = listed(text);
    if listed.len() > 1 {
        facts.insert("listed".to_owned(), set(listed));
    }
    if let Some(default) = says(text) {
        facts.insert("says".to_owned(), default);
    }
    facts
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

/// A word of a text as the value that it stands for.
pub(crate) fn value(word: &str) -> Value {
    match word {
        "true" => json!(true),
        "false" => json!(false),
        _ => word
            .parse::<i64>()
            .map_or_else(|_| json!(word), Value::from),
    }
}

/// The values that stand at the beginning of the lines of a list, each before a colon or a dash.
fn listed(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let Some(line) = line.strip_prefix("- ").or(line.strip_prefix("* ")) else {
            continue;
        };
        // A colon inside of a value, as in 16:9, is not the end of it.
        let ends = [": ", " - ", " — ", " – "].map(|end| line.find(end));
        let end = ends.into_iter().flatten().min();
        let head = match end {
            Some(end) => &line[..end],
            None => line.trim_end().trim_end_matches(':'),
        };
        let word = bare(head);
        if is_value(word) {
            values.push(value(word));
        }
    }
    values
}

/// The default that a text names.
fn says(text: &str) -> Option<Value> {
    const WORDS: [&str; 6] = [
        "default value is ",
        "default is ",
        "defaults to ",
        "default: ",
        "default value: ",
        "default `",
    ];
    let folded: Vec<&str> = text.split_whitespace().collect();
    let folded = folded.join(" ");
    // Same length as the text, so that places in one are places in the other.
    let lower = folded.to_ascii_lowercase();
    let found = WORDS
        .iter()
        .filter_map(|words| lower.find(words).map(|at| at + words.len()))
        .min()?;
    let rest = folded[found..].split(' ').next()?;
    let word = bare(rest.trim_end_matches(['.', ',', ';', ')']));
    is_value(word).then(|| value(word))
}

/// A word without the marks around it.
fn bare(word: &str) -> &str {
    word.trim()
        .trim_matches(['*', '`', '"', '\'', '“', '”'])
        .trim_end_matches(':')
}

fn is_value(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:.-/*".contains(c);
    !word.is_empty() && word.len() <= 60 && word.chars().all(is_part)
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
