//! The wire format of both generated clients: what they send, and what they make of every reply that is known.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod kie;
mod transport;
mod uniall;
