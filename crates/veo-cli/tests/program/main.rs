//! The program as a person runs it: both streams, the exit code, and the files that it leaves.
//!
//! The tests use the signals, links and permissions of Unix.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod advice;
mod batch;
mod cap;
mod chance;
#[cfg(target_os = "linux")]
mod colours;
mod commands;
mod config;
mod damage;
#[cfg(target_os = "linux")]
mod disk;
mod earlier;
mod events;
mod files;
mod foreseen;
mod forms;
mod halts;
mod interrupt;
mod kill;
mod ledgers;
mod limit;
#[cfg(target_os = "linux")]
mod long;
mod lost;
#[cfg(target_os = "linux")]
mod many;
mod money;
mod network;
mod reading;
mod sandbox;
mod server;
mod shown;
#[cfg(target_os = "linux")]
mod stdout;
#[cfg(target_os = "linux")]
mod terminal;
mod upgrades;
