//! Rules for the whole document: version, references, form, our own keywords, API key and servers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::report::{Findings, UNREAD};
use crate::spec::{Spec, escape, list, members};

pub(super) fn version(spec: &Spec, report: &mut Findings) {
    let version = spec.root["openapi"].as_str().unwrap_or("no version");
    if !version.starts_with("3.0.") {
        let message = format!("this is {version}; write OpenAPI 3.0, which the generator reads");
        report.refuse("/openapi", message);
    }
}

pub(super) fn references(spec: &Spec, report: &mut Findings) {
    walk(&spec.root, String::new(), &mut |pointer, value| {
        if let Some(target) = value.get("$ref") {
            reference(spec, format!("{pointer}/$ref"), target, report);
        }
    });
}

fn reference(spec: &Spec, at: String, target: &Value, report: &mut Findings) {
    let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
    let pointer = pointer.unwrap_or("nowhere");
    let Some(found) = spec.root.pointer(pointer) else {
        let message =
            format!("{target} leads nowhere in this file; correct the name or add the component");
        return report.refuse(at, message);
    };
    if found.get("$ref").is_some() {
        let message = format!("{target} is a reference itself; refer to the component directly");
        report.refuse(at, message);
    } else if pointer.split('/').count() != 4 {
        let message = format!("{target} is no component; give it a name and use that");
        report.refuse(at, message);
    }
}

/// Checks the form of the document with the generator's own OpenAPI reader.
pub(super) fn structure(spec: &Spec, report: &mut Findings) {
    for pointer in ["/info", "/paths", "/components/schemas"] {
        if !spec.root.pointer(pointer).is_some_and(Value::is_object) {
            report.refuse(pointer, "this has to be an object; add it");
        }
    }
    if let Err(error) = serde_path_to_error::deserialize::<_, openapiv3::OpenAPI>(&spec.root) {
        let segments = error.path().iter();
        let pointer: String = segments
            .map(|segment| format!("/{}", escape(&segment.to_string())))
            .collect();
        let message = format!("this is not OpenAPI 3.0: {}; correct it", error.inner());
        report.refuse(pointer, message);
    }
}

/// Refuses unknown keywords that begin with `x-`, and values of `x-basis` that are no source of a fact.
pub(super) fn keywords(spec: &Spec, report: &mut Findings) {
    const KEYWORDS: [&str; 8] = [
        "x-basis",
        "x-billable",
        "x-enum-descriptions",
        "x-enum-varnames",
        "x-extensible-enum",
        "x-rust-name",
        "x-rust-type",
        "x-server-default",
    ];
    const BASES: [&str; 3] = ["documented", "observed", "inferred"];
    walk(&spec.root, String::new(), &mut |pointer, value| {
        for (word, meaning) in members(value) {
            let at = format!("{pointer}/{}", escape(word));
            if word.starts_with("x-") && !KEYWORDS.contains(&word) {
                report.refuse(
                    at,
                    "nothing reads this keyword; use a keyword of openapi/README.md",
                );
            } else if word == "x-basis" && !BASES.iter().any(|basis| meaning == basis) {
                report.refuse(at, "say documented, observed or inferred");
            }
        }
    });
}

/// Refuses `nullable` without a type, where other tools ignore it. A reference, alone or in an `allOf`, has no type.
pub(super) fn nulls(spec: &Spec, report: &mut Findings) {
    walk(&spec.root, String::new(), &mut |pointer, value| {
        if value["nullable"].is_boolean() && value.get("type").is_none() {
            let message = "OpenAPI 3.0 knows this beside a type only; write it in the schema that has the type";
            report.refuse(format!("{pointer}/nullable"), message);
        }
    });
}

/// Requires one API key, as a bearer token, for all calls.
pub(super) fn key(spec: &Spec, report: &mut Findings) {
    let mut schemes = Vec::new();
    for (name, _) in list(&spec.root["security"]).flat_map(members) {
        schemes.push(&spec.root["components"]["securitySchemes"][name]);
    }
    let is_bearer = matches!(schemes[..], [it] if it["type"] == "http" && it["scheme"] == "bearer");
    if !is_bearer {
        let message = "the clients send the key as a bearer token; describe that and no other";
        report.refuse("/security", message);
    }
}

/// Requires exactly one server for the file, and for each path that has its own.
pub(super) fn servers(spec: &Spec, report: &mut Findings) {
    let mut holders = vec![(String::new(), &spec.root)];
    for (path, item) in members(&spec.root["paths"]) {
        if item.get("servers").is_some() {
            holders.push((format!("/paths/{}", escape(path)), item));
        }
    }
    for (at, holder) in holders {
        if list(&holder["servers"]).count() != 1 {
            let message = "calls go to one server; give exactly one";
            report.refuse(format!("{at}/servers"), message);
        }
    }
    let mut urls = BTreeMap::new();
    for (at, server) in spec.servers() {
        report.allow_only(&at, server, &["url", "description", "x-rust-name"], UNREAD);
        let url = server["url"].as_str().unwrap_or_default();
        if !url.starts_with("https://") || url.ends_with('/') || url.contains('{') {
            let message = "give an https URL without a slash at its end, and without variables";
            report.refuse(format!("{at}/url"), message);
        }
        let name = server["x-rust-name"].as_str().unwrap_or_default();
        if !is_url_constant(name) {
            let message =
                "add x-rust-name, the name of the constant that holds the URL, such as UPLOAD_URL";
            report.refuse(at, message);
        } else if *urls.entry(name).or_insert(url) != url {
            let message = format!("{name} is the name of another URL; choose another name");
            report.refuse(format!("{at}/x-rust-name"), message);
        }
    }
}

/// Returns whether a name is words in capital letters followed by `_URL`.
fn is_url_constant(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase());
    let words = name.strip_suffix("_URL").unwrap_or_default();
    words.split('_').all(is_word)
}

/// Visits a value and everything inside it, with pointers.
fn walk<'a>(value: &'a Value, pointer: String, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(&pointer, value);
    for (key, value) in members(value) {
        walk(value, format!("{pointer}/{}", escape(key)), visit);
    }
    for (index, value) in list(value).enumerate() {
        walk(value, format!("{pointer}/{index}"), visit);
    }
}
