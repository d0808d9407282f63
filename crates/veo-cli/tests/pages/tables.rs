//! The tables on the pages about the abilities of the program, written from its own output.

use std::process::Command;

use serde_json::Value;

/// Returns the page with each table after its mark.
pub(crate) fn filled(page: &str) -> String {
    let page = with(page, "<!-- exit codes -->\n", exit_codes);
    let page = with(&page, "<!-- what they make -->\n", what_they_make);
    let page = with(&page, "<!-- what else -->\n", what_else);
    let page = with(
        &page,
        "<!-- what the current form makes -->\n",
        what_the_current_form_makes,
    );
    with(
        &page,
        "<!-- what else the current form has -->\n",
        what_else_the_current_form_has,
    )
}

fn with(page: &str, mark: &str, table: fn() -> String) -> String {
    let Some((before, after)) = page.split_once(mark) else {
        return page.to_owned();
    };
    let (_, after) = after.split_once("\n\n").unwrap();
    format!("{before}{mark}{}\n{after}", table())
}

/// A table of the exit codes of `veo --help`. A code can have several lines.
fn exit_codes() -> String {
    let help = veo(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let (codes, _) = codes.split_once("\n\n").unwrap();
    let mut table = "| exit code | meaning |\n| --: | ---".to_owned();
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

/// The arguments that list the models of kie.ai in its current form.
const CURRENT: &[&str] = &["models", "--json", "--provider", "kie"];

/// The formats that the models make.
fn what_they_make() -> String {
    making(&veo(&["models", "--json"]))
}

fn what_the_current_form_makes() -> String {
    making(&veo_in_the_current_form(CURRENT))
}

fn making(list: &str) -> String {
    models(list, "tier | made from | sizes", |model| {
        let references = format!("{} references", span(&model["references"]));
        let modes = words(&model["modes"]).replace("references", &references);
        let tier = or_none(&model["tier"]);
        [tier, modes, words(&model["resolutions"])].join(" | ")
    })
}

/// The other abilities of the models.
fn what_else() -> String {
    having(&veo(&["models", "--json"]))
}

fn what_else_the_current_form_has() -> String {
    having(&veo_in_the_current_form(CURRENT))
}

fn having(list: &str) -> String {
    models(list, "seconds | shapes | seeds | other options", |model| {
        let cells = [
            or_none(&model["seconds"]),
            or_none(&model["aspect_ratios"]),
            seeds(&model["seeds"]),
            words(&model["options"]).replace('_', " "),
        ];
        cells.join(" | ")
    })
}

/// Returns a table of all models. Neighbouring models of a provider with the same cells share a row.
fn models(list: &str, heads: &str, cells: fn(&Value) -> String) -> String {
    let mut rows = Vec::<(String, String, String)>::new();
    for line in list.lines() {
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
    let mut table = format!("| provider | model | {heads} |\n| --- | --- |{lines}\n");
    for (provider, names, cells) in rows {
        table += &format!("| {provider} | {names} | {cells} |\n");
    }
    table
}

fn seeds(range: &Value) -> String {
    match (range["start"].as_i64(), range["end"].as_i64()) {
        (None, _) => "none".to_owned(),
        (Some(i64::MIN), Some(i64::MAX)) => "any".to_owned(),
        _ => span(range),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::String(word) => word.clone(),
        other => other.to_string(),
    }
}

fn or_none(value: &Value) -> String {
    match words(value).as_str() {
        "" | "null" => "none".to_owned(),
        words => words.to_owned(),
    }
}

fn span(range: &Value) -> String {
    format!("{} to {}", words(&range["start"]), words(&range["end"]))
}

/// Returns the output of the program on a machine where it has never run.
fn veo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veo"));
    printed(command.args(arguments).env_clear())
}

fn veo_in_the_current_form(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veo"));
    printed(
        command
            .args(arguments)
            .env_clear()
            .env("KIE_FORM", "current"),
    )
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
