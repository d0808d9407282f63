use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;
use veo_core::ledger::{Begin, Begun, Entry, Event, Find, Ledger, Listed, Want, Which};
use veo_core::{BoxFuture, Error, ErrorKind};

use crate::failure::{Failed, of_commit, tried};
use crate::rows::{LEASE, Sought};
use crate::{migrate, money, rows, transactions};

/// A ledger in PostgreSQL, which many machines share.
///
/// ```no_run
/// use veo_core::{Client, Submission, VideoRequest};
/// use veo_postgres::PostgresLedger;
/// use veo_postgres::deadpool_postgres::Pool;
///
/// async fn make_a_video(client: Client, pool: Pool) -> Result<(), veo_core::Error> {
///     veo_postgres::migrate(&pool).await?;
///     let client = client.with_ledger(PostgresLedger::open(pool).await?);
///     let request = VideoRequest::text("A dog playing in a park");
///     if let Submission::Accepted(job) = client.submit_once("order 17", &request).await {
///         println!("paid for once, whichever machine was asked: {}", job.reference);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct PostgresLedger {
    pool: Pool,
    /// The leases, by key, of the calls that this ledger has begun and whose outcome is not written down yet.
    leases: Arc<Mutex<HashMap<String, String>>>,
}

/// The time between two renewals of a lease, and their number. After ten minutes the outcome of a call is unknown.
const RENEW_EVERY: Duration = Duration::from_secs(10);
const RENEWALS: u32 = 60;

impl PostgresLedger {
    /// Opens the ledger in the first schema of the `search_path`. [`migrate`](crate::migrate) makes its tables.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ledger`] if the database cannot be reached, or if the tables are missing or of another version.
    pub async fn open(pool: Pool) -> Result<Self, Error> {
        let checked = tried(async || {
            let client = pool.get().await?;
            migrate::check(&**client).await
        });
        in_runtime()?;
        checked.await?;
        Ok(Self {
            pool,
            leases: Arc::default(),
        })
    }

    async fn want_once(&self, want: &Want) -> Result<Entry, Failed> {
        let mut client = self.pool.get().await?;
        let transaction = transactions::start(&mut client).await?;
        let entry = transactions::want(&transaction, want.clone()).await?;
        transaction.commit().await.map_err(of_commit)?;
        Ok(entry)
    }

    async fn begin_once(&self, begin: &Begin, lease: &str) -> Result<Begun, Failed> {
        let mut client = self.pool.get().await?;
        let transaction = transactions::start(&mut client).await?;
        let begun = transactions::begin(&transaction, begin.clone(), lease).await?;
        // The call is sent only after this commit, so a call that left is always in the ledger. Every other answer
        // forbids the call, and has written nothing.
        if let Begun::Yours = begun {
            transaction.commit().await.map_err(of_commit)?;
        }
        Ok(begun)
    }

    async fn record_once(
        &self,
        key: &str,
        event: &Event,
        own: Option<&str>,
        next: &str,
    ) -> Result<Entry, Failed> {
        let mut client = self.pool.get().await?;
        let transaction = transactions::start(&mut client).await?;
        let entry = transactions::record(&transaction, key, event.clone(), own, next).await?;
        transaction.commit().await.map_err(of_commit)?;
        Ok(entry)
    }

    /// Permits a call only if it is certain that the call is in the ledger.
    async fn begun(self, begin: Begin) -> Result<Begun, Error> {
        let key = begin.want.key.clone();
        let lease = random()?;
        match tried(|| self.begin_once(&begin, &lease)).await {
            Ok(Begun::Yours) => {
                self.hold(key, lease);
                Ok(Begun::Yours)
            }
            Ok(answer) => Ok(answer),
            // The call may not be in the ledger. Then another process could send it too, and both would be paid for. So
            // the call is not sent. It may also be in the ledger, so it is withdrawn.
            Err(Failed::Unclear(error)) => {
                self.withdraw(&key, &lease).await;
                let message = "PostgreSQL did not say whether the call is written down, so the call was not sent";
                Err(Error::new(ErrorKind::Ledger, message).with_source(error))
            }
            Err(Failed::Again(error) | Failed::Final(error)) => Err(error),
        }
    }

    async fn recorded(self, key: String, event: Event) -> Result<Entry, Error> {
        let own = self.leases().get(&key).cloned();
        let next = random()?;
        let is_end = matches!(event, Event::Ended { .. });
        let is_call = matches!(event, Event::CalledAgain { .. });
        // To record one of these events twice changes nothing, so it is recorded again after an unclear commit.
        let is_harmless = is_end
            || matches!(
                event,
                Event::Finished { .. }
                    | Event::Failed { .. }
                    | Event::Cost { .. }
                    | Event::Done { .. }
            );
        let record = async || {
            let recorded = self.record_once(&key, &event, own.as_deref(), &next).await;
            recorded.map_err(|failed| {
                if is_harmless {
                    failed.harmless()
                } else {
                    failed
                }
            })
        };
        let entry = tried(record).await?;
        if is_call {
            self.hold(key, next);
        } else if is_end {
            self.leases().remove(&key);
        }
        Ok(entry)
    }

    /// Records that a call was not sent, if the ledger has the call. If this fails too, the outcome becomes unknown
    /// when the lease ends, and the call is never sent again.
    async fn withdraw(&self, key: &str, lease: &str) {
        let withdrawn = tried(async || {
            let mut client = self.pool.get().await?;
            let transaction = transactions::start(&mut client).await?;
            transactions::withdraw(&transaction, key, lease).await?;
            transaction
                .commit()
                .await
                .map_err(of_commit)
                .map_err(Failed::harmless)
        });
        if let Err(failed) = withdrawn.await {
            tracing::debug!(error = %Error::from(failed), key, "a call that was not made may be left as unknown");
        }
    }

    /// Renews the lease of a call until its outcome is written down.
    fn hold(&self, key: String, lease: String) {
        self.leases().insert(key.clone(), lease.clone());
        let pool = self.pool.clone();
        tokio::spawn(async move {
            for _ in 0..RENEWALS {
                sleep(RENEW_EVERY).await;
                // If a renewal fails, the next one still comes before the end of the lease.
                if let Ok(false) = renew(&pool, &key, &lease).await {
                    return;
                }
            }
        });
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for PostgresLedger {
    fn want(&self, want: Want) -> BoxFuture<'_, Result<Entry, Error>> {
        let ledger = self.clone();
        in_a_task(async move {
            let want_once = async || ledger.want_once(&want).await.map_err(Failed::harmless);
            Ok(tried(want_once).await?)
        })
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>> {
        in_a_task(self.clone().begun(begin))
    }

    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        in_a_task(self.clone().recorded(key.to_owned(), event))
    }

    fn entry<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        let (pool, key) = (self.pool.clone(), key.to_owned());
        in_a_task(async move {
            let entry = async || rows::entry(&**pool.get().await?, &key).await;
            Ok(tried(entry).await?)
        })
    }

    fn find<'a>(&'a self, find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        let (pool, sought) = (self.pool.clone(), Sought::of(&find));
        in_a_task(async move {
            let sought = sought?;
            let find = async || rows::find(&**pool.get().await?, &sought).await;
            Ok(tried(find).await?)
        })
    }

    fn list(&self, which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>> {
        let pool = self.pool.clone();
        in_a_task(async move {
            let list = async || rows::list(&**pool.get().await?, which).await;
            Ok(tried(list).await?)
        })
    }

    fn spent<'a>(&'a self, budget: &'a str) -> BoxFuture<'a, Result<f64, Error>> {
        let (pool, budget) = (self.pool.clone(), budget.to_owned());
        in_a_task(async move {
            let spent = async || money::spent(&**pool.get().await?, &budget).await;
            Ok(tried(spent).await?)
        })
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").finish_non_exhaustive()
    }
}

/// Runs a transaction in its own Tokio task, which ends when the caller drops its future. Without the task, a caller
/// that stops polling would keep its locks, and all other transactions would wait.
fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(async move {
        in_runtime()?;
        let mut task = JoinSet::new();
        task.spawn(work);
        match task.join_next().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => {
                let message = "the task of the ledger has ended early";
                Err(Error::new(ErrorKind::Ledger, message).with_source(error))
            }
            None => Err(Error::new(
                ErrorKind::Ledger,
                "the task of the ledger did not start",
            )),
        }
    })
}

/// Renews a lease that has not ended, and returns whether there was one. After its end, the call may have been settled.
async fn renew(pool: &Pool, key: &str, lease: &str) -> Result<bool, Failed> {
    let update = format!(
        "UPDATE veo_entries SET leased_until = clock_timestamp() + {LEASE}
         WHERE key = $1 AND lease = $2 AND state = 'on_its_way' AND leased_until > clock_timestamp()"
    );
    let client = pool.get().await?;
    Ok(client.execute(&update, &[&key, &lease]).await? > 0)
}

fn in_runtime() -> Result<(), Error> {
    Handle::try_current().map(drop).map_err(|error| {
        let message = "there is no tokio runtime; call this from within one";
        Error::new(ErrorKind::InvalidRequest, message).with_source(error)
    })
}

/// Returns a random lease, so that no other call has the same one.
fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let message = "this machine has no source of random bits";
        Error::new(ErrorKind::Ledger, message).with_source(error)
    })?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
