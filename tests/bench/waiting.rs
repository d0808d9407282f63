//! Measures the cost of waiting for many jobs. First all jobs are accepted. Then a Tokio task waits for each job, with
//! the usual pauses between questions.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use veo_core::{Access, Client, JobRef, Kie, Limit, Submission, VideoRequest};

use crate::server::Server;
use crate::{Outcome, memory};

/// The argument that makes this program the provider.
pub(crate) const PROVIDER: &str = "--provider";

/// The time that a job takes.
const JOB: Duration = Duration::from_secs(90);
/// The number of requests that are on their way at a time.
const SUBMITS: usize = 50;

pub(crate) async fn measure(count: usize) -> Outcome<()> {
    let provider = Server::start(PROVIDER)?;
    let unlimited = Limit::new(1000, Duration::from_millis(1));
    let access = Access::new("key").base_url(&provider.url);
    let client = Arc::new(Client::new(Kie::new(access)?.limit(unlimited))?);
    let jobs = accepted(&client, count).await?;

    let before = memory("VmRSS:")?;
    let start = Instant::now();
    let mut waits = JoinSet::new();
    for job in jobs {
        let client = client.clone();
        waits.spawn(async move { client.wait(&job).await.map(drop) });
    }
    tokio::task::yield_now().await;
    let waiting = memory("VmRSS:")?.saturating_sub(before);

    let mut finished = 0;
    while let Some(ended) = waits.join_next().await {
        ended??;
        finished += 1;
    }
    println!("| jobs | finished | after | memory of a wait | peak of the process |");
    println!("| --: | --: | --: | --: | --: |");
    println!(
        "| {count} | {finished} | {:.1} s | {} bytes | {} MiB |",
        start.elapsed().as_secs_f64(),
        waiting / count,
        memory("VmHWM:")? >> 20
    );
    Ok(())
}

async fn accepted(client: &Arc<Client>, count: usize) -> Outcome<Vec<JobRef>> {
    let mut jobs = Vec::with_capacity(count);
    let mut submits = JoinSet::new();
    for number in 0..count {
        if submits.len() == SUBMITS
            && let Some(job) = submits.join_next().await
        {
            jobs.push(job??);
        }
        let client = client.clone();
        submits.spawn(async move {
            let request = VideoRequest::text(format!("Dog number {number}"));
            match client.submit(&request).await {
                Submission::Accepted(job) => Ok(job.reference),
                other => Err(format!("{other:?}")),
            }
        });
    }
    for job in submits.join_all().await {
        jobs.push(job?);
    }
    Ok(jobs)
}

/// Plays kie.ai without a memory: the id of a task contains the time at which it began. The simulator cannot be used,
/// since it forgets jobs when there are more than 20,000.
pub(crate) fn serve() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let start = Instant::now();
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream, start));
    }
    Ok(())
}

fn answer(stream: TcpStream, start: Instant) -> Outcome<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut body = vec![0; length(&head)];
        stream.read_exact(&mut body)?;
        let data = match head.split_once("taskId=") {
            None => format!(r#"{{"taskId":"{:032x}"}}"#, start.elapsed().as_nanos()),
            Some((_, task)) => record(task.get(..32).unwrap_or_default(), start)?,
        };
        let reply = format!(r#"{{"code":200,"msg":"success","data":{data}}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        stream.get_mut().write_all((head + &reply).as_bytes())?;
    }
}

fn length(head: &str) -> usize {
    let value = |line: &str| line.strip_prefix("content-length: ")?.parse().ok();
    head.lines().find_map(value).unwrap_or_default()
}

fn record(task: &str, start: Instant) -> Outcome<String> {
    let began = u128::from_str_radix(task, 16)?;
    if start.elapsed().as_nanos() < began + JOB.as_nanos() {
        return Ok(format!(r#"{{"taskId":"{task}","successFlag":0}}"#));
    }
    let video = "https://cdn.example.net/v.mp4";
    Ok(format!(
        r#"{{"taskId":"{task}","successFlag":1,"response":{{"resultUrls":["{video}"]}}}}"#
    ))
}
