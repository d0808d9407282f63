//! The tables on the pages that say what the program can do, made from what it says itself.

use std::process::Command;

use serde_json::Value;

/// The page with the tables that belong after their marks.
pub(crate) fn filled(page: &str) -> String {
    let page = with(page, "<!-- exit codes -->\n", exit_codes);
    let page = with(&page, "<!-- what they make -->\n", what_they_make);
    with(&page, "<!-- what else -->\n", what_else)
}

fn with(page: &str, mark: &str, table: fn() -> String) -> String {
    let Some((before, after)) = page.split_once(mark) else {
        return page.to_owned();
    };
    let (_, after) = after.split_once("\n\n").unwrap();
    format!("{before}{mark}{}\n{after}", table())
}

/// The exit codes of `veo --help`, which can go over several lines each.
fn exit_codes() -> String {
    let help = veo(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let (codes, _) = codes.split_once("\n\n").unwrap();
    let mut table = "| exit code | |\n| --: | ---".to_owned();
    for line in codes.lines() {
        let (code, meaning) = line.split_at(5);
        if code.trim().is_empty() {
            table += &format!(" {}", meaning.trim());
        } else {
            table += &format!(" |\n| {} | {}", code.trim(), meaning.trim());
        }
    }
    table + " |\n"
}

/// What the models make, which differs from one to the next.
fn what_they_make() -> String {
    models("tier | out of | sizes", |model| {
        let references = format!("{} references", span(&model["references"]));
        let modes = words(&model["modes"]).replace("references", &references);
        [words(&model["tier"]), modes, words(&model["resolutions"])].join(" | ")
    })
}

/// What else they can, which is much the same for all of a provider.
fn what_else() -> String {
    models("seconds | shapes | seeds | also", |model| {
        let cells = [
            words(&model["seconds"]),
            words(&model["aspect_ratios"]),
            span(&model["seeds"]),
            words(&model["options"]).replace('_', " "),
        ];
        cells.join(" | ")
    })
}

/// A table of all models; those of a provider that follow each other and are equal share a row.
fn models(heads: &str, cells: fn(&Value) -> String) -> String {
    let mut rows = Vec::<(String, String, String)>::new();
    for line in veo(&["models", "--json"]).lines() {
        let model: Value = serde_json::from_str(line).unwrap();
        let provider = words(&model["provider"]);
        let name = format!("`{}`", words(&model["name"]));
        let cells = cells(&model);
        match rows.last_mut() {
            Some((known, names, same)) if *known == provider && *same == cells => {
                *names += &format!(", {name}");
            }
            _ => rows.push((provider, name, cells)),
        }
    }
    let lines = " --- |".repeat(heads.split('|').count());
    let mut table = format!("| | model | {heads} |\n| --- | --- |{lines}\n");
    for (provider, names, cells) in rows {
        table += &format!("| {provider} | {names} | {cells} |\n");
    }
    table
}

fn words(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::String(word) => word.clone(),
        other => other.to_string(),
    }
}

fn span(range: &Value) -> String {
    format!("{} to {}", words(&range["start"]), words(&range["end"]))
}

/// What the program prints, on a machine where it has never run.
fn veo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veo"));
    let output = command.args(arguments).env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
