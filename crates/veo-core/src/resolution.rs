use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

/// Size of the picture, for the landscape shape.
///
/// ```
/// use veo_core::Resolution;
///
/// assert_eq!("4k".parse(), Ok(Resolution::K4));
/// assert_eq!(Resolution::P1080.to_string(), "1080p");
/// assert!(Resolution::P720 < Resolution::K4);
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(schemars::JsonSchema),
    schemars(description = "Size of the picture, for the landscape shape.")
)]
#[non_exhaustive]
pub enum Resolution {
    /// 640 by 360.
    #[serde(rename = "360p")]
    P360,
    /// 1280 by 720.
    #[serde(rename = "720p")]
    P720,
    /// 1920 by 1080.
    #[serde(rename = "1080p")]
    P1080,
    /// 3840 by 2160.
    #[serde(rename = "4k")]
    K4,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Resolution {
    type Err = serde::de::value::Error;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::deserialize(word.into_deserializer())
    }
}
