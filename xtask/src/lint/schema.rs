//! Rules for schemas: their names, keywords, enums, alternatives and uses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::report::{Findings, INLINE};
use crate::names::is_plain;
use crate::spec::{Spec, escape, list, members};

pub(super) fn components(spec: &Spec, report: &mut Findings) {
    let (_, replies) = spec.schema_uses();
    for (name, schema) in spec.schemas() {
        let at = format!("/components/schemas/{}", escape(name));
        let is_reply = replies.contains(name);
        report.require_description(&at, schema);
        named(name, &at, report);
        hand_written(schema, &at, report);
        extensible(schema, is_reply, &at, report);
        properties(schema, &at, report);
        enumerated(schema, &at, report);
        require_different_alternatives(spec, schema, &at, report);
        readable(schema, Place::Component, is_reply, &at, report);
    }
}

fn named(name: &str, at: &str, report: &mut Findings) {
    let is_pascal = name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains('_');
    if !is_plain(name) || !is_pascal || name == "Self" {
        let message = "this names a Rust type; write words in PascalCase, such as UrlList";
        report.refuse(at, message);
    }
}

fn hand_written(schema: &Value, at: &str, report: &mut Findings) {
    if let Some(path) = schema.get("x-rust-type") {
        let path = path.as_str().unwrap_or_default();
        if syn::parse_str::<syn::TypePath>(path).is_err() {
            let message = "write the path of a Rust type, such as crate::UrlList";
            report.refuse(format!("{at}/x-rust-type"), message);
        }
    }
}

fn extensible(schema: &Value, is_reply: bool, at: &str, report: &mut Findings) {
    let wanted = if is_reply { json!(true) } else { json!({}) };
    let given = schema.get("additionalProperties").unwrap_or(&wanted);
    if *given != wanted {
        let message = format!(
            "replies have true here and requests {{}}, which is a field for all others; write {wanted}"
        );
        report.refuse(format!("{at}/additionalProperties"), message);
    }
}

/// Requires that each property has a description, and that no two properties become one field in Rust.
fn properties(schema: &Value, at: &str, report: &mut Findings) {
    let mut fields = BTreeMap::new();
    for (property, value) in members(&schema["properties"]) {
        let at = format!("{at}/properties/{}", escape(property));
        if value.get("$ref").is_none() {
            report.require_description(&at, value);
        }
        if !is_plain(property) || property == "extra" {
            let message = "xtask/src/names.rs and the generator spell this in Rust in two ways; teach it there, or remove this";
            report.refuse(&at, message);
        }
        let field = property.replace('_', "").to_lowercase();
        if let Some(other) = fields.insert(field, property) {
            let message = format!(
                "this and {other} are one Rust field; keep one of them and say so in its description"
            );
            report.refuse(at, message);
        }
    }
}

/// Requires that the values of an enum have its type, and that each value has a name and a description.
fn enumerated(schema: &Value, at: &str, report: &mut Findings) {
    let lists = ["enum", "x-extensible-enum"];
    let Some(word) = lists.into_iter().find(|word| schema.get(word).is_some()) else {
        return;
    };
    let kind = schema["type"].as_str().unwrap_or_default();
    if !["string", "integer"].contains(&kind) {
        let message = "an enum has texts or whole numbers; write type: string or type: integer";
        report.refuse(at, message);
    }
    let values: Vec<&Value> = list(&schema[word]).collect();
    for (index, value) in values.iter().enumerate() {
        let at = format!("{at}/{word}/{index}");
        if kind == "string" && !value.is_string() || kind == "integer" && !value.is_i64() {
            report.refuse(at, format!("{value} is not of type {kind}; correct it"));
        } else if values[..index].contains(value) {
            report.refuse(at, format!("{value} stands here twice; remove it"));
        }
    }
    let count = values.len();
    for word in ["x-enum-varnames", "x-enum-descriptions"] {
        let is_complete =
            list(&schema[word]).count() == count && list(&schema[word]).all(Value::is_string);
        if !is_complete {
            let message = format!("{word} has to have one text for each of the {count} values");
            report.refuse(at, message);
        }
    }
    let mut names = BTreeSet::new();
    for (index, name) in list(&schema["x-enum-varnames"]).enumerate() {
        let name = name.as_str().unwrap_or_default();
        let is_name = syn::parse_str::<syn::Ident>(name).is_ok() && name != "Unknown";
        if !is_name || !names.insert(name) {
            let message =
                format!("{name} cannot name a Rust variant, or names another; choose another");
            report.refuse(format!("{at}/x-enum-varnames/{index}"), message);
        }
    }
}

/// Requires that alternatives differ in type. Objects of a request may differ in a word instead. The decoder chooses
/// the first alternative that fits, and the object of a reply fits any object.
fn require_different_alternatives(spec: &Spec, schema: &Value, at: &str, report: &mut Findings) {
    if schema.get("x-rust-type").is_some() {
        return;
    }
    let mut marks = BTreeSet::new();
    for (index, alternative) in list(&schema["oneOf"]).enumerate() {
        let own = marks_of(spec, spec.resolve(alternative));
        let are_new = own.iter().all(|mark| !marks.contains(mark));
        if own.is_empty() || !are_new {
            report.refuse(
                format!("{at}/oneOf/{index}"),
                "an alternative before this one can take its place; give each another type, or other words of its first required \
                 property, or decode it by hand with x-rust-type",
            );
        }
        marks.extend(own);
    }
}

/// The marks that tell alternatives apart: the words of the first required property if it is an enum, or else the type.
fn marks_of(spec: &Spec, alternative: &Value) -> Vec<String> {
    if let Some(name) = alternative["required"][0].as_str() {
        let words = &spec.target(&alternative["properties"][name])["enum"];
        let marks: Vec<String> = list(words).map(|word| format!("{name} {word}")).collect();
        if !marks.is_empty() {
            return marks;
        }
    }
    match alternative["type"].as_str() {
        Some("integer") => vec!["number".to_owned()],
        Some(kind) => vec![kind.to_owned()],
        None => Vec::new(),
    }
}

/// The place of a schema. A part is the item of a list, or the reference inside an `allOf`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Component,
    Property,
    Alternative,
    Part,
}

/// Refuses keywords in and below a schema that the generator would lose, that could cost a reply, or that need a name.
fn readable(schema: &Value, place: Place, is_reply: bool, at: &str, report: &mut Findings) {
    let kind = schema["type"].as_str();
    let named = ["properties", "anyOf", "oneOf", "enum", "x-extensible-enum"];
    let needs_name = kind == Some("object") || named.iter().any(|word| schema.get(word).is_some());
    if place != Place::Component && needs_name {
        return report.refuse(at, INLINE);
    }
    let why = if is_reply {
        "a reply that is otherwise would lose a value by this"
    } else {
        "nothing keeps to this"
    };
    let kind = kind.map_or("without a type".to_owned(), |kind| {
        format!("of type {kind}")
    });
    let place_name = format!("{place:?}").to_lowercase();
    let why = format!("{why} in a {place_name} {kind}");
    report.allow_only(at, schema, &keywords_of(schema, place, is_reply), &why);
    bounded(schema, at, report);
    if !is_reply && schema.get("default").is_some() {
        let message =
            "the clients that other generators make would send this; write x-server-default";
        report.refuse(format!("{at}/default"), message);
    }
    if let Some(format) = schema.get("format")
        && format != "int64"
        && format != "binary"
    {
        let message =
            "the generator makes another Rust type of this; only int64 and binary are known";
        report.refuse(format!("{at}/format"), message);
    }
    if place == Place::Property
        && let Some(all) = schema["allOf"].as_array()
        && (all.len() != 1 || all[0].get("$ref").is_none())
    {
        let message =
            "the generator reads allOf around one $ref only, to describe it; write one object";
        report.refuse(format!("{at}/allOf"), message);
    }
    // A schema that is decoded by hand is not generated, so its keywords do not matter.
    if schema.get("x-rust-type").is_some() {
        return;
    }
    for (name, schema) in members(&schema["properties"]) {
        let at = format!("{at}/properties/{}", escape(name));
        readable(schema, Place::Property, is_reply, &at, report);
    }
    for (word, place) in [("allOf", Place::Part), ("oneOf", Place::Alternative)] {
        for (index, schema) in list(&schema[word]).enumerate() {
            let at = format!("{at}/{word}/{index}");
            readable(schema, place, is_reply, &at, report);
        }
    }
    if let Some(schema) = schema.get("items") {
        readable(
            schema,
            Place::Part,
            is_reply,
            &format!("{at}/items"),
            report,
        );
    }
}

/// Requires that bounds form a range. A number needs both ends. A length may lack one: it begins at 0, or has no end.
fn bounded(schema: &Value, at: &str, report: &mut Findings) {
    for (least, most, needs_both) in [
        ("minimum", "maximum", true),
        ("minItems", "maxItems", false),
        ("minLength", "maxLength", false),
    ] {
        let is_range = match (schema[least].as_i64(), schema[most].as_i64()) {
            (None, None) => true,
            (Some(least), Some(most)) => least <= most,
            _ => !needs_both,
        };
        if !is_range {
            let message =
                format!("the bounds become a range; give {least} and {most}, the smaller first");
            report.refuse(at, message);
        }
    }
}

/// The keywords of a schema that the generator or the contract reads.
fn keywords_of(schema: &Value, place: Place, is_reply: bool) -> Vec<&'static str> {
    if schema.get("$ref").is_some() {
        return vec!["$ref"];
    }
    let is_enum = schema.get("enum").is_some();
    let of_type: &[&str] = match (schema["type"].as_str(), place, is_reply) {
        (Some("object"), ..) => &["properties", "required", "additionalProperties"],
        (Some("array"), Place::Property, false) => &["items", "minItems", "maxItems"],
        (Some("array"), ..) => &["items"],
        (Some("string"), Place::Component | Place::Property, false) if !is_enum => {
            &["format", "minLength", "maxLength"]
        }
        (Some("string"), _, false) => &["format"],
        (Some("integer"), Place::Property, false) => &["format", "minimum", "maximum"],
        (Some("integer"), ..) => &["format"],
        (None, Place::Component, _) => &["oneOf"],
        (None, Place::Property, _) => &["allOf"],
        _ => &[],
    };
    // A part must not be `nullable`, since a null in a list would cost the whole list.
    let of_place: &[&str] = match place {
        Place::Component => &[
            "nullable",
            "x-rust-type",
            "enum",
            "x-extensible-enum",
            "x-enum-varnames",
            "x-enum-descriptions",
        ],
        Place::Property if is_reply => &["nullable", "deprecated", "example"],
        Place::Property => &["nullable", "deprecated", "x-server-default", "example"],
        Place::Alternative => &["nullable"],
        Place::Part => &[],
    };
    [&["type", "description"], of_type, of_place].concat()
}

/// Refuses a schema that both requests and replies use, since requests are closed and replies are open.
pub(super) fn uses(spec: &Spec, report: &mut Findings) {
    let (requests, replies) = spec.schema_uses();
    for (name, schema) in spec.schemas() {
        let at = format!("/components/schemas/{}", escape(name));
        let has = |word: &str| schema.get(word).is_some();
        match (requests.contains(name), replies.contains(name)) {
            (true, true) => report.refuse(
                at,
                "requests and replies both use this; give each a schema of its own",
            ),
            (false, false) => report.refuse(at, "nothing uses this; remove it"),
            (true, false) if has("x-extensible-enum") => {
                report.refuse(at, "a request uses this; write enum, which is closed");
            }
            (true, false) if has("x-rust-type") => {
                report.refuse(at, "a request uses this; only replies are decoded by hand");
            }
            (false, true) if has("enum") => report.refuse(
                at,
                "a reply uses this; write x-extensible-enum, or a new word costs a paid task",
            ),
            _ => {}
        }
    }
}
