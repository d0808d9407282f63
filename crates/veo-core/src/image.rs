//! The upload of images of this machine, so that the providers can reach them.

use std::fmt::Display;
use std::fs::{File, FileType};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::picture::{self, Size};
use crate::providers::KEEPS_IMAGES;
use crate::runtime::runtime;
use crate::text::hex;
use crate::{AspectRatio, Error, ErrorKind, Image, Mode, Provider, VideoRequest};

/// The largest image that Veo accepts, in bytes: Google's own limit.
const MAX_IMAGE: u64 = 20 << 20;

/// The predicate of a sentence about an image that cannot be uploaded.
pub(crate) fn no_uploader_clause() -> String {
    format!(
        "is on this machine, and no provider of this client takes uploads; put it on the web, or add {KEEPS_IMAGES}"
    )
}

/// Returns whether the request has an image of this machine.
pub(crate) fn has_local(request: &VideoRequest) -> bool {
    request
        .images()
        .iter()
        .any(|image| !matches!(image, Image::Url(_)))
}

/// Replaces all images of a request with URLs. Images of this machine are uploaded to the first provider that stores
/// images. All providers can reach the URL of an uploaded image.
pub(crate) async fn uploaded<'a>(
    request: &VideoRequest,
    providers: impl Iterator<Item = &'a dyn Provider> + Clone,
) -> Result<VideoRequest, Error> {
    let mut request = request.clone();
    for image in request.images_mut() {
        *image = Image::Url(reachable(image, providers.clone()).await?);
    }
    Ok(request)
}

/// Returns whether the request has an image of this machine, and no provider stores images.
pub(crate) fn lacks_uploader<'a>(
    request: &VideoRequest,
    mut providers: impl Iterator<Item = &'a dyn Provider>,
) -> bool {
    has_local(request) && !providers.any(|provider| provider.capabilities().uploads)
}

/// Returns the URL of an image, and uploads the image first if it has none.
pub(crate) async fn reachable<'a>(
    image: &Image,
    mut providers: impl Iterator<Item = &'a dyn Provider>,
) -> Result<String, Error> {
    if let Image::Url(url) = image {
        return Ok(url.clone());
    }
    let local = LocalImage::of(image).await?;
    match providers.find(|provider| provider.capabilities().uploads) {
        Some(provider) => upload(provider, &local.bytes, &local.stored_name()).await,
        None => Err(unusable_image(&local.name, &no_uploader_clause())),
    }
}

/// The pauses before the tries of an upload that could not be sent. An upload costs nothing, so it may be repeated.
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
    /// Checks that an image of this machine exists, and that it has a format and a size that Google accepts. An upload
    /// makes the same check before anything is sent. An image with a URL always passes.
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
    /// [`ErrorKind::InvalidRequest`], with a sentence about what is wrong.
    pub async fn check(&self) -> Result<(), Error> {
        if let Self::Url(_) = self {
            return Ok(());
        }
        LocalImage::of(self).await.map(drop)
    }
}

/// Reads the images of this machine, and returns warnings about shapes that do not fit. It blocks while it reads.
///
/// # Errors
///
/// A sentence about an image that cannot be used.
pub(crate) fn judged(request: &VideoRequest) -> Result<Vec<String>, String> {
    let mut looked = Vec::new();
    for image in request.images() {
        let local = match image {
            Image::Url(_) => continue,
            // A plan may be made before the file exists. Without it the upload fails, before a paid call is sent.
            Image::File { file } if !file.exists() && !file.is_symlink() => continue,
            Image::File { file } => LocalImage::read(file),
            Image::Bytes { bytes } => LocalImage::with_name(bytes.clone(), UNNAMED.to_owned()),
        };
        looked.push(local.map_err(|unusable| unusable.what)?);
    }
    Ok(warnings(request, &looked))
}

/// Returns warnings about images that fit neither the shape of the video nor each other.
fn warnings(request: &VideoRequest, looked: &[LocalImage]) -> Vec<String> {
    let mut found = Vec::new();
    // Reference images are not shown as they are, so their shape does not matter.
    if !matches!(request.mode(), Mode::Image | Mode::Frames) {
        return found;
    }
    let ratio = request.aspect_ratio.unwrap_or(AspectRatio::Landscape);
    let wanted = match ratio {
        AspectRatio::Landscape => Some(16.0 / 9.0),
        AspectRatio::Portrait => Some(9.0 / 16.0),
        AspectRatio::Auto => None,
    };
    for local in looked {
        let Size { width, height } = local.size;
        let Some(wanted) = wanted else { break };
        if is_close(shape(local.size), wanted) {
            continue;
        }
        let mut warning = format!(
            "aspect_ratio: {} is {width}x{height} and will be cut or padded to {ratio}",
            local.name
        );
        let other = match width > height {
            true => AspectRatio::Landscape,
            false => AspectRatio::Portrait,
        };
        if other != ratio && width != height {
            warning += &format!("; choose {other} or auto to avoid that");
        }
        found.push(warning);
    }
    if let [first, last] = looked
        && request.mode() == Mode::Frames
        && !is_close(shape(first.size), shape(last.size))
    {
        found.push(format!(
            "input: the frames differ in shape: {} is {}x{}, and {} is {}x{}",
            first.name,
            first.size.width,
            first.size.height,
            last.name,
            last.size.width,
            last.size.height
        ));
    }
    found
}

fn shape(size: Size) -> f64 {
    f64::from(size.width) / f64::from(size.height)
}

/// Returns whether two shapes look the same: they differ by less than 5 %.
fn is_close(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < 0.05
}

/// The name of an image in memory, for sentences about it.
const UNNAMED: &str = "the image";

/// An image of this machine that can be uploaded.
struct LocalImage {
    bytes: Bytes,
    name: String,
    /// The file extension of the kind of image.
    ending: &'static str,
    size: Size,
}

impl LocalImage {
    async fn of(image: &Image) -> Result<Self, Error> {
        runtime()?;
        let found = match image {
            Image::Url(url) => Err(Unusable::new(format!("{url} is not on this machine"))),
            Image::Bytes { bytes } => Self::with_name(bytes.clone(), UNNAMED.to_owned()),
            Image::File { file } => {
                let file = file.clone();
                let reading = tokio::task::spawn_blocking(move || Self::read(&file));
                reading
                    .await
                    .unwrap_or_else(|error| Err(Unusable::new(error.to_string())))
            }
        };
        found.map_err(Unusable::into_error)
    }

    fn read(file: &Path) -> Result<Self, Unusable> {
        Self::with_name(contents(file)?, file.display().to_string())
    }

    fn with_name(bytes: Bytes, name: String) -> Result<Self, Unusable> {
        let looked = kind_and_size(&bytes);
        let (ending, size) = looked.map_err(|what| Unusable::new(format!("{name} {what}")))?;
        Ok(Self {
            bytes,
            name,
            ending,
            size,
        })
    }

    /// Makes a name from the digest of the bytes, since an upload under a name in use overwrites that file. The
    /// extension comes from the bytes too: hosts derive the content type from it, and a wrong type makes the generation
    /// fail.
    fn stored_name(&self) -> String {
        let digest = Sha256::digest(&self.bytes);
        format!("{}.{}", hex(&digest[..16]), self.ending)
    }
}

/// The reason why an image cannot be used.
pub(crate) struct Unusable {
    /// A sentence that names the image.
    what: String,
    cause: Option<std::io::Error>,
}

impl Unusable {
    fn new(what: String) -> Self {
        Self { what, cause: None }
    }

    fn unread(file: &Path, cause: std::io::Error) -> Self {
        Self {
            what: format!("{} cannot be read; correct the path", file.display()),
            cause: Some(cause),
        }
    }

    fn into_error(self) -> Error {
        let error = Error::new(ErrorKind::InvalidRequest, format!("input: {}", self.what));
        match self.cause {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// Reads the bytes of a file that may be an image.
pub(crate) fn contents(file: &Path) -> Result<Bytes, Unusable> {
    let wrong = |what: &str| Unusable::new(format!("{} {what}; correct the path", file.display()));
    let found = match std::fs::metadata(file) {
        Ok(found) => found,
        Err(_) if file.is_symlink() => {
            return Err(wrong("is a link to a file that is not there"));
        }
        Err(cause) => return Err(Unusable::unread(file, cause)),
    };
    // A pipe or a device may have no end, or may never have a byte to read.
    if !found.is_file() {
        let kind = name_of(found.file_type());
        return Err(wrong(&format!("is {kind} and not a file")));
    }
    // A file that the system makes up, such as one in `/proc`, has a length of 0, and may have no end.
    if found.len() == 0 {
        return Ok(Bytes::new());
    }
    let opened = File::open(file).map_err(|cause| Unusable::unread(file, cause))?;
    let mut bytes = Vec::new();
    opened
        .take(MAX_IMAGE + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| Unusable::unread(file, cause))?;
    Ok(bytes.into())
}

/// Names the kind of something that is not a regular file.
fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() {
        "a folder"
    } else {
        "something special"
    }
}

/// Returns the file extension for the kind of an image, and its size. The error is the predicate of a sentence about
/// it.
fn kind_and_size(bytes: &[u8]) -> Result<(&'static str, Size), String> {
    if bytes.len() as u64 > MAX_IMAGE {
        return Err(format!(
            "is larger than {} MiB; make it smaller",
            MAX_IMAGE >> 20
        ));
    }
    Ok(picture::kind_and_size(bytes)?)
}

fn unusable_image(name: &dyn Display, what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("input: {name} {what}"))
}
