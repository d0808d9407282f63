//! The upload as a multipart body, which the generator of the client cannot make.

use bytes::Bytes;
use reqwest::multipart::{Form, Part};

use crate::types::{UploadReply, UploadStreamRequest, builder};
use crate::{Client, Error, Reply, UPLOAD_STREAM_PATH};

impl Client {
    /// Builds an upload of a file as a stream.
    ///
    /// It is for files over 10 MB. No upper limit is documented.
    ///
    /// Sends a `POST` request to `/api/file-stream-upload`
    pub fn upload_stream(&self) -> UploadStream<'_> {
        UploadStream {
            client: self,
            file: Bytes::new(),
            // The field of the file stays empty here: `send` sends the bytes without a copy.
            form: UploadStreamRequest::builder().file(""),
        }
    }
}

/// Builder for [`Client::upload_stream`].
#[derive(Clone, Debug)]
pub struct UploadStream<'a> {
    client: &'a Client,
    file: Bytes,
    form: builder::UploadStreamRequest,
}

impl UploadStream<'_> {
    /// Sets the bytes of the file.
    #[must_use]
    pub fn file(mut self, file: impl Into<Bytes>) -> Self {
        self.file = file.into();
        self
    }

    /// Sets the folder below the account's own, without a slash at either end.
    #[must_use]
    pub fn upload_path(mut self, path: impl Into<String>) -> Self {
        self.form = self.form.upload_path(path);
        self
    }

    /// Sets the name of the stored file; random if not given. kie.ai derives the content type from its file extension.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.form = self.form.file_name(name);
        self
    }

    /// Sends a `POST` request to `/api/file-stream-upload`.
    ///
    /// # Errors
    ///
    /// Every [`Error`] of a call.
    pub async fn send(self) -> Result<Reply<UploadReply>, Error> {
        let Self { client, file, form } = self;
        let form = UploadStreamRequest::try_from(form)
            .map_err(|error| Error::InvalidRequest(error.to_string()))?;
        // Without a file name, a server takes the part for a text field.
        let shown_name = form.file_name.clone().unwrap_or_else(|| "file".to_owned());
        let content_type = content_type(&shown_name);
        let part = Part::stream(file)
            .file_name(shown_name)
            .mime_str(content_type)
            .map_err(Error::unbuildable)?;
        let mut parts = Form::new()
            .part("file", part)
            .text("uploadPath", form.upload_path);
        if let Some(name) = form.file_name {
            parts = parts.text("fileName", name);
        }
        let url = format!("{}{UPLOAD_STREAM_PATH}", client.inner.upload_url);
        let request = client
            .client
            .post(url)
            .multipart(parts)
            .build()
            .map_err(Error::unbuildable)?;
        crate::reply::open(client.inner.upload(request).await?)
    }
}

/// Returns the content type for the file extension of a name. Many servers take a part without a content type for text.
fn content_type(name: &str) -> &'static str {
    let (_, ending) = name.rsplit_once('.').unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}
