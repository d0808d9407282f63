//! Checks whether a request fits the specification.
//!
//! The objects of both providers are open, so a field that the specification does not name fits, and is reported
//! separately. One such field is `aspect_ratio`, which kie.ai reads besides `aspectRatio`. One schema cannot have both,
//! so `aspect_ratio` is not checked here, nor whether both have the same value.

use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The most differences of one request that are reported. A request can be wrong at every byte.
const MAX_MISMATCHES: usize = 20;
/// The most characters of a wrong value that are shown.
const MAX_SHOWN: usize = 80;
/// The words about a field that the specification does not have.
const UNKNOWN: &str = "is not in the specification";

/// The schema of the requests for one operation.
#[derive(Deserialize)]
pub(crate) struct RequestSchema {
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    /// The named schemas of the provider.
    #[serde(skip)]
    definitions: Value,
    /// The validator. It is made for the first request, since it takes too long for the start of a simulator.
    #[serde(skip)]
    validator: OnceLock<Result<Validator, String>>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: String,
    required: bool,
    schema: Value,
}

#[derive(Deserialize)]
struct RequestBody {
    required: bool,
    media_type: String,
    schema: Value,
}

impl RequestSchema {
    /// Sets the named schemas that this one refers to.
    pub(crate) fn define(&mut self, definitions: &Value) {
        self.definitions = definitions.clone();
    }

    /// Describes the differences of a request from the specification, in sorted sentences that name the place. Empty if
    /// the request fits. If there are very many, only some are returned.
    ///
    /// `query` is the text after the question mark. A body that is not JSON by the specification, such as the form of
    /// an upload, is checked for its type only. Further properties of an open object, further parameters of a query,
    /// and a body that the specification does not have all fit.
    pub(crate) fn mismatches(
        &self,
        query: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Vec<String> {
        let mut found = Vec::new();
        let mut request = Map::new();
        request.insert("query".to_owned(), self.read_query(query, &mut found));
        if let Some(expected) = &self.body
            && let Some(body) = expected.read(content_type, body, &mut found)
        {
            request.insert("body".to_owned(), body);
        }
        match self.validator.get_or_init(|| self.compile()) {
            Ok(validator) => {
                let request = Value::Object(request);
                for error in validator.iter_errors(&request).take(MAX_MISMATCHES) {
                    add_sentences(&error, &mut found);
                }
            }
            Err(error) => found.push(format!(
                "the contract of this operation cannot be checked: {error}"
            )),
        }
        // The order of a JSON object and of its errors depends on the features of serde_json, which other crates set.
        found.sort();
        found.dedup();
        found
    }

    /// Describes the fields of a JSON body and the parameters of a query that the specification does not have. If there
    /// are very many, only some are returned.
    pub(crate) fn unknown_fields(&self, query: &str, body: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            if !self.query_parameters().any(|known| known.name == name) {
                found.push(format!("query {}: {UNKNOWN}", shortened(&name)));
            }
        }
        if let Some(expected) = &self.body
            && let Ok(body) = serde_json::from_slice(body)
        {
            self.unknown_members(&expected.schema, &body, "body ", &mut found);
        }
        found.sort();
        found.dedup();
        found.truncate(MAX_MISMATCHES);
        found
    }

    /// Adds the members of an object and of its inner objects that the schema does not name.
    fn unknown_members(&self, schema: &Value, object: &Value, at: &str, found: &mut Vec<String>) {
        let schema = self.meant(self.resolved(schema), object);
        let Some(object) = object.as_object().filter(|_| schema["type"] == "object") else {
            return;
        };
        for (name, value) in object {
            let at = format!("{at}/{}", shortened(name));
            match schema["properties"].get(name) {
                Some(property) => self.unknown_members(property, value, &at, found),
                None if name == "aspect_ratio" => {}
                None => found.push(format!("{at}: {UNKNOWN}")),
            }
        }
    }

    /// Follows a reference, alone or in an `allOf`, or returns the schema itself.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let reference = schema["allOf"].get(0).unwrap_or(schema)["$ref"].as_str();
        let name = reference.and_then(|target| target.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.definitions[name])
    }

    /// Returns the alternative of a schema that an object means, or the schema itself. The words of the first required
    /// property identify the alternative, as `openapi/README.md` says.
    fn meant<'a>(&'a self, schema: &'a Value, object: &Value) -> &'a Value {
        for alternative in schema["oneOf"].as_array().into_iter().flatten() {
            let alternative = self.resolved(alternative);
            let name = alternative["required"][0].as_str().unwrap_or_default();
            let words = &self.resolved(&alternative["properties"][name])["enum"];
            let is_meant = |words: &Vec<Value>| words.contains(&object[name]);
            if words.as_array().is_some_and(is_meant) {
                return alternative;
            }
        }
        schema
    }

    fn query_parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| parameter.place == "query")
    }

    fn read_query(&self, query: &str, found: &mut Vec<String>) -> Value {
        let mut values = Map::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            let mut parameters = self.query_parameters();
            let Some(parameter) = parameters.find(|parameter| parameter.name == name) else {
                continue;
            };
            // A query has only text, so numbers and booleans are read from the text.
            let value = match parameter.schema["type"].as_str() {
                Some("integer" | "number" | "boolean") => serde_json::from_str(&text).ok(),
                _ => None,
            };
            let value = value.unwrap_or_else(|| Value::String(text.into_owned()));
            if values.insert(parameter.name.clone(), value).is_some() {
                found.push(format!("query {name}: is given more than once"));
            }
        }
        Value::Object(values)
    }

    /// Compiles one schema for the query and the body.
    fn compile(&self) -> Result<Validator, String> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in self.query_parameters() {
            properties.insert(parameter.name.clone(), parameter.schema.clone());
            if parameter.required {
                required.push(&parameter.name);
            }
        }
        let body = match &self.body {
            Some(body) => &body.schema,
            None => &Value::Bool(true),
        };
        let schema = json!({
            "properties": { "query": { "properties": properties, "required": required }, "body": body },
            "$defs": self.definitions,
        });
        jsonschema::draft202012::new(&schema).map_err(|error| error.to_string())
    }
}

impl RequestBody {
    /// Reads the body, if it is JSON and the specification says so.
    fn read(
        &self,
        content_type: Option<&str>,
        body: &[u8],
        found: &mut Vec<String>,
    ) -> Option<Value> {
        if body.is_empty() && !self.required {
            return None;
        }
        let wanted = &self.media_type;
        // The client may add parameters after a semicolon, such as the charset.
        let given = content_type.and_then(|kind| kind.split(';').next());
        match given.map(str::trim) {
            None => found.push(format!("content type: is missing, has to be {wanted}")),
            Some(given) if given.eq_ignore_ascii_case(wanted) => {}
            Some(given) => found.push(format!(
                "content type: is {:?}, has to be {wanted}",
                shortened(given)
            )),
        }
        if body.is_empty() {
            found.push("body: is missing".to_owned());
            return None;
        }
        if wanted != "application/json" {
            return None;
        }
        match serde_json::from_slice(body) {
            Ok(body) => Some(body),
            Err(error) => {
                found.push(format!("body: is not JSON, {error}"));
                None
            }
        }
    }
}

/// Adds the sentences about an error. If a request fits none of several alternatives, the sentences are about the one
/// that has no wrong word: the request means that alternative. If there is none, they are about the words of all.
fn add_sentences(error: &ValidationError<'_>, found: &mut Vec<String>) {
    let ValidationErrorKind::OneOfNotValid { context } = error.kind() else {
        found.push(sentence(error));
        return;
    };
    let at = error.instance_path().as_str();
    let is_own_word = |inner: &ValidationError<'_>| {
        let is_word = matches!(inner.kind(), ValidationErrorKind::Enum { .. });
        let place = inner.instance_path().as_str().strip_prefix(at);
        is_word && place.is_some_and(|place| place.matches('/').count() == 1)
    };
    let meant = context
        .iter()
        .find(|errors| !errors.iter().any(is_own_word));
    match meant {
        Some(errors) => found.extend(errors.iter().map(sentence)),
        None => {
            let errors = context.iter().flatten();
            found.extend(errors.filter(|inner| is_own_word(inner)).map(sentence));
        }
    }
}

fn sentence(error: &ValidationError<'_>) -> String {
    let mut place = error.instance_path().to_string();
    let words = match error.kind() {
        ValidationErrorKind::Required { property } => {
            place = format!("{place}/{}", property.as_str().unwrap_or_default());
            "is missing".to_owned()
        }
        _ => {
            let value = shortened(&error.instance().to_string());
            error.masked_with(value).to_string()
        }
    };
    let place = match place.strip_prefix("/query/") {
        Some(name) => format!("query {name}"),
        None => place.replacen("/body", "body ", 1),
    };
    format!("{}: {words}", place.trim_end())
}

/// Returns the text, cut if it is long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
