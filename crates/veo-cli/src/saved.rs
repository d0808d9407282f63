//! A video that is saved: how it is told, and its receipt.

use std::fs;
use std::path::Path;

use veo_core::{JobRef, Media, Receipt, Saved};

use crate::failure::Failure;
use crate::output::{Event, Output};

/// A video that is here.
pub(crate) struct Made {
    pub(crate) saved: Saved,
    /// Nothing for a job that another machine has sent.
    pub(crate) receipt: Option<Receipt>,
}

/// The result of one job, and its receipt if it is to be saved.
pub(crate) fn tell_saved(
    job: &JobRef,
    made: &Made,
    receipt_path: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    if !output.is_json() {
        output.tell(&summary(&made.saved));
    }
    let event = Event::Saved {
        line: None,
        job,
        saved: &made.saved,
        receipt: made.receipt.as_ref(),
    };
    output.result(&made.saved.path.display().to_string(), &event);
    keep_receipt(receipt_path, job, made.receipt.as_ref(), output)
}

/// A file in a few words.
pub(crate) fn summary(saved: &Saved) -> String {
    format!(
        "Saved {}, {}",
        indicatif::HumanBytes(saved.bytes),
        picture(&saved.media)
    )
}

/// What a video looks and sounds like.
pub(crate) fn picture(media: &Media) -> String {
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

/// Saves the receipt of a video that is here, if that is wanted.
pub(crate) fn keep_receipt(
    path: Option<&Path>,
    job: &JobRef,
    receipt: Option<&Receipt>,
    output: &Output,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let Some(receipt) = receipt else {
        output.warn("there is no receipt, since this machine has not sent the request");
        return Ok(());
    };
    let text = serde_json::to_string_pretty(receipt).unwrap_or_default() + "\n";
    fs::write(path, text).map_err(|error| {
        let message = format!(
            "the video is here, and its receipt {} cannot be written: {error}",
            path.display()
        );
        Failure::after_payment(job, message)
    })
}
