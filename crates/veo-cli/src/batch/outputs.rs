//! Chooses the files for the videos of a batch.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use veo_core::ledger::{EntryState, Listed};

use crate::batch::entries::Entries;
use crate::batch::lines::BatchLine;
use crate::failure::Failure;
use crate::paths::{canonical, is_dash, next_free};

pub(super) struct Outputs<'a> {
    /// The start of the file names that the program chooses.
    stem: String,
    /// The files of the batch itself: its lines, its ledger and its receipts.
    reserved: Vec<PathBuf>,
    /// The files that a line or a job owns, with their owners. No other line may name these files.
    claimed: HashMap<PathBuf, String>,
    /// The files of videos that exist or may still come. The program never chooses one of these names.
    used: HashSet<&'a str>,
}

impl<'a> Outputs<'a> {
    /// Collects the files of the lines, of the entries, and of the open jobs that are in no batch.
    pub(super) fn new(
        file: &Path,
        lines: &[BatchLine],
        entries: &'a Entries,
        others: &'a [Listed],
        reserved: Vec<PathBuf>,
    ) -> Self {
        let mut claimed = HashMap::new();
        let mut used = HashSet::new();
        for listed in others.iter().chain(entries.all()) {
            let Some(target) = listed.target.as_deref() else {
                continue;
            };
            if holds_target(listed) {
                used.insert(target);
            }
            if let Some(job) = &listed.job
                && listed.state.is_open()
            {
                claimed.insert(target.into(), job.to_string());
            }
        }
        // A line that was sent owns its file, even if an unsent line names the same file.
        let mut unsent = Vec::new();
        for line in lines {
            let entry = entries.of_line(line).filter(|listed| holds_target(listed));
            match entry.and_then(|listed| listed.target.as_deref()) {
                Some(target) => drop(claimed.insert(target.into(), line_name(line))),
                None => unsent.push(line),
            }
        }
        for line in unsent {
            if let Some(path) = &line.output {
                claimed
                    .entry(canonical(path))
                    .or_insert_with(|| line_name(line));
            }
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        Self {
            stem: stem.into_owned(),
            reserved,
            claimed,
            used,
        }
    }

    /// Chooses the file of a line that is to be sent.
    pub(super) fn of(&mut self, line: &BatchLine, force: bool) -> Result<PathBuf, Failure> {
        if let Some(path) = &line.output {
            self.check(path, line)?;
            return Ok(path.clone());
        }
        let like = PathBuf::from(format!("{}-{}.mp4", self.stem, line.number));
        let is_taken = |path: &Path| {
            let place = canonical(path);
            self.claimed.contains_key(&place)
                || place
                    .to_str()
                    .is_some_and(|place| self.used.contains(place))
                || (!force && path.exists())
        };
        let path = next_free(&like, is_taken);
        self.claimed.insert(canonical(&path), line_name(line));
        Ok(path)
    }

    /// Refuses a file that a line names if another line, a job or the batch itself owns it.
    fn check(&self, path: &Path, line: &BatchLine) -> Result<(), Failure> {
        let shown = path.display();
        if is_dash(path) {
            return Err(Failure::usage(
                "a line of a batch needs a file of its own, and - is standard output; for a file of that name write ./-",
            ));
        }
        let place = canonical(path);
        if self.reserved.contains(&place) {
            return Err(Failure::usage(format!(
                "{shown} is the batch, its ledger or its receipts"
            )));
        }
        match self.claimed.get(&place) {
            Some(whose) if *whose != line_name(line) => Err(Failure::usage(format!(
                "{shown} is the output of {whose} as well"
            ))),
            _ => Ok(()),
        }
    }
}

/// Returns whether the video of an entry exists or may still come.
fn holds_target(listed: &Listed) -> bool {
    listed.state.is_open() || listed.state == EntryState::Done
}

fn line_name(line: &BatchLine) -> String {
    format!("line {}", line.number)
}
