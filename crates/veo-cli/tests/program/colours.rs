//! The program colours its own words where colours are wanted, and never the words of others.

use std::process::Stdio;

use crate::sandbox::Sandbox;
use crate::terminal::Terminal;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";

/// A command, words of its output, and the colour of the program's own word.
const TABLE: [(&str, &str, &str); 5] = [
    ("veo generate", "there is no prompt", RED),
    ("veo generate --nothing", "unexpected argument", RED),
    ("veo nothing", "unrecognized subcommand", RED),
    ("veo generate A --tier x", "invalid value", RED),
    ("veo jobs", "kie:", GREEN),
];

/// Returns a sandbox with a job whose prompt has a colour.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_sim();
    let run = sandbox.run(&["generate", "A \u{1b}[35mdog"]);
    assert_eq!(run.code, 0, "{}", run.err);
    sandbox
}

fn check(command: &str, shown: &str, words: &str, colour: Option<&str>) {
    assert!(shown.contains(words), "{command}: {shown:?}");
    let is_right = match colour {
        Some(colour) => shown.contains(colour),
        None => !shown.contains('\u{1b}'),
    };
    assert!(is_right, "{command}: {shown:?}");
    assert!(!shown.contains("\u{1b}[35m"), "{command}: {shown:?}");
}

#[test]
fn colours_are_shown_on_a_terminal() {
    let sandbox = sandbox();
    for (command, words, colour) in TABLE {
        for (before, colour) in [("", Some(colour)), ("env NO_COLOR=1 ", None)] {
            let command = format!("{before}{command}");
            let (drawn, _) = Terminal::start(&sandbox, &command).end();
            let drawn = String::from_utf8(drawn).unwrap();
            check(&command, &drawn, words, colour);
        }
    }
}

#[test]
fn colours_are_written_to_files_only_if_forced() {
    let sandbox = sandbox();
    for (command, words, colour) in TABLE {
        let settings: [(&[&str], _); 4] = [
            (&["CLICOLOR"], None),
            (&["CLICOLOR_FORCE"], Some(colour)),
            (&["CLICOLOR_FORCE", "NO_COLOR"], None),
            (&["CLICOLOR", "NO_COLOR"], None),
        ];
        for (variables, colour) in settings {
            let mut shell = sandbox.shell("sh");
            let both = format!("{command} 2>&1");
            shell
                .args(["-c", &both])
                .envs(variables.iter().map(|name| (name, "1")))
                .stderr(Stdio::null());
            let shown = String::from_utf8(shell.output().unwrap().stdout).unwrap();
            check(command, &shown, words, colour);
        }
    }
}
