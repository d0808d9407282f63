//! Runs the commands on the pages for users as they stand, each page in a shell of its own, and compares their output
//! with the page. Files on the pages are parsed. Programs on the pages are tests of a crate's documentation.
//!
//! `INSTA_UPDATE=always` writes changes into the pages.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use toml::Table;
use veo_sim::Scenario;

use page::{GUIDES, Page, pages, read, repository};
use session::{Place, fits};

mod page;
mod session;
mod tables;

#[test]
fn the_commands_print_what_the_pages_show() {
    let problems: Vec<String> = thread::scope(|scope| {
        let mut runs = Vec::new();
        for page in pages() {
            runs.push(scope.spawn(move || compare(&page)));
        }
        runs.into_iter()
            .flat_map(|run| run.join().unwrap())
            .collect()
    });
    assert!(
        problems.is_empty(),
        "run with INSTA_UPDATE=always, and read the change:\n\n{}",
        problems.join("\n")
    );
}

/// Runs the commands of a page, and returns the differences. With `INSTA_UPDATE=always` it changes the page instead.
fn compare(page: &Page) -> Vec<String> {
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    let mut ran = Place::new().run(page).into_iter();
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    let mut copied = 0;
    for block in page.blocks.iter().filter(|block| block.is_run()) {
        lines.extend_from_slice(&page.lines[copied..block.line_range.start]);
        copied = block.line_range.end;
        let commands = page.commands(block);
        for (place, shown) in commands.iter().enumerate() {
            let (name, command) = (&page.name, shown.command);
            let Some(ran) = ran.next() else {
                return vec![format!("{name}: the shell did not get to {command}\n")];
            };
            let next = commands.get(place + 1);
            if ran.code != "0" && next.is_none_or(|next| next.command != "echo $?") {
                let code = &ran.code;
                problems.push(format!("{name}: {command}\nends with {code} unseen\n"));
            }
            lines.push(format!("$ {command}"));
            if fits(&shown.printed, &ran.printed) {
                lines.extend(shown.printed.iter().map(|line| (*line).to_owned()));
                continue;
            }
            if !updates {
                let (page, here) = (shown.printed.join("\n"), ran.printed.join("\n"));
                problems.push(format!(
                    "{name}: {command}\n--- the page\n{page}\n--- here\n{here}\n"
                ));
            }
            lines.extend(ran.printed);
        }
    }
    lines.extend_from_slice(&page.lines[copied..]);

    let after = tables::filled(&(lines.join("\n") + "\n"));
    if updates {
        fs::write(repository().join(&page.name), after).unwrap();
    } else if problems.is_empty() && after != page.lines.join("\n") + "\n" {
        let name = &page.name;
        problems.push(format!("{name}: a table is not what the program says\n"));
    }
    problems
}

#[test]
fn only_cargo_test_is_not_run() {
    let mut not_run = Vec::new();
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.not_run().is_some()) {
            not_run.push(page.text_of(block));
        }
    }
    assert_eq!(not_run, ["$ cargo test --workspace\n"]);
}

#[test]
fn commands_that_cost_money_parse() {
    let mut found = 0;
    for page in pages() {
        found += page.blocks.iter().filter(|block| block.is_real).count();
        if let Err(complaint) = Place::new().read(&page) {
            panic!("{}: {complaint}", page.name);
        }
    }
    assert!(found > 0, "no page says how a real key is used");
}

#[test]
fn every_block_on_the_pages_is_checked() {
    let first_page = read("crates/veo-core/README.md");
    for page in pages() {
        let name = &page.name;
        for block in &page.blocks {
            let text = page.text_of(block);
            match (block.language.as_str(), block.file()) {
                ("console", None) => assert!(!page.commands(block).is_empty(), "{name}: {text}"),
                ("rust", None) if name == "README.md" => assert!(
                    first_page.contains(&text),
                    "crates/veo-core/README.md, which is a documentation test, has another program"
                ),
                ("rust", None) => {
                    let (folder, file) = name.rsplit_once('/').unwrap();
                    let library = format!("{}/src/lib.rs", folder.trim_end_matches("/docs"));
                    assert!(
                        read(&library).contains(file),
                        "no documentation test reads {name}"
                    );
                }
                ("toml", Some(file)) => {
                    if let Err(error) = Scenario::from_toml(&text) {
                        panic!("{name}: {file} is no scenario: {error}");
                    }
                }
                ("toml", None) => assert!(!dependencies(&text).is_empty(), "{name}: {text}"),
                ("json" | "yaml", Some(file)) => {
                    let mut commands = page.blocks.iter().flat_map(|block| page.commands(block));
                    assert!(
                        commands.any(|shown| shown.command.contains(file)),
                        "{name}: no command reads {file}"
                    );
                    assert!(
                        page.prose().any(|line| line.contains(&format!("`{file}`"))),
                        "{name}: nothing says that this is {file}, since a comment is not shown"
                    );
                }
                (language, _) => panic!("{name}: nothing reads a block of {language:?}: {text}"),
            }
        }
    }
}

/// The first page with a program names the dependencies for all pages. A page that needs more dependencies names them.
#[test]
fn the_programs_use_only_crates_that_the_pages_name() {
    let first = named(&Page::new(&format!("{GUIDES}/first-video.md")));
    for page in pages() {
        let mut known = first.clone();
        known.extend(named(&page));
        known.insert("std".to_owned());
        // The page of a crate may use that crate.
        known.extend(page.name.split('/').nth(1).map(str::to_owned));
        for block in page.blocks.iter().filter(|block| block.language == "rust") {
            for line in page.text_of(block).lines() {
                let Some(path) = line.strip_prefix("use ") else {
                    continue;
                };
                let (name, _) = path.split_once("::").unwrap();
                let dependency = name.replace('_', "-");
                assert!(known.contains(&dependency), "{}: {line}", page.name);
            }
        }
    }
}

/// Returns the dependencies that a page names.
fn named(page: &Page) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for block in page.blocks.iter().filter(|block| block.language == "toml") {
        names.extend(dependencies(&page.text_of(block)));
    }
    names
}

fn dependencies(text: &str) -> Vec<String> {
    let table: Table = text.parse().unwrap();
    let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
    dependencies
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

/// In the repository, links lead to files, and in veo-core's documentation to its modules. The targets are at the end
/// of each page, and `links.md` replaces them for the documentation.
#[test]
fn every_link_has_a_target_on_pages_and_in_docs() {
    let documented = read("crates/veo-core/src/links.md");
    let labels: BTreeSet<_> = documented
        .lines()
        .filter_map(definition)
        .map(|(label, _)| label)
        .collect();
    let index = read(&format!("{GUIDES}/README.md"));
    for page in pages() {
        let name = &page.name;
        let defined: BTreeMap<_, _> = page.prose().filter_map(definition).collect();
        for (label, target) in &defined {
            let file = repository().join(name).parent().unwrap().join(target);
            assert!(
                target.contains("://") || file.exists(),
                "{name}: there is no {target}"
            );
            let is_documented = name.starts_with("crates/veo-core/");
            assert!(
                target.contains("://") || !is_documented || labels.contains(label),
                "{name}: links.md does not have {label}"
            );
        }
        for line in page.prose().filter(|line| definition(line).is_none()) {
            assert!(
                !line.contains("]("),
                "{name}: the target of a link stands at the end of the page: {line}"
            );
            let mut rest = line;
            while let Some((label, after)) = rest
                .split_once('[')
                .and_then(|(_, open)| open.split_once(']'))
            {
                // In `[text][label]` the label comes next.
                assert!(
                    defined.contains_key(label) || after.starts_with('['),
                    "{name}: the page does not say where [{label}] leads"
                );
                rest = after;
            }
        }
        let listed = format!("]: {}", guide(name));
        assert!(
            name.ends_with("README.md") || index.contains(&listed),
            "{GUIDES}/README.md does not list {name}"
        );
    }
}

#[test]
fn the_picture_shows_the_first_command() {
    let picture = read("crates/veo-cli/docs/first-command.svg")
        .replace("&#160;", " ")
        .replace("&quot;", "\"");
    let page = Page::new("README.md");
    let command = &page.lines[page.blocks[0].line_range.start];
    assert!(
        picture.contains(command.as_str()),
        "run scripts/picture.sh: the picture does not show {command}"
    );
}

/// Returns the name of a page among the guides.
fn guide(name: &str) -> &str {
    name.trim_start_matches(GUIDES).trim_start_matches('/')
}

/// Returns the label and the target of a line that defines a link.
fn definition(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
}
