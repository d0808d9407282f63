//! Measures the load that the simulator can bear: `cargo bench -p veo-sim`.
//!
//! A few connections start many tasks. For some seconds they then ask about these tasks and start more. Client and
//! simulator share one process and its cores, so every number is for both together.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use veo_sim::{Pace, Scenario, Sim};

const STARTS: usize = 100;
const TASKS: usize = 10_000;
const CONNECTIONS: usize = 8;
/// The sustained load ends after this time or this number of requests.
const TIME: Duration = Duration::from_secs(5);
const REQUESTS: usize = 400_000;
/// One of this number of requests starts a task, and the others ask about a task.
const MIX: usize = 10;
/// A request as veo-core sends it.
const TASK: &str = r#"{"prompt":"A red kite over a harbour at dawn","model":"veo3_lite","aspectRatio":"16:9","aspect_ratio":"16:9","resolution":"720p","duration":8}"#;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let start = median_start(&runtime)?;

    // No account runs out of credits, and no task ends.
    let endless = Scenario::new("load", "No task ends.")
        .credits(1e9)
        .pace(Pace::Polls(u32::MAX));
    let sim = runtime.block_on(Sim::builder().scenario(endless).start())?;
    let connect = |number| Connection::open(number, sim.url().trim_start_matches("http://"));
    let mut connections = (0..CONNECTIONS).map(connect).collect::<Outcome<Vec<_>>>()?;
    on_all(&mut connections, |connection| connection.ask("none"))?;

    let before = resident();
    let tasks = on_all(&mut connections, |connection| {
        (0..TASKS / CONNECTIONS)
            .map(|_| connection.create())
            .collect::<Outcome<Vec<_>>>()
    })?;
    let memory = resident()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before) as f64 / TASKS as f64);
    let tasks = tasks.concat();
    let in_flight = tasks
        .iter()
        .map(|task| connections[0].ask(task))
        .collect::<Outcome<Vec<_>>>()?;
    let in_flight = in_flight.into_iter().filter(|running| *running).count();

    let began = Instant::now();
    let latencies = on_all(&mut connections, |connection| {
        load(connection, began, &tasks)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let mut latencies = latencies.concat();
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / seconds;
    let percentile = |share: usize| latencies[(latencies.len() - 1) * share / 100];

    let row = |name: &str, aim: &str, seen: String, met: Option<bool>| {
        let met = met.map_or("", |met| if met { "yes" } else { "NO" });
        println!("{name:<24} {aim:>10} {seen:>12}  {met}");
    };
    println!();
    row("", "aim", "seen".to_owned(), None);
    row(
        "tasks in flight",
        "10000",
        in_flight.to_string(),
        Some(in_flight >= TASKS),
    );
    row(
        "requests a second",
        "2000",
        format!("{rate:.0}"),
        Some(rate >= 2000.0),
    );
    row(
        "latency, median",
        "",
        format!("{:.2?}", percentile(50)),
        None,
    );
    row("latency, 99 %", "", format!("{:.2?}", percentile(99)), None);
    let kibibytes = memory.map_or("unknown".to_owned(), |bytes| {
        format!("{:.2} KiB", bytes / 1024.0)
    });
    row(
        "memory a task",
        "4 KiB",
        kibibytes,
        memory.map(|bytes| bytes < 4096.0),
    );
    row(
        "start, median of 100",
        "50 ms",
        format!("{start:.2?}"),
        Some(start < Duration::from_millis(50)),
    );
    let (creates, asks) = (
        latencies.len() / MIX,
        latencies.len() - latencies.len() / MIX,
    );
    println!("\n{CONNECTIONS} connections, {seconds:.1} s: {asks} queries, {creates} creates.");
    Ok(())
}

fn median_start(runtime: &Runtime) -> Outcome<Duration> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let endless = Scenario::new("load", "No task ends.")
            .credits(1e9)
            .pace(Pace::Polls(u32::MAX));
        let sim = runtime.block_on(Sim::builder().scenario(endless).start())?;
        times.push(began.elapsed());
        drop(sim);
    }
    times.sort_unstable();
    Ok(times[STARTS / 2])
}

/// Asks about tasks and starts tasks until the time is up. Returns the time of each request.
fn load(connection: &mut Connection, began: Instant, tasks: &[String]) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    // Each connection asks about all tasks, and begins at a different task.
    for (n, task) in tasks
        .iter()
        .cycle()
        .skip(connection.number * tasks.len() / CONNECTIONS)
        .enumerate()
    {
        if n == REQUESTS / CONNECTIONS || began.elapsed() > TIME {
            break;
        }
        let asked = Instant::now();
        if n % MIX == 0 {
            connection.create()?;
        } else {
            connection.ask(task)?;
        }
        latencies.push(asked.elapsed());
    }
    Ok(latencies)
}

/// Does the work on each connection, in a thread of its own.
fn on_all<T: Send>(
    connections: &mut [Connection],
    work: impl Fn(&mut Connection) -> Outcome<T> + Sync,
) -> Outcome<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(|| work(connection)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client has panicked")?)
            .collect()
    })
}

/// The resident memory of this process in bytes, if the system reports it.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A client that needs little CPU time, so that the cores are left to the simulator.
struct Connection {
    number: usize,
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    fn open(number: usize, address: &str) -> Outcome<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Connection {
            number,
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    /// Starts a task, and returns its id.
    fn create(&mut self) -> Outcome<String> {
        let reply = self.call("POST", "/api/v1/veo/generate", TASK)?;
        let id = reply
            .split_once(r#""taskId":""#)
            .and_then(|(_, rest)| rest.split('"').next());
        Ok(id
            .ok_or_else(|| format!("a task was refused: {reply}"))?
            .to_owned())
    }

    /// Returns whether the task is known and still runs.
    fn ask(&mut self, task: &str) -> Outcome<bool> {
        let reply = self.call("GET", &format!("/api/v1/veo/record-info?taskId={task}"), "")?;
        Ok(reply.contains(r#""successFlag":0"#))
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> Outcome<String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer key\r\nuser-agent: load\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        let mut length = None;
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the simulator has closed a connection".into());
            }
            let header = line
                .split_once(':')
                .filter(|header| header.0.eq_ignore_ascii_case("content-length"));
            if let Some((_, value)) = header {
                length = Some(value.trim().parse()?);
            }
        }
        let mut reply = vec![0; length.ok_or("a reply does not say how long it is")?];
        self.stream.read_exact(&mut reply)?;
        Ok(String::from_utf8(reply)?)
    }
}
