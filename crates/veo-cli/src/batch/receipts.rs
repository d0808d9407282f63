//! Where the receipts of a batch go.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};

use veo_core::{Charged, ErrorKind, Receipt};

use crate::failure::Failure;
use crate::output::Output;
use crate::paths::place;

/// Where the receipts go. That one cannot be written is no reason to leave jobs alone that are under way.
pub(super) struct Receipts {
    name: String,
    /// With JSON the events have them, and nothing else is printed.
    sink: Option<Box<dyn Write>>,
    error: Option<io::Error>,
}

impl Receipts {
    pub(super) fn open(path: Option<&Path>, output: &Output) -> Result<Self, Failure> {
        let name = path.map_or_else(
            || "standard output".to_owned(),
            |path| path.display().to_string(),
        );
        let sink: Option<Box<dyn Write>> = match path {
            Some(path) => Some(Box::new(File::create(path).map_err(|error| {
                Failure::usage(format!(
                    "{name} cannot be written: {error}; nothing was sent"
                ))
            })?)),
            None if output.is_json() => None,
            None => Some(Box::new(io::stdout())),
        };
        Ok(Self {
            name,
            sink,
            error: None,
        })
    }

    pub(super) fn write(&mut self, receipt: Option<&Receipt>) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.error.is_none()) else {
            return;
        };
        // Its types have nothing that JSON cannot say.
        let text = serde_json::to_string(&receipt).unwrap_or_default();
        self.error = writeln!(sink, "{text}").and_then(|()| sink.flush()).err();
    }

    /// Whether all are written. Whoever stops reading them has seen enough.
    pub(super) fn end(self) -> Result<(), Failure> {
        let Some(error) = self
            .error
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
        else {
            return Ok(());
        };
        let message = format!("the receipts cannot be written to {}: {error}", self.name);
        let error = veo_core::Error::new(ErrorKind::Local, message).with_charged(Charged::Yes);
        let next =
            "The ledger has them all: the same command writes them again, and sends nothing twice.";
        Err(Failure::from(error).with_next(next))
    }
}

/// Refuses to write receipts over anything but receipts.
pub(super) fn check_receipts(path: Option<&Path>, own: &[PathBuf]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    if own.contains(&place(path)) {
        let message = format!(
            "{} is the batch or its ledger; choose another file with --receipts",
            path.display()
        );
        return Err(Failure::usage(message));
    }
    let Ok(file) = File::open(path) else {
        return Ok(());
    };
    if !file
        .metadata()
        .is_ok_and(|file| file.is_file() && file.len() > 0)
    {
        return Ok(());
    }
    let mut first = Vec::new();
    let read = io::Read::take(BufReader::new(file), 16 << 20).read_until(b'\n', &mut first);
    let is_receipt = read.is_ok() && serde_json::from_slice::<Option<Receipt>>(&first).is_ok();
    if is_receipt {
        return Ok(());
    }
    let message = format!(
        "{} holds something else than receipts; choose another file with --receipts",
        path.display()
    );
    Err(Failure::usage(message))
}
