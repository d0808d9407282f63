#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/uniall.yaml` of the repository, where every field names its source. The
//! constructor, and the reading of replies and of a task in its many forms ([`types::VideoTask`]), are written by hand.
//!
//! - UniAll documents no reply of its Veo models. The types are the union of the replies that it documents for other
//!   models and of those that the gateway software behind it probably sends, with or without an envelope.
//! - Replies are open: an unknown word, a null or a wrong type costs only its field, and [`Reply::body`] has
//!   everything. Requests are closed: nothing is sent that the types do not allow, or that is out of [`bounds`].
//! - A field that is not set is not sent.

mod client;
mod generated;
mod reply;
mod task;

pub use generated::*;
pub use reply::{Rejection, sentence};
pub use task::{Percent, State, TaskError, started_task};
pub use veo_transport::{Config, Head, Reply, Unreadable, UrlList};

/// The reason why a call has no result.
pub type Error = veo_transport::Error<Rejection>;
