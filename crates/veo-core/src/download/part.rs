//! The file of a video on its way: it can go on where it stopped, and is in its place only once it is whole.

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

/// A video that was saved: all of it, and on the disk.
///
/// From [`Client::download`](crate::Client::download), where there is an example. It serializes to JSON, as a part of a [`Receipt`](crate::Receipt).
///
/// ```
/// fn tell(saved: &veo_core::Saved) {
///     println!("{}: {} bytes, SHA-256 {}", saved.path.display(), saved.bytes, saved.sha256);
/// }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Saved {
    /// Where it is, as the caller wrote it.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The properties that the file says it has.
    pub media: Media,
}

/// A video on its way to its file: as much of it as has arrived.
pub(super) struct Part<'a> {
    path: &'a Path,
    /// In the folder of the target, from where it can be moved in one step. It goes when it is dropped.
    temporary: NamedTempFile,
    file: tokio::fs::File,
    hasher: Sha256,
    pub(super) received: u64,
    pub(super) total: Option<u64>,
    /// Whether the last reply said itself where it ends, so that it was not merely cut off.
    pub(super) has_end: bool,
    /// The header that tells one version of the file from another. Without one the transfer is resumed only if the length is
    /// known, and what goes on is of a file of that length.
    validator: Option<(HeaderName, HeaderValue)>,
    /// The tag of the file, if there was one, and be it too weak to tell versions apart.
    tag: Option<HeaderValue>,
}

impl<'a> Part<'a> {
    pub(super) fn new(path: &'a Path) -> Result<Self, Error> {
        let folder = folder_of(path);
        let temporary = locked_in(folder).map_err(|error| unwritten(path, error))?;
        // The same handle, since a lock can keep out all others.
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

    /// Forgets what has arrived.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        if self.received > 0 {
            *self = Self::new(self.path)?;
        }
        Ok(())
    }

    /// Takes up a reply that holds the whole file.
    pub(super) fn begin(&mut self, response: &Response) -> Result<(), Error> {
        if self.received > 0 {
            debug!(target: WIRE, received = self.received, "it begins anew, since the rest of it does not come");
        }
        self.restart()?;
        self.total = response.content_length();
        self.has_end = self.total.is_some()
            || response.headers().contains_key(TRANSFER_ENCODING)
            || response.version() == Version::HTTP_2;
        self.validator = validator(response.headers());
        self.tag = response.headers().get(ETAG).cloned();
        Ok(())
    }

    /// Whether a reply goes on exactly where this part of the same file ends.
    pub(super) fn goes_on_with(&mut self, response: &Response) -> bool {
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
            // Whether the bytes fit is seen when the video is looked at.
            None => {
                let has_same_length = self.total.is_some() && self.total == total;
                has_same_length && headers.get(ETAG) == self.tag.as_ref()
            }
        };
        self.total = self.total.or(total);
        is_same && first == self.received && self.received > 0
    }

    /// The headers that ask for the rest of the same file, if the media host can be asked for it.
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

    /// Takes all that there is, from somewhere that holds all of it.
    pub(super) fn is_all(&mut self) {
        self.total = Some(self.received);
        self.has_end = true;
    }

    /// The SHA-256 of what has arrived, in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hasher.clone().finalize())
    }

    /// Looks whether it is a whole video that has arrived.
    pub(super) async fn look(&mut self) -> Result<Result<Whole, Flaw>, Error> {
        // The last bytes may still be on their way, and only this tells what became of them.
        let flushed = self.file.flush().await;
        flushed.map_err(|error| unwritten(self.path, error))?;
        let file = self.temporary.as_file().try_clone();
        let file = file.map_err(|error| unwritten(self.path, error))?;
        let looking = tokio::task::spawn_blocking(move || Whole::read(file));
        let looked = looking
            .await
            .map_err(|error| failure("the video could not be looked into").with_source(error))?;
        // More may follow.
        let end = self
            .file
            .seek(std::io::SeekFrom::Start(self.received))
            .await;
        end.map_err(|error| unwritten(self.path, error))?;
        Ok(looked)
    }

    /// Moves the video to its place, when all of it is on the disk.
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

    /// Leaves what is no whole video beside its place, with an ending that says so.
    pub(super) async fn keep(self) -> Result<PathBuf, Error> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let beside = self.path.with_file_name(name);
        self.placed(false, Some(beside)).await
    }

    /// Moves the file to its place or to another one.
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
            .map_err(|error| failure("the video could not be moved").with_source(error))?
    }
}

/// Moves a file to its place, and gives where it is.
fn place(
    temporary: NamedTempFile,
    wanted: PathBuf,
    sha256: &str,
    replace: bool,
) -> Result<PathBuf, Error> {
    // A pipe or a device is never replaced: all who use it would lose it.
    let is_special = wanted.metadata().is_ok_and(|there| !there.is_file());
    let path = if replace && !is_special {
        temporary
            .persist(&wanted)
            .map_err(|error| unwritten(&wanted, error.error))?;
        wanted
    } else {
        persist_beside(temporary, wanted, sha256)?
    };
    // Not every file system can do this for a folder, and the video is whole without it.
    #[cfg(unix)]
    let _ = File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
    Ok(path)
}

/// How the name of a file on its way begins and ends.
const PREFIX: &str = ".veo-";
const SUFFIX: &str = ".part";

/// A new file on its way, which is locked as long as this process has it.
fn locked_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // As any file that a program makes; temporary files are private otherwise.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    loop {
        let temporary = builder.tempfile_in(folder)?;
        // Not every file system has locks. There, nothing that is left over is removed either.
        let _ = temporary.as_file().lock();
        // Somebody who cleans up can have been between the two.
        if temporary.path().exists() {
            return Ok(temporary);
        }
    }
}

/// Removes what processes that have ended have left on its way in a folder.
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
            // If it cannot be removed, it stays, and is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Moves a video to its place or, if another file is there, to the next free name like it. A file with the same content is
/// this video, saved by a process that has ended before it could say so.
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

/// `dog-2.mp4` for `dog.mp4`.
fn numbered(path: &Path, number: u32) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    }
}

/// The SHA-256 of a file.
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

/// The header that tells one version of a file from another, for certain.
fn validator(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    if let Some(etag) = headers.get(ETAG)
        && etag.as_bytes().starts_with(b"\"")
    {
        return Some((ETAG, etag.clone()));
    }
    let modified = headers.get(LAST_MODIFIED)?;
    Some((LAST_MODIFIED, modified.clone()))
}

/// The first byte of a range, and the size of the whole file if it is known.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

pub(super) fn failure(what: &str) -> Error {
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

    /// Everything fits into the buffers, and nothing onto the disk.
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
        let error = part.look().await.unwrap_err();
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
