#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/uniall.yaml` of the repository. The specification states the source of
//! every field. These parts are written by hand: the constructor, the reading of replies, and the reading of a task
//! ([`types::VideoTask`]), which comes in many shapes.
//!
//! UniAll does not document the replies for its Veo models. So the types allow two kinds of replies: those that UniAll
//! documents for other models, and those that the gateway software behind UniAll probably sends. In both kinds the task
//! can be inside an envelope or not.
//!
//! # Replies and requests
//!
//! - A reply can have more than the types describe. An unknown word, a null or a value of a wrong type affects only its
//!   own field. [`Reply::body`] has the whole reply.
//! - A request can have only values that the types allow and that are within [`bounds`]. Any other request is not sent.
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
