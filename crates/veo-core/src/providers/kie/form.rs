//! The two forms of kie.ai's API, and the choice between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kie_api::Rejection;

use crate::{Error, ErrorKind, JobRef, Reason};

/// The name of the current form. Its jobs have it in their names: `kie+jobs:TASK`.
pub(super) const CURRENT: &str = "jobs";

/// The form of kie.ai's API for new videos. With every setting, a client can wait for jobs of both forms.
///
/// ```
/// use veo_core::{Kie, KieForm};
///
/// # fn main() -> Result<(), veo_core::Error> {
/// let kie = Kie::new("the API key")?.form(KieForm::Current);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KieForm {
    /// The old form. Once kie.ai has said that the old form is gone, the process uses the current form.
    #[default]
    Auto,
    /// The old form, with an endpoint for each operation.
    Old,
    /// The current form, `jobs/createTask`.
    Current,
}

/// The form of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Old,
    Current,
}

impl Form {
    /// Returns the form that knows a job.
    pub(super) fn of_job(job: &JobRef) -> Result<Self, Error> {
        match job.form.as_deref() {
            None => Ok(Self::Old),
            Some(CURRENT) => Ok(Self::Current),
            Some(form) => {
                let message = format!(
                    "kie.ai has no form {form}; a job of its current one begins with kie+{CURRENT}"
                );
                Err(Error::new(ErrorKind::InvalidRequest, message).with_job(job))
            }
        }
    }

    /// Returns the name of the form in the names of jobs.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Old => None,
            Self::Current => Some(CURRENT),
        }
    }
}

/// The setting, and whether the old form is known to be gone. Clones share this knowledge.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    pub(super) setting: KieForm,
    is_old_gone: Arc<AtomicBool>,
}

impl Forms {
    /// Returns the form for a request that both forms support.
    pub(super) fn now(&self) -> Form {
        match self.setting {
            KieForm::Old => Form::Old,
            KieForm::Current => Form::Current,
            KieForm::Auto if self.is_old_gone.load(Ordering::Relaxed) => Form::Current,
            KieForm::Auto => Form::Old,
        }
    }

    /// Returns the reason why no form can be used, if the old form is gone and the setting allows no other.
    pub(super) fn setting_against(&self) -> Option<Reason> {
        let is_stuck = self.setting == KieForm::Old && self.is_old_gone.load(Ordering::Relaxed);
        let message = "kie.ai's old form is gone, but the setting allows no other; set KIE_FORM=auto, or KieForm::Auto";
        is_stuck.then(|| Reason::new("form", message))
    }

    /// Remembers that the old form is gone, and logs a warning the first time.
    pub(super) fn old_is_gone(&self, rejection: &Rejection) {
        let was_known = self.is_old_gone.swap(true, Ordering::Relaxed);
        if !was_known && self.setting == KieForm::Auto {
            tracing::warn!(said = %rejection, "the old form of kie.ai's API is gone; its current one is used from now on");
        }
    }
}
