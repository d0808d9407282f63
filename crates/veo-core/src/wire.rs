use std::sync::Arc;

use tokio::sync::watch;

/// A counter of the calls on the wire, so that a program can wait for the end of all calls. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<watch::Sender<usize>>);

/// A guard for one call on the wire. The call is counted until the guard is dropped.
pub(crate) struct OnWire(Wire);

impl Wire {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts a call until the returned guard is dropped.
    pub(crate) fn enter(&self) -> OnWire {
        self.0.send_modify(|calls| *calls += 1);
        OnWire(self.clone())
    }

    /// Waits until no call is on the wire.
    pub(crate) async fn empty(&self) {
        // An error is impossible: the sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|calls| *calls == 0).await;
    }
}

impl Drop for OnWire {
    fn drop(&mut self) {
        self.0.0.send_modify(|calls| *calls -= 1);
    }
}
