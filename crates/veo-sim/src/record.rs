//! The record of one simulator: the calls that arrived, their charges, and the callbacks. All of its parts are bounded.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;

const MAX_CALLS: usize = 10_000;
const MAX_CHARGES: usize = 20_000;
const MAX_CALLBACKS: usize = 10_000;
const MAX_SURPRISES: usize = 1_000;
/// The most bytes of all paths and bodies together.
const MAX_BYTES: usize = 64 << 20;
const MAX_BODY: usize = 64 << 10;
/// The most bytes of a path.
const MAX_PATH: usize = 4 << 10;
/// The most bytes of a sentence about a call.
const MAX_SENTENCE: usize = 1 << 10;

/// A request that arrived at the simulator.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// The number of the call, counted from 1 in the order of arrival.
    pub number: usize,
    /// The operation of the provider's specification, `media`, or `None` if the call fits none.
    pub operation: Option<&'static str>,
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path with the query. Only the beginning of a very long path is stored.
    pub path: String,
    /// The body, if it was JSON and no longer than 64 KiB.
    pub body: Option<Value>,
    /// The name of the account's scenario.
    pub scenario: String,
    /// The differences from the provider's specification or from one of its pages. Empty if there are none.
    pub mismatches: Vec<String>,
    /// The reason why the call was not expected. `None` if it was expected.
    pub surprise: Option<String>,
    /// The fault of the call, as a scenario names it.
    pub fault: Option<&'static str>,
    /// The HTTP status of the reply. `None` if no reply was sent.
    pub status: Option<u16>,
}

/// A price that was charged for an accepted task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Charge {
    /// [`Call::number`] of the request.
    pub call: usize,
    /// The operation of the provider's specification.
    pub operation: &'static str,
    /// The id of the task.
    pub task: String,
    /// The price: credits at kie.ai, dollars at UniAll.
    pub credits: f64,
    /// True if the price was returned because the task failed.
    pub refunded: bool,
}

/// An attempt to send a callback.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SentCallback {
    /// The task that the callback is about.
    pub task: String,
    /// The URL to which the callback was sent.
    pub url: String,
    /// The HTTP status of the receiver's answer, or the reason why there was no answer.
    pub result: Result<u16, String>,
}

/// All events in order. The oldest events make room for new ones.
#[derive(Default)]
pub(crate) struct Record {
    calls: VecDeque<RecordedCall>,
    /// The bytes of the paths, bodies and sentences of the calls.
    bytes: usize,
    /// The number of calls that have arrived.
    arrived: usize,
    charges: VecDeque<Charge>,
    callbacks: VecDeque<SentCallback>,
    /// The number of a call, and a sentence that says why it should not have arrived. The first sentences stay, so that
    /// no number of later calls can make a test pass.
    surprises: Vec<(usize, String)>,
}

/// A call with its body, which is parsed only when it is read.
struct RecordedCall {
    call: Call,
    body: Bytes,
    /// The bytes of the sentences about the call.
    sentences: usize,
}

impl Record {
    /// Records a request, and returns its number.
    pub(crate) fn arrive(&mut self, mut call: Call) -> usize {
        self.arrived += 1;
        call.number = self.arrived;
        call.path = shortened(&call.path, MAX_PATH);
        self.bytes += call.path.len();
        let body = Bytes::new();
        self.calls.push_back(RecordedCall {
            call,
            body,
            sentences: 0,
        });
        self.make_room();
        self.arrived
    }

    /// Records why a call was not expected.
    pub(crate) fn surprise(&mut self, number: usize, why: &str) {
        let why = &shortened(why, MAX_SENTENCE);
        self.name_surprise(number, why);
        if let Some(recorded) = self.recorded(number) {
            let surprise = match recorded.call.surprise.take() {
                Some(before) => format!("{before}; {why}"),
                None => why.to_owned(),
            };
            recorded.call.surprise = Some(surprise);
            recorded.sentences += why.len();
            self.bytes += why.len();
            self.make_room();
        }
    }

    /// Records how a call differs from the provider's specification or pages.
    pub(crate) fn record_difference(&mut self, number: usize, how: &str) {
        let how = shortened(how, MAX_SENTENCE);
        self.name_surprise(number, &how);
        if let Some(recorded) = self.recorded(number) {
            recorded.sentences += how.len();
            recorded.call.mismatches.push(how.clone());
            self.bytes += how.len();
            self.make_room();
        }
    }

    /// Stores the body of a call, if it is not too long.
    pub(crate) fn keep_body(&mut self, number: usize, body: &Bytes) {
        if body.len() > MAX_BODY {
            return;
        }
        if let Some(recorded) = self.recorded(number) {
            // The body is copied, since its buffer can be much larger.
            recorded.body = Bytes::copy_from_slice(body);
            self.bytes += body.len();
            self.make_room();
        }
    }

    /// Records the status of the reply to a call, and returns a line about the call.
    pub(crate) fn answer(&mut self, number: usize, status: Option<u16>) -> Option<String> {
        let call = &mut self.recorded(number)?.call;
        call.status = status;
        Some(line(call))
    }

    pub(crate) fn charge(&mut self, charge: Charge) {
        push(&mut self.charges, MAX_CHARGES, charge);
    }

    /// Marks the charge of a call as returned, and returns its amount. `None` if the charge is forgotten.
    pub(crate) fn refund(&mut self, call: usize) -> Option<f64> {
        let mut latest_first = self.charges.iter_mut().rev();
        let charge = latest_first.find(|charge| charge.call == call)?;
        charge.refunded = true;
        Some(charge.credits)
    }

    pub(crate) fn sent(&mut self, callback: SentCallback) {
        push(&mut self.callbacks, MAX_CALLBACKS, callback);
    }

    /// The calls with their bodies parsed.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        for recorded in &self.calls {
            let mut call = recorded.call.clone();
            call.body = serde_json::from_slice(&recorded.body).ok();
            calls.push(call);
        }
        calls
    }

    pub(crate) fn charges(&self) -> Vec<Charge> {
        self.charges.iter().cloned().collect()
    }

    pub(crate) fn callbacks(&self) -> Vec<SentCallback> {
        self.callbacks.iter().cloned().collect()
    }

    /// The sentences about calls that should not have arrived, in the order of the calls.
    pub(crate) fn surprises(&self) -> Vec<String> {
        let mut surprises = self.surprises.clone();
        surprises.sort_by_key(|(call, _)| *call);
        let sentences = surprises.into_iter().map(|(_, sentence)| sentence);
        sentences.collect()
    }

    /// A table of all calls and their charges, for people.
    pub(crate) fn report(&self) -> String {
        let mut lines = Vec::new();
        let forgotten = self.arrived - self.calls.len();
        if forgotten > 0 {
            lines.push(format!(
                "      {forgotten} earlier calls are not remembered any more"
            ));
        }
        for (number, sentence) in &self.surprises {
            if *number <= forgotten {
                lines.push(format!("      not expected: {sentence}"));
            }
        }
        for RecordedCall { call, .. } in &self.calls {
            lines.push(line(call));
            for mismatch in &call.mismatches {
                lines.push(format!("      does not fit the specification: {mismatch}"));
            }
            if let Some(surprise) = &call.surprise {
                lines.push(format!("      not expected: {surprise}"));
            }
            for charge in &self.charges {
                if charge.call == call.number {
                    let returned = if charge.refunded { ", returned" } else { "" };
                    let Charge { credits, task, .. } = charge;
                    lines.push(format!("      charged {credits} for task {task}{returned}"));
                }
            }
        }
        for SentCallback { task, url, result } in &self.callbacks {
            let outcome = match result {
                Ok(status) => status.to_string(),
                Err(why) => why.clone(),
            };
            lines.push(format!("      callback of task {task} to {url}: {outcome}"));
        }
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    fn name_surprise(&mut self, number: usize, why: &str) {
        if self.surprises.len() == MAX_SURPRISES {
            return;
        }
        let mut sentence = format!("call {number}");
        if let Some(RecordedCall { call, .. }) = self.recorded(number) {
            let path = shortened(&call.path, MAX_SENTENCE);
            let _ = write!(sentence, " ({} {path})", call.method);
        }
        sentence = format!("{sentence}: {why}");
        self.surprises.push((number, sentence));
    }

    /// The record of a call, if it is still remembered.
    fn recorded(&mut self, number: usize) -> Option<&mut RecordedCall> {
        let forgotten = self.arrived - self.calls.len();
        self.calls.get_mut(number.checked_sub(forgotten + 1)?)
    }

    fn make_room(&mut self) {
        while self.calls.len() > MAX_CALLS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.calls.pop_front() else {
                break;
            };
            self.bytes -= oldest.call.path.len() + oldest.body.len() + oldest.sentences;
        }
    }
}

/// Adds the latest entry, and removes the oldest if there are too many.
fn push<T>(entries: &mut VecDeque<T>, most: usize, latest: T) {
    entries.push_back(latest);
    if entries.len() > most {
        entries.pop_front();
    }
}

/// Returns the text, cut after `most` bytes if it is longer.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

fn line(call: &Call) -> String {
    let status = match call.status {
        Some(status) => status.to_string(),
        None => "no reply".to_owned(),
    };
    let fault = match call.fault {
        Some(fault) => format!("  fault: {fault}"),
        None => String::new(),
    };
    let operation = call.operation.unwrap_or("?");
    let Call {
        number,
        method,
        path,
        ..
    } = call;
    format!("{number:>4}  {operation:<16}  {status:<8}  {method} {path}{fault}")
}
