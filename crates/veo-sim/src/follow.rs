//! Waiting for a task to be done, in order to announce it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::callback::{self, Callback};
use crate::clip::Resolution;
use crate::state::{Shared, State, Task};
use crate::{Callbacks, Fate, Pace, Scenario, SentCallback, kie};

/// A callback to be sent. It has no body, which is as long as the prompt: that is made when it is sent.
#[derive(Clone)]
pub(crate) struct Announcement {
    url: String,
    task: String,
    what: Announced,
}

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
pub(crate) fn follow(
    shared: &Arc<Shared>,
    state: &mut State,
    id: &str,
    url: &str,
    what: Announced,
) {
    if url.len() > MAX_URL {
        let result = Err(format!(
            "The callBackUrl is longer than {MAX_URL} bytes; give a shorter one."
        ));
        state.callbacks.push(
            SentCallback {
                task: id.to_owned(),
                url: url.chars().take(80).collect(),
                result,
            },
            0,
        );
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
    let announcement = Announcement {
        url: url.to_owned(),
        task: id.to_owned(),
        what,
    };
    tokio::spawn(async move {
        if let Some(due) = follower.wait(announcement).await {
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
    announcements: Vec<Announcement>,
}

impl Follower {
    /// Waits for the end of a task, and until its callback is to be sent. Nothing if there is none to send.
    async fn wait(&mut self, announcement: Announcement) -> Option<Due> {
        let (account, ended) = loop {
            let remaining = remaining(&mut self.shared.state(), &announcement);
            match remaining {
                Remaining::Gone => return None,
                Remaining::Done(account, ended) => break (account, ended),
                Remaining::Time(time) => self.doze(time).await?,
                Remaining::Questions => self.changed.changed().await.ok()?,
            }
        };
        let scenario = self.shared.state().account(&account)?.scenario.clone();
        self.until(ended + Duration::from_secs(scenario.callback.late.into()))
            .await?;
        let mut announcements = vec![announcement];
        if scenario.callback.reordered {
            let mut state = self.shared.state();
            let held = &mut state.account(&account)?.held;
            match held.take() {
                Some(earlier) => announcements.push(earlier),
                None => *held = announcements.pop(),
            }
        }
        if scenario.callback.twice {
            announcements = announcements
                .into_iter()
                .flat_map(|it| [it.clone(), it])
                .collect();
        }
        Some(Due {
            scenario,
            announcements,
        })
    }

    /// Sends each callback until it is answered with HTTP 200, at most four times. What may not be sent is not tried again.
    /// Nothing more once the task is forgotten.
    async fn send(&mut self, due: Due) -> Option<()> {
        for announcement in &due.announcements {
            let mut next = Duration::ZERO;
            for _ in 0..=RETRIES {
                self.until(next).await?;
                let Some(callback) = self.callback(announcement, &due.scenario.callback) else {
                    break;
                };
                let key = due.scenario.callback.key.as_deref();
                // The receiver looks at its own clock, which is not simulated.
                let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                let result = callback::send(&callback, key, now.as_secs()).await;
                let is_over = result == Ok(200) || !callback::is_here(&callback.url);
                let sent = SentCallback {
                    task: callback.task_id,
                    url: callback.url,
                    result,
                };
                let size = sent.url.len();
                let mut state = self.shared.state();
                // Whoever sees this attempt and lets time pass has waited for the next one.
                next = state.now(self.pace) + RETRY_PAUSE;
                state.callbacks.push(sent, size);
                if is_over {
                    break;
                }
            }
        }
        Some(())
    }

    /// A callback with its body; nothing if its task is forgotten.
    fn callback(
        &self,
        Announcement { url, task, what }: &Announcement,
        how: &Callbacks,
    ) -> Option<Callback> {
        let body = kie::announcement(&self.shared.state(), &self.shared.url, task, *what, how)?;
        Some(Callback {
            url: url.clone(),
            body,
            task_id: task.clone(),
        })
    }

    /// Waits for a moment of simulated time.
    async fn until(&mut self, moment: Duration) -> Option<()> {
        loop {
            let left = moment.saturating_sub(self.shared.state().now(self.pace));
            if left.is_zero() {
                return Some(());
            }
            self.doze(left.div_f64(self.pace.scale())).await?;
        }
    }

    /// Waits so long, or until something happens. Nothing if the task is forgotten.
    async fn doze(&mut self, time: Duration) -> Option<()> {
        tokio::select! {
            () = sleep(time) => Some(()),
            changed = self.changed.changed() => changed.ok(),
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

fn remaining(state: &mut State, Announcement { task: id, what, .. }: &Announcement) -> Remaining {
    let Some(task) = state.tasks.get(id) else {
        return Remaining::Gone;
    };
    let (account, pace) = (task.account.clone(), task.pace);
    if task.fate == Fate::Stuck {
        return Remaining::Gone;
    }
    let work = |task: &Task| match what {
        Announced::Upgrade4k => task.upgrades[Resolution::K4 as usize - 1],
        Announced::Video | Announced::Extension => Some(task.work),
    };
    let Some(running) = work(task) else {
        return Remaining::Gone;
    };
    let now = state.now(pace);
    match running.remaining(pace, now) {
        Some(Duration::ZERO) => {
            state.settle(id);
            let done = state
                .tasks
                .get(id)
                .and_then(work)
                .and_then(|work| work.done);
            Remaining::Done(account, done.unwrap_or_else(|| running.end(pace, now)))
        }
        Some(time) => Remaining::Time(time),
        None => Remaining::Questions,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::Call;

    fn scenario(pace: Pace, callbacks: Callbacks) -> Scenario {
        Scenario::new("test", "").pace(pace).callbacks(callbacks)
    }

    /// Accepts a task of the only account, with a callback.
    fn accept(shared: &Arc<Shared>, id: &str, url: &str, what: Announced, scenario: &Scenario) {
        let state = &mut *shared.state();
        let task = Task::sample(state, "kie key", scenario.pace);
        state.arrive(Call::default(), &task.account, || {
            Arc::new(scenario.clone())
        });
        state.tasks.put(id.into(), task, 0);
        follow(shared, state, id, url, what);
    }

    /// Lets a task come that is so large that every other has to go.
    fn forget_all_tasks(shared: &Shared) {
        let state = &mut *shared.state();
        let task = Task::sample(state, "kie key", Pace::AtOnce);
        state.tasks.put("large".into(), task, 1 << 30);
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
    async fn nobody_waits_for_a_task_that_is_forgotten() {
        // A port that is taken, and at which nobody listens.
        let taken = TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", taken.local_addr().unwrap());
        let late = |late| Callbacks {
            late,
            ..Callbacks::default()
        };
        for (scenario, attempts) in [
            (scenario(Pace::Polls(3), late(0)), 0),
            (scenario(Pace::Scale(1.0), late(0)), 0),
            (scenario(Pace::AtOnce, late(3600)), 0),
            // Until the next attempt it is a thousand seconds; no time passes before the first.
            (scenario(Pace::Scale(0.001), late(0)), 1),
        ] {
            let shared = Shared::sample();
            accept(&shared, "a", &url, Announced::Video, &scenario);
            if attempts > 0 {
                shared.state().advance(Duration::from_secs(90));
            }
            until(&shared, |state| state.callbacks.iter().count() == attempts).await;
            // It waits now.
            yield_now().await;
            assert_eq!(Arc::strong_count(&shared), 2, "{scenario:?}");
            forget_all_tasks(&shared);
            until(&shared, |_| Arc::strong_count(&shared) == 1).await;
            assert_eq!(
                shared.state().callbacks.iter().count(),
                attempts,
                "{scenario:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_callback_that_waits_for_its_partner_is_kept_without_its_body() {
        let scenario = scenario(
            Pace::AtOnce,
            Callbacks {
                reordered: true,
                ..Callbacks::default()
            },
        );
        // Nothing is sent there, which is noted.
        let url = "http://elsewhere/";
        for (is_forgotten, sent) in [(false, &["b", "a"][..]), (true, &["b"])] {
            let shared = Shared::sample();
            accept(&shared, "a", url, Announced::Video, &scenario);
            until(&shared, |state| {
                state
                    .account(&"kie key".into())
                    .is_some_and(|account| account.held.is_some())
            })
            .await;
            if is_forgotten {
                forget_all_tasks(&shared);
            }
            accept(&shared, "b", url, Announced::Video, &scenario);
            until(&shared, |_| Arc::strong_count(&shared) == 1).await;
            let tasks: Vec<_> = shared
                .state()
                .callbacks
                .iter()
                .map(|sent| sent.task.clone())
                .collect();
            assert_eq!(tasks, sent);
        }
    }

    #[tokio::test]
    async fn a_late_callback_is_so_long_after_the_end_and_not_after_it_is_noticed() {
        for pace in [Pace::AtOnce, Pace::Polls(0), Pace::Scale(1.0)] {
            for what in [Announced::Video, Announced::Upgrade4k] {
                let shared = Shared::sample();
                let scenario = scenario(
                    pace,
                    Callbacks {
                        late: 600,
                        ..Callbacks::default()
                    },
                );
                accept(&shared, "a", "http://elsewhere/", what, &scenario);
                // The one who waits sees nothing of this before all of it has happened.
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
                until(&shared, |state| state.callbacks.iter().count() == 1).await;
            }
        }
    }

    #[test]
    fn a_callback_says_the_same_each_time_it_is_sent() {
        let shared = Shared::sample();
        let state = &mut *shared.state();
        let task = Task::sample(state, "kie key", Pace::AtOnce);
        state
            .tasks
            .put("0123456789abcdef0123456789abcdef".into(), task, 0);
        for what in [Announced::Video, Announced::Extension, Announced::Upgrade4k] {
            for snake_case in [false, true] {
                let how = Callbacks {
                    snake_case,
                    ..Callbacks::default()
                };
                let body = || {
                    kie::announcement(
                        state,
                        "http://sim",
                        "0123456789abcdef0123456789abcdef",
                        what,
                        &how,
                    )
                };
                assert_eq!(body().unwrap(), body().unwrap(), "{what:?}");
            }
        }
    }
}
