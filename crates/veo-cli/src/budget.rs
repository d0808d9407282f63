//! A cap on what a batch may cost. The providers publish no prices that last, so they are found out.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use veo_core::{Client, Offer};

use crate::failure::Failure;

/// What is spent, and what a job of each kind has cost at most.
///
/// The first video of a kind is made while nothing else is under way, so that the balance tells its price, also if the
/// job fails or does not end in time. From then on it is known what the next one may cost before it is sent.
pub(crate) struct Budget<'a> {
    client: &'a Client,
    provider: &'a str,
    cap: f64,
    state: RefCell<State>,
    /// Held by every job under way; by the first of its kind alone.
    under_way: RwLock<()>,
}

#[derive(Default)]
struct State {
    prices: HashMap<String, f64>,
    /// The kind of each job that was sent, and what it cost once that is known.
    charges: Vec<(String, Option<f64>)>,
    /// What a job costs is not known, neither from its record nor from the balance.
    is_in_the_dark: bool,
    /// A request was not sent because of the cap.
    is_refusing: bool,
}

/// Leave to send one request.
pub(crate) struct Leave<'a> {
    charge: usize,
    /// The balance before the first of its kind.
    before: Option<f64>,
    _under_way: UnderWay<'a>,
}

/// What became of a request, as far as it matters here.
pub(crate) enum Cost {
    /// It was not taken.
    Nothing,
    /// It may have been charged, whether there is a video or not; so much, if that is known.
    Perhaps(Option<f64>),
}

#[expect(dead_code, reason = "they are held, and never looked at")]
enum UnderWay<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl<'a> Budget<'a> {
    /// A cap for one provider, which has to tell its balance.
    pub(crate) async fn new(client: &'a Client, provider: &'a str, cap: f64) -> Result<Self, Failure> {
        client.credits(provider).await?;
        Ok(Self { client, provider, cap, state: RefCell::default(), under_way: RwLock::default() })
    }

    /// Takes up what was sent before, and what it has cost if that is known.
    pub(crate) fn has_sent(&self, offer: &Offer, credits: Option<f64>) {
        let mut state = self.state.borrow_mut();
        let charge = state.begin(kind(offer));
        state.settle(charge, &Cost::Perhaps(credits));
    }

    /// A job that was sent before has not ended. As long as nothing tells what one of its kind costs, nothing is sent
    /// to find out: that would be one more in each run.
    pub(crate) fn is_open(&self, offer: &Offer) {
        let mut state = self.state.borrow_mut();
        state.is_in_the_dark |= !state.prices.contains_key(&kind(offer));
    }

    pub(crate) fn spent(&self) -> f64 {
        self.state.borrow().spent()
    }

    /// Waits until the price is known, or for the turn to find it out.
    pub(crate) async fn admit(&self, offer: &Offer) -> Result<Leave<'_>, Failure> {
        let kind = kind(offer);
        let shared = self.under_way.read().await;
        if self.state.borrow().prices.contains_key(&kind) {
            let charge = self.charge(&kind)?;
            return Ok(Leave { charge, before: None, _under_way: UnderWay::Shared(shared) });
        }
        drop(shared);
        let alone = self.under_way.write().await;
        // Somebody else may have found it out while this waited.
        if self.state.borrow().prices.contains_key(&kind) {
            let charge = self.charge(&kind)?;
            return Ok(Leave { charge, before: None, _under_way: UnderWay::Shared(alone.downgrade()) });
        }
        if self.state.borrow().is_in_the_dark {
            let message = "not sent: what a job before it costs is told neither by its record nor by the balance";
            let next =
                "Once all jobs before it have ended, and none is unknown, the same command sends one to find out.";
            return Err(Failure::too_dear(message).with_next(next));
        }
        let before = Some(self.client.credits(self.provider).await?);
        let charge = self.charge(&kind)?;
        Ok(Leave { charge, before, _under_way: UnderWay::Alone(alone) })
    }

    /// Takes up what became of a request, and gives its price if only the balance told it.
    pub(crate) async fn settle(&self, leave: Leave<'_>, mut cost: Cost) -> Option<f64> {
        let mut found = None;
        if let (Some(before), Cost::Perhaps(None)) = (leave.before, &cost) {
            // A balance that cannot be read tells nothing.
            let after = self.client.credits(self.provider).await.unwrap_or(before);
            found = Some(before - after).filter(|price| *price > 0.0);
            cost = Cost::Perhaps(found);
            self.state.borrow_mut().is_in_the_dark |= found.is_none();
        }
        self.state.borrow_mut().settle(leave.charge, &cost);
        found
    }

    fn charge(&self, kind: &str) -> Result<usize, Failure> {
        let mut state = self.state.borrow_mut();
        let (spent, price) = (state.spent(), state.prices.get(kind).copied());
        // Where a known price is too high, an unknown one is not tried.
        let too_dear = match price {
            Some(price) => spent + price > self.cap,
            None => spent >= self.cap || state.is_refusing,
        };
        if too_dear {
            state.is_refusing = true;
            let price = price.map(|price| format!(", and this one would cost {price}")).unwrap_or_default();
            let message = format!("not sent: {spent} of {} credits are spent or promised{price}", self.cap);
            return Err(Failure::too_dear(message));
        }
        Ok(state.begin(kind.to_owned()))
    }
}

impl State {
    fn begin(&mut self, kind: String) -> usize {
        self.charges.push((kind, None));
        self.charges.len() - 1
    }

    fn settle(&mut self, charge: usize, cost: &Cost) {
        let Some((kind, credits)) = self.charges.get_mut(charge) else { return };
        match cost {
            Cost::Nothing => *credits = Some(0.0),
            Cost::Perhaps(Some(cost)) => {
                *credits = Some(*cost);
                let price = self.prices.entry(kind.clone()).or_default();
                *price = price.max(*cost);
            }
            // It counts as much as the dearest of its kind.
            Cost::Perhaps(None) => {}
        }
    }

    fn spent(&self) -> f64 {
        let cost = |(kind, credits): &(String, Option<f64>)| {
            credits.or_else(|| self.prices.get(kind).copied()).unwrap_or_default()
        };
        self.charges.iter().map(cost).sum()
    }
}

/// What has the same price.
fn kind(offer: &Offer) -> String {
    let (request, model) = (&offer.request, &offer.model);
    format!("{} {model} {} {} {:?}", offer.operation, request.mode(), offer.resolution(), request.seconds)
}
