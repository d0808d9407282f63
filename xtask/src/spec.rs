//! A specification file: how it is read, walked and complained about.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// What each specification is generated into: file under `openapi/`, crate under `crates/`.
pub(crate) const SPECS: [(&str, &str); 2] =
    [("kie.yaml", "kie-api"), ("uniall.yaml", "uniall-api")];

/// Where a reference to a named schema points.
pub(crate) const SCHEMAS: &str = "#/components/schemas/";

/// A specification, as it stands in its file.
#[derive(Clone)]
pub(crate) struct Spec {
    /// The file, relative to the workspace, as messages and generated headers name it.
    pub(crate) file: String,
    pub(crate) root: Value,
}

/// An operation of a specification.
pub(crate) struct Operation<'a> {
    /// JSON pointer to the operation.
    pub(crate) pointer: String,
    /// In small letters.
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) value: &'a Value,
    /// Name of the constant for the server, if the path has one of its own.
    pub(crate) server: Option<&'a str>,
    /// Whether only the types are generated, because the generator cannot send the body.
    pub(crate) hand_written: bool,
}

/// One thing that is wrong with a specification: where, what, and what to do.
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
    /// The parameters, in the order of the file.
    pub(crate) fn parameters<'s>(&'s self, spec: &'s Spec) -> impl Iterator<Item = &'s Value> {
        let parameters = self.value["parameters"].as_array();
        parameters
            .into_iter()
            .flatten()
            .map(|parameter| spec.resolve(parameter))
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

    /// Parses the text of a file.
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

    /// The provider, as the file is named: `kie` of `openapi/kie.yaml`.
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

    /// The operations in the order of the file, without those of callbacks.
    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        members(&self.root["paths"])
            .flat_map(|(path, item)| {
                ["get", "put", "post", "delete", "patch"]
                    .into_iter()
                    .filter_map(move |method| {
                        let value = item.get(method)?;
                        let body = value
                            .get("requestBody")
                            .map(|body| &self.resolve(body)["content"]);
                        Some(Operation {
                            pointer: format!("/paths/{}/{method}", escape(path)),
                            method,
                            path,
                            value,
                            server: item["servers"][0]["x-rust-name"].as_str(),
                            hand_written: body
                                .is_some_and(|content| content.get("application/json").is_none()),
                        })
                    })
            })
            .collect()
    }

    /// Named schemas, in the order of the file.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, &Value)> {
        members(&self.root["components"]["schemas"])
    }

    /// The objects that requests are made of, with their properties, in the order of the file.
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

    /// The description of a property: its own, or that of the schema it refers to.
    pub(crate) fn description<'a>(&'a self, property: &'a Value) -> Option<&'a str> {
        let own = property["description"].as_str();
        own.or_else(|| self.target(property)["description"].as_str())
    }

    /// The schema of a property: the one it refers to, or the property itself. An `allOf` only describes a reference.
    pub(crate) fn target<'a>(&'a self, property: &'a Value) -> &'a Value {
        self.resolve(property["allOf"].get(0).unwrap_or(property))
    }

    /// Follows a `$ref`, or gives the value itself.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix('#'));
        target
            .and_then(|pointer| self.root.pointer(pointer))
            .unwrap_or(value)
    }

    /// The names of the schemas that requests use, and of those that replies and callbacks use.
    pub(crate) fn schema_uses(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut requests, mut replies) = (BTreeSet::new(), BTreeSet::new());
        for operation in self.operations() {
            for part in ["requestBody", "parameters"] {
                self.collect_targets(&operation.value[part], &mut requests);
            }
            for part in ["responses", "callbacks"] {
                self.collect_targets(&operation.value[part], &mut replies);
            }
        }
        let schemas = |targets: BTreeSet<String>| {
            targets
                .iter()
                .filter_map(|target| target.strip_prefix(SCHEMAS))
                .map(str::to_owned)
                .collect()
        };
        (schemas(requests), schemas(replies))
    }

    fn collect_targets(&self, value: &Value, targets: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(target) = object.get("$ref").and_then(Value::as_str)
                    && targets.insert(target.to_owned())
                {
                    self.collect_targets(self.resolve(value), targets);
                }
                object
                    .values()
                    .for_each(|value| self.collect_targets(value, targets));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|value| self.collect_targets(value, targets)),
            _ => {}
        }
    }
}

/// The members of an object; of anything else none.
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
