//! The tests of `veo-core` as a user meets it, against `veo-sim` and against replies that the simulator does not give.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod client;
mod download;
mod forms;
mod images;
mod media;
mod money;
mod pages;
mod plan;
mod properties;
mod refusals;
mod replies;
mod scenarios;
mod sockets;
mod spans;
mod states;
mod video;
mod webhook;

/// Both forms of kie.ai's API, each with the beginning of its jobs.
pub(crate) const FORMS: [(veo_core::KieForm, &str); 2] = [
    (veo_core::KieForm::Old, "kie"),
    (veo_core::KieForm::Current, "kie+jobs"),
];
