use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::{Proxy, without_queries};

/// How to reach a provider.
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
    /// The provider's own address, and the given API key, without white space around it: a key from a file ends with a line
    /// end.
    ///
    /// The key is hidden where a provider echoes it; at a loopback address only if it has 16 bytes or more, since that of a
    /// simulator can be a word that a reply needs.
    pub fn new(key: impl Into<SecretString>) -> Self {
        Self {
            key: key.into().expose_secret().trim().into(),
            base_url: None,
            proxy: Proxy::default(),
            // kie.ai's edge refuses a request without one.
            user_agent: concat!("veo-rs/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(30),
            submit_timeout: Duration::from_secs(120),
        }
    }

    /// Another address than the provider's own, such as a simulator's. Plain http is for loopback addresses only.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Whether the address is another than the provider's own.
    pub fn has_base_url(&self) -> bool {
        self.base_url.is_some()
    }

    /// The proxies to go through; none by default. They see no key, since it travels over https only, in a tunnel through them.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The `User-Agent` header. The default names this library.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// How long a connection may take to come about; 10 s by default. It has to be shorter than the other two time-outs,
    /// or a request that was never sent would look like one whose reply was lost.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call that costs nothing may take in all; 30 s by default.
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// How long a call that can cost money may take in all; 120 s by default, since giving up early leaves open whether it
    /// was charged.
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
        // The type of the key does not show it. An address that is refused later can hold a password.
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
