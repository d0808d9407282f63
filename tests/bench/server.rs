//! Servers in processes of their own, so that their time and memory are not measured.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use veo_sim::{Pace, Scenario, Sim};

use crate::Outcome;

/// The argument that makes this program the simulator.
pub(crate) const SIMULATOR: &str = "--simulator";

/// This program as a server. The server ends when this is dropped.
pub(crate) struct Server {
    _process: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(argument: &str) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server says nothing")?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        let url = url.trim().to_owned();
        Ok(Self {
            _process: process,
            url,
        })
    }
}

/// Ends this process when the process that has started it ends.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
}

/// Plays kie.ai.
pub(crate) async fn simulate() -> Outcome<()> {
    let rich = Scenario::new(
        "bench",
        "Nobody runs out of money, and a job takes 90 seconds.",
    )
    .credits(1e9)
    .pace(Pace::Scale(1.0));
    let sim = Sim::builder().scenario(rich).start().await?;
    println!("{}", sim.url());
    std::future::pending().await
}
