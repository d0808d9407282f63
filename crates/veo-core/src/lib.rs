// The page shows kie.ai.
#![cfg_attr(feature = "kie", doc = include_str!("../../../README.md"))]
#![cfg_attr(not(feature = "kie"), doc = "Makes videos with Google's Veo 3.1.")]

#[cfg(any(feature = "kie", feature = "uniall"))]
mod access;
mod client;
mod download;
mod error;
mod hosts;
mod image;
mod job;
#[cfg(feature = "kie")]
mod kie;
mod limit;
mod media;
mod model;
mod plan;
mod provider;
mod receipt;
mod request;
#[cfg(any(feature = "kie", feature = "uniall"))]
mod translation;
#[cfg(feature = "uniall")]
mod uniall;
mod wait;
#[cfg(feature = "kie")]
mod webhook;

#[cfg(any(feature = "kie", feature = "uniall"))]
pub use access::Access;
pub use client::{Client, Permit};
pub use download::{Downloads, Saved};
pub use error::{Charged, Error, ErrorKind, Fault, Resend, Subject};
pub use job::{Job, JobRef, State, Submission, Unknown, Video};
#[cfg(feature = "kie")]
pub use kie::Kie;
pub use limit::Limit;
pub use media::Media;
pub use model::{Feature, Model, Reason};
pub use plan::{Offer, Plan, Refusal};
pub use provider::{BoxFuture, Provider};
pub use receipt::Receipt;
pub use request::{AspectRatio, Image, Input, Mode, Resolution, Source, Tier, VideoRequest};
pub use secrecy::SecretString;
#[cfg(feature = "uniall")]
pub use uniall::UniAll;
pub use wait::Poll;
#[cfg(feature = "kie")]
pub use webhook::{Delivery, Notice, Webhooks};
