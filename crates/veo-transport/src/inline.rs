//! Videos inside a reply, as data URLs, are decoded while the reply arrives: as text they would take more than twice their
//! memory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use memchr::{memchr, memrchr};

/// The longest video inside a reply that is taken, in bytes.
pub const MAX_INLINE: usize = 128 << 20;

/// A data URL that is shorter than this stays in the text.
const SHORT: usize = 1 << 20;
/// The longest beginning of a data URL, which is in front of its content.
const LONGEST_HEAD: usize = 256;
/// The end of a link in a reply, instead of the content that was taken out of it.
const TAKEN_OUT: &str = "inline-";

/// The content of a link that was taken out of its reply, among all that were.
///
/// ```
/// let taken = [bytes::Bytes::from_static(b"a video")];
/// assert!(veo_transport::inline("data:video/mp4;base64,inline-0", &taken).is_some());
/// assert!(veo_transport::inline("data:video/mp4;base64,AAAA", &taken).is_none());
/// ```
pub fn inline<'a>(url: &str, taken: &'a [Bytes]) -> Option<&'a Bytes> {
    let (head, content) = url.split_once(',')?;
    let number = content.strip_prefix(TAKEN_OUT)?;
    let index: usize = number.parse().ok()?;
    head.starts_with("data:").then(|| taken.get(index))?
}

/// The body of a reply as it arrives, without the content of long data URLs.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) text: BytesMut,
    /// Where the last quote in the text is. A string that has not ended begins there, since none is in a data URL.
    last_quote: usize,
    /// What was taken out.
    pub(crate) taken: Vec<Bytes>,
    content: Option<Content>,
}

/// The content of a data URL on its way.
#[derive(Default)]
struct Content {
    /// What has arrived and is not decoded yet.
    encoded: Vec<u8>,
    decoded: Vec<u8>,
    /// Whether it is of no use: too long, or not in base64. The rest of it is passed over.
    is_lost: bool,
}

impl Body {
    /// Whether something was taken out, or is on its way to be.
    pub(crate) fn has_inline(&self) -> bool {
        !self.taken.is_empty() || self.content.is_some()
    }

    pub(crate) fn push(&mut self, mut chunk: &[u8]) {
        if let Some(content) = &mut self.content {
            let Some(end) = memchr(b'"', chunk) else {
                let room = self.taken.iter().map(Bytes::len).sum();
                content.push(chunk, room);
                return;
            };
            self.end(&chunk[..end]);
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

    /// Takes the content out of a string that has begun, if it is a data URL.
    fn begin(&mut self) {
        let start = self.last_quote + 1;
        let Some(length) = head_of_data_url(&self.text[start..]) else {
            return;
        };
        let arrived = self.text.split_off(start + length);
        let mut content = Content::default();
        let room = self.taken.iter().map(Bytes::len).sum();
        content.push(&arrived, room);
        self.content = Some(content);
    }

    /// Takes the last of the content, and leaves a word for it.
    fn end(&mut self, rest: &[u8]) {
        let Some(mut content) = self.content.take() else {
            return;
        };
        let room = self.taken.iter().map(Bytes::len).sum();
        content.push(rest, room);
        content.decode(true);
        if content.is_lost {
            // An empty text is no link, so that the video is looked for elsewhere.
            self.text.truncate(self.last_quote + 1);
            return;
        }
        let word = format!("{TAKEN_OUT}{}", self.taken.len());
        self.text.extend_from_slice(word.as_bytes());
        self.taken.push(content.decoded.into());
    }
}

impl Content {
    /// Takes what has arrived. `before` is the length of what was taken out before it.
    fn push(&mut self, arrived: &[u8], before: usize) {
        if self.is_lost {
            return;
        }
        self.encoded.extend_from_slice(arrived);
        self.decode(false);
        if before + self.decoded.len() > MAX_INLINE {
            self.is_lost = true;
        }
        if self.is_lost {
            self.encoded = Vec::new();
            self.decoded = Vec::new();
        }
    }

    /// Decodes what is whole, or all of it at its end.
    fn decode(&mut self, is_end: bool) {
        let whole = if is_end {
            self.encoded.len()
        } else {
            without_half_escape(&self.encoded)
        };
        let rest = self.encoded.split_off(whole);
        let mut letters = std::mem::replace(&mut self.encoded, rest);
        if memchr(b'\\', &letters).is_some() {
            let quoted = [b"\"", &*letters, b"\""].concat();
            match serde_json::from_slice::<String>(&quoted) {
                Ok(text) => letters = text.into_bytes(),
                Err(_) => self.is_lost = true,
            }
        }
        // Base64 goes by four letters.
        let fours = if is_end {
            letters.len()
        } else {
            letters.len() / 4 * 4
        };
        let undecoded = letters.split_off(fours);
        self.encoded.splice(..0, undecoded);
        if BASE64.decode_vec(&letters, &mut self.decoded).is_err() {
            self.is_lost = true;
        }
    }
}

/// The length of a text without an escape of JSON at its end that may go on.
fn without_half_escape(text: &[u8]) -> usize {
    /// That of `\u002f`.
    const LONGEST: usize = 6;
    let tail = text.len().saturating_sub(LONGEST - 1);
    match memrchr(b'\\', &text[tail..]) {
        Some(at) if is_half(&text[tail + at..]) => tail + at,
        _ => text.len(),
    }
}

fn is_half(escape: &[u8]) -> bool {
    escape.len() < 2 || escape[1] == b'u'
}

/// The length of the beginning of a data URL that can be a video, up to its content.
fn head_of_data_url(text: &[u8]) -> Option<usize> {
    let start = &text[..text.len().min(LONGEST_HEAD)];
    let length = memchr(b',', start)? + 1;
    let head = std::str::from_utf8(&start[..length]).ok()?;
    let head = head.replace('\\', "").to_ascii_lowercase();
    let is_other = head.starts_with("data:image/") || head.starts_with("data:text/");
    (head.starts_with("data:") && head.ends_with(";base64,") && !is_other).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply, in pieces of this length.
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

    #[test]
    fn everything_else_stays_as_it_is() {
        let long = "AAAA".repeat(SHORT / 2);
        for reply in [
            r#"{"url":"data:video/mp4;base64,AAAA"}"#.to_owned(),
            format!(r#"{{"url":"data:image/png;base64,{long}"}}"#),
            format!(r#"{{"url":"data:video/mp4,{long}"}}"#),
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
