//! Writes the receipts of a batch.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use veo_core::{Charged, ErrorKind, Receipt};

use crate::failure::Failure;
use crate::output::{Output, json};
use crate::paths::canonical;

/// The destination of the receipts. After a failed write the batch continues, since its jobs are paid for.
pub(super) struct Receipts {
    name: String,
    /// The stream. With JSON it is `None`, since the events contain the receipts.
    sink: Option<Box<dyn Write>>,
    error: Option<io::Error>,
}

impl Receipts {
    pub(super) fn open(path: Option<&Path>, output: &Output) -> Result<Self, Failure> {
        let name = match path {
            Some(path) => path.display().to_string(),
            None => "standard output".to_owned(),
        };
        let sink: Option<Box<dyn Write>> = match path {
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    Failure::usage(format!(
                        "{name} cannot be written: {error}; nothing was sent"
                    ))
                })?;
                Some(Box::new(file))
            }
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
        let (Some(sink), None) = (&mut self.sink, &self.error) else {
            return;
        };
        let text = json(&receipt);
        let written = writeln!(sink, "{text}").and_then(|()| sink.flush());
        self.error = written.err();
    }

    /// Fails if a receipt could not be written. A reader that stops early is no failure.
    pub(super) fn end(self) -> Result<(), Failure> {
        let Some(error) = self.error else {
            return Ok(());
        };
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Ok(());
        }
        let message = format!("the receipts cannot be written to {}: {error}", self.name);
        let error = veo_core::Error::new(ErrorKind::Local, message).with_charged(Charged::Yes);
        let next =
            "The ledger has them all: the same command writes them again, and sends nothing twice.";
        Err(Failure::from(error).with_next(next))
    }
}

/// Refuses to write receipts over anything but receipts.
pub(super) fn check(path: &Path, own: &[PathBuf]) -> Result<(), Failure> {
    let shown = path.display();
    if own.contains(&canonical(path)) {
        return Err(Failure::usage(format!(
            "{shown} is the batch or its ledger; choose another file with --receipts"
        )));
    }
    if !is_file_with_content(path) || holds_receipts(path) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{shown} does not hold receipts; choose another file with --receipts"
    )))
}

fn is_file_with_content(path: &Path) -> bool {
    let metadata = path.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

fn holds_receipts(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        // `Receipts::open` fails next, and says why.
        return true;
    };
    let mut first = Vec::new();
    let mut start = BufReader::new(file.take(16 << 20));
    let read = start.read_until(b'\n', &mut first);
    read.is_ok() && serde_json::from_slice::<Option<Receipt>>(&first).is_ok()
}
