//! The behaviour of a simulated account: its pace, its balance and its faults.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::contract::Contract;
use crate::shape::Shape;

/// The behaviour of an account. Every API key is an account of its own, and names its scenario: the API keys
/// `lost-reply` and `lost-reply/anything` have the scenario `lost-reply`. A client needs no change to reach a scenario.
///
/// ```
/// use veo_sim::{Fault, Pace, Scenario};
///
/// let what = "The first paid request is lost, the first two questions fail, and then there is maintenance.";
/// let by_hand = Scenario::new("rough-start", what)
///     .pace(Pace::Polls(1))
///     .fault("submit", 1..=1, Fault::Drop)
///     .fault("query", 1..=2, Fault::status(503))
///     .fault("generate", 2.., Fault::code(455));
/// let in_a_file = Scenario::from_toml(r#"
///     name = "rough-start"
///     description = "The first paid request is lost, the first two questions fail, and then there is maintenance."
///     pace = { polls = 1 }
///
///     [[fault]]
///     on = "submit"
///     times = 1
///     fault = "drop"
///
///     [[fault]]
///     on = "query"
///     times = 2
///     fault = { error = { status = 503 } }
///
///     [[fault]]
///     on = "generate"
///     first = 2
///     fault = { error = { code = 455 } }
/// "#)?;
/// assert_eq!(by_hand, in_a_file);
/// # Ok::<(), veo_sim::ScenarioError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Scenario {
    /// The name, which is also the API key that picks the scenario.
    pub name: String,
    /// A sentence about what goes wrong.
    pub description: String,
    /// The speed of tasks.
    pub pace: Pace,
    /// The balance of an account at the start: credits at kie.ai, dollars at UniAll. The default is 1250.75.
    pub credits: Option<f64>,
    /// The number of paid requests that are accepted in ten seconds. There is no limit by default. kie.ai accepts 20.
    pub limit: Option<usize>,
    /// The faults of requests. If several apply to one request, the first counts.
    pub fault: Vec<FaultRule>,
    /// The fates of accepted tasks. A task without one becomes a video.
    pub task: Vec<TaskRule>,
    /// The way in which the callbacks of kie.ai are sent.
    pub callback: Callbacks,
    /// The highest number of calls of an operation or a group, as in `expect = { submit = 1 }`. The calls of all API
    /// keys with this scenario at both providers are counted together. [`Sim::surprises`](crate::Sim::surprises) names each
    /// call beyond it.
    pub expect: BTreeMap<String, usize>,
}

/// A fault of some requests.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// The requests: an operation of the provider's specification, such as `generate` or `query_video`, or a group. The
    /// groups are `submit` (all that start a paid task), `query`, `upgrade` (of kie.ai's old form; in the current form
    /// an upgrade is a task like any other), `upload`, `media`, `old_form` (all of kie.ai's below `/api/v1/veo`) and
    /// `any`.
    pub on: String,
    /// The number of the first request with this fault, counted from 1.
    #[serde(default = "one")]
    pub first: u32,
    /// The number of requests with this fault. The default is all later requests.
    #[serde(default)]
    pub times: Option<u32>,
    /// The fault.
    pub fault: Fault,
}

/// A fate of some tasks.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskRule {
    /// The number of the account's first accepted task with this fate, counted from 1.
    #[serde(default = "one")]
    pub first: u32,
    /// The number of tasks with this fate. The default is all later tasks.
    #[serde(default)]
    pub times: Option<u32>,
    /// The fate of these tasks.
    pub fate: Fate,
}

/// The speed of tasks.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use veo_sim::{Pace, Scenario, Sim};
///
/// // The 8 minutes of an upgrade to 4K take 48 milliseconds.
/// let fast = Scenario::new("fast", "Ten thousand times faster.").pace(Pace::Scale(10_000.0));
/// let sim = Sim::builder().scenario(fast).start().await?;
/// # Ok(()) }) }
/// ```
///
/// In a file it is `pace = { polls = 3 }`, `pace = { scale = 10000.0 }` or `pace = "at_once"`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pace {
    /// A task runs during this number of questions, and is done at the next one, so no test has to wait. The call that
    /// starts an upgrade is the first question about it. Links and records age in real time.
    Polls(u32),
    /// Time passes this many times faster than real time, from 0.001 to 1,000,000. A video takes 90 simulated seconds,
    /// an extension 5 minutes, an upgrade to 1080p 2 minutes and one to 4K 8 minutes. Links and records age in
    /// simulated time.
    Scale(f64),
    /// Tasks are done as soon as they are accepted.
    AtOnce,
}

/// A way in which a request goes wrong.
///
/// With some faults the provider acts on the request as usual, and charges it if it is a paid request. Only the reply
/// is spoiled.
/// With the other faults the provider does not act on the request at all. Each fault says which is the case. An
/// [`Error`](Self::Error) and a [`Reply`](Self::Reply) can be either.
///
/// ```
/// use veo_sim::{Code, Fault, Scenario};
///
/// let scenario = Scenario::new("bad-day", "One thing after the other.")
///     // Paid, and the reply is lost: the case in which a client must not send again.
///     .fault("submit", 1..=1, Fault::Drop)
///     // Not paid, in the provider's own words.
///     .fault("submit", 2..=2, Fault::status(429))
///     // An error of kie.ai, with HTTP 200 as usual.
///     .fault("generate", 3..=3, Fault::code(455))
///     // The same in words of one's own.
///     .fault("generate", 4.., Fault::Error {
///         status: None,
///         code: Some(Code::Number(455)),
///         message: Some("We are moving.".to_owned()),
///         retry_after: None,
///         accepted: false,
///     });
/// # assert_eq!(scenario.fault.len(), 4);
/// ```
///
/// In a file these are `fault = "drop"`, `fault = { error = { status = 429 } }`, `fault = { error = { code = 455 } }`
/// and `fault = { error = { code = 455, message = "We are moving." } }`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is closed before the body is read. Nothing is accepted.
    DropBeforeReading,
    /// The provider acts on the request, and charges it if it is a paid request. Then the connection is closed without
    /// a reply.
    Drop,
    /// The provider acts on the request, and charges it if it is a paid request. Then the connection is reset.
    Reset,
    /// The provider acts on the request, and sends nothing. The connection stays open.
    Hang,
    /// The provider acts on the request, and the reply breaks off in its head.
    CutHead,
    /// The provider acts on the request, and the reply breaks off in the middle of its body.
    CutBody,
    /// The provider acts on the request, and the reply stops in the middle of its body. The connection stays open.
    Stall,
    /// An error in the provider's words.
    Error {
        /// The HTTP status, from 200 to 599. The default at kie.ai is 200, which it uses for most errors. The default at
        /// UniAll is the code if that is a number, and otherwise 400. A status or a code is required.
        #[serde(default)]
        status: Option<u16>,
        /// The code in the body: a number at kie.ai, a word at UniAll. The default is the status.
        #[serde(default)]
        code: Option<Code>,
        /// The words in the body. The default is the provider's words for the status.
        #[serde(default)]
        message: Option<String>,
        /// The seconds of the header `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
        /// True if the provider acts on the request first, and charges it if it is a paid request.
        #[serde(default)]
        accepted: bool,
    },
    /// Any reply, such as the page of a proxy.
    Reply {
        /// The HTTP status, from 200 to 599.
        status: u16,
        /// The body.
        body: String,
        /// The type of the body. The default is `text/html`.
        #[serde(default)]
        content_type: Option<String>,
        /// True if the provider acts on the request first, and charges it if it is a paid request.
        #[serde(default)]
        accepted: bool,
    },
    /// The true reply in another shape that the provider is known or likely to use.
    Shape(Shape),
    /// A video whose second half is missing, in a complete reply.
    Truncated,
    /// A video of the right length with zeros in place of its structure.
    Corrupted,
    /// A video that is sent at this number of bytes a second.
    Slow(u32),
    /// A link that has expired. The provider answers with HTTP 403, and does not act on the request.
    Expired,
    /// A host that ignores ranges and always sends the whole video.
    WithoutRanges,
}

/// The code of an error.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Code {
    /// A number, as at kie.ai.
    Number(u16),
    /// A word, as at UniAll.
    Word(String),
}

/// The end of an accepted task.
///
/// ```
/// use veo_sim::{Fate, Scenario};
///
/// // The first video is refused after it has been accepted, and its charge is returned; the others are made.
/// let scenario = Scenario::new("strict", "The first prompt is refused late.").task(1..=1, Fate::PromptRefused);
/// # assert_eq!(scenario.task[0].fate, Fate::PromptRefused);
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// The task becomes a video.
    #[default]
    Made,
    /// The task fails, since the prompt breaks the rules. The charge is returned.
    PromptRefused,
    /// The task fails, since an image breaks the rules. The charge is returned.
    ImageRefused,
    /// The task fails, since no sound could be made. Some refusals look so. The charge is returned.
    NoAudio,
    /// The task fails without a reason. The charge is returned.
    Failed,
    /// The task fails before anything is made, for which kie.ai has its own flag. The charge is returned.
    FailedEarly,
    /// The task fails without a reason, and stays charged. UniAll says that the model decides whether a charge is returned.
    /// That kie.ai returns charges is not documented.
    FailedButCharged,
    /// The task fails, since the model is retired. The charge is returned.
    Retired,
    /// The task succeeds without a video, since the result was filtered. The task stays charged.
    Filtered,
    /// The task never ends.
    Stuck,
    /// The task becomes a video of 720p, whatever size was requested.
    Smaller,
    /// A fallback model makes the video, in 1080p and in landscape whatever was requested. The video cannot be
    /// upgraded. Only kie.ai has this fate.
    Fallback,
    /// The task becomes a video of 720p. Its upgrade to 4K is accepted and charged, and then fails. In the old form the
    /// simulator does not return the charge, and what kie.ai does is not known. In the current form the charge is
    /// returned, like that of any task. Only kie.ai has this fate.
    #[serde(rename = "no_4k")]
    No4k,
}

/// The way in which the callbacks of kie.ai are sent. They go to this machine only. Each callback is tried up to four
/// times.
///
/// ```
/// use veo_sim::{Callbacks, Scenario};
///
/// let callbacks = Callbacks { key: Some("webhook-key".to_owned()), twice: true, ..Callbacks::default() };
/// let scenario = Scenario::new("twice", "Callbacks are signed and come twice.").callbacks(callbacks);
/// # assert!(scenario.callback.twice);
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Callbacks {
    /// The webhook key that signs the callbacks. Without a key they are unsigned.
    pub key: Option<String>,
    /// True if each callback is sent twice.
    pub twice: bool,
    /// True if callbacks are sent in pairs, the later one first. A last callback without a partner is not sent.
    pub reordered: bool,
    /// The delay of a callback in simulated seconds after the task is done.
    pub late: u32,
    /// True if the callback of a 4K upgrade of the old form has the other documented shape, in snake_case.
    pub snake_case: bool,
    /// The body of the current form's callbacks.
    pub body: CallbackBody,
    /// The shape of the bodies, such as `urls_in_brackets`, or `no_data`, which kie.ai documents for failures.
    pub shape: Option<Shape>,
}

/// The body of a callback of kie.ai's current form. No real one of a Veo task has been seen.
///
/// In a file it is `callback = { body = "playground" }`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallbackBody {
    /// The record of the task, as the pages say.
    #[default]
    Record,
    /// The body that was seen from a sibling model: with other names for the credits, and with the balance.
    Playground,
    /// The body of the old form. The description of `callBackUrl` links to the page about it.
    OldForm,
}

/// The error of a scenario that cannot be read or makes no sense.
#[derive(Debug)]
pub struct ScenarioError(String);

impl Scenario {
    /// A scenario without faults.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            ..Self::default()
        }
    }

    /// Reads a scenario from TOML, which has the fields of this type.
    ///
    /// # Errors
    ///
    /// Fails if the text is no scenario. The error says what is wrong and in which line.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenarios that every simulator has: one for each known fault.
    pub fn catalogue() -> &'static [Self] {
        static CATALOGUE: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
            #[derive(Deserialize)]
            struct Catalogue {
                scenario: Vec<Scenario>,
            }
            // A test reads the file, so this cannot fail.
            toml::from_str::<Catalogue>(include_str!("../scenarios.toml"))
                .map_or_else(|_| Vec::new(), |catalogue| catalogue.scenario)
        });
        &CATALOGUE
    }

    /// A scenario of the [catalogue](Self::catalogue) by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::catalogue()
            .iter()
            .find(|scenario| scenario.name == name)
            .cloned()
    }

    /// Sets the speed of tasks.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the balance at the start.
    #[must_use]
    pub fn credits(mut self, credits: f64) -> Self {
        self.credits = Some(credits);
        self
    }

    /// Sets how many paid requests are accepted in ten seconds.
    #[must_use]
    pub fn limit(mut self, requests: usize) -> Self {
        self.limit = Some(requests);
        self
    }

    /// Adds a fault of some calls of an operation or a group, counted from 1: `1..=1` is the first, `1..` are all.
    #[must_use]
    pub fn fault(mut self, on: impl Into<String>, calls: impl Into<Calls>, fault: Fault) -> Self {
        self.fault.push(FaultRule::new(on, calls, fault));
        self
    }

    /// Sets the fate of some tasks, counted from 1.
    #[must_use]
    pub fn task(mut self, tasks: impl Into<Calls>, fate: Fate) -> Self {
        let Calls { first, times } = tasks.into();
        self.task.push(TaskRule { first, times, fate });
        self
    }

    /// Sets how callbacks are sent.
    #[must_use]
    pub fn callbacks(mut self, callbacks: Callbacks) -> Self {
        self.callback = callbacks;
        self
    }

    /// Sets the highest number of calls of an operation or a group. The calls of all API keys with this scenario at
    /// both providers are counted together, so a payment at each provider counts as two calls. A call after a refusal
    /// also counts: [`Sim::charges`](crate::Sim::charges) has what was paid.
    #[must_use]
    pub fn expect(mut self, operation: impl Into<String>, at_most: usize) -> Self {
        self.expect.insert(operation.into(), at_most);
        self
    }

    /// Refuses a scenario that makes no sense.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        match self.complaint() {
            Some(why) => Err(ScenarioError(format!("scenario {:?}: {why}", self.name))),
            None => Ok(()),
        }
    }

    fn complaint(&self) -> Option<String> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if self.name.is_empty() || !self.name.bytes().all(is_plain) {
            return Some(
                "its name has to be a word of plain letters, digits and signs without a slash, since it is used as \
                 an API key"
                    .to_owned(),
            );
        }
        for rule in &self.fault {
            if let Some(why) = rule.complaint() {
                return Some(why);
            }
        }
        for on in self.expect.keys() {
            if !is_operation_or_group(on) {
                return Some(no_operation(on));
            }
        }
        if self.task.iter().any(|rule| rule.first == 0) {
            return Some(NOT_FROM_ZERO.to_owned());
        }
        if let Some(credits) = self.credits
            && !(0.0..=1e12).contains(&credits)
        {
            return Some("credits have to be 0 or more".to_owned());
        }
        if let Pace::Scale(scale) = self.pace
            && !(0.001..=1e6).contains(&scale)
        {
            return Some("the scale of time has to be between 0.001 and 1,000,000".to_owned());
        }
        None
    }

    /// The fate of the task with this number.
    pub(crate) fn fate(&self, number: u32) -> Fate {
        for rule in &self.task {
            if applies(rule.first, rule.times, number) {
                return rule.fate;
            }
        }
        Fate::Made
    }
}

impl FaultRule {
    /// A rule for some calls of an operation or a group.
    pub(crate) fn new(on: impl Into<String>, calls: impl Into<Calls>, fault: Fault) -> FaultRule {
        let Calls { first, times } = calls.into();
        FaultRule {
            on: on.into(),
            first,
            times,
            fault,
        }
    }

    /// Refuses a rule that makes no sense.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        match self.complaint() {
            Some(why) => Err(ScenarioError(why)),
            None => Ok(()),
        }
    }

    fn complaint(&self) -> Option<String> {
        if !is_operation_or_group(&self.on) {
            return Some(no_operation(&self.on));
        }
        if self.first == 0 {
            return Some(NOT_FROM_ZERO.to_owned());
        }
        let status = match &self.fault {
            Fault::Error {
                status: None,
                code: None,
                ..
            } => return Some("an error needs a status or a code".to_owned()),
            Fault::Error { status, .. } => (*status)?,
            Fault::Reply { status, .. } => *status,
            _ => return None,
        };
        if (200..600).contains(&status) {
            return None;
        }
        Some(format!(
            "{status} is no HTTP status of a reply; those are 200 to 599"
        ))
    }
}

impl Fate {
    /// Returns whether the task fails.
    pub(crate) fn is_failure(self) -> bool {
        match self {
            Fate::PromptRefused
            | Fate::ImageRefused
            | Fate::NoAudio
            | Fate::Failed
            | Fate::FailedEarly
            | Fate::FailedButCharged
            | Fate::Retired => true,
            Fate::Made
            | Fate::Filtered
            | Fate::Stuck
            | Fate::Smaller
            | Fate::Fallback
            | Fate::No4k => false,
        }
    }
}

impl Fault {
    /// An error with this HTTP status, in the provider's words.
    pub fn status(status: u16) -> Self {
        Self::Error {
            status: Some(status),
            code: None,
            message: None,
            retry_after: None,
            accepted: false,
        }
    }

    /// An error with this code, in the provider's words. At kie.ai it has HTTP 200, like most errors there. At UniAll
    /// the code is the HTTP status.
    pub fn code(code: u16) -> Self {
        Self::Error {
            status: None,
            code: Some(Code::Number(code)),
            message: None,
            retry_after: None,
            accepted: false,
        }
    }

    /// Returns whether the provider acts on the request in spite of the fault.
    pub(crate) fn acts(&self) -> bool {
        match self {
            Self::DropBeforeReading | Self::Expired => false,
            Self::Error { accepted, .. } | Self::Reply { accepted, .. } => *accepted,
            _ => true,
        }
    }

    /// The name of the fault in a scenario.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::DropBeforeReading => "drop_before_reading",
            Self::Drop => "drop",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::CutHead => "cut_head",
            Self::CutBody => "cut_body",
            Self::Stall => "stall",
            Self::Error { .. } => "error",
            Self::Reply { .. } => "reply",
            Self::Shape(_) => "shape",
            Self::Truncated => "truncated",
            Self::Corrupted => "corrupted",
            Self::Slow(_) => "slow",
            Self::Expired => "expired",
            Self::WithoutRanges => "without_ranges",
        }
    }
}

/// A range of calls, counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    first: u32,
    times: Option<u32>,
}

impl From<std::ops::RangeInclusive<u32>> for Calls {
    fn from(range: std::ops::RangeInclusive<u32>) -> Self {
        Self {
            first: *range.start(),
            times: Some(range.end().saturating_add(1).saturating_sub(*range.start())),
        }
    }
}

impl From<std::ops::RangeFrom<u32>> for Calls {
    fn from(range: std::ops::RangeFrom<u32>) -> Self {
        Self {
            first: range.start,
            times: None,
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::Polls(3)
    }
}

impl Pace {
    /// The factor by which time passes faster than real time.
    pub(crate) fn scale(self) -> f64 {
        match self {
            Self::Scale(scale) => scale,
            Self::Polls(_) | Self::AtOnce => 1.0,
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

/// The groups of operations that a rule can name.
const GROUPS: [&str; 7] = [
    "any", "media", "old_form", "query", "submit", "upgrade", "upload",
];

const NOT_FROM_ZERO: &str = "calls are counted from 1";

fn is_operation_or_group(on: &str) -> bool {
    let mut operations = Contract::shared().operations().iter();
    GROUPS.contains(&on) || operations.any(|operation| operation.id == on)
}

fn no_operation(on: &str) -> String {
    format!(
        "there is no operation or group {on:?}; the groups are {}, and the operations are those of the specifications",
        GROUPS.join(", ")
    )
}

/// Returns whether a rule for an operation or a group is about this operation.
pub(crate) fn is_about(on: &str, operation: &str) -> bool {
    let group = match operation {
        "generate" | "extend" | "create_task" | "create_video" => "submit",
        "record_info" | "get_task" | "query_video" => "query",
        "get_1080p_video" | "get_4k_video" => "upgrade",
        "upload_base64" | "upload_stream" | "upload_url" => "upload",
        "video_content" => "media",
        other => other,
    };
    let is_old_form = matches!(
        operation,
        "generate" | "extend" | "record_info" | "get_1080p_video" | "get_4k_video"
    );
    on == "any" || on == operation || on == group || (on == "old_form" && is_old_form)
}

/// Returns whether a rule applies to the call or the task with this number.
pub(crate) fn applies(first: u32, times: Option<u32>, number: u32) -> bool {
    number >= first && times.is_none_or(|times| number - first < times)
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scenario about paid requests would miss an operation in neither group, and a test would not count it.
    #[test]
    fn every_paid_operation_is_a_submit_or_an_upgrade() {
        for operation in Contract::shared().operations() {
            let mut groups = ["submit", "upgrade"].into_iter();
            let is_in_group = groups.any(|group| is_about(group, operation.id));
            assert_eq!(is_in_group, operation.billable, "{}", operation.id);
        }
    }
}
