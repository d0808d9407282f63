//! The partial file of a download. The download can be resumed, and the file moves to its path only once it is whole.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::Response;
use reqwest::Version;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, TRANSFER_ENCODING,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tracing::debug;
use veo_transport::WIRE;

use super::media::{Flaw, Media, Whole};
use crate::text::{folder_of, hex};
use crate::{Error, ErrorKind};

/// A video that was saved whole and synced to the disk.
///
/// From [`Client::download`](crate::Client::download). It serializes to JSON, as a part of a
/// [`Receipt`](crate::Receipt).
///
/// ```
/// fn tell(saved: &veo_core::Saved) {
///     println!("{}: {} bytes, SHA-256 {}", saved.path.display(), saved.bytes, saved.sha256);
/// }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Saved {
    /// The path of the file, in the caller's spelling.
    pub path: PathBuf,
    /// The size in bytes.
    pub bytes: u64,
    /// The SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// The properties that are written in the file.
    pub media: Media,
}

/// A partial download: the bytes of a video that have arrived.
pub(super) struct Part<'a> {
    path: &'a Path,
    /// The temporary file. It is in the folder of the target, so one rename moves it. It is removed when dropped.
    temporary: NamedTempFile,
    file: tokio::fs::File,
    hasher: Sha256,
    pub(super) received: u64,
    pub(super) total: Option<u64>,
    /// True if the last reply marked its own end. Without such a mark, a cut connection looks like an end.
    pub(super) has_end: bool,
    /// The header that tells one version of the file from another. Without this header, the transfer is resumed only if
    /// the length is known and the reply with the rest gives the same length.
    validator: Option<(HeaderName, HeaderValue)>,
    /// The `ETag` of the file, even if it is weak and so cannot tell versions apart.
    tag: Option<HeaderValue>,
}

impl<'a> Part<'a> {
    pub(super) fn new(path: &'a Path) -> Result<Self, Error> {
        let folder = folder_of(path);
        let temporary = locked_in(folder).map_err(|error| unwritten(path, error))?;
        // The handle is cloned, and the file is not opened again: on some systems a lock refuses every other handle.
        let file = temporary
            .as_file()
            .try_clone()
            .map_err(|error| unwritten(path, error))?;
        Ok(Self {
            path,
            temporary,
            file: tokio::fs::File::from_std(file),
            hasher: Sha256::new(),
            received: 0,
            total: None,
            has_end: false,
            validator: None,
            tag: None,
        })
    }

    pub(super) fn restart(&mut self) -> Result<(), Error> {
        if self.received > 0 {
            *self = Self::new(self.path)?;
        }
        Ok(())
    }

    /// Starts with a reply that has the whole file.
    pub(super) fn begin(&mut self, response: &Response) -> Result<(), Error> {
        if self.received > 0 {
            debug!(target: WIRE, received = self.received, "the download starts again, since the host does not resume it");
        }
        self.restart()?;
        let total = content_range(response.headers()).and_then(|(_, total)| total);
        self.total = total.or(response.content_length());
        self.has_end = self.total.is_some()
            || response.headers().contains_key(TRANSFER_ENCODING)
            || response.version() == Version::HTTP_2;
        self.validator = validator(response.headers());
        self.tag = response.headers().get(ETAG).cloned();
        Ok(())
    }

    /// Returns whether a reply continues the same file exactly where this part ends.
    pub(super) fn continues(&mut self, response: &Response) -> bool {
        let headers = response.headers();
        let Some((first, total)) = content_range(headers) else {
            return false;
        };
        let is_same = match &self.validator {
            Some((name, value)) => {
                let has_same_length =
                    self.total.is_none() || total.is_none() || self.total == total;
                has_same_length && headers.get(name).is_none_or(|now| now == value)
            }
            // The same length proves little. A wrong rest is found when the whole video is checked.
            None => {
                let has_same_length = self.total.is_some() && self.total == total;
                has_same_length && headers.get(ETAG) == self.tag.as_ref()
            }
        };
        self.total = self.total.or(total);
        is_same && first == self.received && self.received > 0
    }

    /// The values of `Range` and `If-Range` that request the rest of the file; `None` if all of it has to be requested.
    pub(super) fn rest(&self) -> Option<(String, Option<HeaderValue>)> {
        let validator = self.validator.as_ref().map(|(_, value)| value.clone());
        let is_known = validator.is_some() || self.total.is_some();
        (self.received > 0 && is_known).then(|| (format!("bytes={}-", self.received), validator))
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| unwritten(self.path, error))?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Marks the part as complete, for a caller that has written the whole video.
    pub(super) fn mark_complete(&mut self) {
        self.total = Some(self.received);
        self.has_end = true;
    }

    /// The SHA-256 of the bytes that have arrived, in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Checks that the part is a whole video.
    pub(super) async fn check_whole(&mut self) -> Result<Result<Whole, Flaw>, Error> {
        // The last write may still be pending, and only the flush returns its error.
        let flushed = self.file.flush().await;
        flushed.map_err(|error| unwritten(self.path, error))?;
        let file = self.temporary.as_file().try_clone();
        let file = file.map_err(|error| unwritten(self.path, error))?;
        let looking = tokio::task::spawn_blocking(move || Whole::read(file));
        let looked = looking.await.map_err(|error| {
            download_failure("the video could not be looked into").with_source(error)
        })?;
        // The check has moved the position of the handle, and more bytes may follow.
        let end = self
            .file
            .seek(std::io::SeekFrom::Start(self.received))
            .await;
        end.map_err(|error| unwritten(self.path, error))?;
        Ok(looked)
    }

    /// Syncs the video to the disk, and then moves it to its path.
    pub(super) async fn finish(self, media: Media, replace: bool) -> Result<Saved, Error> {
        let sha256 = self.sha256();
        let bytes = self.received;
        let path = self.placed(replace, None).await?;
        Ok(Saved {
            path,
            bytes,
            sha256,
            media,
        })
    }

    /// Keeps a part that is no whole video beside the path. Its name is the name of the path with `.part` at the end.
    pub(super) async fn keep(self) -> Result<PathBuf, Error> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = self.path.with_file_name(name);
        self.placed(false, Some(beside)).await
    }

    /// Moves the file to `elsewhere`, or else to its path. Returns the final path.
    async fn placed(mut self, replace: bool, elsewhere: Option<PathBuf>) -> Result<PathBuf, Error> {
        let path = self.path;
        let sha256 = self.sha256();
        let synced = match self.file.flush().await {
            Ok(()) => self.file.sync_all().await,
            Err(error) => Err(error),
        };
        synced.map_err(|error| unwritten(path, error))?;
        let temporary = self.temporary;
        let wanted = elsewhere.unwrap_or_else(|| path.to_owned());
        let placing =
            tokio::task::spawn_blocking(move || place(temporary, wanted, &sha256, replace));
        placing
            .await
            .map_err(|error| download_failure("the video could not be moved").with_source(error))?
    }
}

/// Moves a file to its path, and returns the final path, which can have another name.
fn place(
    temporary: NamedTempFile,
    wanted: PathBuf,
    sha256: &str,
    replace: bool,
) -> Result<PathBuf, Error> {
    // A pipe or a device is never replaced, since other programs use it.
    let is_special = wanted.metadata().is_ok_and(|there| !there.is_file());
    let path = if replace && !is_special {
        temporary
            .persist(&wanted)
            .map_err(|error| unwritten(&wanted, error.error))?;
        wanted
    } else {
        persist_beside(temporary, wanted, sha256)?
    };
    // Some file systems cannot sync a folder. The video is whole even then.
    #[cfg(unix)]
    let _ = File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
    Ok(path)
}

/// The start and the end of the names of partial files.
const PREFIX: &str = ".veo-";
const SUFFIX: &str = ".part";

/// Makes a partial file. This process locks the file as long as it has it open.
fn locked_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // A saved video gets the permissions of a normal file. By default, other users cannot read a temporary file.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    loop {
        let temporary = builder.tempfile_in(folder)?;
        // Some file systems have no locks. On them, no leftover file is removed either, so an unlocked file is safe.
        let _ = temporary.as_file().lock();
        // Another process may have removed the file between its creation and the lock.
        if temporary.path().exists() {
            return Ok(temporary);
        }
    }
}

/// Removes the partial files of ended processes from a folder.
pub(super) fn remove_left_over(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || !name.ends_with(SUFFIX) {
            continue;
        }
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let Some(file) = is_file.then(|| File::open(entry.path()).ok()).flatten() else {
            continue;
        };
        if file.try_lock().is_ok() {
            // A file that cannot be removed does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Moves a video to its path, or to the next free name if another file is there. A file with the same content is this
/// video: an earlier process has saved it, and ended before the ledger had it as saved.
fn persist_beside(
    mut temporary: NamedTempFile,
    wanted: PathBuf,
    sha256: &str,
) -> Result<PathBuf, Error> {
    let mut target = wanted.clone();
    for number in 2_u32.. {
        match temporary.persist_noclobber(&target) {
            Ok(_) => break,
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                if sha256_of(&target).is_ok_and(|found| found == sha256) {
                    break;
                }
                temporary = error.file;
                target = wanted.with_file_name(numbered(&wanted, number));
            }
            Err(error) => return Err(unwritten(&target, error.error)),
        }
    }
    Ok(target)
}

/// Numbers a file name: `dog.mp4` becomes `dog-2.mp4`.
fn numbered(path: &Path, number: u32) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    }
}

fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Returns the header that tells one version of a file from another, if there is one.
fn validator(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    if let Some(etag) = headers.get(ETAG)
        && etag.as_bytes().starts_with(b"\"")
    {
        return Some((ETAG, etag.clone()));
    }
    let modified = headers.get(LAST_MODIFIED)?;
    Some((LAST_MODIFIED, modified.clone()))
}

/// Reads the first byte of a range, and the size of the whole file if it is known.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// Returns whether the range of a reply begins with the first byte of the file, so that the reply starts the file
/// again.
pub(super) fn is_from_the_start(response: &Response) -> bool {
    content_range(response.headers()).is_some_and(|(first, _)| first == 0)
}

pub(super) fn download_failure(what: &str) -> Error {
    Error::new(
        ErrorKind::Download,
        format!("{what}; the video is still there, so download it again"),
    )
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    let message = format!(
        "{} cannot be written; choose another place and download it again",
        path.display()
    );
    Error::new(ErrorKind::Download, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    /// The write fits into a buffer, so only the flush fails on the full disk.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_not_the_fault_of_the_media_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kite.mp4");
        let mut part = Part::new(&path).unwrap();
        part.file = tokio::fs::File::options()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        part.write(b"a small video").await.unwrap();
        let error = part.check_whole().await.unwrap_err();
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<std::io::Error>())
            .unwrap();
        assert_eq!(cause.kind(), std::io::ErrorKind::StorageFull, "{error:?}");
        assert!(
            error
                .to_string()
                .contains("kite.mp4 cannot be written; choose another place"),
            "{error}"
        );
    }
}
