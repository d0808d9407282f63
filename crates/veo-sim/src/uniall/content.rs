//! The file of a video at the gateway's own address.

use serde_json::json;

use crate::media;
use crate::reply::Reply;
use crate::scenario::Fate;
use crate::task::Progress;
use crate::visit::Visit;

/// Answers with the video of a task, or with the requested part of it.
pub(crate) fn content(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let id = id(visit.path);
    {
        let unknown = || error(404, "invalid_request_error", "Task not found");
        let state = &mut *visit.shared.state();
        let task = state.tasks.get(id).ok_or_else(unknown)?;
        if task.account != visit.account {
            return Err(unknown());
        }
        let fate = task.fate;
        let status = match state.settle(id) {
            Some(Progress::Running(0.0)) => "QUEUED",
            Some(Progress::Running(_)) => "IN_PROGRESS",
            _ if fate.is_failure() => "FAILURE",
            // The upstream service has no video.
            _ if fate == Fate::Filtered => {
                return Err(error(502, "server_error", "Failed to fetch video content"));
            }
            _ => "SUCCESS",
        };
        if status != "SUCCESS" {
            let words = format!("Task is not completed yet, current status: {status}");
            return Err(error(400, "invalid_request_error", &words));
        }
    }
    let mut reply = media::video_of(visit.shared, id, visit.parts, visit.fault);
    let day = "public, max-age=86400".to_owned();
    reply.headers.push(("cache-control", day));
    Ok(reply)
}

/// The address of the content of a task.
pub(crate) fn url(base: &str, id: &str) -> String {
    format!("{base}/v1/videos/{id}/content")
}

/// The id in the path of this operation.
fn id(path: &str) -> &str {
    path.trim_end_matches("/content")
        .rsplit('/')
        .next()
        .unwrap_or_default()
}

/// An error of this operation, which has no code.
fn error(status: u16, kind: &str, words: &str) -> Reply {
    Reply::json(
        status,
        json!({ "error": { "message": words, "type": kind } }),
    )
}
