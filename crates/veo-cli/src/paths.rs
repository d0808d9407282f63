//! Where files go: what a path means, which name is free, and whether a file can be saved there.

use std::env;
use std::path::{Path, PathBuf};

use veo_core::JobRef;
use veo_core::ledger::Entry;

use crate::failure::Failure;

/// Where a new video is to be saved.
pub(crate) enum Target {
    /// Somebody has said so.
    Given(PathBuf),
    /// Nobody has: this, or the next name like it that is free. A file can be in the way or be replaced.
    Free { like: PathBuf, replace: bool },
}

impl Target {
    /// Whether another name would do.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self, Self::Free { .. })
    }
}

/// What a path means, however it is written.
pub(crate) fn place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (
        absolute.parent().map(Path::canonicalize),
        absolute.file_name(),
    ) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

/// This name, or the next one like it that is free: video.mp4, video-2.mp4 and so on.
pub(crate) fn free(like: &Path, is_taken: impl Fn(&Path) -> bool) -> PathBuf {
    let stem = like.file_stem().unwrap_or_default().to_string_lossy();
    let next = |number: usize| match number {
        1 => like.to_owned(),
        _ => like.with_file_name(format!("{stem}-{number}.mp4")),
    };
    (1..)
        .map(next)
        .find(|path| !is_taken(path))
        .unwrap_or_default()
}

/// Whether a file can be saved in a place, with the option that names the place.
pub(crate) fn check_target(path: &Path, option: &str, force: bool) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    Err(Failure::usage(if !folder.is_dir() {
        format!(
            "there is no folder {}; create it, or choose another with {option}",
            folder.display()
        )
    } else if path.to_str().is_none() {
        format!(
            "{} is no text, and cannot be written down; choose another file with {option}",
            path.display()
        )
    } else if path.is_dir() {
        format!("{} is a folder; name a file in it", path.display())
    } else if path.exists() && !force {
        format!(
            "{} is already there; choose another file with {option}, or replace it with --force",
            path.display()
        )
    } else {
        return Ok(());
    }))
}

/// A path as one would write it here.
pub(crate) fn relative(path: &Path) -> PathBuf {
    relative_to(&current_folder(), path.to_owned())
}

/// The same with the current folder, for many paths.
pub(crate) fn relative_to(here: &Path, path: PathBuf) -> PathBuf {
    match path.strip_prefix(here) {
        Ok(relative) => relative.to_owned(),
        Err(_) => path,
    }
}

pub(crate) fn current_folder() -> PathBuf {
    env::current_dir().unwrap_or_default()
}

/// Where the video of a job goes if nobody has said where.
pub(crate) fn named_after(job: &JobRef) -> PathBuf {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let task: String = job.task.chars().take(100).collect();
    PathBuf::from(format!("{}-{}.mp4", job.provider, task.replace(odd, "-")))
}

/// Where the video of an entry is, or is to go.
pub(crate) fn path_in(entry: &Entry) -> Option<PathBuf> {
    let saved = entry
        .delivered
        .as_ref()
        .map(|delivered| delivered.saved.path.as_path());
    saved
        .or(entry.target.as_deref().map(Path::new))
        .map(relative)
}

/// Where the video of a job goes if nobody says where.
pub(crate) fn path_of(job: &JobRef, entry: Option<&Entry>) -> PathBuf {
    entry.and_then(path_in).unwrap_or_else(|| named_after(job))
}
