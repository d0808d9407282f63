//! Recognizes the ids of tasks, which are opaque, in the replies of all providers.

use serde_json::Value;

use crate::json::{json, members};

/// The task that a reply to a paid request names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Named {
    /// The reply names a task by this id, so there is a paid job.
    Task(String),
    /// The reply is a refusal, and has this text where the id of a task would be. There may be a job, so the request
    /// must not be sent again.
    Possible(String),
}

/// Returns the id in a text from the place of a task's id, or nothing if the text says that there is no task.
///
/// ```
/// use veo_transport::task_id;
///
/// assert_eq!(task_id(" task_x "), Some("task_x"));
/// assert_eq!(task_id("undefined"), None);
/// assert_eq!(task_id("it is queued"), None);
/// ```
pub fn task_id(text: &str) -> Option<&str> {
    /// Words that programs write for a missing value.
    const NOTHING: &[&str] = &[
        "",
        "null",
        "none",
        "nil",
        "undefined",
        "nan",
        "true",
        "false",
        "0",
        "-1",
    ];
    let text = text.trim();
    let is_nothing = NOTHING
        .iter()
        .any(|nothing| text.eq_ignore_ascii_case(nothing));
    let is_sentence = text.contains(char::is_whitespace);
    (!is_nothing && !is_sentence).then_some(text)
}

/// Returns whether a text looks like the id of a task, for a place that may have other texts. Words for states,
/// sentences and links do not look like ids.
///
/// ```
/// use veo_transport::looks_like_task_id;
///
/// assert!(looks_like_task_id("0f1e2d3c-4b5a"));
/// assert!(!looks_like_task_id("in_progress"));
/// ```
pub fn looks_like_task_id(text: &str) -> bool {
    const SHORTEST: usize = 8;
    const LONGEST: usize = 512;
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (SHORTEST..=LONGEST).contains(&text.len())
        && text.chars().all(is_of_id)
        && text.contains(|c: char| c.is_ascii_digit())
}

/// Finds a text that [looks like the id of a task](looks_like_task_id) in the places that may have one: in `data`, in a
/// member with another name for such an id, or in a sentence. In a refusal or in a sentence, the id can be the id of
/// another task, so it is only [`Named::Possible`].
pub fn possible_task(body: &[u8], is_refusal: bool) -> Option<Named> {
    /// The number of bytes at the start of the body that are searched for a sentence.
    const WORDS: usize = 64 << 10;
    let mut data = members(body, "data").map(unquoted);
    let id = data
        .find(|text| looks_like_task_id(text))
        .or_else(|| id_in(&json(body).ok()?));
    match id {
        Some(id) if !is_refusal => Some(Named::Task(id)),
        Some(id) => Some(Named::Possible(id)),
        None => {
            let start = &body[..body.len().min(WORDS)];
            id_in_words(&String::from_utf8_lossy(start)).map(Named::Possible)
        }
    }
}

/// Decodes a text that was encoded as a JSON string, any number of times.
pub fn unquoted(text: String) -> String {
    match json(text.as_bytes()) {
        Ok(Value::String(inside)) => unquoted(inside),
        _ => text,
    }
}

/// Finds the id in a member that can have the id of a task, at any depth of a reply.
fn id_in(reply: &Value) -> Option<String> {
    /// Names of the id, without `_` and in lower case.
    const IDS: &[&str] = &[
        "taskid",
        "taskids",
        "recordid",
        "videoid",
        "jobid",
        "generationid",
    ];
    /// Names of objects whose member `id` is the id of the task.
    const TASKS: &[&str] = &["data", "task", "job", "video"];
    match reply {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let name = name.replace('_', "").to_lowercase();
            let named = match value {
                _ if IDS.contains(&name.as_str()) => id_of(value),
                Value::Object(task) if TASKS.contains(&name.as_str()) => {
                    task.get("id").and_then(id_of)
                }
                _ => None,
            };
            named.or_else(|| id_in(value))
        }),
        Value::Array(items) => items.iter().find_map(id_in),
        Value::String(text) => match json(text.as_bytes()) {
            Ok(inside @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => id_in(&inside),
            _ => None,
        },
        _ => None,
    }
}

fn id_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => return items.iter().find_map(id_of),
        _ => return None,
    };
    looks_like_task_id(&text).then_some(text)
}

/// Finds the id in a sentence: the word after "task", or a word that begins with "task".
fn id_in_words(text: &str) -> Option<String> {
    let text = text.replace("任务", " task ").replace("任務", " task ");
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut is_about_task = false;
    for word in text
        .split(|c| !is_of_word(c))
        .filter(|word| !word.is_empty())
    {
        let lower = word.to_lowercase();
        let number = lower
            .strip_prefix("task_")
            .or_else(|| lower.strip_prefix("task-"));
        let begins_with_task = number.is_some_and(|number| !number.contains(['_', '-']));
        // Normal words such as "image2video" have fewer digits.
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if (is_about_task || begins_with_task) && digits >= 3 && looks_like_task_id(word) {
            return Some(word.to_owned());
        }
        let is_task = ["task", "taskid", "task_id", "task-id"].contains(&lower.as_str());
        is_about_task = is_task || is_about_task && lower == "id";
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_word_that_does_not_stand_for_nothing() {
        let ids = [
            "t1",
            "a\"b\\c",
            "123456789012345678901234567890",
            "00",
            "video_123",
            "nullable",
        ];
        for id in ids {
            assert_eq!(task_id(id), Some(id));
        }
        for nothing in [
            "",
            "  ",
            "null",
            "NULL",
            " undefined ",
            "NaN",
            "None",
            "true",
            "False",
            "0",
            "-1",
            "[object Object]",
            "Task created",
            "a\nb",
        ] {
            assert_eq!(task_id(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn an_unnamed_task_looks_like_one() {
        let id = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let table = [
            (format!(r#"{{"data":"{id}"}}"#), Some(id)),
            (format!(r#"{{"data":"\"{id}\""}}"#), Some(id)),
            (format!(r#"{{"data":{{"data":"{id}"}}}}"#), Some(id)),
            (format!(r#"{{"data":{{"id":"{id}"}}}}"#), Some(id)),
            // This body is broken at its end.
            (format!(r#"{{"data":"{id}","n":1e999}}"#), Some(id)),
            (
                r#"{"data":123456789012345678901234567890}"#.to_owned(),
                Some("123456789012345678901234567890"),
            ),
            (format!(r#"{{"data":{{"taskIds":["{id}"]}}}}"#), Some(id)),
            (format!(r#"{{"TaskID":"{id}"}}"#), Some(id)),
            (format!(r#"{{"job":{{"id":"{id}"}}}}"#), Some(id)),
            (format!(r#"{{"a":[{{"video_id":"{id}"}}]}}"#), Some(id)),
            (r#"{"generation_id":12345678}"#.to_owned(), Some("12345678")),
            (
                format!(r#""{{\"code\":200,\"taskIDs\":[\"{id}\"]}}""#),
                Some(id),
            ),
            (format!(r#"{{"msg":"Task {id} is there"}}"#), Some(id)),
            (format!(r#"{{"msg":"See task ID: '{id}'."}}"#), Some(id)),
            (format!("<p>taskId={id}</p>"), Some(id)),
            (format!(r#"{{"msg":"任务{id}已存在"}}"#), Some(id)),
            (
                r#"{"msg":"task_9f8e7d6c"}"#.to_owned(),
                Some("task_9f8e7d6c"),
            ),
            (format!(r#"{{"msg":"x (request id: {id})"}}"#), None),
            (format!(r#"{{"request_id":"{id}"}}"#), None),
            (
                r#"{"type":"task_error_500","task":"image2video"}"#.to_owned(),
                None,
            ),
            (r#"{"msg":"The task failed 20260101"}"#.to_owned(), None),
            (format!(r#"{{"id":"{id}","data":null}}"#), None),
            (r#"{"data":"queued"}"#.to_owned(), None),
            (r#"{"data":"in_progress"}"#.to_owned(), None),
            (r#"{"data":"t1"}"#.to_owned(), None),
            (r#"{"data":"The prompt is 9000 long"}"#.to_owned(), None),
            (r#"{"data":"https://x.net/v1.mp4"}"#.to_owned(), None),
            (format!(r#"{{"data":"{}"}}"#, "a1".repeat(257)), None),
            ("<html>".to_owned(), None),
        ];
        for (body, wanted) in table {
            let id = possible_task(body.as_bytes(), true);
            let wanted = wanted.map(|id| Named::Possible(id.to_owned()));
            assert_eq!(id, wanted, "{body}");
        }
    }
}
