use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Begin, Begun, Entry, Event, Find, Ledger, Listed, Want, Which};
use crate::limit::RecentCalls;
use crate::{BoxFuture, Error, ErrorKind};

/// The ledger of a client to which the caller has given none. It observes the limits of accounts, and stores no call.
#[derive(Debug)]
pub(crate) struct NoLedger {
    since: Instant,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    recent: HashMap<String, RecentCalls>,
    /// The calls on their way. Two of them can have the same key.
    on_their_way: Vec<OnItsWay>,
}

#[derive(Debug)]
struct OnItsWay {
    key: String,
    account: String,
    at: Duration,
}

impl NoLedger {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            accounts: Mutex::default(),
        }
    }
}

impl Ledger for NoLedger {
    fn want(&self, _want: Want) -> BoxFuture<'_, Result<Entry, Error>> {
        no_ledger()
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Begun, Error>> {
        Box::pin(async move {
            if begin.budget.is_some() {
                return no_ledger().await;
            }
            // A call without a limit is an upgrade that starts no task.
            if begin.limit.is_none() {
                return Ok(Begun::Yours);
            }
            let (key, account) = (begin.want.key, begin.offer.account);
            let mut accounts = self.accounts.lock().await;
            let at = self.since.elapsed();
            let recent = accounts.recent.entry(account.clone()).or_default();
            if let Some(pause) = recent.pause(begin.limit, at) {
                return Ok(Begun::NotBefore(pause));
            }
            recent.begun(at);
            accounts.on_their_way.push(OnItsWay { key, account, at });
            Ok(Begun::Yours)
        })
    }

    /// Counts the end of a call. The returned entry is empty, since no call is stored.
    fn record<'a>(&'a self, key: &'a str, event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        Box::pin(async move {
            let Event::Ended { .. } = event else {
                return no_ledger().await;
            };
            let accounts = &mut *self.accounts.lock().await;
            let mut begun = accounts.on_their_way.iter();
            if let Some(index) = begun.position(|call| call.key == key) {
                let call = accounts.on_their_way.remove(index);
                let recent = accounts.recent.entry(call.account).or_default();
                recent.ended(call.at, self.since.elapsed());
            }
            Ok(Entry::lost(key, SystemTime::now()))
        })
    }

    fn entry<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn find<'a>(&'a self, _find: Find<'a>) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn list(&self, _which: Which) -> BoxFuture<'_, Result<Vec<Listed>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn spent<'a>(&'a self, _budget: &'a str) -> BoxFuture<'a, Result<f64, Error>> {
        no_ledger()
    }
}

fn no_ledger<T>() -> BoxFuture<'static, Result<T, Error>> {
    let message = "this client has no ledger; add one with Client::with_ledger";
    Box::pin(async move { Err(Error::new(ErrorKind::InvalidRequest, message)) })
}
