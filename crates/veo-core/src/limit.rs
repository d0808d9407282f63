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

    /// Returns how long a call counts after its end. It is a little longer than the provider's span, since the clocks of
    /// the ledger and of the provider do not run equally fast, and a ledger can store times in milliseconds.
    pub(crate) fn span(self) -> Duration {
        let margin = self.per / 1000 + Duration::from_millis(1);
        self.per.saturating_add(margin)
    }
}

/// The number of calls that are remembered. No provider allows more requests in a span.
const REMEMBERED: usize = 1000;
/// The longest time for which a call counts as on its way. A paid call and a look at the balance before it give up
/// earlier, so only a call whose process has ended counts for so long.
const LONGEST_CALL: Duration = Duration::from_secs(180);
/// The longest pause of an account after its provider has refused a call because of too many requests.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The last paid calls of an account. All times count from a moment that the ledger chooses.
///
/// A provider counts a call when the call arrives. That is at some time between the beginning and the end of the call. So
/// a call counts from its beginning until the [`Limit`]'s span has passed since its end. Then the limit holds for the
/// arrivals, even if the calls are slow.
///
/// The ledger gives the calls in the order in which it stored them. If a call then begins earlier than those before it, the
/// clock was set back. If it was set back by more than some minutes, the calls and the pause from before do not count:
/// they would stop all calls until the clock has caught up.
#[derive(Clone, Debug, Default)]
pub struct RecentCalls {
    /// The ends of the calls, in their order. The end of a call on its way is the latest time at which it can end.
    ends: VecDeque<Duration>,
    /// The end of the pause that the provider has asked for.
    not_before: Duration,
}

impl RecentCalls {
    /// Returns how many of the last calls of an account can count towards a limit. A ledger needs to give no others.
    pub fn needed(limit: Limit) -> usize {
        let spans = LONGEST_CALL.as_nanos() / limit.per.as_nanos().max(1) + 2;
        let spans = usize::try_from(spans).unwrap_or(REMEMBERED);
        limit.requests.max(1).saturating_mul(spans).min(REMEMBERED)
    }

    /// Returns how long to wait before a call may begin, if not at once.
    pub fn pause(&self, limit: Option<Limit>, now: Duration) -> Option<Duration> {
        let mut free = Duration::ZERO;
        if !self.is_old_pause(now) {
            free = self.not_before;
        }
        if let Some(limit) = limit.filter(|_| !self.are_old_calls(now)) {
            // One more call may begin as soon as the oldest call that fills the limit does not count any more.
            let oldest = self
                .ends
                .len()
                .checked_sub(limit.requests.clamp(1, REMEMBERED))
                .and_then(|at| self.ends.get(at));
            // A call on its way ends now at the earliest.
            let oldest = oldest.map(|end| (*end).min(now).saturating_add(limit.span()));
            free = free.max(oldest.unwrap_or_default());
        }
        free.checked_sub(now).filter(|pause| !pause.is_zero())
    }

    /// Counts a call that begins. Without an [end](Self::ended) it counts as on its way for three minutes.
    pub fn begun(&mut self, at: Duration) {
        if self.are_old_calls(at) {
            self.ends.clear();
        }
        if self.is_old_pause(at) {
            self.not_before = Duration::ZERO;
        }
        self.insert(at.saturating_add(LONGEST_CALL));
    }

    /// Counts the end of a call that [began](Self::begun) at the time `begun`.
    pub fn ended(&mut self, begun: Duration, at: Duration) {
        let latest = begun.saturating_add(LONGEST_CALL);
        if let Ok(index) = self.ends.binary_search(&latest) {
            self.ends.remove(index);
        }
        // The outcome of a call whose process has ended can be written down much later than the call has ended.
        self.insert(at.min(latest));
    }

    /// Lets no call begin before this time.
    pub fn hold(&mut self, until: Duration) {
        if self.is_old_pause(until) {
            self.not_before = until;
        }
        self.not_before = self.not_before.max(until);
    }

    /// Returns whether the calls are from before the clock was set back.
    fn are_old_calls(&self, now: Duration) -> bool {
        // The clock of a machine is often set back by some milliseconds.
        let possible = now.saturating_add(LONGEST_CALL + Duration::from_secs(10));
        self.ends.back().is_some_and(|end| *end > possible)
    }

    /// Returns whether the pause is from before the clock was set back.
    fn is_old_pause(&self, now: Duration) -> bool {
        self.not_before > now.saturating_add(LONGEST_PAUSE)
    }

    fn insert(&mut self, end: Duration) {
        let index = self.ends.partition_point(|earlier| *earlier <= end);
        self.ends.insert(index, end);
        if self.ends.len() > REMEMBERED {
            self.ends.pop_front();
        }
    }
}
