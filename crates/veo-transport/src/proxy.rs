use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::{is_loopback, without_queries};

/// The proxies of connections. There are none by default. This machine is always reached without one.
///
/// ```
/// use veo_transport::Proxy;
///
/// let proxy = Proxy::new("http://me:secret@proxy.example.net:3128").unwrap().except("intra.example.net");
/// assert!(!format!("{proxy:?}").contains("secret"));
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Proxy {
    https: Option<Url>,
    http: Option<Url>,
    except: String,
}

impl Proxy {
    /// Uses one proxy for all URLs: an HTTP proxy, such as `http://proxy.example.net:3128`, or a SOCKS proxy, such as
    /// `socks5://proxy.example.net`. A URL without a scheme means an HTTP proxy. It can have a user name and a
    /// password.
    ///
    /// # Errors
    ///
    /// A sentence if the text is not the URL of a proxy. The sentence leaves out the URL, which can hold a password.
    pub fn new(url: &str) -> Result<Self, String> {
        let url = parsed(url)?;
        Ok(Self {
            https: Some(url.clone()),
            http: Some(url),
            except: String::new(),
        })
    }

    /// Uses another proxy for https URLs.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn https(mut self, url: &str) -> Result<Self, String> {
        self.https = Some(parsed(url)?);
        Ok(self)
    }

    /// Uses another proxy for http URLs.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn http(mut self, url: &str) -> Result<Self, String> {
        self.http = Some(parsed(url)?);
        Ok(self)
    }

    /// Excepts hosts, which are then reached without a proxy. `hosts` is a list divided by commas: names, which include
    /// all names below them, addresses, networks such as `10.0.0.0/8`, and `*` for all hosts.
    #[must_use]
    pub fn except(mut self, hosts: &str) -> Self {
        self.except = hosts.to_owned();
        self
    }

    /// Returns the proxy through which a URL is reached, if there is one.
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref(),
            "http" => self.http.as_ref(),
            _ => None,
        };
        proxy.filter(|_| !is_loopback(url.as_str()) && !self.is_excepted(url))
    }

    /// Returns whether a proxy is set.
    pub(crate) fn is_set(&self) -> bool {
        self.https.is_some() || self.http.is_some()
    }

    /// Returns whether a host is one of the proxies.
    pub fn is_at(&self, host: &str) -> bool {
        let mut proxies = self.https.iter().chain(&self.http);
        proxies.any(|proxy| {
            proxy
                .host_str()
                .is_some_and(|own| own.eq_ignore_ascii_case(host))
        })
    }

    /// Describes the way to a URL, as a clause that follows the host in a message; empty if no proxy is set.
    pub fn described(&self, url: &Url) -> String {
        if let Some(proxy) = self.of(url) {
            return format!(" through the proxy {}", shown(proxy));
        }
        match self.https.as_ref().or(self.http.as_ref()) {
            Some(proxy) => format!(" (the proxy {} is set and not used for it)", shown(proxy)),
            None => String::new(),
        }
    }

    fn is_excepted(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let Ok(target) = format!("http://{host}/").parse() else {
            return false;
        };
        // The matcher knows the usual rules for excepted hosts. Its proxy is never used.
        let matcher = Matcher::builder()
            .all("http://proxy")
            .no(self.except.as_str())
            .build();
        matcher.intercept(&target).is_none()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("https", &self.https.as_ref().map(shown))
            .field("http", &self.http.as_ref().map(shown))
            .field("except", &self.except)
            .finish()
    }
}

/// Shows a proxy without its user name and its password.
fn shown(proxy: &Url) -> String {
    without_queries(proxy.as_str())
        .trim_end_matches('/')
        .to_owned()
}

fn parsed(text: &str) -> Result<Url, String> {
    let invalid = |what: &str| format!("the URL of the proxy cannot be used: {what}");
    let text = text.trim();
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let mut url = Url::parse(&text).map_err(|error| invalid(&error.to_string()))?;
    if url.host_str().unwrap_or_default().is_empty() {
        return Err(invalid("it has no host"));
    }
    // With these schemes the proxy resolves the names of hosts, since this machine may not be able to.
    let scheme = match url.scheme() {
        "http" | "https" | "socks4a" | "socks5h" => None,
        "socks4" => Some("socks4a"),
        "socks5" => Some("socks5h"),
        _ => {
            return Err(invalid(
                "its scheme has to be http, https, socks4, socks4a, socks5 or socks5h",
            ));
        }
    };
    if let Some(scheme) = scheme {
        url.set_scheme(scheme)
            .map_err(|()| invalid("its scheme cannot be understood"))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_proxy_of_its_scheme_and_this_machine_has_none() {
        let two = Proxy::new("socks5://all.example.net")
            .unwrap()
            .https("me:secret@secure.example.net:3128")
            .unwrap()
            .except("intra.example.net, 10.0.0.0/8,192.0.2.7");
        let secure = Some("http://secure.example.net:3128");
        let all = Some("socks5h://all.example.net");
        for (url, wanted) in [
            ("https://api.kie.ai/api/v1", secure),
            ("https://1.1.1.1/", secure),
            ("https://notintra.example.net/", secure),
            ("http://media.example.net/v.mp4?a=b", all),
            ("https://intra.example.net/", None),
            ("https://a.INTRA.example.net:8443/", None),
            ("https://10.9.9.9/", None),
            ("https://192.0.2.7/", None),
            ("https://localhost/", None),
            ("http://127.0.0.1:8787/", None),
            ("http://[::1]:8787/", None),
            ("ftp://media.example.net/", None),
        ] {
            let proxy = two.of(&Url::parse(url).unwrap()).map(shown);
            assert_eq!(proxy.as_deref(), wanted, "{url}");
        }
        let everything = two.except("*");
        let url = Url::parse("https://api.kie.ai/").unwrap();
        assert_eq!(everything.of(&url), None);
        assert_eq!(
            everything.described(&url),
            " (the proxy http://secure.example.net:3128 is set and not used for it)"
        );
        assert_eq!(Proxy::default().described(&url), "");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for (url, wanted) in [
            ("", "empty host"),
            ("http://", "empty host"),
            ("socks5://", "no host"),
            ("ftp://me:secret@proxy.example.net", "its scheme has to be"),
            ("http://me:secret@proxy.example.net:port", "invalid port"),
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert!(error.contains(wanted), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
    }
}
