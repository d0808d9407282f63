//! Rules for paths, operations, their parameters and their bodies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::report::{Findings, INLINE, UNREAD};
use crate::names::is_plain;
use crate::spec::{Operation, Spec, callbacks, escape, members};

const PATH: &[&str] = &["servers", "get", "put", "post", "delete", "patch"];
const OPERATION: &[&str] = &[
    "operationId",
    "summary",
    "description",
    "x-billable",
    "parameters",
    "requestBody",
    "responses",
    "callbacks",
];
const PARAMETER: &[&str] = &["name", "in", "required", "description", "schema", "example"];

pub(super) fn paths(spec: &Spec, report: &mut Findings) {
    for (path, item) in members(&spec.root["paths"]) {
        report.allow_only(&format!("/paths/{}", escape(path)), item, PATH, UNREAD);
    }
}

pub(super) fn operations(spec: &Spec, report: &mut Findings) {
    let mut ids = BTreeSet::new();
    for operation in &spec.operations() {
        let at = &operation.pointer;
        report.allow_only(at, operation.value, OPERATION, UNREAD);
        report.require_description(at, operation.value);
        identified(at, operation.value, &mut ids, report);
        billable(operation, report);
        request(spec, operation, report);
        parameters(spec, operation, report);
        replies(spec, operation, report);
        for (below, callback) in callbacks(operation.value) {
            let at = format!("{at}{below}");
            report.require_description(&at, callback);
            identified(&at, callback, &mut ids, report);
        }
    }
}

fn identified<'a>(at: &str, value: &'a Value, ids: &mut BTreeSet<&'a str>, report: &mut Findings) {
    let Some(id) = value["operationId"].as_str() else {
        let message = "add an operationId in snake_case; it names the Rust function";
        return report.refuse(at, message);
    };
    let is_snake = is_plain(id) && !id.contains(|c: char| c.is_ascii_uppercase());
    if !is_snake || syn::parse_str::<syn::Ident>(id).is_err() {
        let message = format!(
            "{id} cannot name a Rust function; write words in snake_case, and not a word of the language"
        );
        report.refuse(format!("{at}/operationId"), message);
    } else if !ids.insert(id) {
        let message = format!("{id} is used twice; choose another");
        report.refuse(format!("{at}/operationId"), message);
    }
}

/// Requires `x-billable`, and refuses a paid call that is hand-written or has its own server. Only a generated call to
/// the server of the file uses the connection that sends at most once. Any other call could be paid for twice.
fn billable(operation: &Operation<'_>, report: &mut Findings) {
    let at = &operation.pointer;
    let Some(is_billable) = operation.value["x-billable"].as_bool() else {
        let message = "add x-billable: true if a call can cost money, false if it cannot";
        return report.refuse(at, message);
    };
    if is_billable && (operation.server.is_some() || operation.is_hand_written()) {
        report.refuse(
            format!("{at}/x-billable"),
            "a paid call uses the connection for paid calls, which only JSON to the server of the file does; \
             remove the path's own server, or send JSON",
        );
    }
}

fn request(spec: &Spec, operation: &Operation<'_>, report: &mut Findings) {
    let at = format!("{}/requestBody", operation.pointer);
    let body = spec.resolve(&operation.value["requestBody"]);
    report.allow_only(&at, body, &["required", "description", "content"], UNREAD);
    if members(&body["content"]).count() > 1 {
        let message = "the generator sends one kind of body; give exactly one";
        report.refuse(format!("{at}/content"), message);
    }
}

fn parameters(spec: &Spec, operation: &Operation<'_>, report: &mut Findings) {
    let at = format!("{}/parameters", operation.pointer);
    if operation.sends_form && operation.value.get("parameters").is_some() {
        let message = "hand-written code sends a form, and has the path only; remove this";
        report.refuse(&at, message);
    }
    let mut declared = BTreeSet::new();
    for (index, parameter) in operation.parameters(spec).enumerate() {
        self::parameter(spec, &format!("{at}/{index}"), parameter, report);
        if parameter["in"] == "path" {
            declared.extend(parameter["name"].as_str());
        } else if operation.streams {
            let message =
                "a file is fetched from an address, which is made of the path only; remove this";
            report.refuse(format!("{at}/{index}"), message);
        }
    }
    let mut used = BTreeSet::new();
    for rest in operation.path.split('{').skip(1) {
        used.extend(rest.split_once('}').map(|(name, _)| name));
    }
    if declared != used {
        let message = format!(
            "the path has the parameters {used:?} and this declares {declared:?}; make them agree"
        );
        report.refuse(at, message);
    }
}

fn parameter(spec: &Spec, at: &str, parameter: &Value, report: &mut Findings) {
    report.require_description(at, parameter);
    report.allow_only(at, parameter, PARAMETER, UNREAD);
    let place = parameter["in"].as_str().unwrap_or_default();
    if !["path", "query"].contains(&place) {
        let message = "only what stands in the path and the query is sent; write one of these";
        report.refuse(format!("{at}/in"), message);
    }
    if place == "path" && parameter["required"] != true {
        let message = "a path has all of its parameters; write required: true";
        report.refuse(format!("{at}/required"), message);
    }
    let schema = &parameter["schema"];
    let at_schema = format!("{at}/schema");
    report.allow_only(&at_schema, schema, &["type", "$ref"], UNREAD);
    let kind = spec.resolve(schema)["type"].as_str().unwrap_or_default();
    if !["string", "integer", "number", "boolean"].contains(&kind) {
        let message = "write a string, an integer, a number or a boolean";
        report.refuse(at_schema, message);
    }
    if parameter.get("example").is_none() {
        report.refuse(at, "add an example");
    }
}

/// Requires that all successes have one schema, which is an object, and that all errors have one schema.
fn replies(spec: &Spec, operation: &Operation<'_>, report: &mut Findings) {
    let at = format!("{}/responses", operation.pointer);
    // The keys are the schemas of the bodies, and each value is a status with this schema.
    let mut successes = BTreeMap::new();
    let mut errors = BTreeMap::new();
    for (status, reply) in members(&operation.value["responses"]) {
        let body = &spec.resolve(reply)["content"]["application/json"]["schema"];
        if !status.starts_with('2') {
            errors.insert(body.to_string(), status);
            continue;
        }
        if operation.streams {
            continue;
        }
        successes.insert(body.to_string(), status);
        if body.get("$ref").is_some() && spec.resolve(body)["type"] != "object" {
            let message = "a reply is decoded field by field, so that one bad value costs one field; make it an object";
            report.refuse(format!("{at}/{status}"), message);
        }
    }
    if !operation.streams {
        one_body("success", &at, &successes, report);
    }
    one_body("error", &at, &errors, report);
}

fn one_body(kind: &str, at: &str, bodies: &BTreeMap<String, &str>, report: &mut Findings) {
    let count = bodies.len();
    if count > 1 {
        let last = bodies.values().max().unwrap_or(&"");
        let message = format!(
            "there are {count} different {kind} bodies; the generator uses one, so give all the same schema"
        );
        report.refuse(format!("{at}/{last}"), message);
    } else if count == 0 {
        report.refuse(at, format!("there is no {kind} body; add one"));
    } else if bodies.contains_key("null") {
        let message = format!("the {kind} reply has no JSON schema; add application/json");
        report.refuse(at, message);
    }
}

/// Requires that a body is JSON, or a form in a request, and refers to a component. The body of a file is bytes.
pub(super) fn bodies(spec: &Spec, report: &mut Findings) {
    let streams = |at: &str| {
        let mut operations = spec.operations().into_iter();
        operations.any(|it| it.streams && at.starts_with(&format!("{}/responses/2", it.pointer)))
    };
    for (at, media) in spec.media_types() {
        if streams(&at) {
            report.allow_only(&at, media, &["schema"], UNREAD);
            if media["schema"] != json!({ "type": "string", "format": "binary" }) {
                let message =
                    "a file has no form of its own here; write {type: string, format: binary}";
                report.refuse(format!("{at}/schema"), message);
            }
            continue;
        }
        let is_form = at.ends_with("/requestBody/content/multipart~1form-data")
            && !at.contains("/callbacks/");
        if !is_form && !at.ends_with("/application~1json") {
            let message = "nothing reads or sends this; write application/json, or multipart/form-data for a form";
            report.refuse(&at, message);
        }
        report.allow_only(&at, media, &["schema", "examples"], UNREAD);
        if media["schema"].get("$ref").is_none() {
            report.refuse(format!("{at}/schema"), INLINE);
        }
    }
}
