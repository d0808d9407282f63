#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! Types and calls are generated from `openapi/kie.yaml` of the repository, where every field tells what it rests on. By
//! hand are the constructor, the reading of kie.ai's envelope, the uploads, and what replies say in their many forms: which
//! task was started ([`started_task`]), how far it is ([`types::Record`]), and its upgrades ([`UpgradeReply`]).
//!
//! - kie.ai answers errors with HTTP 200 and another `code`. Here that is an error, [`Error::Rejected`], which keeps the
//!   code, the words and any data.
//! - Replies are open: an unknown word, a null or a wrong type costs the field it is in, and [`Reply::body`] has all.
//!   Requests are closed: nothing is sent that the types do not allow, or that is out of [`bounds`].
//! - A field that is not set is not sent, and no default of the specification is either.
//! - kie.ai has two forms of its API for one account. The calls of the old one are named after what they make; the current one
//!   has [`create_task`](Client::create_task), whose body says what is made, and [`get_task`](Client::get_task). A record of
//!   either is a [`types::Record`], and the result in it, which the current form has as text, is read from that text.
//! - `aspect_ratio`, the later name of `aspectRatio`, goes into the request's `extra` map, beside the older one.

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

/// Why a call has no result.
pub type Error = veo_transport::Error<Rejection>;
