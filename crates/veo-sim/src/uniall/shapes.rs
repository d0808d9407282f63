//! The other shapes of UniAll's replies.

use serde_json::{Value, json};

use super::content;
use crate::shape::Shape;

/// Puts a reply into another shape. A shape of kie.ai leaves the reply unchanged. `base` is the URL of the API.
pub(crate) fn reshape(shape: Shape, reply: &mut Value, base: &str) {
    match shape {
        Shape::Nulls | Shape::NumbersAsText | Shape::UnknownFields => shape.apply(reply),
        // All other shapes are about tasks, so they leave refusals unchanged.
        _ if reply.get("id").is_none() => {}
        Shape::UnknownState => reply["status"] = json!("dreaming"),
        Shape::NoData => *reply = json!({ "code": "success", "message": "", "data": null }),
        Shape::Envelope => *reply = enveloped(reply),
        Shape::TaskIdOnly => *reply = json!({ "task_id": reply["id"], "status": reply["status"] }),
        Shape::BareId => *reply = json!({ "code": "success", "message": "", "data": reply["id"] }),
        Shape::StockVideo => {
            let url = take_member(reply, "video_url");
            take_member(reply, "result");
            reply["object"] = json!("video");
            if let Some(url) = url {
                reply["metadata"] = json!({ "url": url });
            }
        }
        Shape::ContentOnly => {
            take_member(reply, "video_url");
            take_member(reply, "result");
        }
        Shape::ContentUrl => {
            take_member(reply, "result");
            let id = reply["id"].as_str().unwrap_or_default();
            let url = content::url(base, id);
            if take_member(reply, "video_url").is_some() {
                reply["metadata"] = json!({ "url": url });
            }
        }
        Shape::OutputsOnly => {
            take_member(reply, "video_url");
            if let Some(result) = reply.get_mut("result") {
                take_member(result, "video_url");
            }
        }
        Shape::OtherStates if reply["status"] == "in_progress" => {
            reply["status"] = json!("processing");
        }
        Shape::OtherStates if reply["status"] == "completed" => {
            reply["status"] = json!("succeeded");
        }
        Shape::UnderWay if reply["status"] == "queued" => {
            reply["status"] = json!("in_progress");
            reply["progress"] = json!(5);
        }
        Shape::UpperCase => {
            let status = reply["status"].as_str().unwrap_or_default();
            reply["status"] = json!(status.to_uppercase());
        }
        Shape::PercentAsText => reply["progress"] = json!(format!("{}%", reply["progress"])),
        Shape::ErrorAsText if reply["error"].is_object() => {
            reply["error"] = reply["error"]["message"].take();
        }
        Shape::ErrorIsNull if reply.get("error").is_some() => reply["error"] = Value::Null,
        _ => {}
    }
}

fn take_member(object: &mut Value, name: &str) -> Option<Value> {
    object.as_object_mut()?.remove(name)
}

/// A task as a row of the gateway's own table.
pub(crate) fn enveloped(task: &Value) -> Value {
    let status = match task["status"].as_str() {
        Some("queued") => "QUEUED",
        Some("in_progress") => "IN_PROGRESS",
        Some("completed") => "SUCCESS",
        _ => "FAILURE",
    };
    let row = json!({
        "id": 123,
        "created_at": task["created_at"],
        "task_id": task["id"],
        "platform": "45",
        "action": "generate",
        "status": status,
        "fail_reason": task["error"]["message"].as_str().unwrap_or_default(),
        "result_url": task["video_url"].as_str().unwrap_or_default(),
        "progress": format!("{}%", task["progress"]),
        "data": task,
    });
    json!({ "code": "success", "message": "", "data": row })
}
