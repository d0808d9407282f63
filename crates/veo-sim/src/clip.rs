//! Composes playable videos of any format from one checked-in second of each size.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use shiguredo_mp4::aux::SampleTableAccessor;
use shiguredo_mp4::boxes::{
    EdtsBox, ElstBox, ElstEntry, FtypBox, HdlrBox, MdatBox, MoovBox, StcoBox, StscEntry, StszBox,
    SttsEntry, TrakBox,
};
use shiguredo_mp4::{BoxHeader, BoxSize, Decode, Either, Encode, FixedPointNumber};

/// The format of a video.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Format {
    pub(crate) resolution: Resolution,
    pub(crate) portrait: bool,
    /// The length. A number below 1 counts as 1, and a number above 148 as 148, the length of the longest film.
    pub(crate) seconds: u32,
    /// True if there is a track of sound.
    pub(crate) audio: bool,
}

/// The size of a video: the lines in landscape, or the columns in portrait.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Resolution {
    P360,
    P720,
    P1080,
    K4,
}

impl Resolution {
    /// The resolution with this word, which both providers use.
    pub(crate) fn of(word: &str) -> Option<Resolution> {
        use Resolution::{K4, P360, P720, P1080};
        [P360, P720, P1080, K4]
            .into_iter()
            .find(|it| it.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Resolution::P360 => "360p",
            Resolution::P720 => "720p",
            Resolution::P1080 => "1080p",
            Resolution::K4 => "4k",
        }
    }
}

/// Returns a video of this format. Each format is composed once and then shared, until all together take 32 MiB.
pub(crate) fn clip(format: Format) -> Bytes {
    static COMPOSED: Mutex<BTreeMap<Format, Bytes>> = Mutex::new(BTreeMap::new());

    let format = Format {
        seconds: format.seconds.clamp(1, MOST_SECONDS),
        ..format
    };
    let mut composed = COMPOSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = composed.get(&format) {
        return file.clone();
    }
    let second = second(format);
    // The tests compose every format that can fail, so the second alone is never served in its place.
    let file = compose(second, format).unwrap_or(Bytes::from_static(second));
    if composed.values().map(Bytes::len).sum::<usize>() + file.len() <= MOST_KEPT {
        composed.insert(format, file.clone());
    }
    file
}

/// The longest film that extensions make.
const MOST_SECONDS: u32 = 148;
const MOST_KEPT: usize = 32 << 20;

/// The checked-in second of this size, with a track of pictures and a track of sound.
fn second(format: Format) -> &'static [u8] {
    match (format.resolution, format.portrait) {
        (Resolution::P360, false) => include_bytes!("../media/640x360.mp4"),
        (Resolution::P360, true) => include_bytes!("../media/360x640.mp4"),
        (Resolution::P720, false) => include_bytes!("../media/1280x720.mp4"),
        (Resolution::P720, true) => include_bytes!("../media/720x1280.mp4"),
        (Resolution::P1080, false) => include_bytes!("../media/1920x1080.mp4"),
        (Resolution::P1080, true) => include_bytes!("../media/1080x1920.mp4"),
        (Resolution::K4, false) => include_bytes!("../media/3840x2160.mp4"),
        (Resolution::K4, true) => include_bytes!("../media/2160x3840.mp4"),
    }
}

/// Repeats the samples of a second. The index is first, and then a round of samples of each track by turns.
fn compose(second: &[u8], format: Format) -> Option<Bytes> {
    let mut at = 0;
    let brand = FtypBox::decode_at(second, &mut at).ok()?;
    let mut index = MoovBox::decode_at(second, &mut at).ok()?;
    index.unknown_boxes.clear();
    index
        .trak_boxes
        .retain(|track| format.audio || !is_sound(track));
    let movie = &mut index.mvhd_box;
    movie.duration = u64::from(format.seconds) * u64::from(movie.timescale.get());

    let mut rounds = Vec::new();
    for track in &mut index.trak_boxes {
        let round = samples(track, second)?;
        let count = lengthen(track, &round, format.seconds, movie.duration)?;
        rounds.push((round, count));
    }
    let mut media = Vec::new();
    for turn in 0.. {
        let end = media.len();
        for (track, (round, count)) in index.trak_boxes.iter_mut().zip(&rounds) {
            let left = count.saturating_sub(turn * round.len());
            if left > 0 {
                places(track)?.push(u32::try_from(media.len()).ok()?);
                media.extend(round.iter().take(left).copied().flatten());
            }
        }
        if media.len() == end {
            break;
        }
    }

    // The length of the head does not depend on the places in it. So the first head shows where the media start.
    let start = u32::try_from(head(&brand, &index, media.len())?.len()).ok()?;
    for track in &mut index.trak_boxes {
        for place in places(track)? {
            *place = place.checked_add(start)?;
        }
    }
    let mut file = head(&brand, &index, media.len())?;
    file.extend_from_slice(&media);
    Some(file.into())
}

/// The bytes of a file that precede its media.
fn head(brand: &FtypBox, index: &MoovBox, media_size: usize) -> Option<Vec<u8>> {
    let media = BoxHeader {
        box_type: MdatBox::TYPE,
        box_size: BoxSize::with_payload_size(MdatBox::TYPE, media_size as u64),
    };
    let mut head = brand.encode_to_vec().ok()?;
    head.extend(index.encode_to_vec().ok()?);
    head.extend(media.encode_to_vec().ok()?);
    Some(head)
}

/// Sets the index of a track to this length without the places of its samples, and returns their number.
fn lengthen(track: &mut TrakBox, round: &[&[u8]], seconds: u32, duration: u64) -> Option<usize> {
    let is_sound = is_sound(track);
    let media = &mut track.mdia_box;
    let time = &mut media.mdhd_box;
    let table = &mut media.minf_box.stbl_box;
    let sample_delta = table.stts_box.entries.first()?.sample_delta;
    // The first frame of sound only prepares its decoder, so the track begins after it and ends within the last one.
    let lead = if is_sound { sample_delta } else { 0 };
    let sample_count = (seconds * time.timescale.get() + lead).div_ceil(sample_delta);
    let count = sample_count as usize;

    let edit = ElstEntry {
        edit_duration: duration,
        media_time: lead.into(),
        media_rate: FixedPointNumber::new(1, 0),
    };
    track.edts_box = Some(EdtsBox {
        elst_box: Some(ElstBox {
            entries: vec![edit],
        }),
        unknown_boxes: Vec::new(),
    });
    track.tkhd_box.duration = duration;
    time.duration = u64::from(sample_count) * u64::from(sample_delta);
    table.stts_box.entries = vec![SttsEntry {
        sample_count,
        sample_delta,
    }];
    let samples = round.iter().cycle().take(count);
    let entry_sizes = samples.map(|sample| sample.len() as u32).collect();
    table.stsz_box = StszBox::Variable { entry_sizes };
    if let Some(key_frames) = &mut table.stss_box {
        let numbers = (1..=sample_count).step_by(round.len());
        key_frames.sample_numbers = numbers.filter_map(NonZeroU32::new).collect();
    }
    table.stco_or_co64_box = Either::A(StcoBox {
        chunk_offsets: Vec::new(),
    });
    // Each chunk has a whole round, and the last one the rest.
    let whole_rounds = count / round.len();
    let rest = count % round.len();
    table.stsc_box.entries = vec![chunks_from(1, round.len())?];
    if rest > 0 {
        let last = chunks_from(whole_rounds + 1, rest)?;
        table.stsc_box.entries.push(last);
    }
    // Some tables group samples for seeking, and would have to be made anew.
    table.unknown_boxes.clear();
    Some(count)
}

/// The entry for chunks of this number of samples, from this chunk on.
fn chunks_from(first_chunk: usize, samples: usize) -> Option<StscEntry> {
    Some(StscEntry {
        first_chunk: NonZeroU32::new(first_chunk as u32)?,
        sample_per_chunk: samples as u32,
        sample_description_index: NonZeroU32::MIN,
    })
}

/// The bytes of every sample of a track.
fn samples<'a>(track: &TrakBox, file: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let table = SampleTableAccessor::new(&track.mdia_box.minf_box.stbl_box).ok()?;
    let mut found = Vec::new();
    for sample in table.samples() {
        let rest = file.get(sample.data_offset() as usize..)?;
        found.push(rest.get(..sample.data_size() as usize)?);
    }
    Some(found)
}

fn is_sound(track: &TrakBox) -> bool {
    track.mdia_box.hdlr_box.handler_type == HdlrBox::HANDLER_TYPE_SOUN
}

/// The places of a track's chunks in the file.
fn places(track: &mut TrakBox) -> Option<&mut Vec<u32>> {
    match &mut track.mdia_box.minf_box.stbl_box.stco_or_co64_box {
        Either::A(table) => Some(&mut table.chunk_offsets),
        Either::B(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clip_has_the_requested_format() {
        let sizes = [
            (Resolution::P360, 640, 360),
            (Resolution::P720, 1280, 720),
            (Resolution::P1080, 1920, 1080),
            (Resolution::K4, 3840, 2160),
        ];
        for (resolution, long, short) in sizes {
            for (portrait, width, height) in [(false, long, short), (true, short, long)] {
                for seconds in [1, 4, 6, 7, 8, 11, 15, 148] {
                    for audio in [true, false] {
                        let format = Format {
                            resolution,
                            portrait,
                            seconds,
                            audio,
                        };
                        check(format, width, height);
                    }
                }
            }
        }
    }

    fn check(format: Format, width: i16, height: i16) {
        let file = clip(format);
        let mut at = 0;
        FtypBox::decode_at(&file, &mut at).unwrap();
        let index = MoovBox::decode_at(&file, &mut at).unwrap();
        let media = BoxHeader::decode_at(&file, &mut at).unwrap();
        let rest = &file[at..];
        let size = BoxSize::with_payload_size(MdatBox::TYPE, rest.len() as u64);
        assert_eq!(
            (media.box_type, media.box_size),
            (MdatBox::TYPE, size),
            "{format:?}"
        );

        let length =
            |duration: u64, timescale: NonZeroU32| duration as f64 / f64::from(timescale.get());
        let seconds = f64::from(format.seconds);
        assert_eq!(
            length(index.mvhd_box.duration, index.mvhd_box.timescale),
            seconds,
            "{format:?}"
        );
        let kinds: Vec<_> = index
            .trak_boxes
            .iter()
            .map(|track| track.mdia_box.hdlr_box.handler_type)
            .collect();
        let wanted = [HdlrBox::HANDLER_TYPE_VIDE, HdlrBox::HANDLER_TYPE_SOUN];
        assert_eq!(
            kinds,
            &wanted[..1 + usize::from(format.audio)],
            "{format:?}"
        );
        let size = &index.trak_boxes[0].tkhd_box;
        assert_eq!(
            (size.width, size.height),
            (
                FixedPointNumber::new(width, 0),
                FixedPointNumber::new(height, 0)
            ),
            "{format:?}"
        );

        let origin = second(format);
        let mut at = 0;
        FtypBox::decode_at(origin, &mut at).unwrap();
        let origin = MoovBox::decode_at(origin, &mut at).unwrap();
        // The span of each sample, from the start of the media.
        let mut spans = Vec::new();
        for (track, of_second) in index.trak_boxes.iter().zip(&origin.trak_boxes) {
            assert_eq!(
                length(track.tkhd_box.duration, index.mvhd_box.timescale),
                seconds,
                "{format:?}"
            );
            let samples = samples(track, &file).unwrap();
            let round = super::samples(of_second, second(format)).unwrap();
            assert!(
                samples.iter().eq(round.iter().cycle().take(samples.len())),
                "{format:?}"
            );
            for sample in &samples {
                let start = sample.as_ptr() as usize - rest.as_ptr() as usize;
                spans.push((start, start + sample.len()));
            }
            let media = &track.mdia_box;
            let (time, table) = (&media.mdhd_box, &media.minf_box.stbl_box);
            let [run] = &table.stts_box.entries[..] else {
                panic!("{format:?}")
            };
            assert_eq!(run.sample_count as usize, samples.len(), "{format:?}");
            assert_eq!(
                time.duration,
                u64::from(run.sample_count * run.sample_delta),
                "{format:?}"
            );
            let edits = track.edts_box.as_ref().unwrap().elst_box.as_ref().unwrap();
            let edit = &edits.entries[0];
            // A decoder of sound needs one frame to start.
            let lead = if is_sound(track) {
                u64::from(run.sample_delta)
            } else {
                0
            };
            assert_eq!(edit.media_time, lead as i64, "{format:?}");
            let rest = length(time.duration - lead, time.timescale) - seconds;
            let frame = length(run.sample_delta.into(), time.timescale);
            assert!(
                (0.0..frame).contains(&rest),
                "{format:?}: {rest} s too much"
            );
            if let Some(keys) = &table.stss_box {
                let wanted = (0..format.seconds).map(|second| second * 24 + 1);
                let keys = keys.sample_numbers.iter().map(|number| number.get());
                assert!(keys.eq(wanted), "{format:?}");
            }
        }
        spans.sort_unstable();
        let ends = [0].into_iter().chain(spans.iter().map(|span| span.1));
        assert!(
            ends.eq(spans.iter().map(|span| span.0).chain([rest.len()])),
            "{format:?}: every byte is in one sample"
        );
    }

    #[test]
    fn a_clip_is_composed_once_and_can_have_any_length() {
        let format = Format {
            resolution: Resolution::P720,
            portrait: false,
            seconds: 5,
            audio: true,
        };
        assert_eq!(clip(format).as_ptr(), clip(format).as_ptr());
        for (seconds, same) in [(0, 1), (149, 148), (u32::MAX, 148)] {
            assert_eq!(
                clip(Format { seconds, ..format }),
                clip(Format {
                    seconds: same,
                    ..format
                })
            );
        }
    }
}
