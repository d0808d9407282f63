//! The envelope of kie.ai's replies. A refusal is normally HTTP 200 with another `code` in the body.

use serde_json::{Map, Value, json};

use crate::reply::Reply;
use crate::visit::Visit;

/// A refusal: code and message.
pub(crate) struct Refusal(pub(crate) u16, pub(crate) &'static str);

pub(crate) type Answer = Result<Reply, Refusal>;

// These words were seen, or are on kie.ai's pages.
pub(crate) const UNKNOWN_TASK: Refusal = Refusal(422, "record is null.");
pub(crate) const FIELD_MISSING: Refusal = Refusal(500, "This field is required");
pub(crate) const SERVER_ERROR: Refusal = Refusal(
    500,
    "Server Error - An unexpected error occurred while processing the request",
);
// These words are not known in full, and are made like those that are known.
pub(crate) const NO_CREDITS: Refusal = Refusal(
    402,
    "Credits insufficient : Your current balance isn't enough to run this request.",
);
pub(crate) const TOO_MANY: Refusal = Refusal(
    429,
    "Your call frequency is too high. Please try again later.",
);
pub(crate) const INVALID: Refusal = Refusal(
    422,
    "Validation Error - The request parameters failed validation checks",
);
const INVALID_BODY: Refusal = Refusal(422, "The request body must be a JSON object.");

impl From<Refusal> for Reply {
    fn from(Refusal(code, message): Refusal) -> Reply {
        error(200, Some(code), Some(message))
    }
}

pub(crate) fn success(data: Value) -> Reply {
    Reply::json(200, json!({ "code": 200, "msg": "success", "data": data }))
}

/// An error in the envelope, with the words that kie.ai documents for its code if none are given.
pub(crate) fn error(status: u16, code: Option<u16>, words: Option<&str>) -> Reply {
    let code = code.unwrap_or(status);
    let words = words.unwrap_or(match code {
        400 => "Your prompt was flagged by Website as violating content policies.",
        401 => {
            "Unauthorized \u{2013} Authentication failed. \
             Please check that your Authorization and Content-Type headers are correctly set."
        }
        402 => NO_CREDITS.1,
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        408 => {
            "Upstream is currently experiencing service issues. No result has been returned for over 10 minutes."
        }
        422 => UNKNOWN_TASK.1,
        429 => TOO_MANY.1,
        451 => {
            "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
        }
        455 => "Service Unavailable - System is currently undergoing maintenance",
        500 => SERVER_ERROR.1,
        501 => "Generation Failed - Video generation task failed",
        505 => "Feature Disabled - The requested feature is currently disabled",
        _ => "Error",
    });
    let mut body = json!({ "code": code, "msg": words });
    // Only the refusals of an API key and of a missing field have no `data`.
    if code != 401 && words != FIELD_MISSING.1 {
        body["data"] = Value::Null;
    }
    Reply::json(status, body)
}

/// The body of a request as a JSON object.
pub(crate) fn body(visit: &Visit<'_>) -> Result<Map<String, Value>, Refusal> {
    visit.json().ok_or(INVALID_BODY)
}

/// Refuses a request that the specification does not allow. kie.ai's words for this refusal are not known.
pub(crate) fn fits(visit: &Visit<'_>) -> Result<(), Refusal> {
    if visit.mismatches.is_empty() {
        Ok(())
    } else {
        Err(INVALID)
    }
}
