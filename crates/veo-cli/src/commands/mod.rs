//! The commands. Each has a file with its arguments, its examples and its function.

pub(crate) mod auth;
pub(crate) mod completions;
pub(crate) mod credits;
pub(crate) mod download;
pub(crate) mod extend;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod jobs;
pub(crate) mod man;
pub(crate) mod models;
pub(crate) mod plan;
pub(crate) mod reference;
pub(crate) mod schema;
pub(crate) mod settle;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod upgrade;
pub(crate) mod upload;
pub(crate) mod wait;
