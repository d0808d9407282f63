//! How a simulated account behaves: its pace, its balance, and what goes wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::contract::Contract;
use crate::shape::Shape;

/// The behaviour of an account. Every API key is an account of its own, and its name says which scenario it has: the key
/// `lost-reply`, or `lost-reply/anything`, has the scenario `lost-reply`, so that a client can reach it unmodified.
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
    /// Its name, which is also the API key that picks it.
    pub name: String,
    /// A sentence about what it shows.
    pub description: String,
    /// How fast tasks get done.
    pub pace: Pace,
    /// The balance of an account at the start: credits at kie.ai, dollars at UniAll. 1250.75 if not set.
    pub credits: Option<f64>,
    /// How many paid requests are taken in ten seconds; any number if not set. kie.ai takes 20.
    pub limit: Option<usize>,
    /// The faults of requests. Of several that apply to one request the first counts.
    pub fault: Vec<FaultRule>,
    /// The fates of accepted tasks. A task without one is made.
    pub task: Vec<TaskRule>,
    /// How the callbacks of kie.ai are sent.
    pub callback: Callbacks,
    /// How often which operation, or group of them together, may be called at most, as in `expect = { submit = 1 }`, by all
    /// keys with this scenario together and at both providers. A call beyond it is named by
    /// [`Sim::surprises`](crate::Sim::surprises).
    pub expect: BTreeMap<String, usize>,
}

/// A fault of some requests.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// Which requests: an operation of the provider's specification, such as `generate` or `query_video`, or one of the groups
    /// `submit` (whatever starts a paid task), `query`, `upgrade` (of kie.ai's old form; in the current one it is a task like
    /// any other), `upload`, `media`, `old_form` (all of kie.ai's below `/api/v1/veo`) and `any`.
    pub on: String,
    /// Which of them is the first, counted from 1.
    #[serde(default = "one")]
    pub first: u32,
    /// How many of them; all that follow if not set.
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
    /// Which accepted task of the account is the first, counted from 1.
    #[serde(default = "one")]
    pub first: u32,
    /// How many of them; all that follow if not set.
    #[serde(default)]
    pub times: Option<u32>,
    /// Their fate.
    pub fate: Fate,
}

/// How fast tasks get done.
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
    /// A task runs while it is asked about so often, and is done the next time. So no test has to wait. The call that
    /// starts an upgrade is the first question about it. Links and records get old as outside.
    Polls(u32),
    /// Time passes so many times faster than outside, from 0.001 to 1,000,000. A video takes 90 seconds of it, an
    /// extension 5 minutes, an upgrade to 1080p 2 minutes and one to 4K 8 minutes; links and records get old in it.
    Scale(f64),
    /// Tasks are done when they are accepted.
    AtOnce,
}

/// A way in which a request goes wrong.
///
/// Either the provider acts on the request as if nothing were wrong, and charges it if it costs, and then the reply suffers;
/// or it does not act on it at all. Which of the two is said by each; an [`Error`](Self::Error) and a
/// [`Reply`](Self::Reply) can be either.
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
    /// The connection is closed before the body is read. Nothing has been accepted.
    DropBeforeReading,
    /// The request is acted on, and charged if it costs, and then the connection is closed without a reply.
    Drop,
    /// As `drop`, but the connection is reset.
    Reset,
    /// The request is acted on, and then nothing more comes.
    Hang,
    /// The request is acted on, and the reply breaks off in its head.
    CutHead,
    /// The request is acted on, and the reply breaks off in the middle of its body.
    CutBody,
    /// The request is acted on, and the reply stands still in the middle of its body.
    Stall,
    /// An error in the provider's words.
    Error {
        /// The HTTP status, from 200 to 599. Without one it is that of the code at UniAll, and 200 at kie.ai, as it
        /// mostly is there. A status or a code has to be there.
        #[serde(default)]
        status: Option<u16>,
        /// The code in the body: a number at kie.ai, a word at UniAll; the status if not set.
        #[serde(default)]
        code: Option<Code>,
        /// The words in the body; those that go with the status if not set.
        #[serde(default)]
        message: Option<String>,
        /// Seconds after which to come back, for the header `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Whether the request is acted on first, and charged if it costs.
        #[serde(default)]
        accepted: bool,
    },
    /// Any reply, such as the page of a proxy.
    Reply {
        /// The HTTP status, from 200 to 599.
        status: u16,
        /// The body.
        body: String,
        /// Its type; `text/html` if not set.
        #[serde(default)]
        content_type: Option<String>,
        /// Whether the request is acted on first, and charged if it costs.
        #[serde(default)]
        accepted: bool,
    },
    /// The true reply in another form that the provider is known, or likely, to use.
    Shape(Shape),
    /// A video whose second half is missing although the reply is whole.
    Truncated,
    /// A video of the right length with zeros where its structure should be.
    Corrupted,
    /// A video that comes at so many bytes a second.
    Slow(u32),
    /// A link that is not taken any more: HTTP 403, and nothing is acted on.
    Expired,
    /// A host that sends the whole video whatever part is asked for.
    WithoutRanges,
}

/// The code of an error.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Code {
    /// As at kie.ai.
    Number(u16),
    /// As at UniAll.
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
    /// It becomes a video.
    #[default]
    Made,
    /// The prompt is found to break the rules. The charge is returned.
    PromptRefused,
    /// An image is found to break the rules. The charge is returned.
    ImageRefused,
    /// No sound could be made, which is how some refusals look. The charge is returned.
    NoAudio,
    /// It fails without a reason. The charge is returned.
    Failed,
    /// It fails before anything is made, which kie.ai tells by a flag of its own. The charge is returned.
    FailedEarly,
    /// It fails without a reason, and is charged all the same. UniAll says that it depends on the model whether a
    /// charge is returned, and of kie.ai it is only hearsay that it is.
    FailedButCharged,
    /// The model turns out to be retired. The charge is returned.
    Retired,
    /// It is a success without a video: the result was filtered, and is charged.
    Filtered,
    /// It never ends.
    Stuck,
    /// It becomes a video of 720p, whatever was asked for.
    Smaller,
    /// A fallback model makes the video, of 1080p and in landscape whatever was asked for, which then cannot be
    /// upgraded. Only kie.ai has this.
    Fallback,
    /// It becomes a video of 720p, and its upgrade to 4K is accepted and charged, and then fails. Whether the charge is returned
    /// is not known of the old form, and here it is not; in the current one it is, as that of any task. Only kie.ai has this.
    #[serde(rename = "no_4k")]
    No4k,
}

/// How the callbacks of kie.ai are sent. They go to this machine only, and are tried four times in all.
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
    /// The key that signs them; unsigned if not set.
    pub key: Option<String>,
    /// Each is sent twice.
    pub twice: bool,
    /// They come in pairs, the later one first. A last one without a partner does not come.
    pub reordered: bool,
    /// So many simulated seconds after the task is done.
    pub late: u32,
    /// The one of a 4K upgrade of the old form has the other documented shape, in snake_case.
    pub snake_case: bool,
    /// Which body those of the current form have.
    pub body: CallbackBody,
    /// Their bodies are in this form, such as `urls_in_brackets`, or `no_data`, which kie.ai documents for failures.
    pub shape: Option<Shape>,
}

/// The body of a callback of kie.ai's current form. No real one of a Veo task has been seen.
///
/// In a file it is `callback = { body = "playground" }`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallbackBody {
    /// As the record, which the pages say.
    #[default]
    Record,
    /// As that of a sibling model was: with other names of the credits, and the balance.
    Playground,
    /// As in the old form, to whose page the description of `callBackUrl` leads.
    OldForm,
}

/// A scenario that cannot be read, or that makes no sense.
#[derive(Debug)]
pub struct ScenarioError(String);

impl Scenario {
    /// A scenario in which nothing goes wrong yet.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            ..Self::default()
        }
    }

    /// Reads a scenario from TOML, with the fields of this type.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and in which line.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenarios that every simulator has, for each known way in which things go wrong.
    pub fn catalogue() -> &'static [Self] {
        static CATALOGUE: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
            #[derive(Deserialize)]
            struct Catalogue {
                scenario: Vec<Scenario>,
            }
            // A test reads it too, so it can be read.
            toml::from_str::<Catalogue>(include_str!("../scenarios.toml"))
                .map_or_else(|_| Vec::new(), |it| it.scenario)
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

    /// Sets how fast tasks get done.
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

    /// Sets how many paid requests are taken in ten seconds.
    #[must_use]
    pub fn limit(mut self, requests: usize) -> Self {
        self.limit = Some(requests);
        self
    }

    /// Lets something go wrong with some calls of an operation or a group of them, counted from 1: `1..=1` is the first one,
    /// `1..` all.
    #[must_use]
    pub fn fault(mut self, on: impl Into<String>, calls: impl Into<Calls>, fault: Fault) -> Self {
        self.fault.push(FaultRule::new(on, calls, fault));
        self
    }

    /// Decides what becomes of some tasks, counted from 1.
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

    /// Says how often an operation, or a group of them together, may be called at most, by all keys with this scenario
    /// together and at both providers: who pays at one and then at the other has called twice. So has who was refused and
    /// tries again; [`Sim::charges`](crate::Sim::charges) tells what was paid.
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

    /// The fate of the task of this number.
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
    /// Whether the task fails.
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
    /// An error with an HTTP status, in the provider's words.
    pub fn status(status: u16) -> Self {
        Self::Error {
            status: Some(status),
            code: None,
            message: None,
            retry_after: None,
            accepted: false,
        }
    }

    /// An error with a code in the provider's words. At kie.ai it comes with HTTP 200, as most of its errors do; at
    /// UniAll the code is the HTTP status.
    pub fn code(code: u16) -> Self {
        Self::Error {
            status: None,
            code: Some(Code::Number(code)),
            message: None,
            retry_after: None,
            accepted: false,
        }
    }

    /// Whether the provider acts on the request although something goes wrong.
    pub(crate) fn acts(&self) -> bool {
        match self {
            Self::DropBeforeReading | Self::Expired => false,
            Self::Error { accepted, .. } | Self::Reply { accepted, .. } => *accepted,
            _ => true,
        }
    }

    /// Its name in a scenario.
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

/// Which calls are meant, counted from 1.
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
    /// How many times faster than outside time passes.
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

/// Whether a rule for an operation or a group is about this operation.
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

/// Whether a rule is about the one of this number.
pub(crate) fn applies(first: u32, times: Option<u32>, number: u32) -> bool {
    number >= first && times.is_none_or(|times| number - first < times)
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise a scenario about paid requests would leave it out, and a test would not count it.
    #[test]
    fn whatever_can_cost_money_is_a_submit_or_an_upgrade() {
        for operation in Contract::shared().operations() {
            let mut groups = ["submit", "upgrade"].into_iter();
            let is_in_group = groups.any(|group| is_about(group, operation.id));
            assert_eq!(is_in_group, operation.billable, "{}", operation.id);
        }
    }
}
