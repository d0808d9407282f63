//! `openapi/documented/*.jsonl`: the facts that the pages stated when they were last read. Each line is a place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::page::Page;
use crate::spec::list;
use crate::surface::Facts;

/// Pages with their addresses, in the order of trust.
pub(super) type Pages = Vec<(String, Page)>;

pub(super) fn file(provider: &str) -> String {
    format!("openapi/documented/{provider}.jsonl")
}

/// Reads the documented facts of a provider. Empty if its pages were never read.
///
/// # Errors
///
/// Fails if a line cannot be read, and names the line.
pub(super) fn read(workspace: &Path, provider: &str) -> Result<Pages, String> {
    let path: PathBuf = workspace.join(file(provider));
    if !path.exists() {
        return Ok(Pages::new());
    }
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{} cannot be read: {error}\n", file(provider)))?;
    parse(&text).map_err(|line| {
        let file = file(provider);
        format!("{file}: line {line} is none of cargo xtask drift; restore the file\n")
    })
}

/// Parses the text of such a file. The error is the number of the wrong line.
pub(super) fn parse(text: &str) -> Result<Pages, usize> {
    let mut pages = Pages::new();
    for (index, line) in text.lines().enumerate() {
        add(line, &mut pages).ok_or(index + 1)?;
    }
    Ok(pages)
}

fn add(line: &str, pages: &mut Pages) -> Option<()> {
    let mut words: Map<String, Value> = serde_json::from_str(line).ok()?;
    let Some(Value::String(url)) = words.remove("page") else {
        return None;
    };
    match words.remove("at") {
        Some(Value::String(at)) => {
            let (_, page) = pages.last_mut().filter(|(last, _)| *last == url)?;
            let facts: Facts = words.into_iter().collect();
            page.surface.places.insert(at, facts);
        }
        _ => {
            let format = words["format"].as_str()?.to_owned();
            let covers = words.get("covers").map(|covers| {
                let names = list(covers).filter_map(Value::as_str);
                names.map(str::to_owned).collect::<BTreeSet<String>>()
            });
            let page = Page {
                format,
                covers,
                ..Page::default()
            };
            pages.push((url, page));
        }
    }
    Some(())
}

pub(super) fn text(pages: &Pages) -> String {
    let mut text = String::new();
    for (url, page) in pages {
        let mut first = json!({ "page": url, "format": page.format });
        if let Some(covers) = &page.covers {
            first["covers"] = json!(covers);
        }
        text.push_str(&format!("{first}\n"));
        for (at, facts) in &page.surface.places {
            let mut line = Map::new();
            line.insert("page".to_owned(), json!(url));
            line.insert("at".to_owned(), json!(at));
            line.extend(facts.clone());
            text.push_str(&format!("{}\n", Value::Object(line)));
        }
    }
    text
}
