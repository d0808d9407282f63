//! The providers of this library. Each has its own file or folder, which alone uses the crate of its client.

pub(crate) mod access;
pub(crate) mod kie;
pub(crate) mod uniall;

mod body;
mod clauses;
mod errors;
mod meaning;
mod submit;

/// The provider of this library that stores images of this machine, by its name in advice.
pub(crate) const KEEPS_IMAGES: &str = "kie.ai";
