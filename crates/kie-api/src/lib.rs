#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/kie.yaml` of the repository. The specification states the source of
//! every field. These parts are written by hand:
//!
//! - the constructor and the uploads,
//! - the reading of kie.ai's envelope (`code`, `msg` and `data`),
//! - [`started_task`], which finds the new task in a reply of any shape,
//! - the reading of a task's record ([`types::Record`]), which comes in many shapes,
//! - the reading of the reply to an upgrade call ([`UpgradeReply`]), which comes in many shapes.
//!
//! # Replies and requests
//!
//! - kie.ai sends most errors with HTTP 200 and a `code` other than 200 in the body. This crate returns such a reply as
//!   [`Error::Rejected`], with its code, words and data.
//! - A reply can have more than the types describe. An unknown word, a null or a value of a wrong type affects only its
//!   own field. [`Reply::body`] has the whole reply.
//! - A request can have only values that the types allow and that are within [`bounds`]. Any other request is not sent.
//! - A field that is not set is not sent. The defaults of the specification are not sent either.
//! - `aspect_ratio` is kie.ai's later name for `aspectRatio`. The types have no field for it, so put it into the map
//!   `extra` of the request.
//!
//! # Two forms of the API
//!
//! kie.ai has two forms of its API for one account. In the old form there is a call for each kind of result. In the
//! current form there is one call, [`create_task`](Client::create_task), and its body says what kie.ai makes.
//! [`get_task`](Client::get_task) returns the record of such a task. In both forms the record is a [`types::Record`].
//! In the current form the result inside the record is a text with JSON, which this crate decodes.

mod client;
mod generated;
mod record;
mod reply;
mod task;
mod upgrade;
mod upload;

pub use generated::*;
pub use record::{Asked, IN_PROGRESS, State};
pub use reply::Rejection;
pub use task::started_task;
pub use upgrade::UpgradeReply;
pub use upload::UploadStream;
pub use veo_transport::{Config, Head, Reply, Unreadable, UrlList};

/// The reason why a call has no result.
pub type Error = veo_transport::Error<Rejection>;
