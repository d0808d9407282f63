//! Downloads a video from a media host to a file: the whole video, or nothing.

pub(crate) mod media;
pub(crate) mod part;

mod boxes;
mod hosts;
mod tracks;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, IF_RANGE, LOCATION, RANGE};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{sleep, timeout};
use tracing::debug;
use veo_transport::{DataUrl, WIRE, client_builder, without_queries};

pub(crate) use self::hosts::Hosts;
use self::hosts::Refused;
use self::media::{Flaw, Media};
use self::part::{Part, download_failure};
use crate::text::folder_of;
use crate::{ApiAddress, Error, ErrorKind, Proxy, Saved};

/// The settings of downloads. The whole download has no time limit; only a transfer that stalls is stopped.
///
/// ```
/// use veo_core::Downloads;
///
/// // The links of a simulator lead to this machine.
/// let simulated = Downloads::default().allow_loopback(true);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Downloads {
    /// The longest video that is saved, in bytes; 4 GiB by default.
    pub max_bytes: u64,
    /// The time without new bytes after which a transfer is resumed; 30 seconds by default.
    pub stalled_after: Duration,
    /// The pause before a broken transfer is resumed; 1 second by default. The pause doubles after each try that
    /// brought no new bytes. After five such tries in a row the download fails.
    pub pause: Duration,
    /// True if an existing file is replaced, which is the default. If false, the existing file stays, and the video
    /// goes to the next free name, such as `dog-2.mp4`. An existing file with the same content counts as saved.
    pub replace: bool,
    /// True if links may lead to this machine, as those of a simulator do; false by default.
    pub allow_loopback: bool,
    /// True if links may lead to this machine, and to named hosts in private networks, such as the servers of a
    /// company; false by default. A link that has a private IP address instead of a name is never followed. Addresses
    /// in 198.18.0.0/15, which proxy programs make up, need no permission if the API has such an address.
    pub allow_private_hosts: bool,
    /// The proxies to media hosts; none by default. A proxy resolves the names of hosts, so its own rules decide which
    /// addresses a name may have. A link to the proxy itself, or with an address of a private network, is not followed.
    pub proxy: Proxy,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            stalled_after: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            replace: true,
            allow_loopback: false,
            allow_private_hosts: false,
            proxy: Proxy::default(),
        }
    }
}

impl Downloads {
    /// Sets the [longest video](Self::max_bytes), in bytes.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the time [without new bytes](Self::stalled_after).
    #[must_use]
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.stalled_after = time;
        self
    }

    /// Sets the [pause](Self::pause) before a broken transfer is resumed.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Sets whether an existing file is [replaced](Self::replace).
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Sets whether links may lead to [this machine](Self::allow_loopback).
    #[must_use]
    pub fn allow_loopback(mut self, allow: bool) -> Self {
        self.allow_loopback = allow;
        self
    }

    /// Sets whether links may lead [into private networks](Self::allow_private_hosts).
    #[must_use]
    pub fn allow_private_hosts(mut self, allow: bool) -> Self {
        self.allow_private_hosts = allow;
        self
    }

    /// Sets the [proxies](Self::proxy).
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }
}

/// The HTTP clients for media hosts and for the API of a provider, with the rules and settings of downloads.
#[derive(Clone, Debug)]
pub(crate) struct Downloader {
    http: reqwest::Client,
    /// The client that sends the API key to an API. It follows no redirects, so no other host gets the API key.
    at_api: reqwest::Client,
    hosts: Hosts,
    settings: Downloads,
    /// The times at which folders were searched for leftover files.
    looked_into: Arc<Mutex<HashMap<PathBuf, Instant>>>,
}

/// The download of one video. It can continue with another link.
pub(crate) struct Transfer<'a> {
    downloader: &'a Downloader,
    /// The address of the API of the video's provider, and the value of `Authorization` for it.
    api: Option<(Url, SecretString)>,
    path: &'a Path,
    part: Part<'a>,
    /// The properties of the video in the part; `None` until the part is whole.
    media: Option<Media>,
    /// The longest complete reply that was no whole video.
    refused: Option<Part<'a>>,
    /// The SHA-256 of the last complete reply of this link that was no whole video.
    last_refused: Option<String>,
    /// The length of the part when it was checked and was no whole video.
    flawed_length: u64,
    /// The most bytes of this link that have ever arrived.
    longest: u64,
    /// The number of tries in a row that brought no new bytes.
    tries: u32,
}

/// The result of following one link.
pub(crate) enum Followed {
    /// The link led to the whole video.
    Whole,
    /// The link led to no video.
    NoVideo(NoVideo),
}

/// The reason why a link leads to no video.
#[derive(Debug)]
pub(crate) struct NoVideo {
    /// The reason as a clause.
    pub(crate) what: String,
    advice: &'static str,
    source: Option<reqwest::Error>,
}

/// The number of bytes of a video inside its link that are written at once.
const PIECE: usize = 64 << 10;

/// The largest number of tries in a row that bring no new bytes.
const TRIES: u32 = 5;

/// The reason why a transfer stopped too early.
enum Stop {
    /// The fault is not in the link: every other link would fail too.
    Final(Error),
    /// The link will not lead to the video, so it is not tried again.
    GiveUpLink(NoVideo),
    /// An HTTP status by which some hosts mean that the file does not exist yet. If it stays, the link is given up.
    NotReady(u16),
    /// The reply is complete, but is no whole video. The next try may bring one.
    Flawed(NoVideo),
    /// The transfer broke. The next try may bring the rest.
    Broken(NoVideo),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<NoVideo> for Stop {
    fn from(why: NoVideo) -> Self {
        Self::GiveUpLink(why)
    }
}

impl NoVideo {
    /// The advice to download the video again.
    pub(crate) const AGAIN: &str = "the video is still there, so download it again";
    /// The advice about a link that the media host does not accept any more.
    pub(crate) const EXPIRED: &str = "videos are kept for some days only, so if it is younger, wait for the job again and \
                                      download it then";

    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: Self::AGAIN,
            source: None,
        }
    }

    /// Makes the reason for an HTTP status by which the media host refuses a link, perhaps because it has expired.
    fn expired(status: u16) -> Self {
        Self {
            advice: Self::EXPIRED,
            ..answered(status)
        }
    }

    fn not_followed(refused: &Refused) -> Self {
        Self {
            advice: "report it to the provider",
            ..Self::new(format!(
                "the link of the video is not followed, because {refused}"
            ))
        }
    }

    /// Returns whether the media host refuses the link, perhaps because it has expired.
    pub(crate) fn has_expired(&self) -> bool {
        self.advice == Self::EXPIRED
    }

    fn log(&self) {
        let cause = self.source.as_ref().map(|source| source as &dyn StdError);
        debug!(target: WIRE, error = %self.what, cause, "no whole reply");
    }

    /// Makes the error for a video that has no other link.
    pub(crate) fn error(self) -> Error {
        let what = self.what;
        let message = if self.advice == Self::EXPIRED {
            format!(
                "{what}, and there is no other link that works; {}",
                self.advice
            )
        } else {
            format!("{what}; {}", self.advice)
        };
        let error = Error::new(ErrorKind::Download, message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl Downloader {
    pub(crate) fn new(settings: Downloads) -> Result<Self, Error> {
        let proxy = &settings.proxy.proxy;
        let hosts = Hosts::new(
            settings.allow_loopback,
            settings.allow_private_hosts,
            proxy.clone(),
        );
        let builder = || {
            client_builder(proxy)
                .user_agent(concat!("veo-rs/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(Duration::from_secs(10))
                // A `Referer` would carry the signature of a link to the host that the link redirects to.
                .referer(false)
        };
        let unbuildable = |error| {
            Error::new(ErrorKind::InvalidRequest, "no HTTP client could be made").with_source(error)
        };
        Ok(Self {
            http: builder()
                .redirect(hosts.redirects())
                .dns_resolver(hosts.clone())
                .build()
                .map_err(unbuildable)?,
            at_api: builder()
                .redirect(Policy::none())
                .build()
                .map_err(unbuildable)?,
            hosts,
            settings,
            looked_into: Arc::default(),
        })
    }

    pub(crate) fn replace(&mut self, replace: bool) {
        self.settings.replace = replace;
    }

    /// Begins to save a video to a path. A link to the API of the provider is requested with the API key.
    pub(crate) fn begin<'a>(
        &'a self,
        path: &'a Path,
        api: Option<ApiAddress>,
    ) -> Result<Transfer<'a>, Error> {
        let api = api.and_then(|api| Some((Url::parse(&api.url).ok()?, api.authorization)));
        if let Some((url, _)) = &api {
            self.hosts.add_api(url);
        }
        self.remove_left_over(path);
        Ok(Transfer {
            downloader: self,
            api,
            path,
            part: Part::new(path)?,
            media: None,
            refused: None,
            last_refused: None,
            flawed_length: 0,
            longest: 0,
            tries: 0,
        })
    }
}

impl<'a> Transfer<'a> {
    /// Fetches a video from a link, and reports the number of bytes so far and in all. A broken transfer is resumed.
    /// `content` is the video of a data URL, if it was decoded while the reply arrived.
    ///
    /// The error is one that every other link would have too, or a failure of the network in the middle of the video.
    pub(crate) async fn follow(
        &mut self,
        url: &str,
        content: Option<&Bytes>,
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<Followed, Error> {
        self.next_link()?;
        loop {
            let fetched = self.fetch(url, content, on_bytes).await;
            let looked = match fetched {
                Ok(()) => self.check_whole().await,
                Err(stop) => Err(stop),
            };
            let Err(stop) = looked else {
                return Ok(Followed::Whole);
            };
            let (why, is_flawed) = match stop {
                Stop::Final(error) => return Err(error),
                Stop::GiveUpLink(why) => return Ok(Followed::NoVideo(why)),
                Stop::NotReady(status) => (NoVideo::expired(status), true),
                Stop::Flawed(why) => (why, true),
                Stop::Broken(why) => (why, false),
            };
            why.log();
            if self.has_tries().await {
                continue;
            }
            let is_in_the_middle = !is_flawed && self.part.received > 0;
            if !is_in_the_middle {
                return Ok(Followed::NoVideo(why));
            }
            return if self.has_whole_video().await? {
                Ok(Followed::Whole)
            } else {
                Err(why.error())
            };
        }
    }

    /// Prepares the transfer for another link, which may lead to another file.
    fn next_link(&mut self) -> Result<(), Error> {
        if self.flawed_length > 0 && self.flawed_length == self.part.received {
            let part = mem::replace(&mut self.part, Part::new(self.path)?);
            self.refuse(part);
        }
        self.part.restart()?;
        self.last_refused = None;
        self.flawed_length = 0;
        self.longest = 0;
        self.tries = 0;
        Ok(())
    }

    /// Keeps a part that is no whole video if it is the longest so far.
    fn refuse(&mut self, part: Part<'a>) {
        let longest = self.refused.as_ref().map_or(0, |part| part.received);
        if part.received > longest {
            self.refused = Some(part);
        }
    }

    /// Moves the whole video to its path.
    pub(crate) async fn finish(self) -> Result<Saved, Error> {
        let media = self
            .media
            .ok_or_else(|| download_failure("no video has come"))?;
        let replace = self.downloader.settings.replace;
        self.part.finish(media, replace).await
    }

    /// Keeps a file that is no whole video beside the path, and names it in the error.
    pub(crate) async fn keep(self, error: Error) -> Error {
        let is_refused = self.flawed_length > 0 && self.flawed_length == self.part.received;
        let part = if is_refused {
            Some(self.part)
        } else {
            self.refused.filter(|part| part.received > 0)
        };
        let Some(part) = part else { return error };
        match part.keep().await {
            Ok(file) => error.adding(&format!(
                "the incomplete file is {}; rename it if you can use it",
                file.display()
            )),
            Err(_) => error,
        }
    }

    /// Checks that the part is a whole video.
    async fn check_whole(&mut self) -> Result<(), Stop> {
        let flaw = match self.part.check_whole().await? {
            Ok(whole) if whole.has_end || self.part.has_end || self.part.total.is_some() => {
                self.media = Some(whole.media);
                return Ok(());
            }
            Ok(whole) => Flaw {
                what: format!(
                    "may be cut: neither the file nor the host gives its length; {:.1} s arrived",
                    whole.media.seconds
                ),
                is_cut: true,
            },
            Err(flaw) => flaw,
        };
        let why = NoVideo::new(format!("what the media host sent {}", flaw.what));
        if flaw.is_cut && self.part.total.is_none() {
            // The reply had no length, so the connection may have been cut, and the host may have the rest.
            self.flawed_length = self.part.received;
            return Err(Stop::Flawed(why));
        }
        let part = mem::replace(&mut self.part, Part::new(self.path)?);
        let hash = Some(part.sha256());
        let is_known = self.last_refused == hash;
        self.last_refused = hash;
        self.refuse(part);
        // The host sent the same bytes twice, so a third try would bring the same.
        if is_known {
            return Err(Stop::GiveUpLink(why));
        }
        Err(Stop::Flawed(why))
    }

    /// Returns whether the part is a whole video, although the host has announced more bytes.
    async fn has_whole_video(&mut self) -> Result<bool, Error> {
        let whole = self.part.check_whole().await?.ok();
        let Some(whole) = whole.filter(|whole| whole.has_end) else {
            return Ok(false);
        };
        let mut media = whole.media;
        let doubt = "the media host announced more bytes than it sent";
        media.doubts.push(doubt.to_owned());
        self.media = Some(media);
        Ok(true)
    }

    /// Waits before the next try and returns true, or returns false if [`TRIES`] tries in a row brought no new bytes.
    async fn has_tries(&mut self) -> bool {
        let received = self.part.received;
        self.tries = if received > self.longest {
            0
        } else {
            self.tries + 1
        };
        if self.tries == TRIES {
            return false;
        }
        self.longest = self.longest.max(received);
        let pause = self.downloader.settings.pause;
        sleep(pause.saturating_mul(1 << self.tries)).await;
        true
    }

    /// Fetches the missing bytes, or all bytes if the file may have changed at the host.
    async fn fetch(
        &mut self,
        url: &str,
        content: Option<&Bytes>,
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        if let Some(video) = content {
            return self.write_decoded(video, on_bytes).await;
        }
        let url = url.trim();
        if url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            return self.write_data_url(url.as_bytes(), on_bytes).await;
        }
        let response = self.ask(url).await?;
        self.accept_reply(&response)?;
        self.receive(response, on_bytes).await
    }

    /// Decodes the video of a data URL, and writes it.
    async fn write_data_url(
        &mut self,
        url: &[u8],
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        let unreadable = || NoVideo::new("the video came inside its link, but not as base64");
        let (mut content, start) = DataUrl::begin(url).ok_or_else(unreadable)?;
        self.part.restart()?;
        for piece in url[start..].chunks(PIECE) {
            let bytes = content.push(piece).ok_or_else(unreadable)?;
            self.write_piece(&bytes).await?;
        }
        let rest = content.end().ok_or_else(unreadable)?;
        self.write_piece(&rest).await?;
        self.part.mark_complete();
        on_bytes(self.part.received, self.part.total);
        Ok(())
    }

    async fn write_piece(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = self.part.received + bytes.len() as u64;
        self.downloader.check_size(length)?;
        self.part.write(bytes).await
    }

    /// Writes the video of a data URL that was decoded while the reply arrived.
    async fn write_decoded(
        &mut self,
        video: &Bytes,
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        self.part.restart()?;
        // One large write would copy the whole video in memory.
        for piece in video.chunks(PIECE) {
            self.write_piece(piece).await?;
        }
        self.part.mark_complete();
        on_bytes(self.part.received, self.part.total);
        Ok(())
    }

    /// Requests the missing bytes from a link.
    async fn ask(&self, url: &str) -> Result<Response, Stop> {
        // A URL can carry a signature, so it is in no message.
        let url = Url::parse(url.trim())
            .map_err(|_| NoVideo::new("the link of the video is not a URL"))?;
        let hosts = &self.downloader.hosts;
        // The API key is sent only to the origin of the API. The request after a redirect has no API key.
        if let Some((api, key)) = &self.api
            && api.origin() == url.origin()
        {
            hosts::check_scheme(&url).map_err(|refused| NoVideo::not_followed(&refused))?;
            let request = self.downloader.at_api.get(url.clone());
            let response = self
                .send(request.header(AUTHORIZATION, sensitive(key)?))
                .await?;
            let Some(next) = redirected(&response, &url) else {
                return Ok(response);
            };
            hosts
                .check_step(&[url], &next)
                .map_err(|refused| NoVideo::not_followed(&refused))?;
            return self.send(self.downloader.http.get(next)).await;
        }
        hosts
            .check(&url)
            .map_err(|refused| NoVideo::not_followed(&refused))?;
        self.send(self.downloader.http.get(url)).await
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Response, Stop> {
        let rest = self.part.rest();
        if let Some((range, validator)) = &rest {
            request = request.header(RANGE, range);
            if let Some(validator) = validator {
                request = request.header(IF_RANGE, validator);
            }
        }
        let (client, request) = request.build_split();
        let request = request.map_err(|error| NoVideo {
            source: Some(error),
            ..NoVideo::new("no request could be made from the link")
        })?;
        let shown = without_queries(request.url().as_str());
        let range = rest.as_ref().map(|(range, _)| range);
        let way = self
            .downloader
            .settings
            .proxy
            .proxy
            .described(request.url());
        let unreached = format!("the media host cannot be reached{way}");
        debug!(target: WIRE, method = "GET", url = shown, range, "request");
        let response = self
            .downloader
            .next(client.execute(request), &unreached)
            .await?;
        let shown = without_queries(response.url().as_str());
        debug!(target: WIRE, status = response.status().as_u16(), url = shown, "reply");
        Ok(response)
    }

    /// Checks that a reply has the whole file or the missing rest, and prepares the part for its body.
    fn accept_reply(&mut self, response: &Response) -> Result<(), Stop> {
        match response.status().as_u16() {
            200 | 201 | 203 => self.part.begin(response)?,
            206 if self.part.continues(response) => {}
            206 if part::is_from_the_start(response) => self.part.begin(response)?,
            206 | 416 => {
                self.part.restart()?;
                let what = "the media host sent other bytes than those requested";
                return Err(Stop::Broken(NoVideo::new(what)));
            }
            status @ (401 | 403 | 404 | 410) => {
                return Err(NoVideo::expired(status).into());
            }
            status @ (400 | 409 | 425) => return Err(Stop::NotReady(status)),
            status => {
                let why = answered(status);
                let is_passing = matches!(status, 408 | 429 | 500..);
                return Err(if is_passing {
                    Stop::Broken(why)
                } else {
                    Stop::GiveUpLink(why)
                });
            }
        }
        let announced = self.part.total.unwrap_or_default();
        Ok(self.downloader.check_size(announced)?)
    }

    /// Writes the body to the part until it ends.
    async fn receive(
        &mut self,
        mut response: Response,
        on_bytes: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), Stop> {
        let downloader = self.downloader;
        let part = &mut self.part;
        while let Some(chunk) = downloader
            .next(response.chunk(), "the download broke off")
            .await?
        {
            downloader.check_size(part.received + chunk.len() as u64)?;
            part.write(&chunk).await?;
            on_bytes(part.received, part.total);
        }
        match part.total {
            Some(total) if part.received < total => {
                Err(Stop::Broken(NoVideo::new("the download broke off")))
            }
            Some(total) if part.received > total => {
                let what = "the media host sent more than it had announced";
                Err(NoVideo::new(what).into())
            }
            _ => Ok(()),
        }
    }
}

impl Downloader {
    /// Waits for the next bytes, at most as long as [`Downloads::stalled_after`].
    async fn next<T>(
        &self,
        arrival: impl Future<Output = reqwest::Result<T>>,
        what: &str,
    ) -> Result<T, Stop> {
        match timeout(self.settings.stalled_after, arrival).await {
            Ok(Ok(arrived)) => Ok(arrived),
            Ok(Err(error)) => Err(match Refused::within(&error) {
                Some(refused) => NoVideo::not_followed(refused).into(),
                None => Stop::Broken(NoVideo {
                    source: Some(error.without_url()),
                    ..NoVideo::new(what)
                }),
            }),
            Err(_) => {
                let stalled = format!(
                    "{what}: nothing arrived for {:?}",
                    self.settings.stalled_after
                );
                Err(Stop::Broken(NoVideo::new(stalled)))
            }
        }
    }

    /// Removes the partial files of ended processes from the folder of a path. It does so at most once a minute, since
    /// the search of a large folder takes long.
    fn remove_left_over(&self, path: &Path) {
        const AGAIN: Duration = Duration::from_secs(60);
        let folder = folder_of(path);
        {
            let looked_into = self.looked_into.lock();
            let mut looked_into = looked_into.unwrap_or_else(PoisonError::into_inner);
            looked_into.retain(|_, at| at.elapsed() < AGAIN);
            if looked_into.contains_key(folder) {
                return;
            }
            looked_into.insert(folder.to_owned(), Instant::now());
        }
        part::remove_left_over(folder);
    }

    fn check_size(&self, bytes: u64) -> Result<(), Error> {
        let most = self.settings.max_bytes;
        if bytes <= most {
            return Ok(());
        }
        let message = format!(
            "the video is longer than {most} bytes; set a higher limit and download it again"
        );
        Err(Error::new(ErrorKind::Download, message))
    }
}

fn redirected(response: &Response, url: &Url) -> Option<Url> {
    if !response.status().is_redirection() {
        return None;
    }
    let next = response.headers().get(LOCATION)?;
    url.join(next.to_str().ok()?).ok()
}

/// Makes a header with the API key, which debug texts do not show.
fn sensitive(key: &SecretString) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::from_str(key.expose_secret()).map_err(|_| {
        download_failure("the API key holds characters that no HTTP header can carry")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn answered(status: u16) -> NoVideo {
    NoVideo::new(format!("the media host answered HTTP {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link to `localhost` is refused before it is resolved. The test stands for other names of this machine.
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
