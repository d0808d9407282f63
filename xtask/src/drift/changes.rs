//! Finds the changes between the documented facts and those that the pages state now.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::documented::Pages;
use super::page::Page;
use crate::report::cell;
use crate::surface::{self, Facts};
use crate::value;

/// A change on one page, or the same change on several.
#[derive(Debug)]
pub(super) struct Change {
    /// The addresses of the pages, each with the place on that page.
    places: Vec<(String, String)>,
    /// The kind: `new`, `gone`, or the name of the fact.
    what: String,
    was: Value,
    is: Value,
    /// Words that are shown once: a new wording, or a possible earlier name of a field.
    note: String,
}

/// Compares the documented facts with those that were read now.
pub(super) fn between(before: &Pages, now: &Pages) -> Vec<Change> {
    let mut changes = Vec::new();
    let nothing = Page::default();
    for (url, page) in now {
        let was = before.iter().find(|(other, _)| other == url);
        let was = was.map_or(&nothing, |(_, page)| page);
        of_page(url, was, page, &mut changes);
    }
    for (url, page) in before {
        if !now.iter().any(|(other, _)| other == url) {
            of_page(url, page, &nothing, &mut changes);
        }
    }
    together(changes)
}

fn of_page(url: &str, was: &Page, is: &Page, changes: &mut Vec<Change>) {
    let mut push = |at: &str, what: &str, was: Value, is: Value, note: String| {
        changes.push(Change {
            places: vec![(url.to_owned(), at.to_owned())],
            what: what.to_owned(),
            was,
            is,
            note,
        });
    };
    let gone = surface::missing_from(&was.surface, &is.surface);
    let new = surface::missing_from(&is.surface, &was.surface);
    for at in &gone {
        let facts = json!(was.surface.places[*at]);
        push(at, "gone", facts, Value::Null, String::new());
    }
    for at in &new {
        let facts = &is.surface.places[*at];
        let mut earlier = gone.iter().filter(|other| {
            let is_near = surface::parent(other) == surface::parent(at);
            is_near && is_same(&was.surface.places[**other], facts)
        });
        let note = match (earlier.next(), earlier.next()) {
            (Some(other), None) => format!("renamed from {}?", part(other)),
            _ => String::new(),
        };
        push(at, "new", Value::Null, json!(facts), note);
    }
    for (at, facts) in &is.surface.places {
        let Some(before) = was.surface.facts(at) else {
            continue;
        };
        let has_words = is.covers.is_some();
        for what in different(before, facts, has_words) {
            // A field inside one that only an example has is in the example only. So one change is enough.
            let above = surface::parent(at).unwrap_or_default();
            let of = |page: &Page| {
                page.surface
                    .facts(above)
                    .and_then(|it| it.get(what))
                    .cloned()
            };
            if what == "example" && of(was) != of(is) {
                continue;
            }
            let note = match is.surface.texts.get(at) {
                Some(text) if what == "wording" => value::clean(&fold(text), 300),
                _ => String::new(),
            };
            let value = |facts: &Facts| facts.get(what).cloned().unwrap_or_default();
            push(at, what, value(before), value(facts), note);
        }
    }
}

/// The names of the facts that differ. If one fact of a description differs, it replaces the change of the wording; if
/// both do, the wording replaces them. On a page of tables, the allowed values come from the description too.
fn different<'a>(was: &'a Facts, is: &'a Facts, has_words: bool) -> Vec<&'a str> {
    let mut whats: BTreeSet<&str> = was.keys().chain(is.keys()).map(String::as_str).collect();
    whats.retain(|what| was.get(*what) != is.get(*what));
    let has_values = has_words && whats.contains("enum");
    match (whats.contains("listed"), whats.contains("says")) {
        (true, true) => whats.retain(|what| *what != "listed" && *what != "says"),
        (true, false) | (false, true) => drop(whats.remove("wording")),
        (false, false) if has_values => drop(whats.remove("wording")),
        (false, false) => {}
    }
    // A removed row removes all its facts of the field. If an example still has the field, that is one change.
    if whats.contains("example") {
        return vec!["example"];
    }
    // The type in an example is a fact only if it contradicts the stated type, so both change together.
    if whats.contains("type") {
        whats.remove("shown");
    }
    whats.into_iter().collect()
}

/// Returns whether two fields have the same facts except those of their descriptions.
fn is_same(one: &Facts, other: &Facts) -> bool {
    let bare = |facts: &Facts| {
        let mut facts = facts.clone();
        facts.retain(|what, _| !["wording", "listed", "says"].contains(&what.as_str()));
        facts
    };
    bare(one) == bare(other)
}

/// Joins equal changes of the same part on several pages.
fn together(changes: Vec<Change>) -> Vec<Change> {
    let mut together: Vec<Change> = Vec::new();
    for change in changes {
        let (url, at) = &change.places[0];
        let is_same = |other: &&mut Change| {
            let is_part = part(other.at()) == part(at) && part(at) != at;
            let is_new_page = other.places.iter().all(|(page, _)| page != url);
            let values = (&other.what, &other.was, &other.is);
            is_part && is_new_page && values == (&change.what, &change.was, &change.is)
        };
        match together.iter_mut().find(is_same) {
            Some(other) => other.places.extend(change.places),
            None => together.push(change),
        }
    }
    together
}

impl Change {
    /// The place on the first page.
    fn at(&self) -> &str {
        &self.places[0].1
    }
}

/// A place without its operation, or the operation itself.
fn part(at: &str) -> &str {
    match surface::split(at) {
        (operation, "") => operation,
        (_, part) => part,
    }
}

fn fold(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// The last segment of an address.
fn short(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The changes as text for people, and after them the contradictions on the pages.
pub(super) fn as_text(provider: &str, changes: &[Change], now: &Pages) -> String {
    let mut text = String::new();
    for (heading, lines) in by_pages(changes) {
        text.push_str(&format!("{provider}  {heading}\n"));
        for (sign, at, what) in lines {
            text.push_str(format!("  {sign}  {at:<40}  {what}").trim_end());
            text.push('\n');
        }
    }
    let remarks = remarks(now);
    if !remarks.is_empty() {
        text.push_str(&format!("{provider}  the pages contradict themselves\n"));
    }
    for remark in remarks {
        text.push_str(&format!("  !  {remark}\n"));
    }
    text
}

/// The changes as lists of Markdown, for a pull request.
pub(super) fn as_markdown(provider: &str, changes: &[Change], now: &Pages) -> String {
    let mut text = String::new();
    for (heading, lines) in by_pages(changes) {
        text.push_str(&format!(
            "### {}\n\n",
            cell(&format!("{provider}: {heading}"))
        ));
        for (sign, at, what) in lines {
            let word = match sign {
                "+" => "new: ",
                "-" => "gone: ",
                _ => "",
            };
            text.push_str(&format!("- {word}{}\n", cell(&format!("{at} {what}"))));
        }
        text.push('\n');
    }
    let remarks = remarks(now);
    if !remarks.is_empty() {
        text.push_str(&format!(
            "### {}: the pages contradict themselves\n\n",
            cell(provider)
        ));
        for remark in remarks {
            text.push_str(&format!("- {}\n", cell(&remark)));
        }
        text.push('\n');
    }
    text
}

/// The changes as a list for programs.
pub(super) fn as_json(changes: &[Change]) -> Vec<Value> {
    let mut list = Vec::new();
    for change in changes {
        for (page, at) in &change.places {
            list.push(json!({
                "page": page,
                "at": at,
                "what": change.what,
                "was": change.was,
                "is": change.is,
            }));
        }
    }
    list
}

/// A sign, a place, and the words about it.
type Line = (&'static str, String, String);

/// The lines of all changes, by page.
fn by_pages(changes: &[Change]) -> Vec<(String, Vec<Line>)> {
    let mut headings: Vec<(String, Vec<Line>)> = Vec::new();
    for change in changes {
        let pages: Vec<&str> = change.places.iter().map(|(url, _)| short(url)).collect();
        let heading = match pages[..] {
            [page] => page.to_owned(),
            _ => format!("{} pages: {}", pages.len(), pages.join(", ")),
        };
        let line = line(change);
        match headings.iter_mut().find(|(other, _)| *other == heading) {
            Some((_, lines)) => lines.push(line),
            None => headings.push((heading, vec![line])),
        }
    }
    headings
}

fn line(change: &Change) -> Line {
    let at = part(change.at()).to_owned();
    match change.what.as_str() {
        "new" => (
            "+",
            at,
            format!("{}{}", described(&change.is), noted(&change.note)),
        ),
        "gone" => ("-", at, String::new()),
        "wording" if change.is.is_null() => ("?", at, "has no words any more".to_owned()),
        "wording" => (
            "?",
            at,
            format!("wording changed, read it: {}", change.note),
        ),
        "enum" if !words(&change.was, &change.is).is_empty() => {
            ("~", at, format!("enum{}", words(&change.was, &change.is)))
        }
        "example" if change.was.is_null() => ("~", at, "only an example has it now".to_owned()),
        "example" => ("~", at, "is no longer in an example only".to_owned()),
        what => {
            let was = value::shown(Some(&change.was));
            let is = value::shown(Some(&change.is));
            ("~", at, format!("{what} {was} -> {is}"))
        }
    }
}

fn noted(note: &str) -> String {
    match note {
        "" => String::new(),
        _ => format!(" ({note})"),
    }
}

/// The words that a list has lost and gained. Empty if one of the values is not a list.
fn words(was: &Value, is: &Value) -> String {
    if !was.is_array() || !is.is_array() {
        return String::new();
    }
    let shown = |value: &Value| -> BTreeSet<String> {
        let words = crate::spec::list(value);
        words.map(|word| value::shown(Some(word))).collect()
    };
    let (was, is) = (shown(was), shown(is));
    let mut text = String::new();
    for word in was.difference(&is) {
        text.push_str(&format!(" -{word}"));
    }
    for word in is.difference(&was) {
        text.push_str(&format!(" +{word}"));
    }
    text
}

/// The facts of a new place in a few words.
pub(super) fn described(facts: &Value) -> String {
    let mut words = Vec::new();
    for (what, value) in crate::spec::members(facts) {
        let value = value::shown(Some(value));
        match what {
            "type" => words.insert(0, value),
            "enum" => words.push(format!("one of {value}")),
            "example" | "wording" | "listed" | "says" | "server" | "media" => {}
            _ if value == "true" => words.push(what.to_owned()),
            _ => words.push(format!("{what} {value}")),
        }
    }
    words.join(", ")
}

/// The contradictions inside pages and between them. Equal contradictions on several pages are one line.
fn remarks(pages: &Pages) -> Vec<String> {
    let mut found: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    let mut stated: BTreeMap<&str, (&str, &Facts)> = BTreeMap::new();
    for (url, page) in pages {
        let mut remark = |at: &str, text: String| {
            let key = (part(at).to_owned(), value::clean(&text, 200));
            found.entry(key).or_default().insert(short(url));
        };
        for (at, text) in &page.surface.remarks {
            remark(at, text.clone());
        }
        for (at, facts) in &page.surface.places {
            if let Some(text) = against_its_text(facts) {
                remark(at, text);
            }
            match stated.get(at.as_str()) {
                None => drop(stated.insert(at, (url, facts))),
                Some((other, before)) => {
                    if let Some(text) = against(before, facts, short(other)) {
                        remark(at, text);
                    }
                }
            }
        }
    }
    let mut lines = Vec::new();
    for ((at, text), pages) in found {
        let pages: Vec<&str> = pages.into_iter().collect();
        let pages = match pages[..] {
            [page] => page.to_owned(),
            _ => format!("{} pages", pages.len()),
        };
        lines.push(format!("{at}: {text} ({pages})"));
    }
    lines
}

/// The contradiction between the facts of a place and its description, if there is one.
fn against_its_text(facts: &Facts) -> Option<String> {
    let shown = |what: &str| value::shown(facts.get(what));
    if let (Some(default), Some(says)) = (facts.get("default"), facts.get("says"))
        && value::shown(Some(default)) != value::shown(Some(says))
    {
        return Some(format!(
            "default {}, its text says {}",
            shown("default"),
            shown("says")
        ));
    }
    let listed = facts.get("listed")?;
    let Some(words) = facts.get("enum") else {
        let is_flag = surface::types(facts).contains("boolean");
        return (!is_flag).then(|| format!("only its text lists {}", shown("listed")));
    };
    let all: BTreeSet<String> = crate::spec::list(words)
        .map(|it| value::shown(Some(it)))
        .collect();
    let in_text: BTreeSet<String> = crate::spec::list(listed)
        .map(|it| value::shown(Some(it)))
        .collect();
    let is_about_them = !all.is_disjoint(&in_text);
    (is_about_them && all != in_text).then(|| {
        format!(
            "one of {}, its text lists {}",
            shown("enum"),
            shown("listed")
        )
    })
}

/// The contradiction between two pages about one place, if there is one.
fn against(before: &Facts, facts: &Facts, page: &str) -> Option<String> {
    for what in ["type", "enum", "default"] {
        if let (Some(was), Some(is)) = (before.get(what), facts.get(what))
            && was != is
        {
            let (was, is) = (value::shown(Some(was)), value::shown(Some(is)));
            return Some(format!("{what} {is}, {page} says {was}"));
        }
    }
    None
}
