use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Encodes a text as one segment of a path: the characters that end a segment, and those that URLs encode in paths.
///
/// ```
/// assert_eq!(veo_transport::encode_path("a/b c"), "a%2Fb%20c");
/// ```
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The path percent-encode set of the URL standard, with `/` and `%`.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');
