//! Finished videos and uploaded files, served as a media host would.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Method;
use hyper::header::{IF_RANGE, RANGE};
use hyper::http::request::Parts;

use crate::Fault;
use crate::clip::{Format, Resolution, clip};
use crate::reply::Reply;
use crate::scenario::{RECORD_LIFE, UPLOAD_LIFE};
use crate::state::{File, Shared, State};

/// The link to a video of a task: plain, or `_origin`, `_full`, `_1080p` or `_4k`.
pub(crate) fn url(base: &str, id: &str, which: &str) -> String {
    format!("{base}/media/{id}{which}.mp4")
}

/// A link that lives for some simulated time, for one of an account's own files.
pub(crate) fn signed(
    shared: &Shared,
    account: &Arc<str>,
    url: &str,
    life: Duration,
) -> Option<String> {
    let path = url.strip_prefix(&shared.url)?.strip_prefix("/media/")?;
    let known = Known::find(&shared.state(), path).filter(|known| known.account == *account)?;
    known.content.as_ref()?;
    let expires = (known.now + life).as_secs();
    Some(format!(
        "{url}?expires={expires}&signature={}",
        signature(shared, path, expires)
    ))
}

/// Whether a request is for a file.
pub(crate) fn is_read(method: &Method, path: &str) -> bool {
    path.starts_with("/media/") && (method == Method::GET || method == Method::HEAD)
}

/// Whose file a request is for.
pub(crate) fn account(shared: &Shared, path: &str) -> Option<Arc<str>> {
    Known::find(&shared.state(), path.strip_prefix("/media/")?).map(|known| known.account)
}

/// The reply to a request for a file.
pub(crate) fn file(shared: &Shared, path: &str, parts: &Parts, fault: Option<&Fault>) -> Reply {
    let text = |status, words: &'static str| Reply::bytes(status, "text/plain", words.into());
    if !is_read(&parts.method, path) {
        return text(405, "Method Not Allowed");
    }
    let path = path.strip_prefix("/media/").unwrap_or_default();
    let found = Known::find(&shared.state(), path);
    let Some((content, now)) = found.and_then(|known| known.content.zip(Some(known.now))) else {
        return text(404, "Not Found");
    };
    let (bytes, content_type) = match content {
        Content::Video(format) => (clip(format), "video/mp4"),
        Content::Upload(bytes, content_type) => (bytes, content_type),
    };
    if let Some(query) = parts.uri.query()
        && !is_valid(shared, path, query, now)
    {
        return text(403, "Request has expired");
    }
    let bytes = match fault {
        Some(Fault::Truncated) => bytes.slice(..bytes.len() / 2),
        Some(Fault::Corrupted) => {
            let mut zeros = BytesMut::zeroed(bytes.len());
            zeros[bytes.len() / 2..].copy_from_slice(&bytes[bytes.len() / 2..]);
            zeros.freeze()
        }
        _ => bytes,
    };
    let etag = etag(&bytes);
    let size = bytes.len();
    // A range counts only for GET, and only of the version that the client knows.
    let same = parts
        .headers
        .get(IF_RANGE)
        .is_none_or(|known| *known == etag);
    let ranges = !matches!(fault, Some(Fault::WithoutRanges));
    let asked = match parts
        .headers
        .get(RANGE)
        .and_then(|range| range.to_str().ok())
    {
        Some(range) if same && ranges && parts.method == Method::GET => asked(range, size),
        _ => Asked::All,
    };
    let mut reply = match asked {
        Asked::All => Reply::bytes(200, content_type, bytes),
        Asked::Part(part) => {
            let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let mut reply = Reply::bytes(206, content_type, bytes.slice(part));
            reply.headers.push(("content-range", place));
            reply
        }
        Asked::Unsatisfiable => {
            let mut reply = text(416, "Range Not Satisfiable");
            reply
                .headers
                .push(("content-range", format!("bytes */{size}")));
            reply
        }
    };
    if ranges {
        reply.headers.push(("accept-ranges", "bytes".to_owned()));
        reply.headers.push(("etag", etag));
    }
    reply
}

/// What stands behind a path under `/media/`.
struct Known {
    account: Arc<str>,
    /// Nothing if it is not there yet, or not any more.
    content: Option<Content>,
    /// By the clock of its account.
    now: Duration,
}

enum Content {
    Video(Format),
    /// With its type.
    Upload(Bytes, &'static str),
}

impl Known {
    fn find(state: &State, path: &str) -> Option<Known> {
        if let Some(File {
            account,
            pace,
            uploaded,
            bytes,
            content_type,
        }) = state.uploads.get(path)
        {
            let now = state.now(*pace);
            let is_kept = now.saturating_sub(*uploaded) <= UPLOAD_LIFE;
            let content = is_kept.then(|| Content::Upload(bytes.clone(), content_type));
            return Some(Known {
                account: account.clone(),
                content,
                now,
            });
        }
        let name = path.strip_suffix(".mp4")?;
        // The id of UniAll's tasks has an underscore too.
        let which = ["_origin", "_full", "_1080p", "_4k"]
            .into_iter()
            .find(|which| name.ends_with(which));
        let which = which.unwrap_or_default();
        let task = state.tasks.get(name.strip_suffix(which)?)?;
        let now = state.now(task.pace);
        let delivered = task.delivered();
        let upgraded = |resolution: Resolution| {
            let work = task.upgrades[resolution as usize - 1]
                .filter(|_| !task.has_no_upgrade(resolution))?;
            work.is_done(task.pace, now).then_some(Format {
                resolution,
                ..task.format
            })
        };
        let made = match which {
            "_origin" => Some(Format {
                resolution: Resolution::P720,
                ..delivered
            }),
            "_full" => task.film.map(|seconds| Format {
                seconds,
                ..delivered
            }),
            "_1080p" => upgraded(Resolution::P1080),
            "_4k" => upgraded(Resolution::K4),
            _ => Some(delivered),
        };
        let is_kept = now.saturating_sub(task.work.started) <= RECORD_LIFE;
        let made = made.filter(|_| is_kept && task.has_video(now));
        Some(Known {
            account: task.account.clone(),
            content: made.map(Content::Video),
            now,
        })
    }
}

/// What a Range header asks for.
enum Asked {
    /// Everything: no range, or one that a server may ignore.
    All,
    Part(Range<usize>),
    Unsatisfiable,
}

fn asked(range: &str, size: usize) -> Asked {
    // Several ranges, and what is not a range of bytes, may be ignored.
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|spec| spec.split_once('-'))
    else {
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

fn etag(bytes: &Bytes) -> String {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
    format!("\"{hash:016x}\"")
}

/// Whether the query of a link is one that was given out and is not too old.
fn is_valid(shared: &Shared, path: &str, query: &str, now: Duration) -> bool {
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    match (value("expires"), value("signature")) {
        // The link itself, with whatever somebody put behind it.
        (None, None) => true,
        (Some(expires), Some(given)) => expires.parse().is_ok_and(|expires| {
            signature(shared, path, expires) == given && now.as_secs() <= expires
        }),
        _ => false,
    }
}

fn signature(shared: &Shared, path: &str, expires: u64) -> String {
    let mut hasher = shared.secret.build_hasher();
    hasher.write(path.as_bytes());
    hasher.write_u64(expires);
    format!("{:016x}", hasher.finish())
}
