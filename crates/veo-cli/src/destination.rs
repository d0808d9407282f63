//! Where the video of a job goes: a file, or standard output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use veo_core::JobRef;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::paths::{check_regular, check_target, is_dash, place};

/// Where the video of a job goes.
pub(crate) enum Destination {
    File(PathBuf),
    /// Standard output. Before that, the video is whole in a file of this folder, which goes when this is dropped.
    Stdout(TempDir),
}

/// Where a new video is to be saved.
pub(crate) enum Target {
    /// The user has named this place.
    Given(Destination),
    /// The user has named none: it is this, or the next name like it that is free. `replace` allows a file that is there.
    Free { like: PathBuf, replace: bool },
}

impl Destination {
    /// The place that --output names. A file where nothing can be saved is refused, and so is standard output if it is for
    /// something else.
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

    /// The place as the ledger has it. Standard output is none to which a video could go later.
    pub(crate) fn target(&self) -> Option<String> {
        match self {
            Self::File(path) => Some(place(path).display().to_string()),
            Self::Stdout(_) => None,
        }
    }
}

/// Writes the video of a job to standard output. Ctrl-C is heard meanwhile, also when nobody reads.
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
