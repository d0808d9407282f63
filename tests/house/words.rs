//! The names of tests are short, and documentation begins with a subject or a verb.

use std::fs;
use std::path::Path;

/// The longest name of a test, in characters.
const LONGEST: usize = 59;
/// The first words of sentences that hide their subject, or have none.
const RIDDLES: [&str; 8] = [
    "What", "Who", "Whoever", "Whether", "So", "Somebody", "Nobody", "Likewise",
];

#[test]
fn names_and_documentation_keep_the_rules() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut faults = Vec::new();
    for folder in ["crates", "examples", "tests", "xtask"] {
        look(&workspace.join(folder), &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn long_names_and_riddles_are_found() {
    let long = "n".repeat(60);
    let table = [
        ("/// What a key may cost.".to_owned(), true),
        ("    //! Whether it is there".to_owned(), true),
        ("/// Whatever is wrong, it says so.".to_owned(), false),
        ("// What comes next is a comment.".to_owned(), false),
        (format!("    async fn {long}() {{"), true),
        (format!("fn {}() {{", &long[..59]), false),
    ];
    for (line, expected) in table {
        assert_eq!(fault(&line).is_some(), expected, "{line}");
    }
}

fn look(folder: &Path, faults: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" {
            look(&path, faults);
        }
        if !name.ends_with(".rs") || name == "generated.rs" {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if let Some(fault) = fault(line) {
                faults.push(format!("{}:{}: {fault}", path.display(), number + 1));
            }
        }
    }
}

fn fault(line: &str) -> Option<String> {
    let line = line.trim_start();
    let text = line
        .strip_prefix("/// ")
        .or_else(|| line.strip_prefix("//! "));
    if let Some(text) = text {
        let word = text.split(' ').next()?;
        return RIDDLES
            .contains(&word)
            .then(|| format!("documentation that begins with {word:?}"));
    }
    let function = line.strip_prefix("async ").unwrap_or(line);
    let name = function.strip_prefix("fn ")?.split('(').next()?;
    (name.len() > LONGEST).then(|| format!("a name of {} characters", name.len()))
}
