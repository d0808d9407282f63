//! Compares the cost of one paid request and one question with that of the same calls by hand, with reqwest and serde.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use veo_core::{Access, Client, Kie, Limit, State, Submission, VideoRequest};

use crate::server::{SIMULATOR, Server};
use crate::{Outcome, median};

const PROMPT: &str = "A red kite over a harbour at dawn";
/// The number of measurements of each side, and the number of calls in each.
const ROUNDS: usize = 9;
const CALLS: usize = 1_000;

/// Measures the CPU time of both sides in turn, and prints the medians.
pub(crate) async fn compare() -> Outcome<()> {
    let simulator = Server::start(SIMULATOR)?;
    let ours = ours(&simulator.url)?;
    let by_hand = ByHand::new(&simulator.url)?;
    let (mut of_ours, mut of_by_hand, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let start = cpu()?;
        for _ in 0..CALLS {
            call(&ours).await?;
        }
        let middle = cpu()?;
        for _ in 0..CALLS {
            by_hand.call().await?;
        }
        let end = cpu()?;
        of_ours.push((middle - start).as_secs_f64());
        of_by_hand.push((end - middle).as_secs_f64());
        ratios.push((middle - start).as_secs_f64() / (end - middle).as_secs_f64());
    }
    println!("| ours | by hand | ratio |");
    println!("| --: | --: | --: |");
    let micros = |times: Vec<f64>| median(times) / CALLS as f64 * 1e6;
    println!(
        "| {:.0} µs | {:.0} µs | {:.2} |",
        micros(of_ours),
        micros(of_by_hand),
        median(ratios)
    );
    Ok(())
}

/// Makes a number of calls on one side. A tool that counts the instructions of this process runs it.
pub(crate) async fn run(side: &str, count: usize) -> Outcome<()> {
    let simulator = Server::start(SIMULATOR)?;
    let ours = ours(&simulator.url)?;
    let by_hand = ByHand::new(&simulator.url)?;
    for _ in 0..count {
        match side {
            "ours" => call(&ours).await?,
            "by-hand" => by_hand.call().await?,
            _ => return Err("The sides are ours and by-hand.".into()),
        }
    }
    Ok(())
}

fn ours(url: &str) -> Outcome<Client> {
    let unlimited = Limit::new(1000, Duration::from_millis(1));
    let access = Access::new("a-key-as-long-as-real-ones-of-kie").base_url(url);
    Ok(Client::new(Kie::new(access)?.limit(unlimited))?)
}

async fn call(client: &Client) -> Outcome<()> {
    let Submission::Accepted(job) = client.submit(&VideoRequest::text(PROMPT)).await else {
        return Err("a request was not accepted".into());
    };
    match client.state(&job).await? {
        State::Pending | State::Running { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// The calls by hand. Each paid request has a new connection, as in the library, and questions share connections.
struct ByHand {
    submit: reqwest::Client,
    query: reqwest::Client,
    url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generate<'a> {
    prompt: &'a str,
    model: &'a str,
    generation_type: &'a str,
    aspect_ratio: &'a str,
    resolution: &'a str,
    duration: u32,
    enable_translation: bool,
}

#[derive(Deserialize)]
struct Envelope<T> {
    code: i64,
    msg: String,
    data: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    task_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "as a program would read it")]
struct Record {
    task_id: String,
    success_flag: i64,
    response: Option<Videos>,
    error_code: Option<i64>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "as a program would read it")]
struct Videos {
    result_urls: Vec<String>,
    resolution: Option<String>,
}

impl ByHand {
    fn new(url: &str) -> Outcome<Self> {
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .user_agent("by-hand")
                .connect_timeout(Duration::from_secs(10))
                .timeout(Duration::from_secs(60))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
        };
        Ok(Self {
            submit: builder().pool_max_idle_per_host(0).build()?,
            query: builder().build()?,
            url: url.to_owned(),
        })
    }

    async fn call(&self) -> Outcome<()> {
        let body = Generate {
            prompt: PROMPT,
            model: "veo3_lite",
            generation_type: "TEXT_2_VIDEO",
            aspect_ratio: "16:9",
            resolution: "720p",
            duration: 8,
            enable_translation: true,
        };
        let url = format!("{}/api/v1/veo/generate", self.url);
        let request = self.submit.post(url).bearer_auth("key").json(&body);
        let task: Envelope<Task> = request.send().await?.json().await?;
        let task = succeeded(task)?.task_id;
        let url = format!("{}/api/v1/veo/record-info", self.url);
        let request = self.query.get(url).bearer_auth("key");
        let request = request.query(&[("taskId", &task)]);
        let record: Envelope<Record> = request.send().await?.json().await?;
        match succeeded(record)?.success_flag {
            0 => Ok(()),
            other => Err(format!("the task has the state {other}").into()),
        }
    }
}

fn succeeded<T>(reply: Envelope<T>) -> Outcome<T> {
    match reply.data {
        Some(data) if reply.code == 200 => Ok(data),
        _ => Err(format!("code {}: {}", reply.code, reply.msg).into()),
    }
}

/// The time that the CPU has worked for this process, which has one thread.
fn cpu() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
