//! Decodes data URLs: links that contain a whole video, as text.

use std::mem;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::{memchr, memchr2, memmem};

/// Base64 as other programs write it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest head of a data URL, in bytes. The content follows it.
pub(crate) const LONGEST_HEAD: usize = 512;

/// The content of a data URL, decoded piece by piece as it arrives. To decode it at once would take twice the memory.
///
/// The content may be in the standard or the URL-safe alphabet of base64, in several lines, and with escapes of URLs or
/// of JSON. If the head does not say base64, a content that begins with an escape of a URL counts as plain bytes.
///
/// ```
/// use veo_transport::DataUrl;
///
/// let url = "data:video/mp4;codecs=\"avc1, mp4a\";base64,AAAA\nIGZ0eXA%3D";
/// let (mut content, start) = DataUrl::begin(url.as_bytes()).unwrap();
/// let mut video = content.push(&url.as_bytes()[start..]).unwrap();
/// video.extend(content.end().unwrap());
/// assert_eq!(video, b"\0\0\0 ftyp");
/// ```
pub struct DataUrl {
    is_base64: Option<bool>,
    /// The start of an escape whose end has not arrived.
    escape: Vec<u8>,
    /// Letters of base64 that do not make a group of four yet.
    letters: Vec<u8>,
}

impl DataUrl {
    /// Reads the head of a data URL, and returns a decoder and the offset of the content. Returns nothing for another
    /// text.
    pub fn begin(url: &[u8]) -> Option<(Self, usize)> {
        let head = url[..url.len().min(LONGEST_HEAD)].to_ascii_lowercase();
        if !head.starts_with(b"data:") {
            return None;
        }
        // A parameter can have commas, so the first comma need not end the head.
        let word: &[u8] = b";base64,";
        let (start, is_base64) = match memmem::find(&head, word) {
            Some(at) => (at + word.len(), Some(true)),
            None => (memchr(b',', &head)? + 1, None),
        };
        let content = Self {
            is_base64,
            escape: Vec::new(),
            letters: Vec::new(),
        };
        Some((content, start))
    }

    /// Decodes the next piece of the content. Returns nothing if it cannot be decoded.
    pub fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let is_base64 = match self.is_base64 {
            Some(is_base64) => is_base64,
            None => !piece.starts_with(b"%"),
        };
        self.is_base64 = Some(is_base64);
        self.unescape(piece);
        if !is_base64 {
            return Some(mem::take(&mut self.letters));
        }
        self.letters.retain(|letter| !letter.is_ascii_whitespace());
        for letter in &mut self.letters {
            match letter {
                b'-' => *letter = b'+',
                b'_' => *letter = b'/',
                _ => {}
            }
        }
        // Base64 is decoded in groups of four letters.
        let rest = self.letters.split_off(self.letters.len() / 4 * 4);
        let fours = mem::replace(&mut self.letters, rest);
        BASE64.decode(fours).ok()
    }

    /// Decodes the rest at the end of the content. Returns nothing if it cannot be decoded.
    pub fn end(self) -> Option<Vec<u8>> {
        // Backslashes at the end belong to the text after the content.
        let is_whole = self.escape.iter().all(|byte| *byte == b'\\');
        let rest = BASE64.decode(self.letters).ok();
        rest.filter(|_| is_whole)
    }

    /// Adds a piece to the letters, and replaces its escapes.
    fn unescape(&mut self, piece: &[u8]) {
        let mut text = mem::take(&mut self.escape);
        text.extend_from_slice(piece);
        let mut rest = text.as_slice();
        while let Some(at) = memchr2(b'\\', b'%', rest) {
            self.letters.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let Some((byte, length)) = escaped(rest) else {
                self.escape = rest.to_vec();
                return;
            };
            self.letters.push(byte);
            rest = &rest[length..];
        }
        self.letters.extend_from_slice(rest);
    }
}

/// Returns the byte of an escape and the length of the escape, or nothing if its end has not arrived.
fn escaped(text: &[u8]) -> Option<(u8, usize)> {
    /// A letter that no content has, so decoding fails on it.
    const WRONG: u8 = b'*';
    let number = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()
    };
    if text.starts_with(b"%") {
        return Some((number(text.get(1..3)?).unwrap_or(WRONG), 3));
    }
    // JSON inside a JSON string has more than one backslash.
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    let end = slashes + 1;
    match *text.get(slashes)? {
        b'u' => Some((number(text.get(end..end + 4)?).unwrap_or(WRONG), end + 4)),
        b'n' | b'r' | b't' => Some((b'\n', end)),
        letter => Some((letter, end)),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;

    fn decoded(url: &str, piece: usize) -> Option<Vec<u8>> {
        let (mut content, start) = DataUrl::begin(url.as_bytes())?;
        let mut video = Vec::new();
        for piece in url.as_bytes()[start..].chunks(piece) {
            video.extend(content.push(piece)?);
        }
        video.extend(content.end()?);
        Some(video)
    }

    #[test]
    fn content_is_decoded_in_each_way_in_which_it_is_written() {
        let video: Vec<u8> = (0_u32..1000)
            .map(|n| (n.wrapping_mul(n) >> 3) as u8)
            .collect();
        let base64 = STANDARD.encode(&video);
        let lines = |end: &str| {
            let lines: Vec<_> = base64.as_bytes().chunks(76).collect();
            String::from_utf8(lines.join(end.as_bytes())).unwrap()
        };
        let percent = |text: &str| {
            text.replace('+', "%2B")
                .replace('/', "%2f")
                .replace('=', "%3D")
        };
        let bytes: String = video.iter().map(|byte| format!("%{byte:02X}")).collect();
        let mp4 = "data:video/mp4;base64,";
        let urls = [
            format!("{mp4}{base64}"),
            format!("{mp4}{}", URL_SAFE.encode(&video)),
            format!("{mp4}{}", URL_SAFE_NO_PAD.encode(&video)),
            format!("{mp4}{}", base64.trim_end_matches('=')),
            format!("{mp4}{}", lines("\r\n")),
            format!("{mp4}{}", lines(" ")),
            format!("{mp4}{}", lines(r"\r\n")),
            format!("{mp4}{}", lines(r"\\n")),
            format!("{mp4}{}", lines("%0A")),
            format!("{mp4}{}", percent(&base64)),
            format!(
                "{mp4}{}",
                base64.replace('/', r"\/").replace('+', r"\u002B")
            ),
            format!(
                "{mp4}{}",
                base64.replace('/', r"\\/").replace('=', r"\\u003d")
            ),
            format!(r#"data:video/mp4;codecs="avc1.42E01E, mp4a.40.2";base64,{base64}"#),
            format!(r#"data:video\/mp4;codecs=\"avc1,mp4a\";base64,{base64}"#),
            format!("data:video/mp4;codecs=avc1,mp4a;base64,{base64}"),
            format!("DATA:;BASE64,{base64}"),
            format!("data:video/mp4,{base64}"),
            format!("data:video/mp4,{bytes}"),
        ];
        for url in urls {
            for piece in [1, 2, 5, 64, 10_000] {
                let start = &url[..url.len().min(60)];
                assert!(decoded(&url, piece).as_ref() == Some(&video), "{start}");
            }
        }
        for url in [
            "data:video/mp4;base64,AAA*",
            "data:video/mp4;base64,AAAAA",
            "data:video/mp4;base64,AAA%",
            "data:video/mp4;base64,AAA%zz",
            r"data:video/mp4;base64,AAA\u01ff",
            "data:video/mp4",
            "https://x.net/a,b",
            "",
        ] {
            assert_eq!(decoded(url, 4), None, "{url}");
        }
    }
}
