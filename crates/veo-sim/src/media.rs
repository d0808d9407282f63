//! Finished videos and uploaded files, served as a media host would.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use crate::state::Shared;

/// Something to download.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    // This answers HEAD as well.
    Router::new().route("/media/{*path}", get(file))
}

/// The checked-in clip of this shape and length.
pub(crate) fn clip(portrait: bool, seconds: u64) -> File {
    let bytes: &'static [u8] = match (portrait, seconds) {
        (false, 4) => include_bytes!("../media/16x9-4s.mp4"),
        (false, 6) => include_bytes!("../media/16x9-6s.mp4"),
        (false, _) => include_bytes!("../media/16x9-8s.mp4"),
        (true, 4) => include_bytes!("../media/9x16-4s.mp4"),
        (true, 6) => include_bytes!("../media/9x16-6s.mp4"),
        (true, _) => include_bytes!("../media/9x16-8s.mp4"),
    };
    File { bytes: Bytes::from_static(bytes), content_type: "video/mp4" }
}

/// What a Range header asks for.
enum Asked {
    /// Everything: no range, or one that a server may ignore.
    All,
    Part(Range<usize>),
    Unsatisfiable,
}

async fn file(
    State(sim): State<Arc<Shared>>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let found = {
        let mut state = sim.state();
        let video = state.videos.get_mut(&path).cloned();
        video.or_else(|| state.uploads.get_mut(&path).cloned())
    };
    let Some(File { bytes, content_type }) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = etag(&bytes);
    let size = bytes.len();
    let common = [(CONTENT_TYPE, content_type.to_owned()), (ACCEPT_RANGES, "bytes".to_owned()), (ETAG, etag.clone())];
    // A range counts only for GET, and only of the version that the client knows.
    let same = headers.get(IF_RANGE).is_none_or(|known| *known == etag);
    let asked = match headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if same && method == Method::GET => asked(range, size),
        _ => Asked::All,
    };
    match asked {
        Asked::All => (common, bytes).into_response(),
        Asked::Part(part) => {
            let place = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            let headers = [(CONTENT_RANGE, place)];
            (StatusCode::PARTIAL_CONTENT, common, headers, bytes.slice(part)).into_response()
        }
        Asked::Unsatisfiable => {
            let headers = [(CONTENT_RANGE, format!("bytes */{size}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
        }
    }
}

fn asked(range: &str, size: usize) -> Asked {
    // Several ranges, and what is not a range of bytes, may be ignored.
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Asked::All;
    };
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Asked::All,
    };
    if part.is_empty() { Asked::Unsatisfiable } else { Asked::Part(part) }
}

fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("\"{:016x}\"", hasher.finish())
}
