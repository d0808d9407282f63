//! The other forms that a reply is known, or likely, to come in, and the ways to put JSON into them. Each provider does
//! that for its own replies.

use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    /// The task of kie.ai's current form is a success, and only its small original is there, beside an empty list.
    OriginOnly,
    /// The task of kie.ai's current form is a success, and its result is an empty text.
    NoResult,
    /// The task of kie.ai's current form is `generating` before its end, as some say from the first look on, and not `waiting`.
    Generating,
    /// The record of kie.ai's current form is as its page shows it, and not as it was seen: `param` is encoded once, `costTime`
    /// is in milliseconds, and there are empty texts in place of nulls.
    AsDocumented,
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
    /// UniAll's task names no video although it is completed: the gateway has it at `/v1/videos/{id}/content`, which needs
    /// the key.
    ContentOnly,
    /// The URL of UniAll's video is that address of the gateway, among the metadata.
    ContentUrl,
    /// The URL of UniAll's video stands in `result.outputs` alone.
    OutputsOnly,
    /// UniAll's task is `processing` and has `succeeded`, as at other gateways of its kind; that of kie.ai's current form is
    /// `completed` or `failed`.
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
    /// Puts a reply into a form that does not depend on the provider.
    pub(crate) fn apply(self, reply: &mut Value) {
        match self {
            Shape::Nulls => each_member(reply, &|name, value| {
                if !NEEDED.contains(&name) && !value.is_object() {
                    *value = Value::Null;
                }
            }),
            Shape::NumbersAsText => each_number_as_text(reply),
            Shape::UnknownFields => each_object(reply, &|object| {
                let field = json!({ "code": 1, "id": 7, "taskId": null });
                object.insert("surprise".to_owned(), field);
            }),
            _ => {}
        }
    }
}

/// The members without which a reply says nothing.
const NEEDED: [&str; 15] = [
    "code",
    "data",
    "downloadUrl",
    "fullResultUrls",
    "id",
    "resultJson",
    "resultUrl",
    "resultUrls",
    "result_urls",
    "state",
    "status",
    "success",
    "successFlag",
    "taskId",
    "video_url",
];

/// Changes every member of every object, those inside first.
pub(crate) fn each_member(value: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    each_object(value, &|object| {
        for (name, value) in object.iter_mut() {
            change(name, value);
        }
    });
}

/// Changes every object, those inside first.
pub(crate) fn each_object(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for value in object.values_mut() {
                each_object(value, change);
            }
            change(object);
        }
        Value::Array(items) => {
            for value in items {
                each_object(value, change);
            }
        }
        _ => {}
    }
}

fn each_number_as_text(value: &mut Value) {
    match value {
        Value::Object(object) => object.values_mut().for_each(each_number_as_text),
        Value::Array(items) => items.iter_mut().for_each(each_number_as_text),
        Value::Number(number) => *value = Value::from(number.to_string()),
        _ => {}
    }
}
