//! Small texts that several files make: hexadecimal, random names, links as they are shown, and the folder of a path.

use std::path::Path;

use serde_json::Value;
use veo_transport::without_queries;

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes in hexadecimal.
pub(crate) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    // Without a source of random bits there is hardly a machine.
    let _ = getrandom::fill(&mut bytes);
    hex(&bytes)
}

/// The folder of a file. That of a mere name is the current one.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A link on one line and without what can be secret in it, also if it is none.
pub(crate) fn link(url: &str) -> String {
    without_queries(url.split(['?', '#']).next().unwrap_or_default()).replace('\n', " ")
}

/// Takes out what can be secret in the links of all texts.
pub(crate) fn redact_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_queries(text),
        Value::Array(values) => values.iter_mut().for_each(redact_texts),
        Value::Object(members) => members.values_mut().for_each(redact_texts),
        _ => {}
    }
}
