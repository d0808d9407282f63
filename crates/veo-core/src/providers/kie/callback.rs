//! The marker in the query of a callback address, by which a callback finds its attempt.

/// The name of the pair in the query.
const MARKER: &str = "veo=";

/// Returns a callback address with a marker as the last pair of its query. The rest of the address is unchanged.
pub(super) fn with_marker(url: &str, marker: &str) -> String {
    if marker.is_empty() {
        return url.to_owned();
    }
    let (address, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = match address.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{address}{separator}{MARKER}{marker}{fragment}")
}

/// Returns the marker in the target of a request: a word of letters and digits, in the last pair `veo=` of the query.
pub(super) fn marker(target: &str) -> Option<String> {
    let (_, query) = target.split('#').next()?.split_once('?')?;
    let marker = query
        .split('&')
        .rev()
        .find_map(|pair| pair.strip_prefix(MARKER))?;
    let is_word = marker.len() <= 64 && marker.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(marker.to_owned()).filter(|marker| is_word && !marker.is_empty())
}
