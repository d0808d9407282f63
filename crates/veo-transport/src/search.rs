//! Searches a whole reply for links and reasons, if the documentation does not say where they are.

use reqwest::Url;
use serde_json::{Map, Value};

use crate::json::json;

/// Parts of names of members. A link below such a member is not a link to the new video.
const OTHERS: &[&str] = &[
    "thumbnail",
    "cover",
    "frame",
    "image",
    "poster",
    "preview",
    "avatar",
    "logo",
    "watermark",
    "subtitle",
    "callback",
    "webhook",
    "cancel",
    "poll",
    "status",
    "docs",
    "help",
    "error",
    "message",
    "reason",
    "request",
];
/// The starts of further names of members without links to the new video.
const OTHERS_BEGIN: &[&str] = &["origin", "input", "prompt", "param"];

/// Returns whether a text can be a link to a video: an http URL, a data URL, or a path at the same server.
///
/// ```
/// assert!(veo_transport::is_link(" HTTPS://cdn.example.net/v.mp4"));
/// assert!(veo_transport::is_link("/v1/videos/task_x/content"));
/// assert!(!veo_transport::is_link("it failed, see https://example.net"));
/// ```
pub fn is_link(text: &str) -> bool {
    let text = text.trim();
    let start: String = text.chars().take(12).flat_map(char::to_lowercase).collect();
    if start.starts_with("data:") {
        return !start.starts_with("data:image/") && !start.starts_with("data:text/");
    }
    let is_one_word = !text.contains(char::is_whitespace);
    let is_absolute = start.starts_with("http://") || start.starts_with("https://");
    let is_path = start.starts_with('/') && text.len() > 1;
    is_one_word && (is_absolute || is_path)
}

/// Returns whether a link shows that it leads to a video: it is a data URL, or has the file extension of a video.
///
/// ```
/// assert!(veo_transport::is_video("https://cdn.example.net/v.MP4?size=1"));
/// assert!(!veo_transport::is_video("https://cdn.example.net/v.jpg"));
/// ```
pub fn is_video(link: &str) -> bool {
    let is_data = link.len() >= 5 && link.as_bytes()[..5].eq_ignore_ascii_case(b"data:");
    if is_data {
        return true;
    }
    let end = link.find(['?', '#']).unwrap_or(link.len());
    let path = link[..end].to_lowercase();
    [".mp4", ".mov", ".m4v", ".webm"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

/// Makes a link that can be followed: without blanks around it, its scheme in lower case, resolved against `base`.
///
/// ```
/// let base = "https://api.example.net/base";
/// assert_eq!(veo_transport::absolute("HTTP://x.net/V", base), "http://x.net/V");
/// assert_eq!(veo_transport::absolute("/v1/x", base), "https://api.example.net/v1/x");
/// ```
pub fn absolute(link: &str, base: &str) -> String {
    let link = link.trim();
    if let Some((scheme, rest)) = link.split_once(':')
        && !scheme.starts_with('/')
    {
        return format!("{}:{rest}", scheme.to_lowercase());
    }
    match Url::parse(base).and_then(|base| base.join(link)) {
        Ok(url) => url.into(),
        Err(_) => link.to_owned(),
    }
}

/// Finds the links in a reply that most likely lead to the new video. The first of these groups that has a link is
/// returned: links with the file extension of a video, links below a member with `video` in its name, all other links.
/// Links to other things, such as the input, are left out.
pub fn find_links(reply: &Map<String, Value>) -> Vec<String> {
    let mut found = Found::default();
    found.look_into_object(reply, false);
    [found.videos, found.named, found.others]
        .into_iter()
        .find(|links| !links.is_empty())
        .unwrap_or_default()
}

#[derive(Default)]
struct Found {
    videos: Vec<String>,
    named: Vec<String>,
    others: Vec<String>,
}

impl Found {
    fn look_into_object(&mut self, object: &Map<String, Value>, is_named: bool) {
        for (name, value) in object {
            let name = plain(name);
            let contains = |part: &&str| name.contains(part);
            let begins = |part: &&str| name.starts_with(part);
            if OTHERS.iter().any(contains) || OTHERS_BEGIN.iter().any(begins) {
                continue;
            }
            let is_place = ["url", "uri", "link", "href"].iter().any(contains);
            self.look_into(value, is_named || name.contains("video"), is_place);
        }
    }

    fn look_into(&mut self, value: &Value, is_named: bool, is_place: bool) {
        match value {
            Value::Object(object) => self.look_into_object(object, is_named),
            Value::Array(items) => {
                for item in items {
                    self.look_into(item, is_named, is_place);
                }
            }
            // A text can be JSON, and can be encoded more than once.
            Value::String(text) if text.trim_start().starts_with(['{', '[', '"']) => {
                if let Ok(inside) = json(text.trim().as_bytes()) {
                    self.look_into(&inside, is_named, is_place);
                }
            }
            // A path is a link only in a member with a name such as `url` or `link`.
            Value::String(text) if is_link(text) && (is_place || !text.trim().starts_with('/')) => {
                self.take(text.trim(), is_named);
            }
            _ => {}
        }
    }

    fn take(&mut self, link: &str, is_named: bool) {
        let links = if is_video(link) {
            &mut self.videos
        } else if is_named {
            &mut self.named
        } else {
            &mut self.others
        };
        if !links.iter().any(|known| known == link) {
            links.push(link.to_owned());
        }
    }
}

/// Finds the reasons why videos were filtered, in the words of Google's API. Empty if the reply has only their number.
pub fn filter_reasons(reply: &Map<String, Value>) -> Option<String> {
    let mut reasons = Vec::new();
    let mut is_filtered = false;
    for (name, value) in reply {
        match (plain(name).as_str(), value) {
            ("raimediafilteredreasons", Value::Array(items)) => {
                reasons.extend(items.iter().filter_map(Value::as_str));
            }
            ("raimediafilteredcount", count) => {
                is_filtered = count.as_f64().is_some_and(|count| count > 0.0);
            }
            _ => {}
        }
    }
    if is_filtered || !reasons.is_empty() {
        return Some(reasons.join("; "));
    }
    reply.values().find_map(filtered_below)
}

fn filtered_below(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => filter_reasons(object),
        Value::Array(items) => items.iter().find_map(filtered_below),
        _ => None,
    }
}

/// Reduces the name of a member to letters and digits in lower case.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn links_are_found_and_those_of_other_things_are_not() {
        let table = [
            (
                json!({ "videos": [{ "url": "https://x.net/v" }] }),
                vec!["https://x.net/v"],
            ),
            (
                json!({ "output": " https://x.net/v.mp4?a=/b " }),
                vec!["https://x.net/v.mp4?a=/b"],
            ),
            (
                json!({ "output": ["HTTP://x.net/a.MP4", "https://x.net/b.mp4"] }),
                vec!["HTTP://x.net/a.MP4", "https://x.net/b.mp4"],
            ),
            (
                json!({ "a": { "url": "https://x.net/page" }, "b": { "url": "https://x.net/v.mp4" } }),
                vec!["https://x.net/v.mp4"],
            ),
            (
                json!({ "site": "https://x.net", "video": { "link": "https://x.net/v" } }),
                vec!["https://x.net/v"],
            ),
            (
                json!({ "result": "{\"list\":[\"https://x.net/v.mp4\"]}" }),
                vec!["https://x.net/v.mp4"],
            ),
            (
                json!({ "result": "\"{\\\"list\\\":[\\\"https://x.net/v.mp4\\\"]}\"" }),
                vec!["https://x.net/v.mp4"],
            ),
            (
                json!({ "a": "https://x.net/v.mp4", "b": "https://x.net/v.mp4" }),
                vec!["https://x.net/v.mp4"],
            ),
            (
                json!({ "video_url": "/v1/x/content", "path": "/tmp/x" }),
                vec!["/v1/x/content"],
            ),
            (
                json!({ "content": "data:application/octet-stream;base64,AAAA" }),
                vec!["data:application/octet-stream;base64,AAAA"],
            ),
            (
                json!({ "originUrls": ["https://x.net/v.mp4"], "thumbnail_url": "https://x.net/v.mp4",
                        "cover": "https://x.net/v.mp4", "firstFrameUrl": "https://x.net/v.mp4",
                        "image_urls": ["https://x.net/v.mp4"], "input": { "video": "https://x.net/v.mp4" },
                        "prompt": "https://x.net/v.mp4", "paramJson": "{\"video\":\"https://x.net/v.mp4\"}",
                        "callBackUrl": "https://x.net/v.mp4", "error": { "video": "https://x.net/v.mp4" } }),
                vec![],
            ),
            (
                json!({ "a": "see https://x.net/v.mp4", "b": "ftp://x.net/v.mp4", "c": "data:image/png;base64,AA" }),
                vec![],
            ),
        ];
        for (reply, wanted) in table {
            assert_eq!(find_links(reply.as_object().unwrap()), wanted, "{reply}");
        }
    }

    #[test]
    fn a_filter_says_so_anywhere() {
        let table = [
            (
                json!({ "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["a", "b"] }),
                Some("a; b"),
            ),
            (
                json!({ "response": [{ "rai_media_filtered_count": 2 }] }),
                Some(""),
            ),
            (
                json!({ "raiMediaFilteredCount": 0, "raiMediaFilteredReasons": [] }),
                None,
            ),
            (json!({ "status": "completed" }), None),
        ];
        for (reply, wanted) in table {
            assert_eq!(
                filter_reasons(reply.as_object().unwrap()).as_deref(),
                wanted,
                "{reply}"
            );
        }
    }
}
