//! What arrived, and what it cost.

use std::fmt::Write as _;

use serde_json::Value;

use crate::state::{Recorded, State};

/// A request that arrived at the simulator.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// Its number, counted from 1 in the order of arrival.
    pub number: usize,
    /// The operation of the provider's specification, `media`, or nothing if it fits none.
    pub operation: Option<&'static str>,
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path, with the query if there was one.
    pub path: String,
    /// The body, if it was JSON and no longer than 64 KiB.
    pub body: Option<Value>,
    /// Name of the account's scenario.
    pub scenario: String,
    /// How it differs from what the provider's specification, or one of its pages, describes; empty if it fits.
    pub mismatches: Vec<String>,
    /// Why it was not expected; nothing if it was.
    pub surprise: Option<String>,
    /// The fault that befell it, as a scenario names it.
    pub fault: Option<&'static str>,
    /// The HTTP status of the reply; nothing if none went out.
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
    /// The task.
    pub task: String,
    /// Credits at kie.ai, dollars at UniAll.
    pub credits: f64,
    /// Whether it has been returned, since the task failed.
    pub refunded: bool,
}

/// An attempt to send a callback.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SentCallback {
    /// The task that it is about.
    pub task: String,
    /// Where it went.
    pub url: String,
    /// The HTTP status of the receiver, or why there was none.
    pub result: Result<u16, String>,
}

impl Call {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        let status = self
            .status
            .map_or("no reply".to_owned(), |status| status.to_string());
        let fault = self
            .fault
            .map_or(String::new(), |fault| format!("  fault: {fault}"));
        format!(
            "{:>4}  {:<16}  {status:<8}  {} {}{fault}",
            self.number,
            self.operation.unwrap_or("?"),
            self.method,
            self.path
        )
    }
}

/// A table of all calls with what they cost, for a person.
pub(crate) fn report(state: &State) -> String {
    let mut text = String::new();
    let forgotten = state
        .calls
        .iter()
        .next()
        .map_or(state.arrived, |oldest| oldest.call.number - 1);
    if forgotten > 0 {
        let _ = writeln!(
            text,
            "      {forgotten} earlier calls are not remembered any more"
        );
    }
    for (_, sentence) in state
        .surprises
        .iter()
        .filter(|(number, _)| *number <= forgotten)
    {
        let _ = writeln!(text, "      not expected: {sentence}");
    }
    for Recorded { call, .. } in state.calls.iter() {
        let _ = writeln!(text, "{}", call.line());
        for mismatch in &call.mismatches {
            let _ = writeln!(text, "      does not fit the specification: {mismatch}");
        }
        if let Some(surprise) = &call.surprise {
            let _ = writeln!(text, "      not expected: {surprise}");
        }
        for charge in state
            .charges
            .iter()
            .filter(|charge| charge.call == call.number)
        {
            let back = if charge.refunded { ", returned" } else { "" };
            let _ = writeln!(
                text,
                "      charged {} for task {}{back}",
                charge.credits, charge.task
            );
        }
    }
    for sent in state.callbacks.iter() {
        let _ = match &sent.result {
            Ok(status) => writeln!(
                text,
                "      callback of task {} to {}: {status}",
                sent.task, sent.url
            ),
            Err(why) => writeln!(
                text,
                "      callback of task {} to {}: {why}",
                sent.task, sent.url
            ),
        };
    }
    text
}
