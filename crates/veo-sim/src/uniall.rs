//! The video endpoints of UniAll. Refusals come in two families: an `error` object from routing and keys, and a flat
//! `code`, `message`, `data` from the tasks themselves.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::fields::{duration, json_object, text, word};
use crate::media::clip;
use crate::state::{Shared, now, unique_id};

const MODELS: [&str; 6] = [
    "veo3.1-video-720p",
    "veo3.1-video-1080p",
    "veo3.1-video-4k",
    "veo3.1-fast-video-720p",
    "veo3.1-fast-video-1080p",
    "veo3.1-fast-video-4k",
];

/// A video in the making, or made.
pub(crate) struct Task {
    model: String,
    /// The name behind the gateway. It shows through as `task_id` in every answer but the first.
    upstream_id: String,
    portrait: bool,
    seconds: u64,
    created_at: u64,
    polls: u32,
}

/// A refusal: HTTP status, code, message.
pub(crate) enum Refusal {
    Gateway(StatusCode, &'static str, String),
    Task(StatusCode, &'static str, &'static str),
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/video/generations", post(create)).route("/v1/videos/{id}", get(query))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Gateway(status, code, message) => {
                let kind = match status {
                    StatusCode::NOT_FOUND => "invalid_request_error",
                    _ => "new_api_error",
                };
                let error = json!({ "message": message, "type": kind, "param": "", "code": code });
                (status, Json(json!({ "error": error }))).into_response()
            }
            Refusal::Task(status, code, message) => {
                let error = json!({ "code": code, "message": message, "data": null });
                (status, Json(error)).into_response()
            }
        }
    }
}

impl Task {
    fn new(request: &Map<String, Value>) -> Result<Task, Refusal> {
        // The gateway chooses a channel by the model before anything looks at the rest.
        let model = text(request, "model").ok_or_else(|| bad_request("no model is named"))?;
        if !MODELS.contains(&model) {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let message = format!("No available channel for model {model}");
            return Err(Refusal::Gateway(status, "model_not_found", message));
        }
        let invalid = |why| Refusal::Task(StatusCode::BAD_REQUEST, "invalid_request", why);
        text(request, "prompt").ok_or(invalid("prompt is required"))?;
        let ratio =
            word(request, "aspect_ratio", &["16:9", "9:16"]).ok_or(invalid("aspect_ratio must be 16:9 or 9:16"))?;
        let seconds = duration(request).ok_or(invalid("duration must be the integer 4, 6 or 8"))?;
        if !request.get("images").is_none_or(is_two_or_three_strings) {
            return Err(invalid("images must be an array of 2 to 3 URLs"));
        }
        Ok(Task {
            model: model.to_owned(),
            upstream_id: unique_id(),
            portrait: ratio == "9:16",
            seconds,
            created_at: now().as_secs(),
            polls: 0,
        })
    }

    fn job(&self, id: &str, task_id: &str, status: &str, progress: u8) -> Value {
        json!({
            "id": id,
            "task_id": task_id,
            "object": "video.generation.job",
            "model": self.model,
            "status": status,
            "progress": progress,
            "created_at": self.created_at,
        })
    }
}

async fn create(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let not_an_object = || bad_request("the body must be a JSON object");
    let task = Task::new(&json_object(&body).ok_or_else(not_an_object)?)?;
    let id = format!("task_{}", unique_id());
    let job = task.job(&id, &id, "queued", 0);
    sim.state().uniall_tasks.put(id, task);
    Ok(Json(job).into_response())
}

async fn query(State(sim): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let state = &mut *sim.state();
    let code = "task_not_exist";
    let unknown = Refusal::Task(StatusCode::BAD_REQUEST, code, code);
    let task = state.uniall_tasks.get_mut(&id).ok_or(unknown)?;
    task.polls += 1;
    let (status, progress) = match task.polls {
        1 => ("queued", 0),
        2 => ("in_progress", 5),
        3 => ("in_progress", 50),
        _ => ("completed", 100),
    };
    let mut job = task.job(&id, &task.upstream_id, status, progress);
    if status == "completed" {
        let file = clip(task.portrait, task.seconds);
        let url = sim.publish(&mut state.videos, format!("{id}.mp4"), file);
        job["error"] = Value::Null;
        job["result"] = json!({ "outputs": [url], "video_url": url });
        job["video_url"] = json!(url);
        job["raw_status"] = json!("COMPLETED");
        // This one stands for the members that nobody has documented.
        job["trace_id"] = json!(task.upstream_id);
    }
    Ok(stored(&job))
}

fn bad_request(why: &str) -> Refusal {
    let message = format!("Invalid request: {why}");
    Refusal::Gateway(StatusCode::BAD_REQUEST, "", message)
}

fn is_two_or_three_strings(value: &Value) -> bool {
    value.as_array().is_some_and(|items| (2..=3).contains(&items.len()) && items.iter().all(Value::is_string))
}

/// Prints a job as the gateway's database does: shorter names first, then by bytes.
fn stored(job: &Value) -> Response {
    let mut members: Vec<_> = job.as_object().into_iter().flatten().collect();
    members.sort_by_key(|(name, _)| (name.len(), name.as_str()));
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let body = format!("{{{}}}", members.join(", "));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
