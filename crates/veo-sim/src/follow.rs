//! Waiting for a task to be done, in order to announce it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::callback::{self, Callback};
use crate::clip::Resolution;
use crate::state::{Progress, Shared, State};
use crate::{Fate, Pace, Scenario, SentCallback, kie};

/// What a callback is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Announced {
    Video,
    Extension,
    Upgrade4k,
}

/// How often kie.ai tries again.
const RETRIES: u32 = 3;
/// How long it waits before that, which is not documented. Simulated seconds.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Many of them are kept, for as long as their tasks run.
const MAX_URL: usize = 2048;

/// Sends the callback of a task when that has ended.
pub(crate) fn follow(shared: &Arc<Shared>, state: &mut State, id: &str, url: &str, what: Announced) {
    if url.len() > MAX_URL {
        let result = Err(format!("The callBackUrl is longer than {MAX_URL} bytes; give a shorter one."));
        state.callbacks.push(SentCallback { task: id.to_owned(), url: url.chars().take(80).collect(), result }, 0);
        return;
    }
    let Some(task) = state.tasks.get_mut(id) else { return };
    let mut follower = Follower { shared: shared.clone(), pace: task.pace, changed: task.watch() };
    let (id, url) = (id.to_owned(), url.to_owned());
    tokio::spawn(async move {
        if let Some(due) = follower.wait(&id, url, what).await {
            // Many wait, and few send at a time; only these need the room for it.
            Box::pin(follower.send(due)).await;
        }
    });
}

struct Follower {
    shared: Arc<Shared>,
    pace: Pace,
    changed: watch::Receiver<()>,
}

/// Callbacks that it is time for.
struct Due {
    scenario: Arc<Scenario>,
    callbacks: Vec<Callback>,
}

impl Follower {
    /// Waits for the end of a task, and until its callback is to be sent. Nothing if there is none to send.
    async fn wait(&mut self, id: &str, url: String, what: Announced) -> Option<Due> {
        let (account, ended) = loop {
            let remaining = remaining(&mut self.shared.state(), id, what);
            match remaining {
                Remaining::Gone => return None,
                Remaining::Done(account, ended) => break (account, ended),
                Remaining::Time(time) => self.doze(time).await,
                Remaining::Questions => self.changed.changed().await.ok()?,
            }
        };
        let scenario = self.shared.state().account(&account)?.scenario.clone();
        self.until(ended + Duration::from_secs(scenario.callback.late.into())).await;
        let mut state = self.shared.state();
        let body = kie::announcement(&state, &self.shared.url, id, what, &scenario.callback)?;
        let mut callbacks = vec![Callback { url, body, task_id: id.to_owned() }];
        if scenario.callback.reordered {
            let held = &mut state.account(&account)?.held;
            match held.take() {
                Some(earlier) => callbacks.push(earlier),
                None => *held = callbacks.pop(),
            }
        }
        drop(state);
        if scenario.callback.twice {
            callbacks = callbacks.into_iter().flat_map(|callback| [callback.clone(), callback]).collect();
        }
        Some(Due { scenario, callbacks })
    }

    /// Sends each callback until it is answered with HTTP 200, at most four times. What may not be sent is not tried again.
    async fn send(&mut self, due: Due) {
        for callback in &due.callbacks {
            for attempt in 0..=RETRIES {
                if attempt > 0 {
                    self.until(self.now() + RETRY_PAUSE).await;
                }
                let key = due.scenario.callback.key.as_deref();
                // The receiver looks at its own clock, which is not simulated.
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                let result = callback::send(callback, key, now.as_secs()).await;
                let is_over = result == Ok(200) || !callback::is_here(&callback.url);
                let sent = SentCallback { task: callback.task_id.clone(), url: callback.url.clone(), result };
                let size = sent.url.len();
                self.shared.state().callbacks.push(sent, size);
                if is_over {
                    break;
                }
            }
        }
    }

    /// The simulated time.
    fn now(&self) -> Duration {
        self.shared.state().now(self.pace)
    }

    /// Waits for a moment of simulated time.
    async fn until(&mut self, moment: Duration) {
        loop {
            let left = moment.saturating_sub(self.now());
            if left.is_zero() {
                break;
            }
            self.doze(left.div_f64(self.pace.scale())).await;
        }
    }

    /// Waits so long, or until something happens.
    async fn doze(&mut self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            Ok(()) = self.changed.changed() => {}
        }
    }
}

/// What a callback waits for.
enum Remaining {
    /// It will never come.
    Gone,
    /// Whose task it is, and when it was done.
    Done(Arc<str>, Duration),
    Time(Duration),
    Questions,
}

fn remaining(state: &mut State, id: &str, what: Announced) -> Remaining {
    let Some(task) = state.tasks.get(id) else { return Remaining::Gone };
    let (account, pace) = (task.account.clone(), task.pace);
    if task.fate == Fate::Stuck {
        return Remaining::Gone;
    }
    let work = match what {
        Announced::Upgrade4k => task.upgrades[Resolution::K4 as usize - 1],
        Announced::Video | Announced::Extension => Some(task.work),
    };
    let Some(work) = work else { return Remaining::Gone };
    let now = state.now(pace);
    match work.remaining(pace, now) {
        Some(Duration::ZERO) => match state.settle(id) {
            Some(Progress::Ended) => Remaining::Done(account, work.end(pace, now)),
            _ => Remaining::Gone,
        },
        Some(time) => Remaining::Time(time),
        None => Remaining::Questions,
    }
}
