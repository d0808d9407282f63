use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::time::now;
use crate::{AspectRatio, Job, Media, Mode, Resolution, Saved, Video};

/// The receipt of a finished video: the request, the price and the delivered file. It can be stored as JSON.
/// [`Client::download`](crate::Client::download) has an example.
///
/// ```
/// fn keep(receipt: &veo_core::Receipt) -> Result<String, serde_json::Error> {
///     serde_json::to_string_pretty(receipt)
/// }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The job: its provider, its model, its request as sent, and its time of acceptance. Links are without secrets,
    /// and bytes of images are left out.
    pub job: Job,
    /// The resolution in the provider's words, if reported.
    pub resolution: Option<String>,
    /// The price in the provider's credits, if reported. An unknown price is not zero.
    pub credits: Option<f64>,
    /// The seeds, if reported.
    pub seeds: Vec<i64>,
    /// The time at which the provider began, by the provider's clock, if reported.
    #[serde(with = "crate::time::optional_unix_seconds")]
    pub created_at: Option<SystemTime>,
    /// The time at which the provider finished, by the provider's clock, if reported.
    #[serde(with = "crate::time::optional_unix_seconds")]
    pub completed_at: Option<SystemTime>,
    /// The file, with its SHA-256 and the properties of its content.
    pub saved: Saved,
    /// The time at which this receipt was made.
    #[serde(with = "crate::time::unix_seconds")]
    pub made_at: SystemTime,
    /// The differences between the request and the video. The list is empty if there are none.
    pub discrepancies: Vec<String>,
}

impl Receipt {
    /// Makes the receipt of a saved video.
    ///
    /// ```
    /// use veo_core::{Job, Receipt, Saved, Video};
    ///
    /// fn complaints(job: &Job, video: &Video, saved: &Saved) -> Vec<String> {
    ///     Receipt::new(job, video, saved).discrepancies
    /// }
    /// ```
    pub fn new(job: &Job, video: &Video, saved: &Saved) -> Self {
        let mut discrepancies = discrepancies(job, &saved.media);
        discrepancies.extend(video.shortfall.clone());
        discrepancies.extend(saved.media.doubts.clone());
        Self {
            job: job.redacted(),
            resolution: video.resolution.clone(),
            credits: video.credits,
            seeds: video.seeds.clone(),
            created_at: video.created_at,
            completed_at: video.completed_at,
            saved: saved.clone(),
            made_at: now(),
            discrepancies,
        }
    }

    /// Returns whether the video is smaller or shorter than requested, or lacks the requested sound.
    pub fn is_less(&self) -> bool {
        !lacks(&self.job, &self.saved.media).is_empty()
    }
}

/// Returns the differences between the file and the request. A choice that was left to the provider cannot be wrong.
fn discrepancies(job: &Job, media: &Media) -> Vec<String> {
    let request = &job.offer.request;
    let mut found = Vec::new();
    // The provider decides how much an extension adds, and its source decides the shape.
    if request.mode() != Mode::Extension {
        let asked = f64::from(request.seconds.unwrap_or(8));
        if media.seconds - asked > TOLERANCE {
            found.push(length(asked, media));
        }
        let landscape = media.width > media.height;
        match request.aspect_ratio.unwrap_or(AspectRatio::Landscape) {
            AspectRatio::Landscape if !landscape => {
                found.push("16:9 was requested, and an upright video was delivered".to_owned())
            }
            AspectRatio::Portrait if landscape => {
                found.push("9:16 was requested, and a wide video was delivered".to_owned())
            }
            _ => {}
        }
    }
    if request.audio == Some(false) && media.has_audio {
        found.push("no sound was requested, and sound was delivered".to_owned());
    }
    found.extend(lacks(job, media));
    found
}

/// The seconds by which a video may be longer or shorter than requested.
const TOLERANCE: f64 = 0.5;

/// Returns in which respects the file is less than the request.
fn lacks(job: &Job, media: &Media) -> Vec<String> {
    let request = &job.offer.request;
    let mut found = Vec::new();
    let asked = f64::from(request.seconds.unwrap_or(8));
    if request.mode() != Mode::Extension && asked - media.seconds > TOLERANCE {
        found.push(length(asked, media));
    }
    let lines = match job.offer.resolution() {
        Resolution::P360 => 360,
        Resolution::P720 => 720,
        Resolution::P1080 => 1080,
        Resolution::K4 => 2160,
    };
    let came = media.width.min(media.height);
    if came < lines {
        found.push(format!(
            "{} was requested, and {came}p was delivered",
            job.offer.resolution()
        ));
    }
    if request.audio == Some(true) && !media.has_audio {
        found.push("sound was requested, and none was delivered".to_owned());
    }
    found
}

fn length(asked: f64, media: &Media) -> String {
    format!(
        "{asked} s were requested, and {:.1} s were delivered",
        media.seconds
    )
}
