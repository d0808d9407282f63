#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/uniall.yaml` of the repository, where every field tells what it rests on. By
//! hand are the constructor, the reading of replies, and what a task says in its many forms ([`types::VideoTask`]).
//!
//! - UniAll documents no reply of its Veo models. The types are the union of what it documents for other models and of
//!   what the gateway software behind it is likely to send, in an envelope or not.
//! - Replies are open: an unknown word, a null or a wrong type costs the field it is in, and [`Reply::body`] has all.
//!   Requests are closed: nothing is sent that the types do not allow, or that is out of [`bounds`].
//! - A field that is not set is not sent.

mod client;
mod generated;
mod reply;
mod task;

pub use generated::*;
pub use reply::{Rejection, sentence};
pub use task::{Percent, State, TaskError, started_task};
pub use veo_transport::{Config, Head, Reply, Unreadable, UrlList};

/// Why a call has no result.
pub type Error = veo_transport::Error<Rejection>;
