//! Makes the videos with the engine `graphile_worker` alone, as its own documentation proposes, to compare it with the
//! fleet. A queue item sends the request, asks until there is a video, and saves the video. If an item fails or its
//! worker is killed, the engine starts the item again, and the request is sent and paid for again. Do not copy this.

use std::env;
use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use graphile_worker::tokio_postgres::TokioPostgresDatabase;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext, WorkerOptions};
use kie_api::types::{self, Model};
use kie_api::{Client, Config, State};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

type AnyError = Box<dyn StdError + Send + Sync>;

#[derive(Deserialize, Serialize)]
struct MakeVideo {
    number: usize,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let config = env::var("DATABASE_URL")?.parse()?;
    let kie = Config::new(env::var("KIE_API_KEY")?).base_url(env::var("KIE_BASE_URL")?);
    std::fs::create_dir_all("videos")?;
    let worker = WorkerOptions::default()
        .database(TokioPostgresDatabase::from_config(config, 20)?)
        .concurrency(env::var("WORKERS")?.parse()?)
        .define_job::<MakeVideo>()
        .add_extension(Client::new(kie)?)
        // There is a worker for each video. If all looked for items often, the machine would do nothing else.
        .poll_interval(Duration::from_secs(5))
        .use_notification_delivery(false)
        // These settings are those of the fleet.
        .heartbeat_interval(Duration::from_secs(5))
        .sweep_interval(Duration::from_secs(10))
        .sweep_threshold(Duration::from_secs(30))
        .recovery_delay(Duration::from_secs(1))
        .init()
        .await?;
    worker.run().await?;
    Ok(())
}

impl TaskHandler for MakeVideo {
    const IDENTIFIER: &'static str = "make_video";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        make_video(self.number, &context)
            .await
            .map_err(|error| error.to_string())
    }
}

async fn make_video(number: usize, context: &WorkerContext) -> Result<(), AnyError> {
    let client: &Client = context.get_ext().ok_or("there is no client")?;
    let call = client.generate().body_map(|body| {
        body.prompt(format!("Kite {number}"))
            .model(Model::Fast)
            .duration(types::Duration::Seconds4)
    });
    let started = call.send().await?;
    let task = started.data.as_ref().and_then(|data| data.task_id.clone());
    let task = task.ok_or("there is no task")?;
    let url = wait(client, &task).await?;
    let video = reqwest::get(url).await?.error_for_status()?.bytes().await?;
    let path = Path::new("videos").join(format!("order-{number}.mp4"));
    std::fs::write(path, video)?;
    Ok(())
}

/// Asks for the state as often as the fleet does, and returns the URL of the video.
async fn wait(client: &Client, task: &str) -> Result<String, AnyError> {
    sleep(Duration::from_secs(30)).await;
    loop {
        sleep(Duration::from_secs(30)).await;
        let reply = client.record_info().task_id(task).send().await?;
        let record = reply.data.as_ref().ok_or("there is no record")?;
        match record.state() {
            State::Pending | State::Running => {}
            State::Succeeded => return Ok(record.urls()[0].to_owned()),
            _ => return Err("there will be no video".into()),
        }
    }
}
