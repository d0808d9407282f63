//! When the lines of a batch are sent: a fault of the account or of the network is not the fault of one line, so all of them
//! pause for it, or none is sent any more.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use veo_core::{ErrorKind, Resend};

use crate::failure::Failure;
use crate::interrupt::Interrupts;

/// How many times in a row the provider may not be reached before the batch ends.
const UNREACHED: u32 = 4;
/// The longest pause, unless the provider asks for more. None is longer than the time that the user gave.
const LONGEST: Duration = Duration::from_secs(60);

/// What all lines share about sending.
pub(super) struct Pace {
    /// How long no line may be taken before the batch ends.
    patience: Duration,
    /// Why no further line is sent, if that is so.
    halted: RefCell<Option<Failure>>,
    /// The pauses since a line was taken, and the start of the first.
    pauses: Cell<u32>,
    since: Cell<Instant>,
    /// The end of the last pause.
    until: Cell<Instant>,
}

/// Why a line has no video.
pub(super) enum NoVideo {
    Failed(Box<Failure>),
    /// For a reason that is not its own, and is told once for all lines. The same command sends it.
    NotTaken,
}

impl From<Failure> for NoVideo {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// The number of pauses that there were when a line was sent. Lines that are sent together make one pause.
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
                return Err(NoVideo::NotTaken);
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

    /// A line was taken.
    pub(super) fn taken(&self) {
        self.pauses.set(0);
    }

    /// A line was not taken. It is sent again after the pause that is returned, if this is the first to ask for that.
    pub(super) fn not_taken(
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
            _ => return Err(failure.into()),
        };
        let pauses = self.pauses.get();
        if turn.0 != pauses {
            // A line that was sent at the same time has said so before.
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
                "It takes requests again in {} s, and {} s are left of the time that --timeout gives.",
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

    /// Sends no further line. The first reason is the one that is told.
    pub(super) fn halt(&self, failure: Failure) -> NoVideo {
        self.halted.borrow_mut().get_or_insert(failure);
        NoVideo::NotTaken
    }

    /// Why no further line was sent.
    pub(super) fn why_halted(&self) -> Option<Failure> {
        self.halted.take()
    }
}
