use reqwest::header::HeaderValue;
use veo_transport::{Config, Transport};

use crate::{BASE_URL, Client, Error};

/// What the generated client holds for the hand-written code.
pub(crate) type Inner = Transport;

impl Client {
    /// A client for the given key. Makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the configuration cannot work.
    pub fn new(config: Config) -> Result<Self, Error> {
        let transport = Transport::new(&config, BASE_URL)?;
        Ok(Self {
            baseurl: transport.base_url().to_owned(),
            client: transport.http().clone(),
            inner: transport,
        })
    }

    /// Where it is reached.
    pub fn address(&self) -> &str {
        self.inner.base_url()
    }

    /// Where it is reached, if that is not the provider's own address.
    pub fn base_url(&self) -> Option<&str> {
        Some(self.inner.base_url()).filter(|url| *url != BASE_URL)
    }

    /// The value of `Authorization` that the API takes.
    pub fn authorization(&self) -> &HeaderValue {
        self.inner.authorization()
    }
}
