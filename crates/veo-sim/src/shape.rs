//! The other shapes in which a reply is known or likely to come. Each provider applies the shapes to its own replies.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Another shape of the true reply. A shape that does not apply to a reply leaves it unchanged.
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
    /// Lists of URLs are a text that contains a JSON array. Seen at kie.ai.
    UrlsAsText,
    /// Lists of URLs are a text in brackets, without quotes. Documented by kie.ai.
    UrlsInBrackets,
    /// Times are a text, as kie.ai documents, and not milliseconds.
    TimesAsText,
    /// Names are in snake_case. Seen at kie.ai for 1080p.
    SnakeCase,
    /// Every member is null except those that a client needs: the code, the state, the ids and the links.
    Nulls,
    /// Numbers are text.
    NumbersAsText,
    /// Every object has unknown fields.
    UnknownFields,
    /// The state of the task is an unknown word or number.
    UnknownState,
    /// The task of a video that is larger or in portrait still runs, but its small original exists. Seen at kie.ai.
    OriginFirst,
    /// The task of kie.ai's current form is a success with only its small original, beside an empty list.
    OriginOnly,
    /// The task of kie.ai's current form is a success, and its result is an empty text.
    NoResult,
    /// The task of kie.ai's current form is `generating` and not `waiting` before its end, which some report.
    Generating,
    /// The record of kie.ai's current form is as its page shows it, and not as it was seen: `param` is encoded once,
    /// `costTime` is in milliseconds, and empty texts replace nulls.
    AsDocumented,
    /// The id in the reply about an upgrade to 4K is a new id with its own record, and not the id of the video. Which of
    /// the two kie.ai uses is not known.
    #[serde(rename = "new_4k_id")]
    New4kId,
    /// The reply is a success without data, as at kie.ai just after a task was accepted.
    NoData,
    /// The HTTP status is the code in the body, as kie.ai may do.
    StatusIsCode,
    /// UniAll's task is in an envelope, in the words of its gateway's own table.
    Envelope,
    /// UniAll's task has a `task_id` and no `id`.
    TaskIdOnly,
    /// The id of UniAll's task is in place of the task.
    BareId,
    /// UniAll's task has the shape that stock gateway software uses, with the URL among the metadata.
    StockVideo,
    /// UniAll's completed task names no video. The video is at the gateway's `/v1/videos/{id}/content`, which needs the
    /// API key.
    ContentOnly,
    /// The URL of UniAll's video is `/v1/videos/{id}/content` at the gateway, among the metadata.
    ContentUrl,
    /// The URL of UniAll's video is in `result.outputs` only.
    OutputsOnly,
    /// UniAll's task is `processing` and then `succeeded`, as at other gateways of its kind. The task of kie.ai's
    /// current form is `completed` or `failed`.
    OtherStates,
    /// UniAll's task is in progress when it is accepted.
    UnderWay,
    /// The state is in capitals.
    UpperCase,
    /// The progress is a text with a percent sign.
    PercentAsText,
    /// The error is a text.
    ErrorAsText,
    /// The error of a failed task is null.
    ErrorIsNull,
}

impl Shape {
    /// Puts a reply into a shape that does not depend on the provider.
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

/// The members that [`Shape::Nulls`] keeps.
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

/// Changes every member of every object, inner objects first.
pub(crate) fn each_member(value: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    each_object(value, &|object| {
        for (name, value) in object.iter_mut() {
            change(name, value);
        }
    });
}

/// Changes every object, inner objects first.
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
