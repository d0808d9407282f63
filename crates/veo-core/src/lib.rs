// Of two definitions of a link the first counts: links.md leads to the modules below, which only the documentation has,
// and the README itself to the files.
#![doc = include_str!("links.md")]
#![doc = include_str!("../README.md")]
//!
//! # The types
//!
//! | of | are |
//! | --- | --- |
//! | what to make | [`VideoRequest`] with its [`Input`], [`Image`] and [`Source`] |
//! | who makes it | [`Client`] of one [`Provider`] or several; [`Model`] and [`Capabilities`] say what each can do |
//! | what it would be | [`Plan`] with its [`Offer`]s and [`Refusal`]s, offline |
//! | paying | [`Submission`], which is a [`Job`], an [`Error`] or [`Unknown`] |
//! | waiting | [`JobRef`], the job as one line; [`State`]; [`Poll`] |
//! | the result | [`Video`], [`Saved`] on disk with its [`Media`], and the [`Receipt`] |
//! | what went wrong | [`Error`]: [`Charged`] or not, when to [`Resend`], whose [`Fault`] |
//!
//! This library reads no environment variable and prints nothing. `tracing` has a span for each submit, wait, upgrade
//! and download. With the target `veo::wire` it has every exchange with a provider or a media host.
//!
//! # Panics
//!
//! Every call of a [`Client`] needs a tokio runtime with time and IO. Outside of a runtime it returns an error that
//! says so. In a runtime without time or IO, tokio panics.
//!
//! # Features
//!
//! | feature | by default | for |
//! | --- | --- | --- |
//! | `rustls` | yes | https by rustls, with root certificates built in; needs no library of the system |
//! | `native-tls` | no | https by the system's own library; it is used if both are on |
//!
//! Without either, only plain http to this machine is possible, for a simulator.

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

// The guides are a part of the documentation, so that their programs are tested with it.
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
