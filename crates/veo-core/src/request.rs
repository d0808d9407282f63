use crate::{Error, ErrorKind};

/// A video to make.
///
/// What is not set is chosen so that the video is as cheap as can be: the cheapest tier of the provider. The resolution is
/// 720p. All of it is written out in the request to the provider, whose own defaults are not relied on.
///
/// ```
/// use veo_core::{AspectRatio, VideoRequest};
///
/// let request = VideoRequest::new("A dog playing in a park").aspect_ratio(AspectRatio::Portrait).seconds(4);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct VideoRequest {
    /// What the video shows.
    pub prompt: String,
    /// URL of an image to bring to life, as the first frame. The provider has to be able to reach it.
    pub image: Option<String>,
    /// Quality against price; the cheapest that the provider has if not set.
    pub tier: Option<Tier>,
    /// Shape of the picture; landscape if not set.
    pub aspect_ratio: AspectRatio,
    /// Length in seconds: 4, 6 or 8, and 8 if not set.
    pub seconds: u32,
}

/// Quality against price.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Tier {
    /// The best and the dearest.
    Quality,
    /// In between.
    Fast,
    /// The cheapest. Not at UniAll.
    Lite,
}

/// Shape of the picture.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AspectRatio {
    /// 16 to 9.
    #[default]
    Landscape,
    /// 9 to 16.
    Portrait,
}

impl VideoRequest {
    /// A video from text.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), image: None, tier: None, aspect_ratio: AspectRatio::default(), seconds: 8 }
    }

    /// Starts from an image.
    #[must_use]
    pub fn image(mut self, url: impl Into<String>) -> Self {
        self.image = Some(url.into());
        self
    }

    /// Chooses a tier.
    #[must_use]
    pub fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }

    /// Chooses the shape of the picture.
    #[must_use]
    pub fn aspect_ratio(mut self, aspect_ratio: AspectRatio) -> Self {
        self.aspect_ratio = aspect_ratio;
        self
    }

    /// Chooses the length.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// What no provider can make.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.prompt.trim().is_empty() {
            return Err(invalid("prompt: it is empty; say what the video shows"));
        }
        match &self.image {
            Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
                Err(invalid(format!("image: {url} is not an http or https URL; the provider fetches the image itself")))
            }
            _ => Ok(()),
        }
    }

    /// The length in the provider's own type.
    pub(crate) fn duration<D: TryFrom<i64>>(&self) -> Result<D, Error> {
        let refuse = |_| invalid(format!("seconds: {} is no length of a video; choose 4, 6 or 8", self.seconds));
        D::try_from(self.seconds.into()).map_err(refuse)
    }
}

/// A request that is refused before anything is sent.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
