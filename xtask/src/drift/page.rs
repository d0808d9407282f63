//! Reads the facts of a page in any of the providers' formats. Facts that are only in sentences are not read.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::pieces::{Piece, pieces};
use super::table;
use super::watched::Watched;
use crate::spec::{Spec, members};
use crate::surface::{self, Surface};
use crate::value;

/// A page as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) format: String,
    /// The facts that count as not stated if the page lacks them. `None` means all facts, for a page of whole schemas.
    pub(super) covers: Option<BTreeSet<String>>,
    pub(super) surface: Surface,
}

/// Reads a page.
///
/// # Errors
///
/// Returns the reason as the end of a sentence.
pub(super) fn read(text: &str, watched: &Watched) -> Result<Page, String> {
    let mut page = if text.trim_start().starts_with('{') {
        described("raw OpenAPI", &[text.to_owned()])?
    } else {
        of_pieces(&pieces(text)?, watched)?
    };
    if let Some(model) = &watched.model {
        label(&mut page.surface, model);
    }
    if let Some(only) = &watched.only {
        let inside = format!("{only}.");
        let is_wanted = |at: &str| {
            let is_below = at.starts_with(&inside) || at.starts_with(&format!("{only}["));
            at == only || is_below || only.starts_with(&format!("{at} "))
        };
        page.surface.places.retain(|at, _| is_wanted(at));
        page.surface.remarks.retain(|(at, _)| is_wanted(at));
        // The facts of the operation itself are about another model, too.
        let (operation, _) = surface::split(only);
        let facts = page.surface.places.get_mut(operation);
        facts.into_iter().for_each(|facts| facts.clear());
    }
    let has_parts = |at: &String| surface::parent(at).is_some();
    if !page.surface.places.keys().any(has_parts) {
        return Err(
            "has nothing to read where there were facts: it was cut off, or is another page now"
                .to_owned(),
        );
    }
    Ok(page)
}

/// Reads an index. Its places are the links to pages in the watched folders.
///
/// # Errors
///
/// Fails if there is no such link.
pub(super) fn index(text: &str, watch: &[String]) -> Result<Page, String> {
    let mut surface = Surface::default();
    for rest in text.split("](https://").skip(1) {
        let address = rest.split([')', ' ', '\n']).next().unwrap_or_default();
        let path = address.find('/').map_or("", |slash| &address[slash..]);
        if watch.iter().any(|folder| path.starts_with(folder)) {
            let (path, _) = surface::name(path);
            surface.places.entry(path).or_default();
        }
    }
    if surface.places.is_empty() {
        return Err("links to no page that is watched".to_owned());
    }
    Ok(Page {
        format: "index".to_owned(),
        covers: None,
        surface,
    })
}

fn of_pieces(pieces: &[Piece], watched: &Watched) -> Result<Page, String> {
    let mut documents = Vec::new();
    let mut arrays = Vec::new();
    for piece in pieces {
        let Piece::Block(_, text) = piece else {
            continue;
        };
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        if has("openapi:") || text.starts_with('{') && text.contains("\"openapi\"") {
            documents.push(text.clone());
        } else if has("paths:") && text.contains("schemaArray") {
            arrays.push(text.clone());
        }
    }
    if !documents.is_empty() {
        described("OpenAPI block", &documents)
    } else if !arrays.is_empty() {
        let mut surface = Surface::default();
        for text in arrays {
            let root = rewritten(&parsed(&text)?);
            surface.add(Surface::of(&root));
        }
        Ok(Page {
            format: "schemaArray block".to_owned(),
            covers: None,
            surface,
        })
    } else {
        let (surface, covers) = table::read(pieces, watched.place.as_deref())?;
        Ok(Page {
            format: "tables".to_owned(),
            covers: Some(covers),
            surface,
        })
    }
}

fn described(format: &str, documents: &[String]) -> Result<Page, String> {
    let mut surface = Surface::default();
    for text in documents {
        surface.add(Surface::of(&parsed(text)?));
    }
    Ok(Page {
        format: format.to_owned(),
        covers: None,
        surface,
    })
}

fn parsed(text: &str) -> Result<Value, String> {
    match Spec::parse("its block", text) {
        Ok(spec) => Ok(spec.root),
        Err(problem) => {
            let problem = value::clean(&problem.message, 200);
            Err(format!("has a block that cannot be read: {problem}"))
        }
    }
}

/// Moves the facts of the request body to the alternative that the page is about.
fn label(surface: &mut Surface, model: &str) {
    let labelled = |at: &str| {
        let (operation, part) = surface::split(at);
        match part.strip_prefix("body") {
            Some(rest) if !rest.starts_with('{') => format!("{operation} body{{{model}}}{rest}"),
            _ => at.to_owned(),
        }
    };
    let places = std::mem::take(&mut surface.places);
    surface.places = places
        .into_iter()
        .map(|(at, it)| (labelled(&at), it))
        .collect();
    for (at, _) in &mut surface.remarks {
        *at = labelled(at);
    }
    let texts = std::mem::take(&mut surface.texts);
    surface.texts = texts
        .into_iter()
        .map(|(at, it)| (labelled(&at), it))
        .collect();
}

/// Converts a `schemaArray` block, which has one operation, to OpenAPI.
fn rewritten(block: &Value) -> Value {
    let described = &block["paths"];
    let request = &described["request"];
    let mut parameters = Vec::new();
    for kind in ["path", "query"] {
        for (name, parameter) in members(&request["parameters"]["parameters"][kind])
            .chain(members(&request["parameters"][kind]))
        {
            let schema = &parameter["schema"][0];
            parameters.push(json!({
                "name": name,
                "in": kind,
                "required": schema["required"],
                "description": schema["description"],
                "schema": schema_keywords(schema),
            }));
        }
    }
    let content = |holder: &Value| {
        let mut content = Map::new();
        for (media_type, media) in members(holder) {
            let schemas = media["schemaArray"].as_array().cloned().unwrap_or_default();
            let schemas: Vec<Value> = schemas.iter().map(schema_keywords).collect();
            let examples = &media["examples"];
            let media = json!({ "schema": { "oneOf": schemas }, "examples": examples });
            content.insert(media_type.to_owned(), media);
        }
        Value::Object(content)
    };
    let mut responses = Map::new();
    for (status, reply) in members(&described["response"]) {
        responses.insert(status.to_owned(), json!({ "content": content(reply) }));
    }
    let mut operation = json!({
        "servers": described["servers"],
        "deprecated": described["deprecated"],
        "parameters": parameters,
        "responses": responses,
    });
    if members(&request["body"]).next().is_some() {
        operation["requestBody"] = json!({ "content": content(&request["body"]) });
    }
    let path = described["path"].as_str().unwrap_or_default();
    let method = described["method"].as_str().unwrap_or_default();
    json!({ "paths": { path: { method: operation } }, "components": block["components"] })
}

/// Converts a schema of such a block, with everything inside it, to OpenAPI.
fn schema_keywords(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(schema_keywords).collect(),
        Value::Object(words) => {
            let mut rewritten = Map::new();
            for (word, value) in words {
                match word.as_str() {
                    // In such a block the property itself says that it is required.
                    "required" if value.is_boolean() => {}
                    "requiredProperties" => {
                        drop(rewritten.insert("required".into(), value.clone()))
                    }
                    "type" => {
                        let kind = value.as_str().unwrap_or_default();
                        let kind = kind.strip_prefix("enum<").unwrap_or(kind);
                        if kind != "any" {
                            rewritten.insert("type".into(), json!(kind.trim_end_matches('>')));
                        }
                    }
                    "properties" => {
                        let inside =
                            members(value).map(|(name, it)| (name.into(), schema_keywords(it)));
                        rewritten.insert(word.clone(), Value::Object(inside.collect()));
                    }
                    "allOf" | "oneOf" | "anyOf" | "items" => {
                        rewritten.insert(word.clone(), schema_keywords(value));
                    }
                    _ => drop(rewritten.insert(word.clone(), value.clone())),
                }
            }
            Value::Object(rewritten)
        }
        other => other.clone(),
    }
}
