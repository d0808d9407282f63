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

    /// Returns how long a call counts after its end. It is a little longer than the provider's span, since the clocks of
    /// the ledger and of the provider do not run equally fast, and a ledger can store times in milliseconds.
    pub(crate) fn span(self) -> Duration {
        let margin = self.per / 1000 + Duration::from_millis(1);
        self.per.saturating_add(margin)
    }
}

/// The number of calls that are remembered. No provider allows more requests in a span.
const REMEMBERED: usize = 1000;
/// The longest time for which a call counts as on its way. It matters for a call whose process has ended.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(30);
/// The longest pause of an account after its provider has refused a call because of too many requests.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The last paid calls of an account. All times count from a moment that the ledger chooses.
///
/// A provider counts a call when the call arrives. That is at some time between the beginning and the end of the call. So
/// a call counts from its beginning until the [`Limit`]'s span has passed since its end. Then the limit holds for the
/// arrivals, even if the calls are slow.
#[derive(Clone, Debug, Default)]
pub struct RecentCalls {
    /// The ends of the calls, in their order. The end of a call on its way is the latest time at which it can end.
    ends: Vec<Duration>,
    /// The end of the pause that the provider has asked for.
    not_before: Duration,
}

impl RecentCalls {
    /// Returns how long to wait before a call may begin, if not at once.
    pub fn pause(&self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let mut free = self.not_before;
        // No pause is that long, so the clock was set back.
        if free > now.saturating_add(LONGEST_PAUSE) {
            free = now;
        }
        if let Some(limit) = limit {
            let counted = self.possible(now);
            // One more call may begin as soon as the oldest call that fills the limit does not count any more.
            let oldest = counted
                .checked_sub(limit.requests.clamp(1, REMEMBERED))
                .and_then(|at| self.ends.get(at));
            // A call on its way ends now at the earliest.
            let oldest = oldest.map(|end| (*end).min(now).saturating_add(limit.span()));
            free = free.max(oldest.unwrap_or_default());
        }
        free.checked_sub(now).filter(|pause| !pause.is_zero())
    }

    /// Counts a call that begins after those before it. Without an [end](Self::ended) it counts as on its way for 30
    /// seconds.
    pub fn begun(&mut self, at: Duration) {
        self.ends.truncate(self.possible(at));
        self.insert(at.saturating_add(LONGEST_CALL));
    }

    /// Counts the end of a call that [began](Self::begun) at the time `begun`.
    pub fn ended(&mut self, begun: Duration, at: Duration) {
        let latest = begun.saturating_add(LONGEST_CALL);
        if let Ok(index) = self.ends.binary_search(&latest) {
            self.ends.remove(index);
        }
        self.insert(at.min(latest));
    }

    /// Lets no call begin before this time.
    pub fn hold(&mut self, until: Duration) {
        self.not_before = self.not_before.max(until);
    }

    /// Returns the number of calls that count. After the clock was set back by more than half a minute, the calls from
    /// before do not count: they would stop all calls until the clock has caught up.
    fn possible(&self, now: Duration) -> usize {
        let latest = now.saturating_add(LONGEST_CALL * 2);
        self.ends.partition_point(|end| *end <= latest)
    }

    fn insert(&mut self, end: Duration) {
        let index = self.ends.partition_point(|earlier| *earlier <= end);
        self.ends.insert(index, end);
        if self.ends.len() > REMEMBERED {
            self.ends.remove(0);
        }
    }
}
