//! Paths of files: canonical paths, free names, and checks whether a file can be saved at a path.

use std::borrow::Cow;
use std::env;
use std::path::{Path, PathBuf};

use veo_core::JobRef;
use veo_core::ledger::Entry;

use crate::failure::Failure;

/// Returns the absolute path of a file with its folder resolved, so that all spellings of a path give the same result.
/// The file need not exist.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return absolute;
    };
    match folder.canonicalize() {
        Ok(folder) => folder.join(name),
        Err(_) => absolute,
    }
}

/// Returns this path or the next free one: video.mp4, video-2.mp4 and so on.
pub(crate) fn next_free(like: &Path, is_taken: impl Fn(&Path) -> bool) -> PathBuf {
    let stem = like.file_stem().unwrap_or_default().to_string_lossy();
    let mut path = like.to_owned();
    let mut number = 1;
    while is_taken(&path) {
        number += 1;
        path = like.with_file_name(format!("{stem}-{number}.mp4"));
    }
    path
}

/// Returns whether a path means standard output. A file of that name is `./-`.
pub(crate) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Refuses a path where no file can be saved. `option` is the option with the path.
pub(crate) fn check_target(path: &Path, option: &str, force: bool) -> Result<(), Failure> {
    check_folder(folder_of(path), option)?;
    check_name(path, option, force)
}

/// The folder of a file. A path without a folder is in the current folder.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses a folder that does not exist, or where no file can be made.
pub(crate) fn check_folder(folder: &Path, option: &str) -> Result<(), Failure> {
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(Failure::usage(format!(
            "there is no folder {folder}; create it, or choose another with {option}"
        )));
    }
    check_writable(folder, option)
}

/// Refuses a name that no file can have, or that another file has. The folder is not checked.
pub(crate) fn check_name(path: &Path, option: &str, force: bool) -> Result<(), Failure> {
    let shown = path.display();
    if path.to_str().is_none() {
        return Err(Failure::usage(format!(
            "{shown} is not valid Unicode, so it cannot be recorded; choose another file with {option}"
        )));
    }
    // A video that fails its check is stored as NAME.part. If that name is taken meanwhile, it gets a number, such as
    // NAME-2. The ending and the number need at most 10 more bytes.
    check_length(path, 10, option)?;
    let text = path.as_os_str().as_encoded_bytes();
    if path.is_dir() || text.ends_with(b"/") || text.ends_with(b"/.") {
        return Err(Failure::usage(format!(
            "{shown} is a folder; name a file in it"
        )));
    }
    if path.exists() && !force {
        return Err(Failure::usage(format!(
            "{shown} is already there; choose another file with {option}, or replace it with --force"
        )));
    }
    Ok(())
}

/// Refuses a file name that is too long once `more` bytes are added, for the names of further files beside the file.
pub(crate) fn check_length(path: &Path, more: usize, option: &str) -> Result<(), Failure> {
    /// The longest name in bytes in the usual file systems.
    const LONGEST_NAME: usize = 255;
    let length = path.file_name().unwrap_or_default().len();
    let most = LONGEST_NAME - more;
    if length <= most {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "a name of {length} bytes is too long, since files beside it get longer names; choose a name of up to {most} bytes \
         with {option}"
    )))
}

/// Refuses a pipe or a device as the target of a video, since saving would replace it for all programs that use it.
pub(crate) fn check_regular(path: &Path, option: &str) -> Result<(), Failure> {
    if !path.exists() || path.is_file() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is not a regular file, so no video is saved there; choose another with {option}",
        path.display()
    )))
}

/// Makes a temporary file in a folder, and refuses the folder if that fails.
pub(crate) fn check_writable(folder: &Path, option: &str) -> Result<(), Failure> {
    let made = tempfile::Builder::new().prefix(".veo-").tempfile_in(folder);
    match made {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!(
            "no file can be made in the folder {}: {}; choose another with {option}",
            folder.display(),
            error.kind()
        ))),
    }
}

/// A path relative to the current folder, if the path is below that folder.
pub(crate) fn relative(path: &Path) -> PathBuf {
    relative_to(&current_folder(), path).into_owned()
}

/// A path relative to `here`, if the path is below `here`. A caller with many paths finds the current folder only once.
pub(crate) fn relative_to<'a>(here: &Path, path: &'a Path) -> Cow<'a, Path> {
    match path.strip_prefix(here) {
        Ok(relative) if is_dash(relative) => Path::new(".").join(relative).into(),
        Ok(relative) => relative.into(),
        Err(_) => path.into(),
    }
}

pub(crate) fn current_folder() -> PathBuf {
    env::current_dir().unwrap_or_default()
}

/// The program's folder `veo` in the folder that an environment variable names, or else in a folder below the home.
pub(crate) fn own_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from);
    let folder = match named {
        Some(folder) if folder.is_absolute() => folder,
        _ => env::home_dir()?.join(below_home),
    };
    Some(folder.join("veo"))
}

/// A file name made of the job's name, for a video without a path.
pub(crate) fn named_after(job: &JobRef) -> PathBuf {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let task: String = job.task.chars().take(100).collect();
    PathBuf::from(format!("{}-{}.mp4", job.provider, task.replace(odd, "-")))
}

/// The path where the video of an entry is or will be saved. A video that went to standard output has none.
pub(crate) fn entry_path(entry: &Entry) -> Option<PathBuf> {
    if let Some(delivered) = &entry.delivered {
        let path = &delivered.saved.path;
        let is_somewhere = !path.as_os_str().is_empty();
        return is_somewhere.then(|| relative(path));
    }
    let target = entry.target.as_deref()?;
    Some(relative(Path::new(target)))
}

/// The path for the video of a job if the user does not name one.
pub(crate) fn job_path(job: &JobRef, entry: Option<&Entry>) -> PathBuf {
    entry
        .and_then(entry_path)
        .unwrap_or_else(|| named_after(job))
}
