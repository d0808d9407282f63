//! The pages for users say what is so: every command on them is run and prints what they show, every file on them is
//! read, and every program on them is a test of veo-core's documentation.
//!
//! `INSTA_UPDATE=always` writes what has changed into the pages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use veo_sim::{Scenario, Sim};

/// What cannot be run here: the page, and the first line of the block. The page says why.
const NOT_RUN: [(&str, &str); 3] = [
    ("README.md", "$ cargo test --workspace"),
    ("docs/first-video.md", "$ veo auth kie"),
    ("docs/testing.md", "$ veo sim"),
];

/// Written by `veo reference`, and compared with it by another test.
const REFERENCE: &str = "docs/cli.md";

/// What the pages have images of. All of them are the same.
const IMAGES: [&str; 6] = [
    "park.png",
    "day.png",
    "night.png",
    "dog.png",
    "cat.png",
    "logo.png",
];

#[test]
fn the_commands_print_what_the_pages_show() {
    let pages = pages();
    let problems: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = pages.iter().map(|page| scope.spawn(|| run(page))).collect();
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

#[test]
fn what_is_not_run_is_known_and_has_a_reason() {
    let mut found = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            if block
                .note
                .is_some_and(|note| note.starts_with(NOT_RUN_MARK))
            {
                assert_eq!(
                    block.language, "console",
                    "{}: only commands need a reason",
                    page.name
                );
                found.push((page.name.clone(), block.lines[0].clone()));
            }
        }
    }
    let known: Vec<_> = NOT_RUN
        .iter()
        .map(|(page, line)| ((*page).to_owned(), (*line).to_owned()))
        .collect();
    assert_eq!(
        found.into_iter().collect::<BTreeSet<_>>(),
        known.into_iter().collect()
    );
}

/// Every kind of block has its reader.
#[test]
fn nothing_on_the_pages_stays_unread() {
    let library = read("crates/veo-core/src/lib.rs");
    for page in pages() {
        let name = &page.name;
        let commands: Vec<_> = page
            .blocks()
            .flat_map(|block| block.commands())
            .map(|(command, _)| command)
            .collect();
        for block in page.blocks() {
            match (block.language.as_str(), block.file()) {
                ("console", None) => assert!(
                    block.lines[0].starts_with("$ "),
                    "{name}: {:?}",
                    block.lines
                ),
                ("rust", None) => {
                    let included = format!("\"{}\"", name.trim_start_matches("docs/"));
                    assert!(
                        library.contains(&included) || name == "README.md",
                        "no documentation test reads {name}"
                    );
                }
                ("toml", Some(file)) => {
                    drop(Scenario::from_toml(&block.text()).unwrap_or_else(|error| {
                        panic!("{name}: {file} is no scenario: {error}");
                    }))
                }
                ("json" | "yaml", Some(file)) => {
                    assert!(
                        commands.iter().any(|command| command.contains(file)),
                        "{name}: no command reads {file}"
                    );
                }
                (language, _) => panic!(
                    "{name}: nothing reads a block of {language:?}: {:?}",
                    block.lines
                ),
            }
        }
    }
}

/// In the repository links lead to files, and in veo-core's documentation to its modules. Where they lead is said at the
/// end of a page, and `links.md` says it first for the documentation.
#[test]
fn every_link_leads_somewhere_in_both_places() {
    let documented = read("crates/veo-core/src/links.md");
    let labels: BTreeSet<_> = documented
        .lines()
        .filter_map(definition)
        .map(|(label, _)| label)
        .collect();
    let index = read("docs/README.md");
    for page in pages() {
        let name = &page.name;
        let defined: BTreeMap<_, _> = page.prose().filter_map(definition).collect();
        for (label, target) in &defined {
            let file = repository().join(name).parent().unwrap().join(target);
            assert!(
                target.contains("://") || file.exists(),
                "{name}: there is no {target}"
            );
            assert!(
                target.contains("://") || labels.contains(label),
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
        let listed = format!("]: {}", name.trim_start_matches("docs/"));
        assert!(
            name.ends_with("README.md") || index.contains(&listed),
            "docs/README.md does not list {name}"
        );
    }
    assert!(index.contains("]: cli.md"));
}

#[test]
fn the_picture_shows_the_first_command() {
    let picture = read("docs/first-command.svg")
        .replace("&#160;", " ")
        .replace("&quot;", "\"");
    let page = Page::read("README.md".to_owned());
    let command = &page.blocks().next().unwrap().lines[0];
    assert!(
        picture.contains(command.as_str()),
        "run scripts/picture.sh: the picture does not show {command}"
    );
}

const NOT_RUN_MARK: &str = "not run: ";

/// A page, as its lines in and out of blocks.
struct Page {
    name: String,
    parts: Vec<Part>,
}

enum Part {
    Line(String),
    Block(Block),
}

#[derive(Clone)]
struct Block {
    /// The comment on the line before.
    note: Option<&'static str>,
    language: String,
    lines: Vec<String>,
}

impl Page {
    fn read(name: String) -> Self {
        // Pages are few and small, and live as long as the test.
        let text: &'static str = read(&name).leak();
        let (mut parts, mut block, mut last) = (Vec::new(), None::<Block>, "");
        for line in text.lines() {
            match (line.strip_prefix("```"), block.take()) {
                (Some(language), None) => {
                    let note = last
                        .strip_prefix("<!-- ")
                        .and_then(|note| note.strip_suffix(" -->"));
                    block = Some(Block {
                        note,
                        language: language.to_owned(),
                        lines: Vec::new(),
                    });
                }
                (Some(_), Some(done)) => parts.push(Part::Block(done)),
                (None, Some(mut open)) => {
                    open.lines.push(line.to_owned());
                    block = Some(open);
                }
                (None, None) => parts.push(Part::Line(line.to_owned())),
            }
            last = line;
        }
        assert!(block.is_none(), "{name}: a block does not end");
        Self { name, parts }
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.parts.iter().filter_map(|part| {
            if let Part::Block(block) = part {
                Some(block)
            } else {
                None
            }
        })
    }

    fn prose(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| {
            if let Part::Line(line) = part {
                Some(line.as_str())
            } else {
                None
            }
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            let _ = match part {
                Part::Line(line) => writeln!(text, "{line}"),
                Part::Block(block) => writeln!(text, "```{}\n{}```", block.language, block.text()),
            };
        }
        text
    }
}

impl Block {
    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The file that the block shows.
    fn file(&self) -> Option<&'static str> {
        self.note.and_then(|note| note.strip_prefix("file: "))
    }

    fn is_run(&self) -> bool {
        self.language == "console" && !self.note.is_some_and(|note| note.starts_with(NOT_RUN_MARK))
    }

    /// The commands, each with what it prints.
    fn commands(&self) -> Vec<(String, Vec<String>)> {
        let mut commands = Vec::<(String, Vec<String>)>::new();
        for line in self.lines.iter().filter(|_| self.language == "console") {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, printed))) => printed.push(line.clone()),
                (None, None) => panic!("a block begins with {line:?} and not with a command"),
            }
        }
        commands
    }
}

/// README.md and the guides.
fn pages() -> Vec<Page> {
    let guides = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let guides = guides.map(|name| format!("docs/{}", name.to_str().unwrap()));
    let mut names: Vec<_> = guides
        .filter(|name| name.ends_with(".md") && name != REFERENCE)
        .collect();
    names.push("README.md".to_owned());
    names.sort();
    names.into_iter().map(Page::read).collect()
}

/// Runs the commands of a page in their order, and gives what is not as it says.
fn run(page: &Page) -> Vec<String> {
    let (mut terminal, mut problems, mut parts) = (Terminal::start(), Vec::new(), Vec::new());
    for part in &page.parts {
        let Part::Block(block) = part else {
            parts.push(Part::Line(match part {
                Part::Line(line) => line.clone(),
                Part::Block(_) => continue,
            }));
            continue;
        };
        let mut block = block.clone();
        if let Some(file) = block.file() {
            fs::write(terminal.folder.path().join("work").join(file), block.text()).unwrap();
        }
        if block.is_run() {
            let commands = block.commands();
            block.lines.clear();
            for (place, (command, expected)) in commands.iter().enumerate() {
                let (printed, code) = terminal.run(command);
                let shown = terminal.fit(expected, &printed);
                if shown != *expected && !updates() {
                    let (expected, shown) = (expected.join("\n"), shown.join("\n"));
                    problems.push(format!(
                        "{}: {command}\n--- the page\n{expected}\n--- here\n{shown}\n",
                        page.name
                    ));
                }
                let asked = commands
                    .get(place + 1)
                    .is_some_and(|(next, _)| next == "echo $?");
                if code != 0 && !asked {
                    problems.push(format!(
                        "{}: {command}\nends with {code}, and no `echo $?` shows it\n",
                        page.name
                    ));
                }
                block.lines.push(format!("$ {command}"));
                block.lines.extend(shown);
            }
        }
        parts.push(Part::Block(block));
    }
    let before = page.text();
    let mut after = Page {
        name: page.name.clone(),
        parts,
    }
    .text();
    for (mark, table) in tables() {
        after = with_table(&after, mark, &table(&mut terminal));
    }
    if updates() {
        fs::write(repository().join(&page.name), &after).unwrap();
    } else if before != after && problems.is_empty() {
        problems.push(format!(
            "{}: a table is not what the program says\n",
            page.name
        ));
    }
    problems
}

/// Whether the pages are to be written.
fn updates() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always")
}

/// A shell in a place of its own, with both providers on this machine, as `veo sim` has them.
struct Terminal {
    folder: TempDir,
    _sim: Sim,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The jobs by their names on the page.
    jobs: Jobs,
}

/// Ends what a command has printed.
const END: u8 = 0x1e;

impl Terminal {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sim = runtime.block_on(Sim::start()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (work, bin) = (folder.path().join("work"), folder.path().join("bin"));
        fs::create_dir(&work).unwrap();
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_veo"), bin.join("veo")).unwrap();
        for image in IMAGES {
            fs::write(work.join(image), b"\x89PNG\r\n\x1a\n").unwrap();
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh")
            .env_clear()
            .envs([
                ("PATH", path),
                ("HOME", folder.path().display().to_string()),
                ("KIE_BASE_URL", sim.url()),
            ])
            .envs([
                ("KIE_API_KEY", "any"),
                ("UNIALL_API_KEY", "any"),
                ("UNIALL_BASE_URL", &sim.url()),
            ])
            .current_dir(work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (
            shell.stdin.take().unwrap(),
            BufReader::new(shell.stdout.take().unwrap()),
        );
        Self {
            folder,
            _sim: sim,
            shell,
            input,
            output,
            jobs: Jobs::new(),
        }
    }

    /// Runs a line of a page, and gives what it prints on both streams, and its code.
    fn run(&mut self, line: &str) -> (Vec<String>, i32) {
        let mut command = line.replace("cargo run -p veo-cli -- ", "veo ");
        for (name, real) in &self.jobs {
            command = command.replace(name, real);
        }
        // The next command can ask for the code.
        let script = format!(
            "{{ {command}\n}} < /dev/null 2>&1; code=$?; printf '\\036%s\\n' $code; (exit $code)\n"
        );
        self.input.write_all(script.as_bytes()).unwrap();
        let (mut printed, mut code) = (Vec::new(), String::new());
        self.output.read_until(END, &mut printed).unwrap();
        self.output.read_line(&mut code).unwrap();
        assert_eq!(printed.pop(), Some(END), "the shell ended at: {command}");
        let printed = String::from_utf8(printed).unwrap();
        (
            printed.lines().map(str::to_owned).collect(),
            code.trim().parse().unwrap(),
        )
    }

    /// What the page should show: what it does if that fits, and otherwise what was printed.
    fn fit(&mut self, expected: &[String], printed: &[String]) -> Vec<String> {
        let Some(jobs) = fitting(expected, printed, &self.jobs) else {
            return printed.iter().map(|line| named(line, &self.jobs)).collect();
        };
        self.jobs = jobs;
        expected.to_vec()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Jobs by their names on the page.
type Jobs = BTreeMap<String, String>;

/// The jobs, if what was printed is what the page shows. `...` stands for lines, or for a part of a line. A job that
/// has no name yet gets that of the page.
fn fitting(expected: &[String], printed: &[String], jobs: &Jobs) -> Option<Jobs> {
    let Some((first, rest)) = expected.split_first() else {
        return printed.is_empty().then(|| jobs.clone());
    };
    if first == "..." {
        return (1..=printed.len()).find_map(|skipped| fitting(rest, &printed[skipped..], jobs));
    }
    let line = named(printed.first()?, jobs);
    let new = |line| {
        jobs_of(line)
            .into_iter()
            .filter(|job| !jobs.contains_key(job))
            .collect::<Vec<_>>()
    };
    let (names, real) = (new(first), new(&line));
    let mut jobs = jobs.clone();
    if names.len() == real.len() {
        jobs.extend(names.into_iter().zip(real));
    }
    if is_like(first, &named(&line, &jobs)) {
        fitting(rest, &printed[1..], &jobs)
    } else {
        None
    }
}

/// A line with the names of the page.
fn named(line: &str, jobs: &Jobs) -> String {
    jobs.iter().fold(line.to_owned(), |line, (name, real)| {
        line.replace(real.as_str(), name)
    })
}

/// Whether a line is as the page has it, where `...` stands for anything.
fn is_like(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once("...") else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    line.char_indices()
        .map(|(place, _)| place)
        .chain([line.len()])
        .any(|place| is_like(rest, &line[place..]))
}

/// What looks like `kie:0f1e2d3c` in a line.
fn jobs_of(line: &str) -> Vec<String> {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = ["kie:", "uniall:"]
        .into_iter()
        .flat_map(|start| line.match_indices(start));
    let job = |(place, start): (usize, &str)| {
        let id: String = line[place + start.len()..]
            .chars()
            .take_while(|c| is_id(*c))
            .collect();
        (!id.is_empty()).then(|| format!("{start}{id}"))
    };
    starts.filter_map(job).collect()
}

type Table = fn(&mut Terminal) -> String;

/// The tables that are made here, by the comment before them.
fn tables() -> [(&'static str, Table); 3] {
    [
        ("exit codes", exit_codes),
        ("what they make", what_they_make),
        ("what else", what_else),
    ]
}

/// The page with a table after its mark, if it has the mark.
fn with_table(page: &str, mark: &str, table: &str) -> String {
    let mark = format!("<!-- {mark} -->\n");
    let Some((before, after)) = page.split_once(&mark) else {
        return page.to_owned();
    };
    let (_, after) = after.split_once("\n\n").unwrap();
    format!("{before}{mark}{table}\n{after}")
}

/// The exit codes of `veo --help`, which can go over several lines each.
fn exit_codes(terminal: &mut Terminal) -> String {
    let (help, _) = terminal.run("veo --help");
    let codes = help
        .iter()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let mut rows = Vec::<(String, String)>::new();
    for line in codes {
        let (code, text) = line.split_at(5);
        match (code.trim(), rows.last_mut()) {
            ("", Some((_, meaning))) => *meaning += &format!(" {}", text.trim()),
            (code, _) => rows.push((code.to_owned(), text.trim().to_owned())),
        }
    }
    assert!(rows.len() > 5, "{help:?}");
    let rows = rows
        .iter()
        .map(|(code, meaning)| format!("| {code} | {meaning} |\n"));
    format!(
        "| exit code | |\n| --: | --- |\n{}",
        rows.collect::<String>()
    )
}

/// What the models make, which differs from one to the next.
fn what_they_make(terminal: &mut Terminal) -> String {
    let out_of = |model: &Value| match words(&model["modes"]) {
        modes if modes.contains("references") => modes.replace(
            "references",
            &format!("{} references", span(&model["references"])),
        ),
        modes => modes,
    };
    let cells = |model: &Value| {
        vec![
            words(&model["tier"]),
            out_of(model),
            words(&model["resolutions"]),
        ]
    };
    models(terminal, &["tier", "out of", "sizes"], cells)
}

/// What else they can, which is much the same for all of a provider.
fn what_else(terminal: &mut Terminal) -> String {
    let cells = |model: &Value| {
        let also = words(&model["options"]).replace('_', " ");
        vec![
            words(&model["seconds"]),
            words(&model["aspect_ratios"]),
            span(&model["seeds"]),
            also,
        ]
    };
    models(terminal, &["seconds", "shapes", "seeds", "also"], cells)
}

/// A table of all models; those of a provider that follow each other and are equal share a row.
fn models(
    terminal: &mut Terminal,
    heads: &[&str],
    cells: impl Fn(&Value) -> Vec<String>,
) -> String {
    let (lines, _) = terminal.run("veo models --json");
    let mut rows = Vec::<(String, String, String)>::new();
    for line in lines {
        let model: Value = serde_json::from_str(&line).unwrap();
        let (provider, name) = (
            words(&model["provider"]),
            format!("`{}`", words(&model["name"])),
        );
        let cells = cells(&model).join(" | ");
        match rows.last_mut() {
            Some((known, names, same)) if (&*known, &*same) == (&provider, &cells) => {
                *names += &format!(", {name}")
            }
            _ => rows.push((provider, name, cells)),
        }
    }
    let rows = rows
        .iter()
        .map(|(provider, names, cells)| format!("| {provider} | {names} | {cells} |\n"));
    let lines = " --- |".repeat(heads.len());
    format!(
        "| | model | {} |\n| --- | --- |{lines}\n{}",
        heads.join(" | "),
        rows.collect::<String>()
    )
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

/// A line that says where a link leads: its label, and where.
fn definition(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
