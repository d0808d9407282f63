// Of two definitions of a link the first counts, so that the links of the page to the guides lead to the modules below, which
// only the documentation has.
#![doc = include_str!("links.md")]
#![doc = include_str!("../../../README.md")]
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
//! All of it needs a running tokio runtime with time and IO. Nothing reads the environment or prints. `tracing` has a span for
//! each submit, wait, upgrade and download, and with the target `veo::wire` every exchange with a provider or a
//! media host.
//!
//! # Features
//!
//! | feature | by default | for |
//! | --- | --- | --- |
//! | `rustls` | yes | https by rustls, with root certificates built in; needs no library of the system |
//! | `native-tls` | no | https by the system's own library; it is used if both are on |
//!
//! Without either there is plain http to this machine, for a simulator.

mod access;
mod client;
mod download;
mod error;
mod hosts;
mod image;
mod job;
mod kie;
pub mod ledger;
mod limit;
mod media;
mod model;
mod plan;
mod provider;
mod receipt;
mod request;
mod send;
mod steps;
mod submit;
mod translation;
mod uniall;
mod upgrade;
mod wait;
mod webhook;

pub use access::Access;
pub use client::{Client, Permit};
pub use download::{Downloads, Saved};
pub use error::{Charged, Error, ErrorKind, Fault, Resend, Subject};
pub use job::{Job, JobRef, State, Submission, Unknown, Video};
pub use kie::Kie;
pub use limit::Limit;
pub use media::Media;
pub use model::{Feature, Model, Reason};
pub use plan::{Offer, Operation, Plan, Refusal};
pub use provider::{BoxFuture, Capabilities, Described, Provider, Upgrade};
pub use receipt::Receipt;
pub use request::{AspectRatio, Image, Input, Mode, Resolution, Source, Tier, VideoRequest};
pub use secrecy::SecretString;
pub use send::Prepared;
pub use steps::{Settlement, Step};
pub use uniall::UniAll;
pub use wait::Poll;
pub use webhook::{Delivery, Notice, Webhooks};

// The guides, as a part of the documentation. So their programs are tested with it.
#[cfg(any(doc, doctest))]
#[doc = include_str!("links.md")]
#[doc = include_str!("../../../docs/README.md")]
pub mod guides {
    macro_rules! guides {
        ($($name:ident $file:literal)*) => {$(
            #[doc = include_str!("links.md")]
            #[doc = include_str!(concat!("../../../docs/", $file))]
            pub mod $name {}
        )*};
    }
    guides! {
        first_video "first-video.md"
        images "images.md"
        extension "extension.md"
        providers "providers.md"
        errors "errors.md"
        batch "batch.md"
        webhooks "webhooks.md"
        web_backend "web-backend.md"
        testing "testing.md"
        commands "cli.md"
    }
}
