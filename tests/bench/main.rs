//! Compares this library with code that does the same without it: `cargo bench -p veo-bench -- ROW`. `scripts/bench.sh`
//! runs all rows.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

mod calls;
mod download;
mod ledger;
mod schedule;
mod server;
mod waiting;

use std::error::Error;
use std::fs;

use crate::server::end_with_parent;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The unit in which the kernel counts the CPU time of a process.
const TICKS_A_SECOND: f64 = 100.0;

fn main() -> Outcome<()> {
    // cargo adds the option --bench.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments[..] {
            ["calls"] => calls::compare().await,
            ["calls", side, count] => calls::run(side, count.parse()?).await,
            ["waiting", jobs] => waiting::measure(jobs.parse()?).await,
            ["download"] => download::compare().await,
            ["ledger"] => ledger::begins().await,
            ["ledger", path] => ledger::open(path).await,
            ["schedule"] => schedule::compare().await,
            [server::SIMULATOR] => {
                end_with_parent();
                server::simulate().await
            }
            [waiting::PROVIDER] => {
                end_with_parent();
                waiting::serve()
            }
            [download::HOST] => {
                end_with_parent();
                download::serve()
            }
            _ => Err("Say which row, as scripts/bench.sh does.".into()),
        }
    })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The value of a line of `/proc/self/status` about this process, in bytes.
fn memory(name: &str) -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next());
    Ok(kilobytes
        .ok_or("the memory of a process can be read on Linux only")?
        .parse::<usize>()?
        << 10)
}

/// The seconds of CPU time of this process, and of those of its child processes that have ended.
fn worked() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat
        .rsplit_once(") ")
        .ok_or("the CPU time of a process can be read on Linux only")?;
    // The four fields are the time in user mode and in the kernel, of this process and of its children.
    let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND)
}
