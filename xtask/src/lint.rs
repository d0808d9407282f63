//! What a specification must satisfy so that the generator cannot go wrong silently.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::contract::{definitions, json_schema};
use crate::spec::{Problem, Spec, escape, members};

const UNREAD: &str = "nothing reads this here, so it would be lost";
const INLINE: &str = "an inline object, enum or oneOf gets a made-up name that can meet another; \
                      move it to components/schemas and refer to it";

/// All problems of a specification; none means that it can be generated.
pub(crate) fn lint(spec: &Spec) -> Vec<Problem> {
    // Each group relies on what the ones before it have found to be in order.
    for check in [version, references, structure] {
        let problems = check(spec);
        if !problems.is_empty() {
            return problems;
        }
    }
    let problems: Vec<_> = [words, addresses, operations, schemas, uses]
        .iter()
        .flat_map(|check| check(spec))
        .collect();
    if problems.is_empty() {
        examples(spec)
    } else {
        problems
    }
}

fn version(spec: &Spec) -> Vec<Problem> {
    let version = spec.root["openapi"].as_str().unwrap_or("no version");
    if version.starts_with("3.0.") {
        return Vec::new();
    }
    vec![spec.problem(
        "/openapi",
        format!("this is {version}; write OpenAPI 3.0, which the generator reads"),
    )]
}

fn references(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(&spec.root, String::new(), &mut |pointer, value| {
        let Some(target) = value.get("$ref") else {
            return;
        };
        let found = target
            .as_str()
            .and_then(|target| target.strip_prefix('#'))
            .and_then(|at| spec.root.pointer(at));
        match found {
            None => problems.push(spec.problem(
                format!("{pointer}/$ref"),
                format!(
                    "{target} leads nowhere in this file; correct the name or add the component"
                ),
            )),
            Some(found) if found.get("$ref").is_some() => problems.push(spec.problem(
                format!("{pointer}/$ref"),
                format!("{target} is a reference itself; refer to the component directly"),
            )),
            Some(_)
                if target
                    .as_str()
                    .is_some_and(|target| target.split('/').count() != 4) =>
            {
                problems.push(spec.problem(
                    format!("{pointer}/$ref"),
                    format!("{target} is no component; give it a name and use that"),
                ))
            }
            Some(_) => {}
        }
    });
    problems
}

/// Whether the document has the form of OpenAPI, as the generator's own reader sees it.
fn structure(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (pointer, what) in [
        ("/info", "object"),
        ("/paths", "object"),
        ("/components/schemas", "object"),
    ] {
        if !spec.root.pointer(pointer).is_some_and(Value::is_object) {
            problems.push(spec.problem(pointer, format!("this has to be an {what}; add it")));
        }
    }
    if let Err(error) = serde_path_to_error::deserialize::<_, openapiv3::OpenAPI>(&spec.root) {
        let pointer: String = error
            .path()
            .iter()
            .map(|segment| format!("/{}", escape(&segment.to_string())))
            .collect();
        problems.push(spec.problem(
            pointer,
            format!("this is not OpenAPI 3.0: {}; correct it", error.inner()),
        ));
    }
    problems
}

/// The words that are not OpenAPI's own, and where a fact comes from.
fn words(spec: &Spec) -> Vec<Problem> {
    const WORDS: [&str; 7] = [
        "x-basis",
        "x-billable",
        "x-enum-descriptions",
        "x-enum-varnames",
        "x-extensible-enum",
        "x-rust-name",
        "x-rust-type",
    ];
    let mut problems = Vec::new();
    walk(&spec.root, String::new(), &mut |pointer, value| {
        for (word, meaning) in members(value).filter(|(word, _)| word.starts_with("x-")) {
            let at = format!("{pointer}/{}", escape(word));
            if !WORDS.contains(&word) {
                problems.push(
                    spec.problem(at, "nothing reads this word; use one of openapi/README.md"),
                );
            } else if word == "x-basis"
                && !["documented", "observed", "inferred"]
                    .iter()
                    .any(|basis| meaning == basis)
            {
                problems.push(spec.problem(at, "say documented, observed or inferred"));
            }
        }
    });
    problems
}

/// Where calls go, and with what key: one server for the file, one for a path that has its own, and one key for all.
fn addresses(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let schemes: Vec<_> = spec.root["security"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(members)
        .collect();
    let schemes = schemes
        .iter()
        .map(|(name, _)| &spec.root["components"]["securitySchemes"][name]);
    let schemes: Vec<_> = schemes
        .map(|scheme| (&scheme["type"], &scheme["scheme"]))
        .collect();
    if schemes != [(&json!("http"), &json!("bearer"))] {
        problems.push(spec.problem(
            "/security",
            "the clients send the key as a bearer token; describe that and no other",
        ));
    }
    let paths =
        members(&spec.root["paths"]).map(|(path, item)| (format!("/paths/{}", escape(path)), item));
    let with_servers = paths.filter(|(_, item)| item.get("servers").is_some());
    for (at, holder) in std::iter::once((String::new(), &spec.root)).chain(with_servers) {
        if holder["servers"].as_array().map_or(0, Vec::len) != 1 {
            problems.push(spec.problem(
                format!("{at}/servers"),
                "calls go to one server; give exactly one",
            ));
        }
    }
    let mut urls = BTreeMap::new();
    for (at, server) in servers(spec) {
        let mut refuse = |below: &str, message: String| {
            problems.push(spec.problem(format!("{at}{below}"), message))
        };
        only(
            server,
            &["url", "description", "x-rust-name"],
            UNREAD,
            &mut refuse,
        );
        let url = server["url"].as_str().unwrap_or_default();
        if !url.starts_with("https://") || url.ends_with('/') || url.contains('{') {
            refuse(
                "/url",
                "give an https URL without a slash at its end, and without variables".to_owned(),
            );
        }
        let name = server["x-rust-name"].as_str().unwrap_or_default();
        let words = name.strip_suffix("_URL").unwrap_or_default().split('_');
        if !words
            .into_iter()
            .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()))
        {
            refuse(
                "",
                "add x-rust-name, the name of the constant that holds the URL, such as UPLOAD_URL"
                    .to_owned(),
            );
        } else if *urls.entry(name).or_insert(url) != url {
            refuse(
                "/x-rust-name",
                format!("{name} is the name of another URL; choose another name"),
            );
        }
    }
    problems
}

/// Refuses all words but some.
fn only(value: &Value, words: &[&str], why: &str, refuse: &mut impl FnMut(&str, String)) {
    for (word, _) in members(value).filter(|(word, _)| *word != "x-basis" && !words.contains(word))
    {
        refuse(
            &format!("/{}", escape(word)),
            format!("{why}; write only {}", words.join(", ")),
        );
    }
}

/// The servers of the file and of its paths.
pub(crate) fn servers(spec: &Spec) -> Vec<(String, &Value)> {
    let own = std::iter::once((String::new(), &spec.root));
    let of_paths =
        members(&spec.root["paths"]).map(|(path, item)| (format!("/paths/{}", escape(path)), item));
    own.chain(of_paths)
        .flat_map(|(at, holder)| {
            let servers = holder["servers"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate();
            servers.map(move |(index, server)| (format!("{at}/servers/{index}"), server))
        })
        .collect()
}

fn operations(spec: &Spec) -> Vec<Problem> {
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
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in members(&spec.root["paths"]) {
        only(item, PATH, UNREAD, &mut |at, message| {
            problems.push(spec.problem(format!("/paths/{}{at}", escape(path)), message));
        });
    }
    for operation in spec.operations() {
        let value = operation.value;
        let mut refuse = |at: &str, message: String| {
            problems.push(spec.problem(format!("{}{at}", operation.pointer), message))
        };
        only(value, OPERATION, UNREAD, &mut refuse);
        described(value, &mut refuse);
        identified(value, &mut ids, &mut refuse);
        match &value["x-billable"] {
            // Only a call that the generator writes, to the server of the file, is sure to be sent at most once.
            Value::Bool(true) if operation.server.is_some() || operation.hand_written => refuse(
                "/x-billable",
                "a paid call takes the connection for paid calls, which only JSON to the server of the file does; \
                 remove the path's own server, or send JSON"
                    .to_owned(),
            ),
            Value::Bool(_) => {}
            _ => refuse("", "add x-billable: true if a call can cost money, false if it cannot".to_owned()),
        }

        let body = spec.resolve(&value["requestBody"]);
        only(
            body,
            &["required", "description", "content"],
            UNREAD,
            &mut |below, message| {
                refuse(&format!("/requestBody{below}"), message);
            },
        );
        if members(&body["content"]).count() > 1 {
            refuse(
                "/requestBody/content",
                "the generator sends one kind of body; give exactly one".to_owned(),
            );
        }

        if operation.hand_written && value.get("parameters").is_some() {
            refuse(
                "/parameters",
                "hand-written code sends a form, and has the path only; remove this".to_owned(),
            );
        }

        let declared: BTreeSet<&str> = value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| spec.resolve(parameter))
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let used: BTreeSet<&str> = operation
            .path
            .split('{')
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0))
            .collect();
        if declared != used {
            refuse(
                "/parameters",
                format!(
                    "the path has the parameters {used:?} and this declares {declared:?}; make them agree"
                ),
            );
        }

        let (success, errors): (Vec<_>, Vec<_>) =
            members(&value["responses"]).partition(|(status, _)| status.starts_with('2'));
        for (status, reply) in &success {
            let body = body_schema(spec.resolve(reply));
            if body.get("$ref").is_some() && spec.resolve(body)["type"] != "object" {
                refuse(
                    &format!("/responses/{status}"),
                    "a reply is decoded field by field, so that one bad value costs one field; make it an object"
                        .to_owned(),
                );
            }
        }
        for (kind, replies) in [("success", success), ("error", errors)] {
            let bodies: BTreeMap<String, &str> = replies
                .iter()
                .map(|(status, reply)| (body_schema(spec.resolve(reply)).to_string(), *status))
                .collect();
            match bodies.len() {
                0 => refuse("/responses", format!("there is no {kind} body; add one")),
                1 if bodies.contains_key("null") => {
                    refuse(
                        "/responses",
                        format!("the {kind} reply has no JSON schema; add application/json"),
                    );
                }
                1 => {}
                count => refuse(
                    &format!("/responses/{}", bodies.values().max().unwrap_or(&"")),
                    format!(
                        "there are {count} different {kind} bodies; the generator takes one, so give all the same schema"
                    ),
                ),
            }
        }
        for (at, callback) in callbacks(value) {
            let mut refuse =
                |below: &str, message: String| refuse(&format!("{at}{below}"), message);
            described(callback, &mut refuse);
            identified(callback, &mut ids, &mut refuse);
        }
    }
    problems
}

fn identified<'a>(
    value: &'a Value,
    ids: &mut BTreeSet<&'a str>,
    refuse: &mut impl FnMut(&str, String),
) {
    let snake = |id: &str| {
        is_plain(id)
            && !id.contains(|c: char| c.is_ascii_uppercase())
            && syn::parse_str::<syn::Ident>(id).is_ok()
    };
    match value["operationId"].as_str() {
        None => refuse(
            "",
            "add an operationId in snake_case; it names the Rust function".to_owned(),
        ),
        Some(id) if !snake(id) => refuse(
            "/operationId",
            format!(
                "{id} cannot name a Rust function; write words in snake_case, and not a word of the language"
            ),
        ),
        Some(id) if !ids.insert(id) => refuse(
            "/operationId",
            format!("{id} is used twice; choose another"),
        ),
        Some(_) => {}
    }
}

/// Whether a name falls into words in one way only, so that the generator spells it in Rust as [`crate::emit`] does.
fn is_plain(name: &str) -> bool {
    let boundary = |c: &char| c.is_ascii_uppercase() || *c == '_';
    let letters: Vec<char> = name.chars().collect();
    letters
        .iter()
        .all(|c| c.is_ascii_alphanumeric() || *c == '_')
        && letters.first().is_some_and(char::is_ascii_alphabetic)
        && !name.ends_with('_')
        && letters.windows(2).all(|pair| !pair.iter().all(boundary))
}

fn described(value: &Value, refuse: &mut impl FnMut(&str, String)) {
    match value["description"].as_str() {
        None | Some("") => refuse("", "add a description".to_owned()),
        // Rustdoc would compile them as examples.
        Some(text) if text.contains("```") || text.contains("\n    ") => {
            refuse(
                "/description",
                "write prose without code blocks, which rustdoc would run".to_owned(),
            );
        }
        Some(_) => {}
    }
}

/// The operations inside the callbacks of one, with their pointers below it.
fn callbacks(operation: &Value) -> impl Iterator<Item = (String, &Value)> {
    members(&operation["callbacks"]).flat_map(|(name, expressions)| {
        members(expressions).flat_map(move |(expression, item)| {
            members(item).map(move |(method, callback)| {
                (
                    format!(
                        "/callbacks/{}/{}/{method}",
                        escape(name),
                        escape(expression)
                    ),
                    callback,
                )
            })
        })
    })
}

fn body_schema(reply: &Value) -> &Value {
    &reply["content"]["application/json"]["schema"]
}

/// Named components only, described, and without names that meet in Rust.
fn schemas(spec: &Spec) -> Vec<Problem> {
    let (_, replies) = spec.schema_uses();
    let mut problems = Vec::new();
    for (name, schema) in spec.schemas() {
        let at = format!("/components/schemas/{}", escape(name));
        let mut refuse = |below: &str, message: String| {
            problems.push(spec.problem(format!("{at}{below}"), message))
        };
        described(schema, &mut refuse);
        named_values(schema, &mut refuse);
        told_apart(spec, schema, &mut refuse);
        if let Some(path) = schema.get("x-rust-type")
            && path
                .as_str()
                .is_none_or(|path| syn::parse_str::<syn::TypePath>(path).is_err())
        {
            refuse(
                "/x-rust-type",
                "write the path of a Rust type, such as crate::UrlList".to_owned(),
            );
        }
        let pascal = |c: char| c.is_ascii_uppercase();
        if !is_plain(name) || name.contains('_') || !name.starts_with(pascal) || name == "Self" {
            refuse(
                "",
                "this names a Rust type; write words in PascalCase, such as UrlList".to_owned(),
            );
        }
        let open = if replies.contains(name) {
            json!(true)
        } else {
            json!({})
        };
        if schema
            .get("additionalProperties")
            .is_some_and(|more| *more != open)
        {
            refuse(
                "/additionalProperties",
                format!(
                    "replies have true here and requests {{}}, which is a field for all others; write {open}"
                ),
            );
        }
        let mut fields = BTreeMap::new();
        for (property, value) in members(&schema["properties"]) {
            let below = format!("/properties/{}", escape(property));
            if value.get("$ref").is_none() {
                described(value, &mut |deeper, message| {
                    refuse(&format!("{below}{deeper}"), message)
                });
            }
            if !is_plain(property) || property == "extra" {
                refuse(
                    &below,
                    "xtask/src/emit.rs and the generator spell this in Rust in two ways; teach it there, or remove this"
                        .to_owned(),
                );
            }
            let field = property.replace('_', "").to_lowercase();
            if let Some(other) = fields.insert(field, property) {
                refuse(
                    &below,
                    format!(
                        "this and {other} are one Rust field; keep one of them and say so in its description"
                    ),
                );
            }
        }
        readable(
            schema,
            "",
            Place::Component,
            replies.contains(name),
            &mut refuse,
        );
    }
    inline_bodies(spec, &mut problems);
    problems
}

/// Where a schema stands. A part is an item of a list or one of several alternatives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Component,
    Property,
    Part,
}

/// Refuses, in a schema and all below it, what would be lost, would cost a reply, or would need a name of its own.
fn readable(
    schema: &Value,
    at: &str,
    place: Place,
    reply: bool,
    refuse: &mut impl FnMut(&str, String),
) {
    let kind = schema["type"].as_str();
    let words = ["properties", "anyOf", "oneOf", "enum", "x-extensible-enum"];
    if place != Place::Component
        && (kind == Some("object") || words.iter().any(|word| schema.get(word).is_some()))
    {
        return refuse(at, INLINE.to_owned());
    }
    let mut refuse_here = |below: &str, message: String| refuse(&format!("{at}{below}"), message);
    let why = format!(
        "{} in a {} {}",
        if reply {
            "a reply that is otherwise would lose a value by this"
        } else {
            "nothing keeps to this"
        },
        format!("{place:?}").to_lowercase(),
        kind.map_or("without a type".to_owned(), |kind| format!(
            "of type {kind}"
        )),
    );
    only(
        schema,
        &words_of(schema, place, reply),
        &why,
        &mut refuse_here,
    );
    for [least, most] in [["minimum", "maximum"], ["minItems", "maxItems"]] {
        match (schema[least].as_i64(), schema[most].as_i64()) {
            (None, None) => {}
            (None, Some(_)) if most == "maxItems" => {}
            (Some(least), Some(most)) if least <= most => {}
            _ => refuse_here(
                "",
                format!("the bounds become a range; give {least} and {most}, the smaller first"),
            ),
        }
    }
    if schema
        .get("format")
        .is_some_and(|format| format != "int64" && format != "binary")
    {
        refuse_here(
            "/format",
            "the generator makes another Rust type of this; only int64 and binary are known"
                .to_owned(),
        );
    }
    if place == Place::Property
        && schema["allOf"]
            .as_array()
            .is_some_and(|all| all.len() != 1 || all[0].get("$ref").is_none())
    {
        refuse_here(
            "/allOf",
            "the generator takes allOf around one $ref only, to describe it; write one object"
                .to_owned(),
        );
    }
    // What is decoded by hand is not generated, so anything can be said of it.
    if schema.get("x-rust-type").is_some() {
        return;
    }
    let properties = members(&schema["properties"]).map(|(name, schema)| {
        (
            format!("/properties/{}", escape(name)),
            schema,
            Place::Property,
        )
    });
    let parts = ["allOf", "oneOf"].into_iter().flat_map(|list| {
        let schemas = schema[list].as_array().into_iter().flatten().enumerate();
        schemas.map(move |(index, schema)| (format!("/{list}/{index}"), schema, Place::Part))
    });
    let items = schema
        .get("items")
        .map(|schema| ("/items".to_owned(), schema, Place::Part));
    for (below, child, place) in properties.chain(parts).chain(items) {
        readable(child, &format!("{at}{below}"), place, reply, refuse);
    }
}

/// The words of a schema that something reads.
fn words_of(schema: &Value, place: Place, reply: bool) -> Vec<&'static str> {
    if schema.get("$ref").is_some() {
        return vec!["$ref"];
    }
    let of_type: &[&str] = match (schema["type"].as_str(), place, reply) {
        (Some("object"), ..) => &["properties", "required", "additionalProperties"],
        (Some("array"), Place::Property, false) => &["items", "minItems", "maxItems"],
        (Some("array"), ..) => &["items"],
        (Some("string"), _, false) => &["format", "minLength", "maxLength"],
        (Some("integer"), Place::Property, false) => &["format", "minimum", "maximum"],
        (Some("integer"), ..) => &["format"],
        (None, Place::Component, _) => &["oneOf"],
        (None, Place::Property, _) => &["allOf"],
        _ => &[],
    };
    // A null in a list would cost the whole list.
    let of_place: &[&str] = match place {
        Place::Component => &[
            "nullable",
            "x-rust-type",
            "enum",
            "x-extensible-enum",
            "x-enum-varnames",
            "x-enum-descriptions",
        ],
        Place::Property => &["nullable", "deprecated", "default", "example"],
        Place::Part => &[],
    };
    [&["type", "description"], of_type, of_place].concat()
}

/// Bodies and parameters outside of the components refer to them.
fn inline_bodies(spec: &Spec, problems: &mut Vec<Problem>) {
    for (pointer, media) in media_types(spec) {
        let mut refuse = |below: &str, message: String| {
            problems.push(spec.problem(format!("{pointer}{below}"), message))
        };
        // Forms are for uploads, which are hand-written.
        let form = pointer.ends_with("/requestBody/content/multipart~1form-data")
            && !pointer.contains("/callbacks/");
        if !form && !pointer.ends_with("/application~1json") {
            refuse(
                "",
                "nothing reads or sends this; write application/json, or multipart/form-data for a form".to_owned(),
            );
        }
        only(media, &["schema", "examples"], UNREAD, &mut refuse);
        if media["schema"].get("$ref").is_none() {
            refuse("/schema", INLINE.to_owned());
        }
    }
    for operation in spec.operations() {
        for (index, parameter) in operation.value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let at = format!("{}/parameters/{index}", operation.pointer);
            let parameter = spec.resolve(parameter);
            let mut refuse = |below: &str, message: String| {
                problems.push(spec.problem(format!("{at}{below}"), message))
            };
            described(parameter, &mut refuse);
            only(
                parameter,
                &["name", "in", "required", "description", "schema", "example"],
                UNREAD,
                &mut refuse,
            );
            if parameter["in"] != "path" && parameter["in"] != "query" {
                refuse(
                    "/in",
                    "only what stands in the path and the query is sent; write one of these"
                        .to_owned(),
                );
            }
            if parameter["in"] == "path" && parameter["required"] != true {
                refuse(
                    "/required",
                    "a path has all of its parameters; write required: true".to_owned(),
                );
            }
            let schema = &parameter["schema"];
            only(schema, &["type", "$ref"], UNREAD, &mut |below, message| {
                refuse(&format!("/schema{below}"), message)
            });
            let kind = spec.resolve(schema)["type"].as_str().unwrap_or_default();
            if !["string", "integer", "number", "boolean"].contains(&kind) {
                refuse(
                    "/schema",
                    "write a string, an integer, a number or a boolean".to_owned(),
                );
            }
            if parameter.get("example").is_none() {
                refuse("", "add an example".to_owned());
            }
        }
    }
}

/// Whether an enum has values of its type, and as many names and descriptions.
fn named_values(schema: &Value, refuse: &mut impl FnMut(&str, String)) {
    let lists = ["enum", "x-extensible-enum"];
    let Some((list, values)) = lists
        .into_iter()
        .find_map(|list| Some((list, schema.get(list)?)))
    else {
        return;
    };
    let values: Vec<&Value> = values.as_array().into_iter().flatten().collect();
    let kind = schema["type"].as_str().unwrap_or_default();
    if !["string", "integer"].contains(&kind) {
        refuse(
            "",
            "an enum has texts or whole numbers; write type: string or type: integer".to_owned(),
        );
    }
    for (index, value) in values.iter().enumerate() {
        if (kind == "string" && !value.is_string()) || (kind == "integer" && !value.is_i64()) {
            refuse(
                &format!("/{list}/{index}"),
                format!("{value} is not of type {kind}; correct it"),
            );
        } else if values[..index].contains(value) {
            refuse(
                &format!("/{list}/{index}"),
                format!("{value} stands here twice; remove it"),
            );
        }
    }
    for list in ["x-enum-varnames", "x-enum-descriptions"] {
        let texts = schema[list]
            .as_array()
            .filter(|texts| texts.iter().all(Value::is_string))
            .map_or(0, Vec::len);
        if texts != values.len() {
            refuse(
                "",
                format!(
                    "{list} has to have one text for each of the {} values",
                    values.len()
                ),
            );
        }
    }
    let mut names = BTreeSet::new();
    for (index, name) in schema["x-enum-varnames"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let name = name.as_str().unwrap_or_default();
        if syn::parse_str::<syn::Ident>(name).is_err() || name == "Unknown" || !names.insert(name) {
            refuse(
                &format!("/x-enum-varnames/{index}"),
                format!("{name} cannot name a Rust variant, or names another; choose another"),
            );
        }
    }
}

/// Whether the alternatives of a schema differ in type: the first that fits is taken, and a reply's object fits any.
fn told_apart(spec: &Spec, schema: &Value, refuse: &mut impl FnMut(&str, String)) {
    if schema.get("x-rust-type").is_some() {
        return;
    }
    let mut types = BTreeSet::new();
    for (index, alternative) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        let kind = spec.resolve(alternative)["type"].as_str();
        let kind = if kind == Some("integer") {
            Some("number")
        } else {
            kind
        };
        if kind.is_none_or(|kind| !types.insert(kind)) {
            refuse(
                &format!("/oneOf/{index}"),
                "an alternative before this one can take its place; give each another type, or decode it by hand with \
                 x-rust-type"
                    .to_owned(),
            );
        }
    }
}

/// Requests are closed and replies are open, so no schema serves both.
fn uses(spec: &Spec) -> Vec<Problem> {
    let (requests, replies) = spec.schema_uses();
    let mut problems = Vec::new();
    for (name, schema) in spec.schemas() {
        let mut refuse = |message: &str| {
            problems.push(spec.problem(format!("/components/schemas/{}", escape(name)), message))
        };
        match (requests.contains(name), replies.contains(name)) {
            (true, true) => {
                refuse("requests and replies both use this; give each a schema of its own")
            }
            (false, false) => refuse("nothing uses this; remove it"),
            (true, false) if schema.get("x-extensible-enum").is_some() => {
                refuse("a request uses this; write enum, which is closed")
            }
            (true, false) if schema.get("x-rust-type").is_some() => {
                refuse("a request uses this; only replies are decoded by hand")
            }
            (false, true) if schema.get("enum").is_some() => {
                refuse(
                    "a reply uses this; write x-extensible-enum, or a new word costs a paid task",
                );
            }
            _ => {}
        }
    }
    problems
}

/// Every body has an example, and every example is valid.
fn examples(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (pointer, media) in media_types(spec) {
        if members(&media["examples"]).next().is_none() {
            problems.push(spec.problem(&pointer, "add examples, at least one"));
        }
        for (name, example) in members(&media["examples"]) {
            let at = format!("{pointer}/examples/{}/value", escape(name));
            check_example(
                spec,
                &media["schema"],
                &example["value"],
                &at,
                &mut problems,
            );
        }
    }
    for operation in spec.operations() {
        for (index, parameter) in operation.value["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let at = format!("{}/parameters/{index}/example", operation.pointer);
            let parameter = spec.resolve(parameter);
            check_example(
                spec,
                &parameter["schema"],
                &parameter["example"],
                &at,
                &mut problems,
            );
        }
    }
    for (name, schema) in spec.schemas() {
        for (property, value) in members(&schema["properties"]) {
            for word in ["example", "default"] {
                if let Some(example) = value.get(word) {
                    let at = format!(
                        "/components/schemas/{}/properties/{}/{word}",
                        escape(name),
                        escape(property)
                    );
                    check_example(spec, value, example, &at, &mut problems);
                }
            }
        }
    }
    problems
}

fn check_example(
    spec: &Spec,
    schema: &Value,
    example: &Value,
    at: &str,
    problems: &mut Vec<Problem>,
) {
    let root = json!({ "allOf": [json_schema(schema)], "$defs": definitions(spec, |_| true) });
    match jsonschema::draft202012::new(&root) {
        Err(error) => problems.push(spec.problem(
            at,
            format!("its schema cannot be checked ({error}); correct the schema"),
        )),
        Ok(validator) => problems.extend(validator.iter_errors(example).map(|error| {
            spec.problem(
                format!("{at}{}", error.instance_path()),
                format!("this example is not valid, {error}; correct it or the schema"),
            )
        })),
    }
}

/// The bodies of all requests, replies and callbacks, with their pointers.
fn media_types(spec: &Spec) -> Vec<(String, &Value)> {
    let mut holders: Vec<(String, &Value)> = Vec::new();
    for operation in spec.operations() {
        holders.push((
            format!("{}/requestBody", operation.pointer),
            spec.resolve(&operation.value["requestBody"]),
        ));
        for (status, reply) in members(&operation.value["responses"]) {
            // A shared reply is looked at once, where it stands.
            if reply.get("$ref").is_none() {
                holders.push((format!("{}/responses/{status}", operation.pointer), reply));
            }
        }
        for (at, callback) in callbacks(operation.value) {
            holders.push((
                format!("{}{at}/requestBody", operation.pointer),
                &callback["requestBody"],
            ));
        }
    }
    for (name, reply) in members(&spec.root["components"]["responses"]) {
        holders.push((format!("/components/responses/{}", escape(name)), reply));
    }
    holders
        .into_iter()
        .flat_map(|(at, holder)| {
            members(&holder["content"]).map(move |(media_type, media)| {
                (format!("{at}/content/{}", escape(media_type)), media)
            })
        })
        .collect()
}

/// Visits a value and everything in it, with pointers.
fn walk<'a>(value: &'a Value, pointer: String, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(&pointer, value);
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                walk(value, format!("{pointer}/{}", escape(key)), visit);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, format!("{pointer}/{index}"), visit);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A specification that is in order; each row below breaks it in one place.
    pub(crate) const GOOD: &str = "\
openapi: 3.0.3
info: {title: Test, version: '1'}
servers:
  - {url: 'https://api.example.net', x-rust-name: BASE_URL}
security: [{Key: []}]
paths:
  /task:
    post:
      operationId: make
      description: Makes a task.
      x-billable: true
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Request'}
            examples: {one: {value: {prompt: a kite, size: 4}}}
      responses:
        '200':
          description: The task.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Task'}
              examples: {one: {value: {taskId: t1, state: done, seconds: null}}}
        default:
          description: No task.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Failure'}
              examples: {one: {value: {msg: no}}}
      callbacks:
        made:
          '{$request.body#/hook}':
            post:
              operationId: made
              description: The task is done.
              requestBody:
                content:
                  application/json:
                    schema: {$ref: '#/components/schemas/Task'}
                    examples: {one: {value: {taskId: t1}}}
              responses:
                '200': {description: Received.}
  /task/{id}:
    servers:
      - {url: 'https://other.example.net', x-rust-name: OTHER_URL}
    get:
      operationId: read
      description: Reads a task.
      x-billable: false
      parameters:
        - {name: id, in: path, required: true, description: Its id., schema: {type: string}, example: t1}
        - {name: part, in: query, description: Which part., schema: {type: integer}, example: 1}
      responses:
        '200':
          description: The task.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Task'}
              examples: {one: {value: {taskId: t1, size: '4'}}}
        default:
          description: No task.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Failure'}
              examples: {one: {value: {msg: no}}}
components:
  securitySchemes:
    Key: {type: http, scheme: bearer}
  schemas:
    Request:
      type: object
      description: What to make.
      required: [prompt]
      properties:
        prompt: {type: string, description: What it shows.}
        size: {$ref: '#/components/schemas/Size'}
        parts: {type: array, items: {type: string}, maxItems: 3, description: Its parts.}
        seed: {type: integer, minimum: 1, maximum: 9, default: 5, description: Its seed.}
      additionalProperties: {}
    Size:
      type: integer
      description: How large.
      enum: [4, 6]
      x-enum-varnames: [Small, Large]
      x-enum-descriptions: [Four., Six.]
    Task:
      type: object
      description: A task.
      x-basis: documented
      properties:
        taskId: {type: string, description: Its id.}
        state: {$ref: '#/components/schemas/State'}
        seconds: {type: number, nullable: true, description: Its length.}
        time: {$ref: '#/components/schemas/Time'}
    Time:
      description: A time.
      x-rust-type: String
      oneOf: [{type: integer}, {type: string}]
    State:
      type: string
      description: Its state.
      x-extensible-enum: [done]
      x-enum-varnames: [Done]
      x-enum-descriptions: [Done.]
    Failure:
      type: object
      description: Why not.
      properties:
        msg: {type: string, description: Words.}
";

    fn problems(text: &str) -> Vec<String> {
        match Spec::parse("openapi/test.yaml", text) {
            Ok(spec) => lint(&spec).iter().map(ToString::to_string).collect(),
            Err(problem) => vec![problem.to_string()],
        }
    }

    #[test]
    fn a_specification_in_order_has_no_problems() {
        assert_eq!(problems(GOOD), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_with_its_place_and_its_remedy() {
        // What is replaced, by what, where the problem is, and what it says.
        let faults = [
            (
                "    post:\n",
                "    post: [\n",
                "/",
                "not valid YAML in line",
            ),
            (
                "openapi: 3.0.3\n",
                "openapi: 3.0.3\nopenapi: 3.0.3\n",
                "/",
                "not valid YAML in line 2",
            ),
            (GOOD, "[]", "/", "not a YAML mapping; write"),
            (
                "openapi: 3.0.3",
                "openapi: 3.1.0",
                "/openapi",
                "this is 3.1.0; write OpenAPI 3.0",
            ),
            (
                "schemas/Size'",
                "schemas/Sice'",
                "/components/schemas/Request/properties/size/$ref",
                "leads nowhere in this file; correct",
            ),
            (
                "info: {title: Test, version: '1'}",
                "info: {title: Test}",
                "/info",
                "missing field `version`; correct it",
            ),
            ("paths:", "patsh:", "/paths", "has to be an object; add it"),
            (
                "x-basis: documented",
                "x-basis: rumoured",
                "/components/schemas/Task/x-basis",
                "say documented, observed or inferred",
            ),
            (
                "x-basis: documented",
                "x-bassi: documented",
                "/components/schemas/Task/x-bassi",
                "nothing reads this word; use",
            ),
            (
                "https://api",
                "http://api",
                "/servers/0/url",
                "give an https URL",
            ),
            (
                "//api.",
                "//{region}.",
                "/servers/0/url",
                "without variables",
            ),
            (
                ", x-rust-name: BASE_URL",
                "",
                "/servers/0",
                "add x-rust-name",
            ),
            (
                "x-rust-name: BASE_URL",
                "x-rust-name: the base",
                "/servers/0",
                "add x-rust-name",
            ),
            (
                "x-rust-name: OTHER_URL",
                "x-rust-name: BASE_URL",
                "/paths/~1task~1{id}/servers/0/x-rust-name",
                "BASE_URL is the name of another URL",
            ),
            (
                "x-rust-name: BASE_URL}",
                "x-rust-name: BASE_URL, variables: {}}",
                "/servers/0/variables",
                "nothing reads this here",
            ),
            (
                "servers:\n  - {url: 'https://api.example.net', x-rust-name: BASE_URL}\n",
                "",
                "/servers",
                "give exactly one",
            ),
            (
                "x-rust-name: OTHER_URL}\n",
                "x-rust-name: OTHER_URL}\n      - {url: 'https://more.example.net', x-rust-name: MORE_URL}\n",
                "/paths/~1task~1{id}/servers",
                "give exactly one",
            ),
            (
                "operationId: make\n",
                "operationId: make\n      servers: [{url: 'https://more.example.net', x-rust-name: MORE_URL}]\n",
                "/paths/~1task/post/servers",
                "nothing reads this here",
            ),
            (
                "      - {url: 'https://other.example.net', x-rust-name: OTHER_URL}\n",
                "      - {url: 'https://other.example.net', x-rust-name: OTHER_URL}\n    parameters: []\n",
                "/paths/~1task~1{id}/parameters",
                "nothing reads this here",
            ),
            (
                "      operationId: make\n",
                "",
                "/paths/~1task/post",
                "add an operationId",
            ),
            (
                "operationId: make",
                "operationId: makeTask",
                "/paths/~1task/post/operationId",
                "makeTask cannot name a Rust function; write",
            ),
            (
                "      description: Makes a task.\n",
                "",
                "/paths/~1task/post",
                "add a description",
            ),
            (
                "      x-billable: true\n",
                "",
                "/paths/~1task/post",
                "add x-billable",
            ),
            (
                "x-billable: false",
                "x-billable: true",
                "/paths/~1task~1{id}/get/x-billable",
                "remove the path's own server",
            ),
            (
                "application/json:\n            schema: {$ref: '#/components/schemas/Request'}",
                "multipart/form-data:\n            schema: {$ref: '#/components/schemas/Request'}",
                "/paths/~1task/post/x-billable",
                "or send JSON",
            ),
            (
                "        default:",
                "        '404':\n          description: Other.\n          content: {application/json: {schema: {$ref: '#/components/schemas/Task'}, examples: {one: {value: {}}}}}\n        default:",
                "/paths/~1task/post/responses/default",
                "there are 2 different error bodies; the generator takes one",
            ),
            (
                "        '200':",
                "        '201':\n          description: Other.\n          content: {application/json: {schema: {$ref: '#/components/schemas/Failure'}, examples: {one: {value: {}}}}}\n        '200':",
                "/paths/~1task/post/responses/201",
                "there are 2 different success bodies",
            ),
            (
                "/task/{id}:",
                "/task/{name}:",
                "/paths/~1task~1{name}/get/parameters",
                "make them agree",
            ),
            (
                "        default:",
                "        '202':",
                "/paths/~1task/post/responses",
                "there is no error body; add one",
            ),
            (
                "schema: {$ref: '#/components/schemas/Task'}",
                "schema: {type: object, properties: {taskId: {type: string}}}",
                "/paths/~1task/post/responses/200/content/application~1json/schema",
                "an inline object, enum or oneOf gets a made-up name",
            ),
            (
                "seconds: {type: number, nullable: true,",
                "seconds: {type: object, nullable: true,",
                "/components/schemas/Task/properties/seconds",
                "an inline object, enum or oneOf gets a made-up name",
            ),
            (
                "seconds: {type: number, nullable: true,",
                "seconds: {type: array, items: {type: string, enum: [a]}, nullable: true,",
                "/components/schemas/Task/properties/seconds/items",
                "an inline object, enum or oneOf gets a made-up name",
            ),
            (
                "msg: {type: string, description: Words.}",
                "msg: {type: string}",
                "/components/schemas/Failure/properties/msg",
                "add a description",
            ),
            (
                "description: Words.",
                "description: '```x```'",
                "/components/schemas/Failure/properties/msg/description",
                "prose without code blocks",
            ),
            (
                "        taskId:",
                "        task_id: {type: string, description: Its id.}\n        taskId:",
                "/components/schemas/Task/properties/taskId",
                "this and task_id are one Rust field; keep one of them",
            ),
            (
                "minimum: 1, maximum: 9",
                "minimum: 1",
                "/components/schemas/Request/properties/seed",
                "give minimum and maximum, the smaller first",
            ),
            (
                "minimum: 1, maximum: 9",
                "maximum: 9",
                "/components/schemas/Request/properties/seed",
                "give minimum and maximum, the smaller first",
            ),
            (
                "minimum: 1, maximum: 9",
                "minimum: 9, maximum: 1",
                "/components/schemas/Request/properties/seed",
                "the smaller first",
            ),
            (
                "maxItems: 3",
                "minItems: 3",
                "/components/schemas/Request/properties/parts",
                "give minItems and maxItems, the smaller first",
            ),
            (
                "seed: {type: integer,",
                "seed: {type: number,",
                "/components/schemas/Request/properties/seed/maximum",
                "nothing keeps to this in a property of type number",
            ),
            (
                "items: {type: string}, maxItems: 3",
                "items: {type: integer, minimum: 1, maximum: 9}",
                "/components/schemas/Request/properties/parts/items/minimum",
                "nothing keeps to this in a part of type integer",
            ),
            (
                "schema: {type: integer}, example: 1",
                "schema: {type: integer, minimum: 1, maximum: 9}, example: 1",
                "/paths/~1task~1{id}/get/parameters/1/schema/minimum",
                "nothing reads this here",
            ),
            (
                "      type: integer\n      description: How large.\n",
                "      type: integer\n      description: How large.\n      minimum: 4\n      maximum: 6\n",
                "/components/schemas/Size/minimum",
                "nothing keeps to this in a component of type integer",
            ),
            (
                "maxItems: 3",
                "maxItems: 3, uniqueItems: true",
                "/components/schemas/Request/properties/parts/uniqueItems",
                "nothing keeps to this in a property of type array",
            ),
            (
                "x-enum-varnames: [Done]",
                "x-enum-varnames: []",
                "/components/schemas/State",
                "one text for each of the 1 values",
            ),
            (
                "x-enum-varnames: [Done]",
                "x-enum-varnames: [Unknown]",
                "/components/schemas/State/x-enum-varnames/0",
                "cannot name a Rust variant",
            ),
            (
                "x-extensible-enum: [done]",
                "enum: [done]",
                "/components/schemas/State",
                "a reply uses this; write x-extensible-enum",
            ),
            (
                "enum: [4, 6]",
                "x-extensible-enum: [4, 6]",
                "/components/schemas/Size",
                "a request uses this; write enum",
            ),
            (
                "size: {$ref: '#/components/schemas/Size'}",
                "size: {$ref: '#/components/schemas/State'}",
                "/components/schemas/Size",
                "nothing uses this",
            ),
            (
                "size: {$ref: '#/components/schemas/Size'}",
                "size: {$ref: '#/components/schemas/Failure'}",
                "/components/schemas/Failure",
                "requests and replies both use this",
            ),
            (
                "            examples: {one: {value: {prompt: a kite, size: 4}}}\n",
                "",
                "/paths/~1task/post/requestBody/content/application~1json",
                "add examples",
            ),
            (
                "prompt: a kite, size: 4",
                "prompt: a kite, size: 5",
                "/paths/~1task/post/requestBody/content/application~1json/examples/one/value/size",
                "this example is not valid",
            ),
            (
                "prompt: a kite, size: 4",
                "size: 4",
                "/paths/~1task/post/requestBody/content/application~1json/examples/one/value",
                "this example is not valid, \"prompt\" is a required property",
            ),
            (
                "taskId: t1",
                "taskId: null",
                "/paths/~1task/post/responses/200/content/application~1json/examples/one/value/taskId",
                "this example is not valid, null is not of type \"string\"",
            ),
            (
                "time: {$ref: '#/components/schemas/Time'}",
                "time: {$ref: '#/components/schemas/Task/properties/taskId'}",
                "/components/schemas/Task/properties/time/$ref",
                "is no component; give it a name",
            ),
            (
                "type: http, scheme: bearer",
                "type: apiKey, in: query, name: key",
                "/security",
                "describe that",
            ),
            ("security: [{Key: []}]\n", "", "/security", "describe that"),
            (
                "    get:\n",
                "    head: {responses: {'200': {description: None.}}}\n    get:\n",
                "/paths/~1task~1{id}/head",
                "nothing reads this here",
            ),
            (
                "operationId: make",
                "operationId: move",
                "/paths/~1task/post/operationId",
                "move cannot name a Rust function",
            ),
            (
                "operationId: make",
                "operationId: make__it",
                "/paths/~1task/post/operationId",
                "make__it cannot name a Rust function",
            ),
            (
                "name: part, in: query",
                "name: part, in: header",
                "/paths/~1task~1{id}/get/parameters/1/in",
                "only what stands in the path and the query is sent",
            ),
            (
                "{type: integer}, example: 1",
                "{type: integer}, explode: false, example: 1",
                "/paths/~1task~1{id}/get/parameters/1/explode",
                "nothing reads this here",
            ),
            (
                "{type: integer}, example: 1",
                "{type: integer, enum: [1]}, example: 1",
                "/paths/~1task~1{id}/get/parameters/1/schema/enum",
                "nothing reads this here",
            ),
            (
                "{type: integer}, example: 1",
                "{type: array, items: {type: integer}}, example: 1",
                "/paths/~1task~1{id}/get/parameters/1/schema",
                "write a string, an integer",
            ),
            (
                "          application/json:\n            schema: {$ref: '#/components/schemas/Request'}",
                "          text/plain:\n            schema: {$ref: '#/components/schemas/Request'}",
                "/paths/~1task/post/requestBody/content/text~1plain",
                "nothing reads or sends this; write application/json",
            ),
            (
                "          application/json:\n            schema: {$ref: '#/components/schemas/Request'}",
                "          multipart/form-data: {schema: {$ref: '#/components/schemas/Request'}}\n          application/json:\n            schema: {$ref: '#/components/schemas/Request'}",
                "/paths/~1task/post/requestBody/content",
                "one kind of body; give exactly one",
            ),
            (
                "            application/json:\n              schema: {$ref: '#/components/schemas/Task'}",
                "            text/html: {schema: {$ref: '#/components/schemas/Task'}}\n            application/json:\n              schema: {$ref: '#/components/schemas/Task'}",
                "/paths/~1task/post/responses/200/content/text~1html",
                "nothing reads or sends this",
            ),
            (
                "            examples: {one: {value: {prompt",
                "            encoding: {}\n            examples: {one: {value: {prompt",
                "/paths/~1task/post/requestBody/content/application~1json/encoding",
                "nothing reads this here",
            ),
            (
                "            application/json:\n              schema: {$ref: '#/components/schemas/Task'}",
                "            application/json:\n              schema: {$ref: '#/components/schemas/State'}",
                "/paths/~1task/post/responses/200",
                "one bad value costs one field; make it an object",
            ),
            (
                "    Time:\n",
                "    due_time: {type: string, description: A time.}\n    Time:\n",
                "/components/schemas/due_time",
                "write words in PascalCase",
            ),
            (
                "    Time:\n",
                "    URLTime: {type: string, description: A time.}\n    Time:\n",
                "/components/schemas/URLTime",
                "write words in PascalCase",
            ),
            (
                "        taskId:",
                "        taskURL: {type: string, description: Its URL.}\n        taskId:",
                "/components/schemas/Task/properties/taskURL",
                "spell this in Rust in two ways",
            ),
            (
                "        prompt:",
                "        extra: {type: string, description: More.}\n        prompt:",
                "/components/schemas/Request/properties/extra",
                "spell this in Rust in two ways",
            ),
            (
                "      x-basis: documented\n",
                "      x-basis: documented\n      additionalProperties: false\n",
                "/components/schemas/Task/additionalProperties",
                "write true",
            ),
            (
                "additionalProperties: {}",
                "additionalProperties: {type: string}",
                "/components/schemas/Request/additionalProperties",
                "write {}",
            ),
            (
                "taskId: {type: string,",
                "taskId: {type: string, minLength: 1,",
                "/components/schemas/Task/properties/taskId/minLength",
                "a reply that is otherwise would lose a value by this in a property of type string",
            ),
            (
                "seconds: {type: number,",
                "seconds: {type: integer, format: int32,",
                "/components/schemas/Task/properties/seconds/format",
                "only int64 and binary",
            ),
            (
                "prompt: {type: string,",
                "prompt: {type: string, format: uuid,",
                "/components/schemas/Request/properties/prompt/format",
                "only int64 and binary",
            ),
            (
                "prompt: {type: string,",
                "prompt: {type: string, readOnly: true,",
                "/components/schemas/Request/properties/prompt/readOnly",
                "nothing keeps to this",
            ),
            (
                "time: {$ref: '#/components/schemas/Time'}",
                "time: {allOf: [{$ref: '#/components/schemas/Time'}, {$ref: '#/components/schemas/State'}], description: Its time.}",
                "/components/schemas/Task/properties/time/allOf",
                "allOf around one $ref only",
            ),
            (
                "time: {$ref: '#/components/schemas/Time'}",
                "time: {$ref: '#/components/schemas/Time', nullable: true}",
                "/components/schemas/Task/properties/time/nullable",
                "write only $ref",
            ),
            (
                "oneOf: [{type: integer}, {type: string}]",
                "allOf: [{$ref: '#/components/schemas/State'}]",
                "/components/schemas/Time/allOf",
                "in a component without a type",
            ),
            (
                "oneOf: [{type: integer}",
                "anyOf: [{type: integer}",
                "/components/schemas/Time/anyOf",
                "in a component without a type",
            ),
            (
                "      x-rust-type: String\n      oneOf: [{type: integer}, {type: string}]",
                "      oneOf: [{type: integer}, {type: number}]",
                "/components/schemas/Time/oneOf/1",
                "an alternative before this one can take its place",
            ),
            (
                "      x-rust-type: String\n      oneOf: [{type: integer}, {type: string}]",
                "      oneOf: [{$ref: '#/components/schemas/Failure'}, {$ref: '#/components/schemas/Task'}]",
                "/components/schemas/Time/oneOf/1",
                "decode it by hand with x-rust-type",
            ),
            (
                "x-rust-type: String",
                "x-rust-type: a string",
                "/components/schemas/Time/x-rust-type",
                "write the path of a Rust type",
            ),
            (
                "items: {type: string}",
                "items: {type: string, nullable: true}",
                "/components/schemas/Request/properties/parts/items/nullable",
                "in a part of type string",
            ),
            (
                "    Request:\n      type: object\n",
                "    Request:\n",
                "/components/schemas/Request/properties",
                "in a component without a type",
            ),
            (
                "enum: [4, 6]",
                "enum: [4, '6']",
                "/components/schemas/Size/enum/1",
                "is not of type integer",
            ),
            (
                "enum: [4, 6]",
                "enum: [4, 4]",
                "/components/schemas/Size/enum/1",
                "4 stands here twice",
            ),
            (
                "enum: [done]",
                "enum: [null]",
                "/components/schemas/State/x-extensible-enum/0",
                "null is not of type string",
            ),
            (
                "      type: integer\n      description: How large.",
                "      type: number\n      description: How large.",
                "/components/schemas/Size",
                "write type: string or type: integer",
            ),
            (
                "x-enum-varnames: [Small, Large]",
                "x-enum-varnames: [Small, Small]",
                "/components/schemas/Size/x-enum-varnames/1",
                "names another; choose another",
            ),
            (
                "x-enum-descriptions: [Four., Six.]",
                "x-enum-descriptions: [Four., {Six: seconds.}]",
                "/components/schemas/Size",
                "x-enum-descriptions has to have one text",
            ),
            (
                "security: [{Key: []}]\n",
                "security: [{Key: []}, {Other: []}]\n",
                "/security",
                "describe that and no other",
            ),
            (
                "      requestBody:\n",
                "      requestBody:\n        requried: true\n",
                "/paths/~1task/post/requestBody/requried",
                "nothing reads this here",
            ),
            (
                "      requestBody:\n        content:\n          application/json:",
                "      parameters: [{name: part, in: query, description: A part., schema: {type: string}, example: a}]\n      requestBody:\n        content:\n          multipart/form-data:",
                "/paths/~1task/post/parameters",
                "hand-written code sends a form",
            ),
            (
                "                  application/json:\n",
                "                  multipart/form-data:\n",
                "/paths/~1task/post/callbacks/made/{$request.body#~1hook}/post/requestBody/content/multipart~1form-data",
                "nothing reads or sends this",
            ),
            (
                "in: path, required: true",
                "in: path, required: false",
                "/paths/~1task~1{id}/get/parameters/0/required",
                "write required: true",
            ),
            (
                "    Time:\n",
                "    Self: {type: string, description: A time.}\n    Time:\n",
                "/components/schemas/Self",
                "write words in PascalCase",
            ),
        ];
        for (from, to, pointer, message) in faults {
            assert!(
                GOOD.contains(from),
                "the table replaces {from:?}, which is not there"
            );
            let found = problems(&GOOD.replacen(from, to, 1));
            let wanted = format!("openapi/test.yaml at {pointer}: ");
            assert!(
                found
                    .iter()
                    .any(|problem| problem.starts_with(&wanted) && problem.contains(message)),
                "{from:?} -> {to:?}\nwanted {wanted}... {message}\nfound {found:#?}",
            );
        }
    }

    #[test]
    fn the_specifications_are_in_order() {
        let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (name, _) in crate::spec::SPECS {
            let problems: Vec<String> = lint(&Spec::read(&workspace, name).unwrap())
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(problems, [""; 0]);
        }
    }
}
