//! The memory of one simulator: its accounts, tasks and uploads, and the simulated time. All of its parts are bounded.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::recent::Recent;
use crate::record::{Call, Charge, Record};
use crate::scenario::{Fate, Fault, FaultRule, Pace, Scenario, applies, is_about};
use crate::task::{PendingCallback, Progress, Task};

const MAX_ACCOUNTS: usize = 20_000;
const MAX_TASKS: usize = 20_000;
const MAX_UPLOADS: usize = 1_000;
/// The most bytes of the API keys of all accounts, and of the requests of all tasks.
const MAX_TEXT: usize = 64 << 20;
/// The most bytes of all uploads.
const MAX_FILES: usize = 128 << 20;
/// Simulated time stops in the year 9000, so that no sum of times overflows.
const END_OF_TIME: Duration = Duration::from_secs(221_845_392_000);

/// Everything that the server and the user of the simulator share.
pub(crate) struct Shared {
    /// The base URL, without a trailing slash.
    pub(crate) url: String,
    /// The base URL of the files, without a trailing slash.
    pub(crate) media_url: String,
    /// The bytes of all bodies that are being read or handled.
    pub(crate) in_flight: AtomicUsize,
    pub(crate) setup: Setup,
    /// The secret that signs links.
    pub(crate) secret: RandomState,
    state: Mutex<State>,
}

/// The choices of the user of the simulator.
pub(crate) struct Setup {
    /// The scenario of an account whose API key names none.
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) others: Vec<Arc<Scenario>>,
    /// The longest time that a client may take to send its request.
    pub(crate) patience: Duration,
    pub(crate) on_call: Option<OnCall>,
}

type OnCall = Box<dyn Fn(&str) + Send + Sync>;

/// The state that changes.
pub(crate) struct State {
    pub(crate) record: Record,
    /// The number of requests that start a paid task, accepted or not.
    pub(crate) submits: usize,
    /// The number of calls that each expectation has seen, by the scenario's name and by the operation or group.
    counted: HashMap<(String, String), usize>,
    /// The rules for faults of all accounts, which the user sets during a run.
    rules: Vec<FaultRule>,
    /// The number of requests that each of these rules has seen.
    seen: Vec<u32>,
    accounts: Recent<Account>,
    /// The number of accounts so far.
    opened: u32,
    pub(crate) tasks: Recent<Task>,
    /// Uploaded files, by their path under `/media/`.
    pub(crate) uploads: Recent<File>,
    started: Instant,
    started_unix: Duration,
    /// The time by which the user has moved the simulated time forward.
    advanced: Duration,
}

/// The account of one API key at one provider.
pub(crate) struct Account {
    pub(crate) scenario: Arc<Scenario>,
    /// The number of the account, counted from 1 in the order of arrival.
    pub(crate) number: u32,
    /// The number of requests that each rule for a fault has seen.
    seen: Vec<u32>,
    pub(crate) balance: f64,
    /// The number of accepted tasks.
    accepted: u32,
    /// The times of the latest paid requests.
    submits: VecDeque<Duration>,
    /// A callback that is held back, and is sent after the next callback of the account.
    pub(crate) held: Option<PendingCallback>,
}

/// An uploaded file.
pub(crate) struct File {
    pub(crate) account: Arc<str>,
    pub(crate) pace: Pace,
    pub(crate) uploaded: Duration,
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
}

impl Shared {
    pub(crate) fn new(url: String, media_url: String, setup: Setup) -> Shared {
        let state = State {
            record: Record::default(),
            submits: 0,
            counted: HashMap::new(),
            rules: Vec::new(),
            seen: Vec::new(),
            accounts: Recent::new(MAX_ACCOUNTS, MAX_TEXT, |_| 0),
            opened: 0,
            // A task stores the API key of its account, which can be long.
            tasks: Recent::new(MAX_TASKS, MAX_TEXT, |task: &Task| {
                task.echo.len() + task.account.len()
            }),
            uploads: Recent::new(MAX_UPLOADS, MAX_FILES, |file: &File| {
                file.bytes.len() + file.account.len()
            }),
            started: Instant::now(),
            started_unix: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            advanced: Duration::ZERO,
        };
        Shared {
            url,
            media_url,
            in_flight: AtomicUsize::new(0),
            setup,
            secret: RandomState::new(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread does not make these values wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scenario that an API key names, or the default.
    pub(crate) fn scenario(&self, key: &str) -> Arc<Scenario> {
        let name = key.split('/').next().unwrap_or_default();
        for own in &self.setup.others {
            if own.name == name {
                return own.clone();
            }
        }
        match Scenario::named(name) {
            Some(of_catalogue) => Arc::new(of_catalogue),
            None => self.setup.scenario.clone(),
        }
    }
}

impl State {
    /// The simulated time since 1970 at this pace.
    pub(crate) fn now(&self, pace: Pace) -> Duration {
        let passed = self.started.elapsed().mul_f64(pace.scale());
        let now = (self.started_unix + passed).saturating_add(self.advanced);
        now.min(END_OF_TIME)
    }

    /// Moves simulated time forward at once.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.advanced = self.advanced.saturating_add(time);
        for (_, task) in self.tasks.iter() {
            task.wake();
        }
    }

    /// Adds a rule for faults of all accounts. Its calls are counted from now on.
    pub(crate) fn add_rule(&mut self, rule: FaultRule) {
        self.rules.push(rule);
        self.seen.push(0);
    }

    /// The account of an API key at a provider. It exists from its first call on.
    pub(crate) fn account(&mut self, name: &str) -> Option<&mut Account> {
        self.accounts.get_mut(name)
    }

    pub(crate) fn pace(&self, account: &str) -> Pace {
        let account = self.accounts.get(account);
        account
            .map(|account| account.scenario.pace)
            .unwrap_or_default()
    }

    /// Records a request, and returns its number and its fault.
    pub(crate) fn arrive(
        &mut self,
        mut call: Call,
        account: &Arc<str>,
        scenario: impl FnOnce() -> Arc<Scenario>,
    ) -> (usize, Option<Fault>) {
        if self.accounts.get(account).is_none() {
            self.opened += 1;
            let opened = Account::new(scenario(), self.opened);
            self.accounts.put(account.clone(), opened);
        }
        let mut fault = None;
        let mut unexpected = Vec::new();
        // An account whose API key is too long is not remembered, so it has no faults.
        if let Some(operation) = call.operation
            && let Some(account) = self.accounts.get_mut(account)
        {
            let scenario = account.scenario.clone();
            // Both sets of rules count the call, even if only one of them applies.
            let of_scenario = next_fault(&scenario.fault, &mut account.seen, operation);
            fault = next_fault(&self.rules, &mut self.seen, operation).or(of_scenario);
            call.scenario.clone_from(&scenario.name);
            self.submits += usize::from(is_about("submit", operation));
            unexpected = self.unexpected(&scenario, operation);
        }
        call.fault = fault.as_ref().map(Fault::name);
        let number = self.record.arrive(call);
        for why in unexpected {
            self.record.surprise(number, &why);
        }
        (number, fault)
    }

    /// Returns the reasons why the next call of an operation is not expected. All accounts of a scenario are counted
    /// together, since an application with an API key for each of two providers can pay twice.
    fn unexpected(&mut self, scenario: &Scenario, operation: &str) -> Vec<String> {
        let mut reasons = Vec::new();
        for (on, at_most) in &scenario.expect {
            if !is_about(on, operation) {
                continue;
            }
            let expectation = (scenario.name.clone(), on.clone());
            let count = self.counted.entry(expectation).or_insert(0);
            *count += 1;
            if *count > *at_most {
                reasons.push(format!(
                    "call {count} of {on}, of which at most {at_most} were expected"
                ));
            }
        }
        reasons
    }

    /// Returns whether an account may make one more paid request now, and counts the request if so.
    pub(crate) fn keeps_to_limit(&mut self, account: &str) -> bool {
        const SPAN: Duration = Duration::from_secs(10);
        let now = self.now(self.pace(account));
        let Some(account) = self.accounts.get_mut(account) else {
            return true;
        };
        let Some(limit) = account.scenario.limit else {
            return true;
        };
        account
            .submits
            .retain(|time| now.saturating_sub(*time) < SPAN);
        let is_free = account.submits.len() < limit;
        if is_free {
            account.submits.push_back(now);
        }
        is_free
    }

    /// Accepts a task, and charges it. Returns `None` if the balance is too low.
    pub(crate) fn accept(
        &mut self,
        operation: &'static str,
        id: &str,
        mut task: Task,
        price: f64,
    ) -> Option<&mut Task> {
        if !self.bill(&task.account, operation, task.call, id, price) {
            return None;
        }
        if let Some(account) = self.accounts.get_mut(&task.account) {
            account.accepted += 1;
            task.apply_fate(account.scenario.fate(account.accepted));
        }
        self.tasks.put(id.into(), task);
        self.tasks.get_mut(id)
    }

    /// Charges an account for a task or for an upgrade. Returns false, and charges nothing, if the balance is too low.
    pub(crate) fn bill(
        &mut self,
        account: &str,
        operation: &'static str,
        call: usize,
        task: &str,
        price: f64,
    ) -> bool {
        let mut is_paid = self.pay(account, price);
        if !is_paid {
            // The charges of tasks that have failed meanwhile are returned first, and can make the balance high enough.
            self.settle_due();
            is_paid = self.pay(account, price);
        }
        if is_paid {
            self.record.charge(Charge {
                call,
                operation,
                task: task.to_owned(),
                credits: price,
                refunded: false,
            });
        }
        is_paid
    }

    fn pay(&mut self, account: &str, price: f64) -> bool {
        match self.accounts.get_mut(account) {
            Some(account) => account.pay(price),
            None => false,
        }
    }

    pub(crate) fn balance(&mut self, account: &str) -> f64 {
        self.settle_due();
        let account = self.accounts.get(account);
        account.map_or(0.0, |account| account.balance)
    }

    /// Returns the charges of all tasks that have failed by now, even of those that no client asks about.
    pub(crate) fn settle_due(&mut self) {
        let mut failing = Vec::new();
        for (id, task) in self.tasks.iter() {
            if task.is_refunded() && task.work.done.is_none() {
                failing.push(id.clone());
            }
        }
        for id in failing {
            self.settle(&id);
        }
    }

    /// Returns how far a task is, without counting a question. If the task has ended, its end is recorded, and the
    /// charge of a failed task is returned.
    pub(crate) fn settle(&mut self, id: &str) -> Option<Progress> {
        let pace = self.tasks.get(id)?.pace;
        let now = self.now(pace);
        let task = self.tasks.get_mut(id)?;
        let progress = task.work.progress(pace, now);
        if progress < 1.0 || task.fate == Fate::Stuck {
            return Some(Progress::Running(progress.min(0.99)));
        }
        if task.work.done.is_none() {
            task.work.done = Some(task.work.end(pace, now));
            if task.is_refunded()
                && let Some(credits) = self.record.refund(task.call)
                && let Some(account) = self.accounts.get_mut(&task.account)
            {
                account.pay(-credits);
            }
        }
        Some(Progress::Ended)
    }

    /// Counts a question of an account about its task, and then does the work of [`settle`](Self::settle).
    pub(crate) fn ask(&mut self, account: &Arc<str>, id: &str) -> Option<Progress> {
        let task = self.tasks.get_mut(id)?;
        if task.account != *account {
            return None;
        }
        task.work.count();
        task.wake();
        self.settle(id)
    }
}

impl Account {
    fn new(scenario: Arc<Scenario>, number: u32) -> Account {
        Account {
            number,
            seen: vec![0; scenario.fault.len()],
            // The balance is fractional, as on the wire, although the documentation says otherwise.
            balance: scenario.credits.unwrap_or(1250.75),
            accepted: 0,
            submits: VecDeque::new(),
            held: None,
            scenario,
        }
    }

    /// Subtracts a price from the balance, if the balance suffices.
    fn pay(&mut self, price: f64) -> bool {
        let is_enough = self.balance >= price;
        if is_enough {
            // Rounding keeps the errors of binary fractions from adding up over many prices.
            self.balance = ((self.balance - price) * 100.0).round() / 100.0;
        }
        is_enough
    }
}

/// Counts a call of an operation in each rule that is about it, and returns the fault of the first rule that applies.
fn next_fault(rules: &[FaultRule], seen: &mut [u32], operation: &str) -> Option<Fault> {
    let mut found = None;
    for (rule, seen) in rules.iter().zip(seen) {
        if is_about(&rule.on, operation) {
            *seen += 1;
            if found.is_none() && applies(rule.first, rule.times, *seen) {
                found = Some(rule.fault.clone());
            }
        }
    }
    found
}

/// A unique id of 32 hexadecimal digits.
pub(crate) fn unique_id() -> String {
    // The standard library gives every hasher new keys, which are random enough for an id.
    let first = RandomState::new().hash_one(());
    let second = RandomState::new().hash_one(());
    format!("{first:016x}{second:016x}")
}

/// Formats a time as `2001-09-09T01:46:40.000Z`.
pub(crate) fn iso_8601(since_epoch: Duration) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(since_epoch);
    humantime::format_rfc3339_millis(time.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
}

#[cfg(test)]
impl Shared {
    /// A simulator without a server.
    pub(crate) fn sample() -> Arc<Shared> {
        let setup = Setup {
            scenario: Arc::default(),
            others: Vec::new(),
            patience: Duration::ZERO,
            on_call: None,
        };
        Arc::new(Shared::new(
            "http://sim".to_owned(),
            "http://media".to_owned(),
            setup,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_tasks_make_room_for_large_requests() {
        let mib = 1 << 20;
        // The bytes of the API key and of the request, and the number of tasks that are stored.
        for (key, request, kept) in [(1, 1, 100), (mib, 1, 63), (1, mib, 63), (mib, mib, 31)] {
            let shared = Shared::sample();
            let state = &mut *shared.state();
            for number in 0..100 {
                let account = format!("kie {number}/{}", "k".repeat(key));
                let task = Task {
                    echo: "r".repeat(request),
                    ..Task::sample(&account, Pace::AtOnce, Duration::ZERO)
                };
                state.arrive(Call::default(), &task.account, Arc::default);
                let id = number.to_string();
                assert!(state.accept("generate", &id, task, 1.0).is_some());
            }
            assert_eq!(state.tasks.iter().count(), kept, "{key} {request}");
        }
    }

    #[test]
    fn a_task_in_flight_is_small() {
        // The id, which is stored twice, and the request in the task and in the call are not counted here.
        let entries = size_of::<Task>() + size_of::<Call>() + size_of::<Charge>();
        assert!(entries < 1024, "{entries}");
    }
}
