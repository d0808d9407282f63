//! The routes of both providers, and what happens to every request before it reaches one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};

use crate::state::Shared;
use crate::{kie, media, uniall, upload};

const MAX_UPLOAD_BODY: usize = 10 * 1024 * 1024;
const MAX_OTHER_BODY: usize = 1024 * 1024;

/// All that the simulator serves.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(kie::routes())
        .merge(upload::routes())
        .merge(uniall::routes())
        .merge(media::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        // `receive` has a limit of its own, with a refusal in the provider's words.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(shared.clone(), receive))
        .with_state(shared)
}

/// Who answers for a path.
#[derive(Clone, Copy)]
enum Owner {
    Kie,
    Upload,
    UniAll,
    Media,
}

impl Owner {
    fn of(path: &str) -> Owner {
        if path.starts_with("/media/") {
            Owner::Media
        } else if path.starts_with("/v1/") {
            Owner::UniAll
        } else if path.starts_with("/api/file-") {
            Owner::Upload
        } else {
            Owner::Kie
        }
    }

    /// The answer to a caller that may not come in.
    fn refusal(self, headers: &HeaderMap) -> Option<Response> {
        // The network in front of kie.ai turns away clients that do not say who they are.
        let needs_agent = matches!(self, Owner::Kie | Owner::Upload);
        if needs_agent && headers.get(USER_AGENT).is_none_or(|agent| agent.is_empty()) {
            return Some((StatusCode::FORBIDDEN, "error code: 1010").into_response());
        }
        match self {
            // Media live on other hosts, and a key must never go there.
            Owner::Media => headers
                .contains_key(AUTHORIZATION)
                .then(|| (StatusCode::BAD_REQUEST, "A key was sent to a media host.").into_response()),
            _ if has_key(headers) => None,
            Owner::Kie => Some(kie::unauthorized()),
            Owner::Upload => {
                let message = "Authentication failed: Invalid API Key";
                Some(upload::Refusal(StatusCode::UNAUTHORIZED, message).into_response())
            }
            Owner::UniAll => {
                let status = StatusCode::UNAUTHORIZED;
                let message = "Invalid token".to_owned();
                Some(uniall::Refusal::Gateway(status, "", message).into_response())
            }
        }
    }

    fn too_large(self) -> Response {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let message = "The request body is larger than 1 MiB.";
        match self {
            Owner::Kie => kie::Refusal(422, message).into_response(),
            Owner::Upload => {
                let message = "The request body is larger than 10 MiB.";
                upload::Refusal(status, message).into_response()
            }
            Owner::UniAll => uniall::Refusal::Task(status, "read_request_body_failed", message).into_response(),
            Owner::Media => (status, message).into_response(),
        }
    }

    fn not_found(self, method: &Method, path: &str) -> Response {
        let status = StatusCode::NOT_FOUND;
        let message = "Not Found";
        match self {
            Owner::Kie => (status, kie::Refusal(404, message)).into_response(),
            Owner::Upload => upload::Refusal(status, message).into_response(),
            Owner::UniAll => {
                let message = format!("Invalid URL ({method} {path})");
                uniall::Refusal::Gateway(status, "", message).into_response()
            }
            Owner::Media => (status, message).into_response(),
        }
    }
}

async fn receive(State(sim): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let owner = Owner::of(parts.uri.path());
    let limit = match owner {
        Owner::Upload => MAX_UPLOAD_BODY,
        _ => MAX_OTHER_BODY,
    };
    let body = read(body, limit).await;
    sim.record(&parts, body.as_deref().unwrap_or_default());
    if let Some(refusal) = owner.refusal(&parts.headers) {
        return refusal;
    }
    match body {
        Some(body) => next.run(Request::from_parts(parts, Body::from(body))).await,
        None => owner.too_large(),
    }
}

/// The whole body, or nothing if it is longer than the limit. The rest of a long body is read and thrown away, so
/// that the client reads the refusal and not a broken connection.
async fn read(mut body: Body, limit: usize) -> Option<Bytes> {
    let mut kept = BytesMut::new();
    let mut fits = true;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // An error is a client that went away: nobody will read the answer.
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        fits = fits && kept.len() + data.len() <= limit;
        if fits {
            kept.extend_from_slice(&data);
        }
    }
    fits.then(|| kept.freeze())
}

async fn unknown(method: Method, uri: Uri) -> Response {
    Owner::of(uri.path()).not_found(&method, uri.path())
}

fn has_key(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    // The value arrives trimmed, so a key follows the space.
    value.is_some_and(|value| value.starts_with(b"Bearer "))
}
