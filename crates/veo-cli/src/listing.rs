//! The form in which a job is listed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use veo_core::Error;
use veo_core::ledger::{Entry, EntryState, Listed};

use crate::paths::{entry_path, relative_to};

#[derive(Serialize)]
pub(crate) struct Listing {
    pub(crate) key: Arc<str>,
    pub(crate) state: EntryState,
    pub(crate) job: Option<Arc<str>>,
    /// The time when the job was first written down, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) prompt: String,
    /// The path where the video is, or is to be saved.
    pub(crate) output: Option<PathBuf>,
    pub(crate) error: Option<Error>,
}

impl Listing {
    pub(crate) fn of(entry: &Entry) -> Self {
        let since_1970 = entry.at.duration_since(SystemTime::UNIX_EPOCH);
        let prompt = entry.wish.asked().map(|request| request.prompt.clone());
        Self {
            key: entry.key.as_str().into(),
            state: entry.state,
            job: entry.reference().map(|job| job.to_string().into()),
            at: since_1970.unwrap_or_default().as_secs(),
            prompt: prompt.unwrap_or_default(),
            output: entry_path(entry),
            error: entry.why().cloned(),
        }
    }

    /// A listing from the list of a ledger, which has no errors. `here` is the current folder.
    pub(crate) fn without_error(listed: Listed, here: &Path) -> Self {
        // An empty target means that the video went to standard output.
        let target = listed.target.filter(|target| !target.is_empty());
        Self {
            key: listed.key,
            state: listed.state,
            job: listed.job,
            at: listed.at,
            prompt: listed.prompt,
            output: target.map(|target| relative_to(here, Path::new(&*target)).into_owned()),
            error: None,
        }
    }
}
