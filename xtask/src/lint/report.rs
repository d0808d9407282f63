//! Collects the problems that the rules find, and has two checks that the rules share.

use serde_json::Value;

use crate::spec::{Problem, Spec, escape, members};

/// The reason to refuse a field that is only known in other places of a specification.
pub(super) const UNREAD: &str =
    "neither the generator nor the lint reads this field here, so it would be lost";
/// The reason why a schema has to be a component.
pub(super) const INLINE: &str = "an inline object, enum or oneOf gets a generated name, which can be that of another schema; \
                                 move it to components/schemas and refer to it";

pub(super) struct Findings {
    file: String,
    pub(super) problems: Vec<Problem>,
}

impl Findings {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            file: spec.file.clone(),
            problems: Vec::new(),
        }
    }

    /// Adds a problem with its pointer and a sentence that says what to do.
    pub(super) fn refuse(&mut self, at: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            pointer: at.into(),
            message: message.into(),
        });
    }

    /// Refuses each field of an object that is not in `fields`.
    pub(super) fn allow_only(&mut self, at: &str, value: &Value, fields: &[&str], why: &str) {
        for (field, _) in members(value) {
            if field != "x-basis" && !fields.contains(&field) {
                let at = format!("{at}/{}", escape(field));
                self.refuse(at, format!("{why}; write only {}", fields.join(", ")));
            }
        }
    }

    /// Refuses a description that is missing, or that rustdoc would compile as an example.
    pub(super) fn require_description(&mut self, at: &str, value: &Value) {
        let text = value["description"].as_str().unwrap_or_default();
        if text.is_empty() {
            self.refuse(at, "add a description");
        } else if text.contains("```") || text.contains("\n    ") {
            let message = "write prose without code blocks, which rustdoc would run";
            self.refuse(format!("{at}/description"), message);
        }
    }
}
