//! Reads the facts on the providers' pages, and compares them with the last known facts and with our specifications.

mod agreement;
mod changes;
mod documented;
mod fetch;
mod page;
mod pieces;
mod table;
mod watched;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use documented::Pages;
use page::Page;
use watched::{Provider, Watched};

use crate::report::{Report, cell};
use crate::spec::{SPECS, Spec};
use crate::value;

/// The exit code if a page could not be read.
const UNREADABLE: u8 = 3;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// A folder with saved pages, instead of the network.
    from: Option<PathBuf>,
    /// True if the facts are to be written to the files.
    accept: bool,
    form: Form,
}

#[derive(Debug, Default, PartialEq)]
enum Form {
    #[default]
    Text,
    Markdown,
    Json,
}

impl Options {
    /// Parses the arguments after the name of the subcommand. `None` if an argument is unknown.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--from" => options.from = Some(arguments.next()?.into()),
                "--accept" => options.accept = true,
                "--markdown" => options.form = Form::Markdown,
                "--json" => options.form = Form::Json,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Reads all pages, and reports what has changed since the last time.
pub(crate) fn run(workspace: &Path, options: &Options) -> Report {
    let from = options.from.clone();
    let source = move |url: &str| match &from {
        Some(folder) => fetch::saved(folder, url),
        None => fetch::fetched(url),
    };
    match drift(workspace, options, &source) {
        Ok(report) => report,
        Err(problem) => Report::failed(problem, 2),
    }
}

fn drift(
    workspace: &Path,
    options: &Options,
    source: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Report, String> {
    let mut text = String::new();
    let mut list: Vec<Value> = Vec::new();
    let mut unreadable = Vec::new();
    let mut read = Vec::new();
    let mut count = 0;
    let mut total = 0;
    for (name, provider) in watched::read(workspace)? {
        let before = documented::read(workspace, &name)?;
        let (now, failed) = pages(&provider, &before, source);
        for (url, problem) in &failed {
            let change =
                json!({ "page": url, "at": "", "what": "unreadable", "was": null, "is": problem });
            list.push(change);
        }
        let changes = changes::between(&before, &now);
        count += changes.len();
        total += now.len();
        unreadable.extend(
            failed
                .into_iter()
                .map(|(url, problem)| format!("{url} {problem}\n")),
        );
        list.extend(changes::as_json(&changes));
        text.push_str(&match options.form {
            Form::Markdown => changes::as_markdown(&name, &changes, &now),
            _ => changes::as_text(&name, &changes, &now),
        });
        read.push((name, now));
    }
    let is_whole = unreadable.is_empty();
    if options.accept && is_whole {
        for (name, pages) in &read {
            write(workspace, name, pages)?;
        }
    }
    if options.form == Form::Markdown {
        text.push_str(&tasks("Pages that could not be read", &unreadable));
        text.push_str(&tasks("Left to do", &problems(workspace)));
    } else {
        text.push_str(&summary(options, count, total, unreadable.len()));
    }
    if options.form == Form::Json {
        text = format!("{:#}\n", Value::Array(list));
    }
    let exit = match () {
        () if !is_whole => UNREADABLE,
        () if options.accept || count == 0 => 0,
        () => 1,
    };
    Ok(Report {
        text,
        problems: unreadable.concat(),
        exit,
    })
}

/// The problems as a checklist under a heading. Empty if there are none.
fn tasks(heading: &str, problems: &[String]) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let mut text = format!("### {heading}\n\n");
    for problem in problems {
        let first = problem.lines().next().unwrap_or_default();
        let first = first.trim_end_matches(':');
        text.push_str(&format!("- [ ] {}\n", cell(&value::clean(first, 400))));
    }
    text.push('\n');
    text
}

/// The last line of the output: the result, and the next thing to do.
fn summary(options: &Options, count: usize, total: usize, unreadable: usize) -> String {
    match (count, unreadable, options.accept) {
        (_, 1.., _) => format!("{unreadable} pages could not be read, so nothing is written\n"),
        (0, ..) => format!("nothing has changed on {total} pages\n"),
        (.., true) => format!("{count} changes on {total} pages, written; now: cargo xtask lint\n"),
        (.., false) => format!(
            "{count} changes on {total} pages; follow them in openapi/*.yaml, then: cargo xtask drift --accept\n"
        ),
    }
}

/// Reads the pages of a provider. Also returns the addresses that could not be read, with the reasons.
fn pages(
    provider: &Provider,
    before: &Pages,
    source: &dyn Fn(&str) -> Result<String, String>,
) -> (Pages, Vec<(String, String)>) {
    let mut pages = Pages::new();
    let mut failed = Vec::new();
    let mut keep = |url: &String, result: Result<Page, String>| match result {
        Ok(page) => pages.push((url.clone(), page)),
        Err(problem) => {
            failed.push((url.clone(), problem));
            // The earlier facts of this page are kept, so that none of them counts as changed.
            let known = before.iter().find(|(other, _)| other == url);
            pages.extend(known.cloned());
        }
    };
    for watched in &provider.pages {
        let Watched { url, .. } = watched;
        keep(url, source(url).and_then(|text| page::read(&text, watched)));
    }
    if let Some(url) = &provider.index {
        keep(
            url,
            source(url).and_then(|text| page::index(&text, &provider.watch)),
        );
    }
    (pages, failed)
}

fn write(workspace: &Path, provider: &str, pages: &Pages) -> Result<(), String> {
    let file = documented::file(provider);
    let path = workspace.join(&file);
    let text = documented::text(pages);
    let folder = path.parent().unwrap_or(workspace);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| format!("{file} cannot be written: {error}\n"))
}

/// Compares our specifications with the documented facts in the files. It does not use the network.
pub(crate) fn problems(workspace: &Path) -> Vec<String> {
    let providers = match watched::read(workspace) {
        Ok(providers) => providers,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    for (file, _) in SPECS {
        // The lint reports the problems of the file itself.
        let Ok(spec) = Spec::read(workspace, file) else {
            continue;
        };
        let name = spec.provider();
        let Some(provider) = providers.get(name) else {
            problems.push(format!(
                "{}: {name} is missing; say which pages are read\n",
                watched::FILE
            ));
            continue;
        };
        match documented::read(workspace, name) {
            Ok(pages) => problems.extend(agreement::problems(&spec, &pages, provider)),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

#[cfg(test)]
mod tests;
