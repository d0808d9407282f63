//! The other forms that a reply is known, or likely, to come in.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::state::iso_8601;

/// Another form of the true reply. One that a reply has nothing for leaves it as it is.
///
/// ```
/// use veo_sim::{Fault, Scenario, Shape};
///
/// let scenario = Scenario::new("texts", "All numbers are text.").fault("any", 1.., Fault::Shape(Shape::NumbersAsText));
/// # assert_eq!(scenario.fault.len(), 1);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// Lists of URLs are a text that holds a JSON array. Seen at kie.ai.
    UrlsAsText,
    /// Lists of URLs are a text in brackets, without quotes. Documented by kie.ai.
    UrlsInBrackets,
    /// Times are a text, as kie.ai documents them, and not milliseconds.
    TimesAsText,
    /// Names are in snake_case. Seen at kie.ai for 1080p.
    SnakeCase,
    /// Everything is null that is not needed: not the code and the state, the ids and the links.
    Nulls,
    /// Numbers are text.
    NumbersAsText,
    /// Every object has fields that nobody knows.
    UnknownFields,
    /// The state of the task is a word or a number that nobody knows.
    UnknownState,
    /// The task still runs although its small original is there, beside a video that is larger or in portrait. Seen at
    /// kie.ai.
    OriginFirst,
    /// The id in the reply about an upgrade to 4K is a new one with a record of its own, and not that of the video.
    /// Which of the two it is at kie.ai is not known.
    #[serde(rename = "new_4k_id")]
    New4kId,
    /// There is no data: a success that says nothing else, as at kie.ai just after a task has been accepted.
    NoData,
    /// The HTTP status is the code in the body, which kie.ai allows itself.
    StatusIsCode,
    /// UniAll's task stands in an envelope, in the words of its gateway's own table.
    Envelope,
    /// The task of UniAll has no `id` but a `task_id`.
    TaskIdOnly,
    /// The id of UniAll's task stands where the task would be.
    BareId,
    /// The object of stock gateway software, with the URL among the metadata.
    StockVideo,
    /// The URL of UniAll's video stands in `result.outputs` alone.
    OutputsOnly,
    /// UniAll's task is `processing` and has `succeeded`, as at other gateways of its kind.
    OtherStates,
    /// UniAll's task is in progress when it is accepted.
    UnderWay,
    /// The state in capitals.
    UpperCase,
    /// The progress as a text with a percent sign.
    PercentAsText,
    /// The error is a text.
    ErrorAsText,
    /// The error is null although the task has failed.
    ErrorIsNull,
}

impl Shape {
    /// Puts a reply into this form; its HTTP status may change too.
    pub(crate) fn apply(self, reply: &mut Value, status: &mut u16) {
        match self {
            Self::UrlsAsText => {
                each_list_of_urls(reply, &|urls| Value::from(Value::from(urls).to_string()))
            }
            Self::UrlsInBrackets => each_list_of_urls(reply, &|urls| {
                let urls: Vec<_> = urls.iter().filter_map(Value::as_str).collect();
                Value::from(format!("[{}]", urls.join(", ")))
            }),
            Self::TimesAsText => each_member(reply, &|name, value| {
                if let ("createTime" | "completeTime", Some(time)) = (name, value.as_u64()) {
                    let text = iso_8601(std::time::Duration::from_millis(time));
                    *value = Value::from(text.get(..19).unwrap_or_default().replace('T', " "));
                }
            }),
            Self::SnakeCase => each_object(reply, &|object| {
                *object = std::mem::take(object)
                    .into_iter()
                    .map(|(name, value)| (snake_case(&name), value))
                    .collect();
            }),
            Self::Nulls => each_member(reply, &|name, value| {
                if !NEEDED.contains(&name) && !value.is_object() {
                    *value = Value::Null;
                }
            }),
            Self::NumbersAsText => each_number(reply, &|number| Value::from(number.to_string())),
            Self::UnknownFields => each_object(reply, &|object| {
                object.insert(
                    "surprise".to_owned(),
                    json!({ "code": 1, "id": 7, "taskId": null }),
                );
            }),
            Self::UnknownState => each_member(reply, &|name, value| match name {
                "successFlag" => *value = json!(7),
                "status" => *value = json!("dreaming"),
                _ => {}
            }),
            Self::OriginFirst => {
                let has_origin = reply
                    .pointer("/data/response/originUrls")
                    .is_some_and(Value::is_array);
                let later = [
                    "/data/successFlag",
                    "/data/completeTime",
                    "/data/response/resultUrls",
                ];
                for (place, value) in later.into_iter().zip([json!(0), Value::Null, Value::Null]) {
                    if let Some(found) = reply.pointer_mut(place).filter(|_| has_origin) {
                        *found = value;
                    }
                }
            }
            Self::New4kId => {
                let is_4k = reply.pointer("/data/imageUrls").is_some();
                if let Some(Value::String(id)) = reply.pointer_mut("/data/taskId").filter(|_| is_4k)
                {
                    *id = other_id(id);
                }
            }
            Self::NoData if is_task(reply) => {
                *reply = json!({ "code": "success", "message": "", "data": null })
            }
            Self::NoData => {
                if let Some(data) = reply.get_mut("data") {
                    *data = Value::Null;
                }
            }
            Self::StatusIsCode => {
                *status = reply["code"]
                    .as_u64()
                    .and_then(|code| u16::try_from(code).ok())
                    .unwrap_or(*status)
            }
            // A refusal is no task.
            Self::Envelope
            | Self::TaskIdOnly
            | Self::BareId
            | Self::StockVideo
            | Self::OutputsOnly
            | Self::ErrorAsText
            | Self::ErrorIsNull
                if !is_task(reply) => {}
            Self::Envelope => *reply = enveloped(reply),
            Self::TaskIdOnly => {
                *reply = json!({ "task_id": reply["id"], "status": reply["status"] })
            }
            Self::BareId => {
                *reply = json!({ "code": "success", "message": "", "data": reply["id"] })
            }
            Self::StockVideo => stock(reply),
            Self::OutputsOnly => {
                for place in ["", "/result"] {
                    if let Some(Value::Object(object)) = reply.pointer_mut(place) {
                        object.remove("video_url");
                    }
                }
            }
            Self::OtherStates => each_member(reply, &|name, value| match (name, value.as_str()) {
                ("status", Some("in_progress")) => *value = json!("processing"),
                ("status", Some("completed")) => *value = json!("succeeded"),
                _ => {}
            }),
            Self::UnderWay => {
                if reply["status"] == "queued" {
                    reply["status"] = json!("in_progress");
                    reply["progress"] = json!(5);
                }
            }
            Self::UpperCase => each_member(reply, &|name, value| {
                if let ("status", Some(word)) = (name, value.as_str()) {
                    *value = Value::from(word.to_uppercase());
                }
            }),
            Self::PercentAsText => each_member(reply, &|name, value| {
                if name == "progress" && value.is_number() {
                    *value = Value::from(format!("{value}%"));
                }
            }),
            Self::ErrorAsText => each_member(reply, &|name, value| {
                if name == "error" && value.is_object() {
                    *value = value["message"].take();
                }
            }),
            Self::ErrorIsNull => each_member(reply, &|name, value| {
                if name == "error" {
                    *value = Value::Null;
                }
            }),
        }
    }
}

/// What a reply says nothing without.
const NEEDED: [&str; 12] = [
    "code",
    "data",
    "downloadUrl",
    "fullResultUrls",
    "id",
    "resultUrl",
    "resultUrls",
    "status",
    "success",
    "successFlag",
    "taskId",
    "video_url",
];

/// The id of an upgrade for that of its video, and the other way round.
pub(crate) fn other_id(id: &str) -> String {
    id.chars().rev().collect()
}

/// Whether a reply is a task of UniAll.
fn is_task(reply: &Value) -> bool {
    reply.get("id").is_some()
}

/// A task of UniAll as the gateway's table has it.
fn enveloped(task: &Value) -> Value {
    let status = match task["status"].as_str() {
        Some("queued") => "QUEUED",
        Some("in_progress") => "IN_PROGRESS",
        Some("completed") => "SUCCESS",
        _ => "FAILURE",
    };
    let progress = task["progress"].as_u64().unwrap_or_default();
    let row = json!({
        "id": 123,
        "created_at": task["created_at"],
        "task_id": task["id"],
        "platform": "45",
        "action": "generate",
        "status": status,
        "fail_reason": task["error"].get("message").cloned().unwrap_or_else(|| json!("")),
        "result_url": task.get("video_url").cloned().unwrap_or_else(|| json!("")),
        "progress": format!("{progress}%"),
        "data": task,
    });
    json!({ "code": "success", "message": "", "data": row })
}

fn stock(task: &mut Value) {
    let Some(object) = task.as_object_mut() else {
        return;
    };
    object.insert("object".to_owned(), json!("video"));
    object.remove("result");
    if let Some(url) = object.remove("video_url") {
        object.insert("metadata".to_owned(), json!({ "url": url }));
    }
}

fn each_list_of_urls(reply: &mut Value, change: &dyn Fn(Vec<Value>) -> Value) {
    each_member(reply, &|name, value| {
        if (name.ends_with("Urls") || name.ends_with("_urls") || name == "outputs")
            && let Value::Array(urls) = value
        {
            *value = change(std::mem::take(urls));
        }
    });
}

fn each_number(value: &mut Value, change: &dyn Fn(&Value) -> Value) {
    match value {
        Value::Object(object) => object
            .values_mut()
            .for_each(|value| each_number(value, change)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| each_number(value, change)),
        Value::Number(_) => *value = change(value),
        _ => {}
    }
}

/// Every member of every object, those inside first.
fn each_member(value: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    each_object(value, &|object| {
        for (name, value) in object.iter_mut() {
            change(name, value);
        }
    });
}

/// Every object, those inside first.
fn each_object(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object
                .values_mut()
                .for_each(|value| each_object(value, change));
            change(object);
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| each_object(value, change)),
        _ => {}
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
