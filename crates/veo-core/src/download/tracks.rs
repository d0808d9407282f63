//! The tracks of an MP4 file: where their samples are, how long they last, and how large the pictures are.

use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU32;

use shiguredo_mp4::boxes::{
    Co64Box, ElstBox, HdlrBox, MdhdBox, StcoBox, StszBox, SttsBox, TfhdBox, TkhdBox, TrexBox,
    TrunBox,
};
use shiguredo_mp4::{Decode, FullBoxHeader};

use super::boxes::{Header, boxes, contents, decoded};

/// A track of pictures or of sound.
pub(super) struct Track {
    pub(super) is_video: bool,
    /// The number of samples: pictures, or pieces of sound.
    pub(super) samples: u64,
    header: TkhdBox,
    /// The units of time in a second. There is none if it is 0 or cannot be read.
    timescale: Option<NonZeroU32>,
    /// The length of all samples, in units of the timescale.
    duration: u64,
    /// The start of the first sample that is shown, in units of the timescale.
    first_shown: u64,
    format: Option<PictureFormat>,
    pieces: Vec<Piece>,
}

/// A range of bytes in the file: one sample, or several of one size.
struct Piece {
    start: u64,
    size: u64,
    is_sample: bool,
}

/// A run of samples in a fragment.
struct Run {
    /// The offset of the first sample, from that of the data of its track.
    offset: Option<i32>,
    /// A number of samples, with their size and their duration if these are not the defaults.
    samples: Vec<(u32, Option<u32>, Option<u32>)>,
}

/// The description of pictures.
struct PictureFormat {
    width: u16,
    height: u16,
    /// The size in bytes of the length field in front of each part of a picture, if the codec writes such fields.
    length_size: Option<usize>,
}

impl Track {
    /// Reads the tracks of pictures and of sound from an index. A track that cannot be read is left out.
    pub(super) fn all(index: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        for track in contents(index, b"trak") {
            let media = contents(track, b"mdia").next();
            let handler = media.and_then(|media| decoded::<HdlrBox>(media, b"hdlr"));
            match handler.map(|handler| handler.handler_type) {
                Some(HdlrBox::HANDLER_TYPE_VIDE) => found.extend(Self::read(track, true)),
                Some(HdlrBox::HANDLER_TYPE_SOUN) => found.extend(Self::read(track, false)),
                _ => {}
            }
        }
        found
    }

    fn read(track: &[u8], is_video: bool) -> Option<Self> {
        let media = contents(track, b"mdia").next()?;
        let time: Option<MdhdBox> = decoded(media, b"mdhd");
        let table = contents(contents(media, b"minf").next()?, b"stbl").next()?;
        let times: SttsBox = decoded(table, b"stts")?;
        let mut samples = 0;
        let mut duration = 0_u64;
        for run in &times.entries {
            let count = u64::from(run.sample_count);
            samples += count;
            duration = duration.saturating_add(count * u64::from(run.sample_delta));
        }
        Some(Self {
            is_video,
            samples,
            header: decoded(track, b"tkhd")?,
            timescale: time.map(|time| time.timescale),
            duration,
            first_shown: first_shown(track).unwrap_or_default(),
            format: contents(table, b"stsd")
                .next()
                .and_then(PictureFormat::first),
            pieces: pieces(table)?,
        })
    }

    /// Adds the samples of a fragment to this track. `start` is the offset of the fragment in the file.
    pub(super) fn extend(&mut self, index: &[u8], start: u64, fragment: &[u8]) -> Option<()> {
        // The offset of the data of a track, if the header of the track has none.
        let mut base = start;
        for part in contents(fragment, b"traf") {
            let header: TfhdBox = decoded(part, b"tfhd")?;
            let defaults = defaults(index, header.track_id);
            if header.default_base_is_moof {
                base = start;
            }
            base = header.base_data_offset.unwrap_or(base);
            let size = header
                .default_sample_size
                .or(defaults.as_ref().map(|trex| trex.default_sample_size))
                .unwrap_or_default();
            let duration = header
                .default_sample_duration
                .or(defaults.as_ref().map(|trex| trex.default_sample_duration))
                .unwrap_or_default();
            let mut at = base;
            for (start_of_run, run) in boxes(part, b"trun") {
                let run = Run::read(&start_of_run, run)?;
                if let Some(offset) = run.offset {
                    at = base.checked_add_signed(offset.into())?;
                }
                for (count, own_size, own_duration) in run.samples {
                    let piece = Piece::new(at, count, own_size.unwrap_or(size));
                    at = piece.end();
                    if header.track_id == self.header.track_id {
                        let length = u64::from(count) * u64::from(own_duration.unwrap_or(duration));
                        self.samples += u64::from(count);
                        self.duration = self.duration.saturating_add(length);
                        self.pieces.push(piece);
                    }
                }
            }
            base = at;
        }
        Some(())
    }

    /// The offset after the last byte of this track.
    pub(super) fn end(&self) -> Option<u64> {
        self.pieces
            .iter()
            .filter(|piece| piece.size > 0)
            .map(Piece::end)
            .max()
    }

    /// Counts the samples that do not begin as a picture does. H.264 and H.265 begin each part of a picture with its
    /// length. All samples of other codecs pass.
    pub(super) fn wrong_samples(&self, file: &mut (impl Read + Seek)) -> io::Result<u64> {
        let Some(size) = self.format.as_ref().and_then(|format| format.length_size) else {
            return Ok(0);
        };
        let mut wrong = 0;
        for sample in &self.pieces {
            if !sample.is_sample || sample.size == 0 {
                continue;
            }
            let mut length = [0; 8];
            let known = size.min(sample.size as usize);
            file.seek(SeekFrom::Start(sample.start))?;
            file.read_exact(&mut length[8 - known..])?;
            let length = u64::from_be_bytes(length);
            if length == 0 || length.saturating_add(size as u64) > sample.size {
                wrong += 1;
            }
        }
        Ok(wrong)
    }

    /// The length of all samples in seconds, if it is known.
    pub(super) fn seconds(&self) -> Option<f64> {
        let timescale = self.timescale?.get();
        (self.duration > 0).then(|| self.duration as f64 / f64::from(timescale))
    }

    /// The length in seconds, without the part at the start that a player does not show.
    pub(super) fn edited_seconds(&self) -> Option<f64> {
        let cut_off = self.first_shown as f64 / f64::from(self.timescale?.get());
        Some(self.seconds()? - cut_off)
    }

    pub(super) fn fps(&self) -> Option<f64> {
        let fps = self.samples as f64 / self.seconds()?;
        Some(fps).filter(|fps| fps.is_normal())
    }

    /// The width and height that a player shows.
    pub(super) fn shown_size(&self) -> (u32, u32) {
        let mut width = self.header.width.integer.cast_unsigned();
        let mut height = self.header.height.integer.cast_unsigned();
        if let Some(format) = &self.format
            && (width == 0 || height == 0)
        {
            (width, height) = (format.width, format.height);
        }
        let [a, b, _, c, d, ..] = self.header.matrix;
        let is_on_its_side = (a, d) == (0, 0) && b != 0 && c != 0;
        if is_on_its_side {
            (height.into(), width.into())
        } else {
            (width.into(), height.into())
        }
    }
}

impl PictureFormat {
    /// Reads the first description of pictures.
    fn first(descriptions: &[u8]) -> Option<Self> {
        const BEFORE_BOXES: usize = 78;
        let first = descriptions.get(8..)?;
        let header = Header::read(first)?;
        let bytes = &first[header.length..];
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let inside = bytes.get(BEFORE_BOXES..)?;
        let last_byte = |kind: &[u8; 4], at: usize| {
            let configuration = contents(inside, kind).next()?;
            Some(usize::from(configuration.get(at)? & 3) + 1)
        };
        let length_size = match &header.kind {
            b"avc1" | b"avc3" => last_byte(b"avcC", 4),
            b"hvc1" | b"hev1" => last_byte(b"hvcC", 21),
            _ => None,
        };
        Some(Self {
            width: number(24)?,
            height: number(26)?,
            length_size,
        })
    }
}

impl Run {
    /// Reads a run. The crate would list even samples without values of their own, as many as a hostile file says.
    fn read(header: &Header, run: &[u8]) -> Option<Self> {
        const OWN_VALUES: u32 = TrunBox::FLAG_SAMPLE_DURATION_PRESENT
            | TrunBox::FLAG_SAMPLE_SIZE_PRESENT
            | TrunBox::FLAG_SAMPLE_FLAGS_PRESENT
            | TrunBox::FLAG_SAMPLE_COMPOSITION_TIME_OFFSETS_PRESENT;

        let mut at = header.length;
        let flags = FullBoxHeader::decode_at(run, &mut at).ok()?.flags.get();
        let count = u32::decode_at(run, &mut at).ok()?;
        if flags & OWN_VALUES != 0 {
            let (run, _) = TrunBox::decode(run).ok()?;
            let samples = run.samples.into_iter();
            return Some(Self {
                offset: run.data_offset,
                samples: samples
                    .map(|sample| (1, sample.size, sample.duration))
                    .collect(),
            });
        }
        let has_offset = flags & TrunBox::FLAG_DATA_OFFSET_PRESENT != 0;
        let offset = has_offset.then(|| i32::decode_at(run, &mut at));
        Some(Self {
            offset: offset.transpose().ok()?,
            samples: vec![(count, None, None)],
        })
    }
}

impl Piece {
    fn new(start: u64, samples: u32, size: u32) -> Self {
        Self {
            start,
            size: u64::from(samples) * u64::from(size),
            is_sample: samples == 1,
        }
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// Reads the time of the first sample of a track that is shown.
fn first_shown(track: &[u8]) -> Option<u64> {
    let edits: ElstBox = decoded(contents(track, b"edts").next()?, b"elst")?;
    let mut times = edits.entries.iter().map(|edit| edit.media_time);
    times.find_map(|time| u64::try_from(time).ok())
}

/// Locates the samples of a track by its table. Returns nothing if the table cannot be read.
fn pieces(table: &[u8]) -> Option<Vec<Piece>> {
    let sizes: StszBox = decoded(table, b"stsz")?;
    let mut runs = chunk_runs(table)?.into_iter().peekable();
    let chunks: Vec<u64> = match decoded::<StcoBox>(table, b"stco") {
        Some(chunks) => chunks.chunk_offsets.into_iter().map(u64::from).collect(),
        None => decoded::<Co64Box>(table, b"co64")?.chunk_offsets,
    };
    let mut left = match &sizes {
        StszBox::Fixed { sample_count, .. } => *sample_count,
        StszBox::Variable { entry_sizes } => entry_sizes.len() as u32,
    };
    let mut sample = 0;
    let mut in_chunk = 0;
    let mut found = Vec::new();
    for (chunk, start) in (1..).zip(chunks) {
        while let Some([_, samples, _]) = runs.next_if(|[first_chunk, ..]| *first_chunk <= chunk) {
            in_chunk = samples;
        }
        let count = in_chunk.min(left);
        left -= count;
        match &sizes {
            StszBox::Fixed { sample_size, .. } => {
                found.push(Piece::new(start, count, sample_size.get()));
            }
            StszBox::Variable { entry_sizes } => {
                let mut start = start;
                for size in &entry_sizes[sample..sample + count as usize] {
                    let piece = Piece::new(start, 1, *size);
                    start = piece.end();
                    found.push(piece);
                }
            }
        }
        sample += count as usize;
    }
    Some(found)
}

/// Reads the runs of chunks: the first chunk, the samples in each, and the number of their description. It is not the
/// crate that reads them, since it refuses the number 0, and players do not.
fn chunk_runs(table: &[u8]) -> Option<Vec<[u32; 3]>> {
    let runs = contents(table, b"stsc").next()?;
    let mut at = 0;
    FullBoxHeader::decode_at(runs, &mut at).ok()?;
    let count = u32::decode_at(runs, &mut at).ok()?;
    (0..count)
        .map(|_| Decode::decode_at(runs, &mut at).ok())
        .collect()
}

/// Finds the defaults of a fragmented file for samples that lack a size or a duration.
fn defaults(index: &[u8], track_id: u32) -> Option<TrexBox> {
    let extension = contents(index, b"mvex").next()?;
    boxes(extension, b"trex")
        .filter_map(|(_, found)| Some(TrexBox::decode(found).ok()?.0))
        .find(|trex| trex.track_id == track_id)
}
