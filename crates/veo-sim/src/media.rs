//! Serves finished videos and uploaded files as a media host does.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Method;
use hyper::header::{IF_RANGE, RANGE};
use hyper::http::request::Parts;

use crate::clip::{Format, Resolution, clip};
use crate::reply::Reply;
use crate::scenario::Fault;
use crate::state::{Shared, State};
use crate::task::Task;
use crate::visit::parameter;

/// The folder of all files.
pub(crate) const FOLDER: &str = "/media/";
/// The time for which videos and records are kept, as kie.ai documents it.
pub(crate) const RECORD_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
/// The time for which uploads are kept, as kie.ai documents it.
const UPLOAD_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);

/// The link to a video of a task. `which` is empty, `_origin`, `_full`, `_1080p` or `_4k`.
pub(crate) fn url(base: &str, id: &str, which: &str) -> String {
    format!("{base}{FOLDER}{id}{which}.mp4")
}

/// Makes a link to a file of the account. The link is valid for `life` in simulated time.
pub(crate) fn signed(
    shared: &Shared,
    account: &Arc<str>,
    url: &str,
    life: Duration,
) -> Option<String> {
    let path = url.strip_prefix(&shared.media_url)?.strip_prefix(FOLDER)?;
    let file = MediaFile::find(&shared.state(), path)?;
    if file.account != *account || file.source.is_none() {
        return None;
    }
    let expires = (file.now + life).as_secs();
    let signature = signature(shared, path, expires);
    Some(format!("{url}?expires={expires}&signature={signature}"))
}

/// Returns whether a request reads a file.
pub(crate) fn is_read(method: &Method, path: &str) -> bool {
    path.starts_with(FOLDER) && (method == Method::GET || method == Method::HEAD)
}

/// The account that the file of a request belongs to.
pub(crate) fn account(shared: &Shared, path: &str) -> Option<Arc<str>> {
    let file = MediaFile::find(&shared.state(), path.strip_prefix(FOLDER)?)?;
    Some(file.account)
}

/// The reply to a request for a file.
pub(crate) fn answer(shared: &Shared, path: &str, parts: &Parts, fault: Option<&Fault>) -> Reply {
    if !is_read(&parts.method, path) {
        return Reply::text(405, "Method Not Allowed");
    }
    let path = path.strip_prefix(FOLDER).unwrap_or_default();
    let file = MediaFile::find(&shared.state(), path);
    let Some((source, now)) = file.and_then(|file| Some((file.source?, file.now))) else {
        return Reply::text(404, "Not Found");
    };
    if !is_valid(shared, path, parts, now) {
        return Reply::text(403, "Request has expired");
    }
    served(source, parts, fault)
}

/// The reply to a request for the video of a task, at any path.
pub(crate) fn video_of(shared: &Shared, id: &str, parts: &Parts, fault: Option<&Fault>) -> Reply {
    let file = MediaFile::find(&shared.state(), &format!("{id}.mp4"));
    match file.and_then(|file| file.source) {
        Some(source) => served(source, parts, fault),
        None => Reply::text(404, "Not Found"),
    }
}

fn served(source: Source, parts: &Parts, fault: Option<&Fault>) -> Reply {
    let (bytes, content_type) = match source {
        Source::Video(format) => (clip(format), "video/mp4"),
        Source::Upload(bytes, content_type) => (bytes, content_type),
    };
    let bytes = damaged(bytes, fault);
    let has_ranges = !matches!(fault, Some(Fault::WithoutRanges));
    if !has_ranges {
        return Reply::bytes(200, content_type, bytes);
    }
    let etag = etag(&bytes);
    let mut reply = in_part(parts, content_type, bytes, &etag);
    reply.headers.push(("accept-ranges", "bytes".to_owned()));
    reply.headers.push(("etag", etag));
    reply
}

fn damaged(bytes: Bytes, fault: Option<&Fault>) -> Bytes {
    let half = bytes.len() / 2;
    match fault {
        Some(Fault::Truncated) => bytes.slice(..half),
        Some(Fault::Corrupted) => {
            let mut zeros = BytesMut::zeroed(half);
            zeros.extend_from_slice(&bytes[half..]);
            zeros.freeze()
        }
        _ => bytes,
    }
}

/// The reply with the requested part of a file.
fn in_part(parts: &Parts, content_type: &str, bytes: Bytes, etag: &str) -> Reply {
    let size = bytes.len();
    // A range applies to GET only, and only if the client knows this version of the file.
    let known = parts.headers.get(IF_RANGE);
    let is_same = known.is_none_or(|known| known == etag);
    let range = parts.headers.get(RANGE);
    let asked = match range.and_then(|range| range.to_str().ok()) {
        Some(range) if is_same && parts.method == Method::GET => Asked::of(range, size),
        _ => Asked::All,
    };
    match asked {
        Asked::All => Reply::bytes(200, content_type, bytes),
        Asked::Part(part) => {
            let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let mut reply = Reply::bytes(206, content_type, bytes.slice(part));
            reply.headers.push(("content-range", place));
            reply
        }
        Asked::Unsatisfiable => {
            let mut reply = Reply::text(416, "Range Not Satisfiable");
            let place = format!("bytes */{size}");
            reply.headers.push(("content-range", place));
            reply
        }
    }
}

/// A file behind a path under `/media/`.
struct MediaFile {
    account: Arc<str>,
    /// The content. `None` if the file does not exist yet, or no longer.
    source: Option<Source>,
    /// The simulated time of the account.
    now: Duration,
}

enum Source {
    Video(Format),
    /// The bytes and their type.
    Upload(Bytes, &'static str),
}

impl MediaFile {
    fn find(state: &State, path: &str) -> Option<MediaFile> {
        if let Some(file) = state.uploads.get(path) {
            let now = state.now(file.pace);
            let is_kept = now.saturating_sub(file.uploaded) <= UPLOAD_LIFE;
            let upload = Source::Upload(file.bytes.clone(), file.content_type);
            return Some(MediaFile {
                account: file.account.clone(),
                source: is_kept.then_some(upload),
                now,
            });
        }
        let name = path.strip_suffix(".mp4")?;
        // The ids of UniAll's tasks have an underscore too, so only these endings are cut off.
        let names = ["_origin", "_full", "_1080p", "_4k"];
        let which = names.into_iter().find(|which| name.ends_with(which));
        let which = which.unwrap_or_default();
        let task = state.tasks.get(name.strip_suffix(which)?)?;
        let now = state.now(task.pace);
        let is_kept = now.saturating_sub(task.work.started) <= RECORD_LIFE;
        let is_there = is_kept && task.has_video(now);
        let format = video(task, which, now).filter(|_| is_there);
        Some(MediaFile {
            account: task.account.clone(),
            source: format.map(Source::Video),
            now,
        })
    }
}

/// The format of one of the videos of a task, if the task has that video.
fn video(task: &Task, which: &str, now: Duration) -> Option<Format> {
    let delivered = task.delivered();
    match which {
        "_origin" => Some(Format {
            resolution: Resolution::P720,
            ..delivered
        }),
        "_full" => Some(Format {
            seconds: task.film?,
            ..delivered
        }),
        "_1080p" => upgraded(task, Resolution::P1080, now),
        "_4k" => upgraded(task, Resolution::K4, now),
        _ => Some(delivered),
    }
}

fn upgraded(task: &Task, to: Resolution, now: Duration) -> Option<Format> {
    let work = task.upgrade(to)?;
    if task.has_no_upgrade(to) || !work.is_done(task.pace, now) {
        return None;
    }
    Some(Format {
        resolution: to,
        ..task.format
    })
}

/// The part of a file that a Range header asks for.
enum Asked {
    /// The whole file: there is no range, or one that a server may ignore.
    All,
    Part(Range<usize>),
    Unsatisfiable,
}

impl Asked {
    fn of(range: &str, size: usize) -> Asked {
        // A server may ignore several ranges, and units other than bytes.
        let spec = range.strip_prefix("bytes=");
        let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
            return Asked::All;
        };
        let part = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last => first..size.min(last.saturating_add(1)),
            (Ok(first), Err(_)) if last.is_empty() => first..size,
            (Err(_), Ok(length)) if first.is_empty() => size.saturating_sub(length)..size,
            _ => return Asked::All,
        };
        if part.is_empty() {
            Asked::Unsatisfiable
        } else {
            Asked::Part(part)
        }
    }
}

fn etag(bytes: &Bytes) -> String {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
    format!("\"{hash:016x}\"")
}

/// Returns whether a link has no signature, or one that has not expired. Other parameters do not matter.
fn is_valid(shared: &Shared, path: &str, parts: &Parts, now: Duration) -> bool {
    let expires = parameter(parts, "expires");
    let given = parameter(parts, "signature");
    if expires.is_none() && given.is_none() {
        return true;
    }
    let Some(Ok(expires)) = expires.map(|expires| expires.parse()) else {
        return false;
    };
    given == Some(signature(shared, path, expires)) && now.as_secs() <= expires
}

fn signature(shared: &Shared, path: &str, expires: u64) -> String {
    let mut hasher = shared.secret.build_hasher();
    hasher.write(path.as_bytes());
    hasher.write_u64(expires);
    format!("{:016x}", hasher.finish())
}
