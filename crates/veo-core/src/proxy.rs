use crate::{Error, ErrorKind};

/// The proxies of connections. There are none by default, since a library does not read the environment. This machine
/// is always reached without a proxy.
///
/// [`Access::proxy`](crate::Access::proxy) sets the proxies for a provider, and
/// [`Downloads::proxy`](crate::Downloads::proxy) those for downloads. The API key is sent over https only, in a tunnel,
/// so no proxy sees it. User names and passwords in these URLs are shown nowhere.
///
/// ```
/// use veo_core::{Access, Client, Downloads, Kie, Proxy};
///
/// # fn main() -> Result<(), veo_core::Error> {
/// let proxy = Proxy::new("http://proxy.example.net:3128")?.except("media.example.net, 10.0.0.0/8");
/// let kie = Kie::new(Access::new("the API key").proxy(proxy.clone()))?;
/// let client = Client::new(kie)?.with_downloads(Downloads::default().proxy(proxy))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proxy {
    /// The proxies, as the transport needs them.
    pub(crate) proxy: veo_transport::Proxy,
}

impl Proxy {
    /// Uses one proxy for all URLs: an HTTP proxy, or a SOCKS proxy such as `socks5://proxy.example.net`. A URL without
    /// a scheme means an HTTP proxy. The proxy resolves the names of hosts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the text is not the URL of a proxy.
    pub fn new(url: &str) -> Result<Self, Error> {
        veo_transport::Proxy::new(url)
            .map(Self::of)
            .map_err(unusable)
    }

    /// Uses another proxy for https URLs. Providers and nearly all videos have https URLs.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn https(self, url: &str) -> Result<Self, Error> {
        self.proxy.https(url).map(Self::of).map_err(unusable)
    }

    /// Uses another proxy for http URLs. Some videos have http URLs.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn http(self, url: &str) -> Result<Self, Error> {
        self.proxy.http(url).map(Self::of).map_err(unusable)
    }

    /// Excepts hosts, which are then reached without a proxy. `hosts` is a list divided by commas: names, which include
    /// all names below them, addresses, networks such as `10.0.0.0/8`, and `*` for all hosts.
    #[must_use]
    pub fn except(self, hosts: &str) -> Self {
        Self::of(self.proxy.except(hosts))
    }

    fn of(proxy: veo_transport::Proxy) -> Self {
        Self { proxy }
    }
}

fn unusable(what: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}
