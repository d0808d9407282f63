//! A web backend that makes videos and never pays twice for one, even if it is killed. Copy it as a start for your own;
//! `docs/web-backend.md` describes it. With the simulator in place of kie.ai, it needs no real API key:
//!
//! ```console
//! cargo run -p veo-sim &
//! KIE_BASE_URL=http://127.0.0.1:8787 KIE_API_KEY=signed-callbacks KIE_WEBHOOK_KEY=test_webhook_hmac_key \
//!     cargo run -p veo-core --example server &
//! curl http://127.0.0.1:8788/videos -H 'Idempotency-Key: order-17' --json '{"prompt":"A red kite"}'
//! curl http://127.0.0.1:8788/videos/order-17
//! ```
//!
//! | variable | |
//! | --- | --- |
//! | `KIE_API_KEY` | the API key of kie.ai |
//! | `KIE_WEBHOOK_KEY` | the `webhookHmacKey` of kie.ai's settings |
//! | `KIE_BASE_URL` | an address other than kie.ai's own, such as the simulator's |
//! | `ADDRESS` | the address at which the server listens; `127.0.0.1:8788` if not set |
//! | `PUBLIC_URL` | the URL at which kie.ai reaches the server; `http://` and the address if not set. Never change it |
//! | `LEDGER` | the path of the ledger, on a disk that outlives the server; `videos.ledger` if not set |
//! | `VIDEOS` | the folder for the videos; `videos` if not set |
//! | `ADMIN_KEY` | the secret with which an operator settles unknown requests; nobody can settle them if not set |
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::env;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use veo_core::ledger::{Entry, EntryState, FileLedger};
use veo_core::{
    Access, Client, Delivery, Downloads, Error, ErrorKind, JobRef, Kie, Poll, Receipt, Settlement,
    Step, Video, VideoRequest, Webhooks,
};

#[derive(Clone)]
struct App {
    client: Client,
    webhooks: Arc<Webhooks>,
    callback_url: String,
    videos: Arc<PathBuf>,
    admin_key: Option<Arc<str>>,
}

/// The fields that a customer may choose. A whole [`VideoRequest`] could name files of this machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    prompt: String,
    seconds: Option<u32>,
}

/// The job that an operator has found at kie.ai, or the finding that there is none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Found {
    Job(JobRef),
    NotTaken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let set = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let needed = |name: &str| env::var(name).map_err(|_| format!("Set {name}."));
    let listener = TcpListener::bind(set("ADDRESS", "127.0.0.1:8788")).await?;
    let address = listener.local_addr()?;

    let mut access = Access::new(needed("KIE_API_KEY")?);
    let mut downloads = Downloads::default();
    if let Ok(base_url) = env::var("KIE_BASE_URL") {
        access = access.base_url(base_url);
        // The links of a simulator lead to this machine.
        downloads.allow_loopback = true;
    }
    let client = Client::new(Kie::new(access)?)?
        .with_downloads(downloads)?
        // A webhook makes the client ask kie.ai at once. These regular questions are for jobs whose webhook is lost.
        .with_poll(
            Poll::default()
                .first(Duration::from_secs(60))
                .every(Duration::from_secs(30)),
        )
        .with_ledger(FileLedger::open(set("LEDGER", "videos.ledger")).await?);
    let app = App {
        client,
        webhooks: Arc::new(Webhooks::new(needed("KIE_WEBHOOK_KEY")?.into())?),
        callback_url: format!(
            "{}/webhook",
            set("PUBLIC_URL", &format!("http://{address}"))
        ),
        videos: Arc::new(set("VIDEOS", "videos").into()),
        admin_key: env::var("ADMIN_KEY")
            .ok()
            .filter(|key| !key.is_empty())
            .map(Into::into),
    };
    std::fs::create_dir_all(&*app.videos)?;

    println!("Listening at http://{address}");
    // On a signal the worker ends first, and then the server.
    let worker = tokio::spawn(work(app.clone(), told_to_end()));
    let worker_ended = async {
        if let Err(error) = worker.await {
            println!("The worker has failed, so this ends: {error}");
        }
    };
    axum::serve(listener, routes(app.clone()))
        .with_graceful_shutdown(worker_ended)
        .await?;
    // A request on the wire may be paid for. Without this wait, the process could end before the outcome is in the
    // ledger, and the outcome would be unknown.
    app.client.drain().await;
    Ok(())
}

async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut end) = signal(SignalKind::terminate()) {
            tokio::select! { _ = end.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/videos", post(want))
        .route("/videos/{key}", get(look))
        .route("/videos/{key}/settle", post(settle))
        .route("/webhook", post(webhook))
        .with_state(app)
}

/// Stores a wish and sends nothing. The worker sends the request, after a restart if this process ends now.
async fn want(
    State(app): State<App>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Answer> {
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    if !is_key(key) {
        let sentence = "Give the header Idempotency-Key: up to 64 letters, digits, - and _, new for each video.";
        return Err(Answer(StatusCode::BAD_REQUEST, sentence.to_owned()));
    }
    let mut request = VideoRequest::text(wanted.prompt).callback_url(&app.callback_url);
    request.seconds = wanted.seconds;
    let entry = app.client.want(key, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(told(&entry))).into_response())
}

async fn look(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Answer> {
    let entry = if is_key(&key) {
        app.client.entry(&key).await?
    } else {
        None
    };
    let nothing = || {
        Answer(
            StatusCode::NOT_FOUND,
            "There is no video of this key.".to_owned(),
        )
    };
    Ok(Json(told(&entry.ok_or_else(nothing)?)).into_response())
}

/// Reads only the name of the job from a webhook. The worker asks kie.ai at once for the state of that job.
async fn webhook(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let notice = match app.webhooks.verify(&uri.to_string(), &headers, &body) {
        // kie.ai repeats a webhook after an error below. To settle by the same webhook twice does no harm.
        Ok(Delivery::First(notice) | Delivery::Repeated(notice)) => notice,
        // The sender of a forged webhook does not learn why it was refused.
        Err(error) => {
            println!("Refused a webhook: {error}");
            return StatusCode::BAD_REQUEST;
        }
    };
    // kie.ai waits for 15 seconds, and repeats the webhook after any answer but 200.
    match tokio::time::timeout(Duration::from_secs(10), app.client.settle_by(&notice)).await {
        Ok(Ok(_)) => StatusCode::OK,
        Ok(Err(error)) => {
            println!("{}: a webhook came to nothing: {error}", notice.job);
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Settles an unknown request by the finding of an operator. A found job is first checked by asking kie.ai.
async fn settle(
    State(app): State<App>,
    Path(key): Path<String>,
    headers: HeaderMap,
    Json(found): Json<Found>,
) -> Result<Response, Answer> {
    if !is_operator(&app, &headers) {
        return Err(Answer(
            StatusCode::UNAUTHORIZED,
            "This is for operators, with the ADMIN_KEY.".to_owned(),
        ));
    }
    let entry = match found {
        Found::Job(job) => app.client.settle(&key, Settlement::Accepted(job)).await?,
        Found::NotTaken => {
            let entry = app.client.settle(&key, Settlement::NotTaken).await?;
            match entry.wish.asked() {
                // Nothing was charged, and the customer still wants the video, so the worker sends the request again.
                Some(request) => app.client.want(&key, request).await?,
                None => entry,
            }
        }
    };
    Ok(Json(told(&entry)).into_response())
}

fn is_operator(app: &App, headers: &HeaderMap) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // The time that a comparison of digests takes tells an attacker nothing about the secret.
    let is_it = |(given, key): (&str, &str)| Sha256::digest(given) == Sha256::digest(key);
    given.zip(app.admin_key.as_deref()).is_some_and(is_it)
}

/// Sends wanted requests, asks about accepted jobs and saves finished videos, until `stop` ends. The first entries are
/// those that were open when the last process ended.
async fn work(app: App, stop: impl Future<Output = ()>) {
    let handle = |key: String, step| {
        let app = app.clone();
        async move {
            match step {
                Step::Video(video) => match save(&app, &key, &video).await {
                    Ok(()) => println!("{key}: saved"),
                    // `run_until` passes the video to this function again in a minute.
                    Err(error) => println!("{key}: not saved: {error}"),
                },
                Step::Failed(error) => println!("{key}: there will be no video: {error}"),
                Step::LookAtIt(unknown) => println!("{key}: unknown, settle it: {}", unknown.error),
                _ => {}
            }
        }
    };
    if let Err(error) = app.client.run_until(stop, handle).await {
        println!("nothing is made: {error}");
    }
}

/// Saves a video under its key. An existing file has the same video, from a process that crashed before `done`.
async fn save(app: &App, key: &str, video: &Video) -> Result<(), Error> {
    let Some(job) = app.client.entry(key).await?.and_then(|entry| entry.job()) else {
        return Ok(());
    };
    let saved = app
        .client
        .download(video, app.videos.join(file_name(key)))
        .await?;
    app.client
        .done(key, &Receipt::new(&job, video, &saved))
        .await
}

/// Returns whether a key is safe as the name of a file: no character may lead to another folder.
fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn file_name(key: &str) -> String {
    format!("{key}.mp4")
}

fn told(entry: &Entry) -> serde_json::Value {
    let is_over = matches!(
        entry.state,
        EntryState::Rejected | EntryState::Failed | EntryState::Unknown
    );
    json!({
        "key": entry.key,
        "state": entry.state,
        "job": entry.reference(),
        "error": entry.why().filter(|_| is_over).map(ToString::to_string),
        "video": (entry.state == EntryState::Done).then(|| file_name(&entry.key)),
    })
}

/// An error of the server: a status and a sentence.
struct Answer(StatusCode, String);

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
