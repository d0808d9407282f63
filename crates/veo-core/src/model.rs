//! The models: what each can do, and why it cannot make a request.

use std::ops::RangeInclusive;

use reqwest::Url;
use serde::Serialize;
use veo_transport::without_queries;

use crate::text::link;
use crate::{AspectRatio, Image, Input, Mode, Resolution, Tier, VideoRequest};

/// A model of a provider, with its abilities. [`Client::models`](crate::Client::models) lists the models of the
/// providers. A provider of your own makes its models itself:
///
/// ```
/// use veo_core::{AspectRatio, Mode, Model, Resolution, Tier, VideoRequest};
///
/// let model = Model::new("hat", "top-hat-1", Tier::Lite)
///     .modes(&[Mode::Text])
///     .resolutions(&[Resolution::P720])
///     .aspect_ratios(&[AspectRatio::Landscape])
///     .seconds(&[8]);
/// let reasons = model.reasons(&VideoRequest::text("A rabbit").seconds(4));
/// assert_eq!(reasons[0].message, "top-hat-1 makes no videos of 4 s; choose 8");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// [`Provider::name`](crate::Provider::name) of the provider.
    pub provider: &'static str,
    /// The name of the model at its provider.
    pub name: &'static str,
    /// The tier of the model, if it has one.
    pub tier: Option<Tier>,
    /// True if the model is used only for requests that name it.
    pub is_named_only: bool,
    /// The kinds of input that the model accepts.
    pub modes: &'static [Mode],
    /// The sizes of picture that the model makes.
    pub resolutions: &'static [Resolution],
    /// The shapes of picture that the model makes.
    pub aspect_ratios: &'static [AspectRatio],
    /// The lengths that a request can choose, in seconds.
    pub seconds: &'static [u32],
    /// The number of reference images that the model accepts; 0 to 0 if it accepts none.
    pub references: RangeInclusive<usize>,
    /// The range of seeds that the model accepts; `None` if it accepts no seed.
    pub seeds: Option<RangeInclusive<i64>>,
    /// The optional features that the model has.
    pub options: &'static [Feature],
}

/// A feature that a request can ask for and that not every model has.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// use veo_core::Feature;
///
/// for model in client.models().filter(|model| model.options.contains(&Feature::NegativePrompt)) {
///     println!("{} of {} takes a negative prompt", model.name, model.provider);
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Feature {
    /// Video without sound.
    Silence,
    /// [`VideoRequest::negative_prompt`].
    NegativePrompt,
    /// [`VideoRequest::watermark`].
    Watermark,
    /// [`VideoRequest::translate_prompt`].
    Translation,
    /// [`VideoRequest::callback_url`].
    Callback,
    /// An extension of a job, by [`Source::job`](crate::Source::job).
    ExtendJob,
    /// An extension of a file, by [`Source::url`](crate::Source::url).
    ExtendUrl,
}

/// A reason why a request cannot be made: the field, and what is wrong with it.
///
/// ```
/// use veo_core::Reason;
///
/// let reason = Reason::new("seconds", "a hat makes no videos of 4 s; choose 8");
/// assert_eq!(reason.field, "seconds");
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The field of [`VideoRequest`], or `provider` if no change of the request would help.
    pub field: &'static str,
    /// A sentence that says what is wrong and what would be right. Links are shown without their queries.
    pub message: String,
}

impl Reason {
    /// Makes a reason about a field. It removes the queries of links from the message.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: without_queries(&message.into()),
        }
    }
}

impl Model {
    /// Makes a model that accepts any seed, and has no other ability yet.
    pub const fn new(provider: &'static str, name: &'static str, tier: Tier) -> Self {
        Self {
            provider,
            name,
            tier: Some(tier),
            is_named_only: false,
            modes: &[],
            resolutions: &[],
            aspect_ratios: &[],
            seconds: &[],
            references: 0..=0,
            seeds: Some(i64::MIN..=i64::MAX),
            options: &[],
        }
    }

    /// Removes the model from all tiers. Only a [request that names the model](VideoRequest::model) can use it.
    #[must_use]
    pub const fn named_only(mut self) -> Self {
        self.is_named_only = true;
        self.without_tier()
    }

    /// Removes the model from all tiers.
    #[must_use]
    pub const fn without_tier(mut self) -> Self {
        self.tier = None;
        self
    }

    /// Sets the modes.
    #[must_use]
    pub const fn modes(mut self, modes: &'static [Mode]) -> Self {
        self.modes = modes;
        self
    }

    /// Sets the sizes of the picture.
    #[must_use]
    pub const fn resolutions(mut self, resolutions: &'static [Resolution]) -> Self {
        self.resolutions = resolutions;
        self
    }

    /// Sets the shapes of the picture.
    #[must_use]
    pub const fn aspect_ratios(mut self, aspect_ratios: &'static [AspectRatio]) -> Self {
        self.aspect_ratios = aspect_ratios;
        self
    }

    /// Sets the lengths, in seconds.
    #[must_use]
    pub const fn seconds(mut self, seconds: &'static [u32]) -> Self {
        self.seconds = seconds;
        self
    }

    /// Sets the number of reference images.
    #[must_use]
    pub const fn references(mut self, references: RangeInclusive<usize>) -> Self {
        self.references = references;
        self
    }

    /// Sets the range of seeds. By default a model accepts any seed.
    #[must_use]
    pub const fn seeds(mut self, seeds: RangeInclusive<i64>) -> Self {
        self.seeds = Some(seeds);
        self
    }

    /// Makes the model refuse seeds.
    #[must_use]
    pub const fn without_seeds(mut self) -> Self {
        self.seeds = None;
        self
    }

    /// Sets the optional features.
    #[must_use]
    pub const fn options(mut self, options: &'static [Feature]) -> Self {
        self.options = options;
        self
    }

    /// Returns every reason why this model cannot make the video of a request. The list is empty if it can.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").seconds(5);
    /// for model in client.models() {
    ///     assert!(model.reasons(&request).iter().any(|reason| reason.field == "seconds"));
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn reasons(&self, request: &VideoRequest) -> Vec<Reason> {
        let mut reasons = Vec::new();
        reasons.extend(self.input_reason(request));
        reasons.extend(self.name_reason(request));
        reasons.extend(self.tier_reason(request));
        reasons.extend(self.resolution_reason(request));
        reasons.extend(self.aspect_ratio_reason(request));
        reasons.extend(self.length_reason(request));
        reasons.extend(self.seed_reason(request));
        reasons.extend(self.references_reason(request));
        for feature in asked(request) {
            if !self.options.contains(&feature) {
                let (field, words) = described(feature);
                let message = format!("{words} is not supported by {}", self.name);
                reasons.push(Reason::new(field, message));
            }
        }
        reasons
    }

    fn input_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let mode = request.mode();
        if self.modes.contains(&mode) {
            return None;
        }
        let message = format!("{} makes no video from {}", self.name, mode_words(mode));
        Some(Reason::new("input", message))
    }

    fn name_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let message = match request.model.as_deref() {
            Some(name) if name == self.name => return None,
            Some(name) => format!("this model is {} and not {name}", self.name),
            None if self.is_named_only => format!("{} is chosen only by its name", self.name),
            None => return None,
        };
        Some(Reason::new("model", message))
    }

    fn tier_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let asked = request.tier?;
        let message = match self.tier {
            Some(tier) if tier == asked => return None,
            Some(tier) => format!("{} is {tier}", self.name),
            None => format!("{} has no tiers; leave it out", self.name),
        };
        Some(Reason::new("tier", message))
    }

    fn resolution_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let resolution = request.resolution.unwrap_or(Resolution::P720);
        if self.resolutions.contains(&resolution) {
            return None;
        }
        let choices = choices(self.resolutions);
        let message = format!("{} does not make {resolution}; choose {choices}", self.name);
        Some(Reason::new("resolution", message))
    }

    fn aspect_ratio_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let ratio = request.aspect_ratio?;
        let message = match request.mode() {
            Mode::Extension => {
                "an extension keeps the shape of its source; leave it out".to_owned()
            }
            Mode::Text if ratio == AspectRatio::Auto => {
                "auto follows an image and there is none; choose 16:9 or 9:16".to_owned()
            }
            _ if !self.aspect_ratios.contains(&ratio) => {
                let choices = choices(self.aspect_ratios);
                format!("{} does not make {ratio}; choose {choices}", self.name)
            }
            _ => return None,
        };
        Some(Reason::new("aspect_ratio", message))
    }

    fn length_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let seconds = request.seconds?;
        if self.seconds.contains(&seconds) {
            return None;
        }
        let message = if self.seconds.is_empty() {
            format!("{} leaves no choice of the length; leave it out", self.name)
        } else {
            let choices = choices(self.seconds);
            format!(
                "{} makes no videos of {seconds} s; choose {choices}",
                self.name
            )
        };
        Some(Reason::new("seconds", message))
    }

    fn seed_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let seed = request.seed?;
        let message = match &self.seeds {
            Some(seeds) if seeds.contains(&seed) => return None,
            Some(seeds) => {
                let least = seeds.start();
                let most = seeds.end();
                format!("{seed} is out of range; choose one from {least} to {most}")
            }
            None => format!("{} takes no seed; leave it out", self.name),
        };
        Some(Reason::new("seed", message))
    }

    fn references_reason(&self, request: &VideoRequest) -> Option<Reason> {
        let Input::References { images } = &request.input else {
            return None;
        };
        let count = images.len();
        // If the model accepts no reference images, `input_reason` has said so already.
        let takes_any = self.modes.contains(&Mode::References);
        if !takes_any || self.references.contains(&count) {
            return None;
        }
        let least = self.references.start();
        let most = self.references.end();
        let name = self.name;
        let message = format!("{name} takes {least} to {most} reference images and not {count}");
        Some(Reason::new("input", message))
    }
}

/// Returns the reasons why no provider can make the video of a request.
pub(crate) fn impossible_reasons(request: &VideoRequest) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if request.prompt.trim().is_empty() {
        reasons.push(Reason::new(
            "prompt",
            "it is empty; say what the video shows",
        ));
    }
    for image in request.images() {
        let Image::Url(url) = image else { continue };
        if !is_web(url) {
            let message = format!(
                "{} is not an http or https URL; for a file give its path as a file",
                link(url)
            );
            reasons.push(Reason::new("input", message));
        }
    }
    if let Input::Extension { source } = &request.input {
        match &source.url {
            Some(url) if !is_web(url) => {
                let message = format!("{} is not an http or https URL of a video", link(url));
                reasons.push(Reason::new("input", message));
            }
            None if source.job.is_none() => {
                reasons.push(Reason::new(
                    "input",
                    "an extension needs the job or the URL of the video",
                ));
            }
            _ => {}
        }
    }
    if let Some(url) = request.callback_url.as_deref().filter(|url| !is_web(url)) {
        reasons.push(Reason::new(
            "callback_url",
            format!("{} is not an http or https URL", link(url)),
        ));
    }
    for (field, url) in request.urls() {
        reasons.extend(lost_query_reason(field, url));
    }
    reasons
}

/// Refuses a link from a receipt or a ledger, which store links without queries. A provider could not follow it.
fn lost_query_reason(field: &'static str, url: &str) -> Option<Reason> {
    if !url.ends_with("?...") {
        return None;
    }
    let message = format!(
        "{} has lost its query, since records keep none; give the whole link",
        link(url)
    );
    Some(Reason::new(field, message))
}

/// Returns whether a text is a whole URL with a host. The parser alone would accept blanks and missing slashes.
fn is_web(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else {
        return false;
    };
    let rest = url.get(parsed.scheme().len()..).unwrap_or_default();
    let has_host = rest.starts_with("://") && !rest.starts_with(":///");
    let has_blank = url.contains(|c: char| c.is_whitespace() || c.is_control());
    matches!(parsed.scheme(), "http" | "https") && has_host && !has_blank
}

/// Lists the features that a request asks for.
fn asked(request: &VideoRequest) -> Vec<Feature> {
    let source = match &request.input {
        Input::Extension { source } => Some(source),
        _ => None,
    };
    let either = source.is_some_and(|source| source.job.is_some() && source.url.is_some());
    let asked = [
        (request.audio == Some(false), Feature::Silence),
        (request.negative_prompt.is_some(), Feature::NegativePrompt),
        (request.watermark.is_some(), Feature::Watermark),
        (request.translate_prompt.is_some(), Feature::Translation),
        (request.callback_url.is_some(), Feature::Callback),
        // If the source has a job and a URL, every provider can use one of the two, so neither is required.
        (
            !either && source.is_some_and(|source| source.job.is_some()),
            Feature::ExtendJob,
        ),
        (
            !either && source.is_some_and(|source| source.url.is_some()),
            Feature::ExtendUrl,
        ),
    ];
    asked
        .into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, feature)| feature)
        .collect()
}

/// The field that asks for a feature, and the words for the feature.
fn described(feature: Feature) -> (&'static str, &'static str) {
    match feature {
        Feature::Silence => ("audio", "video without sound"),
        Feature::NegativePrompt => ("negative_prompt", "a negative prompt"),
        Feature::Watermark => ("watermark", "a watermark"),
        Feature::Translation => ("translate_prompt", "a choice of translation"),
        Feature::Callback => ("callback_url", "a callback"),
        Feature::ExtendJob => ("input", "an extension by job"),
        Feature::ExtendUrl => ("input", "an extension by URL"),
    }
}

fn mode_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Text => "text",
        Mode::Image => "an image",
        Mode::Frames => "a first and a last frame",
        Mode::References => "reference images",
        Mode::Extension => "an earlier video",
    }
}

/// Lists choices in words: `4, 6 or 8`.
pub(crate) fn choices<T: ToString>(values: &[T]) -> String {
    let words: Vec<_> = values.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
