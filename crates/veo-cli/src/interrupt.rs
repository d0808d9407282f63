//! Handles Ctrl-C, SIGTERM and the hangup of the terminal. Each ends the waiting, and the first one never loses the
//! outcome of a paid request.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::output::Output;

/// The number of times that Ctrl-C was pressed.
pub(crate) struct Interrupts {
    count: watch::Receiver<u32>,
    explained: AtomicBool,
}

impl Interrupts {
    /// Starts to count. From now on the program does not end at once at Ctrl-C or SIGTERM.
    pub(crate) fn new() -> Self {
        let (counter, count) = watch::channel(0);
        listen(&counter);
        Self {
            count,
            explained: AtomicBool::new(false),
        }
    }

    /// Waits until Ctrl-C is pressed.
    pub(crate) async fn first(&self) {
        self.pressed(1).await;
    }

    /// Waits until Ctrl-C is pressed again.
    pub(crate) async fn second(&self) {
        self.pressed(2).await;
    }

    pub(crate) fn any(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Prints once why the program does not end at once.
    pub(crate) fn explain(&self, output: &Output) {
        if !self.explained.swap(true, Ordering::Relaxed) {
            output.note(
                "Interrupted. A paid request is on its way, so this waits until its outcome is known. Ctrl-C again \
                 gives up, and leaves it open whether it was charged.",
            );
        }
    }

    async fn pressed(&self, times: u32) {
        let mut count = self.count.clone();
        if count.wait_for(|count| *count >= times).await.is_err() {
            // No handler could be installed, so Ctrl-C ends the program by itself.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
fn listen(counter: &watch::Sender<u32>) {
    use tokio::signal::unix::{SignalKind, signal};

    // A terminal that closes can send several hangups. They count as one: a second press of Ctrl-C gives up the outcome
    // of a request that may be paid for, and the user has not pressed it.
    for (kind, gives_up) in [
        (SignalKind::interrupt(), true),
        (SignalKind::terminate(), true),
        (SignalKind::hangup(), false),
    ] {
        // With nohup the program continues without the terminal.
        if kind == SignalKind::hangup() && is_ignored(kind) {
            continue;
        }
        // Without a handler the signal ends the program by itself.
        let Ok(mut signal) = signal(kind) else {
            continue;
        };
        let counter = counter.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                counter.send_modify(|count| {
                    *count = if gives_up {
                        *count + 1
                    } else {
                        (*count).max(1)
                    }
                });
            }
        });
    }
}

/// Returns whether the program was started with a signal ignored. This is known only on Linux.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(not(unix))]
fn listen(counter: &watch::Sender<u32>) {
    let counter = counter.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            counter.send_modify(|count| *count += 1);
        }
    });
}
