//! The file of a video on its way: it can go on where it stopped, and is in its place only once it is whole.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use super::media::Media;
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
    /// The header that tells one version of the file from another. Without one the transfer cannot be resumed.
    validator: Option<(HeaderName, HeaderValue)>,
}

impl<'a> Part<'a> {
    pub(super) fn new(path: &'a Path) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".veo-").suffix(".part");
        #[cfg(unix)]
        {
            // As any file that a program makes; temporary files are private otherwise.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temporary = builder
            .tempfile_in(folder_of(path))
            .map_err(|error| unwritten(path, error))?;
        let file = temporary.reopen().map_err(|error| unwritten(path, error))?;
        Ok(Self {
            path,
            temporary,
            file: tokio::fs::File::from_std(file),
            hasher: Sha256::new(),
            received: 0,
            total: None,
            validator: None,
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
        self.restart()?;
        self.total = response.content_length();
        self.validator = validator(response.headers());
        Ok(())
    }

    /// Whether a reply goes on exactly where this part of the same file ends.
    pub(super) fn goes_on_with(&mut self, response: &Response) -> bool {
        let Some((name, value)) = &self.validator else {
            return false;
        };
        let Some((first, total)) = content_range(response.headers()) else {
            return false;
        };
        let same = response.headers().get(name).is_none_or(|now| now == value)
            && (self.total.is_none() || total.is_none() || self.total == total);
        self.total = self.total.or(total);
        same && first == self.received && self.received > 0
    }

    /// The headers that ask for the rest of the same file, if the media host can be asked for it.
    pub(super) fn rest(&self) -> Option<(String, HeaderValue)> {
        let (_, validator) = self.validator.as_ref()?;
        (self.received > 0).then(|| (format!("bytes={}-", self.received), validator.clone()))
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

    /// Moves the file to its place, if it is a video and all of it is on the disk.
    pub(super) async fn finish(self, replace: bool) -> Result<Saved, Error> {
        let Self {
            path,
            temporary,
            mut file,
            hasher,
            received,
            ..
        } = self;
        // The last bytes may still be on their way, and only this tells what became of them.
        file.flush().await.map_err(|error| unwritten(path, error))?;
        file.sync_all()
            .await
            .map_err(|error| unwritten(path, error))?;
        drop(file);
        let sha256 = hex(&hasher.finalize());
        let wanted = path.to_owned();
        let sum = sha256.clone();
        let placing = tokio::task::spawn_blocking(move || placed(temporary, wanted, &sum, replace));
        let (media, path) = placing
            .await
            .map_err(|error| failure("the video could not be looked into").with_source(error))??;
        Ok(Saved {
            path,
            bytes: received,
            sha256,
            media,
        })
    }
}

/// Looks into a video, and moves it to its place; gives what it says about itself, and where it is.
fn placed(
    temporary: NamedTempFile,
    wanted: PathBuf,
    sha256: &str,
    replace: bool,
) -> Result<(Media, PathBuf), Error> {
    let media = Media::read(temporary.as_file())
        .map_err(|wrong| failure(&format!("what the media host sent {wrong}")))?;
    let path = if replace {
        temporary
            .persist(&wanted)
            .map_err(|error| unwritten(&wanted, error.error))?;
        wanted
    } else {
        persist_beside(temporary, wanted, sha256)?
    };
    // Not every file system can do this for a folder, and the video is whole without it.
    #[cfg(unix)]
    let _ = std::fs::File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
    Ok((media, path))
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
    let mut file = std::fs::File::open(path)?;
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
        let error = part.finish(true).await.unwrap_err();
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
