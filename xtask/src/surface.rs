//! The surface of an OpenAPI document: the facts about each of its places, in a form that can be compared.
//!
//! A place is a text such as `POST /api/v1/veo/generate body.imageUrls[]`. The documents can come from others: chains
//! and circles of references are followed, and OpenAPI 3.0 and 3.1 are read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::spec::{callbacks, list, members};
use crate::value::{self, fingerprint, shown};
use crate::wording;

/// The facts of one place: keywords of JSON Schema and a few of our own, with their values.
pub(crate) type Facts = BTreeMap<String, Value>;

/// The keywords of a schema that become facts unchanged.
const KEYWORDS: [&str; 11] = [
    "format",
    "maximum",
    "maxItems",
    "maxLength",
    "minimum",
    "minItems",
    "minLength",
    "multipleOf",
    "pattern",
    "x-basis",
    "x-rust-type",
];
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
/// The most schemas of a document that are read. Our documents have some hundreds of places.
const BUDGET: usize = 50_000;
const DEPTH: usize = 32;

/// The facts that a document states, and remarks about its oddities.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Surface {
    pub(crate) places: BTreeMap<String, Facts>,
    /// Places with remarks, in the order of the document.
    pub(crate) remarks: Vec<(String, String)>,
    /// The descriptions of places. They are shown once and never written to a file.
    pub(crate) texts: BTreeMap<String, String>,
    /// The property of a named schema at each place. One property can be at several places.
    pub(crate) origins: BTreeMap<String, String>,
}

/// The part of an exchange that a place belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Operation,
    Request,
    Reply,
}

impl Surface {
    /// Reads the surface of an OpenAPI document.
    pub(crate) fn of(root: &Value) -> Self {
        let mut walk = Walk {
            root,
            surface: Self::default(),
            seen: Vec::new(),
            budget: BUDGET,
        };
        for (path, item) in members(&root["paths"]) {
            for (method, operation) in members(item) {
                let is_method = METHODS.contains(&method.to_ascii_lowercase().as_str());
                if is_method && operation.is_object() {
                    walk.operation(path, method, item, operation);
                }
            }
        }
        walk.surface
    }

    pub(crate) fn state(&mut self, at: &str, what: &str, value: Value) {
        let facts = self.places.entry(at.to_owned()).or_default();
        facts.insert(what.to_owned(), value);
    }

    pub(crate) fn remark(&mut self, at: &str, text: impl Into<String>) {
        self.remarks.push((at.to_owned(), text.into()));
    }

    /// Adds another surface. Facts that this surface has already stay.
    pub(crate) fn add(&mut self, other: Self) {
        for (at, facts) in other.places {
            self.places.entry(at).or_insert(facts);
        }
        self.remarks.extend(other.remarks);
        self.texts.extend(other.texts);
    }

    /// Adds the type of an example as the fact `shown`, if the stated type of the place does not allow it.
    pub(crate) fn compare(&mut self, at: &str, example: &Value) {
        let Some(kind) = kind(example) else {
            return;
        };
        let facts = self.places.entry(at.to_owned()).or_default();
        let stated = types(facts);
        let has_room = stated.contains(kind) || kind == "integer" && stated.contains("number");
        if stated.is_empty() || has_room {
            return;
        }
        let stated = shown(facts.get("type"));
        facts.insert("shown".to_owned(), json!(kind));
        let text = format!("type {stated}, an example has {kind}");
        if !self
            .remarks
            .iter()
            .any(|(place, other)| place == at && *other == text)
        {
            self.remark(at, text);
        }
    }

    /// The facts of a place, or `None` if there is no such place.
    pub(crate) fn facts(&self, at: &str) -> Option<&Facts> {
        self.places.get(at)
    }

    /// Returns whether a place contains other places.
    pub(crate) fn has_parts(&self, at: &str) -> bool {
        let places = self.places.range(at.to_owned()..).map(|(place, _)| place);
        let mut inside = places.take_while(|place| place.starts_with(at));
        inside.any(|place| parent(place) == Some(at))
    }
}

/// The place that contains a place: an object, a list or an operation.
pub(crate) fn parent(at: &str) -> Option<&str> {
    let (operation, part) = split(at);
    if part.is_empty() {
        return None;
    }
    if let Some(list) = at.strip_suffix("[]") {
        return Some(list);
    }
    let is_parameter = ["query.", "path.", "header."]
        .iter()
        .any(|kind| part.starts_with(kind));
    let after_label = part.rfind('}').unwrap_or_default();
    match part[after_label..].rfind('.') {
        Some(dot) if !is_parameter => Some(&at[..at.len() - part.len() + after_label + dot]),
        _ => Some(operation),
    }
}

/// Returns which part of an exchange a place belongs to.
pub(crate) fn side(at: &str) -> Side {
    let (_, part) = split(at);
    let is_request = ["body", "query.", "path.", "header."]
        .iter()
        .any(|kind| part.starts_with(kind));
    match part {
        "" => Side::Operation,
        _ if is_request => Side::Request,
        _ => Side::Reply,
    }
}

/// Splits a place into its operation and the rest.
pub(crate) fn split(at: &str) -> (&str, &str) {
    let mut spaces = at.match_indices(' ').map(|(index, _)| index);
    match spaces.nth(1) {
        Some(index) => (&at[..index], &at[index + 1..]),
        None => (at, ""),
    }
}

/// The outermost places that one surface has and another lacks.
pub(crate) fn missing_from<'a>(of: &'a Surface, in_other: &Surface) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for at in of.places.keys().map(String::as_str) {
        let is_inside = parent(at).is_some_and(|above| !in_other.places.contains_key(above));
        if !in_other.places.contains_key(at) && !is_inside {
            found.push(at);
        }
    }
    found
}

/// The types that the facts allow. Empty if the facts state no type.
pub(crate) fn types(facts: &Facts) -> BTreeSet<&str> {
    match facts.get("type") {
        Some(Value::String(kind)) => BTreeSet::from([kind.as_str()]),
        Some(kinds) => list(kinds).filter_map(Value::as_str).collect(),
        None => BTreeSet::new(),
    }
}

/// The type of a value in an example. `None` for a null.
pub(crate) fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
    }
}

/// Returns a name in the form that a place has, and whether the name had to be changed.
pub(crate) fn name(written: &str) -> (String, bool) {
    let trimmed = written.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./{}-".contains(c);
    if !trimmed.is_empty() && trimmed.len() <= 200 && trimmed.chars().all(is_plain) {
        return (trimmed.to_owned(), trimmed != written);
    }
    (format!("odd-{}", fingerprint(written)), true)
}

struct Walk<'a> {
    root: &'a Value,
    surface: Surface,
    /// The references on the way to the current place.
    seen: Vec<String>,
    budget: usize,
}

impl Walk<'_> {
    fn operation(&mut self, path: &str, method: &str, item: &Value, operation: &Value) {
        let path = self.named("", path);
        let at = format!("{} {path}", method.to_ascii_uppercase());
        self.surface.places.entry(at.clone()).or_default();
        if operation["deprecated"] == true {
            self.surface.state(&at, "deprecated", json!(true));
        }
        if let Some(is_billable) = operation.get("x-billable") {
            self.surface.state(&at, "x-billable", is_billable.clone());
        }
        if let Some(basis) = operation.get("x-basis") {
            self.surface.state(&at, "x-basis", basis.clone());
        }
        let holders = [operation, item, self.root];
        let mut servers = holders.iter().map(|it| &it["servers"][0]["url"]);
        if let Some(Value::String(url)) = servers.find(|url| url.is_string()) {
            let url = url.trim_end_matches('/');
            self.surface.state(&at, "server", json!(url));
        }
        for parameter in list(&item["parameters"]).chain(list(&operation["parameters"])) {
            self.parameter(&at, parameter);
        }
        if operation.get("requestBody").is_some() {
            let body = self.resolve(&operation["requestBody"]);
            self.request(&at, &body["content"]);
        }
        for (status, reply) in members(&operation["responses"]) {
            let status = self.named(&at, status);
            let reply = self.resolve(reply);
            let basis = reply.get("x-basis").cloned();
            self.body(&format!("{at} {status}"), &reply["content"], basis);
        }
        for (_, callback) in callbacks(operation) {
            let body = self.resolve(&callback["requestBody"]);
            let basis = callback.get("x-basis").cloned();
            self.body(&format!("{at} callback"), &body["content"], basis);
        }
    }

    fn parameter(&mut self, operation: &str, parameter: &Value) {
        let parameter = self.resolve(parameter);
        let kind = parameter["in"].as_str().unwrap_or_default();
        let written = parameter["name"].as_str().unwrap_or_default();
        let is_about_key = ["authorization", "content-type", "accept"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(written));
        if !["query", "path", "header"].contains(&kind) || kind == "header" && is_about_key {
            return;
        }
        let name = self.named(operation, written);
        // Keywords of the parameter outside its schema count as keywords of the schema.
        let mut schema = parameter["schema"].as_object().cloned().unwrap_or_default();
        for word in ["description", "deprecated", "x-basis"] {
            if let Some(value) = parameter.get(word) {
                schema.insert(word.to_owned(), value.clone());
            }
        }
        let is_required = parameter["required"] == true;
        let at = format!("{operation} {kind}.{name}");
        self.schema(&at, &Value::Object(schema), is_required, 0);
    }

    /// Reads the body of a request. Alternatives that differ in one word get a place each.
    fn request(&mut self, operation: &str, content: &Value) {
        let at = format!("{operation} body");
        let Some((media_type, media)) = media(content) else {
            return;
        };
        let schema = self.resolve(&media["schema"]);
        let mut labelled = Vec::new();
        for alternative in list(&schema["oneOf"]) {
            let alternative = self.resolve(alternative);
            if let Some(label) = self.label(&alternative) {
                labelled.push((label, alternative));
            }
        }
        if labelled.is_empty() {
            self.schema(&at, &media["schema"], false, 0);
            self.surface.state(&at, "media", json!(media_type));
            for example in examples(media) {
                self.example(&at, example);
            }
        }
        for (label, alternative) in labelled {
            let label = self.named(&at, &label);
            let at = format!("{at}{{{label}}}");
            self.schema(&at, &alternative, false, 0);
            self.surface.state(&at, "media", json!(media_type));
        }
    }

    /// The word that identifies an alternative: that of the first property which allows one word only.
    fn label(&self, alternative: &Value) -> Option<String> {
        for (_, property) in members(&alternative["properties"]) {
            let words = self.resolve(property)["enum"].clone();
            if let Some([Value::String(word)]) = words.as_array().map(Vec::as_slice) {
                return Some(word.clone());
            }
        }
        None
    }

    fn body(&mut self, at: &str, content: &Value, basis: Option<Value>) {
        self.surface.places.entry(at.to_owned()).or_default();
        if let Some((_, media)) = media(content) {
            self.schema(at, &media["schema"], false, 0);
            for example in examples(media) {
                self.example(at, example);
            }
        }
        let facts = self.surface.places.entry(at.to_owned()).or_default();
        if let Some(basis) = basis {
            facts.entry("x-basis".to_owned()).or_insert(basis);
        }
    }

    /// Reads an example. If its type differs from the schema, both are facts. A field only in the example is a remark.
    fn example(&mut self, at: &str, example: &Value) {
        self.surface.compare(at, example);
        let has_fields = self.surface.has_parts(at);
        for (field, value) in members(example) {
            let (field, _) = name(field);
            let place = format!("{at}.{field}");
            if self.surface.places.contains_key(&place) {
                self.example(&place, value);
            } else if has_fields {
                self.surface.remark(&place, "only an example has it");
            }
        }
    }

    fn schema(&mut self, at: &str, schema: &Value, is_required: bool, depth: usize) {
        let before = self.seen.len();
        let schema = self.flat(at, schema);
        self.facts(at, &schema, is_required);
        let is_circle = self.seen[..before]
            .iter()
            .any(|target| self.seen[before..].contains(target));
        if is_circle || depth >= DEPTH {
            self.surface.remark(at, "it refers to itself");
        } else {
            let named = self.seen[before..].last().cloned();
            self.parts(at, &schema, named.as_deref(), depth);
        }
        self.seen.truncate(before);
    }

    fn parts(&mut self, at: &str, schema: &Map<String, Value>, named: Option<&str>, depth: usize) {
        if let Some(items) = schema.get("items") {
            self.schema(&format!("{at}[]"), items, false, depth + 1);
        }
        let required = schema.get("required").unwrap_or(&Value::Null);
        for (property, value) in schema.get("properties").into_iter().flat_map(members) {
            let is_required = list(required).any(|name| name == property);
            let property = self.named(at, property);
            let at = format!("{at}.{property}");
            if let Some(named) = named {
                let origin = format!("{named}.{property}");
                self.surface.origins.insert(at.clone(), origin);
            }
            self.schema(&at, value, is_required, depth + 1);
        }
    }

    fn facts(&mut self, at: &str, schema: &Map<String, Value>, is_required: bool) {
        let mut facts = Facts::new();
        let mut state =
            |what: &str, value: Value| facts.insert(what.to_owned(), value::short(value));
        let mut kinds = BTreeSet::new();
        match schema.get("type") {
            Some(Value::String(kind)) => kinds.extend([kind.as_str()]),
            Some(several) => kinds.extend(list(several).filter_map(Value::as_str)),
            None => {}
        }
        let has_null = kinds.remove("null");
        match kinds.len() {
            0 if schema.contains_key("properties") => drop(state("type", json!("object"))),
            0 => {}
            1 => drop(state("type", json!(kinds.first()))),
            _ => drop(state("type", json!(kinds))),
        }
        if has_null || schema.get("nullable") == Some(&json!(true)) {
            state("nullable", json!(true));
        }
        if is_required {
            state("required", json!(true));
        }
        if schema.get("deprecated") == Some(&json!(true)) {
            state("deprecated", json!(true));
        }
        for word in ["enum", "x-extensible-enum"] {
            if let Some(Value::Array(words)) = schema.get(word) {
                state(
                    "enum",
                    value::set(words.iter().filter(|it| !it.is_null()).cloned()),
                );
            }
        }
        if let Some(word) = schema.get("const") {
            state("enum", json!([word]));
        }
        for word in ["default", "x-server-default"] {
            if let Some(value) = schema.get(word).filter(|value| !value.is_null()) {
                state("default", value.clone());
            }
        }
        for keyword in KEYWORDS {
            if let Some(value) = schema.get(keyword).filter(|value| !value.is_null()) {
                state(keyword, value.clone());
            }
        }
        if let Some(Value::String(text)) = schema.get("description") {
            facts.extend(wording::facts(text));
            self.surface.texts.insert(at.to_owned(), text.clone());
        }
        self.surface.places.insert(at.to_owned(), facts);
    }

    /// Follows the references of a schema, and joins its parts.
    fn flat(&mut self, at: &str, schema: &Value) -> Map<String, Value> {
        let Some(spent) = self.budget.checked_sub(1) else {
            return Map::new();
        };
        self.budget = spent;
        if spent == 0 {
            self.surface.remark(at, "the document is too large to read");
        }
        let mut flat = schema.as_object().cloned().unwrap_or_default();
        let all = flat.remove("allOf").unwrap_or_default();
        let one = flat.remove("oneOf").or_else(|| flat.remove("anyOf"));
        if let Some(Value::String(target)) = flat.remove("$ref") {
            // If a reference is on the way already, it leads in a circle.
            let is_new = !self.seen.contains(&target);
            let found = target
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            if found.is_none() {
                self.surface.remark(at, "a reference leads nowhere");
            }
            self.seen.push(target);
            if let Some(found) = found.filter(|_| is_new) {
                let found = found.clone();
                let below = self.flat(at, &found);
                merge(&mut flat, below);
            }
        }
        for part in list(&all) {
            let part = self.flat(at, part);
            merge(&mut flat, part);
        }
        let mut alternatives = Vec::new();
        for alternative in list(&one.unwrap_or_default()) {
            alternatives.push(self.flat(at, alternative));
        }
        either(&mut flat, alternatives);
        flat
    }

    /// Follows a chain of references.
    fn resolve(&self, value: &Value) -> Value {
        let mut value = value;
        for _ in 0..DEPTH {
            let target = value.get("$ref").and_then(Value::as_str);
            let pointer = target.and_then(|target| target.strip_prefix('#'));
            match pointer.and_then(|pointer| self.root.pointer(pointer)) {
                Some(found) => value = found,
                None => break,
            }
        }
        value.clone()
    }

    fn named(&mut self, at: &str, written: &str) -> String {
        let (name, is_changed) = name(written);
        if is_changed {
            self.surface
                .remark(at, format!("{name} has an odd name on the page"));
        }
        name
    }
}

/// The media type that counts for a body: JSON if there is any.
fn media(content: &Value) -> Option<(&str, &Value)> {
    let json = members(content).find(|(media_type, _)| media_type.contains("json"));
    json.or_else(|| members(content).next())
}

/// The examples of a body, from all places where OpenAPI allows them.
fn examples(media: &Value) -> Vec<&Value> {
    let mut examples = Vec::new();
    examples.extend(media.get("example"));
    examples.extend(members(&media["examples"]).filter_map(|(_, it)| it.get("value")));
    examples.extend(media["schema"].get("example"));
    examples.extend(list(&media["schema"]["examples"]));
    examples
}

/// Adds the keywords of another schema of the same value. Keywords that exist already stay.
fn merge(flat: &mut Map<String, Value>, other: Map<String, Value>) {
    for (word, value) in other {
        match (flat.get_mut(&word), value) {
            (Some(Value::Object(own)), Value::Object(more)) if word == "properties" => {
                for (name, property) in more {
                    let both = match own.remove(&name) {
                        Some(known) => json!({ "allOf": [known, property] }),
                        None => property,
                    };
                    own.insert(name, both);
                }
            }
            (Some(Value::Array(own)), Value::Array(more)) if word == "required" => own.extend(more),
            (None, value) => drop(flat.insert(word, value)),
            _ => {}
        }
    }
}

/// Adds the union of the alternatives of a schema.
fn either(flat: &mut Map<String, Value>, mut alternatives: Vec<Map<String, Value>>) {
    let count = alternatives.len();
    alternatives.retain(|alternative| alternative.get("type") != Some(&json!("null")));
    if alternatives.len() < count {
        flat.insert("nullable".to_owned(), json!(true));
    }
    if alternatives.len() == 1 {
        return merge(flat, alternatives.remove(0));
    }
    let mut kinds = Vec::new();
    let mut words = Vec::new();
    let mut are_words = !alternatives.is_empty();
    for mut alternative in alternatives {
        // A field is required only if all alternatives require it. This is rare, so no field counts as required.
        alternative.remove("required");
        match alternative.remove("type") {
            Some(Value::Array(several)) => kinds.extend(several),
            kind => kinds.extend(kind),
        }
        match alternative.remove("enum") {
            Some(Value::Array(own)) => words.extend(own),
            _ => are_words = false,
        }
        merge(flat, alternative);
    }
    if !kinds.is_empty() {
        flat.entry("type").or_insert(value::set(kinds));
    }
    if are_words {
        flat.entry("enum").or_insert(value::set(words));
    }
}
