//! Reads and walks a specification, and reports its problems.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// The specifications as files under `openapi/`, each with the name of its generated crate under `crates/`.
pub(crate) const SPECS: [(&str, &str); 2] =
    [("kie.yaml", "kie-api"), ("uniall.yaml", "uniall-api")];

/// The start of a reference to a named schema.
pub(crate) const SCHEMAS: &str = "#/components/schemas/";

/// A specification as it is in its file.
#[derive(Clone)]
pub(crate) struct Spec {
    /// The path of the file in the workspace, for messages and generated headers.
    pub(crate) file: String,
    pub(crate) root: Value,
}

/// An operation of a specification.
pub(crate) struct Operation<'a> {
    /// JSON pointer to the operation.
    pub(crate) pointer: String,
    /// The HTTP method in lower case.
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) value: &'a Value,
    /// The name of the constant for the server, if the path has its own server.
    pub(crate) server: Option<&'a str>,
    /// True if the body of the request is a form.
    pub(crate) sends_form: bool,
    /// True if the reply of a success is a file and not JSON.
    pub(crate) streams: bool,
}

/// A problem of a specification: its place, and a sentence that says what is wrong and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() {
            "/"
        } else {
            &self.pointer
        };
        write!(f, "{} at {}: {}", self.file, pointer, self.message)
    }
}

impl Operation<'_> {
    /// Returns whether the call is hand-written. Even then its types, path and address are generated.
    pub(crate) fn is_hand_written(&self) -> bool {
        self.sends_form || self.streams
    }

    /// The parameters, in the order of the file.
    pub(crate) fn parameters<'s>(&'s self, spec: &'s Spec) -> impl Iterator<Item = &'s Value> {
        list(&self.value["parameters"]).map(|parameter| spec.resolve(parameter))
    }
}

impl Spec {
    /// Reads `openapi/<name>` below the workspace.
    pub(crate) fn read(workspace: &Path, name: &str) -> Result<Self, Problem> {
        let file = format!("openapi/{name}");
        match std::fs::read_to_string(workspace.join(&file)) {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(Problem {
                file,
                pointer: String::new(),
                message: format!("the file cannot be read ({error}); put it there"),
            }),
        }
    }

    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let problem = |message| Problem {
            file: file.to_owned(),
            pointer: String::new(),
            message,
        };
        let root: Value = serde_saphyr::from_str_with_options(
            text,
            serde_saphyr::options! { strict_booleans: true },
        )
        .map_err(|error| {
            let location = error
                .location()
                .map_or(String::new(), |at| format!(" in line {}", at.line()));
            let text = error.without_snippet().to_string();
            problem(format!(
                "this is not valid YAML{location}; mend it ({})",
                text.lines().next().unwrap_or_default()
            ))
        })?;
        if !root.is_object() {
            return Err(problem(
                "this is not a YAML mapping; write an OpenAPI 3.0 document".to_owned(),
            ));
        }
        Ok(Self {
            file: file.to_owned(),
            root,
        })
    }

    /// The provider, which is the name of the file: `kie` of `openapi/kie.yaml`.
    pub(crate) fn provider(&self) -> &str {
        Path::new(&self.file)
            .file_stem()
            .and_then(OsStr::to_str)
            .unwrap_or(&self.file)
    }

    pub(crate) fn problem(
        &self,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Problem {
        Problem {
            file: self.file.clone(),
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    /// The operations in the order of the file, without callbacks.
    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, item) in members(&self.root["paths"]) {
            for method in ["get", "put", "post", "delete", "patch"] {
                let Some(value) = item.get(method) else {
                    continue;
                };
                let body = &self.resolve(&value["requestBody"])["content"];
                operations.push(Operation {
                    pointer: format!("/paths/{}/{method}", escape(path)),
                    method,
                    path,
                    value,
                    server: item["servers"][0]["x-rust-name"].as_str(),
                    sends_form: value.get("requestBody").is_some()
                        && body.get("application/json").is_none(),
                    streams: self.streams(value),
                });
            }
        }
        operations
    }

    /// Returns whether a success of an operation has only a file as its reply.
    fn streams(&self, operation: &Value) -> bool {
        let mut has_file = false;
        for (status, reply) in members(&operation["responses"]) {
            let content = &self.resolve(reply)["content"];
            if !status.starts_with('2') {
                continue;
            }
            if content.get("application/json").is_some() {
                return false;
            }
            has_file |= members(content).next().is_some();
        }
        has_file
    }

    /// The servers of the file and of its paths, with their pointers.
    pub(crate) fn servers(&self) -> Vec<(String, &Value)> {
        let mut servers = Vec::new();
        for (index, server) in list(&self.root["servers"]).enumerate() {
            servers.push((format!("/servers/{index}"), server));
        }
        for (path, item) in members(&self.root["paths"]) {
            for (index, server) in list(&item["servers"]).enumerate() {
                servers.push((format!("/paths/{}/servers/{index}", escape(path)), server));
            }
        }
        servers
    }

    /// The bodies of all requests, replies and callbacks, with their pointers.
    pub(crate) fn media_types(&self) -> Vec<(String, &Value)> {
        let mut holders = Vec::new();
        for operation in self.operations() {
            let at = &operation.pointer;
            let request = self.resolve(&operation.value["requestBody"]);
            holders.push((format!("{at}/requestBody"), request));
            for (status, reply) in members(&operation.value["responses"]) {
                // A shared reply is added once, from the components.
                if reply.get("$ref").is_none() {
                    holders.push((format!("{at}/responses/{status}"), reply));
                }
            }
            for (below, callback) in callbacks(operation.value) {
                holders.push((format!("{at}{below}/requestBody"), &callback["requestBody"]));
            }
        }
        for (name, reply) in members(&self.root["components"]["responses"]) {
            holders.push((format!("/components/responses/{}", escape(name)), reply));
        }
        let mut media_types = Vec::new();
        for (at, holder) in holders {
            for (media_type, media) in members(&holder["content"]) {
                media_types.push((format!("{at}/content/{}", escape(media_type)), media));
            }
        }
        media_types
    }

    /// The named schemas in the order of the file.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, &Value)> {
        members(&self.root["components"]["schemas"])
    }

    /// The objects in requests with their properties, in the order of the file.
    pub(crate) fn requests(&self) -> Vec<(&str, Vec<(&str, &Value)>)> {
        let (requests, _) = self.schema_uses();
        let mut objects = Vec::new();
        for (name, schema) in self.schemas() {
            if schema["type"] == "object" && requests.contains(name) {
                objects.push((name, members(&schema["properties"]).collect()));
            }
        }
        objects
    }

    /// The choices between objects in requests with their alternatives, in the order of the file.
    pub(crate) fn choices(&self) -> Vec<(&str, Vec<&str>)> {
        let (requests, _) = self.schema_uses();
        let mut choices = Vec::new();
        for (name, schema) in self.schemas() {
            if schema.get("oneOf").is_some() && requests.contains(name) {
                let targets = list(&schema["oneOf"]).filter_map(|it| it["$ref"].as_str());
                let names = targets.filter_map(|target| target.strip_prefix(SCHEMAS));
                choices.push((name, names.collect()));
            }
        }
        choices
    }

    /// The description of a property: its own, or that of its schema. The server's default is added.
    pub(crate) fn description(&self, property: &Value) -> Option<String> {
        let own = property["description"].as_str();
        let text = own.or_else(|| self.target(property)["description"].as_str())?;
        Some(match property.get("x-server-default") {
            Some(default) => format!("{text} The server assumes `{default}` if it is absent."),
            None => text.to_owned(),
        })
    }

    /// The schema to which a property refers, directly or in an `allOf`, or else the property itself.
    pub(crate) fn target<'a>(&'a self, property: &'a Value) -> &'a Value {
        self.resolve(property["allOf"].get(0).unwrap_or(property))
    }

    /// Follows a `$ref`, or returns the value itself.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix('#'));
        target
            .and_then(|pointer| self.root.pointer(pointer))
            .unwrap_or(value)
    }

    /// The names of the schemas in requests, and the names of the schemas in replies and callbacks.
    pub(crate) fn schema_uses(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut requests = BTreeSet::new();
        let mut replies = BTreeSet::new();
        for operation in self.operations() {
            for part in ["requestBody", "parameters"] {
                self.collect_targets(&operation.value[part], &mut requests);
            }
            for part in ["responses", "callbacks"] {
                self.collect_targets(&operation.value[part], &mut replies);
            }
        }
        (schema_names(&requests), schema_names(&replies))
    }

    fn collect_targets(&self, value: &Value, targets: &mut BTreeSet<String>) {
        if let Some(target) = value.get("$ref").and_then(Value::as_str)
            && targets.insert(target.to_owned())
        {
            self.collect_targets(self.resolve(value), targets);
        }
        for (_, member) in members(value) {
            self.collect_targets(member, targets);
        }
        for item in list(value) {
            self.collect_targets(item, targets);
        }
    }
}

fn schema_names(targets: &BTreeSet<String>) -> BTreeSet<String> {
    let names = targets
        .iter()
        .filter_map(|target| target.strip_prefix(SCHEMAS));
    names.map(str::to_owned).collect()
}

/// The operations in the callbacks of an operation, with their pointers below it.
pub(crate) fn callbacks(operation: &Value) -> Vec<(String, &Value)> {
    let mut callbacks = Vec::new();
    for (name, expressions) in members(&operation["callbacks"]) {
        for (expression, item) in members(expressions) {
            let at = format!("/callbacks/{}/{}", escape(name), escape(expression));
            for (method, callback) in members(item) {
                callbacks.push((format!("{at}/{method}"), callback));
            }
        }
    }
    callbacks
}

/// The items of an array. Empty for any other value.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an object. Empty for any other value.
pub(crate) fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

/// Escapes a key for a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A specification without problems, for tests.
#[cfg(test)]
pub(crate) const GOOD: &str = include_str!("good.yaml");
