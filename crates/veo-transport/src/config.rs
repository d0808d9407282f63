use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::{Proxy, without_queries};

/// The settings of a connection to a provider.
///
/// ```
/// use std::time::Duration;
/// use veo_transport::Config;
///
/// let config = Config::new("the API key").base_url("http://127.0.0.1:8787").submit_timeout(Duration::from_secs(300));
/// assert!(!format!("{config:?}").contains("the API key"));
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) key: SecretString,
    pub(crate) base_url: Option<String>,
    pub(crate) proxy: Proxy,
    pub(crate) user_agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) submit_timeout: Duration,
}

impl Config {
    /// Makes settings for the provider's own address and an API key, without the white space around the key.
    ///
    /// The API key is hidden in every reply that repeats it. At a loopback address it is hidden only if it has 16 bytes
    /// or more: a shorter API key for a simulator can be a word that a reply needs.
    pub fn new(key: impl Into<SecretString>) -> Self {
        Self {
            key: key.into().expose_secret().trim().into(),
            base_url: None,
            proxy: Proxy::default(),
            // kie.ai's edge refuses a request without a `User-Agent`.
            user_agent: concat!("veo-rs/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(30),
            submit_timeout: Duration::from_secs(120),
        }
    }

    /// Sets another address than the provider's own, such as a simulator's. Plain http needs a loopback address.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Returns whether another address than the provider's own is set.
    pub fn has_base_url(&self) -> bool {
        self.base_url.is_some()
    }

    /// Sets the proxies; none by default. The API key is sent over https only, in a tunnel, so no proxy sees it.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Sets the `User-Agent` header. The default names this library.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets the longest time to connect; 10 s by default. It has to be shorter than the other two time-outs. Otherwise
    /// a request that was never sent would look like a request whose reply was lost.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the longest time of a call that costs nothing; 30 s by default.
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Sets the longest time of a call that can cost money; 120 s by default. After a time-out the outcome is unknown,
    /// and the call may have been charged. So a short time-out does harm.
    #[must_use]
    pub fn submit_timeout(mut self, timeout: Duration) -> Self {
        self.submit_timeout = timeout;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            base_url,
            proxy,
            user_agent,
            connect_timeout,
            query_timeout,
            submit_timeout,
        } = self;
        let mut text = f.debug_struct("Config");
        // The type of the API key hides it. The address is not checked yet, so it can hold a password.
        text.field("key", key)
            .field("base_url", &base_url.as_deref().map(without_queries));
        text.field("proxy", proxy)
            .field("user_agent", user_agent)
            .field("connect_timeout", connect_timeout);
        text.field("query_timeout", query_timeout)
            .field("submit_timeout", submit_timeout)
            .finish()
    }
}
