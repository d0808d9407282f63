//! Decodes videos inside a reply, as data URLs, while it arrives. Their text would take more than twice the memory.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memrchr};

use crate::data_url::{DataUrl, LONGEST_HEAD};

/// The most bytes of videos that are read from one reply.
pub const MAX_INLINE: usize = 128 << 20;

/// The length in bytes up to which a data URL stays in the text.
const SHORT: usize = 1 << 20;
/// The start of the word that replaces the content of a link.
const TAKEN_OUT: &str = "inline-";

/// Finds the content of a link among the contents that were taken out of the reply.
///
/// ```
/// let taken = [bytes::Bytes::from_static(b"a video")];
/// assert!(veo_transport::inline("data:video/mp4;base64,inline-0", &taken).is_some());
/// assert!(veo_transport::inline("data:video/mp4;base64,AAAA", &taken).is_none());
/// ```
pub fn inline<'a>(url: &str, taken: &'a [Bytes]) -> Option<&'a Bytes> {
    let (head, content) = url.rsplit_once(',')?;
    let number = content.strip_prefix(TAKEN_OUT)?;
    let index: usize = number.parse().ok()?;
    head.starts_with("data:").then(|| taken.get(index))?
}

/// The body of a reply as it arrives, without the content of long data URLs.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) text: BytesMut,
    /// The place of the last quote in the text.
    last_quote: usize,
    /// The contents that were taken out.
    pub(crate) taken: Vec<Bytes>,
    content: Option<Content>,
}

/// The content of a data URL that is still arriving.
struct Content {
    /// `None` if the content is too long or cannot be decoded. Then the rest of the content is skipped.
    decoder: Option<DataUrl>,
    decoded: Vec<u8>,
    /// The number of backslashes at the end of the arrived text. If a quote comes next, they escape it.
    backslashes: usize,
    /// The place in the text at which the data URL begins.
    start: usize,
}

impl Body {
    /// Returns whether a content was taken out or is arriving.
    pub(crate) fn has_inline(&self) -> bool {
        !self.taken.is_empty() || self.content.is_some()
    }

    pub(crate) fn push(&mut self, mut chunk: &[u8]) {
        if let Some(content) = &mut self.content {
            let room = self.taken.iter().map(Bytes::len).sum();
            let Some(end) = memchr(b'"', chunk) else {
                content.push(chunk, room);
                return;
            };
            content.push(&chunk[..end], room);
            self.end();
            chunk = &chunk[end..];
        }
        if let Some(at) = memrchr(b'"', chunk) {
            self.last_quote = self.text.len() + at;
        }
        self.text.extend_from_slice(chunk);
        if self.text.len() - self.last_quote > SHORT {
            self.begin();
        }
    }

    /// Starts to take out the content of the last string, if it is a data URL.
    fn begin(&mut self) {
        let Some((start, length, decoder)) = self.data_url() else {
            return;
        };
        let arrived = self.text.split_off(start + length);
        let mut content = Content {
            decoder: Some(decoder),
            decoded: Vec::new(),
            backslashes: 0,
            start,
        };
        let room = self.taken.iter().map(Bytes::len).sum();
        content.push(&arrived, room);
        self.content = Some(content);
    }

    /// Finds the data URL at the end of the text, and the length of its head. The last quote can begin the data URL, or
    /// be a quote of a parameter in its head, which has a backslash.
    fn data_url(&self) -> Option<(usize, usize, DataUrl)> {
        let mut quote = self.last_quote;
        loop {
            let start = quote + 1;
            if let Some((decoder, length)) = DataUrl::begin(&self.text[start..])
                && !is_of_other(&self.text[start..start + length])
            {
                return Some((start, length, decoder));
            }
            if !self.text[..quote].ends_with(b"\\") {
                return None;
            }
            let before = self.last_quote.saturating_sub(LONGEST_HEAD);
            quote = before + memrchr(b'"', &self.text[before..quote])?;
        }
    }

    /// Ends the content, and writes a word in its place.
    fn end(&mut self) {
        let Some(content) = self.content.take() else {
            return;
        };
        let rest = content.decoder.and_then(DataUrl::end);
        if let Some(rest) = rest {
            let mut video = content.decoded;
            video.extend(rest);
            let word = format!("{TAKEN_OUT}{}", self.taken.len());
            self.text.extend_from_slice(word.as_bytes());
            self.taken.push(video.into());
        } else {
            // An empty text is not a link, so the caller looks for the video in another field.
            self.text.truncate(content.start);
        }
        self.text
            .extend(std::iter::repeat_n(b'\\', content.backslashes));
    }
}

impl Content {
    /// Decodes a piece. `before` is the length of all contents that were taken out earlier.
    fn push(&mut self, arrived: &[u8], before: usize) {
        let backslashes = arrived.iter().rev().take_while(|byte| **byte == b'\\');
        let backslashes = backslashes.count();
        if backslashes == arrived.len() {
            self.backslashes += backslashes;
        } else {
            self.backslashes = backslashes;
        }
        let Some(decoder) = &mut self.decoder else {
            return;
        };
        match decoder.push(arrived) {
            Some(bytes) if before + self.decoded.len() + bytes.len() <= MAX_INLINE => {
                self.decoded.extend(bytes);
            }
            _ => {
                self.decoder = None;
                self.decoded = Vec::new();
            }
        }
    }
}

/// Returns whether the head of a data URL says that its content is not a video.
fn is_of_other(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let head = head.replace('\\', "").to_ascii_lowercase();
    head.starts_with("data:image/") || head.starts_with("data:text/")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    use super::*;

    /// Reads a reply in pieces of a given length.
    fn read(reply: &str, piece: usize) -> Body {
        let mut body = Body::default();
        for piece in reply.as_bytes().chunks(piece) {
            body.push(piece);
        }
        body
    }

    #[test]
    fn long_content_is_taken_out_and_the_rest_stays() {
        let video: Vec<u8> = (0_u32..3 << 19)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        let base64 = BASE64.encode(&video);
        let escaped = base64
            .replace('/', r"\/")
            .replace('+', r"\u002B")
            .replace('=', r"\u003d");
        for content in [&base64, &escaped] {
            for head in [
                "data:video/mp4;base64,",
                r"data:video\/mp4;base64,",
                r#"data:video/mp4;codecs=\"avc1.42E01E, mp4a.40.2\";base64,"#,
                "DATA:;BASE64,",
            ] {
                for piece in [4093, 1 << 20] {
                    let reply =
                        |content: &str| format!(r#"{{"a":"b","url":"{head}{content}","id":"t1"}}"#);
                    let body = read(&reply(content), piece);
                    assert_eq!(body.text, reply("inline-0"), "{head}, {piece}");
                    assert_eq!(body.taken, std::slice::from_ref(&video), "{head}, {piece}");
                }
            }
        }
    }

    /// In JSON inside a JSON string, a backslash escapes the quote at the end of the link.
    #[test]
    fn content_is_taken_out_of_json_in_a_text() {
        let long = "AAAA".repeat(SHORT / 2);
        for (content, word) in [(long.clone(), "inline-0"), (format!("{long}*"), "")] {
            for piece in [4093, 1 << 20] {
                let reply = |content: &str, head: &str| {
                    format!(r#"{{"result":"{{\"url\":\"{head}{content}\"}}","id":"t1"}}"#)
                };
                let head = "data:video/mp4;base64,";
                let body = read(&reply(&content, head), piece);
                let head = if word.is_empty() { "" } else { head };
                assert_eq!(body.text, reply(word, head), "{piece}");
            }
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let long = "AAAA".repeat(SHORT / 2);
        for reply in [
            r#"{"url":"data:video/mp4;base64,AAAA"}"#.to_owned(),
            format!(r#"{{"url":"data:image/png;base64,{long}"}}"#),
            format!(r#"{{"text":"{long}"}}"#),
            long.clone(),
        ] {
            let body = read(&reply, 10_000);
            assert!(body.text == reply && body.taken.is_empty());
        }
    }

    #[test]
    fn content_of_no_use_leaves_an_empty_text() {
        let long = "AAAA".repeat(SHORT / 2);
        let endless = "AAAA".repeat(MAX_INLINE / 3 + 1);
        for content in [
            format!("{long}*{long}"),
            format!("{long}A"),
            format!(r"{long}\x"),
            endless,
        ] {
            let body = read(
                &format!(r#"{{"url":"data:;base64,{content}","id":"t1"}}"#),
                1 << 16,
            );
            assert_eq!(body.text, r#"{"url":"","id":"t1"}"#);
            assert!(body.taken.is_empty());
        }
    }

    #[test]
    fn a_second_one_has_a_number_of_its_own_and_shares_the_room() {
        let half = "AAAA".repeat(MAX_INLINE / 6);
        let reply =
            format!(r#"["data:;base64,{half}","data:;base64,{half}","data:;base64,{half}"]"#);
        let body = read(&reply, 1 << 20);
        assert_eq!(
            body.text,
            r#"["data:;base64,inline-0","data:;base64,inline-1",""]"#
        );
        assert_eq!(body.taken.len(), 2);
    }
}
