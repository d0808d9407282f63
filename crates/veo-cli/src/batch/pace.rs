//! The pace at which the lines of a batch are sent. A fault of the account or of the network is not the fault of one
//! line, so all lines pause for it, or no further line is sent.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use veo_core::{ErrorKind, Resend};

use crate::failure::Failure;
use crate::interrupt::Interrupts;

/// The number of pauses in a row after which the batch ends, if its provider cannot be reached.
const UNREACHED: u32 = 4;
/// The longest pause, unless the provider asks for a longer one. No pause is longer than the user's --timeout.
const LONGEST: Duration = Duration::from_secs(60);

pub(super) struct Pace {
    /// The longest time without an accepted line before the batch ends.
    patience: Duration,
    /// The reason why no further line is sent, if there is one.
    halted: RefCell<Option<Failure>>,
    /// The number of pauses since the last accepted line.
    pauses: Cell<u32>,
    /// The time of the first of these pauses.
    since: Cell<Instant>,
    /// The end of the last pause.
    until: Cell<Instant>,
}

/// The reason why a line has no video.
pub(super) enum NoVideo {
    Failed(Box<Failure>),
    /// No provider accepted the line, for a reason that is printed once for all. The same command sends it later.
    NotAccepted,
}

impl From<Failure> for NoVideo {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// The number of pauses at the time a line was sent. Lines that were sent together cause only one pause.
#[derive(Clone, Copy)]
pub(super) struct Turn(u32);

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            patience,
            halted: RefCell::default(),
            pauses: Cell::new(0),
            since: Cell::new(now),
            until: Cell::new(now),
        }
    }

    /// Waits until a line may be sent.
    pub(super) async fn turn(&self, interrupts: &Interrupts) -> Result<Turn, NoVideo> {
        loop {
            if interrupts.any() {
                return Err(Failure::interrupted_before().into());
            }
            if self.halted.borrow().is_some() {
                return Err(NoVideo::NotAccepted);
            }
            let until = self.until.get();
            if until <= Instant::now() {
                return Ok(Turn(self.pauses.get()));
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = interrupts.first() => {}
            }
        }
    }

    /// Notes that a line was accepted, which ends the row of pauses.
    pub(super) fn accepted(&self) {
        self.pauses.set(0);
    }

    /// Decides what follows a line that was not accepted. `Ok` means that the line may be sent again, since nothing was
    /// charged: the rejection is a rate limit, or the provider was not reached. The first such line returns the pause.
    pub(super) fn not_accepted(
        &self,
        turn: Turn,
        failure: Failure,
    ) -> Result<Option<Duration>, NoVideo> {
        let kind = failure.error.kind();
        let asked = match (kind, failure.error.resend()) {
            _ if kind.is_of_account() || kind == ErrorKind::Maintenance => {
                return Err(self.halt(failure));
            }
            (ErrorKind::RateLimited, Resend::After(pause)) => pause,
            (ErrorKind::NotSent, Resend::Same) => Duration::ZERO,
            // Any other error ends the line. It can be an unknown outcome, after which the line may be paid for.
            _ => return Err(failure.into()),
        };
        let pauses = self.pauses.get();
        if turn.0 != pauses {
            // Another line that was sent at the same time has caused the pause already.
            return Ok(None);
        }
        let now = Instant::now();
        if pauses == 0 {
            self.since.set(now);
        }
        let left = self.patience.saturating_sub(now - self.since.get());
        let is_beyond_clock = now.checked_add(asked).is_none();
        if asked > left || is_beyond_clock {
            let next = format!(
                "The provider takes requests again in {} s, but only {} s are left of the time that --timeout gives.",
                asked.as_secs(),
                left.as_secs()
            );
            return Err(self.halt(failure.with_next(next)));
        }
        let is_unreachable = kind == ErrorKind::NotSent && pauses >= UNREACHED;
        if is_unreachable || left.is_zero() {
            return Err(self.halt(failure));
        }
        let growing = Duration::from_secs(1 << pauses.min(6)).min(LONGEST);
        let pause = asked.max(growing).min(left);
        self.pauses.set(pauses + 1);
        self.until.set(now + pause);
        Ok(Some(pause))
    }

    /// Stops the sending of lines. Only the first reason is kept.
    pub(super) fn halt(&self, failure: Failure) -> NoVideo {
        self.halted.borrow_mut().get_or_insert(failure);
        NoVideo::NotAccepted
    }

    /// Returns the reason why no further line was sent, and removes it.
    pub(super) fn why_halted(&self) -> Option<Failure> {
        self.halted.take()
    }
}
