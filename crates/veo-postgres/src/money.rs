//! The limits of accounts, and the sums of budgets.

use std::time::{Duration, SystemTime};

use tokio_postgres::{GenericClient, Transaction};
use veo_core::Error;
use veo_core::ledger::rules::{self, RecentCalls, Spending};
use veo_core::ledger::{Begin, Budget};

use crate::failure::Failed;

/// The amount that counts as spent for the budget $1. Every call sums it again. With 100,000 calls the sum takes a
/// tenth of a second, in which no other call of the account begins.
const SPENT: &str = "greatest(
    (SELECT sum(coalesce(attempts.credits, prices.credits, attempts.reserved, 0))
     FROM veo_attempts AS attempts LEFT JOIN veo_prices AS prices ON prices.kind = attempts.kind
     WHERE attempts.budget = $1 AND NOT attempts.is_rejected),
    (SELECT fall FROM veo_budgets WHERE budget = $1),
    0)";

/// A locked account. No other transaction begins a call of the account until this one ends.
pub(crate) struct Account {
    pub(crate) calls: RecentCalls,
    /// The time of the database after the account was locked, since 1970.
    pub(crate) since: Duration,
    /// The same time in whole seconds, so that it is equal after a round trip through JSON.
    pub(crate) now: SystemTime,
}

/// Locks the account of a call, and then reads the time, which counts as the time of sending. The time is read after
/// the lock, since a transaction can wait for the lock.
pub(crate) async fn lock(transaction: &Transaction<'_>, begin: &Begin) -> Result<Account, Failed> {
    let account = &begin.offer.account;
    let insert = "INSERT INTO veo_accounts VALUES ($1, 'epoch') ON CONFLICT DO NOTHING";
    transaction.execute(insert, &[account]).await?;
    let query = "SELECT not_before FROM veo_accounts WHERE account = $1 FOR UPDATE";
    let row = transaction.query_one(query, &[account]).await?;
    let not_before = since(row.try_get(0)?);
    let mut calls = RecentCalls::default();
    if let Some(limit) = begin.limit {
        let query = "SELECT sent_at, ended_at FROM veo_attempts
             WHERE account = $1 ORDER BY id DESC LIMIT $2";
        let needed = i64::try_from(RecentCalls::needed(limit)).unwrap_or(i64::MAX);
        let rows = transaction.query(query, &[account, &needed]).await?;
        for row in rows.iter().rev() {
            let begun = since(row.try_get(0)?);
            calls.begun(begun);
            if let Some(ended) = row.try_get::<_, Option<SystemTime>>(1)? {
                calls.ended(begun, since(ended));
            }
        }
    }
    // The pause comes after the calls. To an old call it would seem to be of a clock that was set back.
    calls.hold(not_before);
    let query = "SELECT now, date_trunc('second', now) FROM clock_timestamp() AS now";
    let row = transaction.query_one(query, &[]).await?;
    Ok(Account {
        calls,
        since: since(row.try_get(0)?),
        now: row.try_get(1)?,
    })
}

pub(crate) async fn spending(
    transaction: &Transaction<'_>,
    budget: &Budget,
    begin: &Begin,
) -> Result<Spending, Failed> {
    let query = format!(
        "WITH open AS (
            SELECT attempts.reserved IS NOT NULL AS is_set_aside
            FROM veo_entries AS entries
            JOIN veo_attempts AS attempts ON attempts.entry = entries.id
            WHERE entries.state IN ('on_its_way', 'accepted')
                AND attempts.budget = $1 AND NOT attempts.is_rejected AND attempts.credits IS NULL
        )
        SELECT
            {SPENT},
            (SELECT credits FROM veo_prices WHERE kind = $2),
            (SELECT min(credits) FROM veo_prices WHERE account = $3),
            EXISTS (SELECT FROM open),
            EXISTS (SELECT FROM open WHERE is_set_aside)"
    );
    let kind = rules::price_kind(&begin.offer);
    let row = transaction
        .query_one(&query, &[&budget.name, &kind, &begin.offer.account])
        .await?;
    Ok(Spending {
        spent: row.try_get(0)?,
        price: row.try_get(1)?,
        least: row.try_get(2)?,
        has_unpriced_call: row.try_get(3)?,
        is_set_aside: row.try_get(4)?,
    })
}

pub(crate) async fn spent(client: &impl GenericClient, budget: &str) -> Result<f64, Failed> {
    let query = format!("SELECT {SPENT}");
    Ok(client.query_one(&query, &[&budget]).await?.try_get(0)?)
}

/// Adds a fall of the balance while a budget was in use.
pub(crate) async fn fall(
    transaction: &Transaction<'_>,
    budget: &str,
    credits: f64,
) -> Result<(), Failed> {
    let upsert = "INSERT INTO veo_budgets AS known VALUES ($1, $2)
         ON CONFLICT (budget) DO UPDATE SET fall = known.fall + $2";
    transaction.execute(upsert, &[&budget, &credits]).await?;
    Ok(())
}

/// Stores a pause for an account, if a refusal of its provider asks for one.
pub(crate) async fn hold(
    transaction: &Transaction<'_>,
    account: &str,
    refusal: &Error,
) -> Result<(), Failed> {
    let Some(pause) = rules::pause_after(refusal) else {
        return Ok(());
    };
    let upsert = "INSERT INTO veo_accounts AS known
         VALUES ($1, clock_timestamp() + make_interval(secs => $2))
         ON CONFLICT (account) DO UPDATE
         SET not_before = greatest(
             -- No pause is longer, so a later time is of a clock that was set back.
             least(known.not_before, clock_timestamp() + interval '5 minutes'),
             clock_timestamp() + make_interval(secs => $2))";
    transaction
        .execute(upsert, &[&account, &pause.as_secs_f64()])
        .await?;
    Ok(())
}

fn since(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
