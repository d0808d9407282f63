//! The commands, one a file: its arguments, its examples and its function.

pub(crate) mod auth;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod jobs;
pub(crate) mod plan;
pub(crate) mod settle;
pub(crate) mod sim;
