#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/kie.yaml` of the repository, where every field names its source. Written
//! by hand are the constructor, the uploads, the reading of kie.ai's envelope, and that of three things with many
//! forms: the started task ([`started_task`]), its record ([`types::Record`]), and its upgrades ([`UpgradeReply`]).
//!
//! - kie.ai answers errors with HTTP 200 and another `code`. Here that is an [`Error::Rejected`] with code, words and
//!   data.
//! - Replies are open: an unknown word, a null or a wrong type costs only its field, and [`Reply::body`] has
//!   everything. Requests are closed: nothing is sent that the types do not allow, or that is out of [`bounds`].
//! - A field that is not set is not sent. The defaults of the specification are not sent either.
//! - kie.ai has two forms of its API for one account. The calls of the old form are named after their result. The
//!   current form has [`create_task`](Client::create_task), whose body says what is made, and
//!   [`get_task`](Client::get_task). The record of a task in either form is a [`types::Record`]. In the current form
//!   its result is JSON inside a text, and is decoded from that.
//! - The field `aspect_ratio` is the later name of `aspectRatio`. It goes into the request's `extra` map.

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
