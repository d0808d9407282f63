//! The tables on the pages for users, which are written from the code.

use std::path::Path;

use veo_sim::{Fault, Scenario};
use veo_tests::published;

const TESTING: &str = "crates/veo-core/docs/testing.md";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Returns the page with a new text between a mark and the next `end` after it.
fn with(page: &str, mark: &str, end: &str, text: &str) -> String {
    let (before, after) = page
        .split_once(mark)
        .unwrap_or_else(|| panic!("the page has no {mark}"));
    let (_, after) = after
        .split_once(end)
        .unwrap_or_else(|| panic!("nothing follows {mark}"));
    format!("{before}{mark}\n{text}{end}{after}")
}

#[test]
fn the_testing_page_shows_every_scenario() {
    let page = read(TESTING);
    let example = "crates/veo-core/examples/paid_once.rs";
    let mark = format!("<!-- {example} -->");
    let page = with(
        &page,
        &mark,
        "\nWhat a test can ask",
        &format!("```rust\n{}```\n", read(example)),
    );
    let rows = Scenario::catalogue().iter().map(|scenario| {
        assert!(
            scenario.description.ends_with('.') && scenario.description.len() < 120,
            "{scenario:?}"
        );
        format!("| `{}` | {} |\n", scenario.name, scenario.description)
    });
    let table = format!(
        "| API key | what happens |\n| --- | --- |\n{}",
        rows.collect::<String>()
    );
    let page = with(
        &page,
        "<!-- scenarios -->",
        "\nA scenario of your own",
        &table,
    );
    published(
        TESTING,
        &with(&page, "<!-- words -->", "\n## Time", &table_of_words()),
    );
}

/// The types whose words make up a scenario: the file, the declaration, a template for a word, and a scenario with an
/// unknown word in the same place.
const PARTS: [(&str, &str, &str, &str); 9] = [
    ("scenario", "struct Scenario", "WORD", "none = 1"),
    ("scenario", "enum Pace", "pace = WORD", "pace = 'none'"),
    (
        "scenario",
        "struct FaultRule",
        "fault.WORD",
        "fault = [{ none = 1 }]",
    ),
    (
        "scenario",
        "enum Fault",
        "fault = WORD",
        "fault = [{ on = 'any', fault = 'none' }]",
    ),
    (
        "shape",
        "enum Shape",
        "shape = WORD",
        "fault = [{ on = 'any', fault = { shape = 'none' } }]",
    ),
    (
        "scenario",
        "struct TaskRule",
        "task.WORD",
        "task = [{ none = 1 }]",
    ),
    (
        "scenario",
        "enum Fate",
        "fate = WORD",
        "task = [{ fate = 'none' }]",
    ),
    (
        "scenario",
        "struct Callbacks",
        "callback.WORD",
        "callback = { none = 1 }",
    ),
    (
        "scenario",
        "enum CallbackBody",
        "callback.body = WORD",
        "callback = { body = 'none' }",
    ),
];

fn table_of_words() -> String {
    let mut table = "| part | meaning |\n| --- | --- |\n".to_owned();
    for (file, declaration, form, wrong) in PARTS {
        let words = words(&read(&format!("crates/veo-sim/src/{file}.rs")), declaration);
        // The error message lists the known words.
        let complaint = Scenario::from_toml(wrong).unwrap_err().to_string();
        let (_, known) = complaint
            .split_once("expected one of ")
            .unwrap_or_else(|| panic!("{complaint}"));
        let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        let outer: Vec<_> = words
            .iter()
            .filter(|word| !word.is_inner)
            .map(|word| &*word.name)
            .collect();
        assert_eq!(outer, known, "{declaration}");
        for word in words {
            let written = if declaration.starts_with("enum") {
                word.value
            } else {
                word.name
            };
            table.push_str(&format!(
                "| `{}` | {} |\n",
                form.replace("WORD", &written),
                word.meaning
            ));
        }
    }
    table
}

/// A word of a scenario, with the documentation of its type.
struct Word {
    name: String,
    /// The word as a value, with dots for the fields inside.
    value: String,
    is_inner: bool,
    meaning: String,
}

/// Returns the members of a type in the order of its source, with the members inside them.
fn words(source: &str, declaration: &str) -> Vec<Word> {
    let (_, body) = source
        .split_once(&format!("pub {declaration} {{\n"))
        .unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let (mut words, mut meaning, mut renamed, mut outer) = (Vec::new(), String::new(), None, None);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            meaning.push_str(text);
        } else if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
            renamed = name.split('"').next().map(str::to_owned);
        } else if line == "}," {
            outer = None;
        } else if !line.is_empty() && !line.starts_with('#') {
            let name = line.trim_start_matches("pub ");
            let (name, rest) = name.split_at(
                name.find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap(),
            );
            let name = renamed.take().unwrap_or_else(|| snake_case(name));
            let value = match (&outer, rest.trim().chars().next()) {
                (Some(outer), _) => format!("{{ {outer} = {{ {name} = ... }} }}"),
                (None, Some('(')) => format!("{{ {name} = ... }}"),
                (None, Some('{')) => format!("{{ {name} = {{ ... }} }}"),
                (None, _) => format!("\"{name}\""),
            };
            let meaning = without_links(std::mem::take(&mut meaning).trim());
            words.push(Word {
                name: name.clone(),
                value,
                is_inner: outer.is_some(),
                meaning,
            });
            if rest.ends_with('{') {
                outer = Some(name);
            }
        }
    }
    words
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Returns the text without the targets of links, which lead through the documentation of the crate.
fn without_links(text: &str) -> String {
    let mut parts = text.split("[`");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (label, rest) = part.split_once("`](").unwrap();
        format!("{text}`{label}`{}", rest.split_once(')').unwrap().1)
    })
}

#[test]
fn the_scenario_on_the_page_can_be_read() {
    let page = read(TESTING);
    let toml = page
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let scenario = Scenario::from_toml(toml).unwrap();
    assert_eq!(
        (
            scenario.name.as_str(),
            scenario.credits,
            scenario.task.len()
        ),
        ("rough-day", Some(500.0), 1)
    );
    assert_eq!(scenario.fault[0].fault, Fault::Drop);
    let busy = Fault::Error {
        status: Some(503),
        code: None,
        message: None,
        retry_after: Some(1),
        accepted: false,
    };
    assert_eq!(scenario.fault[1].fault, busy);
}
