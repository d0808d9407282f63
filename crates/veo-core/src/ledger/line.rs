//! The format of a ledger file: the first line stores the length of the file, and each event has a line.

use std::fs::File;
use std::io::{self, Write as _};

use memchr::memmem::{self, Finder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Event;
use super::book::EventSummary;
use super::disk::read_at;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Head {
    #[serde(rename = "veo-ledger")]
    pub(super) version: u32,
    /// A random id that stays the same when the file is rewritten.
    pub(super) id: String,
    /// The number of lines after this one.
    pub(super) lines: u64,
    pub(super) end: u64,
    /// The start of the SHA-256 of the key of the last line.
    pub(super) last: String,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            version: VERSION,
            id: String::new(),
            lines: 0,
            end: 0,
            last: String::new(),
        }
    }
}

pub(super) const VERSION: u32 = 1;
/// The length of the first line in bytes, including its line break.
pub(super) const HEAD: u64 = 192;
/// The start of every line, before its checksum.
pub(super) const START: &[u8] = b"{\"crc\":\"";
/// The text between the checksum and the summary of the event.
const SHORT: &[u8] = b"\",\"short\":";
/// The text between the summary and the event.
const EVENT: &[u8] = b",\"event\":";
const PROMPT: &[u8] = b"\"prompt\":";

/// Makes a line: a checksum, the summary of the event with the number of the line, and the event.
pub(super) fn line(short: &EventSummary, event: &Event) -> io::Result<Vec<u8>> {
    let mut rest = SHORT.to_vec();
    serde_json::to_writer(&mut rest, short)?;
    rest.extend_from_slice(EVENT);
    serde_json::to_writer(&mut rest, event)?;
    rest.extend_from_slice(b"}\n");
    let mut line = START.to_vec();
    line.extend_from_slice(&checksum(crc32fast::hash(&rest)));
    line.append(&mut rest);
    Ok(line)
}

/// Reads the summary of the event, if the line is whole.
pub(super) fn short_of(bytes: &[u8]) -> Result<EventSummary<'_>, String> {
    let changed = || "it is changed".to_owned();
    let (crc, rest) = bytes
        .strip_prefix(START)
        .and_then(|line| line.split_at_checked(8))
        .ok_or_else(changed)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(rest);
    if !rest.ends_with(b"\n") {
        hasher.update(b"\n");
    }
    if checksum(hasher.finalize()) != crc {
        return Err(changed());
    }
    let short = rest.strip_prefix(SHORT).ok_or_else(changed)?;
    // Checking the whole line as UTF-8 once is faster than checking each text in it.
    let short = str::from_utf8(short).map_err(|_| changed())?;
    // The event itself is read only when it is needed.
    let mut shorts = serde_json::Deserializer::from_str(short).into_iter::<EventSummary>();
    match shorts.next() {
        Some(Ok(short)) => Ok(short),
        Some(Err(error)) => Err(format!("it is not understood: {error}")),
        None => Err(changed()),
    }
}

/// Splits a line into the summary and the event.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.get(START.len() + 8..)?.strip_prefix(SHORT)?;
    // A quote within a text has a backslash before it, so the first match is the border between the two parts.
    let end = memmem::find(rest, EVENT)?;
    let (short, event) = (rest.get(..end)?, rest.get(end + EVENT.len()..)?);
    Some((
        short,
        event
            .strip_suffix(b"}\n")
            .or_else(|| event.strip_suffix(b"}"))?,
    ))
}

pub(super) fn prompt_finder() -> Finder<'static> {
    Finder::new(PROMPT)
}

/// Reads the prompt of a line, which is the first field with this name. The rest of a long line is not read.
pub(super) fn prompt_in(bytes: &[u8], finder: &Finder) -> Option<String> {
    // A quote within a text has a backslash before it, and the summary has no field of this name.
    let prompt = bytes.get(finder.find(bytes)? + PROMPT.len()..)?;
    serde_json::Deserializer::from_slice(prompt)
        .into_iter()
        .next()?
        .ok()
}

/// Returns whether a byte can be room: a place in the file where no line was written yet.
pub(super) fn is_room(byte: u8) -> bool {
    matches!(byte, b' ' | b'\0')
}

/// Returns whether all bytes are room: spaces that a process has written, and zeros that some file systems leave after
/// a power failure. A single zero is damage.
pub(super) fn is_room_only(room: &[u8]) -> bool {
    let spaces = room.iter().take_while(|byte| **byte == b' ').count();
    let zeros = room.get(spaces..).unwrap_or_default();
    zeros.len() != 1 && zeros.iter().all(|byte| *byte == b'\0')
}

fn checksum(crc: u32) -> [u8; 8] {
    let mut digits = [b'0'; 8];
    // This cannot fail, since a checksum has eight digits.
    let _ = write!(&mut digits[..], "{crc:08x}");
    digits
}

/// Makes the first line, with spaces up to its length.
pub(super) fn head_line(head: &Head) -> Vec<u8> {
    let text = serde_json::to_string(head).unwrap_or_default();
    let crc = crc32fast::hash(text.as_bytes());
    let line = format!("{},\"crc\":\"{crc:08x}\"}}", text.trim_end_matches('}'));
    let width = usize::try_from(HEAD).unwrap_or_default() - 1;
    format!("{line:width$}\n").into_bytes()
}

/// Reads the first line, if it is whole.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    let mut bytes = vec![0; usize::try_from(HEAD).unwrap_or_default()];
    match read_at(file, &mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let head = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|head| Head::deserialize(head).ok());
    Ok(head.filter(|head| head_line(head) == bytes))
}
