//! The providers of this library. Each has a file or a folder of its own, which alone names the crate of its client.

pub(crate) mod access;
pub(crate) mod kie;
pub(crate) mod uniall;

mod body;
mod clauses;
mod errors;
mod meaning;
mod submit;

/// The provider of this library that stores images of this machine, as advice names it.
pub(crate) const KEEPS_IMAGES: &str = "kie.ai";
