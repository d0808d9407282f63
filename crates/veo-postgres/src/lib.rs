#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! Each method of the ledger is one transaction, whose commit is on the disk of the database when it returns, also where
//! `synchronous_commit` is off. To begin a paid call locks the row of its account, so that all machines together keep to its
//! limit and to a budget. Times are those of the database's clock. A transaction that was rolled back is tried again for ten
//! seconds, and so is a connection that was lost, as long as nothing was sent.
//!
//! If the answer to the commit of a begun call is lost, nothing is sent.
//!
//! A call on its way has a lease of 30 seconds, which its process renews. Once the lease is over, the entry is unknown, and
//! nothing is sent under its key until somebody settles it. What a slow process tells later is still recorded.
//!
//! # For people
//!
//! | view | has |
//! | --- | --- |
//! | `veo_open` | the entries which may need something |
//! | `veo_unknown` | those which may have been charged, and wait for somebody to settle them |
//! | `veo_spent` | the calls and credits of each day and account |

/// The guide for a fleet.
#[cfg(doc)]
#[doc = include_str!("../docs/fleet.md")]
pub mod fleet {}

mod failure;
mod ledger;
mod migrate;
mod money;
mod rows;
mod transactions;

pub use deadpool_postgres;
pub use ledger::PostgresLedger;
pub use migrate::migrate;
pub use tokio_postgres;
pub use transactions::want_in;
