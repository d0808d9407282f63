//! The file uploads of kie.ai. Here the HTTP status is also the `code`, and a refusal has no `data`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::json;

use crate::fields::{json_object, text};
use crate::media::File;
use crate::state::{Shared, now, unique_id};

const NOT_JSON: &str = "The request body must be a JSON object";
const NOT_A_FORM: &str = "The request body must be a multipart form";

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/file-base64-upload", post(base64_upload))
        .route("/api/file-stream-upload", post(stream_upload))
        .route("/api/file-url-upload", post(url_upload))
}

/// A refusal: HTTP status and message.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, message) = self;
        let body = json!({ "success": false, "code": status.as_u16(), "msg": message });
        (status, Json(body)).into_response()
    }
}

/// Where a file goes.
struct Target {
    folder: String,
    name: String,
}

impl Target {
    /// Checks the two names of a request. A file without a name gets one, with the extension of its origin.
    fn new(folder: Option<&str>, name: Option<&str>, origin: &str) -> Result<Target, Refusal> {
        let folder = folder.ok_or(bad("Missing required parameter: uploadPath"))?;
        let name = name.map_or_else(|| made_up_name(origin), str::to_owned);
        Ok(Target {
            folder: clean(folder).ok_or(bad("Invalid parameter: uploadPath"))?,
            name: clean(&name).ok_or(bad("Invalid parameter: fileName"))?,
        })
    }

    fn path(&self) -> String {
        format!("kieai/100001/{}/{}", self.folder, self.name)
    }

    fn media_path(&self) -> String {
        format!("uploads/{}", self.path())
    }

    fn content_type(&self) -> &'static str {
        match extension(&self.name).to_ascii_lowercase().as_str() {
            "gif" => "image/gif",
            "jpeg" | "jpg" => "image/jpeg",
            "png" => "image/png",
            "webp" => "image/webp",
            "mp4" => "video/mp4",
            _ => "application/octet-stream",
        }
    }
}

async fn base64_upload(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(bad(NOT_JSON))?;
    let data = text(&request, "base64Data").ok_or(bad("Missing required parameter: base64Data"))?;
    // A data URL says its type in front, as in `data:image/png;base64,`.
    let (kind, encoded) = data.split_once(";base64,").unwrap_or(("", data));
    let content = BASE64_STANDARD.decode(encoded).map_err(|_| bad("Base64 decoding failed: Invalid Base64 format"))?;
    let (folder, name) = (text(&request, "uploadPath"), text(&request, "fileName"));
    let target = Target::new(folder, name, &kind.replace('/', "."))?;
    Ok(keep(&sim, &target, content.into()))
}

async fn stream_upload(
    State(sim): State<Arc<Shared>>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refusal> {
    let mut form = form.map_err(|_| bad(NOT_A_FORM))?;
    let broken = |_: MultipartError| bad(NOT_A_FORM);
    let (mut folder, mut name, mut file) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("uploadPath") => folder = Some(field.text().await.map_err(broken)?),
            Some("fileName") => name = Some(field.text().await.map_err(broken)?),
            Some("file") => {
                let origin = field.file_name().unwrap_or_default().to_owned();
                file = Some((origin, field.bytes().await.map_err(broken)?));
            }
            _ => {}
        }
    }
    let (origin, content) = file.ok_or(bad("Missing required parameter: file"))?;
    let target = Target::new(folder.as_deref(), name.as_deref(), &origin)?;
    Ok(keep(&sim, &target, content))
}

/// Nothing is fetched, so the link in the answer has no file behind it.
async fn url_upload(State(sim): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request = json_object(&body).ok_or(bad(NOT_JSON))?;
    let url = text(&request, "fileUrl").ok_or(bad("Missing required parameter: fileUrl"))?;
    let (folder, name) = (text(&request, "uploadPath"), text(&request, "fileName"));
    let target = Target::new(folder, name, url)?;
    Ok(uploaded(&sim, &target, 0))
}

fn bad(message: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message)
}

fn keep(sim: &Shared, target: &Target, content: Bytes) -> Response {
    let size = content.len();
    let file = File { bytes: content, content_type: target.content_type() };
    sim.publish(&mut sim.state().uploads, target.media_path(), file);
    uploaded(sim, target, size)
}

fn uploaded(sim: &Shared, target: &Target, size: usize) -> Response {
    let data = json!({
        "success": true,
        "fileName": target.name,
        "filePath": target.path(),
        "downloadUrl": sim.media_url(&target.media_path()),
        "fileSize": size,
        "mimeType": target.content_type(),
        "uploadedAt": iso_8601(now()),
    });
    let message = "File uploaded successfully";
    Json(json!({ "success": true, "code": 200, "msg": message, "data": data })).into_response()
}

/// A path of harmless segments: letters, digits, `.`, `_` and `-`, and none that leads elsewhere.
fn clean(path: &str) -> Option<String> {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    let segments: Vec<String> = path
        .split(['/', '\\'])
        .map(|segment| segment.chars().filter(allowed).collect())
        .filter(|segment: &String| !segment.is_empty())
        .collect();
    let leads_elsewhere = segments.iter().any(|it| it == "." || it == "..");
    (!segments.is_empty() && !leads_elsewhere).then(|| segments.join("/"))
}

fn made_up_name(origin: &str) -> String {
    let milliseconds = now().as_millis();
    format!("{milliseconds}-{}.{}", unique_id(), extension(origin))
}

/// What follows the last dot of the last segment of a name or URL.
fn extension(name: &str) -> &str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or("bin", |(_, last)| last)
}

/// Such as `2001-09-09T01:46:40.000Z`.
fn iso_8601(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let milliseconds = since_epoch.subsec_millis();
    // Days are counted from 1 March of year 0, so that a leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + month / 10;
    let month = (month + 2) % 12 + 1;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_8601() {
        for (milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_704_067_199_000, "2023-12-31T23:59:59.000Z"),
            (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
        ] {
            assert_eq!(iso_8601(Duration::from_millis(milliseconds)), expected);
        }
    }
}
