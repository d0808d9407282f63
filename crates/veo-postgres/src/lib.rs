#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! Each method of the ledger is one transaction. Its commit is on the disk of the database when the method returns,
//! also where `synchronous_commit` is off. Beginning a paid call locks the row of its account, so that all machines
//! together keep to its limit and to a budget. Times are those of the database's clock. A transaction that was rolled
//! back, or whose connection was lost before the commit, is tried again for ten seconds.
//!
//! If the answer to the commit of a begun call is lost, the call is not sent.
//!
//! A call on its way has a lease of 30 seconds, which its process renews. Once the lease is over, the entry is unknown,
//! and nothing is sent under its key until somebody settles it. A late outcome of a slow process is still recorded.
//!
//! # For people
//!
//! | view | has |
//! | --- | --- |
//! | `veo_open` | the entries that may need something |
//! | `veo_unknown` | the entries that may have been charged, and wait for somebody to settle them |
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
