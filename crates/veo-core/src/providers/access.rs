use std::time::Duration;

use secrecy::SecretString;
use veo_transport::Config;

use crate::Proxy;

/// The access to a provider: the API key, and the settings of the connection.
///
/// ```
/// use veo_core::Access;
///
/// let plain = Access::new("the API key");
/// let simulated = Access::new("any key").base_url("http://127.0.0.1:8787");
/// ```
#[derive(Clone, Debug)]
pub struct Access {
    /// The access, as the providers' clients need it.
    pub(crate) config: Config,
}

impl Access {
    /// Makes an access with this API key, without the white space around it, at the provider's own address. The API key
    /// is hidden in every reply that repeats it. At a loopback address it is hidden only if it has 16 bytes or more: a
    /// shorter API key for a simulator can be a word that a reply needs.
    ///
    /// ```
    /// use std::fs;
    /// use veo_core::Access;
    ///
    /// # fn example() -> std::io::Result<()> {
    /// let access = Access::new(fs::read_to_string("kie.key")?);
    /// # Ok(()) }
    /// ```
    pub fn new(key: impl Into<SecretString>) -> Self {
        Self {
            config: Config::new(key),
        }
    }

    /// Sets another address than the provider's own, such as a simulator's, for calls and uploads. The address has a
    /// scheme, a host and a port, and no path. Plain http needs a loopback address.
    ///
    /// ```
    /// use veo_core::Access;
    ///
    /// let simulated = Access::new("any key").base_url("http://127.0.0.1:8787");
    /// ```
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.config = self.config.base_url(url);
        self
    }

    /// Sets the proxies on the way to the provider; none by default.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.config = self.config.proxy(proxy.proxy);
        self
    }

    /// Sets the longest time to connect; 10 s by default. It has to be shorter than the other two time-outs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::Access;
    ///
    /// let far_away = Access::new("the API key").connect_timeout(Duration::from_secs(20));
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.connect_timeout(timeout);
        self
    }

    /// Sets the longest time of a call that costs nothing; 30 s by default.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::Access;
    ///
    /// let slow = Access::new("the API key").query_timeout(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.query_timeout(timeout);
        self
    }

    /// Sets the longest time of a paid call; 120 s by default. After a time-out the outcome is unknown, and the call
    /// may have been charged. So a short time-out does harm.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::Access;
    ///
    /// let patient = Access::new("the API key").submit_timeout(Duration::from_secs(300));
    /// ```
    #[must_use]
    pub fn submit_timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.submit_timeout(timeout);
        self
    }
}

impl<K: Into<SecretString>> From<K> for Access {
    fn from(key: K) -> Self {
        Self::new(key)
    }
}

/// Returns the name of an account at a provider. An account without a name has the name of the provider.
pub(crate) fn account(provider: &str, name: &str) -> String {
    if name.is_empty() {
        provider.to_owned()
    } else {
        format!("{provider}@{name}")
    }
}
