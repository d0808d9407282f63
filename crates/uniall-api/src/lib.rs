//! Typed client of UniAll's Veo 3.1 endpoints.
//!
//! ```no_run
//! # async fn example() -> Result<(), uniall_api::Error> {
//! use uniall_api::types::{Duration, Model};
//!
//! let client = uniall_api::Client::new(uniall_api::Config::new("the API key"))?;
//! let task = client
//!     .create_video()
//!     .body_map(|body| {
//!         body.model(Model::Fast720p)
//!             .prompt("A dog playing in a park")
//!             .duration(Duration::Seconds8)
//!     })
//!     .send()
//!     .await?;
//! let id = task.poll_id();
//! # Ok(()) }
//! ```
//!
//! This crate says what UniAll says and no more; `veo-core` makes videos with it. Types and calls are generated from
//! `openapi/uniall.yaml`, where every field tells what it rests on. By hand are the constructor, the reading of replies,
//! and what a task says in its many forms ([`types::VideoTask`]).
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
pub use reply::Rejection;
pub use task::{Percent, State, TaskError, started_task};
pub use veo_transport::{Config, Head, Reply, Unreadable, UrlList};

/// Why a call has no result.
pub type Error = veo_transport::Error<Rejection>;
