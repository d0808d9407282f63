//! The Veo and common endpoints of kie.ai. A refusal is normally HTTP 200 with another `code` in the body.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::fields::{duration, json_object, text, word};
use crate::media::clip;
use crate::state::{Recent, Shared, now, unique_id};

// These are seen on the live service or documented.
const INVALID_MODEL: Refusal = Refusal(422, "Invalid model");
const INVALID_RATIO: Refusal = Refusal(422, "Ratio error");
const UNKNOWN_TASK: Refusal = Refusal(422, "record is null.");
const UNFINISHED_TASK: Refusal = Refusal(422, "record status is not success.");
const INVALID_URL: Refusal = Refusal(422, "url is wrong");
// The words for these are not known; they follow those that are.
const INVALID_BODY: Refusal = Refusal(422, "The request body must be a JSON object.");
const INVALID_RESOLUTION: Refusal = Refusal(422, "Resolution error");
const INVALID_DURATION: Refusal = Refusal(422, "Duration error");
const NO_PROMPT: Refusal = Refusal(422, "Please enter prompt.");
const UNKNOWN_SOURCE: Refusal = Refusal(404, "The original video does not exist.");

/// A task becomes a success at the poll after these.
const POLLS_WHILE_GENERATING: u32 = 2;

/// A video in the making, or made.
pub(crate) struct Task {
    /// What was asked for, as the record repeats it.
    param_json: String,
    resolution: String,
    portrait: bool,
    seconds: u64,
    is_extension: bool,
    created_ms: u64,
    completed_ms: Option<u64>,
    polls: u32,
    calls_for_4k: u32,
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/veo/generate", post(generate))
        .route("/api/v1/veo/extend", post(extend))
        .route("/api/v1/veo/record-info", get(record_info))
        .route("/api/v1/veo/get-1080p-video", get(get_1080p_video))
        .route("/api/v1/veo/get-4k-video", post(get_4k_video))
        .route("/api/v1/chat/credit", get(credit))
        .route("/api/v1/common/download-url", post(download_url))
}

/// A refusal in the provider's envelope, as HTTP 200.
pub(crate) struct Refusal(pub(crate) u16, pub(crate) &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(code, message) = self;
        Json(json!({ "code": code, "msg": message, "data": null })).into_response()
    }
}

/// The refusal of a request without a key. It alone has no `data`.
pub(crate) fn unauthorized() -> Response {
    let message = "Unauthorized \u{2013} Authentication failed. \
                   Please check that your Authorization and Content-Type headers are correctly set.";
    Json(json!({ "code": 401, "msg": message })).into_response()
}

impl Task {
    fn generate(request: &Map<String, Value>) -> Result<Task, Refusal> {
        let prompt = text(request, "prompt").ok_or(NO_PROMPT)?;
        let models = ["veo3_fast", "veo3", "veo3_lite"];
        let model = word(request, "model", &models).ok_or(INVALID_MODEL)?;
        // Both spellings are in use; the newer one wins.
        let newer = request.contains_key("aspect_ratio");
        let ratio_key = if newer { "aspect_ratio" } else { "aspectRatio" };
        let ratio = word(request, ratio_key, &["16:9", "9:16", "Auto"]).ok_or(INVALID_RATIO)?;
        let resolutions = ["720p", "1080p", "4k"];
        let resolution = word(request, "resolution", &resolutions).ok_or(INVALID_RESOLUTION)?;
        Ok(Task {
            resolution: resolution.to_owned(),
            portrait: ratio == "9:16",
            seconds: duration(request).ok_or(INVALID_DURATION)?,
            ..Task::new(&json!({ "aspectRatio": ratio, "model": model, "prompt": prompt }))
        })
    }

    fn extend(request: &Map<String, Value>, tasks: &mut Recent<Task>) -> Result<Task, Refusal> {
        let prompt = text(request, "prompt").ok_or(NO_PROMPT)?;
        let models = ["fast", "quality", "lite"];
        let model = word(request, "model", &models).ok_or(INVALID_MODEL)?;
        let id = text(request, "taskId").unwrap_or_default();
        let source = tasks.get_mut(id).ok_or(UNKNOWN_SOURCE)?;
        Ok(Task {
            portrait: source.portrait,
            // An extension adds 7 seconds. No clip has that length; this one is shorter than the full film below.
            seconds: 6,
            is_extension: true,
            ..Task::new(&json!({ "model": model, "prompt": prompt, "taskId": id }))
        })
    }

    fn new(params: &Value) -> Task {
        Task {
            param_json: params.to_string(),
            resolution: "720p".to_owned(),
            portrait: false,
            seconds: 8,
            is_extension: false,
            created_ms: now_ms(),
            completed_ms: None,
            polls: 0,
            calls_for_4k: 0,
        }
    }

    fn poll(&mut self) {
        self.polls += 1;
        if self.polls > POLLS_WHILE_GENERATING {
            self.completed_ms.get_or_insert_with(now_ms);
        }
    }
}

async fn generate(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(INVALID_BODY)?;
    let task = Task::generate(&request)?;
    Ok(accept(task, &mut sim.state().kie_tasks))
}

async fn extend(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(INVALID_BODY)?;
    let tasks = &mut sim.state().kie_tasks;
    let task = Task::extend(&request, tasks)?;
    Ok(accept(task, tasks))
}

async fn record_info(
    State(sim): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let id = query.get("taskId").map_or("", String::as_str);
    let state = &mut *sim.state();
    let task = state.kie_tasks.get_mut(id).ok_or(UNKNOWN_TASK)?;
    task.poll();
    let response = task.completed_ms.map(|_| {
        let mut publish = |suffix, seconds| {
            let file = clip(task.portrait, seconds);
            json!([sim.publish(&mut state.videos, format!("{id}{suffix}.mp4"), file)])
        };
        let mut response = json!({
            "taskId": id,
            "resolution": task.resolution,
            "originUrls": null,
            "resultUrls": publish("", task.seconds),
            "hasAudioList": [true],
            "seeds": [56896],
        });
        if task.portrait {
            response["originUrls"] = publish("_origin", task.seconds);
        }
        if task.is_extension {
            response["fullResultUrls"] = publish("_full", 8);
        }
        response
    });
    Ok(success(json!({
        "taskId": id,
        "paramJson": task.param_json,
        "response": response,
        "successFlag": u8::from(task.completed_ms.is_some()),
        "fallbackFlag": false,
        "completeTime": task.completed_ms,
        "createTime": task.created_ms,
        "errorCode": null,
        "errorMessage": null,
    })))
}

async fn get_1080p_video(
    State(sim): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let id = query.get("taskId").map_or("", String::as_str);
    let state = &mut *sim.state();
    let task = finished(&mut state.kie_tasks, id)?;
    let file = clip(task.portrait, task.seconds);
    let url = sim.publish(&mut state.videos, format!("{id}_1080p.mp4"), file);
    Ok(success(json!({ "resultUrl": url })))
}

/// Starts the upgrade, then says that it runs, and from the third call on hands it out, as a refusal that carries
/// data.
async fn get_4k_video(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(INVALID_BODY)?;
    let id = text(&request, "taskId").unwrap_or_default();
    let state = &mut *sim.state();
    let task = finished(&mut state.kie_tasks, id)?;
    task.calls_for_4k += 1;
    let mut data = json!({ "taskId": id, "resultUrls": null, "imageUrls": null });
    let message = match task.calls_for_4k {
        1 => return Ok(success(data)),
        2 => "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.",
        _ => {
            let file = clip(task.portrait, task.seconds);
            let url = sim.publish(&mut state.videos, format!("{id}_4k.mp4"), file);
            data["resultUrls"] = json!([url]);
            "The video has been generated successfully"
        }
    };
    Ok(Json(json!({ "code": 422, "msg": message, "data": data })).into_response())
}

async fn credit() -> Response {
    // The balance is fractional on the wire, whatever the documentation says.
    success(json!(1250.75))
}

async fn download_url(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(INVALID_BODY)?;
    let url = text(&request, "url").ok_or(INVALID_URL)?;
    let path = url.strip_prefix(&sim.media_url("")).ok_or(INVALID_URL)?;
    sim.state().videos.get_mut(path).ok_or(INVALID_URL)?;
    Ok(success(json!(format!("{url}?link={}", unique_id()))))
}

fn accept(task: Task, tasks: &mut Recent<Task>) -> Response {
    let id = unique_id();
    tasks.put(id.clone(), task);
    success(json!({ "taskId": id }))
}

fn finished<'a>(tasks: &'a mut Recent<Task>, id: &str) -> Result<&'a mut Task, Refusal> {
    let task = tasks.get_mut(id).ok_or(UNKNOWN_TASK)?;
    if task.completed_ms.is_none() {
        return Err(UNFINISHED_TASK);
    }
    Ok(task)
}

fn success(data: Value) -> Response {
    Json(json!({ "code": 200, "msg": "success", "data": data })).into_response()
}

/// Milliseconds, but of whole seconds, as seen on the wire.
fn now_ms() -> u64 {
    now().as_secs() * 1000
}
