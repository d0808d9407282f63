//! Prints the result of a saved video, and saves its receipt.

use std::fs;
use std::path::Path;

use indicatif::HumanBytes;
use veo_core::{JobRef, Media, Receipt, Saved};

use crate::failure::Failure;
use crate::output::{Event, Output, visible};

pub(crate) struct SavedVideo {
    /// The file. Its path is empty if the video went to standard output.
    pub(crate) saved: Saved,
    /// The receipt, or `None` for a job that another machine sent.
    pub(crate) receipt: Option<Receipt>,
}

impl SavedVideo {
    /// Prints the result of a job, and saves its receipt if there is a path for it. `label` goes before the message.
    pub(crate) fn tell(
        &self,
        job: &JobRef,
        label: &str,
        receipt_path: Option<&Path>,
        output: &Output,
    ) -> Result<(), Failure> {
        if !output.is_json() {
            let summary = self.summary();
            let text = match label {
                "" => summary,
                // Among several jobs, the path on standard output does not say which job it belongs to.
                _ => format!("{label}{summary}: {}", self.saved.path.display()),
            };
            output.tell(&text);
        }
        if !self.saved.path.as_os_str().is_empty() {
            let event = Event::Saved {
                line: None,
                job,
                saved: &self.saved,
                receipt: self.receipt.as_ref(),
            };
            output.result(&self.saved.path.display().to_string(), &event);
        }
        match receipt_path {
            Some(path) => save_receipt(path, job, self.receipt.as_ref(), output),
            None => Ok(()),
        }
    }

    /// The size of the file, the picture and the sound as a sentence.
    pub(crate) fn summary(&self) -> String {
        let size = HumanBytes(self.saved.bytes);
        format!("Saved {size}, {}", picture_and_sound(&self.saved.media))
    }
}

pub(crate) fn picture_and_sound(media: &Media) -> String {
    let sound = if media.has_audio {
        "with sound"
    } else {
        "without sound"
    };
    format!(
        "{}x{}, {:.1} s, {sound}",
        media.width, media.height, media.seconds
    )
}

pub(crate) fn save_receipt(
    path: &Path,
    job: &JobRef,
    receipt: Option<&Receipt>,
    output: &Output,
) -> Result<(), Failure> {
    let Some(receipt) = receipt else {
        output.warn("there is no receipt, since this machine has not sent the request");
        return Ok(());
    };
    let text = serde_json::to_string_pretty(receipt).unwrap_or_default();
    let text = format!("{}\n", visible(text));
    fs::write(path, text).map_err(|error| {
        let path = path.display();
        let message =
            format!("the video is saved, but its receipt {path} cannot be written: {error}");
        Failure::after_payment(job, message)
    })
}
