use std::collections::VecDeque;
use std::time::Duration;

/// The number of paid requests that an account accepts in a span of time.
///
/// The provider refuses further requests, so this library makes them wait.
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
    /// The number of requests; more than 1000 count as 1000.
    pub requests: usize,
    /// The length of the span. The number holds in any span of this length.
    pub per: Duration,
}

impl Limit {
    /// Makes a limit of so many requests in any span of this length.
    pub fn new(requests: usize, per: Duration) -> Self {
        Self { requests, per }
    }

    /// Returns the span in which this library counts requests. It is longer than the provider's span, since the
    /// provider counts a slow request only when the request arrives.
    pub(crate) fn span(self) -> Duration {
        self.per.saturating_add(self.per / 40)
    }
}

/// The number of requests that are remembered. No provider allows more requests in a span.
const REMEMBERED: usize = 1000;

/// The times at which the last paid requests of an account were sent, counted from a moment that the ledger chooses.
#[derive(Clone, Debug, Default)]
pub struct SentTimes {
    times: VecDeque<Duration>,
    /// The end of the pause that the provider has asked for.
    not_before: Duration,
}

impl SentTimes {
    /// Counts a request that is sent now, or returns how long to wait before one may be sent.
    pub(crate) fn begin(&mut self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let pause = self.pause(limit, now);
        if pause.is_none() {
            self.sent(now);
        }
        pause
    }

    /// Returns how long to wait before a request may be sent, if not at once.
    pub fn pause(&self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let mut free = self.not_before;
        if let Some(limit) = limit {
            // One more request may be sent as soon as this request is older than the span.
            let oldest = self
                .times
                .len()
                .checked_sub(limit.requests.clamp(1, REMEMBERED))
                .and_then(|at| self.times.get(at));
            // After a clock was set back, a request can seem to be of the future.
            let oldest = oldest.map(|time| (*time).min(now).saturating_add(limit.span()));
            free = free.max(oldest.unwrap_or_default());
        }
        free.checked_sub(now).filter(|pause| !pause.is_zero())
    }

    /// Counts a request that was sent after those before it.
    pub fn sent(&mut self, at: Duration) {
        self.times.push_back(at);
        if self.times.len() > REMEMBERED {
            self.times.pop_front();
        }
    }

    /// Lets no request be sent before this time.
    pub fn hold(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }
}
