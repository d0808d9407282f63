use std::net::IpAddr;

use reqwest::Url;

/// Returns whether a URL leads to this machine: to `localhost` or to a loopback address, in any spelling.
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    // The parser has changed every spelling of a name or an address to the usual one.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // A name with a dot at its end means the same host.
        Err(_) => host.strip_suffix('.').unwrap_or(host) == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_in_any_spelling() {
        for (url, expected) in [
            ("http://localhost:8787", true),
            ("http://LOCALHOST", true),
            ("https://localhost/v1", true),
            ("http://localhost.:8787", true),
            ("http://localhost..", false),
            ("http://127.0.0.1:8787", true),
            ("http://127.9.9.9", true),
            ("http://0x7f.1", true),
            ("http://[::1]:8787", true),
            ("https://api.example.net", false),
            ("http://localhost.example.net", false),
            ("http://127.0.0.1.example.net", false),
            ("http://127.0.0.1@example.net", false),
            ("http://10.0.0.1", false),
            ("localhost:8787", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
