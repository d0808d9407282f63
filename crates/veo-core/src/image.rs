//! Images of this machine, brought to where a provider can reach them.

use std::path::Path;

use crate::{Error, ErrorKind, Image, Input, Provider, VideoRequest};

/// The largest image that the model takes, in bytes.
const MAX_IMAGE: u64 = 20 << 20;

/// The request with all its images as URLs. Local ones are uploaded to the first provider that has a place for them; the
/// URL then serves any provider.
pub(crate) async fn uploaded(
    mut request: VideoRequest,
    providers: &[std::sync::Arc<dyn Provider>],
) -> Result<VideoRequest, Error> {
    let images: Vec<&mut Image> = match &mut request.input {
        Input::Image { image } => vec![image],
        Input::Frames { first, last } => vec![first, last],
        Input::References { images } => images.iter_mut().collect(),
        Input::Text | Input::Extension { .. } => Vec::new(),
    };
    for image in images {
        if let Image::File { file } = image {
            let (bytes, name) = read(file).await?;
            let uploading = providers.iter().find_map(|provider| provider.upload(bytes.clone(), name.clone()));
            let Some(uploading) = uploading else {
                let message = format!(
                    "input: {} is on this machine and no provider here has a place for it; put it on the web, or add kie.ai",
                    file.display()
                );
                return Err(Error::new(ErrorKind::InvalidRequest, message));
            };
            *image = Image::Url(uploading.await?);
        }
    }
    Ok(request)
}

/// The bytes of an image, and a name whose ending tells the truth: hosts take the type from it, and with a wrong type the
/// generation fails.
async fn read(file: &Path) -> Result<(Vec<u8>, String), Error> {
    let refuse = |what: String| Error::new(ErrorKind::InvalidRequest, format!("input: {} {what}", file.display()));
    let unreadable = |error: std::io::Error| refuse("cannot be read; correct the path".to_owned()).with_source(error);
    let size = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size > MAX_IMAGE {
        return Err(refuse(format!("is larger than {} MiB; make it smaller", MAX_IMAGE >> 20)));
    }
    let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
    let Some(kind) =
        infer::get(&bytes).filter(|kind| ["image/jpeg", "image/png", "image/webp"].contains(&kind.mime_type()))
    else {
        return Err(refuse("is not a JPEG, PNG or WebP image".to_owned()));
    };
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok((bytes, format!("{plain}.{}", kind.extension())))
}
