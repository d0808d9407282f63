//! The state of a task.

use serde_json::{Value, json};

use super::errors::task_error;
use super::shapes::enveloped;
use crate::media;
use crate::reply::Reply;
use crate::scenario::Fate;
use crate::task::{Progress, Task};
use crate::visit::Visit;

/// The folder of tasks at which stock gateway software answers in the form of its own table.
pub(crate) const IN_ENVELOPE: &str = "/v1/video/generations/";

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
        Progress::Ended => ended(task, id, &upstream, &visit.shared.media_url),
    };
    if visit.path.starts_with(IN_ENVELOPE) {
        return Ok(Reply::json(200, enveloped(&job)));
    }
    Ok(Reply::json(200, job))
}

/// A task in UniAll's form.
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
    // This field stands for the members that are not documented.
    job["trace_id"] = json!(upstream);
    if task.fate == Fate::Filtered {
        job["raiMediaFilteredCount"] = json!(1);
        job["raiMediaFilteredReasons"] = json!(["blocked"]);
    } else if failure.is_none() {
        let url = media::url(base, id, "");
        job["result"] = json!({ "outputs": [url], "video_url": url });
        job["video_url"] = json!(url);
    }
    job
}

/// The id of a task in the service behind UniAll's gateway. It is the `task_id` in every reply but the first.
fn upstream_id(id: &str) -> String {
    id.trim_start_matches("task_").chars().rev().collect()
}

/// The code and the words of a failed task. They are Google's, which the gateway repeats, or the gateway's own.
fn failure(fate: Fate) -> Option<(&'static str, &'static str)> {
    match fate {
        Fate::PromptRefused => Some((
            "3",
            "The prompt could not be submitted. This prompt contains words that violate Google's Responsible AI \
             practices. Try rephrasing the prompt. Support codes: 58061214",
        )),
        Fate::ImageRefused => Some((
            "3",
            "Sorry, we can't create videos from input images containing celebrity or their likenesses. Please remove \
             the reference and try again.",
        )),
        Fate::NoAudio => Some((
            "3",
            "We encountered an issue with the audio for your prompt, which led us to not create the video. You weren't \
             charged for this attempt. Please try again or edit your prompt.",
        )),
        Fate::Retired => Some((
            "404",
            "models/veo-3.1-fast-generate-preview is no longer available",
        )),
        Fate::Failed | Fate::FailedButCharged | Fate::FailedEarly => {
            Some(("", "task failed: generation_failed"))
        }
        Fate::Made | Fate::Filtered | Fate::Stuck | Fate::Smaller | Fate::Fallback | Fate::No4k => {
            None
        }
    }
}
