//! Checks that a picture file is whole and not animated, and reads the size at which it is shown.

/// The size of a picture in pixels, as it is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Reads the structure of a JPEG, PNG or WebP, but not its pixels. Returns the file extension of its kind, and its size.
/// Bytes after the end of the picture do not matter.
///
/// # Errors
///
/// The predicate of a sentence about the picture.
pub(crate) fn kind_and_size(bytes: &[u8]) -> Result<(&'static str, Size), &'static str> {
    let (kind, found) = match bytes {
        [0xff, 0xd8, 0xff, ..] => ("jpg", jpeg(bytes)),
        [0x89, b'P', b'N', b'G', ..] => ("png", png(bytes)),
        _ if bytes.get(8..12) == Some(b"WEBP") => ("webp", webp(bytes)),
        _ => return Err("is not a JPEG, PNG or WebP image"),
    };
    let found = found.ok_or("is not whole: a part of it is missing; get it again")?;
    if found.moves {
        return Err("is animated; use one of its frames");
    }
    let Size { width, height } = found.size;
    if width == 0 || height == 0 {
        return Err("has no pixels; get it again");
    }
    // The orientations 5 to 8 turn the picture on its side.
    let size = match found.orientation {
        5..=8 => Size {
            width: height,
            height: width,
        },
        _ => found.size,
    };
    Ok((kind, size))
}

/// The orientation of a picture that has no entry for it.
const UPRIGHT: u16 = 1;

struct Found {
    size: Size,
    orientation: u16,
    moves: bool,
}

/// Reads the segments up to the end marker, which follows the last scan. Returns nothing if a part is missing.
fn jpeg(bytes: &[u8]) -> Option<Found> {
    let mut size = None;
    let mut orientation = UPRIGHT;
    let mut has_scan = false;
    let mut rest = bytes.get(2..)?;
    loop {
        // In a scan, a zero or a restart marker follows a 0xff byte. In front of a marker, this byte can be repeated.
        let start = rest
            .windows(2)
            .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7))?;
        let marker = rest[start + 1];
        rest = &rest[start + 2..];
        match marker {
            0xd9 => break,
            0x01 | 0xd8 => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let (segment, after) = rest.split_at_checked(length)?;
        let inside = segment.get(2..)?;
        match marker {
            0xe1 if inside.starts_with(b"Exif\0\0") => {
                orientation = exif_orientation(&inside[6..]).unwrap_or(orientation);
            }
            // These markers have numbers among those of frames: Huffman tables, extensions, arithmetic coding.
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                size = Some(Size {
                    height: number(inside, 1)?,
                    width: number(inside, 3)?,
                });
            }
            0xda => has_scan = true,
            _ => {}
        }
        rest = after;
    }
    Some(Found {
        size: size.filter(|_| has_scan)?,
        orientation,
        moves: false,
    })
}

/// Reads a big-endian number of two bytes.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

/// Reads the chunks up to the last one, `IEND`. Returns nothing if a part is missing.
fn png(bytes: &[u8]) -> Option<Found> {
    let mut size = None;
    let mut orientation = UPRIGHT;
    let mut moves = false;
    let mut has_pixels = false;
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let kind: &[u8; 4] = rest.get(4..)?.first_chunk()?;
        // The length is without the 12 bytes of the length itself, the kind and the checksum.
        let end = length.checked_add(12)?;
        let (chunk, after) = rest.split_at_checked(end)?;
        let inside = &chunk[8..end - 4];
        match kind {
            b"IHDR" => {
                size = Some(Size {
                    width: u32::from_be_bytes(*inside.first_chunk()?),
                    height: u32::from_be_bytes(*inside.get(4..)?.first_chunk()?),
                });
            }
            b"acTL" => moves = u32::from_be_bytes(*inside.first_chunk()?) > 1,
            b"eXIf" => orientation = exif_orientation(inside).unwrap_or(orientation),
            b"IDAT" => has_pixels = true,
            b"IEND" => break,
            _ => {}
        }
        rest = after;
    }
    Some(Found {
        size: size.filter(|_| has_pixels)?,
        orientation,
        moves,
    })
}

/// Reads the chunks of a file whose length is in its header. Returns nothing if a part is missing.
fn webp(bytes: &[u8]) -> Option<Found> {
    let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
    let mut rest = bytes.get(12..length.checked_add(8)?)?;
    let mut size = None;
    let mut orientation = UPRIGHT;
    let mut moves = false;
    let mut has_pixels = false;
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize;
        let inside = rest.get(8..length.checked_add(8)?)?;
        match &rest[..4] {
            b"VP8X" => {
                let side = |at: usize| {
                    let bytes = inside.get(at..at + 3)?;
                    Some(1 + u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
                };
                size = Some(Size {
                    width: side(4)?,
                    height: side(7)?,
                });
            }
            b"VP8 " => {
                has_pixels = true;
                let side = |at: usize| {
                    let side = u16::from_le_bytes(*inside.get(at..)?.first_chunk()?);
                    Some(u32::from(side & 0x3fff))
                };
                size = size.or(Some(Size {
                    width: side(6)?,
                    height: side(8)?,
                }));
            }
            b"VP8L" => {
                has_pixels = true;
                let sides = u32::from_le_bytes(*inside.get(1..)?.first_chunk()?);
                size = size.or(Some(Size {
                    width: 1 + (sides & 0x3fff),
                    height: 1 + (sides >> 14 & 0x3fff),
                }));
            }
            b"ANIM" | b"ANMF" => moves = true,
            b"EXIF" => {
                let exif = inside.strip_prefix(b"Exif\0\0").unwrap_or(inside);
                orientation = exif_orientation(exif).unwrap_or(orientation);
            }
            _ => {}
        }
        // A chunk of odd length is padded by one byte.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    Some(Found {
        size: size.filter(|_| has_pixels || moves)?,
        orientation,
        moves,
    })
}

fn exif_orientation(exif: &[u8]) -> Option<u16> {
    const ORIENTATION: u16 = 0x0112;
    let is_little = match exif.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(match is_little {
            true => u16::from_le_bytes(bytes),
            false => u16::from_be_bytes(bytes),
        })
    };
    let long = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(match is_little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    };
    let directory = long(4)? as usize;
    for entry in 0..usize::from(short(directory)?) {
        let at = directory + 2 + entry * 12;
        if short(at)? == ORIENTATION {
            return short(at + 8);
        }
    }
    None
}
