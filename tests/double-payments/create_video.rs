//! Asks the library for one video, as `clients` do with other clients: `create_video once URL SECONDS`. With `ledger`
//! in place of `once` it asks twice under the same key, like a user who does not know the first outcome.

use std::time::Duration;

use veo_core::ledger::FileLedger;
use veo_core::{Access, Client, Kie, Submission, VideoRequest};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, url, seconds] = arguments.as_slice() else {
        return Err("give a mode, a URL and seconds".into());
    };
    let timeout = Duration::from_secs(seconds.parse()?);
    let access = Access::new("key")
        .base_url(url)
        .connect_timeout(timeout / 2)
        .submit_timeout(timeout);
    let client = Client::new(Kie::new(access)?)?;
    let request = VideoRequest::text("A red kite");
    if mode == "once" {
        told(client.submit(&request).await);
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let ledger = FileLedger::open(folder.path().join("ledger")).await?;
    let client = client.with_ledger(ledger);
    told(client.submit_once("order 17", &request).await);
    told(client.submit_once("order 17", &request).await);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is a program")]
fn told(submission: Submission) {
    match submission {
        Submission::Accepted(job) => println!("accepted: {}", job.reference),
        Submission::Rejected(error) => println!("rejected: {error}"),
        Submission::Unknown(unknown) => println!("unknown: {}", unknown.error),
    }
}
