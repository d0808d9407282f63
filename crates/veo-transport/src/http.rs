use reqwest::ClientBuilder;

use crate::Proxy;

/// True if https is possible, which depends on the features: `rustls` or `native-tls`.
pub const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

/// Begins an HTTP client with public root certificates, and with no proxies but the given ones. All HTTP clients of
/// these crates begin with this function.
///
/// With the feature `rustls`, the certificates are the built-in ones of Mozilla, and those of the system if it has any.
/// With the feature `native-tls` they are those of the system. If both features are on, `native-tls` is used.
pub fn client_builder(proxy: &Proxy) -> ClientBuilder {
    // A library does not read the environment, where proxies are usually configured.
    let mut builder = ClientBuilder::new().no_proxy();
    if proxy.is_set() {
        let proxy = proxy.clone();
        builder = builder.proxy(reqwest::Proxy::custom(move |url| proxy.of(url).cloned()));
    }
    #[cfg(all(
        feature = "rustls",
        not(feature = "native-tls"),
        not(target_os = "android")
    ))]
    let builder = {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        builder.tls_certs_merge(roots.filter_map(|root| reqwest::Certificate::from_der(root).ok()))
    };
    builder
}
