#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! The ledger has an *entry* for each *key*. A key is the caller's name for one video.
//!
//! Each method of the ledger is one transaction. When the method returns, the commit is on the disk of the database,
//! even if `synchronous_commit` is off. All times are from the clock of the database. If a transaction was rolled back,
//! or its connection was lost before the commit, the ledger tries the transaction again for ten seconds.
//!
//! Before a paid call is sent, a transaction records it as begun. This transaction locks the row of the account, so all
//! machines together keep to the limit of the account and to a budget. If the connection is lost during the commit, the
//! process cannot know whether the call is in the ledger. Then the call is not sent, and nothing is charged.
//!
//! A call on its way has a lease of 30 seconds in the database. The process that sends the call renews the lease for up
//! to ten minutes. If the lease ends without an outcome, the outcome is unknown, and the call may have been charged. No
//! process sends a request under this key again until somebody settles the entry. To settle an entry means to record
//! its true outcome. If a slow process still gets the outcome later, the ledger records this outcome.
//!
//! # Views for people
//!
//! | view | content |
//! | --- | --- |
//! | `veo_open` | the entries that are wanted, on their way, accepted, unknown or finished |
//! | `veo_unknown` | the entries that may have been charged, until somebody settles them |
//! | `veo_spent` | the calls that were not rejected and their credits, for each day and account |

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
