//! The commands of a page, which run one after the other in one shell.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::page::Page;

/// The output of a command on both streams, and its exit code.
pub(crate) struct Ran {
    pub(crate) printed: Vec<String>,
    pub(crate) code: String,
}

/// The character after the output of a command, and after its exit code.
const END: char = '\u{1e}';

/// A folder in which a shell runs. The shell finds only this program.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "files", "work", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let program = folder.path().join("bin/veo");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_veo"), program).unwrap();
        Self(folder)
    }

    /// Runs all commands of a page that are to be run.
    pub(crate) fn run(&self, page: &Page) -> Vec<Ran> {
        // Both streams are one, as in a terminal. A simulator that the page has started ends with the shell.
        let mut script =
            "exec 2>&1\ntrap '[ -z \"$VEO_SIM_PID\" ] || kill $VEO_SIM_PID' EXIT\n".to_owned();
        for block in &page.blocks {
            if let Some(name) = block.file() {
                let file = self.0.path().join("files").join(name);
                fs::write(&file, page.text_of(block)).unwrap();
                writeln!(script, "cp '{}' .", file.display()).unwrap();
            }
            if !block.is_run() {
                continue;
            }
            for shown in page.commands(block) {
                let command = shown.command.replace("cargo run -p veo-cli -- ", "veo ");
                // The exit code is kept for the next command of the page.
                writeln!(
                    script,
                    "{command}\ncode=$?; printf '\\036%s\\036' $code; (exit $code)"
                )
                .unwrap();
            }
        }
        let (output, _) = self.bash(&script);
        let parts: Vec<_> = output.split(END).collect();
        let mut ran = Vec::new();
        for part in parts.chunks_exact(2) {
            ran.push(Ran {
                printed: part[0].lines().map(str::to_owned).collect(),
                code: part[1].to_owned(),
            });
        }
        ran
    }

    /// Lets the program parse the commands that need a real API key, without running them. Returns its errors.
    pub(crate) fn read(&self, page: &Page) -> Result<(), String> {
        // With --help at its end, a command only parses its arguments.
        let mut script =
            "set -e\nexec 2>&1\nveo() { command veo \"$@\" --help > /dev/null; }\n".to_owned();
        for block in page.blocks.iter().filter(|block| block.is_real) {
            for shown in page.commands(block) {
                writeln!(script, "{}", shown.command).unwrap();
            }
        }
        match self.bash(&script) {
            (_, true) => Ok(()),
            (complaint, false) => Err(complaint),
        }
    }

    /// Runs a script in a new shell. Returns its output, and whether it succeeded.
    fn bash(&self, script: &str) -> (String, bool) {
        let folder = self.0.path();
        fs::write(folder.join("script"), script).unwrap();
        let bin = folder.join("bin").display().to_string();
        let output = Command::new("bash")
            .arg(folder.join("script"))
            .env_clear()
            .env("PATH", bin + ":" + &std::env::var("PATH").unwrap())
            .env("HOME", folder)
            .env("TMPDIR", folder.join("tmp"))
            .current_dir(folder.join("work"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        (printed, output.status.success())
    }
}

/// Returns whether a command printed what the page shows. On a page, `...` means any lines, or any part of a line.
pub(crate) fn fits(shown: &[&str], printed: &[String]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        (["...", rest @ ..], _) => {
            let mut ends = 1..=printed.len();
            ends.any(|end| fits(rest, &printed[end..]))
        }
        ([line, rest @ ..], [first, others @ ..]) => line_fits(line, first) && fits(rest, others),
        _ => false,
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once("...") else {
        return shown == printed;
    };
    let Some(printed) = printed.strip_prefix(start) else {
        return false;
    };
    let mut ends = (0..=printed.len()).filter(|end| printed.is_char_boundary(*end));
    ends.any(|end| line_fits(rest, &printed[end..]))
}
