//! The program in a real terminal, which `script` of util-linux provides. All output is kept for the tests.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::batch::clip;
use crate::sandbox::Sandbox;
use crate::server::{Server, accepted, prompt, record, task};

/// A terminal with a program in it.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    drawn: Vec<u8>,
}

impl Terminal {
    /// Runs a line of a shell. The terminal ends with it.
    pub(crate) fn start(sandbox: &Sandbox, line: &str) -> Self {
        let mut script = sandbox.shell("script");
        script.args([
            "-qec",
            &format!("stty cols 100 rows 30; tty; exec {line}"),
            "/dev/null",
        ]);
        let started = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut script =
            started.unwrap_or_else(|error| panic!("`script` of util-linux is needed: {error}"));
        let (keys, screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        Self {
            script,
            keys,
            screen,
            drawn: Vec::new(),
        }
    }

    /// Reads until the drawn text passes the check, and returns the text without colours.
    fn until(&mut self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let mut buffer = [0; 4096];
        loop {
            let text = plain(&self.drawn);
            if is_there(&text) {
                return text;
            }
            let read = self.screen.read(&mut buffer).unwrap();
            assert!(read > 0, "the program ended without {what}: {text}");
            self.drawn.extend(&buffer[..read]);
        }
    }

    fn until_text(&mut self, text: &str) -> String {
        self.until(text, |drawn| drawn.contains(text))
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
        self.keys.flush().unwrap();
    }

    /// Returns all that was drawn until the program ended, and its exit code.
    pub(crate) fn end(&mut self) -> (Vec<u8>, i32) {
        self.screen.read_to_end(&mut self.drawn).unwrap();
        let status = self.script.wait().unwrap();
        (std::mem::take(&mut self.drawn), status.code().unwrap())
    }
}

impl Drop for Terminal {
    /// Ends the program in the terminal too.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// Returns the drawn text without the sequences that move the cursor and colour it.
fn plain(drawn: &[u8]) -> String {
    let text = String::from_utf8_lossy(drawn);
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part
            .trim_start_matches(|c: char| !c.is_ascii_alphabetic())
            .get(1..)
            .unwrap_or_default()
    })
}

#[test]
fn progress_goes_to_the_terminal_and_the_result_to_stdout() {
    let ((answer, next), video) = (channel::<Option<u8>>(), clip());
    let next = Mutex::new(next);
    let server = Server::start(move |line, _| {
        if line.contains("POST") {
            return Some(r#"{"id":"task_1","status":"queued"}"#.to_owned());
        }
        // A question gets its answer only when the test sends one.
        Some(match next.lock().unwrap().recv().ok()? {
            Some(percent) => {
                format!(r#"{{"id":"task_1","status":"in_progress","progress":{percent}}}"#)
            }
            None => format!(r#"{{"id":"task_1","status":"completed","video_url":"{video}"}}"#),
        })
    });
    let sandbox = Sandbox::new().at("uniall", server.url());
    // Only standard error is a terminal.
    let mut terminal = Terminal::start(
        &sandbox,
        "veo generate A_dog --timeout 1m -o dog.mp4 > out.txt",
    );
    answer.send(Some(33)).unwrap();
    let message = " Making the video [";
    terminal.until_text("Making the video [=========>                    ] 33% (");
    // The sign before the message moves even without an answer.
    let signs = |drawn: &str| {
        drawn
            .match_indices(message)
            .filter_map(|(at, _)| drawn[..at].chars().last())
            .collect()
    };
    terminal.until("a moving sign", |drawn| {
        BTreeSet::<char>::len(&signs(drawn)) > 3
    });
    answer.send(Some(66)).unwrap();
    terminal.until_text("] 66% (");
    answer.send(None).unwrap();
    let (drawn, code) = terminal.end();
    let (drawn, printed) = (
        plain(&drawn),
        fs::read_to_string(sandbox.path("out.txt")).unwrap(),
    );
    assert_eq!((code, printed.as_str()), (0, "dog.mp4\n"), "{drawn}");
    // The result replaces the bar.
    assert!(
        drawn.contains("\rSaved ") && drawn.ends_with(" with sound\r\n"),
        "{drawn:?}"
    );
}

/// The clock shows that the program is alive while no job changes.
#[test]
fn the_clock_of_a_waiting_batch_advances() {
    let server = Server::start(|line, body| {
        Some(match prompt(body) {
            Some(prompt) => accepted(&prompt),
            None => record(task(line), 0, ""),
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let lines = ["A", "B", "C"].map(|prompt| format!("{{\"prompt\":\"{prompt}\"}}\n"));
    sandbox.write("jobs.jsonl", &lines.concat());
    let line = "veo generate --batch jobs.jsonl --timeout 1m";
    let mut terminal = Terminal::start(&sandbox, line);
    for seconds in 1..=3 {
        terminal.until_text(&format!("0 of 3 lines ({seconds}s)"));
    }
    terminal.press(b"\x03");
    assert_eq!(terminal.end().1, 130);
}

#[test]
fn ctrl_c_ends_the_wait_and_says_how_to_continue() {
    let server = Server::start(|line, _| {
        Some(if line.contains("POST") {
            accepted("t1")
        } else {
            record("t1", 0, "")
        })
    });
    let sandbox = Sandbox::new().at("kie", server.url());
    let mut terminal = Terminal::start(&sandbox, "veo generate A_dog --timeout 1m");
    terminal.until_text("Making the video (");
    terminal.press(b"\x03");
    let (drawn, code) = terminal.end();
    let drawn = plain(&drawn).replace('\r', "");
    let wanted = "error: kie:t1: interrupted; the job continues\n  Wait for it again with: veo wait kie:t1\n";
    assert!(code == 130 && drawn.ends_with(wanted), "{code} {drawn}");
    assert_eq!(sandbox.listed(&[])[0]["state"], "accepted");
}

#[test]
fn a_typed_api_key_is_not_shown() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(&sandbox, "veo auth kie");
    let drawn = terminal.until_text("(it is not shown):");
    let device = drawn
        .lines()
        .find(|line| line.starts_with("/dev/"))
        .unwrap()
        .to_owned();
    // A person types after the question is readable, but a test could be faster.
    let is_hidden = || {
        let settings = Command::new("stty")
            .args(["-F", device.trim(), "-a"])
            .output()
            .unwrap()
            .stdout;
        String::from_utf8(settings)
            .unwrap()
            .split_whitespace()
            .any(|word| word == "-echo")
    };
    while !is_hidden() {
        assert!(
            terminal.script.try_wait().unwrap().is_none(),
            "the program ended without asking"
        );
    }
    terminal.press(b"sk-typed\n");
    let (drawn, code) = terminal.end();
    let drawn = plain(&drawn);
    assert!(
        code == 0 && drawn.contains("Kept in ") && !drawn.contains("sk-typed"),
        "{drawn}"
    );
    assert!(
        fs::read_to_string(sandbox.config())
            .unwrap()
            .contains("sk-typed")
    );
}
