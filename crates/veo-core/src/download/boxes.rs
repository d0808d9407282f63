//! The boxes that an MP4 file consists of, by their headers.
//!
//! The crate that decodes boxes gets only boxes without boxes inside. It decodes nested boxes by recursion, so a
//! hostile file could exhaust the stack. It also takes the first bytes of a `uuid` for a part of its header.

use shiguredo_mp4::Decode;

/// The header of a box.
pub(super) struct Header {
    pub(super) kind: [u8; 4],
    /// The number of bytes of the header.
    pub(super) length: usize,
    /// The number of bytes of the box with its header. A box without it reaches to the end of the file.
    pub(super) size: Option<u64>,
}

impl Header {
    /// The most bytes of a header.
    pub(super) const MAX_LENGTH: u64 = 16;

    /// Reads the header at the start of these bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut length = 0;
        let size = u32::decode_at(bytes, &mut length).ok()?;
        let kind = Decode::decode_at(bytes, &mut length).ok()?;
        let size = match size {
            0 => None,
            1 => Some(u64::decode_at(bytes, &mut length).ok()?),
            _ => Some(size.into()),
        };
        let is_possible = size.is_none_or(|size| size >= length as u64);
        is_possible.then_some(Self { kind, length, size })
    }
}

/// Decodes the first box of a kind.
pub(super) fn decoded<T: Decode>(bytes: &[u8], kind: &[u8; 4]) -> Option<T> {
    let (_, found) = boxes(bytes, kind).next()?;
    Some(T::decode(found).ok()?.0)
}

/// Returns the contents of the boxes of a kind, up to the first broken box.
pub(super) fn contents<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    boxes(bytes, kind).map(|(header, found)| &found[header.length..])
}

/// Returns the boxes of a kind with their headers, up to the first broken box.
pub(super) fn boxes<'a>(
    mut bytes: &'a [u8],
    kind: &[u8; 4],
) -> impl Iterator<Item = (Header, &'a [u8])> {
    let next = move || {
        let header = Header::read(bytes)?;
        let (found, rest) = bytes.split_at_checked(header.size?.try_into().ok()?)?;
        bytes = rest;
        Some((header, found))
    };
    std::iter::from_fn(next).filter(move |(header, _)| header.kind == *kind)
}
