//! Summaries of all entries of a ledger, by which the ledger decides about the next paid call.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::rules::{RecentCalls, Spending, not_before, pause_after, price_kind, set_aside, target};
use super::{Attempt, Begin, Begun, Budget, Entry, EntryState, Event, Outcome, positive_price};
use crate::{JobRef, Offer};

/// A summary of an event, with all that decisions need. It starts the line, so the rest need not be read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct EventSummary<'a> {
    /// The number of the line.
    pub(super) n: u64,
    /// The time in milliseconds since 1970.
    pub(super) at: u64,
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    /// The state of the entry after the event, if the event changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<EntryState>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) marker: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Text<'a>>,
    /// The address at which the provider was reached, if it is not the provider's usual address.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) base_url: Option<Text<'a>>,
    /// The kind of the call: account, model, operation, mode, size and seconds. All calls of one kind have one price.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) budget: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reserved: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credits: Option<f64>,
    /// True if the event can be the first of its key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) first: bool,
    /// True if the line has links that are needed only to send the request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) links: bool,
    /// The process that sends the call.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Text<'a>>,
    /// The milliseconds for which the provider wants no request for the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pause: Option<u64>,
    /// The fall of the balance. The key is then the name of a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fall: Option<f64>,
}

/// A text, borrowed from a line if possible.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a, T: Into<Cow<'a, str>>> From<T> for Text<'a> {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A summary of an entry.
#[derive(Debug)]
pub(super) struct EntrySummary {
    pub(super) key: Arc<str>,
    pub(super) state: EntryState,
    /// The time in milliseconds since 1970.
    pub(super) at: u64,
    pub(super) job: Option<Arc<str>>,
    pub(super) target: Option<Arc<str>>,
    pub(super) owner: Option<Box<str>>,
    /// The offset and the length of its first line. After a rewrite of the file there is no other line.
    pub(super) first_line: (u64, u32),
    pub(super) more_lines: Vec<(u64, u32)>,
    address: Option<u32>,
    kind: u32,
    budget: Option<u32>,
    reserved: Option<f64>,
    credits: Option<f64>,
    /// The credits of this entry in the sum of its budget.
    counted: f64,
    /// True if a line of the entry has links that are needed only to send the request.
    links: bool,
}

/// The summaries of all entries.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) rows: Vec<EntrySummary>,
    by_key: HashMap<Arc<str>, u32>,
    /// The latest entry of each job. A job with a size is also found without the size, unless the entry is an upgrade.
    by_job: HashMap<Arc<str>, u32>,
    by_target: HashMap<Arc<str>, u32>,
    by_marker: HashMap<Box<str>, u32>,
    accounts: Names,
    /// The last calls of each account.
    calls: HashMap<u32, RecentCalls>,
    addresses: Names,
    kinds: Names,
    /// The highest price of each kind.
    prices: HashMap<u32, f64>,
    budgets: Names,
    spent: HashMap<u32, Spent>,
    /// The entries on their way, including those whose process has ended. A repeated call counts towards no limit.
    pub(super) on_their_way: HashMap<u32, Option<BegunCall>>,
}

/// A call that counts towards the limit of its account.
#[derive(Debug)]
pub(super) struct BegunCall {
    account: u32,
    at: Duration,
}

#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

#[derive(Debug, Default)]
struct Spent {
    known_costs: f64,
    /// The sum by which the balance has fallen.
    falls: f64,
    /// The entries of unknown cost.
    unpriced: BTreeSet<u32>,
}

impl<'a> EventSummary<'a> {
    pub(super) fn of(key: &'a str, at: u64, event: &'a Event) -> Self {
        let mut short = Self {
            at,
            key: key.into(),
            ..Self::default()
        };
        match event {
            Event::Wanted { wish, target } => {
                short.state = Some(EntryState::Wanted);
                short.target = text(target);
                short.first = wish.is_some();
                short.links = wish.as_ref().is_some_and(|wish| wish.redacted() != *wish);
            }
            Event::Begun {
                wish,
                target,
                attempt,
            } => {
                short.state = Some(EntryState::OnItsWay);
                short.first = wish.is_some();
                short.target = text(target);
                short.take(attempt);
            }
            Event::Ended { outcome } | Event::Settled { outcome, .. } => {
                short.state = Some(outcome.state());
                match outcome {
                    Outcome::Accepted { job, .. } => short.job = Some(job.to_string().into()),
                    Outcome::Rejected { error, .. } => {
                        short.pause = pause_after(error).map(milliseconds)
                    }
                    Outcome::Unknown { .. } => {}
                }
            }
            Event::Finished { credits } => {
                short.state = Some(EntryState::Finished);
                short.credits = positive_price(*credits);
            }
            Event::Failed { .. } => short.state = Some(EntryState::Failed),
            Event::Cost { credits } => short.credits = positive_price(Some(*credits)),
            Event::Done { delivered } => {
                short.state = Some(EntryState::Done);
                short.credits = positive_price(delivered.credits);
                short.target = Some(delivered.saved.path.to_string_lossy().into());
            }
            Event::Fall { credits } => short.fall = positive_price(Some(*credits)),
            Event::Entry { entry } => {
                short.state = Some(entry.state);
                short.first = true;
                short.links = entry.wish.redacted() != entry.wish;
                short.target = text(&entry.target);
                short.job = entry.reference().map(|job| job.to_string().into());
                if let Some(attempt) = entry.attempts.last() {
                    short.take(attempt);
                    short.credits = attempt.credits;
                    let mut offer = entry.offer(attempt);
                    offer.request.resolution = entry.upgrade().or(offer.request.resolution);
                    short.kind = Some(price_kind(&offer).into());
                }
                if let Some(delivered) = &entry.delivered {
                    short.target = Some(delivered.saved.path.to_string_lossy().into());
                }
            }
            Event::Torn => {
                short.state = Some(EntryState::Unknown);
                short.first = true;
            }
            Event::CalledAgain { .. } => {}
        }
        short
    }

    /// Copies the account of an attempt, with its address, marker and budget.
    fn take(&mut self, attempt: &'a Attempt) {
        self.marker = text(&attempt.marker);
        self.account = Some(attempt.sent.account.as_str().into());
        self.base_url = text(&attempt.sent.base_url);
        self.budget = text(&attempt.budget);
        self.reserved = attempt.reserved;
    }
}

impl Book {
    pub(super) fn get(&self, key: &str) -> Option<&EntrySummary> {
        self.row(*self.by_key.get(key)?)
    }

    pub(super) fn by_marker(&self, marker: &str) -> Option<&EntrySummary> {
        self.row(*self.by_marker.get(marker)?)
    }

    /// Returns the open entry with a target.
    pub(super) fn by_target(&self, target: &str) -> Option<&EntrySummary> {
        self.row(*self.by_target.get(target)?)
            .filter(|row| row.state.is_open())
    }

    /// Returns the latest entry with a job. Without a size, the entry is that of the video, not of an upgrade.
    pub(super) fn by_job(&self, job: &JobRef) -> Option<&EntrySummary> {
        self.row(*self.by_job.get(&*job.to_string())?)
    }

    pub(super) fn base_url(&self, row: &EntrySummary) -> Option<Arc<str>> {
        self.addresses.names.get(row.address? as usize).cloned()
    }

    /// Returns whether the file has whole links that no later call needs.
    pub(super) fn has_spent_links(&self) -> bool {
        let is_sent = |row: &EntrySummary| {
            !matches!(
                row.state,
                EntryState::Wanted | EntryState::Rejected | EntryState::OnItsWay
            )
        };
        self.rows.iter().any(|row| row.links && is_sent(row))
    }

    /// Returns for each budget by how much the balance has fallen while the budget was in use.
    pub(super) fn falls(&self) -> Vec<(String, f64)> {
        let names = self.budgets.numbers.iter();
        let fall = |number| {
            self.spent
                .get(number)
                .map(|spent| spent.falls)
                .filter(|fall| *fall > 0.0)
        };
        names
            .filter_map(|(name, number)| Some((name.to_string(), fall(number)?)))
            .collect()
    }

    fn row(&self, number: u32) -> Option<&EntrySummary> {
        self.rows.get(number as usize)
    }

    /// Applies an event. Returns false if the key needs an earlier line and has none.
    pub(super) fn apply(&mut self, short: &EventSummary, line: (u64, u32)) -> bool {
        if let Some(fall) = short.fall {
            let budget = self.budgets.number(&short.key);
            self.spent.entry(budget).or_default().falls += fall;
            return true;
        }
        let (number, follows) = self.line_of(short, line);
        self.take_state(number, short);
        self.take_calls(number, short);
        self.take_money(number, short);
        self.take_names(number, short);
        self.count(number);
        follows
    }

    /// Returns the number of the entry of a line, and false if the key needs an earlier line and has none.
    fn line_of(&mut self, short: &EventSummary, line: (u64, u32)) -> (u32, bool) {
        if let Some(number) = self.by_key.get(&*short.key) {
            if let Some(row) = self.rows.get_mut(*number as usize) {
                row.more_lines.push(line);
            }
            return (*number, true);
        }
        // The first line of the key can be damaged. The job in a later line is paid for, so its entry is kept.
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let row = EntrySummary::new(short, line);
        self.by_key.insert(row.key.clone(), number);
        self.rows.push(row);
        (number, short.first)
    }

    fn take_state(&mut self, number: u32, short: &EventSummary) {
        let (Some(state), Some(row)) = (short.state, self.rows.get_mut(number as usize)) else {
            return;
        };
        row.state = state;
        row.owner = short.owner.as_deref().map(Into::into);
    }

    /// Applies the beginning or the end of a call, and the pause that a rejection asks for.
    fn take_calls(&mut self, number: u32, short: &EventSummary) {
        let at = Duration::from_millis(short.at);
        if short.state.is_some()
            && let Some(Some(call)) = self.on_their_way.remove(&number)
        {
            let calls = self.calls.entry(call.account).or_default();
            calls.ended(call.at, at);
        }
        let is_on_its_way = short.state == Some(EntryState::OnItsWay);
        let mut begun = None;
        if let Some(account) = short.account.as_deref() {
            let account = self.accounts.number(account);
            let calls = self.calls.entry(account).or_default();
            match short.pause {
                // This line is a rejection, and its provider wants no request for a while.
                Some(pause) => calls.hold(at.saturating_add(Duration::from_millis(pause))),
                None => calls.begun(at),
            }
            // A line of a whole entry is written after the call has ended, with the time of the entry's first line.
            if short.pause.is_none() && !is_on_its_way {
                calls.ended(at, at);
            }
            begun = Some(BegunCall { account, at });
        }
        if is_on_its_way {
            self.on_their_way.insert(number, begun);
        }
    }

    /// Applies the prices and the budget of a line.
    fn take_money(&mut self, number: u32, short: &EventSummary) {
        let Some(row) = self.rows.get_mut(number as usize) else {
            return;
        };
        if short.state == Some(EntryState::OnItsWay) && short.account.is_some() {
            // The attempt before this one was rejected, and cost nothing.
            row.credits = None;
            row.reserved = None;
        }
        if let Some(kind) = &short.kind {
            row.kind = self.kinds.number(kind);
        }
        if let Some(budget) = &short.budget {
            row.budget = Some(self.budgets.number(budget));
        }
        row.reserved = short.reserved.or(row.reserved);
        if let Some(credits) = short.credits {
            row.credits = Some(row.credits.unwrap_or_default().max(credits));
            let price = self.prices.entry(row.kind).or_default();
            *price = price.max(credits);
        }
    }

    /// Applies the job, the target and the marker of a line, by which an entry is found.
    fn take_names(&mut self, number: u32, short: &EventSummary) {
        let Some(row) = self.rows.get_mut(number as usize) else {
            return;
        };
        if let Some(address) = &short.base_url {
            row.address = Some(self.addresses.number(address));
        }
        if let Some(target) = short.target.as_deref() {
            row.target = Some(target.into());
        }
        if let Some(job) = short.job.as_deref() {
            let job: Arc<str> = job.into();
            let bare = without_size(&job);
            let is_upgrade = job == row.key;
            if bare.len() < job.len() && !is_upgrade {
                self.by_job.entry(bare.into()).or_insert(number);
            }
            self.by_job.insert(job.clone(), number);
            row.job = Some(job);
        }
        if let Some(target) = row.target.as_ref().filter(|_| row.state.is_open()) {
            self.by_target.insert(target.clone(), number);
        }
        if let Some(marker) = short.marker.as_deref() {
            self.by_marker.insert(marker.into(), number);
        }
    }

    /// Returns the amount to set aside for a paid call, or the answer if the call must not be made now.
    pub(super) fn admit(
        &mut self,
        begin: &Begin,
        known: Option<&Entry>,
        now: u64,
    ) -> Result<Option<f64>, Begun> {
        if let Some(row) = target(&begin.want, known).and_then(|target| self.by_target(target))
            && *row.key != *begin.want.key
        {
            return Err(Begun::TargetTaken(row.key.to_string()));
        }
        let account = self.accounts.number(&begin.offer.account);
        let calls = self.calls.entry(account).or_default();
        if let Some(answer) = not_before(begin, calls, Duration::from_millis(now)) {
            return Err(answer);
        }
        match &begin.budget {
            Some(budget) => set_aside(budget, &begin.offer, &self.spending(budget, &begin.offer)),
            None => Ok(None),
        }
    }

    fn spending(&mut self, budget: &Budget, offer: &Offer) -> Spending {
        let kind = self.kinds.number(&price_kind(offer));
        let budget = self.budgets.number(&budget.name);
        let mut spending = Spending {
            spent: self.sum(budget),
            price: self.prices.get(&kind).copied(),
            ..Spending::default()
        };
        for (kind, price) in &self.prices {
            if self.kinds.is_of(*kind, &offer.account) {
                spending.least = Some(spending.least.unwrap_or(f64::INFINITY).min(*price));
            }
        }
        let unpriced = self.spent.get(&budget).map(|spent| &spent.unpriced);
        for number in unpriced.into_iter().flatten() {
            let Some(row) = self.row(*number) else {
                continue;
            };
            if matches!(row.state, EntryState::OnItsWay | EntryState::Accepted) {
                spending.has_unpriced_call = true;
                spending.is_set_aside |= row.reserved.is_some();
            }
        }
        spending
    }

    pub(super) fn spent(&mut self, budget: &str) -> f64 {
        let budget = self.budgets.number(budget);
        self.sum(budget)
    }

    fn sum(&self, budget: u32) -> f64 {
        let Some(spent) = self.spent.get(&budget) else {
            return 0.0;
        };
        let unpriced = spent.unpriced.iter().filter_map(|number| self.row(*number));
        let unpriced = unpriced.map(|row| {
            self.prices
                .get(&row.kind)
                .copied()
                .or(row.reserved)
                .unwrap_or_default()
        });
        (spent.known_costs + unpriced.sum::<f64>()).max(spent.falls)
    }

    /// Updates the sum of the entry's budget.
    fn count(&mut self, number: u32) {
        let Some(row) = self.rows.get_mut(number as usize) else {
            return;
        };
        let Some(budget) = row.budget else { return };
        let spent = self.spent.entry(budget).or_default();
        // Every attempt of a rejected or wanted entry was rejected, so nothing was charged.
        let costs_nothing = matches!(row.state, EntryState::Rejected | EntryState::Wanted);
        let cost = row.credits.filter(|_| !costs_nothing).unwrap_or_default();
        spent.known_costs += cost - row.counted;
        row.counted = cost;
        if row.credits.is_none() && !costs_nothing {
            spent.unpriced.insert(number);
        } else {
            spent.unpriced.remove(&number);
        }
    }
}

impl EntrySummary {
    fn new(short: &EventSummary, line: (u64, u32)) -> Self {
        Self {
            key: (*short.key).into(),
            state: EntryState::Wanted,
            at: short.at,
            job: None,
            target: None,
            owner: None,
            first_line: line,
            more_lines: Vec::new(),
            address: None,
            kind: u32::MAX,
            budget: None,
            reserved: None,
            credits: None,
            counted: 0.0,
            links: short.links,
        }
    }
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.numbers.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    /// Returns whether the first word of a name is this word.
    fn is_of(&self, number: u32, first: &str) -> bool {
        self.names
            .get(number as usize)
            .is_some_and(|name| name.split(' ').next() == Some(first))
    }
}

/// Returns the text of a job without its size: the first two parts, such as `kie:TASK`.
fn without_size(job: &str) -> &str {
    let mut colons = job.match_indices(':');
    match colons.nth(1) {
        Some((at, _)) => job.split_at(at).0,
        None => job,
    }
}

fn text(text: &Option<String>) -> Option<Text<'_>> {
    text.as_deref().map(Text::from)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
