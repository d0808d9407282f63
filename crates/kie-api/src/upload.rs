//! The upload as a form, which the generator cannot send.

use bytes::Bytes;
use reqwest::multipart::{Form, Part};

use crate::types::{FileName, UploadPath, UploadReply};
use crate::{Client, Error, Reply, UPLOAD_STREAM_PATH};

impl Client {
    /// Upload a file as a stream
    ///
    /// For files over 10 MB; no upper limit is documented.
    ///
    /// Sends a `POST` request to `/api/file-stream-upload`
    pub fn upload_stream(&self) -> UploadStream<'_> {
        UploadStream {
            client: self,
            file: Bytes::new(),
            upload_path: String::new(),
            file_name: None,
        }
    }
}

/// Builder for [`Client::upload_stream`].
#[derive(Clone, Debug)]
pub struct UploadStream<'a> {
    client: &'a Client,
    file: Bytes,
    upload_path: String,
    file_name: Option<String>,
}

impl UploadStream<'_> {
    /// The bytes of the file.
    #[must_use]
    pub fn file(mut self, file: impl Into<Bytes>) -> Self {
        self.file = file.into();
        self
    }

    /// Folder below the account's own, without a slash at either end.
    #[must_use]
    pub fn upload_path(mut self, path: impl Into<String>) -> Self {
        self.upload_path = path.into();
        self
    }

    /// Name of the stored file; random if not given. kie.ai derives the content type from its ending.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sends a `POST` request to `/api/file-stream-upload`.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn send(self) -> Result<Reply<UploadReply>, Error> {
        let Self {
            client,
            file,
            upload_path,
            file_name,
        } = self;
        let refuse = |field| move |error| Error::InvalidRequest(format!("{field} is {error}"));
        let upload_path = UploadPath::try_from(upload_path).map_err(refuse("upload_path"))?;
        let file_name = file_name
            .map(FileName::try_from)
            .transpose()
            .map_err(refuse("file_name"))?;
        // A part without a file name would be a text field.
        let part = Part::stream(file).file_name(
            file_name
                .as_ref()
                .map_or("file", |name| name.as_str())
                .to_owned(),
        );
        let mut form = Form::new()
            .part("file", part)
            .text("uploadPath", upload_path.to_string());
        if let Some(name) = file_name {
            form = form.text("fileName", name.to_string());
        }
        let url = format!("{}{UPLOAD_STREAM_PATH}", client.inner.upload_url);
        let request = client
            .client
            .post(url)
            .multipart(form)
            .build()
            .map_err(Error::unbuildable)?;
        crate::reply::open(client.inner.upload(request).await?)
    }
}
