//! The ledger: the store of all wishes and paid calls. A call is written down before it is sent, so a crash neither
//! pays twice nor loses a paid job.
//!
//! A [`Client`](crate::Client) with a ledger writes down each paid call before it is sent, and its outcome afterwards.
//! The [`FileLedger`] is a file on this machine that processes can share. [`Ledger`] is the trait for other stores, and
//! [`rules`] has the decisions that all of them share.
//!
//! # Keys and states
//!
//! A key is the caller's name for one wish. An [`Entry`] is all that a ledger stores for one key:
//!
//! | state | meaning | what happens if the same key is used again |
//! | --- | --- | --- |
//! | wanted | the wish is stored, and nothing is being sent | the call is sent |
//! | on its way | a live process is sending the call | nothing is sent; the caller waits for the outcome |
//! | accepted | there is a job, which is paid for | the job is returned |
//! | rejected | the call was refused or not sent; nothing was charged | the call is sent again |
//! | unknown | the call was sent, and no reliable reply came back; it may have been charged | nothing is sent until the entry is [settled](crate::Client::settle) |
//! | finished | the job has a video | the job is returned |
//! | failed | the job was accepted and failed, so there will be no video | the job and its failure are returned; another video needs a new key |
//! | done | the caller has saved the video | the job is returned |
//!
//! # Files
//!
//! The file has the prompts: after an unknown outcome, the prompt identifies the task at the provider. Links have no
//! queries, except in a wanted or rejected entry, which needs whole links to be sent. After sending, the next rewrite
//! of the file removes them. API keys are never stored. Only the owner of the file can read it.
//!
//! A symbolic link to the file leads to the same ledger. Nothing is sent from a file with a second hard link: a process
//! that uses the other name would not see which process is sending.

mod alive;
mod book;
mod disk;
mod entry;
mod file;
mod journal;
mod line;
mod none;
pub mod rules;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{BoxFuture, Error, ErrorKind, JobRef, Limit, Offer};

pub(crate) use entry::positive_price;
pub use entry::{Attempt, Delivered, Entry, EntryState, Event, Outcome, Sent, Wish};
pub use file::FileLedger;
pub(crate) use none::NoLedger;

/// A store of all wishes and paid calls.
///
/// All processes and machines that share a ledger share its keys, limits and budgets. Each method is one transaction,
/// and its effect is durable when it returns.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Stores a wish, and sends nothing. If the key already has this wish, its entry stays as it is, except that a
    /// rejected entry becomes wanted again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyReused`] if the key has another wish; [`ErrorKind::TargetTaken`] if another open entry has the
    /// target; [`ErrorKind::Ledger`] if the ledger cannot be written; [`ErrorKind::LedgerDamaged`].
    fn want(&self, want: Want) -> BoxFuture<'_, Result<Entry, Error>>;

    /// Asks for permission to make a paid call. Only [`Begun::Yours`] permits it, and then the call is written down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] and [`ErrorKind::LedgerDamaged`]. After an error the call must not be sent.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>>;

    /// Writes down an event of an entry, and returns the entry. A [late](Event::is_late) event changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be written, [`ErrorKind::InvalidRequest`] if there is no such key,
    /// and the errors of [`rules::check`].
    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>>;

    /// Returns the entry of a key, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read.
    fn entry<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>>;

    /// Returns the entry with this job, marker or target. A job without a size finds the video, and not its upgrade.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read.
    fn find<'a>(&'a self, find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>>;

    /// Lists summaries of entries, in the order in which the entries were first written down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read.
    fn list(&self, which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>>;

    /// Returns the amount of a budget that counts as spent, in the account's credits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the ledger cannot be read.
    fn spent<'a>(&'a self, budget: &'a str) -> BoxFuture<'a, Result<f64, Error>>;
}

/// A ledger that is chosen at run time, as `Arc<dyn Ledger>`.
impl<L: Ledger + ?Sized> Ledger for Arc<L> {
    fn want(&self, want: Want) -> BoxFuture<'_, Result<Entry, Error>> {
        (**self).want(want)
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>> {
        (**self).begin(begin)
    }

    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        (**self).record(key, event)
    }

    fn entry<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        (**self).entry(key)
    }

    fn find<'a>(&'a self, find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        (**self).find(find)
    }

    fn list(&self, which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>> {
        (**self).list(which)
    }

    fn spent<'a>(&'a self, budget: &'a str) -> BoxFuture<'a, Result<f64, Error>> {
        (**self).spent(budget)
    }
}

/// A wish to store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Want {
    /// The caller's name for the wish.
    pub key: String,
    /// The wish.
    pub wish: Wish,
    /// The file in which the video is to be saved, as a text that means the same to all programs that share the ledger.
    pub target: Option<String>,
}

/// A paid call for which a client asks permission.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Begin {
    /// The wish with its key and its target.
    pub want: Want,
    /// The offer that is to be sent.
    pub offer: Offer,
    /// The marker in the callback address of the call, if it has one.
    pub marker: Option<String>,
    /// The number of paid calls that the account accepts in a span of time.
    pub limit: Option<Limit>,
    /// The budget that pays for the call.
    pub budget: Option<Budget>,
}

/// The answer to a [`Begin`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Begun {
    /// The call is written down. The asker may send it now, and no other process may.
    Yours,
    /// A call was begun under this key before, so the asker must not send. The entry has the state of that call.
    Known(Box<Entry>),
    /// The key has another wish.
    KeyReused,
    /// Another open entry has the same target. The text is the key of that entry.
    TargetTaken(String),
    /// The limit of the account is reached, or its provider wants a pause. Ask again after this time.
    NotBefore(Duration),
    /// The rest of the budget is set aside for calls under way. Ask again when one of them has ended.
    Held,
    /// The budget has too little left, and asking again does not help. The text says how much is spent.
    OverBudget(String),
}

/// A property by which an entry is found.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Find<'a> {
    /// The job.
    Job(&'a JobRef),
    /// The marker in the callback address of one of the entry's attempts.
    Marker(&'a str),
    /// The target of an open entry.
    Target(&'a str),
}

/// The entries to list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Which {
    /// All entries.
    All,
    /// All entries with their prompts, which takes longer.
    WithPrompts,
    /// The [open](EntryState::is_open) entries.
    Open,
}

/// A summary of an entry. It shares its texts with the ledger, which can have many entries.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// The caller's name for the wish.
    pub key: Arc<str>,
    /// The state of the entry.
    pub state: EntryState,
    /// The job, if there is one.
    pub job: Option<Arc<str>>,
    /// The address at which the provider was reached, if it is not the provider's usual address.
    pub base_url: Option<Arc<str>>,
    /// The time at which the entry was first written down, in seconds since 1970.
    pub at: u64,
    /// The prompt; empty unless the list has [prompts](Which::WithPrompts).
    pub prompt: String,
    /// The file in which the video is to be saved.
    pub target: Option<Arc<str>>,
}

/// A cap on what one account may spend, in the account's own unit.
///
/// ```
/// use veo_core::ledger::Budget;
///
/// let budget = Budget::new("june", "kie", 500.0)?.price(60.0)?;
/// assert!(Budget::new("june", "kie", f64::NAN).is_err());
/// # Ok::<(), veo_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// The name. All calls under one name count together, even if several processes make them.
    pub name: String,
    /// The account: a provider, or a named account (`kie@studio`). Only this account is used under the budget.
    pub account: String,
    /// The most that may be spent, in the account's credits.
    pub cap: f64,
    /// The price of one call in credits, if the caller knows it.
    pub price: Option<f64>,
    /// The highest price of one call in credits, if known. Without it, an unknown price sets aside all that is left.
    pub most: Option<f64>,
}

impl Budget {
    /// Makes a cap for an account.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the cap is below zero or not finite.
    pub fn new(
        name: impl Into<String>,
        account: impl Into<String>,
        cap: f64,
    ) -> Result<Self, Error> {
        let cap = amount("the cap of a budget", cap)?;
        Ok(Self {
            name: name.into(),
            account: account.into(),
            cap,
            price: None,
            most: None,
        })
    }

    /// Sets the price of one call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the price is below zero or not finite.
    pub fn price(mut self, price: f64) -> Result<Self, Error> {
        self.price = Some(amount("the price of a video", price)?);
        Ok(self)
    }

    /// Sets the highest price of one call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the price is below zero or not finite.
    pub fn most(mut self, most: f64) -> Result<Self, Error> {
        self.most = Some(amount("the highest price of a video", most)?);
        Ok(self)
    }
}

impl Begin {
    /// Makes a call without a marker, a limit and a budget.
    pub fn new(want: Want, offer: Offer) -> Self {
        Self {
            want,
            offer,
            marker: None,
            limit: None,
            budget: None,
        }
    }
}

impl Listed {
    /// Makes a summary without a job, a prompt and a target.
    pub fn new(key: impl Into<Arc<str>>, state: EntryState, at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            key: key.into(),
            state,
            job: None,
            base_url: None,
            at: since.unwrap_or_default().as_secs(),
            prompt: String::new(),
            target: None,
        }
    }
}

impl Begun {
    /// Returns the error of a call that must not be made, if asking again does not help.
    pub(crate) fn final_error(&self, want: &Want) -> Option<Error> {
        match self {
            Self::KeyReused => Some(key_reused(&want.key)),
            Self::TargetTaken(key) => Some(target_taken(
                want.target.as_deref().unwrap_or_default(),
                key,
            )),
            Self::OverBudget(why) => Some(Error::new(
                ErrorKind::OverBudget,
                format!("not sent: {why}"),
            )),
            Self::Yours | Self::Known(_) | Self::NotBefore(_) | Self::Held => None,
        }
    }
}

impl Want {
    /// Makes a wish under a key, without a target.
    pub fn new(key: impl Into<String>, wish: Wish) -> Self {
        Self {
            key: key.into(),
            wish,
            target: None,
        }
    }
}

fn amount(what: &str, credits: f64) -> Result<f64, Error> {
    if credits.is_finite() && credits >= 0.0 && credits.is_sign_positive() {
        return Ok(credits);
    }
    let message =
        format!("{what} cannot be {credits}; give a number from 0 on, or leave it out for none");
    Err(Error::new(ErrorKind::InvalidRequest, message))
}

pub(crate) fn key_reused(key: &str) -> Error {
    let message =
        format!("the key {key:?} already has another request; use another key for this request");
    Error::new(ErrorKind::KeyReused, message)
}

/// Makes the error of a wish whose target another open entry has. `key` is the key of the other entry.
pub fn target_taken(target: &str, key: &str) -> Error {
    let message = format!("{target} is the target of {key} already; choose another target");
    Error::new(ErrorKind::TargetTaken, message)
}
