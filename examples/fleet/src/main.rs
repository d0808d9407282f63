//! A web backend of several replicas, which make videos together and never pay twice for one. Copy it as a start for
//! your own; `crates/veo-postgres/docs/fleet.md` describes it. `graphile_worker` is the queue, here called the engine.
//! Only the ledger decides whether a paid call is sent. With the simulator in place of kie.ai, it needs no real API
//! key:
//!
//! ```console
//! cargo run -p veo-sim &
//! export DATABASE_URL='host=/var/run/postgresql dbname=veo' KIE_BASE_URL=http://127.0.0.1:8787
//! export KIE_API_KEY=signed-callbacks KIE_WEBHOOK_KEY=test_webhook_hmac_key PUBLIC_URL=http://127.0.0.1:8788
//! ADDRESS=127.0.0.1:8788 cargo run --manifest-path examples/fleet/Cargo.toml &
//! ADDRESS=127.0.0.1:8789 cargo run --manifest-path examples/fleet/Cargo.toml &
//! curl http://127.0.0.1:8788/videos -H 'Idempotency-Key: order-17' --json '{"prompt":"A red kite"}'
//! curl http://127.0.0.1:8789/videos/order-17
//! ```
//!
//! | variable | |
//! | --- | --- |
//! | `DATABASE_URL` | the address of the PostgreSQL database with the ledger and the queue |
//! | `KIE_API_KEY` | the API key of kie.ai |
//! | `KIE_WEBHOOK_KEY` | the `webhookHmacKey` of kie.ai's settings |
//! | `KIE_BASE_URL` | an address other than kie.ai's own, such as the simulator's |
//! | `ADDRESS` | the address at which this replica listens; `127.0.0.1:8788` if not set |
//! | `PUBLIC_URL` | the URL at which kie.ai reaches any of the replicas; the same for all of them. Never change it |
//! | `VIDEOS` | the folder for the videos, which all replicas share; `videos` if not set |
//! | `WORKERS` | the number of steps that this replica makes at a time; 8 if not set |
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::env;
use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use graphile_worker::tokio_postgres::TokioPostgresDatabase;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, sleep};
use veo_core::ledger::{Entry, EntryState, Want, Wish};
use veo_core::{
    Access, Client, Delivery, Downloads, Error, ErrorKind, Kie, Poll, Receipt, Step, Video,
    VideoRequest, Webhooks,
};
use veo_postgres::deadpool_postgres::Pool;
use veo_postgres::tokio_postgres::{self, Config, GenericClient};
use veo_postgres::{PostgresLedger, want_in};

#[derive(Clone)]
struct App {
    client: Client,
    pool: Pool,
    webhooks: Arc<Webhooks>,
    callback_url: String,
    videos: Arc<PathBuf>,
}

/// The fields that a customer may choose. A whole [`VideoRequest`] could name files of this machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    prompt: String,
    seconds: Option<u32>,
}

/// A queue item of the engine: one step for a key.
#[derive(Deserialize, Serialize)]
struct MakeVideo {
    key: String,
}

/// The pause before the next step of a key that cannot continue now. A webhook or a person may settle it meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// The number of orders that wait for the limit of the account at the same time. Each of them keeps a worker. With
/// fewer lanes, one slow answer of the provider would delay the other orders.
const LANES: i32 = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let set = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let needed = |name: &str| env::var(name).map_err(|_| format!("Set {name}."));
    let workers: usize = set("WORKERS", "8").parse()?;
    let config: Config = needed("DATABASE_URL")?.parse()?;
    let database = TokioPostgresDatabase::from_config(config, 2 * workers + 4)?;
    let pool = database.pool().clone();
    veo_postgres::migrate(&pool).await?;

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
        .with_ledger(PostgresLedger::open(pool.clone()).await?);
    let app = App {
        client,
        pool,
        webhooks: Arc::new(Webhooks::new(needed("KIE_WEBHOOK_KEY")?.into())?),
        callback_url: format!("{}/webhook", needed("PUBLIC_URL")?),
        videos: Arc::new(set("VIDEOS", "videos").into()),
    };
    std::fs::create_dir_all(&*app.videos)?;

    let worker = WorkerOptions::default()
        .database(database)
        .concurrency(workers)
        .define_job::<MakeVideo>()
        .add_extension(app.clone())
        // Each notification would make every worker of every replica look for items. To look once a second is enough.
        .use_notification_delivery(false)
        // A silent replica counts as dead after 30 seconds. Its paid calls count as on their way as long. An earlier
        // step would do no harm: of two replicas with one key, the ledger permits only one to send.
        .heartbeat_interval(Duration::from_secs(5))
        .sweep_interval(Duration::from_secs(10))
        .sweep_threshold(Duration::from_secs(30))
        .recovery_delay(Duration::from_secs(1))
        // A download that has begun may take this long to end.
        .shutdown_grace_period(Duration::from_secs(60))
        .init()
        .await?;
    let listener = TcpListener::bind(set("ADDRESS", "127.0.0.1:8788")).await?;
    println!("Listening at http://{}", listener.local_addr()?);
    let finding = tokio::spawn(find_forgotten(app.clone()));
    // On a signal the worker ends first, and then the server.
    let working = async move {
        if let Err(error) = worker.run().await {
            println!("The worker has failed, so this ends: {error}");
        }
    };
    axum::serve(listener, routes(app.clone()))
        .with_graceful_shutdown(working)
        .await?;
    finding.abort();
    // A request on the wire may be paid for. Without this wait, the process could end before the outcome is in the
    // ledger, and the outcome would be unknown.
    app.client.drain().await;
    Ok(())
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/videos", post(want))
        .route("/videos/{key}", get(look))
        .route("/webhook", post(webhook))
        .with_state(app)
}

/// Stores a wish and its queue item in one transaction, and sends nothing. Any replica can send the request.
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
    let plan = app.client.plan(&request);
    if plan.offers.is_empty() {
        let reasons: Vec<_> = plan.refusals.iter().map(ToString::to_string).collect();
        return Err(Answer(StatusCode::BAD_REQUEST, reasons.join("\n")));
    }
    let wish = Wish::request(&request).await;

    let mut connection = app.pool.get().await.map_err(Answer::unavailable)?;
    let database: &mut tokio_postgres::Client = &mut connection;
    let transaction = database.transaction().await.map_err(Answer::unavailable)?;
    let entry = want_in(&transaction, Want::new(key, wish)).await?;
    enqueue_start(&transaction, key)
        .await
        .map_err(Answer::unavailable)?;
    transaction.commit().await.map_err(Answer::unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(told(&entry))).into_response())
}

async fn look(State(app): State<App>, Path(key): Path<String>) -> Result<Response, Answer> {
    match app.client.entry(&key).await? {
        Some(entry) => Ok(Json(told(&entry)).into_response()),
        None => {
            let sentence = "There is no video of this key.";
            Err(Answer(StatusCode::NOT_FOUND, sentence.to_owned()))
        }
    }
}

/// Reads only the name of the job, which may be from any replica. kie.ai is asked at once for the state of the job.
async fn webhook(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let notice = match app.webhooks.verify(&uri.to_string(), &headers, &body) {
        Ok(Delivery::First(notice) | Delivery::Repeated(notice)) => notice,
        // The sender of a forged webhook does not learn why it was refused.
        Err(error) => {
            println!("Refused a webhook: {error}");
            return StatusCode::BAD_REQUEST;
        }
    };
    let settle = async {
        if let Some(entry) = app.client.settle_by(&notice).await? {
            let connection = app.pool.get().await?;
            enqueue(&**connection, &entry.key, Duration::ZERO).await?;
        }
        Ok::<_, Box<dyn StdError + Send + Sync>>(())
    };
    // kie.ai waits for 15 seconds, and repeats the webhook after any answer but 200.
    match tokio::time::timeout(Duration::from_secs(10), settle).await {
        Ok(Ok(())) => StatusCode::OK,
        Ok(Err(error)) => {
            println!("{}: a webhook came to nothing: {error}", notice.job);
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl TaskHandler for MakeVideo {
    const IDENTIFIER: &'static str = "make_video";

    /// Makes one step. The next step is a new queue item under the same key, so the engine counts no failed tries.
    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        make_step(&self.key, &context).await
    }
}

async fn make_step(key: &str, context: &WorkerContext) -> Result<(), String> {
    let app: &App = context.get_ext().ok_or("the worker has no App")?;
    let mut step = app.client.step(key).await;
    // An order that waits for the limit of the account keeps its lane. Otherwise all waiting orders would ask the
    // ledger each time a call is possible.
    while let Ok(Step::AgainAfter(pause)) = step
        && is_wanted(app, key).await
    {
        sleep(pause).await;
        step = app.client.step(key).await;
    }
    let Some(pause) = follow(app, key, step).await else {
        return Ok(());
    };
    let connection = app.pool.get().await.map_err(|error| error.to_string())?;
    enqueue(&**connection, key, pause)
        .await
        .map_err(|error| error.to_string())
}

/// Returns whether the request of a key is waiting to be sent, for the first time or after a rejection.
async fn is_wanted(app: &App, key: &str) -> bool {
    let entry = app.client.entry(key).await;
    entry.is_ok_and(|entry| entry.is_some_and(|entry| entry.state == EntryState::Wanted))
}

/// Acts on the result of a step, and returns the pause before the next step, if there is a next one.
async fn follow(app: &App, key: &str, step: Result<Step, Error>) -> Option<Duration> {
    match step {
        Ok(Step::AgainAfter(pause)) => Some(pause),
        Ok(Step::Video(video)) => match save(app, key, &video).await {
            Ok(()) => {
                println!("{key}: saved");
                None
            }
            Err(error) => {
                println!("{key}: not saved: {error}");
                Some(LOOK_AGAIN)
            }
        },
        Ok(Step::Failed(error)) => {
            println!("{key}: there will be no video: {error}");
            None
        }
        Ok(Step::LookAtIt(unknown)) => {
            println!("{key}: unknown, settle it: {}", unknown.error);
            Some(LOOK_AGAIN)
        }
        Ok(_) => None,
        Err(error) => {
            println!("{key}: no step could be made: {error}");
            Some(LOOK_AGAIN)
        }
    }
}

/// Saves a video under its key. An existing file has the same video, from a process that crashed before `done`.
async fn save(app: &App, key: &str, video: &Video) -> Result<(), Error> {
    let Some(job) = app.client.entry(key).await?.and_then(|entry| entry.job()) else {
        return Ok(());
    };
    let path = app.videos.join(file_name(key));
    let saved = app.client.download(video, path).await?;
    app.client
        .done(key, &Receipt::new(&job, video, &saved))
        .await
}

/// Puts the first step of a key in one of the lanes. In each lane, all replicas together run one queue item at a time.
async fn enqueue_start(
    database: &impl GenericClient,
    key: &str,
) -> Result<(), tokio_postgres::Error> {
    let call = "SELECT graphile_worker.add_job(
        'make_video', json_build_object('key', $1::text), job_key => $1,
        queue_name => 'start ' || abs(hashtext($1) % $2))";
    database.execute(call, &[&key, &LANES]).await.map(drop)
}

/// Puts the next step of a key in the queue. Without a pause the step is made at once. With a pause, a step that is
/// already in the queue keeps its time, since a webhook may have asked for an earlier step.
async fn enqueue(
    database: &impl GenericClient,
    key: &str,
    pause: Duration,
) -> Result<(), tokio_postgres::Error> {
    let mode = if pause.is_zero() {
        "replace"
    } else {
        "preserve_run_at"
    };
    let call = "SELECT graphile_worker.add_job(
        'make_video', json_build_object('key', $1::text), job_key => $1, job_key_mode => $2,
        run_at => now() + $3::double precision * interval '1 second')";
    database
        .execute(call, &[&key, &mode, &pause.as_secs_f64()])
        .await
        .map(drop)
}

/// Puts open entries without a queue item in the queue every minute, however their items were lost.
async fn find_forgotten(app: App) {
    let mut minutes = interval(Duration::from_secs(60));
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        match enqueue_forgotten(&app.pool).await {
            Ok(0) => {}
            Ok(count) => println!("{count} entries without a job were queued"),
            Err(error) => println!("forgotten entries could not be looked for: {error}"),
        }
    }
}

/// Puts open entries without a queue item in the queue. An entry with a target is left to another program with the same
/// ledger, which saves the video to the target. An item that is locked for longer than any step takes does not count.
async fn enqueue_forgotten(pool: &Pool) -> Result<u64, Box<dyn StdError + Send + Sync>> {
    let call = "SELECT graphile_worker.add_job(
            'make_video', json_build_object('key', veo_open.key), job_key => veo_open.key)
        FROM veo_open
        WHERE target IS NULL AND at < now() - interval '1 minute' AND NOT EXISTS (
            SELECT FROM graphile_worker.jobs
            WHERE jobs.key = veo_open.key AND coalesce(jobs.locked_at > now() - interval '15 minutes', true))";
    Ok(pool.get().await?.execute(call, &[]).await?)
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
    json!({ "key": entry.key, "state": entry.state, "job": entry.reference() })
}

/// The worker needs `Debug`. The text does not show the API key of kie.ai.
impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// An error of the server: a status and a sentence.
struct Answer(StatusCode, String);

impl Answer {
    fn unavailable(error: impl fmt::Display) -> Self {
        println!("The database cannot be used: {error}");
        let sentence = "It cannot be stored now. Send it again, with the same key.";
        Self(StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned())
    }
}

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
