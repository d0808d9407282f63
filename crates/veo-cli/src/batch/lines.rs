//! Reads the lines of a batch, and gives each its key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use veo_core::VideoRequest;

use crate::failure::Failure;
use crate::hash::hex;
use crate::paths::canonical;
use crate::read;

pub(super) struct BatchLine {
    pub(super) number: usize,
    pub(super) request: VideoRequest,
    /// The file for its video, if the line names one.
    pub(super) output: Option<PathBuf>,
    /// A hash of the line's fields as they are written, and a number if an earlier line has the same fields.
    pub(super) key: String,
}

/// Reads all requests of the file. The error lists everything that is wrong with it.
pub(super) fn read(file: &Path, text: &str) -> Result<Vec<BatchLine>, Failure> {
    check_form(file, text)?;
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    let mut seen = HashMap::<String, usize>::new();
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match read_line(number, text) {
            Ok(mut line) => {
                // Two equal lines mean two videos. With one key the second would count as paid for.
                let times = seen.entry(line.key.clone()).or_default();
                *times += 1;
                if *times > 1 {
                    line.key += &format!("-{times}");
                }
                lines.push(line);
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

/// Finds the key for a request of an earlier record: that of the equal line. Without it, the line is sent again.
pub(super) fn keys_of(lines: &[BatchLine]) -> impl FnMut(&VideoRequest, &Path) -> Option<String> {
    let mut left: Vec<&BatchLine> = lines.iter().collect();
    move |request, output| {
        let at = left.iter().position(|line| line.says(request, output))?;
        Some(left.remove(at).key.clone())
    }
}

pub(super) fn unusable(file: &Path, problems: &[String]) -> Failure {
    Failure::usage(format!(
        "{} cannot be used, and nothing was sent:\n{}",
        file.display(),
        problems.join("\n")
    ))
}

impl BatchLine {
    /// Returns whether this line has the request and the file. For a line without a file, the request alone decides.
    fn says(&self, request: &VideoRequest, output: &Path) -> bool {
        let is_there = match &self.output {
            Some(named) => canonical(named) == canonical(output),
            None => true,
        };
        is_there && self.request == *request
    }
}

/// Refuses a file in another form with one error, and not with one for each line.
fn check_form(file: &Path, text: &str) -> Result<(), Failure> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    match first {
        Some(line) if !line.starts_with('{') || line == "{" => Err(Failure::usage(format!(
            "{} is not a batch file: each line must be one JSON object, as `veo schema` describes it; nothing was sent",
            file.display()
        ))),
        _ => Ok(()),
    }
}

fn read_line(number: usize, text: &str) -> Result<BatchLine, String> {
    let mut value: Value = read::json(text).map_err(|error| format!("it is not JSON: {error}"))?;
    // The key comes from the fields as they are written, in sorted order, and not from the parsed request. A later
    // version with more fields gives the line the same key, and so does not pay for it again.
    value.sort_all_objects();
    let key = hex(&Sha256::digest(value.to_string().as_bytes())[..8]);
    let output = match value.as_object_mut() {
        Some(fields) => fields.remove("output"),
        None => None,
    };
    let output = match output {
        None => None,
        Some(Value::String(output)) if output.trim().is_empty() || output.contains('\0') => {
            return Err("output: it names no file; give a path, or leave it out".to_owned());
        }
        Some(Value::String(output)) => Some(PathBuf::from(output)),
        Some(other) => return Err(format!("output: {other} is not the path of a file")),
    };
    let request = VideoRequest::deserialize(value)
        .map_err(|error| format!("it is not a request: {error}"))?;
    Ok(BatchLine {
        number,
        request,
        output,
        key,
    })
}
