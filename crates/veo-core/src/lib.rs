#![doc = include_str!("../../../README.md")]

mod access;
mod client;
mod download;
mod error;
mod image;
mod job;
mod kie;
mod limit;
mod model;
mod plan;
mod provider;
mod request;
mod uniall;
mod wait;
mod webhook;

pub use access::Access;
pub use client::Client;
pub use error::{Charged, Error, ErrorKind, Fault, Resend, Subject};
pub use job::{Job, JobRef, State, Submission, Unknown, Video};
pub use kie::Kie;
pub use limit::Limit;
pub use model::{Feature, Model, Reason};
pub use plan::{Offer, Plan, Refusal};
pub use provider::{BoxFuture, Provider};
pub use request::{AspectRatio, Image, Input, Mode, Resolution, Source, Tier, VideoRequest};
pub use secrecy::SecretString;
pub use uniall::UniAll;
pub use wait::Poll;
pub use webhook::{Delivery, Notice, Webhooks};
