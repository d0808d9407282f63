//! Waits for the end of a task, and then sends its callback.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;

use super::callback;
use super::send::{Callback, is_on_this_machine, send};
use crate::record::SentCallback;
use crate::scenario::{Fate, Pace, Scenario};
use crate::state::{Shared, State};
use crate::task::{PendingCallback, Subject};

/// The number of times that kie.ai repeats a callback that was not answered with HTTP 200.
const RETRIES: u32 = 3;
/// The pause before each repeated callback, in simulated time. kie.ai does not document the pause.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The longest URL in bytes. The length has a bound, since URLs are kept in memory as long as their tasks run.
const MAX_URL: usize = 2048;

/// Starts a follower, which waits for the end of a task and then sends its callback.
pub(crate) fn follow(
    shared: &Arc<Shared>,
    state: &mut State,
    id: &str,
    url: &str,
    subject: Subject,
) {
    if url.len() > MAX_URL {
        state.record.sent(SentCallback {
            task: id.to_owned(),
            url: url.chars().take(80).collect(),
            result: Err(format!(
                "The callBackUrl is longer than {MAX_URL} bytes; give a shorter one."
            )),
        });
        return;
    }
    let Some(task) = state.tasks.get_mut(id) else {
        return;
    };
    let mut follower = Follower {
        shared: shared.clone(),
        pace: task.pace,
        changed: task.watch(),
    };
    let pending = PendingCallback {
        url: url.to_owned(),
        task: id.to_owned(),
        subject,
    };
    tokio::spawn(async move {
        if let Some(due) = follower.wait(pending).await {
            // Many followers wait and few send at a time. So only those that send have the memory for sending.
            Box::pin(follower.send(due)).await;
        }
    });
}

/// Waits for one task and sends its callback. The simulator can forget a task to save memory. Then the follower of the
/// task stops.
struct Follower {
    shared: Arc<Shared>,
    pace: Pace,
    changed: watch::Receiver<()>,
}

/// Callbacks that are to be sent now.
struct Due {
    scenario: Arc<Scenario>,
    callbacks: Vec<PendingCallback>,
}

impl Follower {
    /// Waits until the callback of a task is to be sent. `None` if no callback is to be sent.
    async fn wait(&mut self, pending: PendingCallback) -> Option<Due> {
        let (account, end) = loop {
            let step = next_step(&mut self.shared.state(), &pending);
            match step {
                Step::GiveUp => return None,
                Step::Announce { account, end } => break (account, end),
                Step::Sleep(time) => self.sleep(time).await?,
                Step::AwaitPoll => self.changed.changed().await.ok()?,
            }
        };

        let scenario = self.shared.state().account(&account)?.scenario.clone();
        let delay = Duration::from_secs(scenario.callback.late.into());
        self.sleep_until(end + delay).await?;

        let mut callbacks = vec![pending];
        // The first of two callbacks is held back, and is sent after the second. Until then this returns `None`.
        if scenario.callback.reordered {
            let mut state = self.shared.state();
            let held = &mut state.account(&account)?.held;
            match held.take() {
                Some(earlier) => callbacks.push(earlier),
                None => *held = callbacks.pop(),
            }
        }
        Some(Due {
            scenario,
            callbacks,
        })
    }

    /// Sends each callback once or twice, as the scenario says, until a task is forgotten.
    async fn send(&mut self, due: Due) -> Option<()> {
        let copies = if due.scenario.callback.twice { 2 } else { 1 };
        for pending in &due.callbacks {
            for _ in 0..copies {
                self.send_until_accepted(pending, &due.scenario).await?;
            }
        }
        Some(())
    }

    /// Sends a callback up to four times, until the answer is HTTP 200. A callback to another machine is recorded, and
    /// not sent.
    async fn send_until_accepted(
        &mut self,
        pending: &PendingCallback,
        scenario: &Scenario,
    ) -> Option<()> {
        let key = scenario.callback.key.as_deref();
        let mut next = Duration::ZERO;
        for _ in 0..=RETRIES {
            self.sleep_until(next).await?;
            let Some(callback) = self.callback(pending, scenario) else {
                break;
            };
            // The receiver checks the signature by its own clock, which is not simulated.
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let result = send(&callback, key, now.as_secs()).await;
            let is_over = result == Ok(200) || !is_on_this_machine(&callback.url);
            let mut state = self.shared.state();
            // The state is locked here, so a test that sees this attempt can move the time to the next attempt.
            next = state.now(self.pace) + RETRY_PAUSE;
            state.record.sent(SentCallback {
                task: callback.task_id,
                url: callback.url,
                result,
            });
            if is_over {
                break;
            }
        }
        Some(())
    }

    /// Makes the body of a callback. `None` if the task is forgotten.
    fn callback(&self, pending: &PendingCallback, scenario: &Scenario) -> Option<Callback> {
        let PendingCallback { url, task, subject } = pending;
        let mut state = self.shared.state();
        let account = state.tasks.get(task)?.account.clone();
        let balance = state.account(&account)?.balance;
        let body = callback::body(
            state.tasks.get(task)?,
            task,
            *subject,
            &self.shared.media_url,
            &scenario.callback,
            balance,
        );
        Some(Callback {
            url: url.clone(),
            body,
            task_id: task.clone(),
        })
    }

    /// Waits until the simulated time is `moment`. `None` if the task is forgotten.
    async fn sleep_until(&mut self, moment: Duration) -> Option<()> {
        loop {
            let left = moment.saturating_sub(self.shared.state().now(self.pace));
            if left.is_zero() {
                return Some(());
            }
            self.sleep(left.div_f64(self.pace.scale())).await?;
        }
    }

    /// Waits for some real time, or until the task changes. `None` if the task is forgotten.
    async fn sleep(&mut self, time: Duration) -> Option<()> {
        tokio::select! {
            () = sleep(time) => Some(()),
            changed = self.changed.changed() => changed.ok(),
        }
    }
}

/// The next thing to do about a callback.
enum Step {
    /// The callback will never be sent.
    GiveUp,
    /// The task of this account ended at this simulated time.
    Announce { account: Arc<str>, end: Duration },
    /// The task ends after this real time.
    Sleep(Duration),
    /// The task ends after further polls of a client, so the follower waits for the next poll.
    AwaitPoll,
}

fn next_step(state: &mut State, pending: &PendingCallback) -> Step {
    let PendingCallback {
        task: id, subject, ..
    } = pending;
    let Some(task) = state.tasks.get(id) else {
        return Step::GiveUp;
    };
    let Some(work) = task.work_for(*subject) else {
        return Step::GiveUp;
    };
    if task.fate == Fate::Stuck {
        return Step::GiveUp;
    }
    let account = task.account.clone();
    let pace = task.pace;
    let now = state.now(pace);
    match work.remaining(pace, now) {
        None => Step::AwaitPoll,
        Some(Duration::ZERO) => {
            // `settle` records the time of the end.
            state.settle(id);
            let settled = state.tasks.get(id).and_then(|task| task.work_for(*subject));
            let done = settled.and_then(|work| work.done);
            let end = done.unwrap_or_else(|| work.end(pace, now));
            Step::Announce { account, end }
        }
        Some(time) => Step::Sleep(time),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::record::Call;
    use crate::scenario::Callbacks;
    use crate::task::Task;

    fn scenario(pace: Pace, callbacks: Callbacks) -> Scenario {
        Scenario::new("test", "").pace(pace).callbacks(callbacks)
    }

    /// Accepts a task of the only account, with a callback.
    fn accept(shared: &Arc<Shared>, id: &str, url: &str, subject: Subject, scenario: &Scenario) {
        let state = &mut *shared.state();
        let task = Task::sample("kie key", scenario.pace, state.now(scenario.pace));
        state.arrive(Call::default(), &task.account, || {
            Arc::new(scenario.clone())
        });
        state.tasks.put(id.into(), task);
        follow(shared, state, id, url, subject);
    }

    /// Adds a task that is so large that the simulator forgets all others.
    fn forget_all_tasks(shared: &Shared) {
        let state = &mut *shared.state();
        let task = Task {
            echo: " ".repeat(1 << 26),
            ..Task::sample("kie key", Pace::AtOnce, Duration::ZERO)
        };
        state.tasks.put("large".into(), task);
    }

    async fn until(shared: &Shared, condition: impl Fn(&mut State) -> bool) {
        let met = async {
            while !condition(&mut shared.state()) {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), met).await.unwrap();
    }

    #[tokio::test]
    async fn a_forgotten_task_has_no_follower() {
        // Another socket has this port, and no server accepts connections there.
        let unused = TcpSocket::new_v4().unwrap();
        unused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", unused.local_addr().unwrap());
        let late = |late| Callbacks {
            late,
            ..Callbacks::default()
        };
        for (scenario, attempts) in [
            (scenario(Pace::Polls(3), late(0)), 0),
            (scenario(Pace::Scale(1.0), late(0)), 0),
            (scenario(Pace::AtOnce, late(3600)), 0),
            // The test moves the time by 90 simulated seconds, which ends the task. The first attempt follows at once,
            // and the second one a thousand real seconds later.
            (scenario(Pace::Scale(0.001), late(0)), 1),
        ] {
            let shared = Shared::sample();
            accept(&shared, "a", &url, Subject::Video, &scenario);
            if attempts > 0 {
                shared.state().advance(Duration::from_secs(90));
            }
            until(&shared, |state| state.record.callbacks().len() == attempts).await;
            // The follower gets the time to reach its next wait.
            yield_now().await;
            assert_eq!(Arc::strong_count(&shared), 2, "{scenario:?}");
            forget_all_tasks(&shared);
            until(&shared, |_| Arc::strong_count(&shared) == 1).await;
            assert_eq!(
                shared.state().record.callbacks().len(),
                attempts,
                "{scenario:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_held_callback_of_a_forgotten_task_is_not_sent() {
        let scenario = scenario(
            Pace::AtOnce,
            Callbacks {
                reordered: true,
                ..Callbacks::default()
            },
        );
        // Nothing is sent to another machine, but the attempt is recorded.
        let url = "http://elsewhere/";
        for (is_forgotten, sent) in [(false, &["b", "a"][..]), (true, &["b"])] {
            let shared = Shared::sample();
            accept(&shared, "a", url, Subject::Video, &scenario);
            until(&shared, |state| {
                state
                    .account("kie key")
                    .is_some_and(|account| account.held.is_some())
            })
            .await;
            if is_forgotten {
                forget_all_tasks(&shared);
            }
            accept(&shared, "b", url, Subject::Video, &scenario);
            until(&shared, |_| Arc::strong_count(&shared) == 1).await;
            let tasks: Vec<_> = shared
                .state()
                .record
                .callbacks()
                .into_iter()
                .map(|sent| sent.task)
                .collect();
            assert_eq!(tasks, sent);
        }
    }

    #[tokio::test]
    async fn a_late_callback_counts_from_the_end_of_the_task() {
        for pace in [Pace::AtOnce, Pace::Polls(0), Pace::Scale(1.0)] {
            for subject in [Subject::Video, Subject::Upgrade4k] {
                let shared = Shared::sample();
                let scenario = scenario(
                    pace,
                    Callbacks {
                        late: 600,
                        ..Callbacks::default()
                    },
                );
                accept(&shared, "a", "http://elsewhere/", subject, &scenario);
                // The state stays locked in this block, so the follower sees only the result.
                {
                    let state = &mut *shared.state();
                    if let Pace::Polls(_) = pace {
                        let now = state.now(pace);
                        state.ask(&"kie key".into(), "a");
                        let upgrade = state
                            .tasks
                            .get_mut("a")
                            .and_then(|task| task.upgrades[1].as_mut());
                        assert!(upgrade.unwrap().ask(pace, now));
                    }
                    // The longest upgrade, and the delay.
                    state.advance(Duration::from_secs(480 + 600));
                }
                until(&shared, |state| state.record.callbacks().len() == 1).await;
            }
        }
    }
}
