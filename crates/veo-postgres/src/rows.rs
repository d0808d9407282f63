//! An entry and its rows in the database.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::{GenericClient, Row, Transaction};
use veo_core::ledger::{Entry, EntryState, Event, Find, Listed, Which, rules};
use veo_core::{Error, ErrorKind};

use crate::failure::Failed;

/// An entry in the database.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: i64,
    /// The entry. If the lease of its call has ended, the state is unknown.
    pub(crate) entry: Entry,
    /// The lease of the last call, if the call has no outcome. The row keeps the lease even after its end.
    pub(crate) lease: Option<String>,
}

/// A search for an entry by one of its properties.
#[derive(Debug)]
pub(crate) struct Sought {
    pub(crate) text: String,
    /// The query for the id of the row with this text.
    id: String,
}

/// The time for which a call is on its way without a renewal.
pub(crate) const LEASE: &str = "interval '30 seconds'";
/// The condition for open entries. The index `veo_entries_open` has the same condition.
const OPEN: &str = "state IN ('wanted', 'on_its_way', 'accepted', 'unknown', 'finished')";
/// The columns of a [`Stored`].
const COLUMNS: &str = "id, state, lease, entry::text";

/// Returns the entry of a key, and locks it: no other transaction changes the entry until this one ends.
pub(crate) async fn locked(
    transaction: &Transaction<'_>,
    key: &str,
) -> Result<Option<Stored>, Failed> {
    if has_zeros(key) {
        return Ok(None);
    }
    let query = format!("SELECT {COLUMNS} FROM veo_jobs WHERE key = $1 FOR UPDATE");
    let row = transaction.query_opt(&query, &[&key]).await?;
    row.map(|row| stored(&row)).transpose()
}

pub(crate) async fn entry(client: &impl GenericClient, key: &str) -> Result<Option<Entry>, Failed> {
    if has_zeros(key) {
        return Ok(None);
    }
    let query = format!("SELECT {COLUMNS} FROM veo_jobs WHERE key = $1");
    let row = client.query_opt(&query, &[&key]).await?;
    row.map(|row| Ok(stored(&row)?.entry)).transpose()
}

impl Sought {
    pub(crate) fn of(find: &Find<'_>) -> Result<Self, Error> {
        let (text, id) = match find {
            // The latest entry with exactly this job is found, or else the first entry that has the job with a size.
            Find::Job(job) => (
                job.to_string(),
                "coalesce(
                    (SELECT id FROM veo_entries WHERE job = $1 ORDER BY id DESC LIMIT 1),
                    (SELECT id FROM veo_entries WHERE video = $1 ORDER BY id LIMIT 1))"
                    .to_owned(),
            ),
            Find::Marker(marker) => (
                (*marker).to_owned(),
                "(SELECT entry FROM veo_attempts WHERE marker = $1 ORDER BY entry DESC LIMIT 1)"
                    .to_owned(),
            ),
            Find::Target(target) => (
                (*target).to_owned(),
                format!(
                    "(SELECT id FROM veo_entries WHERE target = $1 AND {OPEN} ORDER BY id DESC LIMIT 1)"
                ),
            ),
            _ => {
                let message = "this version of veo-postgres cannot find an entry by this property";
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            }
        };
        Ok(Self { text, id })
    }
}

pub(crate) async fn find(
    client: &impl GenericClient,
    sought: &Sought,
) -> Result<Option<Entry>, Failed> {
    if has_zeros(&sought.text) {
        return Ok(None);
    }
    let query = format!("SELECT {COLUMNS} FROM veo_jobs WHERE id = {}", sought.id);
    let row = client.query_opt(&query, &[&sought.text]).await?;
    row.map(|row| Ok(stored(&row)?.entry)).transpose()
}

pub(crate) async fn list(client: &impl GenericClient, which: Which) -> Result<Vec<Listed>, Failed> {
    let prompt = match which {
        Which::WithPrompts => "prompt",
        _ => "''",
    };
    // The table suffices, since an entry is open before and after the end of its lease.
    let filter = match which {
        Which::Open => format!("WHERE id IN (SELECT id FROM veo_entries WHERE {OPEN})"),
        _ => String::new(),
    };
    let query = format!(
        "SELECT key, state, at, job, base_url, target, {prompt} FROM veo_jobs {filter} ORDER BY id"
    );
    let mut listed = Vec::new();
    for row in client.query(&query, &[]).await? {
        let mut line = Listed::new(
            row.try_get::<_, String>(0)?,
            state(row.try_get(1)?)?,
            row.try_get(2)?,
        );
        line.job = text(&row, 3)?;
        line.base_url = text(&row, 4)?;
        line.target = text(&row, 5)?;
        line.prompt = row.try_get(6)?;
        listed.push(line);
    }
    Ok(listed)
}

fn text(row: &Row, column: usize) -> Result<Option<Arc<str>>, Failed> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.map(Into::into))
}

/// Returns the key of another open entry with this target. It locks the target against other transactions.
pub(crate) async fn owner_of_target(
    transaction: &Transaction<'_>,
    target: &str,
    key: &str,
) -> Result<Option<String>, Failed> {
    lock_name(transaction, target).await?;
    let query =
        format!("SELECT key FROM veo_entries WHERE target = $1 AND key <> $2 AND {OPEN} LIMIT 1");
    let row = transaction.query_opt(&query, &[&target, &key]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Locks a target or a job until the end of the transaction, so that two transactions cannot give it to two entries.
pub(crate) async fn lock_name(transaction: &Transaction<'_>, name: &str) -> Result<(), Failed> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || $1, 0))";
    transaction.execute(lock, &[&name]).await?;
    Ok(())
}

/// Stores an entry after an event. If another transaction has just stored the key, this one is tried again.
pub(crate) async fn save(
    transaction: &Transaction<'_>,
    id: Option<i64>,
    entry: &Entry,
    lease: Option<&str>,
    kind: Option<&str>,
) -> Result<(), Failed> {
    let mut kept = entry.clone();
    kept.wish = rules::kept_wish(entry);
    let json = serde_json::to_string(&kept)?;
    let state = word(entry.state)?;
    let job = entry.reference().map(ToString::to_string);
    let video = entry.reference().filter(|job| job.resolution.is_some());
    let video = video.filter(|_| entry.upgrade().is_none());
    let video = video.map(|job| {
        let mut video = job.clone();
        video.resolution = None;
        video.to_string()
    });
    let target = match &entry.delivered {
        Some(delivered) => Some(delivered.saved.path.to_string_lossy().into_owned()),
        None => entry.target.clone(),
    };
    let prompt = kept.wish.asked().map_or("", |request| &request.prompt);
    let id: i64 = match id {
        Some(id) => {
            let update = format!(
                "UPDATE veo_entries SET state = $2, lease = $3, leased_until = clock_timestamp() + {LEASE}, job = $4,
                 video = $5, target = $6, base_url = $7, prompt = $8, entry = $9::text::json WHERE id = $1"
            );
            transaction
                .execute(
                    &update,
                    &[
                        &id,
                        &state,
                        &lease,
                        &job,
                        &video,
                        &target,
                        &entry.base_url(),
                        &prompt,
                        &json,
                    ],
                )
                .await?;
            id
        }
        None => {
            let insert = format!(
                "INSERT INTO veo_entries
                 (key, state, lease, leased_until, at, job, video, target, base_url, prompt, entry)
                 VALUES ($1, $2, $3, clock_timestamp() + {LEASE}, $4, $5, $6, $7, $8, $9, $10::text::json)
                 ON CONFLICT DO NOTHING RETURNING id"
            );
            let row = transaction
                .query_opt(
                    &insert,
                    &[
                        &entry.key,
                        &state,
                        &lease,
                        &entry.at,
                        &job,
                        &video,
                        &target,
                        &entry.base_url(),
                        &prompt,
                        &json,
                    ],
                )
                .await?;
            // Another process has stored this key meanwhile. If this transaction overwrote that entry, both processes
            // would send a first call under the key, and both calls would be paid for.
            let Some(row) = row else {
                let message = format!(
                    "other processes keep storing {:?}; try again later",
                    entry.key
                );
                return Err(Failed::Again(Error::new(ErrorKind::Ledger, message)));
            };
            row.try_get(0)?
        }
    };
    save_attempt(transaction, id, entry, kind).await
}

/// Refuses texts with zero characters, which PostgreSQL cannot store.
pub(crate) fn check_zeros(texts: &impl Serialize) -> Result<(), Failed> {
    if without_zeros(&mut serde_json::to_value(texts)?) {
        let message =
            "a text has a zero character in it, which PostgreSQL does not take; leave it out";
        return Err(Error::new(ErrorKind::InvalidRequest, message).into());
    }
    Ok(())
}

/// Returns an event without zero characters, so that PostgreSQL can store every outcome.
pub(crate) fn storable(event: Event) -> Result<Event, Failed> {
    let mut value = serde_json::to_value(&event)?;
    if without_zeros(&mut value) {
        return Ok(serde_json::from_value(value)?);
    }
    Ok(event)
}

/// Stores the last attempt of an entry, for limits and budgets.
async fn save_attempt(
    transaction: &Transaction<'_>,
    id: i64,
    entry: &Entry,
    kind: Option<&str>,
) -> Result<(), Failed> {
    let Some(attempt) = entry.attempts.last() else {
        return Ok(());
    };
    let number = i32::try_from(entry.attempts.len()).unwrap_or(i32::MAX);
    let upsert = "INSERT INTO veo_attempts
         AS known (entry, number, account, sent_at, ended_at, marker, kind, budget, reserved, credits, is_rejected)
         VALUES ($1, $2, $3, clock_timestamp(), CASE WHEN $10 THEN clock_timestamp() END, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (entry, number) DO UPDATE
         SET credits = $8, is_rejected = $9, ended_at = coalesce(known.ended_at, excluded.ended_at)
         RETURNING kind";
    let is_rejected = attempt.rejection().is_some();
    let has_ended = entry.state != EntryState::OnItsWay;
    let row = transaction
        .query_one(
            upsert,
            &[
                &id,
                &number,
                &attempt.sent.account,
                &attempt.marker,
                &kind,
                &attempt.budget,
                &attempt.reserved,
                &attempt.credits,
                &is_rejected,
                &has_ended,
            ],
        )
        .await?;
    let kind: Option<String> = row.try_get(0)?;
    if let (Some(kind), Some(credits)) = (kind, attempt.credits) {
        let upsert = "INSERT INTO veo_prices AS known (kind, account, credits) VALUES ($1, $2, $3)
             ON CONFLICT (kind) DO UPDATE SET credits = greatest(known.credits, $3)";
        transaction
            .execute(upsert, &[&kind, &attempt.sent.account, &credits])
            .await?;
    }
    Ok(())
}

fn stored(row: &Row) -> Result<Stored, Failed> {
    let mut entry: Entry = serde_json::from_str(row.try_get(3)?)?;
    entry.state = state(row.try_get(1)?)?;
    Ok(Stored {
        id: row.try_get(0)?,
        entry,
        lease: row.try_get(2)?,
    })
}

fn state(word: &str) -> Result<EntryState, Failed> {
    Ok(serde_json::from_value(word.into())?)
}

fn word(state: EntryState) -> Result<String, Failed> {
    Ok(serde_json::from_value(serde_json::to_value(state)?)?)
}

/// Returns whether a text has a zero character, and so cannot be stored.
fn has_zeros(text: &str) -> bool {
    text.contains('\0')
}

/// Replaces zero characters in all texts, and returns whether there were any.
fn without_zeros(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let is_changed = has_zeros(text);
            if is_changed {
                *text = text.replace('\0', "\u{fffd}");
            }
            is_changed
        }
        Value::Array(values) => {
            let mut is_changed = false;
            for value in values {
                is_changed |= without_zeros(value);
            }
            is_changed
        }
        Value::Object(members) => {
            let mut is_changed = members.keys().any(|name| has_zeros(name));
            for (_, value) in members {
                is_changed |= without_zeros(value);
            }
            is_changed
        }
        _ => false,
    }
}
