use std::time::Duration;

use secrecy::SecretString;
use veo_transport::Config;

/// How to reach a provider: the key, and what differs from the usual.
///
/// ```
/// use veo_core::{Access, Kie};
///
/// let plain = Kie::new("the API key")?;
/// let simulated = Kie::new(Access::new("any key").base_url("http://127.0.0.1:8787"))?;
/// # Ok::<(), veo_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Access {
    config: Config,
    /// Also known to the configuration, which does not tell.
    pub(crate) base_url: Option<String>,
}

impl Access {
    /// The provider's own address, and this key.
    pub fn new(key: impl Into<SecretString>) -> Self {
        Self { config: Config::new(key), base_url: None }
    }

    /// Another address than the provider's own, such as a simulator's; also for uploads. Plain http is for loopback addresses
    /// only.
    #[must_use]
    pub fn base_url(self, url: impl Into<String>) -> Self {
        let url = url.into();
        Self { config: self.config.base_url(&url), base_url: Some(url) }
    }

    /// How long a connection may take to come about; 10 s if not set. Shorter than the other two.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.connect_timeout(timeout);
        self
    }

    /// How long a question may take; 30 s if not set.
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.query_timeout(timeout);
        self
    }

    /// How long a paid request may take; 120 s if not set, since giving up early leaves open whether it was charged.
    #[must_use]
    pub fn submit_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.submit_timeout(timeout);
        self
    }
}

impl Access {
    /// The same in the terms of the providers' clients.
    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }
}

impl<K: Into<SecretString>> From<K> for Access {
    fn from(key: K) -> Self {
        Self::new(key)
    }
}
