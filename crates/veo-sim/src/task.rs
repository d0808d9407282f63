//! A task of either provider: its fate and its progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clip::{Format, Resolution};
use crate::scenario::{Fate, Pace};

/// A video that is being made, or is made.
pub(crate) struct Task {
    pub(crate) account: Arc<str>,
    pub(crate) pace: Pace,
    pub(crate) fate: Fate,
    pub(crate) work: Work,
    /// The requested format of the video.
    pub(crate) format: Format,
    /// The length of the whole film in seconds, if the task is an extension.
    pub(crate) film: Option<u32>,
    /// The part of the request that the provider repeats in its answers, or in its callbacks.
    pub(crate) echo: String,
    /// The upgrades to 1080p and to 4K.
    pub(crate) upgrades: [Option<Work>; 2],
    /// The part that only kie.ai's current form has. `None` for the old form and for UniAll.
    pub(crate) current: Option<Current>,
    /// The number of the call that started the task.
    pub(crate) call: usize,
    /// The channel that wakes those who wait for the end of the task.
    pub(crate) changed: Option<watch::Sender<()>>,
}

/// The part of a task that only kie.ai's current form has.
#[derive(Clone, Copy, Default)]
pub(crate) struct Current {
    pub(crate) model: &'static str,
    /// The tier of a video of Veo 3.1. Empty for an upgrade and for another model.
    pub(crate) tier: &'static str,
    /// The price in credits.
    pub(crate) credits: u32,
    pub(crate) is_upgrade: bool,
}

/// A piece of work that takes time.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) started: Duration,
    length: Duration,
    polls: u32,
    /// The time at which the work was done, once a look has found it done.
    pub(crate) done: Option<Duration>,
}

pub(crate) enum Progress {
    /// The task runs. The finished part is from 0 to 1.
    Running(f64),
    Ended,
}

/// A callback that has not been sent. The body can be as long as the prompt, so it is made just before it is sent.
#[derive(Clone)]
pub(crate) struct PendingCallback {
    pub(crate) url: String,
    pub(crate) task: String,
    pub(crate) subject: Subject,
}

/// The part of a task whose end has a callback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    Video,
    Upgrade4k,
}

impl Task {
    /// Returns a receiver for every change that can end the task, such as a question or a jump in time.
    pub(crate) fn watch(&mut self) -> watch::Receiver<()> {
        let changed = self.changed.get_or_insert_with(|| watch::channel(()).0);
        changed.subscribe()
    }

    pub(crate) fn wake(&self) {
        if let Some(changed) = &self.changed {
            changed.send_replace(());
        }
    }

    /// Returns whether there is a video to download.
    pub(crate) fn has_video(&self, now: Duration) -> bool {
        let is_kept_back = matches!(self.fate, Fate::Filtered | Fate::Stuck) || self.fails();
        self.work.is_done(self.pace, now) && !is_kept_back
    }

    /// Sets the fate that a scenario has for the task. The fates that change a size do not apply to an upgrade: its
    /// size is given, and its source video decides whether it can be made.
    pub(crate) fn apply_fate(&mut self, fate: Fate) {
        let is_upgrade = self.current.is_some_and(|current| current.is_upgrade);
        match fate {
            _ if self.fate == Fate::No4k => {}
            Fate::Smaller | Fate::Fallback | Fate::No4k if is_upgrade => {}
            _ => self.fate = fate,
        }
    }

    /// Returns whether the task fails.
    pub(crate) fn fails(&self) -> bool {
        let is_upgrade = self.current.is_some_and(|current| current.is_upgrade);
        self.fate.is_failure() || is_upgrade && self.fate == Fate::No4k
    }

    /// Returns whether the charge of the task is returned at the end.
    pub(crate) fn is_refunded(&self) -> bool {
        self.fails() && self.fate != Fate::FailedButCharged
    }

    /// The format of the video that is delivered.
    pub(crate) fn delivered(&self) -> Format {
        match self.fate {
            Fate::Smaller | Fate::No4k => Format {
                resolution: Resolution::P720,
                ..self.format
            },
            // kie.ai's page about this operation says that its fallback requires 16:9 and uses 1080p by default. No
            // other page names its resolution, and nobody has seen one. The 720p in our fixtures is an example and no
            // fact. What happens to a portrait is not known.
            Fate::Fallback => Format {
                resolution: Resolution::P1080,
                portrait: false,
                ..self.format
            },
            _ => self.format,
        }
    }

    /// The upgrade to this size, if one was requested.
    pub(crate) fn upgrade(&self, to: Resolution) -> Option<Work> {
        match to {
            Resolution::P360 | Resolution::P720 => None,
            Resolution::P1080 => self.upgrades[0],
            Resolution::K4 => self.upgrades[1],
        }
    }

    /// Returns whether the upgrade to this size fails after it was accepted.
    pub(crate) fn has_no_upgrade(&self, to: Resolution) -> bool {
        self.fate == Fate::No4k && to == Resolution::K4
    }

    /// The work that has to end before a callback about this subject is sent.
    pub(crate) fn work_for(&self, subject: Subject) -> Option<Work> {
        match subject {
            Subject::Video => Some(self.work),
            Subject::Upgrade4k => self.upgrade(Resolution::K4),
        }
    }
}

impl Work {
    pub(crate) fn new(started: Duration, seconds: u64) -> Work {
        Work {
            started,
            length: Duration::from_secs(seconds),
            polls: 0,
            done: None,
        }
    }

    /// Counts a question.
    pub(crate) fn count(&mut self) {
        self.polls += 1;
    }

    /// Counts a question, and returns whether the work is done.
    pub(crate) fn ask(&mut self, pace: Pace, now: Duration) -> bool {
        self.count();
        if self.is_done(pace, now) {
            self.done.get_or_insert(self.end(pace, now));
        }
        self.done.is_some()
    }

    pub(crate) fn is_done(&self, pace: Pace, now: Duration) -> bool {
        self.progress(pace, now) >= 1.0
    }

    /// The real time until the work is done. `None` if that depends on questions.
    pub(crate) fn remaining(&self, pace: Pace, now: Duration) -> Option<Duration> {
        match pace {
            Pace::AtOnce => Some(Duration::ZERO),
            Pace::Scale(scale) => {
                let left = (self.started + self.length).saturating_sub(now);
                Some(left.div_f64(scale))
            }
            Pace::Polls(_) => self.is_done(pace, now).then_some(Duration::ZERO),
        }
    }

    /// The finished part of the work, from 0 to 1.
    pub(crate) fn progress(&self, pace: Pace, now: Duration) -> f64 {
        match pace {
            Pace::AtOnce => 1.0,
            Pace::Polls(polls) if self.polls > polls => 1.0,
            Pace::Polls(polls) => f64::from(self.polls.saturating_sub(1)) / f64::from(polls.max(1)),
            Pace::Scale(_) => {
                let passed = now.saturating_sub(self.started);
                passed.div_duration_f64(self.length).min(1.0)
            }
        }
    }

    /// The simulated time at which the work was done, if it is done now.
    pub(crate) fn end(&self, pace: Pace, now: Duration) -> Duration {
        match pace {
            Pace::Scale(_) => self.started + self.length,
            Pace::AtOnce => self.started,
            Pace::Polls(_) => now,
        }
    }
}

#[cfg(test)]
impl Task {
    /// A video that was just accepted, with its upgrade to 4K.
    pub(crate) fn sample(account: &str, pace: Pace, now: Duration) -> Task {
        Task {
            account: account.into(),
            pace,
            fate: Fate::Made,
            work: Work::new(now, 90),
            format: Format {
                resolution: Resolution::P720,
                portrait: false,
                seconds: 8,
                audio: true,
            },
            film: None,
            echo: "{}".to_owned(),
            upgrades: [None, Some(Work::new(now, 480))],
            current: None,
            call: 1,
            changed: None,
        }
    }
}
