//! A sandbox for a run of the program. It neither reads nor writes anything of the user.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use veo_sim::{Scenario, Sim};

/// A whole picture of 16 by 9 pixels.
pub(crate) const PICTURE: &[u8] = include_bytes!("../../../../tests/media/kite.png");

/// A home folder, and a folder in which the program runs.
pub(crate) struct Sandbox {
    root: TempDir,
    environment: BTreeMap<String, String>,
    /// The simulator stops when it is dropped.
    sim: Option<Sim>,
}

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    printed: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "config", "state", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let path = |folder| root.path().join(folder).display().to_string();
        let environment = [
            ("HOME", path("home")),
            ("XDG_CONFIG_HOME", path("config")),
            ("XDG_STATE_HOME", path("state")),
            ("TMPDIR", path("home")),
            ("TERM", "xterm".to_owned()),
            // Nothing leaves this machine, and reading its certificates would take most of the time of a short command.
            ("SSL_CERT_FILE", "/dev/null".to_owned()),
            ("SSL_CERT_DIR", "/dev/null".to_owned()),
        ];
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        Self {
            root,
            environment,
            sim: None,
        }
    }

    /// Returns a sandbox with both providers on this machine, as `veo sim` simulates them.
    pub(crate) fn with_sim() -> Self {
        Self::with_scenario(Scenario::new("rich", "There are credits for every test."))
    }

    /// Returns a sandbox with both providers, which have this scenario.
    pub(crate) fn with_scenario(scenario: Scenario) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Some tests make more videos than the usual balance can pay for.
        let rich = scenario.credits(1_000_000.25);
        let sim = runtime
            .block_on(Sim::builder().scenario(rich).start())
            .unwrap();
        let mut sandbox = Self::new().at("kie", &sim.url()).at("uniall", &sim.url());
        sandbox.sim = Some(sim);
        sandbox
    }

    /// Adds an API key for a provider at this address.
    pub(crate) fn at(self, provider: &str, url: &str) -> Self {
        let provider = provider.to_uppercase();
        self.with(&format!("{provider}_API_KEY"), "sk-secret")
            .with(&format!("{provider}_BASE_URL"), url)
    }

    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.environment
            .insert(variable.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    /// The number of paid requests that have arrived at the simulator.
    pub(crate) fn paid(&self) -> usize {
        self.sim().submits()
    }

    /// The task that was charged last.
    pub(crate) fn last_task(&self) -> String {
        self.sim().charges().last().unwrap().task.clone()
    }

    /// The address of both providers.
    pub(crate) fn url(&self) -> String {
        self.sim().url()
    }

    /// The path of a file in the folder in which the program runs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// The folder with the ledger of the jobs that are in no batch.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// All files of the folder in which the program runs, and of its state.
    pub(crate) fn files(&self) -> Files {
        let mut files = files_in(&self.path(""));
        files.append(&mut files_in(&self.state()));
        files
    }

    /// Restores the content of all files. A file is written in place, since the program notices a ledger that was replaced.
    pub(crate) fn restore(&self, files: &Files) {
        for (path, bytes) in self.files() {
            match files.get(&path) {
                None => fs::remove_file(path).unwrap(),
                Some(before) if *before != bytes => fs::write(path, before).unwrap(),
                Some(_) => {}
            }
        }
        for (path, bytes) in files.iter().filter(|(path, _)| !path.exists()) {
            fs::write(path, bytes).unwrap();
        }
    }

    /// Writes the file of the configuration with these permissions.
    pub(crate) fn configure(&self, text: &str, mode: u32) {
        fs::create_dir_all(self.config().parent().unwrap()).unwrap();
        fs::write(self.config(), text).unwrap();
        fs::set_permissions(self.config(), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.path().join("config/veo/config.toml")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.path().join("state/veo/jobs.jsonl")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veo"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        finish(child)
    }

    /// Returns a command for another program, which can run this program by its name.
    pub(crate) fn shell(&self, program: &str) -> Command {
        let veo = Path::new(env!("CARGO_BIN_EXE_veo"))
            .parent()
            .unwrap()
            .display();
        let path = format!("{veo}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.environment)
            .env("PATH", path)
            .current_dir(self.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a line in a shell.
    pub(crate) fn run_line(&self, line: &str) -> Run {
        finish(self.shell("sh").args(["-c", line]).spawn().unwrap())
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Returns the jobs that `veo jobs` lists.
    pub(crate) fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let run = self.run(&[&["jobs", "--json"], arguments].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        run.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Returns both streams and the exit code of a run, without the parts that differ from run to run.
    pub(crate) fn shown(&self, arguments: &[&str], run: &Run) -> String {
        let stream = |name: &str, text: &str| {
            let lines = text
                .lines()
                .map(|line| format!("{name} {}\n", self.redacted(line)));
            lines
                .collect::<String>()
                .replace(&format!("{name} \n"), &format!("{name}\n"))
        };
        let command = self.redacted(&arguments.join(" "));
        format!(
            "$ veo {command}\n{}{}= {}\n",
            stream(">", &run.out),
            stream("!", &run.err),
            run.code
        )
    }

    fn redacted(&self, line: &str) -> String {
        let line = match serde_json::from_str::<Value>(line) {
            Ok(mut value) if value.is_object() => {
                hide(&mut value);
                value.to_string()
            }
            _ => line.to_owned(),
        };
        let line = line.replace(&self.root.path().display().to_string(), "ROOT");
        // The sizes depend on the simulator's clips.
        let line = match line
            .split_once("Saved ")
            .map(|(start, rest)| (start, rest.split_once(", ")))
        {
            Some((start, Some((_, rest)))) => format!("{start}Saved SIZE, {rest}"),
            _ => line,
        };
        // The time since a job was sent.
        let states = [
            "wanted",
            "on its way",
            "unknown",
            "accepted",
            "rejected",
            "failed",
            "finished",
            "done",
        ];
        let mut fields: Vec<_> = line
            .split("  ")
            .filter(|field| !field.trim().is_empty())
            .collect();
        let line = match fields.as_mut_slice() {
            [state, age, _, ..] if states.contains(&state.trim()) => {
                *age = "AGE";
                fields.join("  ")
            }
            _ => line,
        };
        let mut shown = String::new();
        for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let plain = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let digits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
            let hidden = if shown.ends_with("127.0.0.1:") && digits {
                "PORT"
            } else if plain.len() >= 16 && plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                "ID"
            } else {
                plain
            };
            shown += hidden;
            shown += &word[plain.len()..];
        }
        shown
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            err,
            printed: String::new(),
        }
    }

    /// Reads standard error until it has this text, and returns all of it so far.
    pub(crate) fn until(&mut self, text: &str) -> &str {
        self.until_times(text, 1)
    }

    /// Reads standard error until it has this text so many times.
    pub(crate) fn until_times(&mut self, text: &str, times: usize) -> &str {
        while self.printed.matches(text).count() < times {
            let read = self.err.read_line(&mut self.printed).unwrap();
            assert!(
                read > 0,
                "the program ended without {text:?}: {}",
                self.printed
            );
        }
        &self.printed
    }

    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn end(mut self) -> Run {
        self.err.read_to_string(&mut self.printed).unwrap();
        let run = finish(self.child);
        Run {
            err: self.printed,
            ..run
        }
    }
}

pub(crate) fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Replaces the values that differ from run to run, or that only the simulator decides.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "raw" | "seeds" | "bytes" | "made_at" | "accepted_at" | "created_at"
                    | "completed_at" | "at"
                        if !value.is_null() =>
                    {
                        *value = Value::from("HIDDEN");
                    }
                    _ => hide(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        _ => {}
    }
}

/// The content of files, by their paths.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Returns the files of a folder and of its folders. A file that is deleted meanwhile is left out.
pub(crate) fn files_in(folder: &Path) -> Files {
    let mut files = Files::new();
    for path in fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if path.is_dir() {
            files.append(&mut files_in(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            files.insert(path, bytes);
        }
    }
    files
}

/// The lines of a ledger that are JSON.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
