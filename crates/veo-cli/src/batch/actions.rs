//! The decision what to do for each line of a batch.

use std::path::PathBuf;

use veo_core::ledger::{Entry, EntryState};
use veo_core::{Client, ErrorKind};

use crate::batch::entries::Ledger;
use crate::batch::lines::Line;
use crate::batch::outputs::Outputs;
use crate::failure::{Exit, Failure, look};
use crate::paths::check_target;
use crate::run::possible;
use crate::store::Store;

/// What there is to do for a line.
pub(super) enum Step {
    Send {
        key: String,
        path: PathBuf,
    },
    Wait(Box<Entry>),
    /// It is not to be touched.
    Leave(Box<Failure>),
    Done(Box<Entry>),
}

/// What there is to do for each line, or everything that stands against the new ones.
pub(super) async fn steps(
    lines: &[Line],
    known: &Ledger,
    mut outputs: Outputs<'_>,
    client: &Client,
    store: &Store,
    retry_failed: bool,
    force: bool,
) -> Result<Vec<Step>, Vec<String>> {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for line in lines {
        let listed = known.of_line(line);
        let entry = match listed {
            Some(listed) => store
                .entry(&listed.key)
                .await
                .map_err(|failure| vec![failure.message()])?,
            None => None,
        };
        let key = entry
            .as_ref()
            .map_or(line.key.clone(), |entry| entry.key.clone());
        let (state, key) = match entry.as_ref().map(|entry| entry.state) {
            // A failed job ends its key, and a further try has one of its own.
            Some(EntryState::Failed) if retry_failed => (None, next_try(&key)),
            state => (state, key),
        };
        let step = match (state, entry) {
            (Some(EntryState::Done), Some(entry)) => Step::Done(Box::new(entry)),
            (Some(EntryState::Accepted | EntryState::Finished), Some(entry)) => {
                Step::Wait(Box::new(entry))
            }
            (Some(EntryState::Unknown | EntryState::OnItsWay), Some(entry)) => {
                Step::Leave(Box::new(unknown(&entry, store)))
            }
            (Some(EntryState::Failed), Some(entry)) => {
                let why = entry.why().cloned();
                let why = why.unwrap_or_else(|| {
                    veo_core::Error::new(ErrorKind::JobFailed, "the job has failed")
                });
                let next = "It is not sent again, unless you say so with --retry-failed.";
                Step::Leave(Box::new(
                    Failure::from(why).with_exit(Exit::Failed).with_next(next),
                ))
            }
            _ => match begin(line, &mut outputs, client, force).await {
                Ok(path) => Step::Send { key, path },
                Err(failure) => {
                    problems.push(format!(
                        "line {}: {}",
                        line.number,
                        failure.message().replace('\n', "; ")
                    ));
                    continue;
                }
            },
        };
        steps.push(step);
    }
    if problems.is_empty() {
        Ok(steps)
    } else {
        Err(problems)
    }
}

/// The key after one whose job has failed: `KEY/2` and so on.
fn next_try(key: &str) -> String {
    match key.split_once('/') {
        Some((key, number)) => format!("{key}/{}", number.parse::<u32>().unwrap_or(1) + 1),
        None => format!("{key}/2"),
    }
}

/// Where the video of a line goes that is to be sent, if it can be sent.
async fn begin(
    line: &Line,
    outputs: &mut Outputs<'_>,
    client: &Client,
    force: bool,
) -> Result<PathBuf, Failure> {
    possible(client.plan(&line.request))?;
    for image in line.request.images() {
        image.check().await?;
    }
    let path = outputs.of(line, force)?;
    check_target(&path, "\"output\"", force)?;
    Ok(path)
}

fn unknown(entry: &Entry, store: &Store) -> Failure {
    let failure = match entry.unknown() {
        Some(unknown) => Failure::from(unknown.error),
        None => {
            let message = "another process is sending it, or its record is damaged";
            Failure::from(veo_core::Error::new(ErrorKind::OutcomeUnknown, message))
        }
    };
    failure
        .with_exit(Exit::Unknown)
        .with_next(look(&entry.key, store.batch()))
}
