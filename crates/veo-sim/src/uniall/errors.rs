//! UniAll's errors. There are two families: an `error` object about routing and API keys, and a flat `code`, `message`
//! and `data` about tasks.

use serde_json::json;

use crate::reply::Reply;
use crate::state::unique_id;

// The gateway's own words are Chinese.
pub(crate) const SATURATED: &str = "当前分组上游负载已饱和，请稍后再试";
pub(crate) const EMPTY_ACCOUNT: &str = "用户额度不足, 剩余额度: $0.02";

/// The codes that are in an `error` object although the request is about a task.
const GATEWAY_CODES: [&str; 10] = [
    "access_denied",
    "bad_response",
    "bad_response_status_code",
    "channel:no_available_key",
    "content_policy_violation",
    "convert_request_failed",
    "empty_response",
    "model_not_found",
    "prompt_blocked",
    "sensitive_words_detected",
];

/// An error. The status gives the default code and words, and the code decides the family.
pub(crate) fn error(status: u16, code: Option<&str>, words: Option<&str>) -> Reply {
    let (usual_code, usual_words) = match status {
        401 => ("", "Invalid token"),
        402 => ("insufficient_user_quota", EMPTY_ACCOUNT),
        403 => ("access_denied", "This token may not use the model"),
        404 => ("", "Invalid URL"),
        408 => (
            "do_request_failed",
            "The upstream service did not answer in time",
        ),
        413 => ("read_request_body_failed", "The request body is too large"),
        429 => ("do_request_failed", SATURATED),
        503 => (
            "model_not_found",
            "No available channel for model veo3.1-fast-video-720p under group default",
        ),
        500.. => (
            "do_request_failed",
            "The request to the upstream service failed",
        ),
        _ => ("invalid_request", "Invalid request"),
    };
    let code = code.unwrap_or(usual_code);
    let words = words.unwrap_or(usual_words);
    if code.is_empty() || GATEWAY_CODES.contains(&code) {
        gateway_error(status, code, words)
    } else {
        task_error(status, code, words)
    }
}

pub(crate) fn gateway_error(status: u16, code: &str, words: &str) -> Reply {
    let error = if status == 404 {
        json!({ "message": words, "type": "invalid_request_error", "param": "", "code": code })
    } else {
        // The gateway adds an id to every message of its own.
        let message = format!("{words} (request id: {})", unique_id());
        json!({ "message": message, "type": "new_api_error", "param": "", "code": code })
    };
    Reply::json(status, json!({ "error": error }))
}

pub(crate) fn task_error(status: u16, code: &str, words: &str) -> Reply {
    Reply::json(
        status,
        json!({ "code": code, "message": words, "data": null }),
    )
}
