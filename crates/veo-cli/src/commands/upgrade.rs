//! `veo upgrade`

use std::path::PathBuf;

use clap::Args;
use veo_core::{JobRef, Resolution};

use crate::args::{Patience, word};
use crate::config::{Config, ProviderName};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::fetch::{check_address, without_size};
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::paths::job_path;
use crate::run::{Run, TrackedJob};
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  veo upgrade kie:0f1e2d3c --resolution 1080p
  veo upgrade kie:0f1e2d3c --resolution 4k -o large.mp4

The same command again continues the same upgrade, and so does `veo wait`. To
have a new video large from the start, give --resolution to `veo generate`.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Upgrade {
    /// The job, which has to have ended.
    job: JobRef,
    /// The size to make.
    #[arg(long, value_name = "SIZE", ignore_case = true, value_parser = word::<Resolution>(&["1080p", "4k"]))]
    resolution: Resolution,
    /// Where to save the video; - writes it to standard output [default: the name of the smaller one, with the size].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    patience: Patience,
}

pub(crate) async fn run(
    arguments: Upgrade,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Upgrade {
        job,
        resolution,
        output: path,
        force,
        patience,
    } = arguments;
    let config = Config::load(output)?;
    let store = Store::open(ledgers).await?;
    let small = without_size(&job);
    let larger = with_size(&job, resolution);
    let path = match path {
        Some(path) => path,
        None => {
            let small = job_path(&job, store.find(&small).await?.as_ref());
            let stem = small.file_stem().unwrap_or_default().to_string_lossy();
            small.with_file_name(format!("{stem}-{resolution}.mp4"))
        }
    };
    let destination = Destination::of(path, force, output)?;
    let client = config
        .client(&[ProviderName::of(&job.provider)?], patience.timeout)?
        .with_ledger(store.ledger().clone())
        .with_replacing(force);
    check_address(&client, &store, &job).await?;
    let run = Run::start(&client, &store, output);
    let target = destination.target();
    client
        .want_upgrade(&small, resolution, target.as_deref())
        .await?;
    let key = larger.to_string();
    let tracked = TrackedJob {
        reference: &larger,
        key: Some(&key),
        job: None,
        line: None,
        label: "",
    };
    let video = run
        .enlarge(&small, resolution, &tracked, &destination)
        .await?;
    video.tell(&larger, "", None, output)?;
    store.fail_if_damaged().await
}

fn with_size(job: &JobRef, size: Resolution) -> JobRef {
    let mut job = job.clone();
    job.resolution = Some(size);
    job
}
