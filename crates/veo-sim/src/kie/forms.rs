//! The other forms of kie.ai's replies and callbacks.

use std::mem::take;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::shape::{Shape, each_member, each_object};
use crate::state::iso_8601;

/// Puts a reply into another form; its HTTP status may change too. A form of UniAll leaves it as it is.
pub(crate) fn reshape(shape: Shape, reply: &mut Value, status: &mut u16) {
    match shape {
        Shape::UrlsAsText => each_member(reply, &urls_as_text),
        Shape::UrlsInBrackets => each_member(reply, &urls_in_brackets),
        Shape::TimesAsText => each_member(reply, &time_as_text),
        Shape::SnakeCase => each_object(reply, &names_in_snake_case),
        Shape::UnknownState => each_member(reply, &|name, value| {
            if name == "successFlag" {
                *value = json!(7);
            }
        }),
        Shape::OriginFirst => origin_first(reply),
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

/// The id of an upgrade for that of its video, and the other way round.
pub(crate) fn other_id(id: &str) -> String {
    id.chars().rev().collect()
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
    if let ("createTime" | "completeTime", Some(time)) = (name, value.as_u64()) {
        let text = iso_8601(Duration::from_millis(time));
        let text = text.get(..19).unwrap_or_default().replace('T', " ");
        *value = Value::from(text);
    }
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
    let origin = reply.pointer("/data/response/originUrls");
    if origin.is_some_and(Value::is_array) {
        let data = &mut reply["data"];
        data["successFlag"] = json!(0);
        data["completeTime"] = Value::Null;
        data["response"]["resultUrls"] = Value::Null;
    }
}

fn new_4k_id(reply: &mut Value) {
    let is_4k = reply.pointer("/data/imageUrls").is_some();
    if is_4k && let Some(Value::String(id)) = reply.pointer_mut("/data/taskId") {
        *id = other_id(id);
    }
}
