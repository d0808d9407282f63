//! Removes the API key, and everything in links that can be secret, from texts before they are shown or stored.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret, SecretString};

/// Removes the secret parts of links in a text: queries, which can be signatures, user names and passwords. It also
/// removes the content of data URLs. It is for logs and error messages, so in doubt it removes too much.
///
/// ```
/// let text = "moved to https://me:pass@cdn.example.net/v.mp4?signature=0f1e, for a day";
/// assert_eq!(veo_transport::without_queries(text), "moved to https://cdn.example.net/v.mp4?... for a day");
/// ```
pub fn without_queries(text: &str) -> String {
    let end = |text: &str, stops: &str| {
        text.find(|c| ends_link(c) || stops.contains(c))
            .unwrap_or(text.len())
    };
    let mut shown = String::new();
    let (mut rest, mut in_link) = (text, false);
    while let Some(at) =
        rest.find(|c| ":;".contains(c) || in_link && (ends_link(c) || "?#".contains(c)))
    {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        // Some languages escape the slashes in JSON.
        if let Some(start) = ["://", ":\\/\\/"]
            .into_iter()
            .find(|start| rest.starts_with(start))
        {
            rest = &rest[start.len()..];
            let authority = &rest[..end(rest, "/\\?#")];
            rest = &rest[authority.len()..];
            shown.push_str(start);
            shown.push_str(authority.rsplit('@').next().unwrap_or_default());
            in_link = true;
        } else if rest.starts_with(";base64,") || in_link && rest.starts_with(['?', '#']) {
            shown.push_str(if rest.starts_with(';') {
                ";base64,..."
            } else {
                "?..."
            });
            rest = &rest[end(rest, "")..];
            in_link = false;
        } else {
            in_link &= !rest.starts_with(ends_link);
            let (first, others) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
            shown.push_str(first);
            rest = others;
        }
    }
    shown + rest
}

/// Shows the start of a text from outside for logs and error messages, without the secrets that [`without_queries`]
/// removes. The start has at most `most` bytes of the text, and ends with dots if the text has more.
///
/// ```
/// assert_eq!(veo_transport::excerpt(b"moved to https://cdn.example.net/v.mp4", 20), "moved to ...");
/// ```
pub fn excerpt(text: &[u8], most: usize) -> String {
    if text.len() <= most {
        return without_queries(&String::from_utf8_lossy(text));
    }
    let is_first_of_a_character = |at: &usize| text[*at] & 0b1100_0000 != 0b1000_0000;
    let end = (0..=most)
        .rev()
        .find(is_first_of_a_character)
        .unwrap_or_default();
    let start = String::from_utf8_lossy(&text[..end]);
    // In a cut link, a password can look like a host. So a last word with a colon is dropped.
    let word = start.rfind(ends_link).unwrap_or_default();
    let whole = if start[word..].contains(':') {
        &start[..word]
    } else {
        &start
    };
    without_queries(whole) + " ..."
}

/// Shortens the words of a provider to a few KiB.
pub fn shortened(text: String) -> String {
    const KEPT: usize = 4096;
    // Short words are not changed, since a later step looks for their meaning.
    if text.len() <= KEPT {
        text
    } else {
        excerpt(text.as_bytes(), KEPT)
    }
}

/// The API key, which is removed from every reply.
#[derive(Clone)]
pub(crate) struct Key {
    key: Arc<SecretString>,
    may_be_a_word: bool,
}

/// The shortest API key, in bytes, that is hidden even at a loopback address. A shorter one is for a simulator, and can
/// be a word that a reply needs, such as `failed`. API keys of kie.ai have 32 bytes, those of UniAll more.
const SHORTEST_KEY: usize = 16;

impl Key {
    pub(crate) fn new(key: SecretString, is_loopback: bool) -> Self {
        Self {
            may_be_a_word: is_loopback && key.expose_secret().len() < SHORTEST_KEY,
            key: Arc::new(key),
        }
    }

    /// Removes the API key from a body. A provider can repeat the API key, and bodies are shown in errors and logs.
    pub(crate) fn remove(&self, mut body: BytesMut) -> Bytes {
        if self.may_be_a_word {
            return body.freeze();
        }
        let key = self.key.expose_secret().as_bytes();
        let mut clean = BytesMut::new();
        while let Some((at, length)) = find(&body, key) {
            clean.unsplit(body.split_to(at));
            clean.extend_from_slice(b"[key]");
            let _ = body.split_to(length);
        }
        // A body without the API key is not copied.
        clean.unsplit(body);
        clean.freeze()
    }

    pub(crate) fn remove_from(&self, text: &str) -> String {
        let clean = self.remove(text.as_bytes().into());
        String::from_utf8_lossy(&clean).into_owned()
    }

    /// Shows the start of a body in the log, in one line.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        const SHOWN: usize = 4096;
        let start = self.remove(body[..body.len().min(2 * SHOWN)].into());
        excerpt(&start, SHOWN).replace(char::is_control, " ")
    }
}

/// Finds the API key, plain or in the encodings of JSON, of URLs and of HTML. Returns its first offset, and its length
/// at this offset.
fn find(body: &[u8], key: &[u8]) -> Option<(usize, usize)> {
    let first = *key.first()?;
    let is_start = |byte: u8| byte == first || matches!(byte, b'\\' | b'%' | b'&');
    let mut at = 0;
    loop {
        at += body[at..].iter().position(|byte| is_start(*byte))?;
        let rest = &body[at..];
        if rest.starts_with(key) {
            return Some((at, key.len()));
        }
        // JSON escapes no letter with a backslash alone. If the backslash before the key were removed with it, a broken
        // reply could become valid JSON.
        let is_escaped_letter = first.is_ascii_alphanumeric()
            && rest.starts_with(b"\\")
            && encoded_byte(rest, first) == Some(backslashes(rest) + 1);
        if !is_escaped_letter && let Some(length) = encoded(rest, key) {
            return Some((at, length));
        }
        at += 1;
    }
}

/// Returns the length of the API key at the start of a text. Each byte of it can be plain or encoded.
fn encoded(text: &[u8], key: &[u8]) -> Option<usize> {
    let mut length = 0;
    for byte in key {
        length += encoded_byte(&text[length..], *byte)?;
    }
    Some(length)
}

fn encoded_byte(text: &[u8], byte: u8) -> Option<usize> {
    let hexadecimal = |prefix: usize, digits: usize| {
        let digits = std::str::from_utf8(text.get(prefix..prefix + digits)?).ok()?;
        (u32::from_str_radix(digits, 16).ok()? == u32::from(byte)).then_some(prefix + digits.len())
    };
    // JSON inside JSON doubles the backslashes.
    let slashes = backslashes(text);
    if slashes > 0 {
        let escaped = *text.get(slashes)?;
        if escaped == b'u'
            && let Some(length) = hexadecimal(slashes + 1, 4)
        {
            return Some(length);
        }
        if escaped == byte {
            return Some(slashes + 1);
        }
    }
    if text.starts_with(b"%25") && byte != b'%' {
        return hexadecimal(3, 2);
    }
    if text.starts_with(b"%")
        && let Some(length) = hexadecimal(1, 2)
    {
        return Some(length);
    }
    if text.starts_with(b"&#") {
        let end = text.iter().take(10).position(|c| *c == b';')?;
        let number = std::str::from_utf8(&text[2..end]).ok()?;
        let value = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return (value == u32::from(byte)).then_some(end + 1);
    }
    (text.first() == Some(&byte)).then_some(1)
}

/// Returns the number of backslashes at the start of a text, up to those of JSON within JSON within JSON.
fn backslashes(text: &[u8]) -> usize {
    text.iter().take(8).take_while(|c| **c == b'\\').count()
}

/// Returns whether a character ends a link: white space, and quotes as in JSON and HTML. Commas and backslashes do not
/// end a link, since they can be part of a query.
fn ends_link(c: char) -> bool {
    c.is_whitespace() || "\"<>".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::is_loopback;

    /// An API key for a simulator can be a word. An API key for another machine is a real one, even if it is short.
    #[test]
    fn only_a_word_for_this_machine_stays_in_a_reply() {
        let long = "a-key-as-long-as-real-ones";
        for (url, key, hides) in [
            ("https://gateway.example.net", "failed", true),
            ("https://gateway.example.net", long, true),
            ("http://127.0.0.1:8787", "failed", false),
            ("http://127.0.0.1:8787", long, true),
        ] {
            let body = format!("the key is {key}");
            let key = Key::new(key.into(), is_loopback(url));
            let body = key.remove(body.as_bytes().into());
            assert_eq!(
                body == "the key is [key]",
                hides,
                "{url} {key:?}",
                key = key.key
            );
        }
    }

    #[test]
    fn backslashes_before_the_key_stay() {
        let key = Key::new("sk-0f1e2d3c4b5a6978".into(), true);
        for slashes in ["", r"\", r"\\", r"\\\"] {
            let hidden = key.remove_from(&format!("{slashes}sk-0f1e2d3c4b5a6978"));
            assert_eq!(hidden, format!("{slashes}[key]"));
        }
        // Each backslash is looked at a few times only, however many there are.
        let many = "\\".repeat(1 << 20);
        assert_eq!(key.remove_from(&many), many);
        let key = Key::new("u-0f1e2d3c4b5a69788".into(), true);
        assert_eq!(key.remove_from(r"\u0075-0f1e2d3c4b5a69788"), "[key]");
    }

    #[test]
    fn the_key_is_found_in_every_encoding() {
        let key = "sk-0f1e/2d3c+4b5a/6978";
        let each = |write: &dyn Fn(u8) -> String| key.bytes().map(write).collect::<String>();
        let table = [
            key.to_owned(),
            key.replace('/', "\\/"),
            key.replace('/', "\\\\\\/"),
            each(&|byte| format!("\\u{byte:04x}")),
            each(&|byte| format!("\\u{byte:04X}")),
            each(&|byte| format!("\\\\u{byte:04x}")),
            key.replace('/', "%2F").replace('+', "%2B"),
            key.replace('/', "%2f").replace('+', "%2b"),
            key.replace('/', "%252F").replace('+', "%252B"),
            each(&|byte| format!("%{byte:02X}")),
            key.replace('/', "&#47;").replace('+', "&#x2B;"),
        ];
        for written in table {
            let body = format!("bad key {written} and {written}, \\\\ 5 % &amp; so on");
            let hidden = Key::new(key.into(), true).remove_from(&body);
            assert_eq!(
                hidden, "bad key [key] and [key], \\\\ 5 % &amp; so on",
                "{written}"
            );
        }
    }
}
