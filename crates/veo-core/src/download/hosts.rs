//! The rules for links of videos. A link comes from outside, and could lead to hosts that only this machine can reach.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use veo_transport::{HAS_TLS, Proxy};

const MAX_REDIRECTS: usize = 5;

/// The reason why a link is not followed, as a clause whose subject is the link.
#[derive(Debug)]
pub(crate) struct Refused(Cow<'static, str>);

impl Refused {
    const fn new(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }

    /// Finds the refusal among the causes of a failed request.
    pub(crate) fn within(error: &reqwest::Error) -> Option<&Self> {
        let mut causes = std::iter::successors(error.source(), |error| (*error).source());
        causes.find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Refused {}

/// The rules for links, and for the addresses of the hosts in links. Clones share the hosts of the APIs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// True if links may lead to this machine.
    loopback: bool,
    /// True if names may resolve to addresses of this machine and of private networks.
    private_names: bool,
    /// The proxies. A proxy itself resolves the names of the hosts that are reached through the proxy.
    proxy: Proxy,
    /// The hosts of the APIs whose videos are downloaded.
    apis: Arc<Mutex<BTreeSet<String>>>,
}

impl Hosts {
    pub(crate) fn new(loopback: bool, private_names: bool, proxy: Proxy) -> Self {
        Self {
            loopback,
            private_names,
            proxy,
            apis: Arc::default(),
        }
    }

    /// Adds the host of an API.
    pub(crate) fn add_api(&self, url: &Url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.insert(host);
    }

    /// Checks the link itself. The addresses of the link's host are checked when the name of the host is resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Refused> {
        check_scheme(url)?;
        // The parser of URLs has changed every spelling of an IPv4 address to the usual one.
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .trim_end_matches('.');
        let is_followed = match host.parse::<IpAddr>() {
            Ok(address) => is_public(address) || self.allows_loopback() && is_loopback(address),
            Err(_) => {
                self.allows_loopback() || host != "localhost" && !host.ends_with(".localhost")
            }
        };
        if !is_followed {
            return Err(PRIVATE);
        }
        // The name of a proxy may resolve to any address, so a link must not lead to the proxy.
        let is_of_proxy = self.proxy.is_at(host) && !veo_transport::is_loopback(url.as_str());
        if is_of_proxy && !self.private_names {
            return Err(Refused::new("it leads to the proxy"));
        }
        Ok(())
    }

    /// Checks the next step of a redirect. The step must not lead from https to http.
    pub(crate) fn check_step(&self, previous: &[Url], next: &Url) -> Result<(), Refused> {
        if previous.len() > MAX_REDIRECTS {
            return Err(Refused::new("it is redirected too often"));
        }
        if next.scheme() == "http" && previous.last().is_some_and(|url| url.scheme() == "https") {
            return Err(Refused::new("it is redirected from https to http"));
        }
        self.check(next)
    }

    /// Makes a policy that checks each redirect by these rules.
    pub(crate) fn redirects(&self) -> Policy {
        let hosts = self.clone();
        Policy::custom(
            move |attempt| match hosts.check_step(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refused) => attempt.error(refused),
            },
        )
    }

    fn apis(&self) -> BTreeSet<String> {
        let apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.clone()
    }

    fn allows_loopback(&self) -> bool {
        self.loopback || self.private_names
    }

    /// Returns those addresses of a name to which a connection may be made. `of_apis` are the addresses of the APIs.
    fn allowed(&self, found: &[IpAddr], of_apis: &[IpAddr]) -> Vec<IpAddr> {
        let has_proxy = of_apis.iter().any(|address| is_in_proxy_range(*address));
        let is_allowed = |address: &IpAddr| {
            is_public(*address)
                || self.allows_loopback() && is_loopback(*address)
                || self.private_names && is_private(*address)
                || has_proxy && is_in_proxy_range(*address)
        };
        found.iter().copied().filter(is_allowed).collect()
    }

    /// Makes the reason why no connection is made to these addresses.
    fn reason(&self, found: &[IpAddr]) -> Refused {
        let Some(address) = found.first() else {
            return Refused::new("its host has no address");
        };
        let is_permitted = |address: &IpAddr| is_private(*address) || is_loopback(*address);
        let setting = if found.iter().any(is_permitted) {
            ", which the setting allow_private_hosts does not permit"
        } else {
            ""
        };
        let why =
            format!("its host is at {address}, on this machine or in a private network{setting}");
        Refused(why.into())
    }
}

/// The resolver of names, which returns allowed addresses only. The client connects to exactly these addresses, so a
/// name that resolves differently a moment later does no harm.
impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = self.clone();
        Box::pin(async move {
            let found = addresses(name.as_str()).await?;
            if hosts.proxy.is_at(name.as_str()) {
                return Ok(sockets(found));
            }
            let mut of_apis = Vec::new();
            if found.iter().any(|address| is_in_proxy_range(*address)) {
                for api in hosts.apis() {
                    of_apis.extend(addresses(&api).await.unwrap_or_default());
                }
            }
            let allowed = hosts.allowed(&found, &of_apis);
            if allowed.is_empty() {
                return Err(hosts.reason(&found).into());
            }
            Ok(sockets(allowed))
        })
    }
}

/// Checks the scheme of a link, and that the link has no user name or password.
pub(crate) fn check_scheme(url: &Url) -> Result<(), Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::new("it is neither http nor https"));
    }
    if url.scheme() == "https" && !HAS_TLS {
        return Err(Refused::new(
            "it is https, and veo-core has neither the feature rustls nor native-tls",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::new("it holds a user name or a password"));
    }
    Ok(())
}

fn sockets(addresses: Vec<IpAddr>) -> Addrs {
    let sockets = addresses.into_iter();
    Box::new(sockets.map(|address| SocketAddr::new(address, 0)))
}

async fn addresses(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

/// Returns whether an address is in the range from which proxy programs make up addresses for names. Such a program
/// turns the address back into the name when a connection is made.
fn is_in_proxy_range(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets(), [198, 18 | 19, ..]))
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Returns whether an address belongs to a private network of a house, a company or a carrier. Link-local addresses do
/// not count: machines in clouds get their secrets from such an address.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private()
                || is_in_proxy_range(IpAddr::V4(address))
                || matches!(address.octets(), [100, 64..128, ..])
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

const PRIVATE: Refused = Refused::new("it leads to this machine or into a private network");

/// Returns whether an address is in the public Internet. The special ranges are from the IANA registries.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || matches!(
                    address.octets(),
                    // In order: this network, carriers, protocols, 6to4 relays, benchmarks, multicast, reserved ranges.
                    [0, ..]
                        | [100, 64..128, ..]
                        | [192, 0, 0, _]
                        | [192, 88, 99, _]
                        | [198, 18 | 19, ..]
                        | [224..=255, ..]
                );
            !special
        }
        IpAddr::V6(address) => match address.segments() {
            // The network translates these addresses to IPv4 (NAT64), so the IPv4 address inside counts.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public(IpAddr::V4(Ipv4Addr::from_bits(
                u32::from(high) << 16 | u32::from(low),
            ))),
            // The ranges of protocols such as Teredo, of documentation, and of 6to4.
            [0x2001, 0..0x200, ..]
            | [0x2001, 0xdb8, ..]
            | [0x2002, ..]
            | [0x3fff, 0..0x1000, ..] => false,
            // Only this range is global unicast. Mapped IPv4, loopback, local and multicast addresses are outside.
            [first, ..] => (0x2000..0x4000).contains(&first),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        let table = [
            (
                "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 223.255.255.255",
                true,
            ),
            (
                "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.9.9 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1",
                false,
            ),
            (
                "172.31.9.9 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.9.9 198.51.100.1",
                false,
            ),
            (
                "203.0.113.1 224.0.0.1 239.9.9.9 240.0.0.1 255.255.255.255",
                false,
            ),
            (
                "2606:4700::1111 2a00:1450::1 64:ff9b::8.8.8.8 2001:4860::8888",
                true,
            ),
            (
                ":: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 fc00::1",
                false,
            ),
            (
                "fd12::1 fe80::1 fec0::1 ff02::1 2001::1 2001:db8::1 2002:7f00:1::1 3fff::1 5f00::1",
                false,
            ),
        ];
        for (addresses, wanted) in table {
            for address in addresses.split(' ') {
                assert_eq!(is_public(address.parse().unwrap()), wanted, "{address}");
            }
        }
    }

    #[test]
    fn a_redirect_leads_to_no_worse_place() {
        let table = [
            ("https://a.example/v", "https://b.example/v", None),
            ("http://a.example/v", "https://b.example/v", None),
            ("http://a.example/v", "http://b.example/v", None),
            (
                "https://a.example/v",
                "http://b.example/v",
                Some("it is redirected from https to http"),
            ),
            (
                "https://a.example/v",
                "https://u:p@b.example/v",
                Some("it holds a user name or a password"),
            ),
            (
                "https://a.example/v",
                "https://192.168.1.1/v",
                Some("it leads to this machine or into a private network"),
            ),
        ];
        for (from, to, wanted) in table {
            let from_url = Url::parse(from).unwrap();
            let to_url = Url::parse(to).unwrap();
            let refused = Hosts::default().check_step(&[from_url], &to_url).err();
            assert_eq!(
                refused.map(|refused| refused.to_string()).as_deref(),
                wanted,
                "{from} to {to}"
            );
        }
    }

    /// The client refuses the redirect by the rules, and its error has their reason.
    #[tokio::test]
    async fn a_redirect_into_a_private_network_is_not_followed() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let reply = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(reply).await.unwrap();
            // The connection stays open until the client has read the reply.
            std::future::pending::<()>().await;
        });
        let http = veo_transport::client_builder(&Proxy::default())
            .redirect(Hosts::default().redirects())
            .build()
            .unwrap();
        let error = http.get(url).send().await.unwrap_err();
        assert_eq!(
            Refused::within(&error).unwrap().to_string(),
            PRIVATE.to_string()
        );
    }

    #[test]
    fn only_allowed_names_lead_into_private_networks() {
        // The columns: the addresses of a name, the addresses of the API, and the allowed addresses with no permission,
        // with the permission for this machine, and with the permission for private networks.
        let table = [
            ("1.1.1.1", "", "1.1.1.1", "1.1.1.1", "1.1.1.1"),
            ("127.0.0.1 ::1", "", "", "127.0.0.1 ::1", "127.0.0.1 ::1"),
            (
                "10.0.0.1 1.1.1.1",
                "",
                "1.1.1.1",
                "1.1.1.1",
                "10.0.0.1 1.1.1.1",
            ),
            (
                "192.168.1.1 100.64.0.1 fd00::1",
                "",
                "",
                "",
                "192.168.1.1 100.64.0.1 fd00::1",
            ),
            ("169.254.169.254 fe80::1 0.0.0.0", "", "", "", ""),
            ("198.18.0.9", "1.1.1.1", "", "", "198.18.0.9"),
            (
                "198.18.0.9",
                "198.19.3.4",
                "198.18.0.9",
                "198.18.0.9",
                "198.18.0.9",
            ),
            ("10.0.0.1", "198.19.3.4 10.0.0.2", "", "", "10.0.0.1"),
        ];
        let parsed = |text: &str| -> Vec<IpAddr> {
            text.split_whitespace()
                .map(|address| address.parse().unwrap())
                .collect()
        };
        for (found, api, plain, loopback, private) in table {
            for (allows_loopback, may_private, wanted) in [
                (false, false, plain),
                (true, false, loopback),
                (false, true, private),
            ] {
                let hosts = Hosts::new(allows_loopback, may_private, Proxy::default());
                let allowed = hosts.allowed(&parsed(found), &parsed(api));
                assert_eq!(allowed, parsed(wanted), "{found} with {hosts:?}");
            }
        }
    }

    #[test]
    fn an_address_in_a_link_is_of_this_machine_at_most() {
        // The columns: a link, and whether it is followed without and with the permission for private hosts.
        let table = [
            ("http://1.1.1.1/", true, true),
            ("http://127.0.0.1/", false, true),
            ("http://[::ffff:127.0.0.1]/", false, true),
            ("http://localhost/", false, true),
            ("http://169.254.169.254/", false, false),
            ("http://10.0.0.1/", false, false),
            ("http://198.18.0.1/", false, false),
            ("http://0.0.0.0/", false, false),
            ("http://[fd00::1]/", false, false),
        ];
        for (url, plain, allowed) in table {
            let parsed = Url::parse(url).unwrap();
            let loopback = Hosts::new(true, false, Proxy::default());
            let private = Hosts::new(false, true, Proxy::default());
            assert_eq!(Hosts::default().check(&parsed).is_ok(), plain, "{url}");
            assert_eq!(loopback.check(&parsed).is_ok(), allowed, "{url}");
            assert_eq!(private.check(&parsed).is_ok(), allowed, "{url}");
        }
    }

    /// A link does not show the address of its host, so the address is checked when the name is resolved.
    #[tokio::test]
    async fn names_of_private_addresses_are_not_resolved() {
        let error = Hosts::default()
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        let why = error.downcast_ref::<Refused>().unwrap().to_string();
        assert!(why.starts_with("its host is at "), "{why}");
        let end = ", on this machine or in a private network, which the setting allow_private_hosts does not permit";
        assert!(why.ends_with(end), "{why}");
    }

    /// With a proxy, only the proxy's own name is resolved here, and it may resolve to any address.
    #[tokio::test]
    async fn the_name_of_a_proxy_is_resolved_and_no_link_leads_there() {
        let hosts = |private_names| {
            let proxy = Proxy::new("http://localhost:3128").unwrap();
            let proxy = proxy.https("http://proxy.example.net:3128").unwrap();
            Hosts::new(false, private_names, proxy)
        };
        assert!(
            hosts(false)
                .resolve("localhost".parse().unwrap())
                .await
                .is_ok()
        );
        for (url, wanted) in [
            (
                "https://proxy.example.net/v.mp4",
                Some("it leads to the proxy"),
            ),
            (
                "https://PROXY.example.net./v.mp4",
                Some("it leads to the proxy"),
            ),
            ("https://media.example.net/v.mp4", None),
            (
                "https://10.0.0.1/v.mp4",
                Some("it leads to this machine or into a private network"),
            ),
            (
                "http://localhost/v.mp4",
                Some("it leads to this machine or into a private network"),
            ),
        ] {
            let refused = hosts(false).check(&Url::parse(url).unwrap()).err();
            let refused = refused.map(|refused| refused.to_string());
            assert_eq!(refused.as_deref(), wanted, "{url}");
        }
        let own = Url::parse("https://proxy.example.net/v.mp4").unwrap();
        assert!(hosts(true).check(&own).is_ok());
    }
}
