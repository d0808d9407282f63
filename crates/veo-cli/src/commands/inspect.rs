//! What can be told without a provider: `models`, `inspect`, `schema`, `completions`, `man` and the reference.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use veo_core::ledger::{Delivered, Entry, EntryState, Which};
use veo_core::{Feature, JobRef, Media, Mode, Model, Receipt, VideoRequest};

use crate::args::place;
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::output::{Event, Output};
use crate::run;
use crate::store::{Store, relative};

#[derive(Args)]
#[command(after_help = "Examples:\n  veo models\n  veo models --provider uniall --json")]
pub(crate) struct Models {
    /// Only those of this provider. May be given again.
    #[arg(long)]
    provider: Vec<ProviderName>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo inspect receipt.json\n  veo inspect dog.mp4\n\nOf a receipt it tells whether the \
                        video it names is still the same file; of a video, what it says about itself, and which job of \
                        this machine made it."
)]
pub(crate) struct Inspect {
    /// A receipt or a video.
    file: PathBuf,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo completions bash > ~/.local/share/bash-completion/completions/veo\n  \
                        veo completions zsh > ~/.zfunc/_veo"
)]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  veo man > veo.1\n  veo man generate | man -l -")]
pub(crate) struct Man {
    /// The page of this command; of the whole program if not given.
    command: Option<String>,
}

pub(crate) fn models(arguments: &Models, output: &Output) -> Result<(), Failure> {
    let config = Config::load()?;
    for model in config.planner(&arguments.provider)?.models() {
        let rows = [
            ("modes", words(model.modes)),
            ("resolutions", words(model.resolutions)),
            ("aspect ratios", words(model.aspect_ratios)),
            ("seconds", words(model.seconds)),
            ("references", references(model)),
            ("seeds", span(model.seeds.start(), model.seeds.end())),
            ("options", options(model)),
        ];
        let mut text = format!("{}: {} ({})", model.provider, model.name, model.tier);
        rows.iter()
            .for_each(|(name, values)| text += &format!("\n  {name:13}  {values}"));
        output.result(&text, &Event::Model(model));
    }
    Ok(())
}

pub(crate) async fn inspect(arguments: &Inspect, output: &Output) -> Result<(), Failure> {
    let path = &arguments.file;
    let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let file = path.display().to_string();
    let (sha256, bytes) = hashed(path).map_err(unreadable)?;
    // What is that large is no receipt.
    let receipt = if bytes < 64 << 20 {
        fs::read(path).map_err(unreadable)?
    } else {
        Vec::new()
    };
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(&receipt) {
        let is_same = match hashed(&receipt.saved.path) {
            Ok((found, _)) if receipt.saved.sha256 == found => "the same file",
            Ok(_) => "another file now",
            Err(_) => "not there",
        };
        let text = format!(
            "{file}: a receipt\n{}\n  {:13}  {is_same}",
            described(&receipt),
            "now"
        );
        let content = json!({ "receipt": receipt, "video": is_same });
        output.result(
            &text,
            &Event::Inspected {
                file: &file,
                kind: "receipt",
                content,
            },
        );
        return Ok(());
    }
    let entry = made_it(path, &sha256).await?;
    let told = entry.as_ref().map(described_entry);
    let told = told.unwrap_or_else(|| {
        format!(
            "  {:13}  {sha256}\n  no job of this machine made it",
            "sha256"
        )
    });
    let receipt = entry.as_ref().and_then(Entry::receipt);
    let media = Media::of_file(path);
    let (kind, what) = match &media {
        Ok(media) => ("video", run::picture(media)),
        Err(error) => ("file", error.to_string()),
    };
    let text = format!("{file}: {bytes} bytes\n  {kind:13}  {what}\n{told}");
    let content =
        json!({ "bytes": bytes, "sha256": sha256, "media": media.ok(), "receipt": receipt });
    output.result(
        &text,
        &Event::Inspected {
            file: &file,
            kind,
            content,
        },
    );
    Ok(())
}

pub(crate) fn schema(output: &Output) -> Result<(), Failure> {
    let schema = schemars::schema_for!(VideoRequest);
    let written = if output.is_json() {
        serde_json::to_string(&schema)
    } else {
        serde_json::to_string_pretty(&schema)
    };
    // It is JSON anyway.
    output.print(&written.unwrap_or_default());
    Ok(())
}

pub(crate) fn completions(
    arguments: &Completions,
    mut command: Command,
    output: &Output,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "veo", &mut script);
    text(&script, output);
    Ok(())
}

pub(crate) fn man(arguments: &Man, mut command: Command, output: &Output) -> Result<(), Failure> {
    command.build();
    let command = match &arguments.command {
        None => command,
        Some(name) => {
            let found = command.find_subcommand(name).cloned();
            let unknown = || {
                Failure::usage(format!(
                    "there is no command {name}; `veo --help` lists them"
                ))
            };
            found.ok_or_else(unknown)?
        }
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Failure::failed(format!("the page cannot be made: {error}")))?;
    text(&page, output);
    Ok(())
}

/// The help of every command, for `crates/veo-cli/docs/cli.md`.
pub(crate) fn reference(command: Command, output: &Output) -> Result<(), Failure> {
    let mut command = command.term_width(100);
    command.build();
    let mut page = String::from("# The commands of `veo`\n\nThis page is what `--help` says. ");
    page += "`cargo run -p veo-cli -- reference > crates/veo-cli/docs/cli.md` writes it.\n";
    let mut add = |title: &str, command: &mut Command| {
        let help = command.render_long_help().to_string();
        let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
        page += &format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"));
    };
    add("veo", &mut command);
    for command in command
        .get_subcommands_mut()
        .filter(|command| !command.is_hide_set())
    {
        let title = format!("veo {}", command.get_name());
        if title != "veo help" {
            add(&title, command);
        }
    }
    output.print(page.trim_end());
    Ok(())
}

fn text(bytes: &[u8], output: &Output) {
    let text = String::from_utf8_lossy(bytes);
    output.result(text.trim_end(), &Event::Text { text: &text });
}

/// The entry whose video a file is: by the place where it was saved, and else by its content.
async fn made_it(path: &Path, sha256: &str) -> Result<Option<Entry>, Failure> {
    let Some(store) = Store::of_no_batch().await? else {
        return Ok(None);
    };
    let is_it = |entry: &Entry| {
        entry
            .delivered
            .as_ref()
            .is_some_and(|delivered| delivered.saved.sha256 == sha256)
    };
    let place = place(path).display().to_string();
    let done = store
        .list(Which::All)
        .await?
        .into_iter()
        .rev()
        .filter(|listed| listed.state == EntryState::Done);
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        done.partition(|listed| listed.target.as_deref() == Some(&*place));
    for listed in here.into_iter().chain(elsewhere) {
        if let Some(entry) = store.entry(&listed.key).await?.filter(is_it) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The main things in a receipt.
fn described(receipt: &Receipt) -> String {
    let request = &receipt.job.offer.request;
    rows(
        &receipt.job.reference,
        Some(&receipt.job.offer.model),
        Some(&request.prompt),
        &Delivered::new(receipt),
    )
}

/// The same of an entry, which can lack what was asked for.
fn described_entry(entry: &Entry) -> String {
    let asked = entry.wish.asked().map(|request| request.prompt.as_str());
    let model = entry
        .attempts
        .last()
        .map(|attempt| attempt.sent.model.as_str());
    match (entry.reference(), &entry.delivered) {
        (Some(job), Some(delivered)) => rows(job, model, asked, delivered),
        _ => String::new(),
    }
}

fn rows(job: &JobRef, model: Option<&str>, prompt: Option<&str>, delivered: &Delivered) -> String {
    let Delivered {
        saved,
        credits,
        discrepancies,
        ..
    } = delivered;
    let media = &saved.media;
    let told = |text: Option<String>| text.unwrap_or_else(|| "not told".to_owned());
    let rows = [
        ("job", job.to_string()),
        ("model", told(model.map(str::to_owned))),
        ("prompt", told(prompt.map(str::to_owned))),
        ("credits", told(credits.map(|credits| credits.to_string()))),
        ("video", relative(&saved.path).display().to_string()),
        (
            "picture",
            format!("{}x{}, {:?} s", media.width, media.height, media.seconds),
        ),
        (
            "sound",
            if media.has_audio { "yes" } else { "no" }.to_owned(),
        ),
        ("sha256", saved.sha256.clone()),
    ];
    let mut lines: Vec<_> = rows
        .iter()
        .map(|(name, value)| format!("  {name:13}  {value}"))
        .collect();
    lines.extend(
        discrepancies
            .iter()
            .map(|discrepancy| format!("  {:13}  {discrepancy}", "not as asked")),
    );
    lines.join("\n")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not told".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The SHA-256 of a file, and its size.
pub(crate) fn hashed(path: &Path) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut File::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok((hex(&hasher.finalize()), bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn references(model: &Model) -> String {
    let takes_any = model.modes.contains(&Mode::References);
    if takes_any {
        span(model.references.start(), model.references.end())
    } else {
        "none".to_owned()
    }
}

/// What goes with a model, as it is typed.
fn options(model: &Model) -> String {
    let typed = |feature: &Feature| match feature {
        Feature::Silence => "--no-audio".to_owned(),
        Feature::NegativePrompt => "--negative-prompt".to_owned(),
        Feature::Watermark => "--watermark".to_owned(),
        Feature::Translation => "--translate".to_owned(),
        Feature::Callback => "--callback-url".to_owned(),
        Feature::ExtendJob => "extend JOB".to_owned(),
        Feature::ExtendUrl => "extend URL".to_owned(),
        other => words(&[other]),
    };
    model
        .options
        .iter()
        .map(typed)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The words of JSON.
fn words<T: Serialize>(values: &[T]) -> String {
    let word = |value| plain(&serde_json::to_value(value).unwrap_or_default());
    values.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn span<T: ToString + PartialEq>(least: &T, most: &T) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{} to {}", least.to_string(), most.to_string())
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
