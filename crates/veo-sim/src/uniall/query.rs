//! The state of a task.

use serde_json::{Value, json};

use super::errors::task_error;
use crate::media;
use crate::reply::Reply;
use crate::scenario::Fate;
use crate::task::{Progress, Task};
use crate::visit::Visit;

/// Answers with the state of a task, or with a refusal.
pub(crate) fn query(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let unknown = || task_error(400, "task_not_exist", "task_not_exist");
    let id = visit.path.rsplit('/').next().unwrap_or_default();
    let state = &mut *visit.shared.state();
    let progress = state.ask(&visit.account, id).ok_or_else(unknown)?;
    let task = state.tasks.get(id).ok_or_else(unknown)?;
    let upstream = upstream_id(id);
    let job = match progress {
        Progress::Running(0.0) => job(task, id, &upstream, "queued", 0),
        Progress::Running(part) => {
            let percent = (part * 100.0) as u64;
            job(task, id, &upstream, "in_progress", percent)
        }
        Progress::Ended => ended(task, id, &upstream, &visit.shared.url),
    };
    Ok(Reply::json(200, job))
}

/// A task as UniAll tells of it.
pub(crate) fn job(task: &Task, id: &str, task_id: &str, status: &str, progress: u64) -> Value {
    json!({
        "id": id,
        "task_id": task_id,
        "object": "video.generation.job",
        "model": task.echo,
        "status": status,
        "progress": progress,
        "created_at": task.work.started.as_secs(),
    })
}

fn ended(task: &Task, id: &str, upstream: &str, base: &str) -> Value {
    let failure = failure(task.fate);
    let (status, raw_status) = match failure {
        Some(_) => ("failed", "FAILED"),
        None => ("completed", "COMPLETED"),
    };
    let mut job = job(task, id, upstream, status, 100);
    job["raw_status"] = json!(raw_status);
    job["error"] = match failure {
        Some((code, words)) => json!({ "message": words, "code": code }),
        None => Value::Null,
    };
    // This one stands for the members that nobody has documented.
    job["trace_id"] = json!(upstream);
    if failure.is_none() && task.fate != Fate::Filtered {
        let url = media::url(base, id, "");
        job["result"] = json!({ "outputs": [url], "video_url": url });
        job["video_url"] = json!(url);
    }
    job
}

/// The name of a task behind UniAll's gateway. It shows through as `task_id` in every reply but the first.
fn upstream_id(id: &str) -> String {
    id.trim_start_matches("task_").chars().rev().collect()
}

/// The code and the words of a task that has failed. They are Google's, which the gateway hands through.
fn failure(fate: Fate) -> Option<(&'static str, &'static str)> {
    match fate {
        Fate::PromptRefused => Some((
            "400",
            "The prompt could not be submitted: it may violate the usage guidelines. Support codes: 15236754",
        )),
        Fate::ImageRefused => Some(("400", "public error unsafe image upload.")),
        Fate::NoAudio => Some((
            "400",
            "The Google model was unable to generate audio for this request.",
        )),
        Fate::Failed | Fate::FailedButCharged => Some(("422", "failed")),
        Fate::FailedEarly => Some(("500", "Internal Error, Please try again later.")),
        Fate::Made | Fate::Filtered | Fate::Stuck | Fate::Smaller | Fate::Fallback | Fate::No4k => {
            None
        }
    }
}
