//! Makes videos with the library until each has an end: `chaos_worker LEDGER FOLDER PROVIDER COUNT`, with the address
//! of the simulator in `URL`. A second start continues the same videos.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is for a test"
)]

use std::path::PathBuf;
use std::time::Duration;

use veo_core::ledger::FileLedger;
use veo_core::{
    Access, Client, Downloads, Error, Kie, KieForm, Limit, Poll, Receipt, Step, UniAll, Video,
    VideoRequest,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [ledger, folder, provider, count] = &arguments[..] else {
        panic!("chaos_worker LEDGER FOLDER PROVIDER COUNT");
    };
    let folder = PathBuf::from(folder);
    let client = client(provider)?.with_ledger(FileLedger::open(ledger).await?);
    for number in 0..count.parse().unwrap() {
        let request = VideoRequest::text(format!("Video {number}"));
        client.want(&format!("job-{number}"), &request).await?;
    }
    let handle = async |key: String, step| match step {
        Step::Video(video) => {
            let path = folder.join(format!("{key}.mp4"));
            if let Err(error) = save(&client, &key, &video, path).await {
                println!("{key}: {error}");
            }
        }
        step => println!("{key}: {step:?}"),
    };
    client.run(handle).await
}

fn client(provider: &str) -> Result<Client, Error> {
    let second = Duration::from_secs(1);
    let access = Access::new("any key")
        .base_url(std::env::var("URL").unwrap())
        .connect_timeout(second)
        .query_timeout(2 * second)
        .submit_timeout(2 * second);
    let limit = Limit::new(1000, second);
    let client = match provider {
        "uniall" => Client::new(UniAll::new(access)?)?,
        "kie" => Client::new(Kie::new(access)?.form(KieForm::Old).limit(limit))?,
        _ => Client::new(Kie::new(access)?.form(KieForm::Current).limit(limit))?,
    };
    let pause = Duration::from_millis(20);
    let poll = Poll::default().first(pause).every(pause);
    client
        .with_poll(poll)
        .with_downloads(Downloads::default().allow_loopback(true))
}

async fn save(client: &Client, key: &str, video: &Video, path: PathBuf) -> Result<(), Error> {
    let Some(job) = client.entry(key).await?.and_then(|entry| entry.job()) else {
        return Ok(());
    };
    let saved = client.download(video, path).await?;
    client.done(key, &Receipt::new(&job, video, &saved)).await
}
