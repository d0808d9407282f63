//! The uploads of kie.ai. Here the HTTP status is also the `code`, and a refusal has no `data`.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::json;

use crate::reply::Reply;
use crate::state::{File, iso_8601, unique_id};
use crate::visit::{Visit, text};

const NOT_JSON: &str = "The request body must be a JSON object";
const NOT_A_FORM: &str = "The request body must be a multipart form";

/// An error. By default it has the words that kie.ai documents for the status.
pub(crate) fn error(status: u16, words: Option<&str>) -> Reply {
    let documented = match status {
        400 => "Missing required parameter: uploadPath",
        401 => "Authentication failed: Invalid API Key",
        405 => "Method Not Allowed",
        500 => "Internal server error",
        _ => "Error",
    };
    Reply::json(
        status,
        json!({ "success": false, "code": status, "msg": words.unwrap_or(documented) }),
    )
}

/// The answer of the upload host to a request.
pub(crate) async fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation {
        "upload_base64" => base64_upload(visit),
        "upload_stream" => stream_upload(visit).await,
        "upload_url" => url_upload(visit),
        _ => Err(error(501, Some(&visit.not_simulated()))),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

fn refused(words: &str) -> Reply {
    error(400, Some(words))
}

/// The place of an uploaded file.
struct Target {
    /// The number of the account.
    account: u32,
    folder: String,
    name: String,
}

impl Target {
    /// Checks the folder and the name in a request. A file without a name gets one with the extension of its origin.
    fn new(
        visit: &Visit<'_>,
        folder: Option<&str>,
        name: Option<&str>,
        origin: &str,
    ) -> Result<Target, Reply> {
        let folder = folder.ok_or_else(|| refused("Missing required parameter: uploadPath"))?;
        let folder = clean(folder).ok_or_else(|| refused("Invalid parameter: uploadPath"))?;
        let name = match name {
            Some(name) => clean(name).ok_or_else(|| refused("Invalid parameter: fileName"))?,
            None => made_up_name(origin),
        };
        // For a request that only the specification forbids, kie.ai's words are not known.
        if let Some(mismatch) = visit.mismatches.first() {
            return Err(refused(&format!("Invalid parameter: {mismatch}")));
        }
        let mut state = visit.shared.state();
        let account = state.account(&visit.account);
        Ok(Target {
            account: account.map_or(0, |account| account.number),
            folder,
            name,
        })
    }

    fn path(&self) -> String {
        let account = 100_000 + self.account;
        format!("kieai/{account}/{}/{}", self.folder, self.name)
    }

    /// The path under `/media/`.
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

fn base64_upload(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let request = visit.json().ok_or_else(|| refused(NOT_JSON))?;
    let data = text(&request, "base64Data");
    let data = data.ok_or_else(|| refused("Missing required parameter: base64Data"))?;
    // A data URL begins with its type, as in `data:image/png;base64,`.
    let (kind, encoded) = data.split_once(";base64,").unwrap_or(("", data));
    let content = BASE64_STANDARD.decode(encoded);
    let content = content.map_err(|_| refused("Base64 decoding failed: Invalid Base64 format"))?;
    let kind = kind.split(';').next().unwrap_or_default().replace('/', ".");
    let folder = text(&request, "uploadPath");
    let target = Target::new(visit, folder, text(&request, "fileName"), &kind)?;
    Ok(keep(visit, &target, content.into()))
}

async fn stream_upload(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let form = Form::read(visit).await.map_err(|_| refused(NOT_A_FORM))?;
    let (origin, content) = form
        .file
        .ok_or_else(|| refused("Missing required parameter: file"))?;
    let folder = form.folder.as_deref();
    let target = Target::new(visit, folder, form.name.as_deref(), &origin)?;
    Ok(keep(visit, &target, content))
}

/// Answers an upload by URL. Nothing is fetched, but the reply says that the file exists.
fn url_upload(visit: &Visit<'_>) -> Result<Reply, Reply> {
    let request = visit.json().ok_or_else(|| refused(NOT_JSON))?;
    let url = text(&request, "fileUrl");
    let url = url.ok_or_else(|| refused("Missing required parameter: fileUrl"))?;
    let folder = text(&request, "uploadPath");
    let target = Target::new(visit, folder, text(&request, "fileName"), url)?;
    Ok(reply(visit, &target, 0))
}

/// The fields of a multipart form. A blank field counts as missing, as in JSON.
#[derive(Default)]
struct Form {
    folder: Option<String>,
    name: Option<String>,
    /// The client's name of the file, and its bytes.
    file: Option<(String, Bytes)>,
}

impl Form {
    async fn read(visit: &Visit<'_>) -> multer::Result<Form> {
        let kind = visit.parts.headers.get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind)?;
        let mut fields = multer::Multipart::with_reader(&visit.body[..], boundary);
        let mut form = Form::default();
        while let Some(field) = fields.next_field().await? {
            match field.name() {
                Some("uploadPath") => form.folder = not_blank(field.text().await?),
                Some("fileName") => form.name = not_blank(field.text().await?),
                Some("file") => {
                    let origin = field.file_name().unwrap_or_default().to_owned();
                    form.file = Some((origin, field.bytes().await?));
                }
                _ => {}
            }
        }
        Ok(form)
    }
}

fn not_blank(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

fn keep(visit: &Visit<'_>, target: &Target, content: Bytes) -> Reply {
    let size = content.len();
    let file = File {
        account: visit.account.clone(),
        pace: visit.pace,
        uploaded: visit.now,
        bytes: content,
        content_type: target.content_type(),
    };
    let place = target.media_path().into();
    visit.shared.state().uploads.put(place, file);
    reply(visit, target, size)
}

fn reply(visit: &Visit<'_>, target: &Target, size: usize) -> Reply {
    let data = json!({
        "success": true,
        "fileName": target.name,
        "filePath": target.path(),
        "downloadUrl": format!("{}/media/{}", visit.shared.media_url, target.media_path()),
        "fileSize": size,
        "mimeType": target.content_type(),
        "uploadedAt": iso_8601(visit.now),
    });
    let message = "File uploaded successfully";
    Reply::json(
        200,
        json!({ "success": true, "code": 200, "msg": message, "data": data }),
    )
}

/// Cleans a path: its segments keep letters, digits, `.`, `_` and `-`. `None` if it is empty or leaves the folder.
fn clean(path: &str) -> Option<String> {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    let mut segments = Vec::new();
    for segment in path.split(['/', '\\']) {
        let segment: String = segment.chars().filter(is_allowed).collect();
        if segment == "." || segment == ".." {
            return None;
        }
        if !segment.is_empty() {
            segments.push(segment);
        }
    }
    (!segments.is_empty()).then(|| segments.join("/"))
}

fn made_up_name(origin: &str) -> String {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let milliseconds = since_epoch.as_millis();
    format!("{milliseconds}-{}.{}", unique_id(), extension(origin))
}

/// The extension of a name or a URL, up to eight letters and digits, or `bin`.
fn extension(name: &str) -> &str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.rsplit_once('.') {
        Some((_, last))
            if (1..=8).contains(&last.len())
                && last.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            last
        }
        _ => "bin",
    }
}
