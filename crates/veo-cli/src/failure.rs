//! Why the program ends without a result, for people, for programs and for the record.

use std::error::Error as StdError;
use std::path::Path;

use serde::{Deserialize, Serialize};
use veo_core::{Charged, Error, ErrorKind, Fault, JobRef, Resend, Subject};

/// How the program ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    Rejected = 3,
    Unknown = 4,
    Unfinished = 5,
    Interrupted = 130,
}

impl Exit {
    pub(crate) const TABLE: &str = "\
Exit codes:
    0  done
    1  it failed; the message says what to do
    2  the command cannot work as it was given; nothing was sent
    3  rejected: the provider did not take it, or was not reached; nothing was
       charged
    4  the outcome is not known; it may have been charged, so look before
       sending it again
    5  paid for and not here yet: it took too long, or the answer or the file
       did not come; go on with `veo wait`
  130  interrupted; what was accepted goes on

A batch ends with the first of 130, 4, 5, 1 and 3 that one of its lines earned.";

    fn of(error: &Error) -> Self {
        let accepted = error.job().is_some();
        match error.kind() {
            ErrorKind::InvalidRequest => Self::Usage,
            ErrorKind::OutcomeUnknown => Self::Unknown,
            ErrorKind::Stopped => Self::Interrupted,
            ErrorKind::TimedOut | ErrorKind::Unavailable | ErrorKind::Download => Self::Unfinished,
            ErrorKind::JobFailed => Self::Failed,
            // Of an accepted job or upgrade these say that it has ended.
            ErrorKind::Policy | ErrorKind::Refused if accepted => Self::Failed,
            // The job goes on, whatever is the matter with the question.
            _ if accepted => Self::Unfinished,
            _ => Self::Rejected,
        }
    }
}

/// An error as it is told, recorded and printed as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Told {
    pub(crate) kind: String,
    pub(crate) message: String,
    /// What led to it, from the near to the far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<String>,
    /// What to do next.
    pub(crate) next: Option<String>,
    /// `yes`, `no` or `unknown`.
    pub(crate) charged: String,
    /// `never`, `same`, `after` or `change_input`.
    pub(crate) resend: String,
    pub(crate) resend_after_seconds: Option<u64>,
    /// `caller`, `provider`, `network` or `policy`.
    pub(crate) fault: String,
    /// What the policy is about: `prompt`, `image` or `output`.
    pub(crate) subject: Option<String>,
    pub(crate) job: Option<JobRef>,
    pub(crate) provider_code: Option<String>,
    pub(crate) provider_words: Option<String>,
    /// The start of the provider's reply, in which the id of a task can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<String>,
}

impl Told {
    fn new(kind: &str, message: impl Into<String>, charged: &str, resend: &str, fault: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            causes: Vec::new(),
            next: None,
            charged: charged.to_owned(),
            resend: resend.to_owned(),
            resend_after_seconds: None,
            fault: fault.to_owned(),
            subject: None,
            job: None,
            provider_code: None,
            provider_words: None,
            reply: None,
        }
    }

    /// An error of the library, and how the program ends with it.
    fn of(error: &Error, exit: Exit) -> Self {
        let (resend, after) = match error.resend() {
            Resend::Never => ("never", None),
            Resend::Same => ("same", None),
            Resend::After(time) => ("after", Some(time.as_secs())),
            Resend::ChangeInput => ("change_input", None),
        };
        let (fault, subject) = match error.fault() {
            Fault::Caller => ("caller", None),
            Fault::Provider => ("provider", None),
            Fault::Network => ("network", None),
            Fault::Policy(Subject::Prompt) => ("policy", Some("prompt")),
            Fault::Policy(Subject::Image) => ("policy", Some("image")),
            Fault::Policy(Subject::Output) => ("policy", Some("output")),
        };
        let charged = match error.charged() {
            Charged::Yes => "yes",
            Charged::No => "no",
            Charged::Unknown => "unknown",
        };
        let causes =
            std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect();
        Self {
            causes,
            next: next(error, exit),
            resend_after_seconds: after,
            subject: subject.map(str::to_owned),
            job: error.job().cloned(),
            provider_code: error.provider_code().map(str::to_owned),
            provider_words: error.provider_words().map(str::to_owned),
            reply: error.reply().map(str::to_owned),
            ..Self::new(&snake_case(&format!("{:?}", error.kind())), error.to_string(), charged, resend, fault)
        }
    }
}

/// What to do next, where the message does not say it.
fn next(error: &Error, exit: Exit) -> Option<String> {
    let sentence = match (exit, error.job(), error.kind()) {
        (Exit::Unknown, ..) => return Some(look("ID", None)),
        (Exit::Unfinished, Some(job), ErrorKind::Unavailable) => {
            return Some(format!("If the provider has such a job, it is paid for and goes on: veo wait {job}"));
        }
        (Exit::Unfinished, Some(job), _) => return Some(format!("It is paid for. Go on with: veo wait {job}")),
        (.., ErrorKind::Unauthorized) => "Check the key; `veo auth` keeps another one.",
        (.., ErrorKind::KeyExhausted) => "Raise the limit of the key at the provider, or use another key.",
        (.., ErrorKind::InsufficientCredits) => "Add credits at the provider, or choose another with --provider.",
        (.., ErrorKind::Retired) => "Choose another model with --tier; `veo models` lists them.",
        (.., ErrorKind::NotSent) => "Nothing was paid. Check the network, and try it again.",
        (.., ErrorKind::JobFailed) if error.resend() == Resend::Same => {
            "The same request may be sent again, as a new job with a new price."
        }
        (.., ErrorKind::Policy) => match error.fault() {
            Fault::Policy(Subject::Image) => "Change the image.",
            _ => "Change the prompt.",
        },
        (Exit::Failed, ..) => "Change what it says, and send it as a new job with a new price.",
        _ => match error.resend() {
            Resend::After(time) => return Some(format!("Nothing was paid. Try it again in {} s.", time.as_secs())),
            _ => return None,
        },
    };
    Some(sentence.to_owned())
}

/// What to do about an unknown outcome, by its name in the record, and the file of the batch that it is in.
pub(crate) fn look(id: &str, batch: Option<&Path>) -> String {
    let batch = batch.map(|file| format!(" --batch {}", file.display())).unwrap_or_default();
    format!(
        "It may have been charged. Look at the tasks and the balance at the provider before sending it again. If it is \
         there, go on with: veo settle {id} --job PROVIDER:TASK{batch}; if not: veo settle {id} --not-taken{batch}"
    )
}

/// What to do about a line of a batch that is paid for and not here yet.
pub(crate) const PAID_IN_A_BATCH: &str = "It is paid for. The same command of the batch goes on with it.";

/// Why the program ends without a result.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) told: Box<Told>,
}

impl Failure {
    /// The command cannot work as it was given.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, told: Box::new(Told::new("usage", message, "no", "change_input", "caller")) }
    }

    /// Something of this machine does not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, told: Box::new(Told::new("failed", message, "no", "same", "caller")) }
    }

    /// Something of this machine does not work, and this job is paid for.
    pub(crate) fn after_payment(job: &JobRef, message: impl Into<String>) -> Self {
        let mut told = Told::new("failed", message, "yes", "never", "caller");
        told.job = Some(job.clone());
        Self { exit: Exit::Failed, told: Box::new(told) }
    }

    /// A result that cannot be printed, whether it was paid for or not.
    pub(crate) fn unprinted(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, told: Box::new(Told::new("failed", message, "unknown", "never", "caller")) }
    }

    /// The end of several things of which some have failed: what a program goes by is that of the gravest.
    pub(crate) fn of_several(message: impl Into<String>, failures: &[Self]) -> Self {
        let Some(gravest) = failures.iter().min_by_key(|failure| failure.gravity()) else {
            return Self::failed(message);
        };
        let Told { charged, resend, resend_after_seconds, fault, subject, .. } = (*gravest.told).clone();
        let told = Told { resend_after_seconds, subject, ..Told::new("failed", message, &charged, &resend, &fault) };
        Self { exit: gravest.exit, told: Box::new(told) }
    }

    /// Ctrl-C, while this job is under way.
    pub(crate) fn interrupted(job: &JobRef) -> Self {
        let mut told =
            Told::new("interrupted", format!("{job}: interrupted; the job goes on"), "yes", "never", "caller");
        told.job = Some(job.clone());
        told.next = Some(format!("Wait for it again with: veo wait {job}"));
        Self { exit: Exit::Interrupted, told: Box::new(told) }
    }

    /// Ctrl-C, before anything was sent.
    pub(crate) fn interrupted_before() -> Self {
        let told = Told::new("interrupted", "interrupted; nothing was sent", "no", "same", "caller");
        Self { exit: Exit::Interrupted, told: Box::new(told) }
    }

    /// It is not known what became of a paid request.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        let mut told = Told::new("outcome_unknown", message, "unknown", "never", "network");
        told.next = Some(look("ID", None));
        Self { exit: Exit::Unknown, told: Box::new(told) }
    }

    /// It is known by now that nothing became of a request.
    pub(crate) fn found_not_taken() -> Self {
        let message = "somebody has looked, and it was not taken";
        Self { exit: Exit::Rejected, told: Box::new(Told::new("not_taken", message, "no", "same", "network")) }
    }

    /// Nothing is sent, since that would cost too much.
    pub(crate) fn too_dear(message: impl Into<String>) -> Self {
        Self { exit: Exit::Rejected, told: Box::new(Told::new("over_budget", message, "no", "same", "caller")) }
    }

    /// An upgrade was not taken, or it is not known whether it was, now or when it was asked for before. Its job is there all
    /// the same.
    pub(crate) fn of_upgrade(error: &Error, may_be_taken: bool) -> Self {
        let (exit, charged) = match error.kind() {
            // They say nothing of what was asked for before.
            ErrorKind::Unauthorized | ErrorKind::KeyExhausted | ErrorKind::InsufficientCredits | ErrorKind::Retired
                if may_be_taken =>
            {
                (Exit::Unknown, "unknown")
            }
            ErrorKind::InvalidRequest => (Exit::Usage, "no"),
            ErrorKind::Unavailable | ErrorKind::TimedOut => (Exit::Unknown, "unknown"),
            _ => (Exit::Rejected, "no"),
        };
        Self { exit, told: Box::new(Told { charged: charged.to_owned(), ..Told::of(error, exit) }) }
    }

    /// The same with another thing to do next.
    #[must_use]
    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.told.next = Some(next.into());
        self
    }

    /// The same with another end.
    #[must_use]
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// What tells most about the money and what to do comes first.
    fn gravity(&self) -> [usize; 3] {
        let exits = [Exit::Interrupted, Exit::Unknown, Exit::Unfinished, Exit::Failed, Exit::Rejected, Exit::Usage];
        let place = |words: &[&str], word: &str| words.iter().position(|known| *known == word).unwrap_or(words.len());
        [
            exits.iter().position(|exit| *exit == self.exit).unwrap_or(exits.len()),
            place(&["unknown", "yes", "no"], &self.told.charged),
            place(&["never", "change_input", "after", "same"], &self.told.resend),
        ]
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = Exit::of(&error);
        Self { exit, told: Box::new(Told::of(&error, exit)) }
    }
}

/// An error for people, in as many lines as it needs.
pub(crate) fn in_full(told: &Told) -> String {
    let mut text = told.message.clone();
    for cause in &told.causes {
        text += &format!("\n  because: {cause}");
    }
    if let Some(next) = &told.next {
        text += &format!("\n  {next}");
    }
    text
}

/// `InvalidRequest` as `invalid_request`.
fn snake_case(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    /// Whatever the provider calls it, a job that has ended without a video has failed, and one that has not goes on.
    #[test]
    fn what_is_wrong_with_a_job_is_no_refusal() {
        let table = [
            (ErrorKind::JobFailed, Exit::Failed, Exit::Failed),
            (ErrorKind::Policy, Exit::Rejected, Exit::Failed),
            (ErrorKind::Refused, Exit::Rejected, Exit::Failed),
            (ErrorKind::Retired, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::InsufficientCredits, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::NotSent, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Stopped, Exit::Interrupted, Exit::Interrupted),
            (ErrorKind::Unauthorized, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::KeyExhausted, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::RateLimited, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Maintenance, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Unavailable, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::TimedOut, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::Download, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::InvalidRequest, Exit::Usage, Exit::Usage),
        ];
        let job = "kie:t1".parse().unwrap();
        for (kind, without, with) in table {
            let error = Error::new(kind, "no");
            assert_eq!(Exit::of(&error), without, "{kind:?}");
            let failure = Failure::from(error.with_job(&job));
            assert_eq!(failure.exit, with, "{kind:?} of a job");
            assert!(with == Exit::Usage || failure.told.charged != "no", "{kind:?} of a job");
        }
    }
}
