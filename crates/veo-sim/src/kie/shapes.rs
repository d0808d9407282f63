//! The other shapes of kie.ai's replies and callbacks.

use std::mem::take;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::shape::{Shape, each_member, each_object};
use crate::state::iso_8601;

/// Puts a reply into another shape, which can also change its HTTP status. A shape of UniAll leaves the reply
/// unchanged.
pub(crate) fn reshape(shape: Shape, reply: &mut Value, status: &mut u16) {
    // The result of the current form is a text that contains JSON, and the shape applies inside it too.
    let result = read_result(reply);
    reshape_read(shape, reply, status);
    if result.is_some() {
        write_result(reply);
    }
}

/// Converts the id of a video to that of its upgrade, or back.
pub(crate) fn other_id(id: &str) -> String {
    id.chars().rev().collect()
}

/// Replaces the text of a result, if there is one, by its JSON.
fn read_result(reply: &mut Value) -> Option<()> {
    let result = reply.pointer_mut("/data/resultJson")?;
    *result = serde_json::from_str(result.as_str()?).ok()?;
    Some(())
}

/// Replaces the JSON of a result, if it is still there, by its text.
fn write_result(reply: &mut Value) {
    for pointer in ["/data/resultJson", "/data/result_json"] {
        if let Some(result) = reply
            .pointer_mut(pointer)
            .filter(|result| result.is_object())
        {
            *result = Value::from(result.to_string());
        }
    }
}

fn reshape_read(shape: Shape, reply: &mut Value, status: &mut u16) {
    match shape {
        Shape::UrlsAsText => each_member(reply, &urls_as_text),
        Shape::UrlsInBrackets => each_member(reply, &urls_in_brackets),
        Shape::TimesAsText => each_member(reply, &time_as_text),
        Shape::SnakeCase => each_object(reply, &names_in_snake_case),
        Shape::UnknownState => each_member(reply, &|name, value| match name {
            "successFlag" => *value = json!(7),
            "state" => *value = json!("dreaming"),
            _ => {}
        }),
        Shape::OtherStates => each_state(reply, &|state| match state {
            "success" => "completed".to_owned(),
            "fail" => "failed".to_owned(),
            other => other.to_owned(),
        }),
        Shape::UpperCase => each_state(reply, &str::to_ascii_uppercase),
        Shape::Generating => each_state(reply, &|state| match state {
            "waiting" => "generating".to_owned(),
            other => other.to_owned(),
        }),
        Shape::OriginFirst => origin_first(reply),
        Shape::OriginOnly => {
            if let Some(urls) = reply.pointer_mut("/data/resultJson/data/result_urls") {
                *urls = json!([]);
            }
        }
        Shape::NoResult => {
            if let Some(result) = reply.pointer_mut("/data/resultJson") {
                *result = json!("");
            }
        }
        Shape::AsDocumented => as_documented(reply),
        Shape::New4kId => new_4k_id(reply),
        Shape::NoData => {
            if let Some(data) = reply.get_mut("data") {
                *data = Value::Null;
            }
        }
        Shape::StatusIsCode => {
            if let Some(code) = reply["code"].as_u64() {
                *status = u16::try_from(code).unwrap_or(*status);
            }
        }
        other => other.apply(reply),
    }
}

fn urls_as_text(name: &str, value: &mut Value) {
    if is_list_of_urls(name) && value.is_array() {
        *value = Value::from(value.to_string());
    }
}

fn urls_in_brackets(name: &str, value: &mut Value) {
    if is_list_of_urls(name)
        && let Value::Array(urls) = value
    {
        let urls: Vec<&str> = urls.iter().filter_map(Value::as_str).collect();
        *value = Value::from(format!("[{}]", urls.join(", ")));
    }
}

fn is_list_of_urls(name: &str) -> bool {
    name.ends_with("Urls") || name.ends_with("_urls")
}

fn time_as_text(name: &str, value: &mut Value) {
    if let ("createTime" | "completeTime" | "updateTime", Some(time)) = (name, value.as_u64()) {
        let text = iso_8601(Duration::from_millis(time));
        let text = text.get(..19).unwrap_or_default().replace('T', " ");
        *value = Value::from(text);
    }
}

fn each_state(reply: &mut Value, change: &dyn Fn(&str) -> String) {
    each_member(reply, &|name, value| {
        if let ("state", Some(state)) = (name, value.as_str()) {
            *value = Value::from(change(state));
        }
    });
}

fn names_in_snake_case(object: &mut Map<String, Value>) {
    for (name, value) in take(object) {
        object.insert(snake_case(&name), value);
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

fn origin_first(reply: &mut Value) {
    let Some(data) = reply.pointer_mut("/data") else {
        return;
    };
    if data["response"]["originUrls"].is_array() {
        data["successFlag"] = json!(0);
        data["completeTime"] = Value::Null;
        data["response"]["resultUrls"] = Value::Null;
    }
    if data["resultJson"]["data"]["origin_urls"].is_array() {
        data["state"] = json!("generating");
        data["completeTime"] = Value::Null;
        data["costTime"] = Value::Null;
        data["resultJson"]["data"]["result_urls"] = json!([]);
    }
}

/// Changes a record of the current form from the form that was seen to that of its page.
fn as_documented(reply: &mut Value) {
    let Some(data) = reply
        .pointer_mut("/data")
        .filter(|data| data["param"].is_string())
    else {
        return;
    };
    let read = |text: &Value| serde_json::from_str::<Value>(text.as_str()?).ok();
    if let Some(mut param) = read(&data["param"])
        && let Some(input) = read(&param["input"])
    {
        param["input"] = input;
        data["param"] = Value::from(param.to_string());
    }
    for name in ["failCode", "failMsg"] {
        if data[name].is_null() {
            data[name] = json!("");
        }
    }
    if let Some(seconds) = data["costTime"].as_u64() {
        data["costTime"] = json!(seconds * 1000);
    }
}

fn new_4k_id(reply: &mut Value) {
    let is_4k = reply.pointer("/data/imageUrls").is_some();
    if is_4k && let Some(Value::String(id)) = reply.pointer_mut("/data/taskId") {
        *id = other_id(id);
    }
}
