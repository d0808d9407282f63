#![doc = include_str!("../README.md")]
//!
//! # What it does
//!
//! - A call that can cost money ([`Transport::submit`]) gets a connection of its own. A reused connection that the
//!   server has just closed would look like a lost reply. Nothing is sent a second time: there are no retries and no
//!   redirects, since 307 and 308 would send the body again.
//! - A reply is read to its end, up to [`MAX_BODY`]. A video inside it is decoded as it arrives, up to [`MAX_INLINE`].
//!   Of a broken reply the part that arrived is kept, since the id of a paid task may be in it.
//! - The memory for decoding a reply is bounded, however many values the reply has ([`json()`]).
//! - The API key goes to the configured origins only. It is removed from everything that is read, except a short key
//!   for a simulator on this machine, which could be a normal word.
//! - Each exchange is logged by `tracing` at the debug level, with the target [`WIRE`]: method, URL, status, and the
//!   first 4 KiB of both bodies, without the key, and with links as [`without_queries`] shows them.

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
pub use reply::{RawReply, Reply, Verdict, open};
pub use search::{absolute, filtered, find_links, is_link, is_video};
pub use task_id::{Named, looks_like_task_id, possible_task, task_id, unquoted};
pub use transport::{MAX_BODY, Transport, WIRE};
pub use url_list::UrlList;
