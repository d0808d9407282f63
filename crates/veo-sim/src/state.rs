//! What one simulator remembers, all of it bounded.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use crate::clip::{Format, Resolution};
use crate::follow::Announcement;
use crate::scenario::{applies, is_about};
use crate::server::Visit;
use crate::{Call, Charge, Fate, Fault, Pace, Scenario, SentCallback};

const MAX_CALLS: usize = 10_000;
const MAX_CALLBACKS: usize = 10_000;
const MAX_SURPRISES: usize = 1_000;
const MAX_ACCOUNTS: usize = 20_000;
const MAX_TASKS: usize = 20_000;
const MAX_UPLOADS: usize = 1_000;
/// Of what clients send, by kind.
const MAX_TEXT: usize = 64 << 20;
const MAX_FILES: usize = 128 << 20;
const MAX_RECORDED_BODY: usize = 64 * 1024;
/// Simulated time stands still in the year 9000, so that no sum of times is too large.
const END_OF_TIME: Duration = Duration::from_secs(221_845_392_000);

/// What the server and its owner share.
pub(crate) struct Shared {
    /// Base URL, without a trailing slash.
    pub(crate) url: String,
    pub(crate) setup: Setup,
    /// Signs links.
    pub(crate) secret: RandomState,
    state: Mutex<State>,
}

/// What the owner decides.
pub(crate) struct Setup {
    /// What an account gets whose key names no scenario.
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) others: Vec<Arc<Scenario>>,
    /// How long a client may take to send its request.
    pub(crate) patience: Duration,
    pub(crate) on_call: Option<OnCall>,
}

type OnCall = Box<dyn Fn(&str) + Send + Sync>;

/// Everything that changes.
pub(crate) struct State {
    pub(crate) calls: Latest<Recorded>,
    /// The number of a call, and in a sentence why it should not have arrived. The first ones, so that no number of later calls
    /// makes a test pass.
    pub(crate) surprises: Vec<(usize, String)>,
    pub(crate) charges: Latest<Charge>,
    pub(crate) callbacks: Latest<SentCallback>,
    /// How many requests have arrived, and how many of them start a paid task.
    pub(crate) arrived: usize,
    pub(crate) submits: usize,
    /// How many calls each expectation has seen: by the name of its scenario, and by what it is about.
    counted: HashMap<(String, String), usize>,
    accounts: Recent<Account>,
    /// How many accounts there have been.
    known: u32,
    pub(crate) tasks: Recent<Task>,
    /// Uploaded files, by their path under `/media/`.
    pub(crate) uploads: Recent<File>,
    started: Instant,
    started_unix: Duration,
    /// Simulated time that the owner has let pass.
    advanced: Duration,
}

/// A call with its body, which is read only if somebody looks at it.
pub(crate) struct Recorded {
    pub(crate) call: Call,
    body: Bytes,
}

/// What belongs to one API key at one provider.
pub(crate) struct Account {
    pub(crate) scenario: Arc<Scenario>,
    /// Counted from 1 in the order of arrival.
    pub(crate) number: u32,
    /// How many requests each rule for a fault has seen.
    seen: Vec<u32>,
    balance: f64,
    /// How many tasks have been accepted.
    accepted: u32,
    /// The times of the latest paid requests.
    submits: VecDeque<Duration>,
    /// A callback that waits for its partner.
    pub(crate) held: Option<Announcement>,
}

/// A video in the making, or made.
pub(crate) struct Task {
    pub(crate) account: Arc<str>,
    pub(crate) pace: Pace,
    pub(crate) fate: Fate,
    pub(crate) work: Work,
    /// The video that was asked for.
    pub(crate) format: Format,
    /// Length of the whole film, if this is an extension.
    pub(crate) film: Option<u32>,
    /// The request as the provider repeats it: the parameters at kie.ai, the model at UniAll.
    pub(crate) request: String,
    /// The name behind UniAll's gateway. It shows through as `task_id` in every reply but the first.
    pub(crate) upstream: Option<String>,
    /// To 1080p, and to 4K.
    pub(crate) upgrades: [Option<Work>; 2],
    /// [`Call::number`] of the request.
    pub(crate) call: usize,
    /// Wakes those who wait for it to be done.
    pub(crate) changed: Option<watch::Sender<()>>,
}

/// Something that takes time.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) started: Duration,
    length: Duration,
    polls: u32,
    /// When it was done, once that has been seen.
    pub(crate) done: Option<Duration>,
}

/// Something to download.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) account: Arc<str>,
    pub(crate) pace: Pace,
    pub(crate) uploaded: Duration,
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
}

/// The latest entries, in order. The oldest make room for a new one.
pub(crate) struct Latest<T> {
    most: usize,
    /// Each with its size in bytes.
    entries: VecDeque<(T, usize)>,
    size: usize,
}

/// The latest entries, by name. The oldest make room for a new one.
pub(crate) struct Recent<T> {
    most: usize,
    most_bytes: usize,
    /// Each with its size in bytes.
    entries: HashMap<Arc<str>, (T, usize)>,
    order: VecDeque<Arc<str>>,
    size: usize,
}

/// How far a task is.
pub(crate) enum Progress {
    /// From 0 to 1.
    Running(f64),
    Ended,
}

impl Shared {
    pub(crate) fn new(url: String, setup: Setup) -> Shared {
        let state = State {
            calls: Latest::new(MAX_CALLS),
            surprises: Vec::new(),
            charges: Latest::new(MAX_TASKS),
            callbacks: Latest::new(MAX_CALLBACKS),
            arrived: 0,
            submits: 0,
            counted: HashMap::new(),
            accounts: Recent::new(MAX_ACCOUNTS, MAX_TEXT),
            known: 0,
            tasks: Recent::new(MAX_TASKS, MAX_TEXT),
            uploads: Recent::new(MAX_UPLOADS, MAX_FILES),
            started: Instant::now(),
            started_unix: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            advanced: Duration::ZERO,
        };
        Shared {
            url,
            setup,
            secret: RandomState::new(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make these values wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scenario that a key names.
    pub(crate) fn scenario(&self, key: &str) -> Arc<Scenario> {
        let name = key.split('/').next().unwrap_or_default();
        let own = self
            .setup
            .others
            .iter()
            .find(|scenario| scenario.name == name);
        own.cloned()
            .or_else(|| Scenario::named(name).map(Arc::new))
            .unwrap_or_else(|| self.setup.scenario.clone())
    }
}

impl State {
    /// The simulated time at this pace, since 1970.
    pub(crate) fn now(&self, pace: Pace) -> Duration {
        let passed = self.started.elapsed().mul_f64(pace.scale());
        (self.started_unix + passed)
            .saturating_add(self.advanced)
            .min(END_OF_TIME)
    }

    /// Lets simulated time pass at once.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.advanced = self.advanced.saturating_add(time);
        for (_, task) in self.tasks.iter() {
            task.wake();
        }
    }

    /// The account of a key at a provider, which is there from the first time on.
    pub(crate) fn account(&mut self, name: &Arc<str>) -> Option<&mut Account> {
        self.accounts.get_mut(name)
    }

    /// Takes down a request, and finds the fault that befalls it.
    pub(crate) fn arrive(
        &mut self,
        mut call: Call,
        account: &Arc<str>,
        scenario: impl FnOnce() -> Arc<Scenario>,
    ) -> (usize, Option<Fault>) {
        self.arrived += 1;
        call.number = self.arrived;
        let (mut fault, mut unexpected) = (None, Vec::new());
        let known = &mut self.known;
        let account = self.accounts.get_or_put(account, || {
            *known += 1;
            Account::new(scenario(), *known)
        });
        if let (Some(operation), Some(account)) = (call.operation, account) {
            self.submits += usize::from(is_about("submit", operation));
            call.scenario.clone_from(&account.scenario.name);
            fault = account.fault(operation);
            let scenario = account.scenario.clone();
            unexpected = self.unexpected(&scenario, operation);
        }
        call.fault = fault.as_ref().map(Fault::name);
        let number = call.number;
        let size = call.method.len() + call.path.len();
        self.calls.push(
            Recorded {
                call,
                body: Bytes::new(),
            },
            size,
        );
        for why in unexpected {
            self.surprise(number, &why);
        }
        (number, fault)
    }

    /// Why the next call of an operation is not expected. All accounts of a scenario are counted together, since an application
    /// that pays twice may well do it at two providers, with a key for each.
    fn unexpected(&mut self, scenario: &Scenario, operation: &str) -> Vec<String> {
        let mut whys = Vec::new();
        for (on, at_most) in scenario
            .expect
            .iter()
            .filter(|(on, _)| is_about(on, operation))
        {
            let count = self
                .counted
                .entry((scenario.name.clone(), on.clone()))
                .or_insert(0);
            *count += 1;
            if *count > *at_most {
                whys.push(format!(
                    "call {count} of {on}, of which at most {at_most} were expected"
                ));
            }
        }
        whys
    }

    /// Takes down why a call was not expected.
    pub(crate) fn surprise(&mut self, number: usize, why: &str) {
        self.name_surprise(number, why);
        let Some(place) = self.place(number) else {
            return;
        };
        let Some(Recorded { call, .. }) = self.calls.get_mut(place) else {
            return;
        };
        call.surprise = Some(
            call.surprise
                .take()
                .map_or(String::new(), |before| before + "; ")
                + why,
        );
        self.calls.grow(place, why.len());
    }

    fn name_surprise(&mut self, number: usize, why: &str) {
        let size = |surprises: &[(usize, String)]| {
            surprises
                .iter()
                .map(|(_, sentence)| sentence.len())
                .sum::<usize>()
        };
        if self.surprises.len() < MAX_SURPRISES && size(&self.surprises) < MAX_TEXT {
            let which = self
                .call(number)
                .map(|call| format!(" ({} {})", call.method, call.path))
                .unwrap_or_default();
            self.surprises
                .push((number, format!("call {number}{which}: {why}")));
        }
    }

    /// A call that is still remembered.
    pub(crate) fn call(&mut self, number: usize) -> Option<&mut Call> {
        let place = self.place(number)?;
        self.calls.get_mut(place).map(|recorded| &mut recorded.call)
    }

    fn place(&self, number: usize) -> Option<usize> {
        number.checked_sub(self.calls.iter().next()?.call.number)
    }

    /// Takes down how a call differs from what the provider describes.
    pub(crate) fn differs(&mut self, number: usize, how: &str) {
        self.name_surprise(number, how);
        let Some(place) = self.place(number) else {
            return;
        };
        let Some(Recorded { call, .. }) = self.calls.get_mut(place) else {
            return;
        };
        call.mismatches.push(how.to_owned());
        self.calls.grow(place, how.len());
    }

    /// Keeps the body of a call, if it is not too long.
    pub(crate) fn keep_body(&mut self, number: usize, body: &Bytes) {
        let Some(place) = self
            .place(number)
            .filter(|_| body.len() <= MAX_RECORDED_BODY)
        else {
            return;
        };
        let Some(recorded) = self.calls.get_mut(place) else {
            return;
        };
        // Without what its buffer has room for beside it.
        recorded.body = Bytes::copy_from_slice(body);
        self.calls.grow(place, body.len());
    }

    /// The pace of an account.
    pub(crate) fn pace(&self, account: &str) -> Pace {
        self.accounts
            .get(account)
            .map(|account| account.scenario.pace)
            .unwrap_or_default()
    }

    /// Whether an account may make one more paid request now.
    pub(crate) fn keeps_to_limit(&mut self, account: &Arc<str>) -> bool {
        const SPAN: Duration = Duration::from_secs(10);
        let now = self.now(self.pace(account));
        let Some(account) = self.accounts.get_mut(account) else {
            return true;
        };
        let Some(limit) = account.scenario.limit else {
            return true;
        };
        while account
            .submits
            .front()
            .is_some_and(|time| now.saturating_sub(*time) >= SPAN)
        {
            account.submits.pop_front();
        }
        let free = account.submits.len() < limit;
        if free {
            account.submits.push_back(now);
        }
        free
    }

    /// Accepts a task, and charges it; not if the balance is too low.
    pub(crate) fn accept(
        &mut self,
        operation: &'static str,
        id: String,
        mut task: Task,
        price: f64,
    ) -> bool {
        if !self.bill(&task.account, operation, task.call, &id, price) {
            return false;
        }
        if let Some(account) = self.accounts.get_mut(&task.account) {
            account.accepted += 1;
            task.fate = account.scenario.fate(account.accepted);
        }
        // A key can be long, and stays as long as a task of it.
        let size = task.request.len() + task.account.len();
        self.tasks.put(id.into(), task, size);
        true
    }

    /// Charges something that belongs to an accepted task; not if the balance is too low.
    pub(crate) fn charge(
        &mut self,
        operation: &'static str,
        call: usize,
        id: &str,
        price: f64,
    ) -> bool {
        let account = self.tasks.get(id).map(|task| task.account.clone());
        account.is_some_and(|account| self.bill(&account, operation, call, id, price))
    }

    fn bill(
        &mut self,
        account: &str,
        operation: &'static str,
        call: usize,
        task: &str,
        price: f64,
    ) -> bool {
        let mut is_paid = self.pay(account, price);
        if !is_paid {
            // What has failed since is returned, which can be enough.
            self.settle_due();
            is_paid = self.pay(account, price);
        }
        if is_paid {
            self.charges.push(
                Charge {
                    call,
                    operation,
                    task: task.to_owned(),
                    credits: price,
                    refunded: false,
                },
                0,
            );
        }
        is_paid
    }

    fn pay(&mut self, account: &str, price: f64) -> bool {
        self.accounts
            .get_mut(account)
            .is_some_and(|account| account.pay(price))
    }

    /// What is left on an account.
    pub(crate) fn balance(&mut self, account: &str) -> f64 {
        self.settle_due();
        self.accounts
            .get(account)
            .map_or(0.0, |account| account.balance)
    }

    /// Returns what tasks have cost that have failed by now, since nobody may ask about them.
    pub(crate) fn settle_due(&mut self) {
        let failing = self
            .tasks
            .iter()
            .filter(|(_, task)| task.fate.is_refunded() && task.work.done.is_none());
        for id in failing.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.settle(&id);
        }
    }

    /// How far a task is, by itself; and what follows from its end.
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
            if task.fate.is_refunded()
                && let Some(charge) = self
                    .charges
                    .iter_mut()
                    .rev()
                    .find(|charge| charge.call == task.call)
            {
                charge.refunded = true;
                if let Some(account) = self.accounts.get_mut(&task.account) {
                    account.pay(-charge.credits);
                }
            }
        }
        Some(Progress::Ended)
    }

    /// The same for somebody who asks, which can be what the task was waiting for.
    pub(crate) fn ask(&mut self, account: &Arc<str>, id: &str) -> Option<Progress> {
        let task = self
            .tasks
            .get_mut(id)
            .filter(|task| task.account == *account)?;
        task.work.polls += 1;
        task.wake();
        self.settle(id)
    }
}

impl Account {
    fn new(scenario: Arc<Scenario>, number: u32) -> Account {
        Account {
            number,
            seen: vec![0; scenario.fault.len()],
            // Fractional, as on the wire, whatever the documentation says.
            balance: scenario.credits.unwrap_or(1250.75),
            accepted: 0,
            submits: VecDeque::new(),
            held: None,
            scenario,
        }
    }

    /// Takes a price from the balance, if there is enough.
    fn pay(&mut self, price: f64) -> bool {
        let is_enough = self.balance >= price;
        if is_enough {
            // Of a hundred prices that are no round numbers to a computer, nothing is to be left over.
            self.balance = ((self.balance - price) * 100.0).round() / 100.0;
        }
        is_enough
    }

    /// The fault of the next call of an operation.
    fn fault(&mut self, operation: &str) -> Option<Fault> {
        let mut found = None;
        for (rule, seen) in self.scenario.fault.iter().zip(&mut self.seen) {
            if is_about(&rule.on, operation) {
                *seen += 1;
                if found.is_none() && applies(rule.first, rule.times, *seen) {
                    found = Some(rule.fault.clone());
                }
            }
        }
        found
    }
}

impl Task {
    /// The task that a request starts.
    pub(crate) fn new(
        state: &State,
        visit: &Visit<'_>,
        format: Format,
        seconds: u64,
        request: String,
    ) -> Task {
        let pace = state.pace(&visit.account);
        Task {
            account: visit.account.clone(),
            pace,
            fate: Fate::Made,
            work: Work::new(state.now(pace), seconds),
            format,
            film: None,
            request,
            upstream: None,
            upgrades: [None, None],
            call: visit.call,
            changed: None,
        }
    }

    /// Tells of everything that can bring it to its end, and of its own end.
    pub(crate) fn watch(&mut self) -> watch::Receiver<()> {
        self.changed
            .get_or_insert_with(|| watch::channel(()).0)
            .subscribe()
    }

    pub(crate) fn wake(&self) {
        if let Some(changed) = &self.changed {
            changed.send_replace(());
        }
    }

    /// Whether there is a video to download.
    pub(crate) fn has_video(&self, now: Duration) -> bool {
        let is_kept_back =
            matches!(self.fate, Fate::Filtered | Fate::Stuck) || self.fate.failure().is_some();
        self.work.is_done(self.pace, now) && !is_kept_back
    }

    /// The size of the video that is delivered.
    pub(crate) fn delivered(&self) -> Format {
        match self.fate {
            Fate::Smaller => Format {
                resolution: Resolution::P720,
                ..self.format
            },
            // The others are known of kie.ai only.
            _ if self.upstream.is_some() => self.format,
            Fate::No4k => Format {
                resolution: Resolution::P720,
                ..self.format
            },
            // kie.ai's page about this operation says that its fallback requires 16:9 and uses 1080p by default. No
            // other page names its resolution, and nobody has seen one; 720p in our fixtures shows a form and not a
            // fact. What becomes of a portrait is not known.
            Fate::Fallback => Format {
                resolution: Resolution::P1080,
                portrait: false,
                ..self.format
            },
            _ => self.format,
        }
    }
}

impl Work {
    pub(crate) fn new(started: Duration, seconds: u64) -> Work {
        Work {
            started,
            length: Duration::from_secs(seconds),
            polls: 0,
            done: None,
        }
    }

    /// Counts a question, and says whether it is done.
    pub(crate) fn ask(&mut self, pace: Pace, now: Duration) -> bool {
        self.polls += 1;
        if self.is_done(pace, now) {
            self.done.get_or_insert(self.end(pace, now));
        }
        self.done.is_some()
    }

    pub(crate) fn is_done(&self, pace: Pace, now: Duration) -> bool {
        self.progress(pace, now) >= 1.0
    }

    /// In how much time outside it is done by itself; nothing if that depends on questions.
    pub(crate) fn remaining(&self, pace: Pace, now: Duration) -> Option<Duration> {
        match pace {
            Pace::AtOnce => Some(Duration::ZERO),
            Pace::Scale(scale) => Some(
                (self.started + self.length)
                    .saturating_sub(now)
                    .div_f64(scale),
            ),
            Pace::Polls(_) => self.is_done(pace, now).then_some(Duration::ZERO),
        }
    }

    /// How far it is, from 0 to 1.
    fn progress(&self, pace: Pace, now: Duration) -> f64 {
        match pace {
            Pace::AtOnce => 1.0,
            Pace::Polls(polls) if self.polls > polls => 1.0,
            Pace::Polls(polls) => f64::from(self.polls.saturating_sub(1)) / f64::from(polls.max(1)),
            Pace::Scale(_) => now
                .saturating_sub(self.started)
                .div_duration_f64(self.length)
                .min(1.0),
        }
    }

    /// When it was done, seen now.
    pub(crate) fn end(&self, pace: Pace, now: Duration) -> Duration {
        match pace {
            Pace::Scale(_) => self.started + self.length,
            Pace::AtOnce => self.started,
            Pace::Polls(_) => now,
        }
    }
}

impl Fate {
    /// Whether the charge is returned at the end.
    fn is_refunded(self) -> bool {
        self.failure().is_some() && self != Fate::FailedButCharged
    }
}

impl Recorded {
    /// The call as its owner sees it.
    pub(crate) fn read(&self) -> Call {
        Call {
            body: serde_json::from_slice(&self.body).ok(),
            ..self.call.clone()
        }
    }
}

impl<T> Latest<T> {
    fn new(most: usize) -> Latest<T> {
        Latest {
            most,
            entries: VecDeque::new(),
            size: 0,
        }
    }

    /// Adds the latest, of so many bytes beside itself.
    pub(crate) fn push(&mut self, latest: T, size: usize) {
        self.entries.push_back((latest, 0));
        self.grow(self.entries.len() - 1, size);
    }

    /// Notes that an entry has become larger.
    fn grow(&mut self, place: usize, by: usize) {
        if let Some((_, size)) = self.entries.get_mut(place) {
            *size += by;
            self.size += by;
        }
        while self.entries.len() > self.most || self.size > MAX_TEXT {
            let Some((_, size)) = self.entries.pop_front() else {
                break;
            };
            self.size -= size;
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.entries.iter_mut().map(|(entry, _)| entry)
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.entries.get_mut(place).map(|(entry, _)| entry)
    }
}

impl<T> Recent<T> {
    fn new(most: usize, most_bytes: usize) -> Recent<T> {
        Recent {
            most,
            most_bytes,
            entries: HashMap::new(),
            order: VecDeque::new(),
            size: 0,
        }
    }

    /// Adds an entry, of so many bytes beside itself, in place of one of the same name.
    pub(crate) fn put(&mut self, name: Arc<str>, value: T, size: usize) {
        let size = size + name.len();
        self.size += size;
        if let Some((_, before)) = self.entries.insert(name.clone(), (value, size)) {
            self.size -= before;
            self.order.retain(|other| *other != name);
        }
        self.order.push_back(name);
        while self.order.len() > self.most || self.size > self.most_bytes {
            let Some((_, size)) = self
                .order
                .pop_front()
                .and_then(|oldest| self.entries.remove(&oldest))
            else {
                break;
            };
            self.size -= size;
        }
    }

    fn get_or_put(&mut self, name: &Arc<str>, value: impl FnOnce() -> T) -> Option<&mut T> {
        if !self.entries.contains_key(name) {
            self.put(name.clone(), value(), 0);
        }
        self.get_mut(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|(entry, _)| entry)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name).map(|(entry, _)| entry)
    }

    fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.entries.iter().map(|(name, (entry, _))| (name, entry))
    }
}

/// 32 hexadecimal digits that do not come twice.
pub(crate) fn unique_id() -> String {
    // The standard library keys every hasher anew, which is random enough for a name.
    let random = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", random(), random())
}

/// Such as `2001-09-09T01:46:40.000Z`.
pub(crate) fn iso_8601(since_epoch: Duration) -> String {
    let time = SystemTime::UNIX_EPOCH
        .checked_add(since_epoch)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_for_what_is_too_many_or_too_large() {
        let mut latest = Latest::new(3);
        let kept = |latest: &Latest<u32>| latest.iter().copied().collect::<Vec<_>>();
        for (entry, size, wanted) in [
            (1, 0, &[1][..]),
            (2, 10, &[1, 2]),
            (3, 0, &[1, 2, 3]),
            (4, 0, &[2, 3, 4]),
            (5, MAX_TEXT - 10, &[3, 4, 5]),
            (6, 10, &[4, 5, 6]),
            (7, 1, &[6, 7]),
            (8, MAX_TEXT + 1, &[]),
            (9, MAX_TEXT, &[9]),
        ] {
            latest.push(entry, size);
            assert_eq!(kept(&latest), wanted, "{entry}");
        }
        // What has come and what has gone cancel out.
        latest.push(10, 1);
        assert_eq!((kept(&latest), latest.size), (vec![10], 1));
        latest.grow(0, MAX_TEXT);
        assert_eq!((kept(&latest), latest.size), (vec![], 0));
    }

    #[test]
    fn the_oldest_names_make_room_for_what_is_too_many_or_too_large() {
        let mut recent = Recent::new(3, 100);
        let name = |name: char| Arc::<str>::from(name.to_string());
        for (entry, size, wanted) in [
            ('a', 0, "a"),
            ('b', 9, "ab"),
            ('c', 9, "abc"),
            ('d', 0, "bcd"),
            // One that is put again is the latest.
            ('b', 49, "bcd"),
            ('e', 0, "bde"),
            ('f', 48, "bef"),
            ('g', 9, "efg"),
            ('h', 100, ""),
        ] {
            recent.put(name(entry), entry, size);
            let kept: String = ('a'..='h')
                .filter(|it| recent.get(&name(*it)) == Some(it))
                .collect();
            assert_eq!(kept, wanted, "{entry}");
            assert_eq!(recent.order.len(), recent.entries.len(), "{entry}");
        }
        assert_eq!(recent.size, 0);
    }

    impl Shared {
        /// A simulator without a server.
        pub(crate) fn sample() -> Arc<Shared> {
            let scenario = Arc::default();
            let setup = Setup {
                scenario,
                others: Vec::new(),
                patience: Duration::ZERO,
                on_call: None,
            };
            Arc::new(Shared::new("http://sim".to_owned(), setup))
        }
    }

    impl Task {
        /// A video that has just been accepted, with its upgrade to 4K.
        pub(crate) fn sample(state: &State, account: &str, pace: Pace) -> Task {
            let now = state.now(pace);
            Task {
                account: account.into(),
                pace,
                fate: Fate::Made,
                work: Work::new(now, 90),
                format: Format {
                    resolution: Resolution::P720,
                    portrait: false,
                    seconds: 8,
                    audio: true,
                },
                film: None,
                request: "{}".to_owned(),
                upstream: None,
                upgrades: [None, Some(Work::new(now, 480))],
                call: 1,
                changed: None,
            }
        }
    }

    #[test]
    fn what_clients_send_makes_room_if_it_is_large() {
        let mib = 1 << 20;
        // The key, the request, and how many tasks of these are kept.
        for (key, request, kept) in [(1, 1, 100), (mib, 1, 63), (1, mib, 63), (mib, mib, 31)] {
            let shared = Shared::sample();
            let state = &mut *shared.state();
            for number in 0..100 {
                let account = format!("kie {number}/{}", "k".repeat(key));
                let task = Task {
                    request: "r".repeat(request),
                    ..Task::sample(state, &account, Pace::AtOnce)
                };
                state.arrive(Call::default(), &task.account, Arc::default);
                assert!(state.accept("generate", number.to_string(), task, 1.0));
            }
            assert_eq!(state.tasks.iter().count(), kept, "{key} {request}");
        }
    }

    #[test]
    fn a_task_in_flight_is_small() {
        // With an id twice, a request of some hundred bytes in the task and in the call, and the charge.
        let entries = [
            size_of::<(Arc<str>, (Task, usize))>(),
            size_of::<(Recorded, usize)>(),
            size_of::<(Charge, usize)>(),
        ];
        assert!(entries.iter().sum::<usize>() < 1024, "{entries:?}");
    }
}
