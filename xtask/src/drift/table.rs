//! Reads pages that describe an operation in tables and JSON examples.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pieces::{Piece, is_rule};
use crate::spec::{list, members};
use crate::surface::{self, Facts, Surface};
use crate::{value, wording};

/// Reads the tables and examples of a page about one operation, or about `place` if that is given. Also returns which
/// facts have a column in the tables.
///
/// # Errors
///
/// Fails if the page names no operation.
pub(super) fn read(
    pieces: &[Piece],
    place: Option<&str>,
) -> Result<(Surface, BTreeSet<String>), String> {
    let Some(operation) = place.map(str::to_owned).or_else(|| operation(pieces)) else {
        return Err(
            "has nothing to read: no OpenAPI block, and no operation with tables".to_owned(),
        );
    };
    let mut reading = Reading {
        whole: place.map(str::to_owned),
        operation,
        surface: Surface::default(),
        covers: BTreeSet::from(["type".to_owned()]),
    };
    let (operation, _) = surface::split(&reading.operation);
    reading
        .surface
        .places
        .entry(operation.to_owned())
        .or_default();
    let mut headings: Vec<(usize, String)> = Vec::new();
    let mut examples = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Heading(level, text) => {
                headings.retain(|(other, _)| other < level);
                headings.push((*level, text.to_lowercase()));
            }
            Piece::Table(rows) => {
                if let Some(at) = reading.place_of_table(&headings) {
                    reading.table(&at, rows);
                }
            }
            Piece::Block(info, text) if info.starts_with("json") => {
                if let Some(at) = reading.place_of_example(&headings) {
                    examples.push((at, text));
                }
            }
            _ => {}
        }
    }
    for (at, text) in examples {
        reading.example(&at, text);
    }
    Ok((reading.surface, reading.covers))
}

/// Finds the operation that a page names: in its first block of HTTP, or else in its first span of code.
fn operation(pieces: &[Piece]) -> Option<String> {
    for piece in pieces {
        if let Piece::Block(info, text) = piece
            && info.starts_with("http")
            && let Some(operation) = text.lines().find_map(named)
        {
            return Some(operation);
        }
    }
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(vec![text.as_str()]),
        Piece::Table(rows) => Some(rows.iter().flatten().map(String::as_str).collect()),
        _ => None,
    });
    texts
        .flatten()
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .find_map(named)
}

/// Parses a text as a method and a path.
fn named(text: &str) -> Option<String> {
    let (method, path) = text.trim().split_once(' ')?;
    let path = path.trim();
    let is_method = ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method);
    if !is_method || !path.starts_with('/') || path.contains(' ') {
        return None;
    }
    let (path, _) = surface::name(path);
    Some(format!("{method} {path}"))
}

/// The marks at the start of the rows for the parts of a field.
const NESTED: [char; 3] = ['∟', '└', '↳'];

/// The columns of a table by their meaning.
struct Columns {
    kind: Option<usize>,
    required: Option<usize>,
    default: Option<usize>,
    description: Option<usize>,
}

struct Reading {
    /// The place that the whole page is about, if the caller has given one.
    whole: Option<String>,
    operation: String,
    surface: Surface,
    covers: BTreeSet<String>,
}

impl Reading {
    /// The place that a table under these headings describes.
    fn place_of_table(&self, headings: &[(usize, String)]) -> Option<String> {
        if let Some(place) = &self.whole {
            return Some(place.clone());
        }
        headings.iter().rev().find_map(|(_, text)| {
            let part = match text {
                _ if text.contains("query param") => "query",
                _ if text.contains("path param") => "path",
                _ if text.contains("header") => "header",
                _ if text.contains("response") || text.contains("reply") => "200",
                _ if text.contains("request") || text.contains("body") => "body",
                _ if text.contains("parameter") => "body",
                _ => return None,
            };
            Some(format!("{} {part}", self.operation))
        })
    }

    fn place_of_example(&self, headings: &[(usize, String)]) -> Option<String> {
        let place = self.place_of_table(headings)?;
        let (_, part) = surface::split(&place);
        (!["query", "path", "header"].contains(&part)).then_some(place)
    }

    fn table(&mut self, at: &str, rows: &[Vec<String>]) {
        let Some((head, rows)) = rows.split_first() else {
            return;
        };
        let head: Vec<String> = head.iter().map(|cell| bare(cell).to_lowercase()).collect();
        let first = head.first().map(String::as_str).unwrap_or_default();
        if !["field", "parameter", "name", "property"].contains(&first) {
            return;
        }
        // An empty table also describes a reply.
        let (_, part) = surface::split(at);
        if !["query", "path", "header"].contains(&part) {
            self.surface.state(at, "type", json!("object"));
        }
        let rows: Vec<&Vec<String>> = rows.iter().filter(|row| !is_rule(row)).collect();
        let columns = self.columns(at, &head, &rows);
        let mut above = at.to_owned();
        for row in rows {
            let written = cell(row, Some(0));
            let is_nested = written.starts_with(NESTED);
            let base = if is_nested { &above } else { at };
            let Some(place) = self.place(base, written) else {
                continue;
            };
            self.row(&place, row, &columns);
            if !is_nested {
                above = place;
            }
        }
    }

    /// Finds the columns that state facts.
    fn columns(&mut self, at: &str, head: &[String], rows: &[&Vec<String>]) -> Columns {
        let column = |name: &str| head.iter().position(|cell| cell.starts_with(name));
        let mut columns = Columns {
            kind: column("type"),
            required: column("required"),
            default: column("default"),
            description: column("description"),
        };
        let required = rows.iter().map(|row| is_yes(cell(row, columns.required)));
        let required: BTreeSet<bool> = required.collect();
        // A column with the same value for every field states nothing.
        if columns.required.is_some() && required.len() < 2 {
            columns.required = None;
            if rows.len() > 1 && required.contains(&true) {
                let text = "the table says of every field that it is required";
                self.surface.remark(at, text);
            }
        }
        for (what, column) in [
            ("required", columns.required),
            ("default", columns.default),
            ("wording", columns.description),
        ] {
            if column.is_some() {
                self.covers.insert(what.to_owned());
            }
        }
        columns
    }

    fn row(&mut self, at: &str, row: &[String], columns: &Columns) {
        let mut facts = Facts::new();
        typed(cell(row, columns.kind), &mut facts);
        if is_yes(cell(row, columns.required)) {
            facts.insert("required".to_owned(), json!(true));
        }
        let default = bare(cell(row, columns.default));
        if !["", "-", "—", "none"].contains(&default.to_lowercase().as_str()) {
            facts.insert("default".to_owned(), value::short(value::parsed(default)));
        }
        let description = cell(row, columns.description);
        facts.extend(wording::facts(description));
        // A row with too few cells can have its description in another column.
        let words = row.get(1..).unwrap_or_default().join(" ");
        let values = allowed(&words);
        if !values.is_empty() {
            facts.insert("enum".to_owned(), value::short(value::set(values)));
        }
        let texts = &mut self.surface.texts;
        texts.insert(at.to_owned(), description.to_owned());
        let place = self.surface.places.entry(at.to_owned());
        place.or_default().extend(facts);
    }

    /// Adds the place of a field that a table names, and all places above it.
    fn place(&mut self, base: &str, written: &str) -> Option<String> {
        let written = written.trim_start_matches(NESTED);
        let written = bare(written).replace('\\', "");
        let is_about_key = ["authorization", "content-type", "accept"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(&written));
        let (_, part) = surface::split(base);
        let is_parameter = ["query", "path", "header"].contains(&part);
        if written.is_empty() || is_parameter && is_about_key {
            return None;
        }
        let mut at = base.to_owned();
        for step in written.split('.') {
            let (step, is_list) = match step.strip_suffix("[]") {
                Some(step) => (step, true),
                None => (step, false),
            };
            let (name, is_odd) = surface::name(step);
            if is_odd {
                self.surface
                    .remark(&at, format!("{name} has an odd name on the page"));
            }
            at = format!("{at}.{name}");
            self.surface.places.entry(at.clone()).or_default();
            if is_list {
                at.push_str("[]");
                self.surface.places.entry(at.clone()).or_default();
            }
        }
        Some(at)
    }

    fn example(&mut self, at: &str, text: &str) {
        let Ok(example) = serde_json::from_str::<Value>(text) else {
            self.surface.remark(at, "an example is no JSON");
            return;
        };
        // If a table names the fields, an example without any of these fields is about something else.
        let has_fields = self.surface.has_parts(at);
        let is_field = |(name, _): (&str, &Value)| {
            let (name, _) = surface::name(name);
            self.surface.places.contains_key(&format!("{at}.{name}"))
        };
        if has_fields && !members(&example).any(is_field) {
            return;
        }
        self.value(at, &example, has_fields);
    }

    /// Adds the types that an example shows. They are also the stated types if no table has the place.
    fn value(&mut self, at: &str, value: &Value, has_table: bool) {
        let facts = self.surface.places.entry(at.to_owned()).or_default();
        if let Some(kind) = surface::kind(value) {
            facts
                .entry("type".to_owned())
                .or_insert_with(|| json!(kind));
        }
        self.surface.compare(at, value);
        for (name, inside) in members(value) {
            let (name, is_odd) = surface::name(name);
            if is_odd {
                self.surface
                    .remark(at, format!("{name} has an odd name on the page"));
            }
            let at = format!("{at}.{name}");
            if has_table && !self.surface.places.contains_key(&at) {
                self.surface.remark(&at, "only an example has it");
                self.surface.state(&at, "example", json!(true));
            }
            self.value(&at, inside, has_table);
        }
        for inside in list(value) {
            self.value(&format!("{at}[]"), inside, has_table);
        }
    }
}

/// Reads the type that a cell names.
fn typed(cell: &str, facts: &mut Facts) {
    let cell = bare(cell).to_lowercase();
    let mut kinds = Vec::new();
    for word in cell.split(['/', '|', ' ', '<', '>', '(', ')', ',']) {
        let word = word.strip_suffix("[]").map_or(word, |_| "array");
        kinds.extend(match word {
            "string" | "text" | "enum" => Some("string"),
            "integer" | "int" | "int64" | "int32" | "long" => Some("integer"),
            "number" | "float" | "double" => Some("number"),
            "boolean" | "bool" => Some("boolean"),
            "array" | "list" => Some("array"),
            "object" | "map" => Some("object"),
            _ => None,
        });
        // The words after a list are the types of its items.
        if kinds.last() == Some(&"array") {
            break;
        }
    }
    match kinds[..] {
        [] => {}
        [kind] => drop(facts.insert("type".to_owned(), json!(kind))),
        _ => drop(facts.insert(
            "type".to_owned(),
            value::set(kinds.iter().map(|it| json!(it))),
        )),
    }
}

/// Reads the values that a cell allows: spans of code after words such as "one of", with only commas between them.
fn allowed(text: &str) -> Vec<Value> {
    const WORDS: [&str; 5] = [
        "allowed value",
        "one of",
        "possible value",
        "supported value",
        "valid value",
    ];
    let lower = text.to_ascii_lowercase();
    let starts = WORDS.iter().filter_map(|words| lower.find(words));
    let Some(start) = starts.min() else {
        return Vec::new();
    };
    let mut values = Vec::new();
    let mut parts = text[start..].split('`');
    let before_first = parts.next().unwrap_or_default();
    if before_first.len() > "possible values are: ".len() {
        return values;
    }
    while let Some(word) = parts.next() {
        values.push(value::parsed(word.trim()));
        let between = parts.next().unwrap_or_default();
        let between = between.trim_matches([' ', ',', '/', '|']);
        if !["", "or", "and"].contains(&between) {
            break;
        }
    }
    values
}

/// The cell of a row in a column, or an empty text.
fn cell(row: &[String], column: Option<usize>) -> &str {
    let cell = column.and_then(|index| row.get(index));
    cell.map(String::as_str).unwrap_or_default()
}

fn is_yes(cell: &str) -> bool {
    let cell = bare(cell).to_lowercase();
    ["yes", "true", "required", "✓", "✔", "y"].contains(&cell.as_str())
}

/// A cell without the marks around it.
fn bare(cell: &str) -> &str {
    cell.trim().trim_matches(['*', '`', '_', ' '])
}
