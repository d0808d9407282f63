//! Where the videos of a batch go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use veo_core::ledger::{EntryState, Listed};

use crate::batch::entries::Ledger;
use crate::batch::lines::Line;
use crate::failure::Failure;
use crate::paths::{free, place};

/// Where the videos of a batch go.
pub(super) struct Outputs<'a> {
    /// The start of the names that nobody has given.
    stem: String,
    /// By the batch itself: its file, its ledger and its receipts.
    reserved: Vec<PathBuf>,
    /// By a line or a job, whose file nobody else may name.
    claimed: HashMap<PathBuf, String>,
    /// By a video that is or may come there. A name that nobody has given is another one.
    used: HashSet<&'a Path>,
}

impl<'a> Outputs<'a> {
    /// Those of the lines, of what the ledger knows, and of the open jobs that are in no batch.
    pub(super) fn new(
        file: &Path,
        lines: &[Line],
        known: &'a Ledger,
        others: &'a [Listed],
        reserved: Vec<PathBuf>,
    ) -> Self {
        let keeps = |listed: &&Listed| listed.state.is_open() || listed.state == EntryState::Done;
        let mut claimed = HashMap::new();
        let open = others.iter().chain(
            known
                .entries
                .values()
                .filter(|listed| listed.state.is_open()),
        );
        for listed in open {
            if let (Some(path), Some(job)) = (target(listed), &listed.job) {
                claimed.insert(path.to_owned(), job.clone());
            }
        }
        let kept = |line: &Line| known.of_line(line).filter(keeps).and_then(target);
        for line in lines {
            if let Some(path) = kept(line) {
                claimed.insert(path.to_owned(), name(line));
            }
        }
        for line in lines.iter().filter(|line| kept(line).is_none()) {
            if let Some(path) = &line.output {
                claimed.entry(place(path)).or_insert_with(|| name(line));
            }
        }
        let used = others
            .iter()
            .chain(known.entries.values())
            .filter(keeps)
            .filter_map(target)
            .collect();
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            stem,
            reserved,
            claimed,
            used,
        }
    }

    /// That of a line that is to be sent.
    pub(super) fn of(&mut self, line: &Line, force: bool) -> Result<PathBuf, Failure> {
        if let Some(path) = &line.output {
            if self.reserved.contains(&place(path)) {
                let message = format!(
                    "{} is the batch, its ledger or its receipts",
                    path.display()
                );
                return Err(Failure::usage(message));
            }
            return match self.claimed.get(&place(path)) {
                Some(whose) if *whose != name(line) => Err(Failure::usage(format!(
                    "{} is the output of {whose} as well",
                    path.display()
                ))),
                _ => Ok(path.clone()),
            };
        }
        let like = PathBuf::from(format!("{}-{}.mp4", self.stem, line.number));
        let is_taken = |path: &Path| {
            let place = place(path);
            self.claimed.contains_key(&place)
                || self.used.contains(place.as_path())
                || (!force && path.exists())
        };
        let path = free(&like, is_taken);
        self.claimed.insert(place(&path), name(line));
        Ok(path)
    }
}

/// Where the video of an entry is, or is to go.
fn target(listed: &Listed) -> Option<&Path> {
    listed.target.as_deref().map(Path::new)
}

fn name(line: &Line) -> String {
    format!("line {}", line.number)
}
