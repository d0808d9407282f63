// If a page defines a link twice, rustdoc takes the first definition. In links.md a link leads to a module below, which
// only the documentation has. In the README the same link leads to a file.
#![doc = include_str!("links.md")]
#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! | step | types |
//! | --- | --- |
//! | describe the video | [`VideoRequest`] with its [`Input`]; an [`Image`] has a [`Source`] |
//! | choose who makes it | [`Client`], which has one [`Provider`] or several; [`Model`] and [`Capabilities`] list the abilities of each |
//! | see what would be sent, offline | [`Plan`], which has an [`Offer`] to or a [`Refusal`] of each provider |
//! | pay | [`Submission`], which is a [`Job`], an [`Error`] or [`Unknown`] |
//! | wait | [`JobRef`], the job as one line of text; [`State`]; [`Poll`], the schedule of the questions |
//! | use the result | [`Video`]; [`Saved`], its file, with the [`Media`] in it; [`Receipt`], which compares the request with the video |
//! | handle an error | [`Error`] with [`Charged`], [`Resend`] and [`Fault`]: the charge, the next attempt, the cause |
//!
//! This library reads no environment variable and prints nothing. `tracing` has a span for each submit, wait, upgrade
//! and download. With the target `veo::wire`, `tracing` also has every exchange with a provider or a media host.
//!
//! # Panics
//!
//! Every call of a [`Client`] needs a tokio runtime with time and IO. Without a runtime, the call returns an error. In
//! a runtime that lacks time or IO, tokio panics.
//!
//! # Features
//!
//! | feature | by default | use |
//! | --- | --- | --- |
//! | `rustls` | on | https by rustls, with built-in root certificates; it needs no library of the system |
//! | `native-tls` | off | https by the TLS library of the system; used if both features are on |
//! | `schemars` | off | the JSON Schema of a [`VideoRequest`], as `schemars::schema_for!(VideoRequest)` |
//!
//! Without both features for TLS, only plain http to this machine is possible, as to a simulator.

mod client;
mod download;
mod error;
mod history;
mod image;
mod job;
pub mod ledger;
mod limit;
mod model;
mod offer;
mod picture;
mod plan;
mod provider;
mod providers;
mod proxy;
mod receipt;
mod reference;
mod request;
mod resolution;
mod runtime;
mod save;
mod send;
mod steps;
mod text;
mod time;
mod upgrade;
mod wait;
mod wire;

pub use client::{Client, Permit};
pub use download::Downloads;
pub use download::media::Media;
pub use download::part::Saved;
pub use error::{Charged, Error, ErrorKind, Fault, Resend, Subject};
pub use job::{Job, State, Submission, Unknown, Video};
pub use limit::Limit;
pub use model::{Feature, Model, Reason};
pub use offer::{Offer, Operation};
pub use plan::{Plan, Refusal};
pub use provider::{ApiAddress, BoxFuture, Capabilities, Described, Provider, Upgrade};
pub use providers::access::Access;
pub use providers::kie::webhook::{Delivery, Notice, Webhooks};
pub use providers::kie::{Kie, KieForm};
pub use providers::uniall::UniAll;
pub use proxy::Proxy;
pub use receipt::Receipt;
pub use reference::{JobRef, ParseJobRefError};
pub use request::{AspectRatio, Image, Input, Mode, Source, Tier, VideoRequest};
pub use resolution::Resolution;
pub use secrecy::SecretString;
pub use send::Prepared;
pub use steps::{Settlement, Step};
pub use veo_transport::is_loopback;
pub use wait::Poll;

// The guides are modules of the documentation, so their programs are documentation tests.
#[cfg(any(doc, doctest))]
#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/README.md")]
pub mod guides {
    macro_rules! guides {
        ($($name:ident $file:literal)*) => {$(
            #[doc = include_str!("links.md")]
            #[doc = include_str!(concat!("../docs/", $file))]
            pub mod $name {}
        )*};
    }
    guides! {
        first_video "first-video.md"
        images "images.md"
        extension "extension.md"
        providers "providers.md"
        retired "retired.md"
        errors "errors.md"
        batch "batch.md"
        webhooks "webhooks.md"
        web_backend "web-backend.md"
        testing "testing.md"
        json "json.md"
    }
}
