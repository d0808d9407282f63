use std::ops::Deref;
use std::time::Duration;

use reqwest::Request;
use reqwest::header::HeaderValue;
use veo_transport::{Config, RawReply, Transport};

use crate::{BASE_URL, Client, Error, UPLOAD_URL};

/// The data that the generated client holds for the hand-written code.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    transport: Transport,
    pub(crate) upload_url: String,
}

impl Inner {
    /// Sends an upload, which may take 5 minutes.
    pub(crate) async fn upload(&self, mut request: Request) -> Result<RawReply, Error> {
        *request.timeout_mut() = Some(Duration::from_secs(300));
        let turn = self.transport.turn().await;
        self.transport.query(turn, request).await
    }
}

impl Deref for Inner {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

impl Client {
    /// Makes a client, but no connection yet. If the configuration has another address than kie.ai's own, uploads go to
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the configuration cannot work.
    pub fn new(config: Config) -> Result<Self, Error> {
        let mut transport = Transport::new(&config, BASE_URL)?;
        let upload_url = match config.has_base_url() {
            true => transport.base_url().to_owned(),
            false => transport.allow_origin(UPLOAD_URL)?,
        };
        Ok(Self {
            baseurl: transport.base_url().to_owned(),
            client: transport.request_client().clone(),
            inner: Inner {
                transport,
                upload_url,
            },
        })
    }

    /// The address of the API.
    pub fn address(&self) -> &str {
        self.inner.base_url()
    }

    /// The address of the API, if it is not kie.ai's own.
    pub fn base_url(&self) -> Option<&str> {
        Some(self.inner.base_url()).filter(|url| *url != BASE_URL)
    }

    /// The value of the header `Authorization` for the API.
    pub fn authorization(&self) -> &HeaderValue {
        self.inner.authorization()
    }
}
