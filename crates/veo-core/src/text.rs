//! Small functions for texts: hexadecimal, random names, links as they are shown, and the folder of a path.

use std::path::Path;

use serde_json::Value;
use veo_transport::without_queries;

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Makes random bytes, in hexadecimal.
pub(crate) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    // An error is ignored: hardly any machine has no source of random bits.
    let _ = getrandom::fill(&mut bytes);
    hex(&bytes)
}

/// The folder of a file. A path without a folder is in the current folder.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Shows a link, or any text in place of a link, on one line and without its secret parts.
pub(crate) fn link(url: &str) -> String {
    without_queries(url.split(['?', '#']).next().unwrap_or_default()).replace('\n', " ")
}

/// Removes the queries of links, which can be secret, from all texts in a value.
pub(crate) fn redact_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_queries(text),
        Value::Array(values) => values.iter_mut().for_each(redact_texts),
        Value::Object(members) => members.values_mut().for_each(redact_texts),
        _ => {}
    }
}
