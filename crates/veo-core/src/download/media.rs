//! Reads what an MP4 file says about itself, and sees whether it is whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use mp4_atom::{
    Atom, DecodeMaybe, FourCC, Ftyp, Hdlr, Header, Mdat, Mdhd, Mdia, Minf, Moov, Mvhd, ReadFrom,
    Stbl, Stts, Tkhd, Trak,
};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The properties that a video file says it has, whatever was asked for.
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
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Length in seconds.
    pub seconds: f64,
    /// Pictures per second on average, if the file says how many there are.
    pub fps: Option<f64>,
    /// Whether there is a track of sound. It may be silent.
    pub has_audio: bool,
}

/// An index takes some kilobytes per minute. What is longer is not read into memory.
const MAX_INDEX: u64 = 16 << 20;

impl Media {
    /// Reads what a file says about itself, after seeing that it is a whole MP4: its boxes end where it ends, and the index and the
    /// pictures are there. It blocks while it reads the index; the pictures are not read.
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
    /// [`ErrorKind::InvalidRequest`] if it cannot be read or is not whole.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refuse = |why: String| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("{} {why}", path.display()),
            )
        };
        let file = File::open(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        Self::read(file).map_err(refuse)
    }

    /// Reads a file after seeing that it is whole: its boxes end where it ends, and the index and the pictures are there.
    ///
    /// # Errors
    ///
    /// It says what is wrong with the file, as the end of a sentence.
    pub(crate) fn read(mut file: impl Read + Seek) -> Result<Self, String> {
        let unread = |error: io::Error| format!("cannot be read again: {error}");
        let length = file.seek(SeekFrom::End(0)).map_err(unread)?;
        let mut at = 0;
        let mut index = None;
        let mut pictures = false;
        while at < length || at == 0 {
            file.seek(SeekFrom::Start(at)).map_err(unread)?;
            let header = Header::read_from(&mut file);
            if at == 0
                && !header
                    .as_ref()
                    .is_ok_and(|header| header.kind == Ftyp::KIND)
            {
                return Err("is not an MP4 file".to_owned());
            }
            let broken = || format!("is truncated or corrupted at byte {at} of {length}");
            let header = header.map_err(|_| broken())?;
            let start = file.stream_position().map_err(unread)?;
            let end = match header.size {
                Some(size) => start.checked_add(size as u64),
                // The last box may end where the file does.
                None => (header.kind == Mdat::KIND).then_some(length),
            };
            let end = end.filter(|end| *end <= length).ok_or_else(broken)?;
            if header.kind == Moov::KIND {
                if end - start > MAX_INDEX {
                    return Err(broken());
                }
                let mut bytes = Vec::new();
                file.by_ref()
                    .take(end - start)
                    .read_to_end(&mut bytes)
                    .map_err(unread)?;
                index = Some(bytes);
            }
            pictures |= header.kind == Mdat::KIND;
            at = end;
        }
        let index = index
            .filter(|_| pictures)
            .ok_or("is truncated or corrupted: a part of it is missing")?;
        Self::of_index(&index).ok_or_else(|| "is corrupted: its index cannot be read".to_owned())
    }

    /// Only boxes without boxes in them are given to the crate: it decodes nested ones by recursion, so that a hostile file
    /// could exhaust the stack.
    fn of_index(index: &[u8]) -> Option<Self> {
        let movie: Mvhd = decoded(index)?;
        let tracks = |handler| {
            boxes(index, Trak::KIND).filter(move |track| is_handled_by(track, handler).is_some())
        };
        let track = tracks(b"vide").next()?;
        let shape: Tkhd = decoded(track)?;
        let seconds = movie.duration as f64 / f64::from(movie.timescale);
        Some(Self {
            width: shape.width.integer().into(),
            height: shape.height.integer().into(),
            seconds: Some(seconds).filter(|seconds| seconds.is_finite())?,
            fps: fps(track),
            has_audio: tracks(b"soun").next().is_some(),
        })
    }
}

fn is_handled_by(track: &[u8], handler: &[u8; 4]) -> Option<()> {
    let media = boxes(track, Mdia::KIND).next()?;
    // Its name, which nobody needs, comes in forms that the crate does not read.
    (boxes(media, Hdlr::KIND).next()?.get(8..12)? == handler).then_some(())
}

fn fps(track: &[u8]) -> Option<f64> {
    let media = boxes(track, Mdia::KIND).next()?;
    let time: Mdhd = decoded(media)?;
    let samples: Stts = decoded(boxes(boxes(media, Minf::KIND).next()?, Stbl::KIND).next()?)?;
    let pictures: u64 = samples
        .entries
        .iter()
        .map(|entry| u64::from(entry.sample_count))
        .sum();
    let fps = pictures as f64 * f64::from(time.timescale) / time.duration as f64;
    Some(fps).filter(|fps| fps.is_normal())
}

/// The first box of a kind, decoded.
fn decoded<T: Atom>(bytes: &[u8]) -> Option<T> {
    T::decode_body(&mut boxes(bytes, T::KIND).next()?).ok()
}

/// The contents of the boxes of a kind, up to the first broken box.
fn boxes(mut bytes: &[u8], kind: FourCC) -> impl Iterator<Item = &[u8]> {
    let next = move || {
        let header = Header::decode_maybe(&mut bytes).ok()??;
        let (inside, rest) = bytes.split_at_checked(header.size?)?;
        bytes = rest;
        Some((header.kind, inside))
    };
    std::iter::from_fn(next)
        .filter(move |(found, _)| *found == kind)
        .map(|(_, inside)| inside)
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
                let media = Media::read(Cursor::new(clip(&format!("{width}x{height}")))).unwrap();
                assert_eq!(
                    media,
                    Media {
                        width,
                        height,
                        seconds: 1.0,
                        fps: Some(24.0),
                        has_audio: true
                    }
                );
            }
        }
    }

    #[test]
    fn no_part_of_a_file_passes_for_all_of_it() {
        let whole = clip("1280x720");
        for end in (0..whole.len()).rev().step_by(7).chain(0..4096) {
            let error = Media::read(Cursor::new(&whole[..end])).unwrap_err();
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
                // Where the lengths and the first track are.
                bytes[random(700)] = [0, 1, 0x7f, 0xff, random(256) as u8][random(5)];
            }
            match Media::read(Cursor::new(bytes)) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} and {refused}");

        // Boxes in boxes, so deep that decoding them by recursion would end the program.
        let index: Vec<u8> = (1..=100_000_u32)
            .rev()
            .flat_map(|n| [(n * 8).to_be_bytes(), *b"moov"])
            .flatten()
            .collect();
        let file = [b"\0\0\0\x08ftyp\0\0\0\x08mdat", index.as_slice()].concat();
        assert_eq!(
            Media::read(Cursor::new(file)).unwrap_err(),
            "is corrupted: its index cannot be read"
        );
    }
}
