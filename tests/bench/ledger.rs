//! Measures how many paid calls a second a ledger in a file writes down, and how long a ledger takes to open. A plain
//! loop that syncs lines of the same length to the disk is measured too, for comparison.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use veo_core::ledger::{Begin, Begun, FileLedger, Ledger as _, Want, Which, Wish};
use veo_core::{Access, Client, Kie, Offer, VideoRequest};

use crate::{Outcome, median, worked};

/// The number of measurements of each side, and the number of calls in each.
const ROUNDS: usize = 25;
const CALLS: usize = 128;
/// The number of times that a ledger is opened.
const OPENINGS: usize = 9;

/// Measures one writer and sixteen writers, each in turn with the plain loop.
pub(crate) async fn begins() -> Outcome<()> {
    println!("| writers | begins a second | plain loop | ratio |");
    println!("| --: | --: | --: | --: |");
    // Temporary files can be in memory, and the target folder is on the disk.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for writers in [1, 16] {
        let (mut of_ours, mut of_plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let path = folder.path().join(format!("{writers}-{round}.ledger"));
            let ledger = FileLedger::open(&path).await?;
            let length_before = path.metadata()?.len();
            let ours = rate(begun(&ledger, writers).await?);
            let length = (path.metadata()?.len() - length_before) / CALLS as u64;
            let plain = rate(plain(&path.with_extension("plain"), length)?);
            of_ours.push(ours);
            of_plain.push(plain);
            ratios.push(ours / plain);
        }
        println!(
            "| {writers} | {:.0} | {:.0} | {:.2} |",
            median(of_ours),
            median(of_plain),
            median(ratios)
        );
    }
    Ok(())
}

/// Opens an existing ledger several times, and prints the median of the times and the mean of the CPU times.
pub(crate) async fn open(path: &str) -> Outcome<()> {
    let (mut times, mut cpu) = (Vec::new(), 0.0);
    let mut jobs = 0;
    for _ in 0..OPENINGS {
        let (start, worked) = (Instant::now(), worked()?);
        let ledger = FileLedger::open_existing(path).await?;
        let ledger = ledger.ok_or("there is no such ledger")?;
        times.push(start.elapsed().as_secs_f64());
        cpu += self::worked()? - worked;
        jobs = ledger.list(Which::All).await?.len();
    }
    println!("| jobs | to open (median) | CPU time (mean) |");
    println!("| --: | --: | --: |");
    println!(
        "| {jobs} | {:.2} s | {:.2} s |",
        median(times),
        cpu / OPENINGS as f64
    );
    Ok(())
}

/// Returns the time in which `writers` tasks write down all calls.
async fn begun(ledger: &FileLedger, writers: usize) -> Outcome<Duration> {
    let client = Client::new(Kie::new(Access::new("key"))?)?;
    let request = VideoRequest::text("A red kite over a harbour at dawn");
    let offer = client.plan(&request).offers.remove(0);
    let wish = Wish::request(&request).await;
    let start = Instant::now();
    let mut working = JoinSet::new();
    for writer in 0..writers {
        let (ledger, offer, wish) = (ledger.clone(), offer.clone(), wish.clone());
        let calls = CALLS / writers;
        working.spawn(async move { write_down(&ledger, writer, calls, &offer, &wish).await });
    }
    for written in working.join_all().await {
        written?;
    }
    Ok(start.elapsed())
}

async fn write_down(
    ledger: &FileLedger,
    writer: usize,
    calls: usize,
    offer: &Offer,
    wish: &Wish,
) -> Outcome<()> {
    for call in 0..calls {
        let want = Want::new(format!("{writer} {call}"), wish.clone());
        let begun = ledger.begin(Begin::new(want, offer.clone())).await?;
        if !matches!(begun, Begun::Yours) {
            return Err(format!("{begun:?}").into());
        }
    }
    Ok(())
}

/// Returns the time in which the plain loop syncs as many lines of this length to the disk, one after the other.
fn plain(path: &Path, length: u64) -> Outcome<Duration> {
    let line = vec![b'x'; usize::try_from(length)?];
    let mut file = File::create(path)?;
    let start = Instant::now();
    for _ in 0..CALLS {
        file.write_all(&line)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn rate(time: Duration) -> f64 {
    CALLS as f64 / time.as_secs_f64()
}
