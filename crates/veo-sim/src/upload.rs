//! The file uploads of kie.ai. Here the HTTP status is also the `code`, and a refusal has no `data`.

use std::borrow::Cow;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::json;

use crate::fields::{json_object, text};
use crate::reply::Reply;
use crate::server::Visit;
use crate::state::{File, iso_8601, unique_id};

const NOT_JSON: &str = "The request body must be a JSON object";
const NOT_A_FORM: &str = "The request body must be a multipart form";

/// A refusal, in the words of the message.
struct Refusal(Cow<'static, str>);

impl From<&'static str> for Refusal {
    fn from(words: &'static str) -> Refusal {
        Refusal(words.into())
    }
}

type Answer = Result<Reply, Refusal>;

/// An error, with the words that kie.ai documents for its status if none are given.
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

/// What the upload host answers.
pub(crate) async fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation.id {
        "upload_base64" => base64_upload(visit),
        "upload_stream" => stream_upload(visit).await,
        "upload_url" => url_upload(visit),
        _ => Ok(error(501, Some(&visit.is_not_played()))),
    };
    answer.unwrap_or_else(|Refusal(message)| error(400, Some(&message)))
}

/// Where a file goes.
struct Target {
    /// The number of the account.
    account: u32,
    folder: String,
    name: String,
}

impl Target {
    /// Checks the two names of a request. A file without a name gets one, with the extension of its origin.
    fn new(
        visit: &Visit<'_>,
        folder: Option<&str>,
        name: Option<&str>,
        origin: &str,
    ) -> Result<Target, Refusal> {
        let folder = folder.ok_or("Missing required parameter: uploadPath")?;
        let name = name.map_or_else(|| made_up_name(origin), str::to_owned);
        let target = Target {
            account: visit
                .shared
                .state()
                .account(&visit.account)
                .map_or(0, |account| account.number),
            folder: clean(folder).ok_or("Invalid parameter: uploadPath")?,
            name: clean(&name).ok_or("Invalid parameter: fileName")?,
        };
        match visit.mismatches.first() {
            // What the specification says and nobody has seen the words for.
            Some(mismatch) => Err(Refusal(format!("Invalid parameter: {mismatch}").into())),
            None => Ok(target),
        }
    }

    fn path(&self) -> String {
        format!(
            "kieai/{}/{}/{}",
            100_000 + self.account,
            self.folder,
            self.name
        )
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

fn base64_upload(visit: &Visit<'_>) -> Answer {
    let request = json_object(&visit.body).ok_or(NOT_JSON)?;
    let data = text(&request, "base64Data").ok_or("Missing required parameter: base64Data")?;
    // A data URL says its type in front, as in `data:image/png;base64,`.
    let (kind, encoded) = data.split_once(";base64,").unwrap_or(("", data));
    let content = BASE64_STANDARD.decode(encoded);
    let content = content.map_err(|_| "Base64 decoding failed: Invalid Base64 format")?;
    let (folder, name) = (text(&request, "uploadPath"), text(&request, "fileName"));
    let kind = kind.split(';').next().unwrap_or_default().replace('/', ".");
    let target = Target::new(visit, folder, name, &kind)?;
    Ok(keep(visit, &target, content.into()))
}

async fn stream_upload(visit: &Visit<'_>) -> Answer {
    let kind = visit
        .parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| NOT_A_FORM)?;
    let mut form = multer::Multipart::with_reader(&visit.body[..], boundary);
    let broken = |_: multer::Error| NOT_A_FORM;
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
    let (origin, content) = file.ok_or("Missing required parameter: file")?;
    // As in JSON, what is empty is not there.
    let given = |field: &Option<String>| field.clone().filter(|text| !text.trim().is_empty());
    let target = Target::new(
        visit,
        given(&folder).as_deref(),
        given(&name).as_deref(),
        &origin,
    )?;
    Ok(keep(visit, &target, content))
}

/// Nothing is fetched: the reply is that of a file that was.
fn url_upload(visit: &Visit<'_>) -> Answer {
    let request = json_object(&visit.body).ok_or(NOT_JSON)?;
    let url = text(&request, "fileUrl").ok_or("Missing required parameter: fileUrl")?;
    let (folder, name) = (text(&request, "uploadPath"), text(&request, "fileName"));
    let target = Target::new(visit, folder, name, url)?;
    Ok(reply(visit, &target, 0))
}

fn keep(visit: &Visit<'_>, target: &Target, content: Bytes) -> Reply {
    let size = content.len();
    let (pace, uploaded) = visit.clock();
    let (account, content_type) = (visit.account.clone(), target.content_type());
    let file = File {
        account,
        pace,
        uploaded,
        bytes: content,
        content_type,
    };
    visit
        .shared
        .state()
        .uploads
        .put(target.media_path().into(), file, size + visit.account.len());
    reply(visit, target, size)
}

fn reply(visit: &Visit<'_>, target: &Target, size: usize) -> Reply {
    let data = json!({
        "success": true,
        "fileName": target.name,
        "filePath": target.path(),
        "downloadUrl": format!("{}/media/{}", visit.shared.url, target.media_path()),
        "fileSize": size,
        "mimeType": target.content_type(),
        "uploadedAt": iso_8601(visit.clock().1),
    });
    let message = "File uploaded successfully";
    Reply::json(
        200,
        json!({ "success": true, "code": 200, "msg": message, "data": data }),
    )
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
    let milliseconds = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_millis();
    format!("{milliseconds}-{}.{}", unique_id(), extension(origin))
}

/// What follows the last dot of the last segment of a name or URL, if it is short and plain.
fn extension(name: &str) -> &str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let is_plain = |last: &&str| {
        (1..=8).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    file.rsplit_once('.')
        .map(|(_, last)| last)
        .filter(is_plain)
        .unwrap_or("bin")
}
