//! UniAll's errors. They come in two families: an `error` object about routing and keys, and a flat `code`, `message`,
//! `data` about tasks.

use serde_json::json;

use crate::reply::Reply;
use crate::state::unique_id;

pub(crate) const SATURATED: &str =
    "The upstream of this group is saturated, please try again later";

/// An error, with the code, the words and the family that go with its status if none are given.
pub(crate) fn error(status: u16, code: Option<&str>, words: Option<&str>) -> Reply {
    let (is_gateway, usual_code, usual_words) = match status {
        401 => (true, "", "Invalid token"),
        402 => (false, "insufficient_user_quota", "The balance is too low"),
        403 => (true, "access_denied", "This token may not use the model"),
        404 => (true, "", "Invalid URL"),
        408 => (
            false,
            "do_request_failed",
            "The upstream service did not answer in time",
        ),
        413 => (
            false,
            "read_request_body_failed",
            "The request body is too large",
        ),
        429 => (false, "fail_to_fetch_task", SATURATED),
        503 => (
            true,
            "model_not_found",
            "No available channel for the model",
        ),
        500.. => (
            false,
            "do_request_failed",
            "The request to the upstream service failed",
        ),
        _ => (false, "invalid_request", "Invalid request"),
    };
    let words = words.unwrap_or(usual_words);
    match code {
        None if is_gateway => gateway_error(status, usual_code, words),
        code => task_error(status, code.unwrap_or(usual_code), words),
    }
}

pub(crate) fn gateway_error(status: u16, code: &str, words: &str) -> Reply {
    let kind = if status == 404 {
        "invalid_request_error"
    } else {
        "new_api_error"
    };
    // The gateway adds an id to every message.
    let message = format!("{words} (request id: {})", unique_id());
    let error = json!({ "message": message, "type": kind, "param": "", "code": code });
    Reply::json(status, json!({ "error": error }))
}

pub(crate) fn task_error(status: u16, code: &str, words: &str) -> Reply {
    Reply::json(
        status,
        json!({ "code": code, "message": words, "data": null }),
    )
}
