//! The program as a person runs it: what it prints on both streams, how it ends, and what it leaves on the disk.
//!
//! It meets the signals, links and permissions of Unix.
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
