//! Rules for examples: every body has one, and every example is valid.

use serde_json::{Map, Value, json};

use super::report::Findings;
use crate::contract::{definitions, json_schema};
use crate::spec::{Spec, escape, members};

struct Example<'a> {
    at: String,
    schema: &'a Value,
    value: &'a Value,
}

pub(super) fn examples(spec: &Spec, report: &mut Findings) {
    let operations = spec.operations();
    let mut examples = Vec::new();
    for (at, media) in spec.media_types() {
        let is_file = media["schema"]["format"] == "binary";
        if !is_file && members(&media["examples"]).next().is_none() {
            report.refuse(&at, "add examples, at least one");
        }
        for (name, example) in members(&media["examples"]) {
            examples.push(Example {
                at: format!("{at}/examples/{}/value", escape(name)),
                schema: &media["schema"],
                value: &example["value"],
            });
        }
    }
    for operation in &operations {
        for (index, parameter) in operation.parameters(spec).enumerate() {
            examples.push(Example {
                at: format!("{}/parameters/{index}/example", operation.pointer),
                schema: &parameter["schema"],
                value: &parameter["example"],
            });
        }
    }
    for (name, schema) in spec.schemas() {
        for (property, schema) in members(&schema["properties"]) {
            for word in ["example", "x-server-default"] {
                let (name, property) = (escape(name), escape(property));
                if let Some(value) = schema.get(word) {
                    examples.push(Example {
                        at: format!("/components/schemas/{name}/properties/{property}/{word}"),
                        schema,
                        value,
                    });
                }
            }
        }
    }
    valid(spec, &examples, report);
}

/// Checks all examples at once, as properties of one object, since the definitions take long to compile.
fn valid(spec: &Spec, examples: &[Example<'_>], report: &mut Findings) {
    let mut schemas = Map::new();
    let mut values = Map::new();
    for (index, example) in examples.iter().enumerate() {
        schemas.insert(index.to_string(), json_schema(example.schema));
        values.insert(index.to_string(), example.value.clone());
    }
    let root = json!({ "properties": schemas, "$defs": definitions(spec, |_| true) });
    let validator = match jsonschema::draft202012::new(&root) {
        Ok(validator) => validator,
        Err(error) => {
            let message = format!("a schema cannot be checked ({error}); correct it");
            return report.refuse("/components/schemas", message);
        }
    };
    for error in validator.iter_errors(&Value::Object(values)) {
        let path = error.instance_path().to_string();
        let path = path.trim_start_matches('/');
        let (index, inside) = path.split_at(path.find('/').unwrap_or(path.len()));
        let at = index
            .parse()
            .ok()
            .and_then(|index: usize| examples.get(index));
        let at = at.map_or("", |example| example.at.as_str());
        let message = format!("this example is not valid, {error}; correct it or the schema");
        report.refuse(format!("{at}{inside}"), message);
    }
}
