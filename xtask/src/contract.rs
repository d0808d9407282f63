//! Makes `contract.json` from the specifications. `veo-sim` checks requests against this file, which is plain JSON
//! Schema. So the simulator needs neither YAML nor OpenAPI.

use serde_json::{Map, Value, json};

use crate::spec::{Operation, SCHEMAS, Spec, members};

pub(crate) const FILE: &str = "crates/veo-sim/src/contract.json";

/// Makes the text of `contract.json`. The specifications must have passed the lint.
pub(crate) fn generate(specs: &[Spec]) -> String {
    let providers: Map<String, Value> = specs
        .iter()
        .map(|spec| (spec.provider().to_owned(), provider(spec)))
        .collect();
    format!("{:#}\n", Value::Object(providers))
}

/// Converts a schema to plain JSON Schema, without descriptions. Its references lead to [`definitions`].
pub(crate) fn json_schema(schema: &Value) -> Value {
    const DESCRIBING: [&str; 5] = ["deprecated", "description", "example", "format", "title"];
    let Some(object) = schema.as_object() else {
        return schema.clone();
    };
    let plain: Map<String, Value> = object
        .iter()
        .filter(|(word, _)| {
            !word.starts_with("x-") && *word != "nullable" && !DESCRIBING.contains(&word.as_str())
        })
        .map(|(word, value)| {
            let value = match (word.as_str(), value) {
                ("$ref", Value::String(target)) => json!(target.replacen(SCHEMAS, "#/$defs/", 1)),
                ("properties", Value::Object(properties)) => properties
                    .iter()
                    .map(|(name, property)| (name.clone(), json_schema(property)))
                    .collect(),
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                    schemas.iter().map(json_schema).collect()
                }
                ("items" | "additionalProperties" | "not", schema) => json_schema(schema),
                _ => value.clone(),
            };
            (word.clone(), value)
        })
        .collect();
    if object.get("nullable") == Some(&Value::Bool(true)) {
        json!({ "anyOf": [{ "type": "null" }, plain] })
    } else {
        Value::Object(plain)
    }
}

/// Converts the wanted named schemas, for `$defs`.
pub(crate) fn definitions(spec: &Spec, wanted: impl Fn(&str) -> bool) -> Value {
    let schemas = spec.schemas().filter(|(name, _)| wanted(name));
    schemas
        .map(|(name, schema)| (name.to_owned(), json_schema(schema)))
        .collect()
}

fn provider(spec: &Spec) -> Value {
    let (requests, _) = spec.schema_uses();
    let operations: Value = spec
        .operations()
        .iter()
        .map(|it| operation(spec, it))
        .collect();
    json!({ "operations": operations, "$defs": definitions(spec, |name| requests.contains(name)) })
}

fn operation(spec: &Spec, operation: &Operation<'_>) -> Value {
    let value = operation.value;
    let parameters: Value = value["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| {
            let parameter = spec.resolve(parameter);
            json!({
                "name": parameter["name"],
                "in": parameter["in"],
                "required": parameter["required"] == true,
                "schema": json_schema(&parameter["schema"]),
            })
        })
        .collect();
    let mut request = json!({
        "id": value["operationId"],
        "method": operation.method.to_uppercase(),
        "path": operation.path,
        "billable": value["x-billable"],
        "parameters": parameters,
    });
    if let Some(body) = value.get("requestBody").map(|body| spec.resolve(body))
        && let Some((media_type, media)) = members(&body["content"]).next()
    {
        request["body"] = json!({
            "required": body["required"] == true,
            "media_type": media_type,
            "schema": json_schema(&media["schema"]),
        });
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::GOOD;

    #[test]
    fn a_contract_has_only_what_requests_need() {
        let spec = Spec::parse("openapi/test.yaml", GOOD).unwrap();
        let text = generate(&[spec]);
        let text_type = json!({ "type": "string" });
        let expected = json!({ "test": {
            "operations": [
                {
                    "id": "make",
                    "method": "POST",
                    "path": "/task",
                    "billable": true,
                    "parameters": [],
                    "body": {
                        "required": false,
                        "media_type": "application/json",
                        "schema": { "$ref": "#/$defs/Request" },
                    },
                },
                {
                    "id": "read",
                    "method": "GET",
                    "path": "/task/{id}",
                    "billable": false,
                    "parameters": [
                        { "name": "id", "in": "path", "required": true, "schema": text_type },
                        { "name": "part", "in": "query", "required": false, "schema": { "type": "integer" } },
                    ],
                },
            ],
            "$defs": {
                "Request": {
                    "type": "object",
                    "required": ["prompt"],
                    "properties": {
                        "prompt": text_type,
                        "size": { "$ref": "#/$defs/Size" },
                        "parts": { "type": "array", "items": text_type, "maxItems": 3 },
                        "seed": { "type": "integer", "minimum": 1, "maximum": 9 },
                    },
                    "additionalProperties": {},
                },
                "Size": { "type": "integer", "enum": [4, 6] },
            },
        } });
        assert_eq!(text, format!("{expected:#}\n"));
    }

    #[test]
    fn a_schema_keeps_restrictions_and_drops_descriptions() {
        let rows = [
            // The names of properties are not keywords of a schema.
            (
                json!({ "type": "object", "properties": { "default": { "x-server-default": 1 }, "x-a": { "x-b": 1 } } }),
                json!({ "type": "object", "properties": { "default": {}, "x-a": {} } }),
            ),
            (
                json!({ "type": "string", "nullable": true, "minLength": 1, "title": "A", "deprecated": true }),
                json!({ "anyOf": [{ "type": "null" }, { "type": "string", "minLength": 1 }] }),
            ),
            (
                json!({ "allOf": [{ "$ref": "#/components/schemas/A" }], "description": "An A." }),
                json!({ "allOf": [{ "$ref": "#/$defs/A" }] }),
            ),
            (
                json!({ "type": "integer", "nullable": false, "format": "int64" }),
                json!({ "type": "integer" }),
            ),
            (
                json!({ "type": "array", "minItems": 2, "items": { "type": "integer", "example": 7 } }),
                json!({ "type": "array", "minItems": 2, "items": { "type": "integer" } }),
            ),
            (
                json!({ "oneOf": [{ "title": "A", "multipleOf": 2 }], "not": { "example": 4, "enum": [4] } }),
                json!({ "oneOf": [{ "multipleOf": 2 }], "not": { "enum": [4] } }),
            ),
            (
                json!({ "additionalProperties": { "type": "string", "nullable": true } }),
                json!({ "additionalProperties": { "anyOf": [{ "type": "null" }, { "type": "string" }] } }),
            ),
            (
                json!({ "additionalProperties": false }),
                json!({ "additionalProperties": false }),
            ),
        ];
        for (schema, expected) in rows {
            assert_eq!(json_schema(&schema), expected, "{schema}");
        }
    }
}
