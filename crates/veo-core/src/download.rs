use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::{Error, ErrorKind};

/// A client for media hosts. It has no key to give away.
pub(crate) fn client() -> Result<Client, Error> {
    let client = Client::builder()
        .user_agent(concat!("veo-rs/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        // A large file may take long, but not stand still.
        .read_timeout(Duration::from_secs(30))
        .no_proxy()
        .build();
    client.map_err(|error| Error::new(ErrorKind::InvalidRequest, "no HTTP client could be made").with_source(error))
}

/// Saves a video: all of it or nothing. A file that is already there is replaced.
pub(crate) async fn download(
    client: &Client,
    url: &str,
    path: &Path,
    mut on_bytes: impl FnMut(u64, Option<u64>),
) -> Result<u64, Error> {
    // A URL can carry a signature, so it stays out of messages.
    let failed = |what: &str, error: reqwest::Error| failure(what).with_source(error.without_url());
    let mut response =
        client.get(url).send().await.map_err(|error| failed("the media host cannot be reached", error))?;
    if !response.status().is_success() {
        return Err(failure(&format!("the media host answered HTTP {}", response.status().as_u16())));
    }
    let total = response.content_length();
    let (temporary, mut file) = beside(path)?;
    let mut start = Vec::new();
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| failed("the download broke off", error))? {
        if start.len() < MP4_START {
            start.extend_from_slice(&chunk[..chunk.len().min(MP4_START - start.len())]);
        }
        file.write_all(&chunk).await.map_err(|error| unwritten(path, error))?;
        received += chunk.len() as u64;
        on_bytes(received, total);
    }
    if start.get(4..8) != Some(b"ftyp") {
        return Err(failure("what the media host sent is not an MP4 file"));
    }
    file.sync_all().await.map_err(|error| unwritten(path, error))?;
    drop(file);
    temporary.persist(path).map_err(|error| unwritten(path, error.error))?;
    Ok(received)
}

/// An MP4 file starts with the length of its first box and `ftyp`.
const MP4_START: usize = 8;

/// A temporary file in the folder of the target, from where it can be moved in one step. It goes when it is dropped.
fn beside(path: &Path) -> Result<(NamedTempFile, tokio::fs::File), Error> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_owned);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".veo-").suffix(".part");
    #[cfg(unix)]
    {
        // As any file that a program makes; temporary files are private otherwise.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder).map_err(|error| unwritten(path, error))?;
    let file = temporary.reopen().map_err(|error| unwritten(path, error))?;
    Ok((temporary, tokio::fs::File::from_std(file)))
}

fn failure(what: &str) -> Error {
    Error::new(ErrorKind::Download, format!("{what}; the video is still there, so download it again"))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    let message = format!("{} cannot be written; choose another place and download it again", path.display());
    Error::new(ErrorKind::Download, message).with_source(error)
}
