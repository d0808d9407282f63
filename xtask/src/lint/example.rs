//! Rules for examples: every body and every parameter has one, and every example is valid.

use serde_json::{Value, json};

use super::report::Report;
use crate::contract::{definitions, json_schema};
use crate::spec::{Spec, escape, members};

pub(super) fn examples(spec: &Spec, report: &mut Report) {
    for (at, media) in spec.media_types() {
        let is_file = media["schema"]["format"] == "binary";
        if !is_file && members(&media["examples"]).next().is_none() {
            report.refuse(&at, "add examples, at least one");
        }
        for (name, example) in members(&media["examples"]) {
            let at = format!("{at}/examples/{}/value", escape(name));
            valid(spec, &media["schema"], &example["value"], &at, report);
        }
    }
    for operation in spec.operations() {
        for (index, parameter) in operation.parameters(spec).enumerate() {
            let at = format!("{}/parameters/{index}/example", operation.pointer);
            let schema = &parameter["schema"];
            valid(spec, schema, &parameter["example"], &at, report);
        }
    }
    for (name, schema) in spec.schemas() {
        for (property, value) in members(&schema["properties"]) {
            let at = format!(
                "/components/schemas/{}/properties/{}",
                escape(name),
                escape(property)
            );
            for word in ["example", "x-server-default"] {
                if let Some(example) = value.get(word) {
                    valid(spec, value, example, &format!("{at}/{word}"), report);
                }
            }
        }
    }
}

fn valid(spec: &Spec, schema: &Value, example: &Value, at: &str, report: &mut Report) {
    let root = json!({ "allOf": [json_schema(schema)], "$defs": definitions(spec, |_| true) });
    let validator = match jsonschema::draft202012::new(&root) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!("its schema cannot be checked ({error}); correct the schema");
            return report.refuse(at, message);
        }
    };
    for error in validator.iter_errors(example) {
        let message = format!("this example is not valid, {error}; correct it or the schema");
        report.refuse(format!("{at}{}", error.instance_path()), message);
    }
}
