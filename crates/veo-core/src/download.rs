use std::error::Error as _;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use tracing::debug;
use veo_transport::{WIRE, client_builder, without_queries};

use crate::hosts::{self, Refused};
use crate::{BoxFuture, Error, ErrorKind, Media};

/// How to download. There is no limit to how long it takes as long as something arrives.
///
/// ```
/// use veo_core::Downloads;
///
/// // The links of a simulator lead to this machine.
/// let simulated = Downloads { allow_private_hosts: true, ..Downloads::default() };
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Downloads {
    /// The longest video that is saved, in bytes; 4 GiB by default.
    pub max_bytes: u64,
    /// For how long nothing may arrive before the transfer is taken up anew; 30 seconds by default.
    pub stalled_after: Duration,
    /// How long to pause before a broken transfer is taken up anew; 1 second by default. The pause doubles each time
    /// that nothing new arrived, and after the fifth time in a row the download fails.
    pub pause: Duration,
    /// Whether a file that is there is replaced, which is the default. Otherwise it stays and the video goes to the next free
    /// name like it, such as `dog-2.mp4`; a file that is the same video already counts as saved.
    pub replace: bool,
    /// Whether links may lead to this machine and into private networks, as those of a simulator do; not by default.
    pub allow_private_hosts: bool,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            stalled_after: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            replace: true,
            allow_private_hosts: false,
        }
    }
}

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
    /// What the file says about itself.
    pub media: Media,
}

/// Downloads from media hosts. It has no key to give away.
#[derive(Clone, Debug)]
pub(crate) struct Downloader {
    http: reqwest::Client,
    settings: Downloads,
}

/// How often in a row a transfer may break off without anything new.
const TRIES: u32 = 5;
/// The ways to get another link: from the job, and from the provider's own operation for that.
const WAYS: u32 = 2;

/// Why a transfer ended before its end.
enum Stop {
    /// It is of no use to try again.
    Final(Error),
    /// The link is not taken, or not any more.
    Expired(u16),
    /// The next try may go better.
    Broken(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Downloader {
    pub(crate) fn new(settings: Downloads) -> Result<Self, Error> {
        let mut builder = client_builder()
            .user_agent(concat!("veo-rs/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(hosts::redirects(settings.allow_private_hosts))
            // It would carry the signature in a link to where the link redirects.
            .referer(false);
        if !settings.allow_private_hosts {
            builder = builder.dns_resolver(hosts::PublicOnly);
        }
        let http = builder.build().map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, "no HTTP client could be made").with_source(error)
        })?;
        Ok(Self { http, settings })
    }

    pub(crate) fn replacing(mut self, replace: bool) -> Self {
        self.settings.replace = replace;
        self
    }

    /// Saves a video: all of it or nothing. A file that is already there is replaced. `renew` gives another link for one,
    /// in the way with the given number, if there is one.
    pub(crate) async fn save<'r>(
        &self,
        url: &str,
        path: &Path,
        renew: impl Fn(u32, String) -> BoxFuture<'r, Result<Option<String>, Error>>,
        mut on_bytes: impl FnMut(u64, Option<u64>),
    ) -> Result<Saved, Error> {
        let mut url = url.to_owned();
        let mut part = Part::new(path)?;
        let (mut ways, mut most, mut tries) = (0..WAYS, 0, 0);
        loop {
            let fetched = self.fetch(&url, &mut part, &mut on_bytes).await;
            if let Err(Stop::Broken(error)) = &fetched {
                debug!(target: WIRE, %error, cause = error.source(), "no whole reply");
            }
            match fetched {
                Ok(()) => return part.finish(self.settings.replace).await,
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Expired(status)) => {
                    url = another(&url, &mut ways, &renew, status).await?;
                    // What another link leads to need not be the same file.
                    part.restart()?;
                }
                Err(Stop::Broken(error)) => {
                    tries = if part.received > most { 0 } else { tries + 1 };
                    if tries == TRIES {
                        return Err(error);
                    }
                    most = most.max(part.received);
                    sleep(self.settings.pause.saturating_mul(1 << tries)).await;
                }
            }
        }
    }

    /// Fetches what is missing, or everything if nothing tells whether the rest would be of the same file.
    async fn fetch(
        &self,
        url: &str,
        part: &mut Part<'_>,
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        if let Some(data) = url.strip_prefix("data:") {
            let bytes = inline(data, self.settings.max_bytes)?;
            part.write(&bytes).await?;
            on_bytes(part.received, Some(part.received));
            return Ok(());
        }
        // A URL can carry a signature, so it stays out of all messages.
        let url = Url::parse(url).map_err(|_| failure("the link of the video is not a URL"))?;
        hosts::check(&url, self.settings.allow_private_hosts)
            .map_err(|refused| not_followed(&refused))?;

        let shown = without_queries(url.as_str());
        let mut request = self.http.get(url);
        let range = part
            .validator
            .as_ref()
            .filter(|_| part.received > 0)
            .map(|(_, validator)| {
                let range = format!("bytes={}-", part.received);
                (range, validator)
            });
        debug!(target: WIRE, method = "GET", url = shown, range = range.as_ref().map(|(range, _)| range), "request");
        if let Some((range, validator)) = range {
            request = request.header(RANGE, range).header(IF_RANGE, validator);
        }
        let mut response = self
            .next(request.send(), "the media host cannot be reached")
            .await?;
        debug!(target: WIRE, status = response.status().as_u16(), url = without_queries(response.url().as_str()), "reply");
        match response.status().as_u16() {
            200 => part.begin(&response)?,
            206 if part.goes_on_with(&response) => {}
            206 | 416 => {
                part.restart()?;
                return Err(Stop::Broken(failure(
                    "the media host sent another part than was asked for",
                )));
            }
            status @ (401 | 403 | 404 | 410) => return Err(Stop::Expired(status)),
            status => {
                let error = failure(&format!("the media host answered HTTP {status}"));
                let passing = matches!(status, 408 | 425 | 429 | 500..);
                return Err(if passing {
                    Stop::Broken(error)
                } else {
                    Stop::Final(error)
                });
            }
        }
        self.check_size(part.total.unwrap_or_default())?;
        while let Some(chunk) = self
            .next(response.chunk(), "the download broke off")
            .await?
        {
            self.check_size(part.received + chunk.len() as u64)?;
            part.write(&chunk).await?;
            on_bytes(part.received, part.total);
        }
        match part.total {
            Some(total) if part.received < total => {
                Err(Stop::Broken(failure("the download broke off")))
            }
            Some(total) if part.received > total => Err(Stop::Final(failure(
                "the media host sent more than it had announced",
            ))),
            _ => Ok(()),
        }
    }

    /// The next thing that arrives. Only the time while nothing does counts.
    async fn next<T>(
        &self,
        arrival: impl Future<Output = reqwest::Result<T>>,
        what: &str,
    ) -> Result<T, Stop> {
        match timeout(self.settings.stalled_after, arrival).await {
            Ok(Ok(arrived)) => Ok(arrived),
            Ok(Err(error)) => Err(match Refused::within(&error) {
                Some(refused) => Stop::Final(not_followed(refused)),
                None => Stop::Broken(failure(what).with_source(error.without_url())),
            }),
            Err(_) => {
                let stalled = format!(
                    "{what}: nothing arrived for {:?}",
                    self.settings.stalled_after
                );
                Err(Stop::Broken(failure(&stalled)))
            }
        }
    }

    fn check_size(&self, bytes: u64) -> Result<(), Error> {
        check_size(bytes, self.settings.max_bytes)
    }
}

/// What has arrived so far.
struct Part<'a> {
    path: &'a Path,
    /// In the folder of the target, from where it can be moved in one step. It goes when it is dropped.
    temporary: NamedTempFile,
    file: tokio::fs::File,
    hasher: Sha256,
    received: u64,
    total: Option<u64>,
    /// The header that tells one version of the file from another. Without one the transfer cannot be resumed.
    validator: Option<(HeaderName, HeaderValue)>,
}

impl<'a> Part<'a> {
    fn new(path: &'a Path) -> Result<Self, Error> {
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
    fn restart(&mut self) -> Result<(), Error> {
        if self.received > 0 {
            *self = Self::new(self.path)?;
        }
        Ok(())
    }

    /// Takes up a reply that holds the whole file.
    fn begin(&mut self, response: &Response) -> Result<(), Error> {
        self.restart()?;
        self.total = response.content_length();
        self.validator = validator(response.headers());
        Ok(())
    }

    /// Whether a reply goes on exactly where this part of the same file ends.
    fn goes_on_with(&mut self, response: &Response) -> bool {
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

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| unwritten(self.path, error))?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Moves the file to its place, if it is a video and all of it is on the disk.
    async fn finish(self, replace: bool) -> Result<Saved, Error> {
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
        let target = path.to_owned();
        let sha256 = hex(&hasher.finalize());
        let sum = sha256.clone();
        let work = move || {
            let media = Media::read(temporary.as_file())
                .map_err(|wrong| failure(&format!("what the media host sent {wrong}")))?;
            let target = if replace {
                temporary
                    .persist(&target)
                    .map_err(|error| unwritten(&target, error.error))?;
                target
            } else {
                persist_beside(temporary, target, &sum)?
            };
            // Not every file system can do this for a folder, and the video is whole without it.
            #[cfg(unix)]
            let _ = std::fs::File::open(folder_of(&target)).and_then(|folder| folder.sync_all());
            Ok((media, target))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let (media, path) = done
            .map_err(|error| failure("the video could not be looked into").with_source(error))??;
        Ok(Saved {
            path,
            bytes: received,
            sha256,
            media,
        })
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
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Another link for one that the media host does not take.
async fn another<'r>(
    url: &str,
    ways: &mut Range<u32>,
    renew: &impl Fn(u32, String) -> BoxFuture<'r, Result<Option<String>, Error>>,
    status: u16,
) -> Result<String, Error> {
    let mut expired = Error::new(
        ErrorKind::Download,
        format!(
            "the media host answered HTTP {status}, and there is no other link that works; videos are kept for some days \
             only, so if it is younger, wait for the job again and download it then"
        ),
    );
    for way in ways {
        match renew(way, url.to_owned()).await {
            Ok(Some(url)) => return Ok(url),
            Ok(None) => {}
            Err(error) => expired = expired.with_source(error),
        }
    }
    Err(expired)
}

/// The bytes of a video that came inside its link, which is given without the scheme.
fn inline(data: &str, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (head, text) = data.split_once(',').unwrap_or_default();
    check_size(text.len() as u64 / 4 * 3, max_bytes)?;
    let bytes = BASE64
        .decode(text)
        .ok()
        .filter(|_| head.ends_with(";base64"));
    bytes.ok_or_else(|| failure("the video came inside its link, but not as base64"))
}

/// What tells one version of a file from another, for certain.
fn validator(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let etag = headers
        .get(ETAG)
        .filter(|etag| etag.as_bytes().starts_with(b"\""))
        .map(|etag| (ETAG, etag));
    let (name, value) = etag.or_else(|| Some((LAST_MODIFIED, headers.get(LAST_MODIFIED)?)))?;
    Some((name, value.clone()))
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes as text.
pub(crate) fn random<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    // Without a source of random bits there is hardly a machine.
    let _ = getrandom::fill(&mut bytes);
    hex(&bytes)
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn check_size(bytes: u64, max_bytes: u64) -> Result<(), Error> {
    if bytes <= max_bytes {
        return Ok(());
    }
    let message = format!(
        "the video is longer than {max_bytes} bytes; set a higher limit and download it again"
    );
    Err(Error::new(ErrorKind::Download, message))
}

fn not_followed(refused: &Refused) -> Error {
    let message = format!(
        "the link of the video is not followed, because {refused}; report it to the provider"
    );
    Error::new(ErrorKind::Download, message)
}

fn failure(what: &str) -> Error {
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

    /// Links with this name are refused before, so this is what happens to any other name that stands for this machine.
    #[tokio::test]
    async fn a_name_of_this_machine_is_not_connected_to() {
        let downloader = Downloader::new(Downloads::default()).unwrap();
        let error = downloader
            .http
            .get("http://localhost:1/")
            .send()
            .await
            .unwrap_err();
        assert!(Refused::within(&error).is_some(), "{error:?}");
    }
}
