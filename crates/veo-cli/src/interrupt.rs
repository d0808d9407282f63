//! Ctrl-C, which ends the waiting and never loses what became of a paid request.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::output::Output;

/// How often Ctrl-C was pressed since this was made.
pub(crate) struct Interrupts {
    count: watch::Receiver<u32>,
    explained: AtomicBool,
}

impl Interrupts {
    /// From now on Ctrl-C does not end the program by itself.
    pub(crate) async fn new() -> Self {
        let (counter, count) = watch::channel(0);
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                counter.send_modify(|count| *count += 1);
            }
        });
        // The task has to run once to hear of anything.
        tokio::task::yield_now().await;
        Self { count, explained: AtomicBool::new(false) }
    }

    /// Until Ctrl-C is pressed.
    pub(crate) async fn first(&self) {
        self.pressed(1).await;
    }

    /// Until Ctrl-C is pressed again.
    pub(crate) async fn second(&self) {
        self.pressed(2).await;
    }

    pub(crate) fn any(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Says once why the program does not end at once.
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
            // Ctrl-C cannot be heard of here, and ends the program by itself.
            std::future::pending::<()>().await;
        }
    }
}
