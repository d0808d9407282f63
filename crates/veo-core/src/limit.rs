use std::collections::VecDeque;
use std::time::Duration;

/// The number of paid requests that an account takes in a span of time.
///
/// A provider refuses what is over it, so that waits here.
///
/// ```
/// use std::time::Duration;
/// use veo_core::Limit;
///
/// let limit = Limit::new(20, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limit {
    /// The most requests that may arrive; more than 1000 count as 1000.
    pub requests: usize,
    /// The length of the span. The number counts in any such span.
    pub per: Duration,
}

impl Limit {
    /// So many requests in any span of this length.
    pub fn new(requests: usize, per: Duration) -> Self {
        Self { requests, per }
    }

    /// The span in which requests are counted here. A request that takes long to arrive is counted there when the next ones
    /// are sent already, so this is longer by more than the way to the provider takes.
    pub(crate) fn span(self) -> Duration {
        self.per.saturating_add(self.per / 40)
    }
}

/// How many requests are remembered: more than any provider allows in the time that is looked at.
const REMEMBERED: usize = 1000;

/// When the last paid requests of an account were sent, in time since some beginning.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    times: VecDeque<Duration>,
    /// The provider has asked for a pause until then.
    not_before: Duration,
}

impl Starts {
    /// Takes up a request that is sent now, or says how long to wait before one may be sent.
    pub(crate) fn begin(&mut self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let pause = self.pause(limit, now);
        if pause.is_none() {
            self.sent(now);
        }
        pause
    }

    /// How long to wait before a request may be sent, if not at once.
    pub fn pause(&self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let mut free = self.not_before;
        if let Some(limit) = limit {
            // The request before which there is room for one more.
            let oldest = self
                .times
                .len()
                .checked_sub(limit.requests.clamp(1, REMEMBERED))
                .and_then(|at| self.times.get(at));
            // A clock that was set back has no requests of the future.
            let oldest = oldest.map(|time| (*time).min(now).saturating_add(limit.span()));
            free = free.max(oldest.unwrap_or_default());
        }
        free.checked_sub(now).filter(|pause| !pause.is_zero())
    }

    /// Takes up a request that was sent, after those before it.
    pub fn sent(&mut self, at: Duration) {
        self.times.push_back(at);
        if self.times.len() > REMEMBERED {
            self.times.pop_front();
        }
    }

    /// The provider does not want a request before this time.
    pub fn hold(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }
}
