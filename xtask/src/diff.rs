//! Compares two states of a specification: the effects on programs that use the generated client, and on the wire.
//!
//! The column Rust compares the public items of both clients, as they would be generated. The items do not show a new
//! required field, a bound, a default or a path. So the column wire compares both surfaces. The worst effect is the
//! verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use quote::ToTokens;
use serde_json::Value;

use crate::report::{Report, cell};
use crate::spec::{SPECS, Spec, list};
use crate::surface::{self, Facts, Side, Surface};
use crate::{codegen, value};

/// The effect of a change, from none to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    None,
    Additive,
    Behaviour,
    Breaking,
}

/// One effect of a change.
struct Line {
    column: &'static str,
    effect: Effect,
    /// The item of the client, or the place of the specification.
    at: String,
    text: String,
}

/// Compares two states of the specifications. Each is a file, `REVISION:path`, a revision, or `.` for the work tree.
pub(crate) fn run(workspace: &Path, old: &str, new: &str, markdown: bool) -> Report {
    match compare(workspace, old, new, markdown) {
        Ok((text, Effect::Breaking)) => Report::new(text, 1),
        Ok((text, _)) => Report::new(text, 0),
        Err(problem) => Report::failed(problem, 2),
    }
}

fn compare(
    workspace: &Path,
    old: &str,
    new: &str,
    markdown: bool,
) -> Result<(String, Effect), String> {
    let old = specs(workspace, old)?;
    let new = specs(workspace, new)?;
    if old.len() != new.len() {
        return Err("give two files, or two revisions; . is all files as they stand\n".to_owned());
    }
    let mut text = String::new();
    let mut worst = Effect::None;
    for (old, new) in old.iter().zip(&new) {
        let lines = differences(old, new)?;
        let verdict = verdict(&lines);
        worst = worst.max(verdict);
        if markdown {
            text.push_str(&as_markdown(&new.file, verdict, &lines));
        } else {
            text.push_str(&as_text(&new.file, verdict, &lines));
        }
    }
    Ok((text, worst))
}

/// Reads the specifications that an argument names.
fn specs(workspace: &Path, argument: &str) -> Result<Vec<Spec>, String> {
    let mut specs = Vec::new();
    if Path::new(argument).is_file() {
        let text = std::fs::read_to_string(argument);
        let text = text.map_err(|error| format!("{argument} cannot be read: {error}\n"))?;
        specs.push(parsed(argument, &text)?);
    } else if argument.contains(':') {
        specs.push(parsed(argument, &at_revision(workspace, argument)?)?);
    } else {
        for (name, _) in SPECS {
            let file = format!("openapi/{name}");
            let spec = if argument == "." {
                Spec::read(workspace, name).map_err(|problem| format!("{problem}\n"))?
            } else {
                parsed(
                    &file,
                    &at_revision(workspace, &format!("{argument}:{file}"))?,
                )?
            };
            specs.push(spec);
        }
    }
    Ok(specs)
}

fn parsed(file: &str, text: &str) -> Result<Spec, String> {
    Spec::parse(file, text).map_err(|problem| format!("{problem}\n"))
}

/// Reads the file that `REVISION:path` names.
fn at_revision(workspace: &Path, object: &str) -> Result<String, String> {
    let output = Command::new("git")
        .args(["show", "--end-of-options", object])
        .current_dir(workspace)
        .output()
        .map_err(|error| format!("git cannot be run: {error}\n"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{object} is no file, and git does not have it: {}\n",
            words.trim_end()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn differences(old: &Spec, new: &Spec) -> Result<Vec<Line>, String> {
    let mut lines = rust(&items(old)?, &items(new)?);
    lines.extend(wire(old, new));
    Ok(lines)
}

fn verdict(lines: &[Line]) -> Effect {
    let effects = lines.iter().map(|line| line.effect);
    effects.max().unwrap_or(Effect::None)
}

fn as_text(file: &str, verdict: Effect, lines: &[Line]) -> String {
    let mut text = format!("{file}: {}\n", verdict.word());
    for line in lines {
        text.push_str(&format!(
            "  {:<5} {:<9}  {} {}\n",
            line.column,
            line.effect.word(),
            line.at,
            line.text
        ));
    }
    text
}

fn as_markdown(file: &str, verdict: Effect, lines: &[Line]) -> String {
    let mut text = format!("### {}: {}\n\n", cell(file), verdict.word());
    if lines.is_empty() {
        return text;
    }
    text.push_str("| where | effect | what |\n| --- | --- | --- |\n");
    for line in lines {
        text.push_str(&format!(
            "| {} | {} | {} |\n",
            line.column,
            line.effect.word(),
            cell(&format!("{} {}", line.at, line.text))
        ));
    }
    text.push('\n');
    text
}

impl Effect {
    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Additive => "additive",
            Self::Behaviour => "behaviour",
            Self::Breaking => "breaking",
        }
    }
}

/// The public items of the client of a specification, by path. Each value is the text on which a program depends.
fn items(spec: &Spec) -> Result<BTreeMap<String, String>, String> {
    let text = codegen::generate(spec)?;
    let file = syn::parse_file(&text)
        .map_err(|error| format!("{}: the client is not Rust: {error}\n", spec.file))?;
    let mut items = BTreeMap::new();
    collect(&file.items, "", &mut items);
    Ok(items)
}

fn collect(found: &[syn::Item], path: &str, items: &mut BTreeMap<String, String>) {
    for item in found {
        match item {
            syn::Item::Mod(it) if is_public(&it.vis) => {
                let inner = it.content.as_ref().map(|(_, inner)| inner.as_slice());
                let path = format!("{path}{}::", it.ident);
                collect(inner.unwrap_or_default(), &path, items);
            }
            syn::Item::Const(it) if is_public(&it.vis) => {
                items.insert(format!("{path}{}", it.ident), shown(&it.ty));
            }
            syn::Item::Type(it) if is_public(&it.vis) => {
                items.insert(format!("{path}{}", it.ident), shown(&it.ty));
            }
            syn::Item::Struct(it) if is_public(&it.vis) => {
                let path = format!("{path}{}", it.ident);
                items.insert(path.clone(), format!("struct{}", shown(&it.generics)));
                derived(&it.attrs, &path, items);
                for (index, field) in it.fields.iter().enumerate() {
                    if is_public(&field.vis) {
                        let name = field.ident.as_ref().map(ToString::to_string);
                        let name = name.unwrap_or_else(|| index.to_string());
                        items.insert(format!("{path}.{name}"), shown(&field.ty));
                    }
                }
            }
            syn::Item::Enum(it) if is_public(&it.vis) => {
                let path = format!("{path}{}", it.ident);
                items.insert(path.clone(), format!("enum{}", shown(&it.generics)));
                derived(&it.attrs, &path, items);
                for variant in &it.variants {
                    let holds = shown(&variant.fields);
                    items.insert(format!("{path}::{}", variant.ident), holds);
                }
            }
            syn::Item::Impl(it) => implemented(it, path, items),
            _ => {}
        }
    }
}

/// The traits that a type derives.
fn derived(attributes: &[syn::Attribute], path: &str, items: &mut BTreeMap<String, String>) {
    for attribute in attributes {
        if attribute.path().is_ident("derive") {
            let list = attribute.meta.require_list();
            let list = list.map(|list| shown(&list.tokens)).unwrap_or_default();
            for name in list.split(',') {
                items.insert(format!("{path}: {}", name.trim()), String::new());
            }
        }
    }
}

fn implemented(block: &syn::ItemImpl, path: &str, items: &mut BTreeMap<String, String>) {
    let target = shown(&block.self_ty);
    let name = target.split('<').next().unwrap_or_default();
    let target = format!("{path}{name}");
    if let Some((implemented, _)) = &block.trait_ {
        let implemented = shown(implemented);
        items.insert(format!("{target}: {implemented}"), String::new());
        return;
    }
    for item in &block.items {
        if let syn::ImplItem::Fn(function) = item
            && is_public(&function.vis)
        {
            let path = format!("{target}::{}", function.sig.ident);
            items.insert(path, shown(&function.sig));
        }
    }
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// A part of the client as text, without common paths.
fn shown(part: &impl ToTokens) -> String {
    const PATHS: [&str; 8] = [
        ":: std :: option ::",
        ":: std :: string ::",
        ":: std :: vec ::",
        ":: std :: convert ::",
        ":: std :: result ::",
        ":: std :: fmt ::",
        ":: serde_json ::",
        "crate :: types ::",
    ];
    let mut text = part.to_token_stream().to_string();
    for path in PATHS {
        text = text.replace(path, "");
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    text.replace(" < ", "<")
        .replace(" >", ">")
        .replace(" :: ", "::")
        .replace(" ,", ",")
        .replace(" : ", ": ")
}

/// Compares the items. A removed or changed item breaks programs that use it. A new item does not break them, since
/// types are non-exhaustive and requests have builders.
fn rust(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Line> {
    let mut found = BTreeMap::new();
    for (path, was) in old {
        match new.get(path) {
            None => drop(found.insert(path.as_str(), "is gone".to_owned())),
            Some(is) if is != was => {
                found.insert(path, format!("was {was}, is {is}"));
            }
            Some(_) => {}
        }
    }
    for path in new.keys().filter(|path| !old.contains_key(*path)) {
        found.insert(path, "is new".to_owned());
    }
    let mut lines = Vec::new();
    for (path, text) in &found {
        if !is_said_elsewhere(path, text, &found) {
            let effect = match text.as_str() {
                "is new" => Effect::Additive,
                _ => Effect::Breaking,
            };
            lines.push(Line {
                column: "Rust",
                effect,
                at: (*path).to_owned(),
                text: text.clone(),
            });
        }
    }
    lines
}

/// Returns whether another line says the same: that of the item's type, or that of the field which a setter sets.
fn is_said_elsewhere(path: &str, text: &str, found: &BTreeMap<&str, String>) -> bool {
    let says = |other: &str| found.get(other).is_some_and(|other| other == text);
    if let Some((_, setter)) = path.split_once("types::builder::")
        && let Some((name, field)) = setter.split_once("::")
        && found.contains_key(format!("types::{name}.{field}").as_str())
    {
        return true;
    }
    if let Some((implementor, implemented)) = path.split_once(": ") {
        let module = implementor.rfind("::").map_or(0, |at| at + 2);
        let inside = implemented.split_once('<').map(|(_, inside)| inside);
        let inside = inside.unwrap_or_default().trim_end_matches('>');
        return says(implementor) || says(&format!("{}{inside}", &path[..module]));
    }
    let ends = ["::", "."].map(|mark| path.rfind(mark));
    ends.into_iter().flatten().any(|end| says(&path[..end]))
}

fn wire(old: &Spec, new: &Spec) -> Vec<Line> {
    let was = Surface::of(&old.root);
    let is = Surface::of(&new.root);
    let mut lines = Vec::new();
    let was = moved(old, new, was, &mut lines);
    for at in surface::missing_from(&was, &is) {
        match surface::side(at) {
            Side::Operation => push(&mut lines, Effect::Breaking, at, "is gone"),
            Side::Request => push(&mut lines, Effect::Breaking, at, "is no longer described"),
            Side::Reply if is_whole(at) => push(&mut lines, Effect::Behaviour, at, "is gone"),
            Side::Reply => {}
        }
    }
    for at in surface::missing_from(&is, &was) {
        let is_required = is.places[at].contains_key("required");
        match surface::side(at) {
            Side::Operation => push(&mut lines, Effect::Additive, at, "is new"),
            Side::Request if is_required => {
                let text = "is new and required: a program that does not set it fails";
                push(&mut lines, Effect::Breaking, at, text);
            }
            Side::Request => push(&mut lines, Effect::Additive, at, "is new"),
            Side::Reply if is_whole(at) => push(&mut lines, Effect::Behaviour, at, "is new"),
            Side::Reply => {}
        }
    }
    for (at, facts) in &is.places {
        if let Some(before) = was.facts(at) {
            changed(at, before, facts, &mut lines);
        }
    }
    together(lines)
}

/// Joins equal lines about one field at several places, since these places share a schema.
fn together(lines: Vec<Line>) -> Vec<Line> {
    let mut together: Vec<(Line, usize)> = Vec::new();
    for line in lines {
        let field = |at: &str| at.rsplit(['.', ' ']).next().map(str::to_owned);
        let same = together
            .iter_mut()
            .find(|(other, _)| other.text == line.text && field(&other.at) == field(&line.at));
        match same {
            Some((_, count)) => *count += 1,
            None => together.push((line, 0)),
        }
    }
    let mut lines = Vec::new();
    for (mut line, others) in together {
        match others {
            0 => {}
            1 => line.at.push_str(" and one other place:"),
            _ => line.at.push_str(&format!(" and {others} other places:")),
        }
        lines.push(line);
    }
    lines
}

/// Moves the operations of an old surface to the places where the new specification has them.
fn moved(old: &Spec, new: &Spec, was: Surface, lines: &mut Vec<Line>) -> Surface {
    let mut places = BTreeMap::new();
    for operation in new.operations() {
        let id = operation.value["operationId"].to_string();
        let place = format!("{} {}", operation.method.to_uppercase(), operation.path);
        places.insert(id, place);
    }
    let mut surface = Surface::default();
    let mut renamed = BTreeMap::new();
    for operation in old.operations() {
        let place = format!("{} {}", operation.method.to_uppercase(), operation.path);
        let id = operation.value["operationId"].to_string();
        if let Some(now) = places.get(&id).filter(|now| **now != place) {
            push(lines, Effect::Behaviour, &place, &format!("is now {now}"));
            renamed.insert(place, now);
        }
    }
    for (at, facts) in was.places {
        let (operation, part) = surface::split(&at);
        let at = match renamed.get(operation) {
            Some(now) => format!("{now} {part}").trim_end().to_owned(),
            None => at,
        };
        surface.places.insert(at, facts);
    }
    surface
}

/// Returns whether a place is a whole reply.
fn is_whole(at: &str) -> bool {
    surface::parent(at).is_some_and(|above| surface::side(above) == Side::Operation)
}

fn push(lines: &mut Vec<Line>, effect: Effect, at: &str, text: &str) {
    lines.push(Line {
        column: "wire",
        effect,
        at: at.to_owned(),
        text: text.to_owned(),
    });
}

fn changed(at: &str, was: &Facts, is: &Facts, lines: &mut Vec<Line>) {
    let whats: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for what in whats {
        let (before, after) = (was.get(what), is.get(what));
        if before == after {
            continue;
        }
        let side = surface::side(at);
        let values = format!("{what} {} -> {}", value::shown(before), value::shown(after));
        match (what.as_str(), side) {
            ("x-billable", _) => {
                let why = "other connection, and whether it may be repeated";
                push(lines, Effect::Behaviour, at, &format!("{values}: {why}"));
            }
            ("server", _) | ("deprecated", _) => push(lines, Effect::Behaviour, at, &values),
            ("enum", Side::Request) => words(at, before, after, lines),
            ("enum", Side::Reply) => {
                let why = "a word that was unknown has a name, or the other way round";
                push(lines, Effect::Behaviour, at, &format!("{values}: {why}"));
            }
            ("required", Side::Request) if after.is_some() => {
                let text = "is required now: a program that does not set it fails";
                push(lines, Effect::Breaking, at, text);
            }
            ("required", Side::Request) => push(lines, Effect::Additive, at, "is optional now"),
            ("type", Side::Request) => push(lines, Effect::Breaking, at, &values),
            (
                "default" | "maximum" | "maxItems" | "maxLength" | "media" | "minimum" | "minItems"
                | "minLength",
                Side::Request,
            ) => push(lines, Effect::Behaviour, at, &values),
            _ => {}
        }
    }
}

/// Compares the words that a request allows. A removed word breaks programs that send it.
fn words(at: &str, was: Option<&Value>, is: Option<&Value>, lines: &mut Vec<Line>) {
    match (was, is) {
        (Some(was), Some(is)) => {
            for word in list(was).filter(|word| !list(is).any(|it| it == *word)) {
                push(
                    lines,
                    Effect::Breaking,
                    at,
                    &format!("no longer accepts {word}"),
                );
            }
            for word in list(is).filter(|word| !list(was).any(|it| it == *word)) {
                push(
                    lines,
                    Effect::Additive,
                    at,
                    &format!("accepts {word} as well"),
                );
            }
        }
        (None, _) => push(lines, Effect::Breaking, at, "accepts only some words now"),
        (_, None) => push(lines, Effect::Additive, at, "accepts any value now"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::spec::GOOD;

    #[derive(Deserialize)]
    struct Edit {
        what: String,
        /// Pairs of texts: the text to replace, and the new text.
        edits: Vec<String>,
        /// All effects as they are printed.
        #[serde(default)]
        says: Vec<String>,
    }

    fn edits() -> Vec<Edit> {
        serde_saphyr::from_str(include_str!("edits.yaml")).unwrap()
    }

    fn edited(edit: &Edit) -> Spec {
        let mut text = GOOD.to_owned();
        for pair in edit.edits.chunks(2) {
            assert!(text.contains(&pair[0]), "{}: {:?}", edit.what, pair[0]);
            text = text.replace(&pair[0], &pair[1]);
        }
        Spec::parse("openapi/test.yaml", &text).unwrap()
    }

    #[test]
    fn every_edit_is_reported_with_all_its_effects() {
        let good = Spec::parse("openapi/test.yaml", GOOD).unwrap();
        for edit in edits() {
            let lines = differences(&good, &edited(&edit)).unwrap();
            let mut said = Vec::new();
            for line in lines {
                let effect = line.effect.word();
                said.push(format!(
                    "{} {effect} {} {}",
                    line.column, line.at, line.text
                ));
            }
            assert_eq!(said, edit.says, "{}", edit.what);
        }
    }

    #[test]
    fn arguments_are_files_or_revisions() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let good = file("good.yaml", GOOD);
        let wider = file("wider.yaml", &GOOD.replace("maximum: 9", "maximum: 8"));
        let broken = file(
            "broken.yaml",
            &GOOD.replace("openapi: 3.0.3", "openapi: 3.1.0"),
        );
        let renamed = file("renamed.yaml", &GOOD.replace("OTHER_URL", "SECOND_URL"));
        let rows = [
            (&good, &good, 0, "none"),
            (&good, &wider, 0, "behaviour"),
            (&good, &renamed, 1, "breaking"),
            (&good, &broken, 2, "write OpenAPI 3.0"),
            (
                &good,
                &"nowhere".to_owned(),
                2,
                "nowhere:openapi/kie.yaml is no file",
            ),
            (&good, &"nowhere:a".to_owned(), 2, "nowhere:a is no file"),
            (&good, &".".to_owned(), 2, "give two files"),
        ];
        for (old, new, exit, says) in rows {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let report = run(&workspace, old, new, false);
            assert_eq!(report.exit, exit, "{new}: {report:?}");
            let said = report.text + &report.problems;
            assert!(said.contains(says), "{new}: {said}");
        }
    }

    #[test]
    fn a_table_escapes_marks_of_markdown() {
        let old = GOOD.replace("x-server-default: 5", "x-server-default: '@a|b<c>`d`'");
        let old = Spec::parse("openapi/test.yaml", &old).unwrap();
        let new = Spec::parse("openapi/test.yaml", GOOD).unwrap();
        let lines = wire(&old, &new);
        let text = as_markdown("openapi/test.yaml", verdict(&lines), &lines);
        let row =
            "| wire | behaviour | POST /task body.seed default &#64;a\\|b&lt;c>\\`d\\` -> 5 |\n";
        assert!(text.ends_with(&format!("{row}\n")), "{text}");
    }

    /// The compiler confirms the column Rust. A program that uses all of [`GOOD`] is compiled with the client of every
    /// edit, and fails for exactly those edits that have a breaking line.
    #[test]
    #[ignore = "builds a client for every edit, which takes a minute"]
    fn the_compiler_agrees_with_every_verdict() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let workspace = workspace.canonicalize().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let manifest = include_str!("user/manifest.toml");
        let transport = workspace.join("crates/veo-transport");
        write(
            "Cargo.toml",
            &manifest.replace("TRANSPORT", &transport.to_string_lossy()),
        );
        write("src/lib.rs", "");
        let lock = std::fs::read_to_string(workspace.join("Cargo.lock")).unwrap();
        write("Cargo.lock", &lock);

        let mut breaking = BTreeSet::new();
        for (index, edit) in edits().into_iter().enumerate() {
            let name = format!("edit_{index}");
            let client = codegen::generate(&edited(&edit)).unwrap();
            write(&format!("examples/{name}/generated.rs"), &client);
            write(
                &format!("examples/{name}/main.rs"),
                include_str!("user/main.rs"),
            );
            if edit
                .says
                .iter()
                .any(|line| line.starts_with("Rust breaking"))
            {
                breaking.insert((name, edit.what));
            }
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "check",
                "--examples",
                "--keep-going",
                "--offline",
                "--quiet",
            ])
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", workspace.join("target/edits"))
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        let mut broken = BTreeSet::new();
        for (index, edit) in edits().into_iter().enumerate() {
            let name = format!("edit_{index}");
            if words.contains(&format!("(example \"{name}\") due to")) {
                broken.insert((name, edit.what));
            }
        }
        assert!(!broken.is_empty(), "{words}");
        assert_eq!(broken, breaking, "{words}");
    }
}
