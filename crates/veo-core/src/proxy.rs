use crate::{Error, ErrorKind};

/// Which proxies connections go through; by default none, since a library does not read the environment. This machine is
/// always reached without one.
///
/// It is given to each provider by [`Access::proxy`](crate::Access::proxy), and to downloads by
/// [`Downloads::proxy`](crate::Downloads::proxy). A key travels over https only, in a tunnel, so no proxy sees it. User names
/// and passwords in these URLs are shown nowhere.
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
    /// The same in the terms of the providers' clients.
    pub(crate) proxy: veo_transport::Proxy,
}

impl Proxy {
    /// One proxy for all URLs: an HTTP proxy, or a SOCKS proxy such as `socks5://proxy.example.net`. A URL without a scheme is
    /// that of an HTTP proxy. Names of hosts are resolved by the proxy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if it is no URL of a proxy.
    pub fn new(url: &str) -> Result<Self, Error> {
        veo_transport::Proxy::new(url)
            .map(Self::of)
            .map_err(unusable)
    }

    /// The same with another proxy for https URLs, which are those of the providers and nearly all of videos.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn https(self, url: &str) -> Result<Self, Error> {
        self.proxy.https(url).map(Self::of).map_err(unusable)
    }

    /// The same with another proxy for http URLs, which some videos have.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn http(self, url: &str) -> Result<Self, Error> {
        self.proxy.http(url).map(Self::of).map_err(unusable)
    }

    /// The same without a proxy for these hosts, which are separated by commas: names, which stand for those below them too,
    /// addresses, networks such as `10.0.0.0/8`, and `*` for all.
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
