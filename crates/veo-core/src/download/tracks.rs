//! The tracks of an MP4 file: where their samples are, how long they last, and how large the pictures are.
//!
//! The crate that decodes boxes gets only boxes with no boxes inside. It decodes nested boxes by recursion, so a
//! hostile file could exhaust the stack.

use std::io::{self, Read, Seek, SeekFrom};

use mp4_atom::{
    Atom, Co64, DecodeMaybe, Edts, Elst, FourCC, Hdlr, Header, Mdhd, Mdia, Minf, Stbl, Stco, Stsc,
    Stsd, Stsz, StszSamples, Stts, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunSamples,
};

/// A track of pictures or of sound.
pub(super) struct Track {
    pub(super) is_video: bool,
    /// The number of samples: pictures, or pieces of sound.
    pub(super) samples: u64,
    header: Tkhd,
    timescale: u32,
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
        for track in boxes(index, Trak::KIND) {
            let media = boxes(track, Mdia::KIND).next();
            // Only the kind of the handler is read, since the crate cannot decode every spelling of the handler's name.
            let handler = media
                .and_then(|media| boxes(media, Hdlr::KIND).next())
                .and_then(|handler| handler.get(8..12));
            match handler {
                Some(b"vide") => found.extend(Self::read(track, true)),
                Some(b"soun") => found.extend(Self::read(track, false)),
                _ => {}
            }
        }
        found
    }

    fn read(track: &[u8], is_video: bool) -> Option<Self> {
        let media = boxes(track, Mdia::KIND).next()?;
        let time: Mdhd = decoded(media)?;
        let table = boxes(boxes(media, Minf::KIND).next()?, Stbl::KIND).next()?;
        let times: Stts = decoded(table)?;
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
            header: decoded(track)?,
            timescale: time.timescale,
            duration,
            first_shown: first_shown(track).unwrap_or_default(),
            format: boxes(table, Stsd::KIND)
                .next()
                .and_then(PictureFormat::first),
            pieces: pieces(table)?,
        })
    }

    /// Adds the samples of a fragment to this track. `start` is the offset of the fragment in the file.
    pub(super) fn extend(&mut self, index: &[u8], start: u64, fragment: &[u8]) -> Option<()> {
        // The offset of the data of a track, if the header of the track has none.
        let mut base = start;
        for part in boxes(fragment, Traf::KIND) {
            let header: Tfhd = decoded(part)?;
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
            for run in boxes(part, Trun::KIND) {
                let run = Trun::decode_body(&mut &*run).ok()?;
                if let Some(offset) = run.data_offset {
                    at = base.checked_add_signed(offset.into())?;
                }
                let pieces = run_pieces(&run.samples, at, size);
                if let Some(last) = pieces.last() {
                    at = last.start.saturating_add(last.size);
                }
                if header.track_id == self.header.track_id {
                    self.samples += run.samples.len() as u64;
                    let length = run_length(&run.samples, duration);
                    self.duration = self.duration.saturating_add(length);
                    self.pieces.extend(pieces);
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
            .map(|piece| piece.start.saturating_add(piece.size))
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
        let is_known = self.timescale > 0 && self.duration > 0;
        is_known.then(|| self.duration as f64 / f64::from(self.timescale))
    }

    /// The length in seconds, without the part at the start that a player does not show.
    pub(super) fn edited_seconds(&self) -> Option<f64> {
        let cut_off = self.first_shown as f64 / f64::from(self.timescale);
        Some(self.seconds()? - cut_off)
    }

    pub(super) fn fps(&self) -> Option<f64> {
        let fps = self.samples as f64 / self.seconds()?;
        Some(fps).filter(|fps| fps.is_normal())
    }

    /// The width and height that a player shows.
    pub(super) fn shown_size(&self) -> (u32, u32) {
        let mut width = self.header.width.integer();
        let mut height = self.header.height.integer();
        if let Some(format) = &self.format
            && (width == 0 || height == 0)
        {
            (width, height) = (format.width, format.height);
        }
        let matrix = &self.header.matrix;
        let is_on_its_side = (matrix.a, matrix.d) == (0, 0) && matrix.b != 0 && matrix.c != 0;
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
        let mut bytes = descriptions.get(8..)?;
        let header = Header::decode_maybe(&mut bytes).ok()??;
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let inside = bytes.get(BEFORE_BOXES..)?;
        let last_byte = |kind: &[u8; 4], at: usize| {
            let configuration = boxes(inside, FourCC::new(kind)).next()?;
            Some(usize::from(configuration.get(at)? & 3) + 1)
        };
        let length_size = match &<[u8; 4]>::from(header.kind) {
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

/// Reads the time of the first sample that a player shows.
fn first_shown(track: &[u8]) -> Option<u64> {
    let edits: Elst = decoded(boxes(track, Edts::KIND).next()?)?;
    edits.entries.iter().find_map(|edit| edit.media_time)
}

/// Locates the samples of a track by its table. Returns nothing if the table cannot be read.
fn pieces(table: &[u8]) -> Option<Vec<Piece>> {
    let sizes: Stsz = decoded(table)?;
    let runs: Stsc = decoded(table)?;
    let chunks: Vec<u64> = match decoded::<Stco>(table) {
        Some(chunks) => chunks.entries.into_iter().map(u64::from).collect(),
        None => decoded::<Co64>(table)?.entries,
    };
    let mut left = match &sizes.samples {
        StszSamples::Identical { count, .. } => *count as usize,
        StszSamples::Different { sizes } => sizes.len(),
    };
    let mut sample = 0;
    let mut runs = runs.entries.into_iter().peekable();
    let mut in_chunk = 0;
    let mut found = Vec::new();
    for (chunk, start) in (1..).zip(chunks) {
        while let Some(run) = runs.next_if(|run| run.first_chunk <= chunk) {
            in_chunk = run.samples_per_chunk as usize;
        }
        let count = in_chunk.min(left);
        left -= count;
        match &sizes.samples {
            StszSamples::Identical { size, .. } => found.push(Piece {
                start,
                size: count as u64 * u64::from(*size),
                is_sample: count == 1,
            }),
            StszSamples::Different { sizes } => {
                let mut start = start;
                for size in &sizes[sample..sample + count] {
                    let size = u64::from(*size);
                    found.push(Piece {
                        start,
                        size,
                        is_sample: true,
                    });
                    start = start.saturating_add(size);
                }
            }
        }
        sample += count;
    }
    Some(found)
}

/// Locates the samples of a run in a fragment. The first sample is at `start`.
fn run_pieces(samples: &TrunSamples, start: u64, default_size: u32) -> Vec<Piece> {
    let mut found = Vec::new();
    match samples {
        TrunSamples::Inherited { count, .. } => found.push(Piece {
            start,
            size: u64::from(*count) * u64::from(default_size),
            is_sample: *count == 1,
        }),
        TrunSamples::Explicit(samples) => {
            let mut start = start;
            for sample in samples {
                let size = sample.size.unwrap_or(default_size).into();
                found.push(Piece {
                    start,
                    size,
                    is_sample: true,
                });
                start = start.saturating_add(size);
            }
        }
    }
    found
}

/// Adds up the durations of the samples of a run in a fragment.
fn run_length(samples: &TrunSamples, default_duration: u32) -> u64 {
    match samples {
        TrunSamples::Inherited { count, .. } => u64::from(*count) * u64::from(default_duration),
        TrunSamples::Explicit(samples) => samples
            .iter()
            .map(|sample| u64::from(sample.duration.unwrap_or(default_duration)))
            .sum(),
    }
}

/// Finds the defaults in the index for samples of a fragment that have no size or duration.
fn defaults(index: &[u8], track_id: u32) -> Option<Trex> {
    let extension = boxes(index, FourCC::new(b"mvex")).next()?;
    boxes(extension, Trex::KIND)
        .filter_map(|mut body| Trex::decode_body(&mut body).ok())
        .find(|trex| trex.track_id == track_id)
}

/// Decodes the first box of a kind.
pub(super) fn decoded<T: Atom>(bytes: &[u8]) -> Option<T> {
    T::decode_body(&mut boxes(bytes, T::KIND).next()?).ok()
}

/// Returns the contents of the boxes of a kind, up to the first broken box.
pub(super) fn boxes(mut bytes: &[u8], kind: FourCC) -> impl Iterator<Item = &[u8]> {
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
