//! The transactions of the ledger: to store a wish, to begin a call, and to record an event.

use std::time::SystemTime;

use deadpool_postgres::Object;
use tokio_postgres::{IsolationLevel, Transaction};
use veo_core::ledger::{
    Begin, Begun, Entry, EntryState, Event, Find, Outcome, Want, rules, target_taken,
};
use veo_core::{Error, ErrorKind};

use crate::failure::Failed;
use crate::rows::{Sought, Stored};
use crate::{money, rows};

/// Stores a wish as [`want`](veo_core::ledger::Ledger::want) does, but in a transaction of the caller. So a queue item
/// and the wish are stored together or not at all. Nothing is sent.
///
/// ```no_run
/// use veo_core::VideoRequest;
/// use veo_core::ledger::{Want, Wish};
/// use veo_postgres::tokio_postgres::Client;
///
/// async fn enqueue(client: &mut Client, order: &str) -> Result<(), Box<dyn std::error::Error>> {
///     let wish = Wish::request(&VideoRequest::text("A dog playing in a park")).await;
///     let transaction = client.transaction().await?;
///     veo_postgres::want_in(&transaction, Want::new(order, wish)).await?;
///     transaction.execute("INSERT INTO my_queue (key) VALUES ($1)", &[&order]).await?;
///     transaction.commit().await?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// The errors of [`want`](veo_core::ledger::Ledger::want). After [`ErrorKind::Ledger`] the transaction can only be
/// rolled back. This function does not try it again.
pub async fn want_in(transaction: &Transaction<'_>, want: Want) -> Result<Entry, Error> {
    Ok(self::want(transaction, want).await?)
}

/// Begins a transaction whose commit is on the disk when it returns, even if `synchronous_commit` is off.
pub(crate) async fn start(client: &mut Object) -> Result<Transaction<'_>, Failed> {
    let client: &mut tokio_postgres::Client = client;
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .read_only(false)
        .start()
        .await?;
    // A machine that hangs must not keep an account locked for all others.
    transaction
        .batch_execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '10s', true);
             SELECT set_config('synchronous_commit', 'on', true)
             WHERE current_setting('synchronous_commit') = 'off'",
        )
        .await?;
    Ok(transaction)
}

pub(crate) async fn want(transaction: &Transaction<'_>, want: Want) -> Result<Entry, Failed> {
    rows::check_zeros(&(&want.key, &want.wish, &want.target))?;
    let key = want.key.clone();
    let stored = rows::locked(transaction, &key).await?;
    let known = stored.as_ref().map(|stored| &stored.entry);
    let target = rules::target(&want, known).map(str::to_owned);
    let Some(event) = rules::wanted(want, known)? else {
        // The entry exists already, and is not changed.
        return stored
            .map(|stored| stored.entry)
            .ok_or_else(|| no_such(&key).into());
    };
    if let Some(target) = target
        && let Some(owner) = rows::owner_of_target(transaction, &target, &key).await?
    {
        return Err(target_taken(&target, &owner).into());
    }
    let now = now(transaction).await?;
    let (id, entry) = applied(stored, &key, now, event);
    rows::save(transaction, id, &entry, None, None).await?;
    Ok(entry)
}

/// Decides whether a call may be sent, and records the permitted call as begun, with its lease.
pub(crate) async fn begin(
    transaction: &Transaction<'_>,
    begin: Begin,
    lease: &str,
) -> Result<Begun, Failed> {
    let Begin {
        want,
        offer,
        marker,
        ..
    } = &begin;
    rows::check_zeros(&(&want.key, &want.wish, &want.target))?;
    rows::check_zeros(&(&offer.account, &offer.model, &offer.body, marker))?;
    let key = want.key.clone();
    let stored = rows::locked(transaction, &key).await?;
    let known = stored.as_ref().map(|stored| &stored.entry);
    if let Some(answer) = rules::answer_for_used_key(want, known) {
        return Ok(answer);
    }
    if let Some(target) = rules::target(want, known)
        && let Some(owner) = rows::owner_of_target(transaction, target, &key).await?
    {
        return Ok(Begun::TargetTaken(owner));
    }
    // Until the commit no other transaction begins a call of this account. Otherwise two calls could each fit into the
    // limit or the budget, and exceed it together.
    let account = money::lock(transaction, &begin).await?;
    if let Some(answer) = rules::not_before(&begin, &account.calls, account.since) {
        return Ok(answer);
    }
    let mut reserved = None;
    if let Some(budget) = &begin.budget {
        let spending = money::spending(transaction, budget, &begin).await?;
        reserved = match rules::set_aside(budget, offer, &spending) {
            Ok(reserved) => reserved,
            Err(answer) => return Ok(answer),
        };
    }
    let kind = rules::price_kind(offer);
    let event = rules::begun(begin, known, account.now, reserved);
    let (id, mut entry) = applied(stored, &key, account.now, event);
    entry.state = EntryState::OnItsWay;
    // A crash after the commit leaves the attempt open, and an open attempt is never sent again.
    rows::save(transaction, id, &entry, Some(lease), Some(&kind)).await?;
    Ok(Begun::Yours)
}

/// Records an event of an entry. `own` is the lease of the call that the event is about, if this process has begun the
/// call. `next` is the lease of a repeated call.
pub(crate) async fn record(
    transaction: &Transaction<'_>,
    key: &str,
    event: Event,
    own: Option<&str>,
    next: &str,
) -> Result<Entry, Failed> {
    if let Event::Fall { credits } = event {
        money::fall(transaction, key, credits).await?;
        // A fall of the balance belongs to a budget and not to an entry.
        return Ok(Entry::first(key, SystemTime::now(), event));
    }
    let event = rows::storable(event)?;
    let Some(stored) = rows::locked(transaction, key).await? else {
        return Err(no_such(key).into());
    };
    let owner = match event.settled_as() {
        Some(job) => {
            // Two settlements at the same time must not give one job to two keys.
            rows::lock_name(transaction, &job.to_string()).await?;
            rows::find(transaction, &Sought::of(&Find::Job(job))?).await?
        }
        None => None,
    };
    rules::check(
        &event,
        &stored.entry,
        owner.as_ref().map(|owner| &*owner.key),
    )?;
    if event.is_late(stored.entry.state) {
        return Ok(stored.entry);
    }
    let is_on_its_way = stored.entry.state == EntryState::OnItsWay;
    // The outcome of an earlier call must not count for the call that is on its way now. Otherwise a late rejection
    // would allow a second call while this one may be paid for.
    if is_on_its_way && matches!(event, Event::Ended { .. }) && stored.lease.as_deref() != own {
        let message = format!("{key} was sent again meanwhile by another task or process");
        return Err(Error::new(ErrorKind::OnItsWay, message).into());
    }
    if let Event::Ended {
        outcome: Outcome::Rejected { error, .. },
    } = &event
        && let Some(attempt) = stored.entry.attempts.last()
    {
        money::hold(transaction, &attempt.sent.account, error).await?;
    }
    let is_call = matches!(event, Event::CalledAgain { .. });
    let lease = stored.lease.clone();
    let now = now(transaction).await?;
    let (id, mut entry) = applied(Some(stored), key, now, event);
    if is_call && entry.state == EntryState::Unknown {
        entry.state = EntryState::OnItsWay;
        rows::save(transaction, id, &entry, Some(next), None).await?;
        return Ok(entry);
    }
    let lease = lease.filter(|_| entry.state == EntryState::OnItsWay);
    rows::save(transaction, id, &entry, lease.as_deref(), None).await?;
    Ok(entry)
}

pub(crate) async fn withdraw(
    transaction: &Transaction<'_>,
    key: &str,
    lease: &str,
) -> Result<(), Failed> {
    let stored = rows::locked(transaction, key).await?;
    // Another lease belongs to another call, which may have been sent, so it must not become rejected.
    let Some(stored) = stored.filter(|stored| stored.lease.as_deref() == Some(lease)) else {
        return Ok(());
    };
    let why = "it was not known whether the call is written down, so it was not sent";
    let outcome = Outcome::rejected(Error::new(ErrorKind::Ledger, why));
    let now = now(transaction).await?;
    let (id, entry) = applied(Some(stored), key, now, Event::Ended { outcome });
    rows::save(transaction, id, &entry, None, None).await
}

/// Applies an event to an entry. Returns the id of the entry's row, if the entry has one, and the entry.
fn applied(
    stored: Option<Stored>,
    key: &str,
    at: SystemTime,
    event: Event,
) -> (Option<i64>, Entry) {
    match stored {
        Some(Stored { id, mut entry, .. }) => {
            entry.apply(at, event);
            (Some(id), entry)
        }
        None => (None, Entry::first(key, at, event)),
    }
}

/// Returns the time of the database in whole seconds, so that it is equal after a round trip through JSON.
async fn now(transaction: &Transaction<'_>) -> Result<SystemTime, Failed> {
    let query = "SELECT date_trunc('second', clock_timestamp())";
    Ok(transaction.query_one(query, &[]).await?.try_get(0)?)
}

fn no_such(key: &str) -> Error {
    let message = format!("there is no {key:?} in the ledger");
    Error::new(ErrorKind::InvalidRequest, message)
}
