//! The destination of a video: a file, or standard output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use veo_core::JobRef;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::paths::{canonical, check_regular, check_target, is_dash};

pub(crate) enum Destination {
    File(PathBuf),
    /// Standard output. The video is first completed in this folder, which is removed when this is dropped.
    Stdout(TempDir),
}

/// The place where a new video is to be saved.
pub(crate) enum Target {
    /// A place that the user has named.
    Given(Destination),
    /// The name `like`, or the next free one, if the user has named no place. `replace` allows a file that exists.
    Free { like: PathBuf, replace: bool },
}

impl Destination {
    /// Makes a destination of the path of `--output`. Refuses a path where no file can be saved. Refuses standard
    /// output if it is a terminal or has the events.
    pub(crate) fn of(path: PathBuf, force: bool, output: &Output) -> Result<Self, Failure> {
        if !is_dash(&path) {
            check_target(&path, "--output", force)?;
            check_regular(&path, "--output")?;
            return Ok(Self::File(path));
        }
        if output.is_json() {
            return Err(Failure::usage(
                "standard output cannot have both the video and the events of --json; leave out --json, or name a file \
                 with --output",
            ));
        }
        if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "standard output is a terminal, which cannot show a video; redirect it, or name a file with --output",
            ));
        }
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::usage(format!(
                "there is no place for a temporary file: {error}; name a file with --output"
            ))
        })?;
        Ok(Self::Stdout(folder))
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// The file that the video is downloaded to.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Stdout(folder) => folder.path().join("video.mp4"),
        }
    }

    /// The target for the ledger. Standard output has none, since a later run cannot save a video there.
    pub(crate) fn target(&self) -> Option<String> {
        match self {
            Self::File(path) => Some(canonical(path).display().to_string()),
            Self::Stdout(_) => None,
        }
    }
}

/// Writes the video of a job to standard output in a thread of its own, so that Ctrl-C works even if nobody reads.
pub(crate) async fn write_out(video: &Path, job: &JobRef) -> Result<(), Failure> {
    let mut file = File::open(video).map_err(|error| not_written(job, &error))?;
    let copy = move || {
        let mut stdout = io::stdout().lock();
        io::copy(&mut file, &mut stdout)?;
        stdout.flush()
    };
    let copied = spawn_blocking(copy).await.map_err(io::Error::other);
    copied.flatten().map_err(|error| not_written(job, &error))
}

fn not_written(job: &JobRef, error: &io::Error) -> Failure {
    let message = format!("the video cannot be written to standard output: {error}");
    Failure::after_payment(job, message)
        .with_exit(Exit::Unfinished)
        .with_next(format!(
            "It is paid for. Save it with: veo download {job} -o FILE"
        ))
}
