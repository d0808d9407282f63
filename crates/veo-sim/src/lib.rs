#![doc = include_str!("../README.md")]
//!
//! # Time
//!
//! By default a task advances each time a client asks about it, so a test never waits. With another [`Pace`] a task
//! takes simulated time, which passes many times faster than real time. [`Sim::advance`] moves the simulated time
//! forward at once. Links expire after 20 minutes, uploads after 3 days, and records and videos after 14 days.
//!
//! # Faults
//!
//! A [`Scenario`] describes what goes wrong. The [catalogue](Scenario::catalogue) has a scenario for each known fault.
//! You can also make a scenario with a few calls, or read one from TOML.
//!
//! There are two ways to choose a scenario. [`Builder::scenario`] sets the scenario of all accounts. An API key that is
//! the name of a scenario chooses this scenario for its own account instead. For example, a client with the API key
//! `lost-reply` loses the reply to its first paid request.
//!
//! Each API key has one account at each of the two providers. Each account has its own balance and its own tasks. A
//! fault can hit, for example, the first paid request; each account counts its own requests for this. `lost-reply/1`
//! and `lost-reply/2` are two accounts with the same scenario. [`Scenario::expect`] is the exception: it counts the
//! calls of all accounts with the scenario together.
//!
//! # The two forms of kie.ai
//!
//! kie.ai has two forms of its API, and so has the simulator. The old form is below `/api/v1/veo`. In the current form,
//! videos, extensions and upgrades are all tasks of `/api/v1/jobs/createTask`. Both forms use the same account with its
//! balance, limit and uploads, but neither form knows the tasks of the other form. The scenarios whose names begin with
//! `retired-old-form` switch the old form off. [`Sim::fault`] can switch the old form off during a run.
//!
//! # Money
//!
//! An accepted task is [charged](Sim::charges), even if the reply to its request is lost. If the task fails, the charge
//! is returned, unless the [`Fate`] of the task keeps it. A refused request is not charged. [`Sim::submits`] also
//! counts refused requests, since an application that sends two requests for one video can pay twice.
//!
//! # Bounds
//!
//! | content | bound |
//! | --- | --- |
//! | remembered calls | the last 10,000 |
//! | remembered tasks | the last 20,000; each takes 2 to 4 KiB of memory |
//! | remembered accounts | the last 20,000 |
//! | texts that clients sent, in all calls, in all tasks or in all accounts | 64 MiB for each of the three; with more text, the simulator remembers fewer of them |
//! | uploads | 128 MiB |
//! | [surprises](Sim::surprises) | the first 1,000 |
//! | body of a request | 1 MiB, or 24 MiB for an upload |
//! | all bodies that arrive at the same time | 128 MiB |
//!
//! # Features
//!
//! The feature `contract` is on by default. With it, the simulator checks every request against the specification of
//! its provider. Without it, the crate builds in less than half the time. The simulator then refuses only what the
//! providers are known to refuse, and [`Sim::surprises`] does not report requests that break the specification.

#[cfg(feature = "contract")]
mod check;
mod clip;
mod contract;
mod kie;
mod media;
mod recent;
mod record;
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

pub use record::{Call, Charge, SentCallback};
pub use scenario::{
    CallbackBody, Callbacks, Calls, Code, Fate, Fault, FaultRule, Pace, Scenario, ScenarioError,
    TaskRule,
};
pub use shape::Shape;
use state::{Setup, Shared};

/// A running simulator of both providers. It stops when it is dropped.
pub struct Sim {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The settings of a simulator before its start.
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
    /// Starts a simulator without faults on a free loopback port. The simulator runs on its own thread, so the caller
    /// can use any runtime, and may block it.
    ///
    /// # Errors
    ///
    /// Fails if there is no free port or no thread.
    pub async fn start() -> io::Result<Sim> {
        Sim::builder().start().await
    }

    /// Returns the default settings, which the caller can change before the start.
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

    /// The base URL of both providers and of kie.ai's uploads: `http://127.0.0.1:PORT`. Their paths do not overlap.
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// The base URL of the files that both providers' answers link to. It differs from [`url`](Self::url), so that a
    /// client can tell where its API key belongs. An API key must never be sent to this URL.
    pub fn media_url(&self) -> String {
        self.shared.media_url.clone()
    }

    /// The requests that have arrived so far, in order. The last 10,000 are remembered.
    ///
    /// ```
    /// # async fn example(sim: veo_sim::Sim) {
    /// let paid: Vec<_> = sim.calls().into_iter().filter(|call| call.operation == Some("generate")).collect();
    /// assert_eq!(paid[0].body.as_ref().map(|body| &body["model"]), Some(&"veo3_fast".into()));
    /// # }
    /// ```
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().record.calls()
    }

    /// The number of requests that start a paid task, accepted or not. An application that sends more than one for one
    /// video can pay twice. In kie.ai's current form an upgrade is also such a task.
    pub fn submits(&self) -> usize {
        self.shared.state().submits
    }

    /// The charges so far, in order. The last 20,000 are remembered. A returned charge is marked, even if no client has
    /// asked about its task. With [`Pace::Polls`] a task fails only after questions.
    pub fn charges(&self) -> Vec<Charge> {
        let mut state = self.shared.state();
        state.settle_due();
        state.record.charges()
    }

    /// The attempts to send a callback so far, in order. The last 10,000 are remembered.
    pub fn callbacks(&self) -> Vec<SentCallback> {
        self.shared.state().record.callbacks()
    }

    /// A sentence about each request that should not have arrived. Such a request differs from the provider's
    /// specification, has an unknown path, sends an API key to a media host, or exceeds the number that the scenario
    /// [expects](Scenario::expect) of all its API keys together. The sentences are in the order of the calls. The first
    /// 1,000 stay, so later calls cannot hide them.
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
        self.shared.state().record.surprises()
    }

    /// A table of all calls and their charges, for people:
    ///
    /// ```text
    ///    1  generate          200       POST /api/v1/veo/generate
    ///       charged 60 for task 7e84..., returned
    ///    2  record_info       200       GET /api/v1/veo/record-info?taskId=7e84...
    /// ```
    pub fn report(&self) -> String {
        let mut state = self.shared.state();
        state.settle_due();
        state.record.report()
    }

    /// Moves simulated time forward at once. Tasks that take time advance, delayed and repeated callbacks become due,
    /// and links and records age. Several calls add up, until the year 9000.
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

    /// Sets a fault for all accounts. It wins over the faults of their scenarios. `on` is an operation or a group, as
    /// in [`FaultRule::on`]. From now on the calls of all accounts are counted together.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use veo_sim::{Fault, Sim};
    ///
    /// let sim = Sim::start().await?;
    /// // ... let the application make some videos, and then kie.ai switches its old form off:
    /// sim.fault("old_form", 1.., Fault::status(410))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if there is no such operation or group, or if the fault makes no sense.
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

    /// A table of all operations, for people: the provider, the method, the path, the name as in [`Call::operation`]
    /// and in the rules of a scenario, and whether it is paid.
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
    /// Sets the port of the loopback interface. With 0, the default, any free port is used.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the scenario of every account whose API key names no other. An API key can also name this scenario.
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.setup.scenario = Arc::new(scenario);
        self.setup.others.push(self.setup.scenario.clone());
        self
    }

    /// Adds a scenario that an API key can name. It replaces one of the same name in the catalogue.
    pub fn also(mut self, scenario: Scenario) -> Self {
        self.setup.others.push(Arc::new(scenario));
        self
    }

    /// Sets how long a client may take to send its request, and how long a connection may be idle. The default is 10 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        // The sum of this and the current time must not overflow.
        self.setup.patience = patience.min(Duration::from_secs(365 * 24 * 3600));
        self
    }

    /// Sets a function that receives a line about each answered call, for example to print it. The function runs on the
    /// thread of the simulator, and blocks this thread meanwhile.
    pub fn on_call(mut self, on_call: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.setup.on_call = Some(Box::new(on_call));
        self
    }

    /// Starts the simulator.
    ///
    /// # Errors
    ///
    /// Fails if the port is in use, a scenario makes no sense, or there is no thread.
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
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

/// Serves on its own thread and runtime. A test may block its own runtime, for example on a child process. When this
/// runtime ends, all connections end.
fn run(
    listeners: [StdListener; 2],
    shared: Arc<Shared>,
    started: oneshot::Sender<io::Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    // A send fails only if the caller no longer waits, and then `stopped` has resolved too.
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
