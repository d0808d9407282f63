//! The lines of a batch's file, each with its key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use veo_core::VideoRequest;

use crate::failure::Failure;
use crate::hash::hex;
use crate::paths::place;

/// A line of the file.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) request: VideoRequest,
    /// Where its video goes, if it says so.
    pub(super) output: Option<PathBuf>,
    /// Its own fields as they are written, and which of several such lines it is.
    pub(super) key: String,
}

/// All requests of the file, or everything that is wrong with it.
pub(super) fn read(file: &Path, text: &str) -> Result<Vec<Line>, Failure> {
    let (mut lines, mut problems, mut seen) =
        (Vec::new(), Vec::new(), HashMap::<String, usize>::new());
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match read_line(text) {
            Ok((fields, request, output)) => {
                // The same line twice means two videos.
                let times = seen
                    .entry(fields.clone())
                    .and_modify(|times| *times += 1)
                    .or_insert(1);
                let key = if *times > 1 {
                    format!("{fields}-{times}")
                } else {
                    fields
                };
                lines.push(Line {
                    number,
                    request,
                    output,
                    key,
                });
            }
            Err(problem) => problems.push(format!("line {number}: {problem}")),
        }
    }
    if problems.is_empty() {
        Ok(lines)
    } else {
        Err(unusable(file, &problems))
    }
}

/// Which key a request has that was sent by an earlier version: that of the line which says the same.
pub(super) fn keys_of(lines: &[Line]) -> impl FnMut(&VideoRequest, &Path) -> Option<String> {
    let mut left: Vec<&Line> = lines.iter().collect();
    move |request, output| {
        // A line that names no file was given one, so it is known by the request alone.
        let same = |line: &&Line| {
            line.request == *request
                && line
                    .output
                    .as_ref()
                    .is_none_or(|named| place(named) == place(output))
        };
        let at = left.iter().position(same)?;
        Some(left.remove(at).key.clone())
    }
}

/// Everything that is wrong with the file.
pub(super) fn unusable(file: &Path, problems: &[String]) -> Failure {
    Failure::usage(format!(
        "{} cannot be used, and nothing was sent:\n{}",
        file.display(),
        problems.join("\n")
    ))
}

/// What stands for the fields of a line as they are written, the request, and where the video goes.
fn read_line(text: &str) -> Result<(String, VideoRequest, Option<PathBuf>), String> {
    let mut value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    // A later version that knows more fields finds the same ones in this line.
    value.sort_all_objects();
    let fields = hex(&Sha256::digest(value.to_string().as_bytes())[..8]);
    let output = match value
        .as_object_mut()
        .and_then(|object| object.remove("output"))
    {
        None => None,
        Some(Value::String(output)) => Some(PathBuf::from(output)),
        Some(other) => return Err(format!("output: {other} is no path of a file")),
    };
    let request =
        VideoRequest::deserialize(value).map_err(|error| format!("it is no request: {error}"))?;
    Ok((fields, request, output))
}
