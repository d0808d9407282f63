//! Both Veo 3.1 providers, kie.ai and UniAll, simulated on the loopback interface.
//!
//! For tests of clients, and for trying them out without spending: tasks are accepted, run, finish after a few
//! polls, and their links lead to real MP4 files. Nothing leaves the machine. The crate shares no code with the
//! clients it tests, so it cannot share their mistakes.
//!
//! Time does not pass here: a task advances each time it is asked about, so a test never has to wait. Every clip has
//! 1280 by 720 pixels, or 720 by 1280, also where a reply says `1080p` or `4k`.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let sim = veo_sim::Sim::start().await?;
//! let base_url = sim.url();
//! assert!(base_url.starts_with("http://127.0.0.1:"));
//! // Point a client of either provider at `base_url` and use it; then look at what it sent.
//! assert!(sim.requests().is_empty());
//! # Ok(())
//! # })
//! # }
//! ```

mod fields;
mod kie;
mod media;
mod server;
mod state;
mod uniall;
mod upload;

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use state::Shared;

/// A running simulator of both providers; stops when dropped.
pub struct Sim {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A request as it arrived at the simulator.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRequest {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path, with the query if there was one.
    pub path: String,
    /// The body, if it was JSON and no longer than 64 KiB.
    pub body: Option<serde_json::Value>,
}

impl Sim {
    /// Starts on a free loopback port.
    pub async fn start() -> io::Result<Sim> {
        Sim::start_on(0).await
    }

    /// Starts on a given port of the loopback interface.
    pub async fn start_on(port: u16) -> io::Result<Sim> {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared::new(format!("http://{}", listener.local_addr()?)));

        let app = server::router(shared.clone());
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread =
            thread::Builder::new().name("veo-sim".into()).spawn(move || serve(listener, app, started, stopped))?;
        let sim = Sim { shared, stop: Some(stop), thread: Some(thread) };
        starting.await.map_err(io::Error::other)??;
        Ok(sim)
    }

    /// Base URL of both providers (their paths do not overlap), without a trailing slash: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// What has arrived so far, in order; of very many requests, the last 10,000.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.state().requests.iter().cloned().collect()
    }
}

impl Drop for Sim {
    /// Returns when the port is closed and every connection is cut.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, it is gone, which is what was wanted.
            let _ = thread.join();
        }
    }
}

/// Serves on a thread and a runtime of its own. A test may then block its own runtime, for example on a child
/// process, and the end of this runtime is the end of all connections.
fn serve(listener: StdListener, app: Router, started: oneshot::Sender<io::Result<()>>, stopped: oneshot::Receiver<()>) {
    // A send fails only when nobody waits any more; then `stopped` has resolved too.
    match prepare(listener) {
        Ok((runtime, listener)) => {
            let _ = started.send(Ok(()));
            runtime.spawn(async { axum::serve(listener, app).await });
            let _ = runtime.block_on(stopped);
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    }
}

fn prepare(listener: StdListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(async { TcpListener::from_std(listener) })?;
    Ok((runtime, listener))
}
