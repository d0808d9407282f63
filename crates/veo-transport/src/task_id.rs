//! The ids of tasks, which are opaque: what can be one, for all providers.

use serde_json::Value;

use crate::json::{json, members};

/// What a reply to a paid request says of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Named {
    /// It names a task by this id, so there is a job.
    Task(String),
    /// It is a refusal, and has this text where the id of a task would be: there may be a job.
    Perhaps(String),
}

/// The id in a text that is given as that of a task; nothing if the text only says that there is none.
///
/// ```
/// use veo_transport::task_id;
///
/// assert_eq!(task_id(" task_x "), Some("task_x"));
/// assert_eq!(task_id("undefined"), None);
/// assert_eq!(task_id("it is queued"), None);
/// ```
pub fn task_id(text: &str) -> Option<&str> {
    /// What programs write for nothing.
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

/// Whether a text looks like the id of a task by itself, where nothing says that it is one: it is no word for a state, no
/// sentence and no link.
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

/// A text that [looks like the id of a task](looks_like_task_id) in the `data` of a reply, or as the `id` in that.
pub fn unnamed_task(body: &[u8]) -> Option<String> {
    let inside = json(body)
        .ok()
        .and_then(|reply| Some(reply.get("data")?.get("id")?.as_str()?.to_owned()));
    members(body, "data")
        .chain(inside)
        .map(unquoted)
        .find(|text| looks_like_task_id(text))
}

/// A text that can have been encoded as JSON once more.
pub fn unquoted(text: String) -> String {
    match json(text.as_bytes()) {
        Ok(Value::String(inside)) => unquoted(inside),
        _ => text,
    }
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
            // Broken at its end.
            (format!(r#"{{"data":"{id}","n":1e999}}"#), Some(id)),
            (
                r#"{"data":123456789012345678901234567890}"#.to_owned(),
                Some("123456789012345678901234567890"),
            ),
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
            assert_eq!(unnamed_task(body.as_bytes()).as_deref(), wanted, "{body}");
        }
    }
}
