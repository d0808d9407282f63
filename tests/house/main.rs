//! The rules of the code that no compiler checks.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod circles;
mod words;
