//! Runs the simulator until Ctrl-C.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::env;
use std::io;
use std::process::ExitCode;

use veo_sim::Sim;

const SERVED: &str = "\
kie.ai   POST /api/v1/veo/generate          GET  /api/v1/veo/record-info
         POST /api/v1/veo/extend            GET  /api/v1/veo/get-1080p-video
         POST /api/v1/veo/get-4k-video      GET  /api/v1/chat/credit
         POST /api/v1/common/download-url
         POST /api/file-base64-upload       POST /api/file-stream-upload
         POST /api/file-url-upload
UniAll   POST /v1/video/generations         GET  /v1/videos/{id}
media    GET  /media/...

Any key will do. Ctrl-C stops it.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let port = match port(env::args().skip(1)) {
        Ok(port) => port,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The simulator cannot run on port {port}: {error}.");
            ExitCode::FAILURE
        }
    }
}

async fn run(port: u16) -> io::Result<()> {
    let sim = Sim::start_on(port).await?;
    println!("{}\n\n{SERVED}", sim.url());
    tokio::signal::ctrl_c().await
}

fn port(mut arguments: impl Iterator<Item = String>) -> Result<u16, String> {
    let Some(option) = arguments.next() else {
        return Ok(8787);
    };
    if option != "--port" {
        return Err(format!("The only option is `--port N`, not `{option}`."));
    }
    let number = arguments.next().unwrap_or_default();
    match (number.parse(), arguments.next()) {
        (Ok(port), None) => Ok(port),
        _ => Err("`--port` takes one number from 0 to 65535.".to_owned()),
    }
}
