use std::collections::HashMap;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Begin, Begun, Entry, Event, Find, Ledger, Listed, Want, Which};
use crate::limit::SentTimes;
use crate::{BoxFuture, Error, ErrorKind};

/// The ledger of a client to which the caller has given none. It observes the limits of accounts, and stores no call.
#[derive(Debug)]
pub(crate) struct NoLedger {
    since: Instant,
    accounts: Mutex<HashMap<String, SentTimes>>,
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
            let now = self.since.elapsed();
            let mut accounts = self.accounts.lock().await;
            let starts = accounts.entry(begin.offer.account).or_default();
            Ok(match starts.begin(begin.limit, now) {
                None => Begun::Yours,
                Some(pause) => Begun::NotBefore(pause),
            })
        })
    }

    fn record<'a>(&'a self, _key: &'a str, _event: Event) -> BoxFuture<'a, Result<Entry, Error>> {
        no_ledger()
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
