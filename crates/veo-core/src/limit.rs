use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How many paid requests a provider takes in which time.
///
/// What is over it is refused there, so it waits here. kie.ai's pages say 20 in 10 seconds for an account; UniAll's say nothing.
///
/// ```
/// use std::time::Duration;
/// use veo_core::Limit;
///
/// let limit = Limit { requests: 20, per: Duration::from_secs(10) };
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// So many.
    pub requests: usize,
    /// In any span of this length.
    pub per: Duration,
}

/// The times of the last requests; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window(Arc<Mutex<VecDeque<Instant>>>);

impl Window {
    /// Waits until one more request keeps to the limit. Whoever came first goes first.
    pub(crate) async fn enter(&self, limit: Option<Limit>) {
        let Some(limit) = limit else { return };
        let mut times = self.0.lock().await;
        while times.len() >= limit.requests.max(1) {
            let Some(oldest) = times.front() else { break };
            sleep(limit.per.saturating_sub(oldest.elapsed())).await;
            times.pop_front();
        }
        times.push_back(Instant::now());
    }
}
