//! The decisions that are the same in every ledger, for who writes one.
//!
//! A ledger stores entries, and these functions say what an event means for them. What is left to the ledger:
//!
//! - Each method of [`Ledger`](super::Ledger) is one transaction, and durable when it returns.
//! - [`begin`](super::Ledger::begin) asks in this order: [`known`], the other open entry with the same [`target`],
//!   [`not_before`], [`set_aside`]. It writes down [`begun`] with the state [`OnItsWay`](EntryState::OnItsWay) and a mark of the
//!   process that sends it. An error of it ends in no call, so an unclear end has to be one.
//! - [`want`](super::Ledger::want) asks [`wanted`] and then for the target.
//! - [`record`](super::Ledger::record) asks [`check`] and then [`Event::is_late`], and lets [`Entry::apply`] do the rest.
//! - An entry on its way whose process has gone is read as [`Unknown`](EntryState::Unknown).

use std::time::{Duration, SystemTime};

use super::{
    Attempt, Begin, Begun, Budget, Entry, EntryState, Event, Outcome, Want, Wish, key_reused,
};
pub use crate::limit::Starts;
use crate::{Error, ErrorKind, Offer};

/// How long an account is left alone after its provider has said that there were too many requests, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The amounts by which a budget allows a call or does not, all in the account's credits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    /// The amount that counts as spent: the sum of what each call that was not rejected has cost. While that is not known it is
    /// the price of its [kind](price_kind), or else what was set aside for it. If the balance has fallen by more, it is that.
    pub spent: f64,
    /// The highest price of a call of this kind, if one is known.
    pub price: Option<f64>,
    /// The lowest price of all kinds of the account.
    pub least: Option<f64>,
    /// Whether the price of a call under way, which is on its way or accepted, is not known.
    pub is_open: bool,
    /// Whether something was set aside for such a call.
    pub is_set_aside: bool,
}

/// The event to write down for a wish. There is none if the entry of its key stays as it is.
///
/// # Errors
///
/// [`ErrorKind::KeyReused`] if the key stands for another wish.
pub fn wanted(want: Want, known: Option<&Entry>) -> Result<Option<Event>, Error> {
    if let Some(entry) = known {
        if !want.wish.is_same(&entry.wish) {
            return Err(key_reused(&want.key));
        }
        if entry.state != EntryState::Rejected {
            return Ok(None);
        }
    }
    // What is stored whole need not be stored again.
    let wish = Some(want.wish).filter(|wish| known.is_none_or(|entry| entry.wish != *wish));
    Ok(Some(Event::Wanted {
        wish,
        target: want.target,
    }))
}

/// The place where a wish is to be saved. No other open entry may have it.
pub fn target<'a>(want: &'a Want, known: Option<&'a Entry>) -> Option<&'a str> {
    let stored = known.and_then(|entry| entry.target.as_deref());
    want.target.as_deref().or(stored)
}

/// The answer if the key is known and nothing is to be sent under it.
pub fn known(want: &Want, known: Option<&Entry>) -> Option<Begun> {
    let entry = known?;
    if !want.wish.is_same(&entry.wish) {
        return Some(Begun::KeyReused);
    }
    let is_to_be_sent = matches!(entry.state, EntryState::Wanted | EntryState::Rejected);
    (!is_to_be_sent).then(|| Begun::Known(Box::new(entry.clone())))
}

/// The answer if the account takes no call at this time, in time since the beginning that the starts have.
pub fn not_before(begin: &Begin, starts: &Starts, now: Duration) -> Option<Begun> {
    let pause = starts.pause(begin.limit, now)?;
    Some(Begun::NotBefore(pause.min(LONGEST_PAUSE)))
}

/// What has to be set aside of a budget for a call, if that is not known by its price.
///
/// # Errors
///
/// The answer if the call has to wait or to stay.
pub fn set_aside(
    budget: &Budget,
    offer: &Offer,
    spending: &Spending,
) -> Result<Option<f64>, Begun> {
    if budget.account != offer.account {
        return Err(Begun::OverBudget(format!(
            "the budget {} is for {} and not for {}",
            budget.name, budget.account, offer.account
        )));
    }
    let price = budget.price.or(spending.price);
    let left = budget.cap - spending.spent;
    // Where not even the cheapest known price fits, one that is not known is not tried.
    let needed = price
        .or(budget.most)
        .unwrap_or(left.max(spending.least.unwrap_or_default()));
    if price.is_none() && spending.is_open {
        return Err(Begun::Held);
    }
    if needed <= left && left > 0.0 {
        let is_known = spending.price.is_some() && budget.price.is_none();
        return Ok(Some(needed).filter(|_| !is_known));
    }
    // The price of what is under way gets known when it ends, and what is set aside for it may be more.
    if price.is_some() && spending.is_set_aside {
        return Err(Begun::Held);
    }
    let (spent, cap) = (spending.spent, budget.cap);
    let mut why = format!("{spent} of {cap} credits are spent or promised");
    if let Some(price) = price {
        why.push_str(&format!(", and this one would cost {price}"));
    }
    Err(Begun::OverBudget(why))
}

/// The event to write down before a call leaves, which it does at this time. `reserved` is what was [set aside](set_aside).
pub fn begun(begin: Begin, known: Option<&Entry>, at: SystemTime, reserved: Option<f64>) -> Event {
    let mut attempt = Attempt::new(&begin.offer, at);
    attempt.marker = begin.marker;
    attempt.reserved = reserved;
    attempt.budget = begin.budget.map(|budget| budget.name);
    Event::Begun {
        wish: known.is_none().then(|| begin.want.wish.redacted()),
        target: begin.want.target,
        attempt: Box::new(attempt),
    }
}

/// Refuses an event that does not fit the entry any more: a call that somebody else repeats or has repeated, and a settlement
/// of what is not as it was when somebody looked. `owner` is the key of the entry with the job of that settlement, if there is
/// one.
///
/// # Errors
///
/// [`ErrorKind::OnItsWay`] and [`ErrorKind::InvalidRequest`].
pub fn check(event: &Event, entry: &Entry, owner: Option<&str>) -> Result<(), Error> {
    match event {
        Event::CalledAgain { calls } => check_call(entry, *calls),
        Event::Settled { outcome, attempts } => check_settlement(entry, outcome, *attempts, owner),
        _ => Ok(()),
    }
}

/// The wish of an entry as it is kept. Once nothing is to be sent any more, no link of it has to work.
pub fn kept_wish(entry: &Entry) -> Wish {
    match entry.state {
        EntryState::Wanted | EntryState::Rejected | EntryState::OnItsWay => entry.wish.clone(),
        _ => entry.wish.redacted(),
    }
}

/// The name of all calls that have the same price and take about as long. Its first word is the account.
pub fn price_kind(offer: &Offer) -> String {
    let request = &offer.request;
    let seconds = request.seconds.unwrap_or(8);
    format!(
        "{} {} {} {} {} {seconds}",
        offer.account,
        offer.model,
        offer.operation,
        request.mode(),
        offer.resolution()
    )
}

/// How long the provider wants to be left alone after a rejection.
pub fn pause_after(error: &Error) -> Option<Duration> {
    let pause = error.retry_after().unwrap_or(Duration::from_secs(10));
    let is_limit = error.kind() == ErrorKind::RateLimited;
    is_limit.then_some(pause.min(LONGEST_PAUSE))
}

fn check_call(entry: &Entry, calls: u32) -> Result<(), Error> {
    let made = entry.attempts.last().map_or(0, |attempt| attempt.calls);
    if entry.state == EntryState::OnItsWay || made.saturating_add(1) != calls {
        let message = format!(
            "another task or process calls for {}; ask again for what became of it",
            entry.key
        );
        return Err(Error::new(ErrorKind::OnItsWay, message));
    }
    Ok(())
}

fn check_settlement(
    entry: &Entry,
    outcome: &Outcome,
    attempts: usize,
    owner: Option<&str>,
) -> Result<(), Error> {
    let refuse = |message| Err(Error::new(ErrorKind::InvalidRequest, message));
    if !entry.can_be_settled() || entry.attempts.len() != attempts {
        return refuse(format!(
            "{} is {} now; look again before it is settled",
            entry.key, entry.state
        ));
    }
    if let Outcome::Accepted { job, .. } = outcome
        && let Some(other) = owner.filter(|owner| *owner != entry.key)
    {
        return refuse(format!("{job} is the job of {other}"));
    }
    Ok(())
}
