//! The failures that end the program, for people and for programs.

use std::error::Error as _;
use std::io;
use std::path::Path;

use serde::Serialize;
use veo_core::{Charged, Error, ErrorKind, Fault, JobRef, Resend, Subject};

use crate::shell::quoted;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failed = 1,
    Usage = 2,
    Rejected = 3,
    Unknown = 4,
    Unfinished = 5,
    Shortfall = 6,
    Interrupted = 130,
}

impl Exit {
    pub(crate) const TABLE: &str = "\
Exit codes:
    0  done
    1  the command failed, or a job failed after it was paid for; the message
       says what to do
    2  the command cannot work as it was given, or the ledger is damaged;
       nothing was sent
    3  rejected: the provider did not accept the request, or was not reached;
       nothing was charged
    4  the outcome is unknown: the request may have been charged, so look for
       its task at the provider before you send the request again
    5  the video is paid for and not saved yet: the wait was too long, the
       provider did not answer, or the download failed; continue with
       `veo wait`
    6  the video is saved, but is smaller or shorter than requested, or has no
       sound
  130  interrupted; accepted jobs continue

The exit code of a batch is the first of 130, 4, 5, 1, 3 and 6 that applies to
any of its lines.";

    fn of(error: &Error) -> Self {
        let accepted = error.job().is_some();
        match error.kind() {
            ErrorKind::InvalidRequest
            | ErrorKind::KeyReused
            | ErrorKind::TargetTaken
            | ErrorKind::LedgerDamaged => Self::Usage,
            ErrorKind::OutcomeUnknown | ErrorKind::OnItsWay => Self::Unknown,
            ErrorKind::Stopped => Self::Interrupted,
            ErrorKind::TimedOut | ErrorKind::Unavailable | ErrorKind::Download => Self::Unfinished,
            ErrorKind::JobFailed | ErrorKind::Ledger | ErrorKind::Local => Self::Failed,
            // If there is a job, these kinds mean that the job or its upgrade has ended without a video.
            ErrorKind::Policy | ErrorKind::Refused | ErrorKind::Retired if accepted => Self::Failed,
            // Only the question failed. The job continues, and is paid for.
            _ if accepted => Self::Unfinished,
            _ => Self::Rejected,
        }
    }
}

/// A failure that ends the program, with its exit code.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: Box<Error>,
    /// A sentence about the next thing to do.
    next: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct FailureJson<'a> {
    #[serde(flatten)]
    error: &'a Error,
    next: Option<&'a str>,
}

impl Failure {
    /// A command that cannot work as it was given.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::from(Error::new(ErrorKind::InvalidRequest, message))
    }

    /// A file of the command that cannot be read.
    pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self::usage(format!("{} cannot be read: {error}", file.display()))
    }

    /// A fault of this machine.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::from(Error::new(ErrorKind::Local, message))
    }

    /// A fault of this machine after this job was paid for.
    pub(crate) fn after_payment(job: &JobRef, message: impl Into<String>) -> Self {
        // The advice of `From<Error>` is left out: the message and the caller name the job where this helps.
        let error = Error::new(ErrorKind::Local, message).with_job(job);
        Self {
            exit: Exit::Failed,
            error: Box::new(error),
            next: None,
        }
    }

    /// A result that cannot be printed, whether it was paid for or not.
    pub(crate) fn unprinted(message: impl Into<String>) -> Self {
        Self::from(Error::new(ErrorKind::Local, message).with_charged(Charged::Unknown))
    }

    /// Several failures as one, with the exit code and the error kind of the gravest.
    pub(crate) fn of_several(message: impl Into<String>, failures: &[Self]) -> Self {
        let Some(gravest) = failures.iter().min_by_key(|failure| failure.gravity()) else {
            return Self::failed(message);
        };
        Self {
            exit: gravest.exit,
            error: Box::new(gravest.error.summarized(message)),
            next: None,
        }
    }

    /// Ctrl-C while this job is under way.
    pub(crate) fn interrupted(job: &JobRef) -> Self {
        let error = Error::new(ErrorKind::Stopped, "interrupted; the job continues").with_job(job);
        let next = Some(format!("Wait for it again with: veo wait {job}"));
        Self {
            exit: Exit::Interrupted,
            error: Box::new(error),
            next,
        }
    }

    /// Ctrl-C before anything was sent.
    pub(crate) fn interrupted_before() -> Self {
        Self::from(Error::new(
            ErrorKind::Stopped,
            "interrupted; nothing was sent",
        ))
    }

    /// A second Ctrl-C while a paid request was on its way.
    pub(crate) fn given_up() -> Self {
        Self::from(Error::new(
            ErrorKind::OutcomeUnknown,
            "interrupted again while a paid request was on its way",
        ))
    }

    /// Replaces the sentence about the next thing to do.
    #[must_use]
    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    #[must_use]
    pub(crate) fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub(crate) fn message(&self) -> String {
        self.error.to_string()
    }

    pub(crate) fn as_json(&self) -> FailureJson<'_> {
        FailureJson {
            error: &self.error,
            next: self.next.as_deref(),
        }
    }

    pub(crate) fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// The message with its causes.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.message();
        let causes = std::iter::successors(self.error.source(), |cause| (*cause).source());
        for cause in causes {
            text += &format!("\n  because: {cause}");
        }
        text
    }

    /// The text for people: the message, its causes and the next thing to do.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.reason();
        if let Some(next) = &self.next {
            text += &format!("\n  {next}");
        }
        text
    }

    /// The order among several failures. The failure that puts most money at risk comes first.
    fn gravity(&self) -> (usize, usize, usize) {
        let exits = [
            Exit::Interrupted,
            Exit::Unknown,
            Exit::Unfinished,
            Exit::Failed,
            Exit::Rejected,
            Exit::Usage,
        ];
        let exit = exits
            .iter()
            .position(|exit| *exit == self.exit)
            .unwrap_or(exits.len());
        let charged = match self.error.charged() {
            Charged::Unknown => 0,
            Charged::Yes => 1,
            Charged::No => 2,
        };
        let resend = match self.error.resend() {
            Resend::Never => 0,
            Resend::ChangeInput => 1,
            Resend::After(_) => 2,
            Resend::Same => 3,
        };
        (exit, charged, resend)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = Exit::of(&error);
        Self {
            exit,
            next: next(&error, exit),
            error: Box::new(error),
        }
    }
}

/// Returns what to do next, if the message does not say so.
fn next(error: &Error, exit: Exit) -> Option<String> {
    let sentence = match (exit, error.job(), error.kind()) {
        (.., ErrorKind::Local | ErrorKind::InvalidRequest | ErrorKind::Stopped) => return None,
        (.., ErrorKind::Ledger) => {
            "Set XDG_STATE_HOME to another folder for the ledger. The ledger of a batch is beside its file: copy \
             the file to another folder."
        }
        (.., ErrorKind::LedgerDamaged) => {
            return Some(format!(
                "{DAMAGED_ADVICE} veo wait and veo jobs use the lines that can be read."
            ));
        }
        (Exit::Unknown, ..) => return Some(settle_advice("ID", None)),
        (Exit::Unfinished, Some(job), ErrorKind::Unavailable) => {
            return Some(format!(
                "If the provider has such a job, it is paid for and continues: veo wait {job}"
            ));
        }
        (Exit::Unfinished, Some(job), _) => {
            return Some(format!(
                "The job is paid for. Continue with: veo wait {job}"
            ));
        }
        (.., ErrorKind::Unauthorized) => {
            "Check the key, and what the provider says of the account; `veo auth` keeps another key."
        }
        (.., ErrorKind::KeyExhausted) => {
            "Raise the limit of the key at the provider, or use another key."
        }
        (.., ErrorKind::InsufficientCredits) => {
            "Add credits at the provider, or choose another with --provider."
        }
        (.., ErrorKind::Retired) => {
            "Choose another model with --tier or --model, or another provider with --provider; `veo models` lists them."
        }
        (.., ErrorKind::NotSent) => "Nothing was paid. Check the network, and try it again.",
        (.., ErrorKind::JobFailed) => match error.resend() {
            Resend::Same => "The same request may be sent again, as a new job with a new price.",
            Resend::After(_) => {
                "The same request may be sent again later, as a new job with a new price."
            }
            Resend::ChangeInput => match error.subject() {
                Some(Subject::Image) => {
                    "Change the image, and send it as a new job with a new price."
                }
                Some(Subject::Prompt) => {
                    "Change the prompt, perhaps its language, and send it as a new job with a new price."
                }
                _ => "Change what the message names, and send it as a new job with a new price.",
            },
            Resend::Never => {
                "Look at the job at the provider first. The same request may fail again, and is a new job with a new price."
            }
        },
        (.., ErrorKind::Policy) => match error.fault() {
            Fault::Policy(Subject::Image) => "Change the image.",
            Fault::Policy(Subject::Output) => {
                "Change what is to be seen or heard in the video: the prompt, or the image if one was sent."
            }
            _ if is_about_any_input(error) => "Change the prompt, or the image if one was sent.",
            _ => "Change the prompt.",
        },
        (Exit::Failed, ..) => {
            "Change what the message names, and send it as a new job with a new price."
        }
        (Exit::Rejected, None, ErrorKind::Refused) => {
            "Nothing was paid. Change what the message names, or choose a model that can do it with --tier or --model; `veo models` lists \
             them."
        }
        _ => match error.resend() {
            Resend::After(time) => {
                return Some(format!(
                    "Nothing was paid. Try it again in {} s.",
                    time.as_secs()
                ));
            }
            _ => return None,
        },
    };
    Some(sentence.to_owned())
}

/// Returns whether a refusal does not say which part of the request it is about.
fn is_about_any_input(error: &Error) -> bool {
    let words = error.provider_words().unwrap_or_default().to_lowercase();
    let names = |parts: [&str; 3]| parts.iter().any(|part| words.contains(part));
    names(["input", "输入", "輸入"]) && !names(["prompt", "text", "提示"])
}

/// The advice for an unknown outcome. `key` is that of its entry, and `batch` the file of its batch if it has one.
pub(crate) fn settle_advice(key: &str, batch: Option<&Path>) -> String {
    let batch = batch
        .map(|file| format!(" --batch {}", quoted(file.display())))
        .unwrap_or_default();
    format!(
        "The request may have been charged. Look at the tasks and the balance at the provider before you send it again. If the \
         task is there: veo settle {key} --job PROVIDER:TASK{batch}; if not: veo settle {key} --not-taken{batch}"
    )
}

/// The advice for a damaged ledger.
pub(crate) const DAMAGED_ADVICE: &str = "Each damaged line of the ledger can stand for a paid video. Restore the ledger only from a copy \
    that was made after the last paid request: with an older copy, later requests could be paid for again.";

/// The advice for a line of a batch that is paid for and has no file yet.
pub(crate) const PAID_LINE_ADVICE: &str =
    "The job is paid for. Run the same batch command again to continue with it.";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    /// The advice depends on the kind of the error.
    #[test]
    fn each_refusal_says_what_to_do() {
        let flagged =
            "The input or output was flagged as sensitive. Please try again with different inputs.";
        let words = |subject, words: &str| {
            Error::policy(subject, "no").with_provider(None, Some(words.to_owned()))
        };
        let table = [
            (
                words(Subject::Prompt, "unsafe prompt"),
                "Change the prompt.",
            ),
            (
                words(Subject::Prompt, flagged),
                "Change the prompt, or the image if one was sent.",
            ),
            (words(Subject::Image, "unsafe image"), "Change the image."),
            (
                words(Subject::Output, "filtered"),
                "Change what is to be seen or heard",
            ),
            (Error::unusable_input("no"), "Change what the message names"),
            (Error::passing("no"), "The same request may be sent again"),
            (
                Error::new(ErrorKind::JobFailed, "no"),
                "Look at the job at the provider first",
            ),
            (Error::new(ErrorKind::Retired, "no"), "Choose another model"),
            (
                Error::new(ErrorKind::Refused, "no"),
                "Nothing was paid. Change what the message names, or choose a model that can",
            ),
            (
                Error::new(ErrorKind::KeyExhausted, "no"),
                "Raise the limit of the key",
            ),
            (
                Error::new(ErrorKind::InsufficientCredits, "no"),
                "Add credits",
            ),
            (Error::new(ErrorKind::Unauthorized, "no"), "Check the key"),
            (
                Error::new(ErrorKind::RateLimited, "no"),
                "Nothing was paid. Try it again in",
            ),
            (
                Error::new(ErrorKind::OutcomeUnknown, "no"),
                "The request may have been charged. Look at",
            ),
        ];
        for (error, wanted) in table {
            let failure = Failure::from(error);
            let next = failure.next().unwrap_or_default();
            assert!(next.starts_with(wanted), "{next}");
        }
    }

    /// A job that has ended without a video has failed, and any other job goes on, whatever words the provider uses.
    #[test]
    fn what_is_wrong_with_a_job_is_no_refusal() {
        let table = [
            (ErrorKind::JobFailed, Exit::Failed, Exit::Failed),
            (ErrorKind::Policy, Exit::Rejected, Exit::Failed),
            (ErrorKind::Refused, Exit::Rejected, Exit::Failed),
            (ErrorKind::Retired, Exit::Rejected, Exit::Failed),
            (
                ErrorKind::InsufficientCredits,
                Exit::Rejected,
                Exit::Unfinished,
            ),
            (ErrorKind::NotSent, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Stopped, Exit::Interrupted, Exit::Interrupted),
            (ErrorKind::Unauthorized, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::KeyExhausted, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::RateLimited, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Maintenance, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::OverBudget, Exit::Rejected, Exit::Unfinished),
            (ErrorKind::Unavailable, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::TimedOut, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::Download, Exit::Unfinished, Exit::Unfinished),
            (ErrorKind::OnItsWay, Exit::Unknown, Exit::Unknown),
            (ErrorKind::Ledger, Exit::Failed, Exit::Failed),
            (ErrorKind::LedgerDamaged, Exit::Usage, Exit::Usage),
            (ErrorKind::KeyReused, Exit::Usage, Exit::Usage),
            (ErrorKind::InvalidRequest, Exit::Usage, Exit::Usage),
        ];
        let job: JobRef = "kie:t1".parse().unwrap();
        for (kind, without, with) in table {
            let error = Error::new(kind, "no");
            assert_eq!(Exit::of(&error), without, "{kind:?}");
            let failure = Failure::from(error.with_job(&job));
            assert_eq!(failure.exit, with, "{kind:?} of a job");
            assert!(
                with == Exit::Usage || failure.error.charged() != Charged::No,
                "{kind:?} of a job"
            );
        }
    }
}
