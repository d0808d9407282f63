use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{Error, ErrorKind, State, Video};

/// How to wait for a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Poll {
    /// When to ask first. Videos have taken 67 to 123 seconds; the default is 20 seconds.
    pub first: Duration,
    /// How long to pause between questions; 5 seconds by default.
    pub every: Duration,
    /// When to stop waiting. The job goes on all the same. 20 minutes by default.
    pub give_up_after: Duration,
    /// How long to pause while a finished video is made larger; 25 seconds by default, as kie.ai advises.
    pub every_upgrade: Duration,
    /// For how long it is forgiven that no question is answered; 2 minutes by default. Any answer starts this anew.
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
    /// An upgrade begins with the first question, so that comes at once.
    pub(crate) fn for_upgrade(&self) -> Self {
        Self { first: Duration::ZERO, every: self.every_upgrade, ..self.clone() }
    }
}

/// Asks until the job has ended, and tells every state on the way.
pub(crate) async fn until_done<F>(
    poll: &Poll,
    mut ask: impl FnMut() -> F,
    mut on_state: impl FnMut(&State),
) -> Result<Video, Error>
where
    F: Future<Output = Result<State, Error>>,
{
    let mut waiting = Waiting::new(poll.clone());
    loop {
        let state = waiting.next(&mut ask).await?;
        on_state(&state);
        if let State::Succeeded(video) = state {
            return Ok(*video);
        }
    }
}

/// A wait that is under way.
pub(crate) struct Waiting {
    poll: Poll,
    start: Instant,
    /// When a question was last answered.
    answered: Instant,
    /// When to ask next.
    next: Instant,
}

impl Waiting {
    pub(crate) fn new(poll: Poll) -> Self {
        let start = Instant::now();
        Self { start, answered: start, next: start + poll.first, poll }
    }

    /// The next state. A question that fails says nothing about the job, and is forgiven for a while.
    pub(crate) async fn next<F>(&mut self, mut ask: impl FnMut() -> F) -> Result<State, Error>
    where
        F: Future<Output = Result<State, Error>>,
    {
        loop {
            if self.next > self.start + self.poll.give_up_after {
                let minutes = self.poll.give_up_after.as_secs_f32() / 60.0;
                let message = format!("not finished after {minutes:.0} minutes; it goes on, so wait for it again");
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
            sleep_until(self.next).await;
            let answer = ask().await;
            self.next = Instant::now() + self.poll.every;
            match answer {
                Ok(state) => {
                    tracing::debug!(state = state.word(), "answered");
                    self.answered = Instant::now();
                    return Ok(state);
                }
                Err(error) if error.kind() != ErrorKind::Unavailable => return Err(error),
                Err(error) if self.answered.elapsed() >= self.poll.forgive_for => return Err(error),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), code = error.provider_code(), "not answered; the job goes on");
                    // When to come back is the provider's to say.
                    let wanted = error.retry_after().unwrap_or_default();
                    self.next = Instant::now() + wanted.max(self.poll.every);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::JobRef;

    type Answer = Result<State, Error>;

    fn unavailable() -> Answer {
        Err(Error::new(ErrorKind::Unavailable, "no answer"))
    }

    fn running() -> Answer {
        Ok(State::Running { percent: Some(50) })
    }

    fn done() -> Answer {
        let urls = vec!["https://cdn.example.net/v.mp4".to_owned()];
        Ok(State::Succeeded(Box::new(Video::new(JobRef::new("test", "t1"), urls))))
    }

    /// Waits with the given answer to each question; the outcome, the number of questions and the seconds that passed.
    async fn wait(answer: impl Fn(u32) -> Answer) -> (Result<Video, ErrorKind>, u32, u64) {
        let start = Instant::now();
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(answer(asked.get()))
        };
        let result = until_done(&Poll::default(), ask, |_| {}).await;
        (result.map_err(|error| error.kind()), asked.get(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_job_does_and_not_before() {
        // What is answered to question n, and then the outcome, the number of questions and the time.
        let (result, asked, seconds) = wait(|_| done()).await;
        assert!(result.is_ok());
        assert_eq!((asked, seconds), (1, 20), "the first question");

        let (result, asked, seconds) = wait(|n| if n < 10 { running() } else { done() }).await;
        assert!(result.is_ok());
        assert_eq!((asked, seconds), (10, 65), "a job that takes its time");

        let (result, asked, _) =
            wait(|n| if n == 2 { Err(Error::new(ErrorKind::JobFailed, "no")) } else { running() }).await;
        assert_eq!((result, asked), (Err(ErrorKind::JobFailed), 2), "a job that fails");

        let (result, _, seconds) = wait(|_| running()).await;
        assert_eq!((result, seconds), (Err(ErrorKind::TimedOut), 20 * 60), "a job that does not end");
    }

    #[tokio::test(start_paused = true)]
    async fn questions_without_an_answer_are_forgiven_for_a_while() {
        let (result, ..) = wait(|n| if n < 20 { unavailable() } else { done() }).await;
        assert!(result.is_ok(), "a minute and a half");

        let (result, _, seconds) = wait(|_| unavailable()).await;
        assert_eq!((result, seconds), (Err(ErrorKind::Unavailable), 120), "two minutes");

        let (result, ..) = wait(|n| {
            if n == 100 {
                done()
            } else if n % 20 == 0 {
                running()
            } else {
                unavailable()
            }
        })
        .await;
        assert!(result.is_ok(), "any answer starts the two minutes anew");

        let busy = || unavailable().map_err(|error| error.with_retry_after(Some(Duration::from_secs(60))));
        let (_, asked, seconds) = wait(|n| if n == 1 { busy() } else { done() }).await;
        assert_eq!((asked, seconds), (2, 80), "the provider says when to come back");

        let (result, asked, _) = wait(|_| Err(Error::new(ErrorKind::Unauthorized, "wrong key"))).await;
        assert_eq!((result, asked), (Err(ErrorKind::Unauthorized), 1), "no patience for a wrong key");
    }
}
