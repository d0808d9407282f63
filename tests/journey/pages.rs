//! The pages for users say what is so.

use std::path::Path;

use veo_sim::{Fault, Scenario};
use veo_tests::published;

const TESTING: &str = "docs/testing.md";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The page with another text between a mark and the next heading or paragraph after it.
fn with(page: &str, mark: &str, end: &str, text: &str) -> String {
    let (before, after) = page.split_once(mark).unwrap_or_else(|| panic!("the page has no {mark}"));
    let (_, after) = after.split_once(end).unwrap_or_else(|| panic!("nothing follows {mark}"));
    format!("{before}{mark}\n{text}{end}{after}")
}

#[test]
fn the_page_about_testing_shows_the_example_and_every_scenario() {
    let page = read(TESTING);
    let example = "crates/veo-core/examples/paid_once.rs";
    let mark = format!("<!-- {example} -->");
    let page = with(&page, &mark, "\nWhat a test can ask", &format!("```rust\n{}```\n", read(example)));
    let rows = Scenario::catalogue().iter().map(|scenario| {
        assert!(scenario.description.ends_with('.') && scenario.description.len() < 120, "{scenario:?}");
        format!("| `{}` | {} |\n", scenario.name, scenario.description)
    });
    let table = format!("| key | what happens |\n| --- | --- |\n{}", rows.collect::<String>());
    published(TESTING, &with(&page, "<!-- scenarios -->", "\nA scenario of your own", &table));
}

#[test]
fn the_scenario_on_the_page_can_be_read() {
    let page = read(TESTING);
    let toml = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let scenario = Scenario::from_toml(toml).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.credits, scenario.task.len()), ("rough-day", Some(500.0), 1));
    assert_eq!(scenario.fault[0].fault, Fault::Drop);
    let busy = Fault::Error { status: Some(503), code: None, message: None, retry_after: Some(1), accepted: false };
    assert_eq!(scenario.fault[1].fault, busy);
}
