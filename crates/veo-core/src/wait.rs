use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::history::History;
use crate::runtime::runtime;
use crate::{Error, ErrorKind, State};

/// The times of waiting for a job.
///
/// With the default [`first`](Self::first) and [`every`](Self::every), the client learns the pauses, of 1 to 30
/// seconds, from the last jobs of the account that it has seen finish. It needs 8 of them. It then asks more often when
/// a job is likely to end, and fewer times in all. If you set `first` or `every`, the client learns no pauses.
///
/// Every pause is lengthened by chance, by up to a tenth, so that many jobs do not ask in step. Zero stays zero.
///
/// ```
/// use std::time::Duration;
/// use veo_core::Poll;
///
/// let patient = Poll::default().give_up_after(Duration::from_secs(60 * 60));
/// // For a simulated provider, or for a job that is known to have ended.
/// let eager = Poll::default().first(Duration::ZERO).every(Duration::ZERO);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Poll {
    /// The time before the first question; 20 seconds by default. It counts from the acceptance of the job if the
    /// ledger has the job, and otherwise from the start of the wait. Videos have taken 67 to 123 seconds.
    pub first: Duration,
    /// The pause between questions; 5 seconds by default. A twentieth of the job's age is used if that is longer. After
    /// each further failed question the pause doubles, up to eight times this. If the provider says when to ask again,
    /// the client does not ask earlier.
    pub every: Duration,
    /// The time after which waiting ends, with a last question; 20 minutes by default. The job continues.
    pub give_up_after: Duration,
    /// The pause while a finished video is made larger; 25 seconds by default, as kie.ai advises. It grows as
    /// [`every`](Self::every) does.
    pub every_upgrade: Duration,
    /// The time for which failed questions in a row are forgiven, from the first of them on; 2 minutes by default. The
    /// last question is asked at the end of this time.
    pub forgive_for: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(20),
            every: Duration::from_secs(5),
            every_upgrade: Duration::from_secs(25),
            give_up_after: Duration::from_secs(20 * 60),
            forgive_for: Duration::from_secs(2 * 60),
        }
    }
}

impl Poll {
    /// Sets the time of the [first](Self::first) question.
    #[must_use]
    pub fn first(mut self, after: Duration) -> Self {
        self.first = after;
        self
    }

    /// Sets the [pause](Self::every) between questions.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.every = pause;
        self
    }

    /// Sets the [end](Self::give_up_after) of waiting.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// Sets the [pause](Self::every_upgrade) while a video is made larger.
    #[must_use]
    pub fn every_upgrade(mut self, pause: Duration) -> Self {
        self.every_upgrade = pause;
        self
    }

    /// Sets the time for which [failed questions](Self::forgive_for) are forgiven.
    #[must_use]
    pub fn forgive_for(mut self, time: Duration) -> Self {
        self.forgive_for = time;
        self
    }

    /// Returns the times for an upgrade. The first question is the paid call that begins the upgrade, so it is asked at
    /// once. `Client::upgrade_call` decides whether a later question makes that call again.
    pub(crate) fn for_upgrade(&self) -> Self {
        Self {
            first: Duration::ZERO,
            every: self.every_upgrade,
            ..self.clone()
        }
    }
}

/// A wait under way. Its times are counted from the start.
pub(crate) struct Waiting {
    poll: Arc<Poll>,
    start: Instant,
    /// The age of the job at the start.
    age: Duration,
    /// The past jobs of the account, if pauses are learned from them.
    history: Option<Arc<History>>,
    /// The time of the first of the failed questions in a row.
    failing_since: Option<Duration>,
    /// The time of the next question.
    next: Duration,
    failures: u32,
    /// The provider's last word for the state, if this library does not know the word.
    word: Option<String>,
}

impl Waiting {
    pub(crate) fn new(poll: Arc<Poll>) -> Self {
        Self {
            start: Instant::now(),
            age: Duration::ZERO,
            history: None,
            failing_since: None,
            next: poll.first,
            failures: 0,
            word: None,
            poll,
        }
    }

    /// Makes the wait for a job of this age, if the age is known. A job that was accepted a while ago is asked about
    /// sooner. `history` has the past jobs of the account, from which pauses are learned if they are not set.
    pub(crate) fn of_job(poll: Arc<Poll>, age: Option<Duration>, history: Arc<History>) -> Self {
        let usual = Poll::default();
        let is_usual = poll.first == usual.first && poll.every == usual.every;
        let mut waiting = Self::new(poll);
        waiting.history = Some(history).filter(|_| is_usual);
        let Some(age) = age else {
            // A job of unknown age can have ended long ago. So the first question is asked after `first`, and not at the
            // time at which past jobs have ended.
            return waiting;
        };
        waiting.age = age;
        waiting.next = waiting.next.saturating_sub(age);
        if !waiting.next.is_zero() {
            waiting.next = waiting.learned(Duration::ZERO).unwrap_or(waiting.next);
        }
        waiting
    }

    /// Returns the sleep until it is time for the next question.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`] if there is no further question.
    pub(crate) fn until_next(&self) -> Result<Sleep, Error> {
        runtime()?;
        if self.next > self.poll.give_up_after {
            return Err(self.timed_out());
        }
        Ok(sleep(self.next.saturating_sub(self.start.elapsed())))
    }

    /// Plans the next question after an answer. Returns the state of the job, or nothing if the question has failed and
    /// is forgiven. A failed question says nothing about the job.
    ///
    /// # Errors
    ///
    /// The error of the question, if it is not [`ErrorKind::Unavailable`] or not forgiven any more.
    pub(crate) fn take_up(&mut self, answer: Result<State, Error>) -> Result<Option<State>, Error> {
        let now = self.start.elapsed();
        match answer {
            Ok(state) => {
                tracing::debug!(state = state.word(), "answered");
                self.failing_since = None;
                self.failures = 0;
                let pause = self.pause_after(&state);
                self.next = self.after(now, pause, self.poll.give_up_after);
                Ok(Some(state))
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.forgive(error, now)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the pause after an answer, and learns from a finished job.
    pub(crate) fn pause_after(&self, state: &State) -> Duration {
        if let (Some(history), State::Finished(video)) = (&self.history, state) {
            history.learn(video);
        }
        if self.poll.every.is_zero() {
            return Duration::ZERO;
        }
        let now = self.start.elapsed();
        let usual = || self.poll.every.max(self.age.saturating_add(now) / 20);
        self.learned(now).unwrap_or_else(usual)
    }

    /// Returns the pause that past jobs suggest. `now` counts from the start of the wait.
    fn learned(&self, now: Duration) -> Option<Duration> {
        let age = self.age.saturating_add(now);
        self.history.as_ref()?.pause(age)
    }

    /// Plans the next question after a failed question, with a longer pause each time.
    fn forgive(&mut self, error: Error, now: Duration) -> Result<(), Error> {
        let failing_since = *self.failing_since.get_or_insert(now);
        let forgiven_until = failing_since.saturating_add(self.poll.forgive_for);
        if now >= forgiven_until {
            return Err(error);
        }
        tracing::warn!(kind = ?error.kind(), code = error.provider_code(), "not answered; the job goes on");
        let pause = self.poll.every.saturating_mul(1 << self.failures.min(3));
        let end = forgiven_until.min(self.poll.give_up_after);
        self.next = self.after(now, pause, end);
        self.failures += 1;
        // The client does not ask earlier than the provider says.
        if let Some(wanted) = error.retry_after() {
            let earliest = now.saturating_add(lengthened(wanted));
            self.next = self.next.max(earliest);
        }
        Ok(())
    }

    /// Keeps the provider's word for the state, if this library does not know it.
    pub(crate) fn note(&mut self, word: Option<String>) {
        self.word = word;
    }

    fn timed_out(&self) -> Error {
        let seconds = self.poll.give_up_after.as_secs();
        let time = match seconds / 60 {
            minutes @ 2.. => format!("{minutes} minutes"),
            _ => format!("{seconds} s"),
        };
        let state = match &self.word {
            Some(word) => format!(", and its last state is {word:?}"),
            None => String::new(),
        };
        let message =
            format!("not finished after {time}{state}; the job continues, so wait for it again");
        Error::new(ErrorKind::TimedOut, message)
    }

    /// Returns the time of the question after a pause. The last question is asked at `end`.
    fn after(&self, now: Duration, pause: Duration, end: Duration) -> Duration {
        if self.poll.every.is_zero() {
            return now;
        }
        let next = now.saturating_add(lengthened(pause));
        if now < end { next.min(end) } else { next }
    }
}

fn lengthened(pause: Duration) -> Duration {
    pause.saturating_add(pause / 1000 * fastrand::u32(..=100))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{JobRef, Video};

    type Answer = Result<State, Error>;

    fn unavailable() -> Answer {
        Err(Error::new(ErrorKind::Unavailable, "no answer"))
    }

    fn running() -> Answer {
        Ok(State::Running { percent: Some(50) })
    }

    fn done() -> Answer {
        let urls = vec!["https://cdn.example.net/v.mp4".to_owned()];
        Ok(State::Finished(Box::new(Video::new(
            JobRef::new("test", "t1"),
            urls,
        ))))
    }

    /// Waits with the given answer to each question. Returns the outcome, and the times of the questions.
    async fn wait(
        poll: Poll,
        answer: impl Fn(usize) -> Answer,
    ) -> (Result<Video, ErrorKind>, Vec<Duration>) {
        wait_long(poll, Duration::ZERO, answer).await
    }

    async fn wait_long(
        poll: Poll,
        takes: Duration,
        answer: impl Fn(usize) -> Answer,
    ) -> (Result<Video, ErrorKind>, Vec<Duration>) {
        wait_in(Waiting::new(Arc::new(poll)), takes, answer).await
    }

    async fn wait_in(
        mut waiting: Waiting,
        takes: Duration,
        answer: impl Fn(usize) -> Answer,
    ) -> (Result<Video, ErrorKind>, Vec<Duration>) {
        let start = Instant::now();
        let mut asked = Vec::new();
        let ended = async {
            loop {
                waiting.until_next()?.await;
                asked.push(start.elapsed());
                sleep(takes).await;
                let state = waiting.take_up(answer(asked.len()))?;
                if let Some(ended) = state.and_then(State::ended) {
                    return ended;
                }
            }
        };
        let ended = ended.await;
        (ended.map_err(|error: Error| error.kind()), asked)
    }

    /// Checks that the pauses between questions are these in seconds, or up to a tenth longer.
    #[track_caller]
    fn check_pauses(asked: &[Duration], wanted: &[f64]) {
        let pauses: Vec<f64> = asked
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        assert_eq!(pauses.len(), wanted.len(), "{pauses:?}");
        for (pause, wanted) in pauses.iter().zip(wanted) {
            // The clock of the tests ticks in milliseconds.
            assert!(
                (*wanted - 0.001..=wanted * 1.1 + 0.002).contains(pause),
                "{pauses:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_job_does_and_not_before() {
        let (result, asked) = wait(Poll::default(), |_| done()).await;
        assert!(result.is_ok());
        assert_eq!(asked, [Duration::from_secs(20)], "the first question");

        let (result, asked) =
            wait(Poll::default(), |n| if n < 10 { running() } else { done() }).await;
        assert!(result.is_ok());
        check_pauses(&asked, &[5.0; 9]);

        let no = || Box::new(Error::new(ErrorKind::JobFailed, "no"));
        let failed = |n| {
            if n == 2 {
                Ok(State::Failed(no()))
            } else {
                running()
            }
        };
        let (result, asked) = wait(Poll::default(), failed).await;
        assert_eq!(
            (result, asked.len()),
            (Err(ErrorKind::JobFailed), 2),
            "a job that fails"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_the_last_question_comes_at_the_end() {
        let (result, asked) = wait(Poll::default(), |_| running()).await;
        assert_eq!(
            (result, asked.last()),
            (
                Err(ErrorKind::TimedOut),
                Some(&Duration::from_secs(20 * 60))
            )
        );
        let asked = &asked[..asked.len() - 1];
        let wanted: Vec<f64> = asked
            .iter()
            .map(|at| (at.as_secs_f64() / 20.0).max(5.0))
            .collect();
        check_pauses(asked, &wanted[..wanted.len() - 1]);
        assert!(wanted.last() > Some(&50.0), "{wanted:?}");
        let exact = asked
            .windows(2)
            .filter(|pair| pair[1] - pair[0] == Duration::from_secs(5))
            .count();
        assert!(exact < 10, "jobs do not ask in step");
    }

    #[tokio::test(start_paused = true)]
    async fn failed_questions_are_repeated_and_forgiven_for_a_while() {
        let (result, asked) = wait(
            Poll::default(),
            |n| if n < 5 { unavailable() } else { done() },
        )
        .await;
        assert!(result.is_ok(), "a minute and a quarter");
        check_pauses(&asked, &[5.0, 10.0, 20.0, 40.0]);

        let (result, asked) = wait(Poll::default(), |_| unavailable()).await;
        let end = Some(&Duration::from_secs(140));
        assert_eq!(
            (result, asked.last()),
            (Err(ErrorKind::Unavailable), end),
            "two minutes from the first of them on"
        );
        let rarely = Poll::default().every(Duration::from_secs(5 * 60));
        let (result, asked) = wait(rarely, |n| {
            if n == 2 {
                unavailable()
            } else {
                [running, done][n / 3]()
            }
        })
        .await;
        assert!(
            result.is_ok(),
            "a pause that is longer than what is forgiven is no failure"
        );
        assert_eq!(
            asked[2] - asked[1],
            Duration::from_secs(2 * 60),
            "the last question"
        );

        let restored = |n| if n % 5 == 0 { running() } else { unavailable() };
        let (result, _) = wait(
            Poll::default(),
            |n| if n == 23 { done() } else { restored(n) },
        )
        .await;
        assert!(result.is_ok(), "any answer starts the two minutes anew");
        let (_, asked) = wait(Poll::default(), |n| {
            if n == 4 {
                done()
            } else if n == 2 {
                running()
            } else {
                unavailable()
            }
        })
        .await;
        check_pauses(&asked, &[5.0, 5.0, 5.0]);

        let (result, asked) = wait(Poll::default(), |_| {
            Err(Error::new(ErrorKind::Unauthorized, "wrong key"))
        })
        .await;
        assert_eq!(
            (result, asked.len()),
            (Err(ErrorKind::Unauthorized), 1),
            "no patience for a wrong key"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_provider_is_not_asked_before_it_wants_to_be() {
        let busy = |seconds| {
            unavailable()
                .map_err(|error| error.with_retry_after(Some(Duration::from_secs(seconds))))
        };
        let (result, asked) =
            wait(Poll::default(), |n| if n < 4 { busy(60) } else { done() }).await;
        assert!(
            matches!(result, Err(ErrorKind::Unavailable)),
            "for longer than is forgiven"
        );
        check_pauses(&asked, &[60.0, 60.0]);

        let (_, asked) = wait(Poll::default(), |n| if n == 1 { busy(1) } else { done() }).await;
        check_pauses(&asked, &[5.0]);

        let (result, asked) = wait(Poll::default(), |_| busy(60 * 60)).await;
        assert_eq!(
            (result, asked.len()),
            (Err(ErrorKind::TimedOut), 1),
            "later than anybody waits"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_no_pause_and_the_longest_is_not_too_long() {
        let none = Poll::default().first(Duration::ZERO).every(Duration::ZERO);
        let start = Instant::now();
        let answer = |n| match n {
            99 => done(),
            n if n % 3 == 0 => running(),
            _ => unavailable(),
        };
        let (result, _) = wait_long(none, Duration::from_secs(10), answer).await;
        assert!(result.is_ok());
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(990),
            "nothing but the time of the answers"
        );

        let forever = Poll::default()
            .give_up_after(Duration::MAX)
            .forgive_for(Duration::MAX);
        let (result, _) = wait(
            forever.clone(),
            |n| if n < 50 { unavailable() } else { done() },
        )
        .await;
        assert!(result.is_ok());
        let (result, asked) = wait(
            forever
                .give_up_after(Duration::from_secs(60))
                .every(Duration::MAX),
            |_| unavailable(),
        )
        .await;
        assert_eq!((result, asked.len()), (Err(ErrorKind::TimedOut), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_learned_from_the_jobs_before() {
        let seconds = Duration::from_secs;
        let video = |took: Duration| {
            let created_at = SystemTime::UNIX_EPOCH;
            let Ok(State::Finished(video)) = done() else {
                unreachable!();
            };
            Ok(State::Finished(Box::new(Video {
                created_at: Some(created_at),
                completed_at: Some(created_at + took),
                ..*video
            })))
        };
        let history = Arc::<History>::default();
        let mut counts = Vec::new();
        for _ in 0..10 {
            let waiting = Waiting::of_job(Arc::default(), Some(seconds(0)), history.clone());
            let start = Instant::now();
            let answer = |_| match start.elapsed() {
                age if age < seconds(90) => running(),
                _ => video(seconds(90)),
            };
            let (_, asked) = wait_in(waiting, seconds(0), answer).await;
            assert!(asked.last() < Some(&seconds(96)), "{asked:?}");
            counts.push(asked.len());
        }
        assert!(counts[..8].iter().all(|count| *count >= 14), "{counts:?}");
        assert!(counts[8..].iter().all(|count| *count <= 12), "{counts:?}");

        let chosen = Arc::new(Poll::default().every(seconds(10)));
        let waiting = Waiting::of_job(chosen, Some(seconds(0)), history.clone());
        let answer = |n| if n < 5 { running() } else { done() };
        let (_, asked) = wait_in(waiting, seconds(0), answer).await;
        check_pauses(&asked, &[10.0; 4]);
        assert_eq!(asked[0], seconds(20), "the caller's own pauses");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_was_accepted_a_while_ago_is_asked_about_sooner() {
        for (age, first) in [(None, 20), (Some(0), 20), (Some(15), 5), (Some(60), 0)] {
            let age = age.map(Duration::from_secs);
            let waiting = Waiting::of_job(Arc::default(), age, Arc::default());
            let (_, asked) = wait_in(waiting, Duration::ZERO, |_| done()).await;
            assert_eq!(asked, [Duration::from_secs(first)], "{age:?}");
        }
    }
}
