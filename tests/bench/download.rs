//! Compares the library with curl at saving a video of one GiB.

use std::fs;
use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use veo_core::{Access, Client, Downloads, JobRef, Kie, Video};

use crate::server::Server;
use crate::{Outcome, median, memory, worked};

/// The argument that makes this program the media host.
pub(crate) const HOST: &str = "--host";

/// The number of measurements of each side.
const ROUNDS: usize = 3;
/// A whole video. The host adds only a box of zeros, which players skip.
const VIDEO: &[u8] = include_bytes!("../media/base.mp4");
const SIZE: usize = 1 << 30;

/// Measures the library, which checks, hashes and syncs; curl and two programs that hash and sync; and curl alone.
pub(crate) async fn compare() -> Outcome<()> {
    let host = Server::start(HOST)?;
    let url = &host.url;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("video.mp4");
    let access = Access::new("key").base_url(url);
    let downloads = Downloads::default().allow_loopback(true);
    let client = Client::new(Kie::new(access)?)?.with_downloads(downloads)?;
    let video = Video::new(JobRef::new("kie", "t1"), vec![format!("{url}/video.mp4")]);
    let before = memory("VmRSS:")?;

    let curl = format!(
        "curl --silent --show-error --fail {url}/video.mp4 --output '{}'",
        path.display()
    );
    let all = format!(
        "{curl} && sha256sum '{0}' > /dev/null && sync '{0}'",
        path.display()
    );
    let mut figures = [const { (Vec::new(), Vec::new()) }; 3];
    for _ in 0..ROUNDS {
        for (number, (seconds, cpu)) in figures.iter_mut().enumerate() {
            // Without this, the earlier file may still be on its way to the disk.
            run("sync")?;
            let (start, worked) = (Instant::now(), worked()?);
            match number {
                0 => drop(client.download(&video, &path).await?),
                1 => run(&all)?,
                _ => run(&curl)?,
            }
            seconds.push(start.elapsed().as_secs_f64());
            cpu.push(self::worked()? - worked);
            fs::remove_file(&path)?;
        }
    }
    let [ours, with_all, alone] = figures.map(|(seconds, cpu)| (median(seconds), median(cpu)));
    println!("| | seconds | CPU seconds | times as long as ours |");
    println!("| --- | --: | --: | --: |");
    for (name, (seconds, cpu)) in [
        ("ours: checked, hashed, synced", ours),
        ("curl, sha256sum, sync", with_all),
        ("curl alone", alone),
    ] {
        println!(
            "| {name} | {seconds:.2} | {cpu:.2} | {:.2} |",
            seconds / ours.0
        );
    }
    let more = (memory("VmHWM:")? - before) as f64 / f64::from(1 << 20);
    println!("\nOurs took {more:.1} MiB of memory more than before at most.");
    Ok(())
}

pub(crate) fn serve() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        answer(stream?)?;
    }
    Ok(())
}

fn answer(stream: TcpStream) -> Outcome<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let stream = stream.get_mut();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(VIDEO)?;
    let mut left = SIZE - VIDEO.len();
    let length = u32::try_from(left)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(b"free")?;
    left -= 8;
    let zeros = vec![0; 256 << 10];
    while left > 0 {
        let part = left.min(zeros.len());
        stream.write_all(&zeros[..part])?;
        left -= part;
    }
    Ok(())
}

fn run(command: &str) -> Outcome<()> {
    let status = Command::new("sh").args(["-c", command]).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command}: {status}").into())
    }
}
