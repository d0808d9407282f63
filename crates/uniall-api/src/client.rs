use reqwest::header::HeaderValue;
use veo_transport::{Config, Transport};

use crate::{BASE_URL, Client, Error};

/// The data that the generated client holds for the hand-written code.
pub(crate) type Inner = Transport;

impl Client {
    /// Makes a client. It makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the configuration cannot work.
    pub fn new(config: Config) -> Result<Self, Error> {
        let transport = Transport::new(&config, BASE_URL)?;
        Ok(Self {
            baseurl: transport.base_url().to_owned(),
            client: transport.request_client().clone(),
            inner: transport,
        })
    }

    /// The address of the API.
    pub fn address(&self) -> &str {
        self.inner.base_url()
    }

    /// The address of the API, if it is not UniAll's own.
    pub fn base_url(&self) -> Option<&str> {
        Some(self.inner.base_url()).filter(|url| *url != BASE_URL)
    }

    /// The value of the header `Authorization` for the API.
    pub fn authorization(&self) -> &HeaderValue {
        self.inner.authorization()
    }
}
