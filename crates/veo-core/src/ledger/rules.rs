//! The decisions that every ledger makes in the same way, for authors of ledgers.
//!
//! A ledger stores entries, and these functions decide what an event does to an entry. The ledger itself does this:
//!
//! - Each method of [`Ledger`](super::Ledger) is one transaction, whose effect is durable when the method returns.
//! - [`begin`](super::Ledger::begin) checks in this order: [`answer_for_used_key`], another open entry with the same
//!   [`target`], [`not_before`], [`set_aside`]. Then it writes down [`begun`] with the state
//!   [`OnItsWay`](EntryState::OnItsWay) and a mark of the sending process. If it is not certain that the event was
//!   written, the ledger returns an error, and nothing is sent.
//! - For [`not_before`] it counts the last calls of each account in [`RecentCalls`]: that they have begun, that an event
//!   has ended them (for a call whose process has ended, perhaps a settlement), and the [pause](pause_after) after one.
//! - [`want`](super::Ledger::want) calls [`wanted`], and then looks for another open entry with the same target.
//! - [`record`](super::Ledger::record) calls [`check`] and [`Event::is_late`], and then [`Entry::apply`].
//! - An entry on its way whose process has ended is read as [`Unknown`](EntryState::Unknown).

use std::time::{Duration, SystemTime};

use super::{
    Attempt, Begin, Begun, Budget, Entry, EntryState, Event, Outcome, Want, Wish, key_reused,
};
use crate::limit::LONGEST_PAUSE;
pub use crate::limit::RecentCalls;
use crate::{Error, ErrorKind, Offer};

/// The amounts that decide whether a budget allows a call, all in the account's credits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spending {
    /// The amount that counts as spent: the sum of the costs of all calls that were not rejected, or the fall of the
    /// balance if the fall is more. A call of unknown cost counts with the price of its [kind](price_kind), or else
    /// with the amount that was set aside for it.
    pub spent: f64,
    /// The highest known price of a call of this kind.
    pub price: Option<f64>,
    /// The lowest known price of a call of the account, of any kind.
    pub least: Option<f64>,
    /// True if a call that is on its way or accepted has no known cost yet.
    pub has_unpriced_call: bool,
    /// True if an amount was set aside for such a call.
    pub is_set_aside: bool,
}

/// Returns the event to write down for a wish, or nothing if the entry of the key stays as it is.
///
/// # Errors
///
/// [`ErrorKind::KeyReused`] if the key has another wish.
pub fn wanted(want: Want, known: Option<&Entry>) -> Result<Option<Event>, Error> {
    if let Some(entry) = known {
        if !want.wish.is_same(&entry.wish) {
            return Err(key_reused(&want.key));
        }
        if entry.state != EntryState::Rejected {
            return Ok(None);
        }
    }
    // A wish that is stored already is not stored again.
    let wish = Some(want.wish).filter(|wish| known.is_none_or(|entry| entry.wish != *wish));
    Ok(Some(Event::Wanted {
        wish,
        target: want.target,
    }))
}

/// Returns the target of a wish. No other open entry may have the same target.
pub fn target<'a>(want: &'a Want, known: Option<&'a Entry>) -> Option<&'a str> {
    let stored = known.and_then(|entry| entry.target.as_deref());
    want.target.as_deref().or(stored)
}

/// Returns the answer if the key has an entry under which nothing may be sent. Returns nothing if the wish may be sent.
pub fn answer_for_used_key(want: &Want, known: Option<&Entry>) -> Option<Begun> {
    let entry = known?;
    if !want.wish.is_same(&entry.wish) {
        return Some(Begun::KeyReused);
    }
    // In every other state a call was paid for or may have been, so a second call could pay twice.
    let is_to_be_sent = matches!(entry.state, EntryState::Wanted | EntryState::Rejected);
    (!is_to_be_sent).then(|| Begun::Known(Box::new(entry.clone())))
}

/// Returns the answer if the account accepts no call now. `now` counts from the same moment as `calls`.
pub fn not_before(begin: &Begin, calls: &RecentCalls, now: Duration) -> Option<Begun> {
    let pause = calls.pause(begin.limit, now)?;
    Some(Begun::NotBefore(pause.min(LONGEST_PAUSE)))
}

/// Returns the amount that a budget has to set aside for a call. It is none if the price is known from earlier calls.
///
/// # Errors
///
/// The answer that makes the call wait or forbids it.
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
    // An unknown price sets aside all that is left, and needs at least the cheapest known price.
    let needed = price
        .or(budget.most)
        .unwrap_or(left.max(spending.least.unwrap_or_default()));
    // Two calls of unknown price at the same time could together cost more than is left.
    if price.is_none() && spending.has_unpriced_call {
        return Err(Begun::Held);
    }
    if needed <= left && left > 0.0 {
        let is_known = spending.price.is_some() && budget.price.is_none();
        return Ok(Some(needed).filter(|_| !is_known));
    }
    // A call under way may cost less than is set aside for it, so there may be room once it has ended.
    if price.is_some() && spending.is_set_aside {
        return Err(Begun::Held);
    }
    let (spent, cap) = (spending.spent, budget.cap);
    let mut why = format!("{spent} of {cap} credits are spent or set aside");
    if let Some(price) = price {
        why.push_str(&format!(", and this call would cost {price}"));
    }
    Err(Begun::OverBudget(why))
}

/// Makes the event that a ledger writes down before it allows a call. `reserved` is what was [set aside](set_aside).
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

/// Refuses an event that does not fit the entry any more: a repeated call that another process has made, or a
/// settlement of an entry that has changed since the caller looked. `owner` is the key of the settled job.
///
/// # Errors
///
/// [`ErrorKind::OnItsWay`] for the repeated call, and [`ErrorKind::InvalidRequest`] for the settlement.
pub fn check(event: &Event, entry: &Entry, owner: Option<&str>) -> Result<(), Error> {
    match event {
        Event::CalledAgain { calls } => check_call(entry, *calls),
        Event::Settled { outcome, attempts } => check_settlement(entry, outcome, *attempts, owner),
        _ => Ok(()),
    }
}

/// Returns the wish of an entry as a ledger stores it. Its links have queries only while the wish may still be sent.
pub fn kept_wish(entry: &Entry) -> Wish {
    match entry.state {
        EntryState::Wanted | EntryState::Rejected | EntryState::OnItsWay => entry.wish.clone(),
        _ => entry.wish.redacted(),
    }
}

/// Returns the kind of a call. Calls of one kind cost the same and take about as long. Its first word is the account.
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

/// Returns the pause after a rejection because of too many requests. After any other rejection there is no pause.
pub fn pause_after(error: &Error) -> Option<Duration> {
    let pause = error.retry_after().unwrap_or(Duration::from_secs(10));
    let is_limit = error.kind() == ErrorKind::RateLimited;
    is_limit.then_some(pause.min(LONGEST_PAUSE))
}

fn check_call(entry: &Entry, calls: u32) -> Result<(), Error> {
    let made = entry.attempts.last().map_or(0, |attempt| attempt.calls);
    // If two processes repeat a call, only the process that counts it first may send it. The other would pay once more.
    if entry.state == EntryState::OnItsWay || made.saturating_add(1) != calls {
        let message = format!(
            "another part of this program or another process is calling for {}; ask again for its outcome",
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
    // A call that began after the caller looked may be paid for, and the settlement does not know of it.
    if !entry.can_be_settled() || entry.attempts.len() != attempts {
        return refuse(format!(
            "{} is {} now; check it again before you settle it",
            entry.key, entry.state
        ));
    }
    // Another key has this job, so the call of this key may be paid for as a different task.
    if let Outcome::Accepted { job, .. } = outcome
        && let Some(other) = owner.filter(|owner| *owner != entry.key)
    {
        return refuse(format!("{job} is the job of {other}"));
    }
    Ok(())
}
