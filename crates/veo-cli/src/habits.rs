//! Words that people know from other programs, with tips about what this program has instead.

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use strsim::damerau_levenshtein;

/// Words with one meaning, and a tip for them.
type Habit = (&'static [&'static str], &'static str);

/// Options that the program does not have, or that only some commands have.
const OPTIONS: [Habit; 11] = [
    (
        &["--ratio", "--aspect", "--ar", "--shape"],
        "the shape of the picture is chosen by --aspect-ratio",
    ),
    (
        &["-m"],
        "the model is chosen by --tier and --resolution, or named by --model; `veo models` shows what each can do",
    ),
    (
        &["-n", "--count", "--number", "--num"],
        "a command makes one video, and with --batch one for each line of a file",
    ),
    (
        &["--seconds", "--length"],
        "the length is chosen by --duration",
    ),
    (
        &["--size"],
        "the size of the picture is chosen by --resolution",
    ),
    (&["--quality"], "the quality is chosen by --tier"),
    (&["--prompt", "-p"], "the prompt is given without an option"),
    (
        &["--key", "--api-key", "--token"],
        "there is no option for a key, since others on the machine can see options; `veo auth` keeps one",
    ),
    (
        &["--dry-run"],
        "`veo plan` shows what would be sent, and sends nothing",
    ),
    (&["--wait"], "the program waits, unless --no-wait is given"),
    (
        &["--sim"],
        "the simulator of --sim starts with the command and has no earlier job; start one that stays with `veo sim` in \
         another terminal",
    ),
];

/// Commands that do not exist.
const COMMANDS: [Habit; 11] = [
    (
        &["list", "ls", "history", "tasks", "queue"],
        "`veo jobs` lists the jobs of this machine",
    ),
    (
        &["login", "signin", "config", "configure", "setup", "init"],
        "`veo auth` keeps the key of a provider",
    ),
    (
        &["open", "play", "view"],
        "there is no such command; `veo jobs` shows where each video is",
    ),
    (
        &["cancel", "stop", "abort", "delete", "remove", "rm"],
        "there is no such command: no provider takes back a job that it has accepted",
    ),
    (
        &["create", "make", "new", "run"],
        "`veo generate` makes a video",
    ),
    (
        &["get", "fetch", "save", "pull"],
        "`veo download` saves the video of a finished job",
    ),
    (
        &["balance", "account", "usage"],
        "`veo credits` shows the balance of each account",
    ),
    (
        &["show", "info"],
        "`veo status` prints the state of a job, and `veo inspect` shows a receipt or the properties of a video",
    ),
    (
        &["version", "ver", "about"],
        "`veo --version` shows the version",
    ),
    (
        &["upscale", "enlarge"],
        "`veo upgrade` makes the video of a finished job larger",
    ),
    (
        &["resume", "continue"],
        "`veo wait` continues with a job, and `veo extend` makes a longer video",
    ),
];

/// Replaces clap's tip for an unknown word. It removes a proposed word that is only remotely similar.
pub(crate) fn correct(error: &mut Error) {
    let (given, proposed, habits) = match error.kind() {
        ErrorKind::UnknownArgument => (
            ContextKind::InvalidArg,
            ContextKind::SuggestedArg,
            OPTIONS.as_slice(),
        ),
        ErrorKind::InvalidSubcommand => (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
            COMMANDS.as_slice(),
        ),
        _ => return,
    };
    let Some(ContextValue::String(word)) = error.get(given).cloned() else {
        return;
    };
    let habit = habits.iter().find(|(words, _)| words.contains(&&*word));
    let is_right = match error.get(proposed) {
        Some(ContextValue::String(other)) => is_near(&word, other),
        Some(ContextValue::Strings(others)) => others.iter().all(|other| is_near(&word, other)),
        _ => true,
    };
    if habit.is_none() && is_right {
        return;
    }
    error.remove(proposed);
    error.remove(ContextKind::Suggested);
    // The usage is that of the proposed word, which is removed here.
    error.remove(ContextKind::Usage);
    if let Some((_, tip)) = habit {
        let tip = ContextValue::StyledStrs(vec![StyledStr::from(*tip)]);
        error.insert(ContextKind::Suggested, tip);
    }
}

/// Returns whether one word is the start of the other, or at most two typing errors away.
fn is_near(word: &str, other: &str) -> bool {
    let begins_so = word.starts_with(other) || other.starts_with(word);
    begins_so || damerau_levenshtein(word, other) <= 2
}
