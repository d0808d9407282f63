#![doc = include_str!("../README.md")]
//!
//! # Guarantees
//!
//! - A call that can cost money ([`Transport::submit`]) gets its own connection. On a reused connection, which the
//!   server may just have closed, an unsent call would look like a call whose reply was lost.
//! - No request is sent a second time. There are no retries and no redirects: after the statuses 307 and 308 a client
//!   would send the body again.
//! - A reply is read to its end, up to [`MAX_BODY`]. A video inside a reply is decoded while it arrives, up to
//!   [`MAX_INLINE`]. If a reply breaks off, the part that arrived is kept, since it can contain the id of a paid task.
//! - Decoding a reply takes a bounded amount of memory, however many values the reply has ([`json()`]).
//! - The API key is sent to the configured origins only, and is removed from everything that is read. The exception is
//!   a short API key for a simulator on this machine, which is not removed, since it can be a word that a reply needs.
//! - `tracing` logs each exchange at the debug level, with the target [`WIRE`]. A log line has the method, the URL, the
//!   status and the first 4 KiB of both bodies. A log line has no API key, and shows links as [`without_queries`]
//!   returns them.

mod address;
mod bounds;
mod config;
mod data_url;
mod encode;
mod error;
mod head;
mod http;
mod inline;
mod json;
mod lenient;
mod proxy;
mod redact;
#[cfg(feature = "replay")]
mod replay;
mod reply;
mod search;
mod task_id;
mod transport;
mod url_list;

pub use address::is_loopback;
pub use bounds::{check_length, check_range};
pub use config::Config;
pub use data_url::DataUrl;
pub use encode::encode_path;
pub use error::{Error, Unreadable};
pub use head::Head;
pub use http::{HAS_TLS, client_builder};
pub use inline::{MAX_INLINE, inline};
pub use json::{json, member_texts, members};
pub use lenient::lenient;
pub use proxy::Proxy;
pub use redact::{excerpt, shortened, without_queries};
#[cfg(feature = "replay")]
pub use replay::replay;
pub use reply::{RawReply, Reply, Verdict, open};
pub use search::{absolute, filter_reasons, find_links, is_link, is_video};
pub use task_id::{Named, looks_like_task_id, possible_task, task_id, unquoted};
pub use transport::{MAX_BODY, Transport, Turn, WIRE};
pub use url_list::UrlList;
