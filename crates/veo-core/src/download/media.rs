//! Checks that an MP4 file is whole, and reads its properties.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shiguredo_mp4::boxes::{MehdBox, MvhdBox, SidxBox};

use super::boxes::{Header, contents, decoded};
use super::tracks::Track;
use crate::{Error, ErrorKind};

/// The properties that a video file states. They can differ from those of the request.
///
/// From [`Client::download`](crate::Client::download), as a part of [`Saved`](crate::Saved).
///
/// ```
/// fn tell(media: &veo_core::Media) {
///     let sound = if media.has_audio { "with" } else { "without" };
///     println!("{} by {}, {:.1} s, {sound} sound", media.width, media.height, media.seconds);
/// }
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Media {
    /// Width in pixels of the picture that a player shows.
    pub width: u32,
    /// Height in pixels of the picture that a player shows.
    pub height: u32,
    /// Length in seconds.
    pub seconds: f64,
    /// Pictures per second on average, if the file has their number.
    pub fps: Option<f64>,
    /// True if the file has a track of sound. The sound may be silence.
    pub has_audio: bool,
    /// Faults of a file that can still be played, as sentences. They are among the
    /// [discrepancies](crate::Receipt::discrepancies) of a receipt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// The reason why a file is not a whole video.
#[derive(Debug)]
pub(crate) struct Flaw {
    /// The predicate of a sentence about the file.
    pub(crate) what: String,
    /// True if more bytes at the end could complete the file.
    pub(crate) is_cut: bool,
}

/// The properties of a video that is whole, as far as the file itself shows.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) media: Media,
    /// True if the file marks its own end. A file in fragments without such a mark could end after each fragment.
    pub(crate) has_end: bool,
}

/// The most bytes of indexes that are read into memory. An index takes some kilobytes per minute of video.
const MAX_INDEX: u64 = 16 << 20;

/// The kinds of box that prove an MP4 file if its first box has one of them.
const FIRST: &[&[u8]] = &[
    b"ftyp", b"free", b"mdat", b"moov", b"moof", b"styp", b"sidx", b"emsg", b"meta", b"skip",
    b"wide", b"pdin", b"prft", b"uuid",
];

/// The largest difference between two lengths of one video, in seconds. Sound and pictures do not end at the same time.
const TOLERANCE: f64 = 0.5;

impl Media {
    /// Checks that a file is a whole MP4, and reads its properties. A whole file has its index, and all the pictures
    /// and the sound to which the index points. It blocks while it reads the index and the first bytes of pictures.
    ///
    /// ```
    /// # fn example() -> Result<(), veo_core::Error> {
    /// let media = veo_core::Media::of_file("dog.mp4")?;
    /// println!("{}x{}, {} s", media.width, media.height, media.seconds);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the file cannot be read or is not whole.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refuse = |why: String| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("{} {why}", path.display()),
            )
        };
        let file = File::open(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let whole = Whole::read(file).map_err(|flaw| refuse(flaw.what))?;
        Ok(whole.media)
    }
}

impl Whole {
    pub(crate) fn read(mut file: impl Read + Seek) -> Result<Self, Flaw> {
        let layout = Layout::read(&mut file)?;
        let index = layout.index.as_slice();
        let mut tracks = Track::all(index);
        let is_empty = tracks.iter().all(|track| track.samples == 0);
        for (start, fragment) in &layout.fragments {
            for track in &mut tracks {
                track
                    .extend(index, *start, fragment)
                    .ok_or_else(Flaw::of_index)?;
            }
        }
        for track in &tracks {
            if let Some(end) = track.end().filter(|end| *end > layout.length) {
                let what = format!(
                    "is truncated or corrupted: its index points to byte {end}, and it has {}",
                    layout.length
                );
                return Err(Flaw::cut(what));
            }
        }
        let pictures = tracks
            .iter()
            .find(|track| track.is_video)
            .ok_or_else(Flaw::of_index)?;
        if pictures.samples == 0 {
            return Err(Flaw::missing());
        }
        let wrong = pictures.wrong_samples(&mut file).map_err(Flaw::unread)?;
        if wrong > 0 {
            let what = format!(
                "is corrupted: {wrong} of its {} pictures are damaged",
                pictures.samples
            );
            return Err(Flaw::other(what));
        }

        let in_fragments = !layout.fragments.is_empty();
        let told = header_seconds(index);
        let measured = pictures.seconds();
        let longest = tracks.iter().filter_map(Track::seconds);
        let longest = longest.reduce(f64::max);
        let is_measured = |told: f64| {
            let lengths = [longest, measured, pictures.edited_seconds()];
            lengths
                .into_iter()
                .flatten()
                .any(|length| is_near(length, told))
        };
        let seconds = match told {
            Some(told) if measured.is_none() || !in_fragments && is_measured(told) => told,
            _ => measured.ok_or_else(Flaw::of_index)?,
        };
        let mut doubts = layout.doubts;
        // In a file in fragments, the length in the header can be that of the first fragment alone. So this length
        // counts only if all samples are in fragments.
        let announced = if in_fragments {
            let in_header = told.filter(|_| is_empty);
            layout.segments.or(announced_seconds(index)).or(in_header)
        } else {
            told
        };
        if let Some(announced) = announced.filter(|announced| !is_near(*announced, seconds)) {
            doubts.push(format!(
                "the file says that it is {announced:.1} s long, and has {seconds:.1} s"
            ));
        }
        let has_end = !in_fragments
            || layout.has_end
            || announced.is_some_and(|announced| is_near(announced, seconds));
        let (width, height) = pictures.shown_size();
        let media = Media {
            width,
            height,
            seconds,
            fps: pictures.fps(),
            has_audio: tracks.iter().any(|track| !track.is_video),
            doubts,
        };
        Ok(Self { media, has_end })
    }
}

/// Reads the length of the film from its header, if the header has one.
fn header_seconds(index: &[u8]) -> Option<f64> {
    let movie: MvhdBox = decoded(index, b"mvhd")?;
    let is_given = ![0, u32::MAX.into(), u64::MAX].contains(&movie.duration);
    is_given.then(|| movie.duration as f64 / f64::from(movie.timescale.get()))
}

/// Reads the length that the index announces for all fragments.
fn announced_seconds(index: &[u8]) -> Option<f64> {
    let extension = contents(index, b"mvex").next()?;
    let announced: MehdBox = decoded(extension, b"mehd")?;
    let movie: MvhdBox = decoded(index, b"mvhd")?;
    let is_given = announced.fragment_duration > 0;
    is_given.then(|| announced.fragment_duration as f64 / f64::from(movie.timescale.get()))
}

fn is_near(seconds: f64, others: f64) -> bool {
    (seconds - others).abs() <= TOLERANCE
}

impl Flaw {
    fn cut(what: String) -> Self {
        Self { what, is_cut: true }
    }

    fn other(what: String) -> Self {
        Self {
            what,
            is_cut: false,
        }
    }

    fn missing() -> Self {
        Self::cut("is truncated or corrupted: a part of it is missing".to_owned())
    }

    fn of_index() -> Self {
        Self::other("is corrupted: its index cannot be read".to_owned())
    }

    fn unread(error: io::Error) -> Self {
        Self::other(format!("cannot be read again: {error}"))
    }
}

/// The outermost boxes of a file.
struct Layout {
    length: u64,
    index: Vec<u8>,
    /// The indexes of the fragments, each with the offset at which its box begins.
    fragments: Vec<(u64, Vec<u8>)>,
    /// The length of all fragments in seconds, from an index of segments in front of the fragments.
    segments: Option<f64>,
    /// True if the file has the box that ends a file in fragments.
    has_end: bool,
    doubts: Vec<String>,
}

impl Layout {
    fn read(file: &mut (impl Read + Seek)) -> Result<Self, Flaw> {
        let length = file.seek(SeekFrom::End(0)).map_err(Flaw::unread)?;
        let mut index: Option<Vec<u8>> = None;
        let mut fragments = Vec::new();
        let mut segments = Vec::new();
        let mut has_end = false;
        let mut doubts = Vec::new();
        let mut read = 0;
        let mut at = 0;
        let start = part(file, 0, Header::MAX_LENGTH).map_err(Flaw::unread)?;
        if !begins_as_mp4(&start, length) {
            return Err(Flaw::other("is not an MP4 file".to_owned()));
        }
        while at < length {
            let cut = || {
                Flaw::cut(format!(
                    "is truncated or corrupted at byte {at} of {length}"
                ))
            };
            let start = part(file, at, Header::MAX_LENGTH).map_err(Flaw::unread)?;
            // Players ignore bytes after the last box.
            let Some(header) = Header::read(&start) else {
                break;
            };
            // A box without a size reaches to the end of the file.
            let end = match header.size {
                Some(size) => at.saturating_add(size),
                None => length,
            };
            let is_needed = match &header.kind {
                b"moov" => index.is_none(),
                // If the index announces no fragments, a cut fragment does not matter.
                b"moof" => index.as_deref().is_none_or(has_fragments),
                _ => false,
            };
            if end > length && is_needed {
                return Err(cut());
            }
            if end > length && &header.kind == b"mdat" {
                // This box may have only bytes that are not used. A later check compares the file with the index.
                doubts.push("the file ends before its last box does".to_owned());
            }
            if end > length {
                break;
            }
            if [b"moov", b"moof", b"sidx"].contains(&&header.kind) {
                read += end - at;
                if read > MAX_INDEX {
                    return Err(cut());
                }
                let mut bytes = part(file, at, end - at).map_err(Flaw::unread)?;
                match &header.kind {
                    b"sidx" => segments.push((fragments.len(), bytes)),
                    b"moof" => fragments.push((at, bytes.split_off(header.length))),
                    _ => drop(index.get_or_insert(bytes.split_off(header.length))),
                }
            }
            has_end |= &header.kind == b"mfra";
            at = end;
        }
        let missing = if at < length {
            Flaw::cut(format!(
                "is truncated or corrupted at byte {at} of {length}"
            ))
        } else {
            Flaw::missing()
        };
        Ok(Self {
            length,
            index: index.ok_or(missing)?,
            fragments,
            segments: segments_seconds(&segments),
            has_end,
            doubts,
        })
    }
}

/// Reads a part of a file, or less at its end.
fn part(file: &mut (impl Read + Seek), start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns whether the first box can be the first box of an MP4. Its kind is known, or is a name and the box fits into
/// the file.
fn begins_as_mp4(start: &[u8], length: u64) -> bool {
    let Some(kind) = start.get(4..8) else {
        return false;
    };
    let is_name = kind
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b" -_".contains(byte));
    let size = Header::read(start).and_then(|header| header.size);
    FIRST.contains(&kind) || is_name && size.is_some_and(|size| size <= length)
}

fn has_fragments(index: &[u8]) -> bool {
    contents(index, b"mvex").next().is_some()
}

/// Reads the length of all segments in seconds. Each index comes with the number of fragments in front of the index. An
/// index after a fragment, or with a single segment, can be the index of one fragment, and not of the whole.
fn segments_seconds(indexes: &[(usize, Vec<u8>)]) -> Option<f64> {
    let mut longest = None;
    for (fragments, bytes) in indexes {
        let index: SidxBox = decoded(bytes, b"sidx")?;
        if *fragments > 0 || index.references.len() < 2 || index.timescale == 0 {
            return None;
        }
        let durations = index.references.iter();
        let duration: u64 = durations
            .map(|one| u64::from(one.subsegment_duration))
            .sum();
        let seconds = duration as f64 / f64::from(index.timescale);
        longest = Some(seconds.max(longest.unwrap_or_default()));
    }
    longest
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn clip(name: &str) -> Vec<u8> {
        std::fs::read(format!(
            "{}/../veo-sim/media/{name}.mp4",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    }

    #[test]
    fn every_clip_is_what_its_name_says() {
        for (short, long) in [(720, 1280), (1080, 1920), (2160, 3840)] {
            for (width, height) in [(short, long), (long, short)] {
                let whole = Whole::read(Cursor::new(clip(&format!("{width}x{height}")))).unwrap();
                assert_eq!(
                    whole.media,
                    Media {
                        width,
                        height,
                        seconds: 1.0,
                        fps: Some(24.0),
                        has_audio: true,
                        doubts: Vec::new(),
                    }
                );
            }
        }
    }

    #[test]
    fn no_part_of_a_file_passes_for_all_of_it() {
        let whole = clip("1280x720");
        for end in (0..whole.len()).rev().step_by(7).chain(0..4096) {
            let error = Whole::read(Cursor::new(&whole[..end])).unwrap_err().what;
            assert!(
                error.contains("is truncated or corrupted")
                    || end < 8 && error.contains("not an MP4"),
                "{end}"
            );
        }
    }

    #[test]
    fn no_file_makes_it_panic() {
        let whole = clip("720x1280");
        let mut state = 88172645463325252_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize % below
        };
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random(8) {
                // These bytes have the lengths and the first track.
                bytes[random(700)] = [0, 1, 0x7f, 0xff, random(256) as u8][random(5)];
            }
            match Whole::read(Cursor::new(bytes)) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} and {refused}");

        // The boxes are nested so deeply that a recursive decoder would exhaust the stack.
        let index: Vec<u8> = (1..=100_000_u32)
            .rev()
            .flat_map(|n| [(n * 8).to_be_bytes(), *b"moov"])
            .flatten()
            .collect();
        let file = [b"\0\0\0\x08ftyp\0\0\0\x08mdat", index.as_slice()].concat();
        assert_eq!(
            Whole::read(Cursor::new(file)).unwrap_err().what,
            "is corrupted: its index cannot be read"
        );
    }
}
