//! Decides for each line of a batch whether it is sent, waited for or left alone.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use veo_core::ledger::{Entry, EntryState};
use veo_core::{Client, Error, ErrorKind};

use crate::batch::entries::Entries;
use crate::batch::lines::{BatchLine, unusable};
use crate::batch::outputs::Outputs;
use crate::config::Config;
use crate::failure::{Exit, Failure, settle_advice};
use crate::paths::{check_folder, check_name, check_regular, folder_of};
use crate::run::plan_or_refuse;
use crate::store::Store;

/// The field of a line that names its file.
const OUTPUT: &str = "\"output\"";

pub(super) enum Action {
    Send {
        key: String,
        path: PathBuf,
    },
    Wait(Box<Entry>),
    /// The line is left alone, with this reason.
    Skip(Box<Failure>),
    /// The video was saved before, so only its receipt is printed again.
    Done(Box<Entry>),
}

/// The state that the decision depends on.
pub(super) struct Decision<'a> {
    pub(super) entries: &'a Entries,
    pub(super) client: &'a Client,
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) retry_failed: bool,
    pub(super) force: bool,
}

impl Decision<'_> {
    /// Returns the action for each line. The error lists every reason against sending a line, and then none is sent.
    pub(super) async fn actions(
        &self,
        file: &Path,
        lines: &[BatchLine],
        mut outputs: Outputs<'_>,
    ) -> Result<Vec<Action>, Failure> {
        let mut actions = Vec::new();
        let mut folders = HashSet::new();
        let mut problems = Vec::new();
        for line in lines {
            let entry = match self.entries.of_line(line) {
                Some(listed) => self.store.entry(&listed.key).await,
                None => Ok(None),
            };
            let entry = entry.map_err(|failure| unusable(file, &[failure.message()]))?;
            match self.action(line, entry, &mut outputs, &mut folders).await {
                Ok(action) => actions.push(action),
                Err(failure) => {
                    let message = failure.message().replace('\n', "; ");
                    problems.push(format!("line {}: {message}", line.number));
                }
            }
        }
        if problems.is_empty() {
            Ok(actions)
        } else {
            Err(unusable(file, &problems))
        }
    }

    async fn action(
        &self,
        line: &BatchLine,
        entry: Option<Entry>,
        outputs: &mut Outputs<'_>,
        folders: &mut HashSet<PathBuf>,
    ) -> Result<Action, Failure> {
        let key = match entry {
            None => line.key.clone(),
            Some(entry) => match entry.state {
                EntryState::Done => return Ok(Action::Done(Box::new(entry))),
                EntryState::Accepted | EntryState::Finished if self.is_of_here(&entry) => {
                    return Ok(Action::Wait(Box::new(entry)));
                }
                // Another machine is sending the line. The same key is safe: the ledger answers with its job.
                EntryState::OnItsWay if self.store.is_shared() => entry.key,
                // The line may be paid for. Only the user can find out, so the line is not sent.
                EntryState::Unknown | EntryState::OnItsWay => {
                    return Ok(Action::Skip(Box::new(unknown(&entry, self.store))));
                }
                EntryState::Failed if !self.retry_failed => {
                    return Ok(Action::Skip(Box::new(failed(&entry))));
                }
                // The user has asked for a new payment. It needs a new key, since one key is paid for only once.
                EntryState::Failed => next_try(&entry.key),
                // Nothing is charged yet, or another machine has the job. The ledger never sends a key that has a job.
                _ => entry.key,
            },
        };
        plan_or_refuse(self.client, self.config, &line.request)?;
        for image in line.request.images() {
            image.check().await?;
        }
        let path = outputs.of(line, self.force)?;
        // The check makes a file in the folder, so it runs once for a folder that many lines share.
        if !folders.contains(folder_of(&path)) {
            check_folder(folder_of(&path), OUTPUT)?;
            folders.insert(folder_of(&path).to_owned());
        }
        check_name(&path, OUTPUT, self.force)?;
        check_regular(&path, OUTPUT)?;
        Ok(Action::Send { key, path })
    }

    /// Returns whether this machine is to save the video of an entry. With a shared ledger it can be another machine.
    fn is_of_here(&self, entry: &Entry) -> bool {
        match &entry.target {
            Some(target) if self.store.is_shared() => folder_of(Path::new(target)).is_dir(),
            _ => true,
        }
    }
}

/// The key for the next try, after the job of a key has failed: `KEY/2`, then `KEY/3`.
fn next_try(key: &str) -> String {
    match key.split_once('/') {
        Some((key, number)) => format!("{key}/{}", number.parse::<u32>().unwrap_or(1) + 1),
        None => format!("{key}/2"),
    }
}

fn failed(entry: &Entry) -> Failure {
    let error = match entry.why() {
        Some(error) => error.clone(),
        None => Error::new(ErrorKind::JobFailed, "the job has failed"),
    };
    Failure::from(error)
        .with_exit(Exit::Failed)
        .with_next("It is sent again only with --retry-failed.")
}

fn unknown(entry: &Entry, store: &Store) -> Failure {
    let error = match entry.unknown() {
        Some(unknown) => unknown.error,
        None => {
            let message = "another process is sending it, or its record is damaged";
            Error::new(ErrorKind::OutcomeUnknown, message)
        }
    };
    Failure::from(error)
        .with_exit(Exit::Unknown)
        .with_next(settle_advice(&entry.key, store.batch()))
}
