use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use veo_transport::without_queries;

use crate::text::{link, redact_texts};
use crate::{JobRef, Resolution};

/// A request for one video, in the vocabulary of all providers.
///
/// A field that is not set gets the cheapest choice: the cheapest model that can make the video, 720p, 8 seconds,
/// landscape. The offer has all of these choices, so the provider's own defaults do not matter.
/// [`Client::plan`](crate::Client::plan) shows what would be sent.
///
/// ```
/// use veo_core::{AspectRatio, VideoRequest};
///
/// let text = VideoRequest::text("A dog playing in a park").aspect_ratio(AspectRatio::Portrait).seconds(4);
/// let image = VideoRequest::image("It starts to rain", "https://img.example.net/park.png");
/// ```
///
/// The debug text has no queries of links, which can be signatures, and no bytes of images.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(description = "A video to make with Veo 3.1.")
)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VideoRequest {
    /// A description of what the video shows.
    pub prompt: String,
    /// The input that the video is made from, besides the prompt.
    #[serde(default, skip_serializing_if = "Input::is_text")]
    pub input: Input,
    /// The tier, which decides quality and price; the cheapest that can make the video if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Name of the model; the cheapest that can make the video if not set. Some models are used only if named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Shape of the picture; landscape if not set. An extension keeps the shape of its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<AspectRatio>,
    /// Size of the picture; 720p if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Length in seconds: 4, 6 or 8, and 10 for some models; 8 if not set. An extension adds about 7 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// The seed: the same seed makes similar videos. Its range depends on the provider; random if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// True for a video with sound; if not set, the provider decides, and mostly adds sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// A description of what the video should not show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// A text to print on the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
    /// True if the provider is to translate the prompt to English, as kie.ai does if this is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translate_prompt: Option<bool>,
    /// The URL that the provider calls when the job has ended. It has to be reachable from the Internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    /// Fields that only one provider has, under the name of that provider. They are sent unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Map<String, Value>>,
}

/// The input that a video is made from, besides the prompt. A video has one kind of input. The constructors of
/// [`VideoRequest`] set the input. In JSON the input is an object with a `type`:
///
/// ```
/// use veo_core::{Input, VideoRequest};
///
/// let json = r#"{ "prompt": "It starts to rain", "input": { "type": "image", "image": "https://img.example.net/park.png" } }"#;
/// let request: VideoRequest = serde_json::from_str(json)?;
/// assert!(matches!(request.input, Input::Image { .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(
        description = "The input that the video is made from, besides the prompt. A video has one kind of input."
    )
)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Input {
    /// No input: the prompt alone.
    #[default]
    Text,
    /// An image that the video starts from.
    Image {
        /// The first frame.
        image: Image,
    },
    /// The video goes from one image to another.
    Frames {
        /// The first frame.
        first: Image,
        /// The last frame.
        last: Image,
    },
    /// The video shows the things and people in the images, in any arrangement.
    References {
        /// The images: one to three, and up to seven for some models. The provider sets the limits.
        images: Vec<Image>,
    },
    /// The continuation of an earlier video.
    Extension {
        /// The earlier video.
        source: Source,
    },
}

/// An image: a JPEG, PNG or WebP of at most 20 MiB, which is Google's limit. A string is a URL, and a path is a file.
///
/// ```
/// use std::path::PathBuf;
/// use veo_core::{Image, VideoRequest};
///
/// let there = VideoRequest::image("It starts to rain", "https://img.example.net/park.png");
/// let here = VideoRequest::image("It starts to rain", PathBuf::from("park.png"));
/// let in_memory = VideoRequest::image("It starts to rain", Image::from(vec![0x89, b'P', b'N', b'G']));
/// ```
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(description = "An image.")
)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Image {
    /// An http or https URL that the provider can reach.
    Url(String),
    /// A file on this machine, which is uploaded first.
    File {
        /// The path of the file.
        file: PathBuf,
    },
    /// The bytes of an image, which are uploaded first.
    Bytes {
        /// The bytes; base64 in JSON.
        #[serde(with = "base64_text")]
        #[cfg_attr(feature = "schemars", schemars(with = "String"))]
        bytes: Bytes,
    },
}

/// The video that an extension continues. kie.ai needs the job and UniAll the URL; a finished [`Video`](crate::Video)
/// has both. A [`JobRef`], a [`Job`](crate::Job) and a [`Video`](crate::Video) convert into a source.
///
/// ```
/// use veo_core::{JobRef, Source, VideoRequest};
///
/// let job: JobRef = "kie:0f1e2d3c".parse()?;
/// let with_kie = VideoRequest::extension("It finds a stick", job);
/// let with_uniall = VideoRequest::extension("It finds a stick", Source::url("https://cdn.example.net/dog.mp4"));
/// # Ok::<(), veo_core::Error>(())
/// ```
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(
        description = "The video that an extension continues. kie.ai needs the job and UniAll the URL."
    )
)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Source {
    /// The job that made the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRef>,
    /// The URL of the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The kind of input that a video is made from.
///
/// ```
/// use veo_core::{Mode, VideoRequest};
///
/// assert_eq!(VideoRequest::image("It starts to rain", "https://img.example.net/park.png").mode(), Mode::Image);
/// assert_eq!(Mode::Image.to_string(), "image");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// From text.
    Text,
    /// From an image.
    Image,
    /// From the first and the last frame.
    Frames,
    /// From reference images.
    References,
    /// From an earlier video.
    Extension,
}

/// The quality and the price of a model, from the cheapest to the dearest.
///
/// ```
/// use veo_core::{Tier, VideoRequest};
///
/// let best = VideoRequest::text("A dog playing in a park").tier(Tier::Quality);
/// assert!(Tier::Lite < Tier::Quality);
/// assert_eq!(Tier::Quality.to_string(), "quality");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(
        description = "The quality and the price of a model, from the cheapest to the dearest."
    )
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Tier {
    /// The cheapest.
    Lite,
    /// The tier in between.
    Fast,
    /// The best.
    Quality,
}

/// Shape of the picture.
///
/// ```
/// use veo_core::{AspectRatio, VideoRequest};
///
/// let upright = VideoRequest::text("A dog playing in a park").aspect_ratio(AspectRatio::Portrait);
/// assert_eq!(AspectRatio::Portrait.to_string(), "9:16");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(description = "Shape of the picture.")
)]
#[non_exhaustive]
pub enum AspectRatio {
    /// 16 to 9.
    #[serde(rename = "16:9")]
    Landscape,
    /// 9 to 16.
    #[serde(rename = "9:16")]
    Portrait,
    /// Landscape or portrait, whichever is nearer to the shape of the image. The image is cropped to it.
    #[serde(rename = "auto", alias = "Auto")]
    Auto,
}

impl VideoRequest {
    /// Makes a request for a video from text.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park");
    /// ```
    pub fn text(prompt: impl Into<String>) -> Self {
        Self::new(prompt, Input::Text)
    }

    /// Makes a request for a video that starts from an image.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::image("It starts to rain", "https://img.example.net/park.png");
    /// ```
    pub fn image(prompt: impl Into<String>, image: impl Into<Image>) -> Self {
        Self::new(
            prompt,
            Input::Image {
                image: image.into(),
            },
        )
    }

    /// Makes a request for a video from a first to a last frame.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::frames("It lands", "https://img.example.net/1.png", "https://img.example.net/2.png");
    /// ```
    pub fn frames(
        prompt: impl Into<String>,
        first: impl Into<Image>,
        last: impl Into<Image>,
    ) -> Self {
        Self::new(
            prompt,
            Input::Frames {
                first: first.into(),
                last: last.into(),
            },
        )
    }

    /// Makes a request for a video that shows the things and people in one to three images.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let images = ["https://img.example.net/dog.png", "https://img.example.net/park.png"];
    /// let request = VideoRequest::references("The dog in the park", images);
    /// ```
    pub fn references<I: Into<Image>>(
        prompt: impl Into<String>,
        images: impl IntoIterator<Item = I>,
    ) -> Self {
        Self::new(
            prompt,
            Input::References {
                images: images.into_iter().map(Into::into).collect(),
            },
        )
    }

    /// Makes a request for a video that continues another one.
    ///
    /// ```
    /// use veo_core::{Video, VideoRequest};
    ///
    /// fn longer(video: &Video) -> VideoRequest {
    ///     VideoRequest::extension("The dog finds a stick", video)
    /// }
    /// ```
    pub fn extension(prompt: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(
            prompt,
            Input::Extension {
                source: source.into(),
            },
        )
    }

    fn new(prompt: impl Into<String>, input: Input) -> Self {
        Self {
            prompt: prompt.into(),
            input,
            tier: None,
            model: None,
            aspect_ratio: None,
            resolution: None,
            seconds: None,
            seed: None,
            audio: None,
            negative_prompt: None,
            watermark: None,
            translate_prompt: None,
            callback_url: None,
            extra: BTreeMap::new(),
        }
    }

    /// Chooses a tier.
    ///
    /// ```
    /// use veo_core::{Tier, VideoRequest};
    ///
    /// let request = VideoRequest::text("A dog playing in a park").tier(Tier::Fast);
    /// ```
    #[must_use]
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Chooses a model by its name. Only a provider with this model is used. A model that is [never chosen
    /// automatically](crate::Model::is_named_only) has to be chosen in this way.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").model("google/gemini-omni-flash-1-1");
    /// ```
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Chooses the shape of the picture.
    ///
    /// ```
    /// use veo_core::{AspectRatio, VideoRequest};
    ///
    /// let request = VideoRequest::text("A dog playing in a park").aspect_ratio(AspectRatio::Portrait);
    /// ```
    #[must_use]
    pub fn aspect_ratio(mut self, aspect_ratio: AspectRatio) -> Self {
        self.aspect_ratio = Some(aspect_ratio);
        self
    }

    /// Chooses the size of the picture.
    ///
    /// ```
    /// use veo_core::{Resolution, VideoRequest};
    ///
    /// let request = VideoRequest::text("A dog playing in a park").resolution(Resolution::P1080);
    /// ```
    #[must_use]
    pub fn resolution(mut self, resolution: Resolution) -> Self {
        self.resolution = Some(resolution);
        self
    }

    /// Chooses the length, in seconds.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").seconds(4);
    /// ```
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Chooses the seed.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").seed(23456);
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Chooses whether the video has sound.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").audio(false);
    /// ```
    #[must_use]
    pub fn audio(mut self, audio: bool) -> Self {
        self.audio = Some(audio);
        self
    }

    /// Describes what the video should not show.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").negative_prompt("other dogs");
    /// ```
    #[must_use]
    pub fn negative_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.negative_prompt = Some(prompt.into());
        self
    }

    /// Prints a text on the video.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").watermark("Dogs Inc.");
    /// ```
    #[must_use]
    pub fn watermark(mut self, text: impl Into<String>) -> Self {
        self.watermark = Some(text.into());
        self
    }

    /// Chooses whether the prompt is translated to English.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("Ein Hund spielt im Park").translate_prompt(true);
    /// ```
    #[must_use]
    pub fn translate_prompt(mut self, translate: bool) -> Self {
        self.translate_prompt = Some(translate);
        self
    }

    /// Sets the URL that the provider calls when the job has ended.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").callback_url("https://app.example.net/webhook");
    /// ```
    #[must_use]
    pub fn callback_url(mut self, url: impl Into<String>) -> Self {
        self.callback_url = Some(url.into());
        self
    }

    /// Adds a field that only this provider has. It is sent unchanged. [`Client::plan`](crate::Client::plan) refuses a
    /// field that [`VideoRequest`] covers, and a value of the wrong type.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::text("A dog playing in a park").extra("kie", "enableFallback", false);
    /// ```
    #[must_use]
    pub fn extra(
        mut self,
        provider: impl Into<String>,
        field: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        self.extra
            .entry(provider.into())
            .or_default()
            .insert(field.into(), value.into());
        self
    }

    /// The kind of the input.
    pub fn mode(&self) -> Mode {
        match self.input {
            Input::Text => Mode::Text,
            Input::Image { .. } => Mode::Image,
            Input::Frames { .. } => Mode::Frames,
            Input::References { .. } => Mode::References,
            Input::Extension { .. } => Mode::Extension,
        }
    }

    /// The images of the input, in order.
    ///
    /// ```
    /// use veo_core::VideoRequest;
    ///
    /// let request = VideoRequest::frames("It lands", "https://img.example.net/1.png", "https://img.example.net/2.png");
    /// assert_eq!(request.images().len(), 2);
    /// ```
    pub fn images(&self) -> Vec<&Image> {
        match &self.input {
            Input::Image { image } => vec![image],
            Input::Frames { first, last } => vec![first, last],
            Input::References { images } => images.iter().collect(),
            Input::Text | Input::Extension { .. } => Vec::new(),
        }
    }

    pub(crate) fn images_mut(&mut self) -> Vec<&mut Image> {
        match &mut self.input {
            Input::Image { image } => vec![image],
            Input::Frames { first, last } => vec![first, last],
            Input::References { images } => images.iter_mut().collect(),
            Input::Text | Input::Extension { .. } => Vec::new(),
        }
    }

    /// The links that a provider follows or calls, each with the name of its field.
    pub(crate) fn urls(&self) -> Vec<(&'static str, &str)> {
        let mut links: Vec<(&'static str, &str)> = Vec::new();
        for image in self.images() {
            if let Image::Url(url) = image {
                links.push(("input", url));
            }
        }
        if let Input::Extension { source } = &self.input
            && let Some(url) = &source.url
        {
            links.push(("input", url));
        }
        if let Some(url) = &self.callback_url {
            links.push(("callback_url", url));
        }
        links
    }

    /// Removes the queries of links, which can be secret, and the bytes of images.
    pub(crate) fn redact(&mut self) {
        for image in self.images_mut() {
            match image {
                Image::Url(url) => *url = without_queries(url),
                Image::Bytes { bytes } => bytes.clear(),
                Image::File { .. } => {}
            }
        }
        if let Input::Extension { source } = &mut self.input
            && let Some(url) = &mut source.url
        {
            *url = without_queries(url);
        }
        if let Some(url) = &mut self.callback_url {
            *url = without_queries(url);
        }
        let fields = self.extra.values_mut();
        fields
            .flat_map(|fields| fields.values_mut())
            .for_each(redact_texts);
    }
}

impl Input {
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

impl Image {
    /// The text for the image in the body of an offer: its URL, or before the upload its path or its length.
    pub fn in_body(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::File { file } => file.display().to_string(),
            Self::Bytes { bytes } => format!("({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Debug for VideoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prompt,
            input,
            tier,
            model,
            aspect_ratio,
            resolution,
            seconds,
            seed,
            audio,
            negative_prompt,
            watermark,
            translate_prompt,
            callback_url,
            extra,
        } = self;
        let shown = |text: &Option<String>| text.as_deref().map(without_queries);
        let extra = serde_json::to_string(extra).unwrap_or_default();
        let mut text = f.debug_struct("VideoRequest");
        text.field("prompt", &without_queries(prompt))
            .field("input", input)
            .field("tier", tier)
            .field("model", model);
        text.field("aspect_ratio", aspect_ratio)
            .field("resolution", resolution)
            .field("seconds", seconds);
        text.field("seed", seed)
            .field("audio", audio)
            .field("negative_prompt", &shown(negative_prompt));
        text.field("watermark", &shown(watermark))
            .field("translate_prompt", translate_prompt);
        text.field("callback_url", &callback_url.as_deref().map(link));
        text.field("extra", &format_args!("{}", without_queries(&extra)))
            .finish()
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.debug_tuple("Url").field(&link(url)).finish(),
            Self::File { file } => f.debug_struct("File").field("file", file).finish(),
            Self::Bytes { bytes } => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_deref().map(link);
        f.debug_struct("Source")
            .field("job", &self.job)
            .field("url", &url)
            .finish()
    }
}

impl From<&str> for Image {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl From<String> for Image {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes {
            bytes: bytes.into(),
        }
    }
}

impl From<Bytes> for Image {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes { bytes }
    }
}

impl From<PathBuf> for Image {
    fn from(file: PathBuf) -> Self {
        Self::File { file }
    }
}

impl Source {
    /// Makes a source from the URL of a video.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            job: None,
            url: Some(url.into()),
        }
    }
}

impl From<JobRef> for Source {
    fn from(job: JobRef) -> Self {
        Self {
            job: Some(job),
            url: None,
        }
    }
}

impl From<&JobRef> for Source {
    fn from(job: &JobRef) -> Self {
        Self::from(job.clone())
    }
}

mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map(Bytes::from)
            .map_err(serde::de::Error::custom)
    }
}

/// Prints a value as its word in JSON.
macro_rules! display_as_json {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}

display_as_json!(Mode, Tier, AspectRatio);
