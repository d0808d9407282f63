//! Reads facts from a text of others without storing the text.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::value::{fingerprint, parsed, set};

/// Reads the facts in a description: its fingerprint, the values that it lists, and the default that it names.
pub(crate) fn facts(text: &str) -> BTreeMap<String, Value> {
    let mut facts = BTreeMap::new();
    if text.trim().is_empty() {
        return facts;
    }
    facts.insert("wording".to_owned(), json!(fingerprint(text)));
    let listed = listed(text);
    if listed.len() > 1 {
        facts.insert("listed".to_owned(), set(listed));
    }
    if let Some(default) = named_default(text) {
        facts.insert("says".to_owned(), default);
    }
    facts
}

/// Reads the values at the beginning of the lines of a list. A colon or a dash follows each value.
fn listed(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let Some(line) = line.strip_prefix("- ").or(line.strip_prefix("* ")) else {
            continue;
        };
        // A colon inside a value, as in 16:9, does not end it.
        let ends = [": ", " - ", " — ", " – "].map(|end| line.find(end));
        let end = ends.into_iter().flatten().min();
        let head = match end {
            Some(end) => &line[..end],
            None => line.trim_end().trim_end_matches(':'),
        };
        let word = bare(head);
        if is_value(word) {
            values.push(parsed(word));
        }
    }
    values
}

/// Reads the default that a text names.
fn named_default(text: &str) -> Option<Value> {
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
    // ASCII lower case keeps the length, so an index in one text is valid in the other.
    let lower = folded.to_ascii_lowercase();
    let found = WORDS
        .iter()
        .filter_map(|words| lower.find(words).map(|at| at + words.len()))
        .min()?;
    let rest = folded[found..].split(' ').next()?;
    let word = bare(rest.trim_end_matches(['.', ',', ';', ')']));
    is_value(word).then(|| parsed(word))
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
