#![doc = include_str!("../README.md")]
//!
//! # Time
//!
//! By default a task advances each time it is asked about, so a test never has to wait. A [`Pace`] makes tasks take their
//! time, many times faster than outside, and [`Sim::advance`] lets time pass at once: links expire after 20 minutes, uploads
//! after 3 days, records and videos after 14.
//!
//! # Faults
//!
//! A [`Scenario`] says what goes wrong. There is one for each known fault in the [catalogue](Scenario::catalogue), others are
//! made with a few calls or read from TOML. Either a simulator has one for everybody, or the API key picks it: with the key
//! `lost-reply` the reply to the first paid request is lost, for whatever client.
//!
//! Each API key is an account of its own, at each of the two providers: with its own balance and tasks, and its own count of
//! faults. `lost-reply/1` and `lost-reply/2` are two accounts with the same scenario. Only the calls that a scenario
//! [expects](Scenario::expect) are counted for all its accounts together.
//!
//! # The two forms of kie.ai
//!
//! kie.ai is there in its old form, below `/api/v1/veo`, and in its current one, in which everything is a task of
//! `/api/v1/jobs/createTask`. They share an account with its balance, its limit and its uploads, and neither knows the tasks of the
//! other. The scenarios that begin with `retired-old-form` switch the old one off, and [`Sim::fault`] does it in the middle of a
//! run.
//!
//! # Money
//!
//! An accepted task is [charged](Sim::charges), also if the reply is lost. The charge is returned if the task fails, unless its
//! [`Fate`] says otherwise. A refused request costs nothing, but is counted by [`Sim::submits`]: more than one for one
//! video is how somebody pays twice. Requests that should not have arrived are named by [`Sim::surprises`], and
//! [`Sim::report`] shows it all.
//!
//! # Bounds
//!
//! A simulator remembers the last 10,000 calls, 20,000 tasks and 20,000 accounts, or fewer if the texts that clients sent for
//! one of the three take more than 64 MiB, and up to 128 MiB of uploads. The first 1,000 [surprises](Sim::surprises) are not
//! forgotten. A task takes 2 to 4 KiB. Bodies of up to 1 MiB are taken, and of 24 MiB for uploads,
//! and all that are on their way at a time may have 128 MiB.
//!
//! # Features
//!
//! With `contract`, which is on by default, every request is checked against the specification of its provider. Without it the
//! crate builds in less than half the time, and refuses only what the providers are known to refuse: [`Sim::surprises`] names no
//! request that does not fit then.

#[cfg(feature = "contract")]
mod check;
mod clip;
mod contract;
mod kie;
mod ledger;
mod media;
mod recent;
mod reply;
mod scenario;
mod server;
mod shape;
mod state;
mod task;
mod uniall;
mod visit;

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tokio::sync::oneshot;

pub use ledger::{Call, Charge, SentCallback};
pub use scenario::{
    CallbackBody, Callbacks, Calls, Code, Fate, Fault, FaultRule, Pace, Scenario, ScenarioError,
    TaskRule,
};
pub use shape::Shape;
use state::{Setup, Shared};

/// A running simulator of both providers; stops when dropped.
pub struct Sim {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The settings of a simulator that is to be started.
///
/// ```
/// # use veo_sim::{Scenario, Sim};
/// # async fn example() -> std::io::Result<()> {
/// let always_busy = Scenario::named("busy").unwrap_or_default();
/// let sim = Sim::builder().scenario(always_busy).on_call(|line| println!("{line}")).start().await?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct Builder {
    port: u16,
    setup: Setup,
}

impl Sim {
    /// Starts on a free loopback port, with everything going well. It runs on a thread of its own, so the caller's runtime can
    /// be any, and may block.
    ///
    /// # Errors
    ///
    /// If there is no port or no thread to be had.
    pub async fn start() -> io::Result<Sim> {
        Sim::builder().start().await
    }

    /// Settings to start with other than the usual ones.
    pub fn builder() -> Builder {
        Builder {
            port: 0,
            setup: Setup {
                scenario: Arc::new(Scenario::default()),
                others: Vec::new(),
                patience: Duration::from_secs(10),
                on_call: None,
            },
        }
    }

    /// Base URL of both providers and of kie.ai's uploads (their paths do not overlap), without a trailing slash:
    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Base URL of the files that both providers' answers link to. It is another one, so that a client can tell whom its key
    /// is for: the key belongs to [`url`](Self::url) and never here.
    pub fn media_url(&self) -> String {
        self.shared.media_url.clone()
    }

    /// The requests that have arrived so far, in order. Of very many, the last 10,000 are remembered.
    ///
    /// ```
    /// # async fn example(sim: veo_sim::Sim) {
    /// let paid: Vec<_> = sim.calls().into_iter().filter(|call| call.operation == Some("generate")).collect();
    /// assert_eq!(paid[0].body.as_ref().map(|body| &body["model"]), Some(&"veo3_fast".into()));
    /// # }
    /// ```
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().ledger.calls()
    }

    /// The number of requests that start a paid task, whether or not they were accepted. More than one for one video is how
    /// somebody pays twice. In kie.ai's current form an upgrade is such a task too.
    pub fn submits(&self) -> usize {
        self.shared.state().submits
    }

    /// The charges so far, in order. Of very many, the last 20,000 are remembered. A charge that has been returned by now is
    /// marked, whether or not somebody has asked about its task; with [`Pace::Polls`] a task fails only after questions.
    pub fn charges(&self) -> Vec<Charge> {
        let mut state = self.shared.state();
        state.settle_due();
        state.ledger.charges()
    }

    /// The attempts to send a callback so far, in order. Of very many, the last 10,000 are remembered.
    pub fn callbacks(&self) -> Vec<SentCallback> {
        self.shared.state().ledger.callbacks()
    }

    /// A sentence about each request that should not have arrived: one that differs from the provider's description, has
    /// an unknown path, sends a key to a media host, or is one more than the scenario [expects](Scenario::expect) of all its
    /// keys together. They are in the order of the calls. Of very many, the first 1,000 stay, so no number of later calls
    /// hides them.
    ///
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// use veo_sim::{Scenario, Sim};
    ///
    /// let once = Scenario::new("once", "One video is made.").expect("submit", 1);
    /// let sim = Sim::builder().scenario(once).start().await?;
    /// // ... let the application make its video, and then:
    /// assert!(sim.surprises().is_empty(), "{}", sim.report());
    /// # Ok(()) }
    /// ```
    pub fn surprises(&self) -> Vec<String> {
        self.shared.state().ledger.surprises()
    }

    /// A table of all calls with what they cost, for a person:
    ///
    /// ```text
    ///    1  generate          200       POST /api/v1/veo/generate
    ///       charged 60 for task 7e84..., returned
    ///    2  record_info       200       GET /api/v1/veo/record-info?taskId=7e84...
    /// ```
    pub fn report(&self) -> String {
        let mut state = self.shared.state();
        state.settle_due();
        state.ledger.report()
    }

    /// Lets simulated time pass at once: tasks that take time advance, callbacks that are late or tried again come due, links
    /// and records get old. It adds up, until the year 9000.
    ///
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// use std::time::Duration;
    /// use veo_sim::{Scenario, Sim};
    ///
    /// let sim = Sim::builder().scenario(Scenario::named("real-time").unwrap_or_default()).start().await?;
    /// // ... let the application start a video, and then:
    /// sim.advance(Duration::from_secs(90));
    /// // The next question finds the video made.
    /// # Ok(()) }
    /// ```
    pub fn advance(&self, time: Duration) {
        self.shared.state().advance(time);
    }

    /// Lets something go wrong from now on, whatever the scenario of an account says: with some calls of an operation or a group
    /// of them, counted from now over all accounts together.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use veo_sim::{Fault, Sim};
    ///
    /// let sim = Sim::start().await?;
    /// // ... let the application make some videos, and then kie.ai takes its old form away:
    /// sim.fault("old_form", 1.., Fault::status(410))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no such operation or group, or the fault makes no sense.
    pub fn fault(
        &self,
        on: impl Into<String>,
        calls: impl Into<Calls>,
        fault: Fault,
    ) -> Result<(), ScenarioError> {
        let rule = FaultRule::new(on, calls, fault);
        rule.check()?;
        self.shared.state().add_rule(rule);
        Ok(())
    }

    /// A table of all operations, for a person: provider, method, path, the name as in [`Call::operation`] and in the rules of
    /// a scenario, and whether it is paid.
    pub fn table() -> String {
        let mut table = String::new();
        for operation in contract::Contract::shared().operations() {
            let paid = if operation.billable { "paid" } else { "" };
            let line = format!(
                "{:<8}{:<6}{:<34}{:<18}{paid}",
                operation.provider, operation.method, operation.path, operation.id
            );
            table.push_str(line.trim_end());
            table.push('\n');
        }
        let media = format!("{:<8}{:<6}{:<34}media\n", "", "GET", "/media/...");
        table + &media
    }
}

impl Builder {
    /// A port of the loopback interface; any free one if it is 0 or not set.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The scenario of every account whose key names no other. It can be picked by its name too.
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.setup.scenario = Arc::new(scenario);
        self.setup.others.push(self.setup.scenario.clone());
        self
    }

    /// One more scenario that a key can name, beside those of the catalogue, and before one of the same name there.
    pub fn also(mut self, scenario: Scenario) -> Self {
        self.setup.others.push(Arc::new(scenario));
        self
    }

    /// How long a client may take to send its request, and leave a connection idle; 10 s if not set.
    pub fn patience(mut self, patience: Duration) -> Self {
        // The sum of this and the time now has to be a time.
        self.setup.patience = patience.min(Duration::from_secs(365 * 24 * 3600));
        self
    }

    /// Sets a function that is given a line about each call once it is answered, such as to print it. It is called on the
    /// thread of the simulator, which does nothing else meanwhile.
    pub fn on_call(mut self, on_call: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.setup.on_call = Some(Box::new(on_call));
        self
    }

    /// Starts.
    ///
    /// # Errors
    ///
    /// If the port is taken, a scenario is refused, or there is no thread to be had.
    pub async fn start(self) -> io::Result<Sim> {
        for scenario in &self.setup.others {
            scenario.check().map_err(io::Error::other)?;
        }
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, self.port)).map_err(|error| {
            let why = format!(
                "port {} of 127.0.0.1 cannot be used: {error}; choose another, or 0 for a free one",
                self.port
            );
            io::Error::new(error.kind(), why)
        })?;
        let media_listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let shared = Arc::new(Shared::new(
            format!("http://{}", listener.local_addr()?),
            format!("http://{}", media_listener.local_addr()?),
            self.setup,
        ));
        let listeners = [listener, media_listener];
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let served = shared.clone();
        let thread = thread::Builder::new()
            .name("veo-sim".into())
            .spawn(move || run(listeners, served, started, stopped))?;
        let sim = Sim {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        };
        starting.await.map_err(io::Error::other)??;
        Ok(sim)
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
fn run(
    listeners: [StdListener; 2],
    shared: Arc<Shared>,
    started: oneshot::Sender<io::Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    // A send fails only when nobody waits any more; then `stopped` has resolved too.
    match prepare(listeners) {
        Ok((runtime, listeners)) => {
            let _ = started.send(Ok(()));
            for listener in listeners {
                runtime.spawn(server::serve(listener, shared.clone()));
            }
            let _ = runtime.block_on(stopped);
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    }
}

fn prepare(listeners: [StdListener; 2]) -> io::Result<(Runtime, Vec<TcpListener>)> {
    let runtime = RuntimeBuilder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut ready = Vec::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        ready.push(TcpListener::from_std(listener)?);
    }
    drop(entered);
    Ok((runtime, ready))
}
