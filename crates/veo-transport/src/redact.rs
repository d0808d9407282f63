//! The key, and whatever can be secret in a link, are removed from texts before they are shown or kept.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

/// A text whose links have lost what can be secret in them: queries, which can be signatures, user names and passwords; and
/// the content of data URLs, which is long. For logs and error messages. It takes rather too much away than too little.
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
        // The second is how some languages write the first in JSON.
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

/// The start of a text of somebody else for logs and error messages, as [`without_queries`] shows it. It has at most so many
/// bytes of the text, and ends with dots if there are more.
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
    // A link that is cut short does not show what it is: a password looks like a host.
    let word = start.rfind(ends_link).unwrap_or_default();
    let whole = if start[word..].contains(':') {
        &start[..word]
    } else {
        &start
    };
    without_queries(whole) + " ..."
}

/// The words of a provider, of which a few KiB are kept.
pub fn words(text: String) -> String {
    const KEPT: usize = 4096;
    // As they came, since they are looked into.
    if text.len() <= KEPT {
        text
    } else {
        excerpt(text.as_bytes(), KEPT)
    }
}

/// The key, which is removed from whatever is read.
#[derive(Clone)]
pub(crate) struct Key {
    key: Arc<SecretString>,
    may_be_a_word: bool,
}

/// A key for a simulator on this machine can be a word that a reply needs, such as `failed`. So it is hidden in bodies only if
/// it has as many bytes as this; those of kie.ai have 32 and those of UniAll more.
const SHORTEST_KEY: usize = 16;

impl Key {
    pub(crate) fn new(key: SecretString, is_loopback: bool) -> Self {
        Self {
            may_be_a_word: is_loopback && key.expose_secret().len() < SHORTEST_KEY,
            key: Arc::new(key),
        }
    }

    /// A body without the key, which a provider can echo: bodies end up in errors and logs.
    pub(crate) fn remove(&self, mut body: BytesMut) -> Bytes {
        if self.may_be_a_word {
            return body.freeze();
        }
        let key = self.key.expose_secret().as_bytes();
        let mut clean = BytesMut::new();
        while let Some(at) = memmem::find(&body, key) {
            clean.unsplit(body.split_to(at));
            clean.extend_from_slice(b"[key]");
            let _ = body.split_to(key.len());
        }
        // Without a key in it, this is the body itself and no copy.
        clean.unsplit(body);
        clean.freeze()
    }

    /// The start of a body for the log, in one line.
    pub(crate) fn excerpt(&self, body: &[u8]) -> String {
        const SHOWN: usize = 4096;
        let start = self.remove(body[..body.len().min(2 * SHOWN)].into());
        excerpt(&start, SHOWN).replace(char::is_control, " ")
    }
}

/// A quote ends a link in JSON and HTML. Commas and backslashes do not: they can be part of a query.
fn ends_link(c: char) -> bool {
    c.is_whitespace() || "\"<>".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::is_loopback;

    /// A word can be the key for a simulator. Whoever is not on this machine has real keys, however long they are.
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
}
