use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use veo_core::{Error, ErrorKind};

/// The end of a transaction that has not succeeded.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The transaction changed nothing, and can be tried again.
    Again(Error),
    /// The answer to the commit was lost. The transaction changed everything or nothing.
    Unclear(Error),
    /// The transaction changed nothing, and another try would fail too.
    Final(Error),
}

/// The time for which a transaction is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first and the longest pause before another try.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Runs a transaction, and repeats it after [`Failed::Again`] for [`PATIENCE`]. Every other end is returned at once:
/// after an unclear end a repetition could record a call twice.
pub(crate) async fn tried<T, F>(mut work: impl FnMut() -> F) -> Result<T, Failed>
where
    F: Future<Output = Result<T, Failed>>,
{
    let until = Instant::now() + PATIENCE;
    let mut pause = PAUSES.0;
    loop {
        match work().await {
            Err(Failed::Again(error)) if Instant::now() < until => {
                tracing::debug!(%error, "the transaction is tried again");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            end => return end,
        }
    }
}

/// Returns the end of a transaction whose commit has failed.
pub(crate) fn of_commit(error: tokio_postgres::Error) -> Failed {
    // Only a conflict proves that the transaction was rolled back. After any other error the commit may be on the disk.
    let is_rolled_back = error.code().is_some_and(is_conflict);
    match Failed::from(error) {
        Failed::Again(error) if is_rolled_back => Failed::Again(error),
        Failed::Again(error) | Failed::Final(error) | Failed::Unclear(error) => {
            Failed::Unclear(error)
        }
    }
}

impl Failed {
    /// Makes an unclear end one that is tried again, for a transaction that may be repeated without harm.
    pub(crate) fn harmless(self) -> Self {
        match self {
            Self::Unclear(error) => Self::Again(error),
            failed => failed,
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Again(error) | Failed::Unclear(error) | Failed::Final(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        let message = "an entry of the ledger in PostgreSQL is not understood; is this the latest version of the library?";
        Self::Final(Error::new(ErrorKind::Ledger, message).with_source(error))
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        let is_passing = match error.code() {
            Some(code) => is_conflict(code) || is_of_connection(code),
            None => error.is_closed() || error.source().is_some_and(is_of_network),
        };
        let error = unusable(error);
        if is_passing {
            Self::Again(error)
        } else {
            Self::Final(error)
        }
    }
}

impl From<PoolError> for Failed {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            error => {
                let message = format!("no connection to PostgreSQL can be had: {error}");
                Self::Final(Error::new(ErrorKind::Ledger, message).with_source(error))
            }
        }
    }
}

/// Returns whether a conflict with other transactions has rolled the transaction back.
fn is_conflict(code: &SqlState) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::EXCLUSION_VIOLATION,
        SqlState::UNIQUE_VIOLATION,
    ];
    conflicts.contains(code)
}

/// Returns whether a connection has failed for another reason than a refused certificate.
fn is_of_network(source: &(dyn StdError + 'static)) -> bool {
    let error = source.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() != io::ErrorKind::InvalidData)
}

/// Returns whether the database cannot be reached for now.
fn is_of_connection(code: &SqlState) -> bool {
    let reasons = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    reasons.contains(code) || code.code().starts_with("08")
}

fn unusable(error: tokio_postgres::Error) -> Error {
    let missing = [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN];
    let message = match error.as_db_error() {
        Some(told) if missing.contains(told.code()) => format!(
            "the tables of the ledger are not there or not up to date ({}); call veo_postgres::migrate",
            told.message()
        ),
        Some(told) => format!("PostgreSQL refuses the ledger: {}", told.message()),
        None => match error.source() {
            Some(source) => format!("PostgreSQL cannot be reached: {error}: {source}"),
            None => format!("PostgreSQL cannot be reached: {error}"),
        },
    };
    Error::new(ErrorKind::Ledger, message).with_source(error)
}
