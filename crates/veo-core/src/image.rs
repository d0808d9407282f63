//! Images of this machine, brought to where a provider can reach them.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::providers::KEEPS_IMAGES;
use crate::runtime::runtime;
use crate::text::hex;
use crate::{Error, ErrorKind, Image, Input, Provider, VideoRequest};

/// The largest image that the model takes, in bytes.
const MAX_IMAGE: u64 = 20 << 20;

/// The end of a sentence about an image that cannot be uploaded.
pub(crate) fn stranded() -> String {
    format!(
        "is on this machine and no provider here has a place for it; put it on the web, or add {KEEPS_IMAGES}"
    )
}

/// Whether an image is on this machine only.
pub(crate) fn has_local(request: &VideoRequest) -> bool {
    request
        .images()
        .iter()
        .any(|image| !matches!(image, Image::Url(_)))
}

/// The request with all its images as URLs. Local ones are uploaded to the first provider that has a place for them; the URL
/// then serves any provider.
pub(crate) async fn uploaded<'a>(
    request: &VideoRequest,
    providers: impl Iterator<Item = &'a dyn Provider> + Clone,
) -> Result<VideoRequest, Error> {
    let mut request = request.clone();
    let images: Vec<&mut Image> = match &mut request.input {
        Input::Image { image } => vec![image],
        Input::Frames { first, last } => vec![first, last],
        Input::References { images } => images.iter_mut().collect(),
        Input::Text | Input::Extension { .. } => Vec::new(),
    };
    for image in images {
        *image = Image::Url(reachable(image, providers.clone()).await?);
    }
    Ok(request)
}

/// Whether there is an image of this machine, and nobody who could bring it to where a provider reaches it.
pub(crate) fn is_stranded<'a>(
    request: &VideoRequest,
    mut providers: impl Iterator<Item = &'a dyn Provider>,
) -> bool {
    has_local(request) && !providers.any(|provider| provider.capabilities().uploads)
}

/// The URL of an image, which is uploaded first if it has none.
pub(crate) async fn reachable<'a>(
    image: &Image,
    mut providers: impl Iterator<Item = &'a dyn Provider>,
) -> Result<String, Error> {
    let (bytes, name, stored) = match Found::of(image).await? {
        Found::There(url) => return Ok(url.to_owned()),
        Found::Here {
            bytes,
            name,
            stored,
        } => (bytes, name, stored),
    };
    match providers.find(|provider| provider.capabilities().uploads) {
        Some(provider) => upload(provider, &bytes, &stored).await,
        None => Err(refused(&name, &stranded())),
    }
}

/// How long to wait before an upload is tried again that did not arrive. It costs nothing.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

async fn upload(provider: &dyn Provider, bytes: &Bytes, name: &str) -> Result<String, Error> {
    for pause in PAUSES {
        match provider.upload(bytes.clone(), name.to_owned()).await {
            Err(error) if error.kind() == ErrorKind::NotSent => sleep(pause).await,
            done => return done,
        }
    }
    provider.upload(bytes.clone(), name.to_owned()).await
}

impl Image {
    /// Whether an image of this machine is there, and is one that a provider takes: what an upload finds out before it sends
    /// anything. Of a URL it finds out nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use veo_core::Image;
    ///
    /// let error = Image::from(b"GIF89a".to_vec()).check().await.unwrap_err();
    /// assert_eq!(error.to_string(), "input: the image is not a JPEG, PNG or WebP image");
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] with what is wrong.
    pub async fn check(&self) -> Result<(), Error> {
        Found::of(self).await.map(drop)
    }
}

/// Where an image is.
enum Found<'a> {
    /// At a URL.
    There(&'a str),
    /// On this machine, with its name here and the one it is to have there. It can be uploaded.
    Here {
        bytes: Bytes,
        name: String,
        stored: String,
    },
}

impl<'a> Found<'a> {
    async fn of(image: &'a Image) -> Result<Self, Error> {
        runtime()?;
        let (bytes, name) = match image {
            Image::Url(url) => return Ok(Self::There(url)),
            Image::File { file } => (read(file).await?, file.display().to_string()),
            Image::Bytes { bytes } => (bytes.clone(), "the image".to_owned()),
        };
        let stored = stored_name(&bytes, &name)?;
        Ok(Self::Here {
            bytes,
            name,
            stored,
        })
    }
}

async fn read(file: &Path) -> Result<Bytes, Error> {
    // Before it takes up the memory.
    let found = tokio::fs::metadata(file).await;
    let size = found.map_err(|error| unreadable(file, error))?.len();
    if size > MAX_IMAGE {
        return Err(too_large(&file.display()));
    }
    let read = tokio::fs::read(file).await;
    read.map(Bytes::from)
        .map_err(|error| unreadable(file, error))
}

/// A name for these bytes and no others, since the same name overwrites. Its ending tells the truth: hosts take the type from
/// it, and with a wrong type the generation fails.
fn stored_name(bytes: &[u8], name: &str) -> Result<String, Error> {
    if bytes.len() as u64 > MAX_IMAGE {
        return Err(too_large(&name));
    }
    let known = ["image/jpeg", "image/png", "image/webp"];
    let Some(kind) = infer::get(bytes).filter(|kind| known.contains(&kind.mime_type())) else {
        return Err(refused(&name, "is not a JPEG, PNG or WebP image"));
    };
    Ok(format!(
        "{}.{}",
        hex(&Sha256::digest(bytes)[..16]),
        kind.extension()
    ))
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    refused(&file.display(), "cannot be read; correct the path").with_source(error)
}

fn too_large(name: &dyn Display) -> Error {
    refused(
        name,
        &format!("is larger than {} MiB; make it smaller", MAX_IMAGE >> 20),
    )
}

fn refused(name: &dyn Display, what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("input: {name} {what}"))
}
