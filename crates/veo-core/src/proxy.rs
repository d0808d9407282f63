use crate::{Error, ErrorKind};

/// The proxies that connections go through. There are none by default, since a library does not read the environment.
/// This machine is always reached without one.
///
/// Each provider gets one by [`Access::proxy`](crate::Access::proxy), and downloads by
/// [`Downloads::proxy`](crate::Downloads::proxy). The API key travels over https only, in a tunnel, so no proxy sees
/// it. User names and passwords in these URLs are shown nowhere.
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
    /// The proxies, as the transport of the providers' clients has them.
    pub(crate) proxy: veo_transport::Proxy,
}

impl Proxy {
    /// Uses one proxy for all URLs: an HTTP proxy, or a SOCKS proxy such as `socks5://proxy.example.net`. A URL without
    /// a scheme is that of an HTTP proxy. The proxy resolves the names of hosts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the text is no URL of a proxy.
    pub fn new(url: &str) -> Result<Self, Error> {
        veo_transport::Proxy::new(url)
            .map(Self::of)
            .map_err(unusable)
    }

    /// Uses another proxy for https URLs. The providers have such URLs, and nearly all videos do.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn https(self, url: &str) -> Result<Self, Error> {
        self.proxy.https(url).map(Self::of).map_err(unusable)
    }

    /// Uses another proxy for http URLs, which some videos have.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn http(self, url: &str) -> Result<Self, Error> {
        self.proxy.http(url).map(Self::of).map_err(unusable)
    }

    /// Excepts hosts, which are reached without a proxy. `hosts` is separated by commas: names, which include all names
    /// below them, addresses, networks such as `10.0.0.0/8`, and `*` for all.
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
