//! The durations of past jobs, from which the pauses between questions are learned.
//!
//! The client asks most often when a job is likely to end. If a job that has lasted for `t` ends with the chance `h(t)`
//! in each second, the pause that costs the fewest questions for a given delay is in proportion to `1 / sqrt(h(t))`.
//! The chance is estimated from the last few jobs, so that the pauses follow a provider that becomes faster or slower.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Video;

/// The fewest jobs from which pauses are learned.
const FEWEST_JOBS: usize = 8;
/// The number of jobs that are remembered. With more jobs, the pauses would follow a change more slowly.
const MOST_JOBS: usize = 24;
/// The share of jobs that are expected to end at a time at which no remembered job has ended.
const SURPRISES: f64 = 0.1;
/// The pause, in seconds, at a chance of 1 in each second. A smaller value asks more often and notices earlier.
const PAUSE_SCALE: f64 = 0.55;
/// The shortest and the longest pause, in seconds.
const BOUNDS: (f64, f64) = (1.0, 30.0);

/// The histories of all accounts. The clones of a client share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories(Arc<Mutex<HashMap<String, Arc<History>>>>);

impl Histories {
    pub(crate) fn of(&self, account: &str) -> Arc<History> {
        let mut histories = self.0.lock().unwrap_or_else(|error| error.into_inner());
        Arc::clone(histories.entry(account.to_owned()).or_default())
    }
}

/// The seconds that the last finished jobs of an account took, of any model and size.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<f64>>);

impl History {
    /// Remembers how long a job took, by the provider's clock. Without the provider's times nothing is learned.
    pub(crate) fn learn(&self, video: &Video) {
        if let (Some(from), Some(to)) = (video.created_at, video.completed_at)
            && let Ok(duration) = to.duration_since(from)
            && !duration.is_zero()
        {
            self.add(duration.as_secs_f64());
        }
    }

    fn add(&self, seconds: f64) {
        let mut durations = self.0.lock().unwrap_or_else(|error| error.into_inner());
        durations.push_back(seconds);
        if durations.len() > MOST_JOBS {
            durations.pop_front();
        }
    }

    /// Returns the pause before the next question about a job of this age, or nothing while too few jobs are known.
    pub(crate) fn pause(&self, age: Duration) -> Option<Duration> {
        /// The step of the sum, in seconds.
        const STEP: f64 = 0.5;
        let durations = self.0.lock().unwrap_or_else(|error| error.into_inner());
        if durations.len() < FEWEST_JOBS {
            return None;
        }
        let start = age.as_secs_f64();
        let mut end = start;
        // The density of questions is one over the pause. The next question is due when the sum of the density over
        // time reaches one. A pause that is only right at its start would jump over the time at which most jobs end.
        let mut questions = 0.0;
        while questions < 1.0 {
            let pause = PAUSE_SCALE / chance(&durations, end).sqrt();
            questions += STEP / pause.clamp(BOUNDS.0, BOUNDS.1);
            end += STEP;
        }
        Some(Duration::from_secs_f64(end - start))
    }
}

/// Returns the chance in each second that a job of this age, in seconds, ends.
fn chance(durations: &VecDeque<f64>, age: f64) -> f64 {
    /// The shortest duration of a job that ends at a surprising time, in seconds. Twice that time has half the chance.
    const SHORTEST: f64 = 40.0;
    let window = (age / 5.0).max(4.0);
    let (from, to) = (age - window / 2.0, age + window / 2.0);
    let mut going = 0.0;
    let mut ending = 0.0;
    for duration in durations {
        if *duration > from {
            going += 1.0;
            if *duration <= to {
                ending += 1.0;
            }
        }
    }
    let later = age.max(SHORTEST);
    let surprises = SURPRISES * durations.len() as f64 * SHORTEST / later;
    (ending / window + surprises / later) / (going + surprises)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a random number that is about normally distributed, from the sum of twelve uniform numbers.
    fn normal(random: &mut fastrand::Rng, mean: f64, spread: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| random.f64()).sum();
        (mean + spread * (sum - 6.0)).max(5.0)
    }

    /// Returns the seconds that a job takes: 70 % near 90, 20 % near 150, 10 % near 420.
    fn mix(random: &mut fastrand::Rng) -> f64 {
        let (mean, spread) = match random.u32(..10) {
            0..7 => (90.0, 12.0),
            7..9 => (150.0, 20.0),
            _ => (420.0, 60.0),
        };
        normal(random, mean, spread)
    }

    /// Returns the number of questions about a job, and the seconds from its end to the last question.
    fn ask(seconds: f64, first: f64, pause: impl Fn(f64) -> f64) -> [f64; 2] {
        let mut age = first;
        let mut questions = 1.0;
        while age < seconds {
            age += pause(age);
            questions += 1.0;
        }
        [questions, age - seconds]
    }

    /// Returns the means over some jobs: with pauses that are learned as these jobs end, and with the default pauses.
    fn compare(
        history: &History,
        random: &mut fastrand::Rng,
        jobs: u32,
        duration: impl Fn(&mut fastrand::Rng) -> f64,
    ) -> [[f64; 2]; 2] {
        let mut sums = [[0.0; 2]; 2];
        for _ in 0..jobs {
            let seconds = duration(random);
            let learned = |age: f64| {
                let age = Duration::from_secs_f64(age);
                history.pause(age).unwrap().as_secs_f64()
            };
            let usual = |age: f64| (age / 20.0).max(5.0);
            let both = [
                ask(seconds, learned(0.0), learned),
                ask(seconds, 20.0, usual),
            ];
            for (sum, asked) in sums.iter_mut().zip(both) {
                sum[0] += asked[0] / f64::from(jobs);
                sum[1] += asked[1] / f64::from(jobs);
            }
            history.add(seconds);
        }
        sums
    }

    fn learned_from_the_mix(random: &mut fastrand::Rng) -> History {
        let history = History::default();
        (0..MOST_JOBS).for_each(|_| history.add(mix(random)));
        history
    }

    #[test]
    fn learned_pauses_ask_less_and_notice_sooner() {
        let mut random = fastrand::Rng::with_seed(1);
        let history = learned_from_the_mix(&mut random);
        let [learned, usual] = compare(&history, &mut random, 2000, mix);
        assert!(learned[0] < 0.85 * usual[0], "{learned:?} {usual:?}");
        assert!(learned[1] < 0.9 * usual[1], "{learned:?} {usual:?}");
    }

    /// The means include the first jobs after the change.
    #[test]
    fn learned_pauses_follow_a_change() {
        type Duration = fn(&mut fastrand::Rng) -> f64;
        let table: [(&str, Duration); 3] = [
            ("slower", |random| mix(random) * 1.6),
            ("faster", |random| mix(random) / 2.0),
            ("another", |random| normal(random, 240.0, 30.0)),
        ];
        for (change, duration) in table {
            let mut random = fastrand::Rng::with_seed(2);
            let mut sums = [[0.0; 2]; 2];
            for _ in 0..50 {
                let history = learned_from_the_mix(&mut random);
                let means = compare(&history, &mut random, 40, duration);
                for (sum, mean) in sums.iter_mut().zip(means) {
                    sum[0] += mean[0] / 50.0;
                    sum[1] += mean[1] / 50.0;
                }
            }
            let [learned, usual] = sums;
            assert!(learned[0] < usual[0], "{change}: {sums:?}");
            assert!(learned[1] < usual[1], "{change}: {sums:?}");
        }
    }

    #[test]
    fn nothing_is_learned_from_a_few_jobs() {
        let history = History::default();
        for _ in 1..FEWEST_JOBS {
            history.add(90.0);
        }
        assert_eq!(history.pause(Duration::ZERO), None);
        history.add(90.0);
        assert!(history.pause(Duration::ZERO) > Some(Duration::from_secs(5)));
        assert!(history.pause(Duration::from_secs(90)) < Some(Duration::from_secs(3)));
        // A job that lasts for longer than all that are known, or for ever.
        let late = [Duration::from_secs(3600), Duration::from_secs(u64::MAX)];
        for age in late {
            assert!(
                history.pause(age) <= Some(Duration::from_secs(31)),
                "{age:?}"
            );
        }
    }
}
