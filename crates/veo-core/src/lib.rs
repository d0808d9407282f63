#![doc = include_str!("../../../README.md")]

mod client;
mod download;
mod error;
mod job;
mod kie;
mod provider;
mod request;
mod uniall;
mod wait;

pub use client::Client;
pub use error::{Error, ErrorKind};
pub use job::{Job, State, Submission, Video};
pub use kie::Kie;
pub use provider::{BoxFuture, Provider};
pub use request::{AspectRatio, Tier, VideoRequest};
pub use secrecy::SecretString;
pub use uniall::UniAll;
pub use wait::Poll;
