//! Opens kie.ai's envelope: `code`, `msg`, `data`.

use std::fmt;
use std::mem;

use bytes::Bytes;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use veo_transport::{
    Head, RawReply, Reply, UrlList, Verdict, filter_reasons, find_links, is_link, is_video,
    lenient, shortened, without_queries,
};

use crate::record::decoded;
use crate::types::{Code, Record, SuccessFlag};
use crate::{Error, State};

/// A refusal in kie.ai's words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status and the headers. Most refusals have the status 200.
    pub head: Head,
    /// kie.ai's code, if there is one.
    pub code: Option<Code>,
    /// kie.ai's words, if there are some; the first few KiB.
    pub message: Option<String>,
    /// The data of the refusal. With code 422 from `get_4k_video` the data is the state of the upgrade.
    pub data: Option<Value>,
    /// The whole reply, as it arrived.
    pub body: Bytes,
}

impl Rejection {
    /// The record of a task that has ended, if the data is one. kie.ai can send it with the code or HTTP status of an
    /// error.
    pub fn ended_record(&self) -> Option<Record> {
        let record = Record::deserialize(self.data.as_ref()?).ok()?;
        let has_state = record.state.is_some() || record.success_flag.is_some();
        let has_ended = matches!(record.state(), State::Succeeded | State::Failed);
        (has_state && has_ended).then_some(record)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kie.ai answered")?;
        match self.code {
            Some(code) if code != Code::Success => write!(f, " with code {code}")?,
            _ => write!(f, " with HTTP {}", self.head.status)?,
        }
        write!(
            f,
            ": {}",
            without_queries(self.message.as_deref().unwrap_or("no reason given"))
        )
    }
}

/// Decodes a reply, and turns its envelope into a result.
pub(crate) fn open<T: DeserializeOwned>(raw: RawReply) -> Result<Reply<T>, Error> {
    veo_transport::open(raw, judge)
}

fn judge(raw: &RawReply, json: Value) -> Verdict<Rejection> {
    let mut json = enveloped(json);
    let is_known = |field| json.get(field).is_some();
    if !["code", "msg", "data"].into_iter().any(is_known) {
        return Verdict::NotThisProvider("the body is not kie.ai's envelope");
    }
    let code: Option<Code> = lenient(&json["code"]).unwrap_or_default();
    if let Some(data) = json.get_mut("data") {
        normalize_text(data);
        normalize_list(data);
        normalize_spellings(data);
        normalize_places(data);
    }
    // Data without a readable code counts as accepted: the data can name a paid task, which must not be lost.
    let accepted = match code {
        Some(code) => code == Code::Success,
        None => !json["data"].is_null(),
    };
    if accepted && raw.head.is_success() {
        return Verdict::Reply(json);
    }
    let message: Option<String> = lenient(&json["msg"]).unwrap_or_default();
    Verdict::Rejected(Rejection {
        head: raw.head.clone(),
        code,
        message: message.map(shortened),
        data: Some(json["data"].take()).filter(|data| !data.is_null()),
        body: raw.body.clone(),
    })
}

/// Finds the envelope of a reply. The envelope can be JSON in a string, or the only item of a list. A record of a task
/// can come without an envelope.
fn enveloped(mut json: Value) -> Value {
    normalize_text(&mut json);
    normalize_list(&mut json);
    let is_record = ["successFlag", "state"]
        .into_iter()
        .any(|field| json.get(field).is_some());
    if is_record && json.get("code").is_none() && json.get("data").is_none() {
        return json!({ "code": Code::Success.value(), "data": json });
    }
    json
}

/// Replaces a list that has only one object with the object.
fn normalize_list(value: &mut Value) {
    if let Value::Array(items) = value
        && let [item @ Value::Object(_)] = items.as_mut_slice()
    {
        *value = item.take();
    }
}

/// Replaces a string that holds a JSON object with that object, even if it was encoded more than once. A list in a
/// string stays a string, unless the list has only one object: a long list would take a hundred times its memory.
fn normalize_text(value: &mut Value) {
    let Value::String(text) = value else {
        return;
    };
    let mut inside = decoded(text);
    normalize_list(&mut inside);
    if inside.is_object() {
        *value = inside;
    }
}

/// Renames each field that has two spellings to the usual spelling, since the specification can have only one.
fn normalize_spellings(data: &mut Value) {
    rename_members(data);
    for name in ["response", "resultJson"] {
        if let Some(result) = data.get_mut(name) {
            normalize_result(result);
            rename_members(result);
        }
    }
}

/// Moves the members of a wrapper inside a result up into the result.
fn normalize_result(result: &mut Value) {
    normalize_text(result);
    let Value::Object(result) = result else {
        return;
    };
    for wrapper in ["data", "response"] {
        let Some(inside) = result.get_mut(wrapper) else {
            continue;
        };
        normalize_text(inside);
        let Value::Object(inside) = inside else {
            continue;
        };
        for (name, value) in mem::take(inside) {
            let beside = result.entry(name).or_insert(Value::Null);
            if is_nothing(beside) {
                *beside = value;
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Searches a record that ended without a video, and moves links or a reason from unusual places to the usual ones.
fn normalize_places(data: &mut Value) {
    let has_state = data.get("successFlag").is_some() || data.get("state").is_some();
    if !has_state || data["successFlag"] == SuccessFlag::Generating.value() {
        // This is no record, or the task goes on.
        return;
    }
    let lacks_video = Record::deserialize(&*data).is_ok_and(|record| record.lacks_video());
    let Value::Object(record) = data else {
        return;
    };
    if !lacks_video {
        return;
    }
    let mut links = find_links(record);
    if links.is_empty()
        && let Some(result) = record.get("resultJson")
    {
        links = videos_among_pictures(result);
    }
    if !links.is_empty() {
        record.insert("resultUrls".to_owned(), links.into());
    } else if let Some(reasons) = filter_reasons(record) {
        // The reasons come without a code. This is the code under which callers know the refusal of the filter.
        record.insert("failCode".to_owned(), "raiMediaFiltered".into());
        record.insert("failMsg".to_owned(), reasons.into());
    }
}

/// Finds the links of videos in the fields that usually have pictures or the watermarked copy.
fn videos_among_pictures(result: &Value) -> Vec<String> {
    let places = ["resultWaterMarkUrls", "imageUrls", "image_urls"];
    let mut links = places.into_iter().filter_map(|place| {
        let mut urls = UrlList::deserialize(result.get(place)?).ok()?.0;
        urls.retain(|url| is_link(url) && is_video(url));
        Some(urls)
    });
    links.find(|urls| !urls.is_empty()).unwrap_or_default()
}

fn rename_members(object: &mut Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    for (rare, usual) in [
        ("task_id", "taskId"),
        ("result_url", "resultUrl"),
        ("result_urls", "resultUrls"),
        ("origin_urls", "originUrls"),
        ("full_result_urls", "fullResultUrls"),
        ("media_ids", "mediaIds"),
        ("fileUrl", "downloadUrl"),
    ] {
        if object.contains_key(rare)
            && !object.contains_key(usual)
            && let Some(value) = object.remove(rare)
        {
            object.insert(usual.to_owned(), value);
        }
    }
}
