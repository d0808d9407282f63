//! The wire format of both generated clients: the requests that they send, and their reading of every known reply.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod kie;
mod transport;
mod uniall;
