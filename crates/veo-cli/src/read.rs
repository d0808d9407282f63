//! Reads the texts that people write: requests, prompts and batches. No read is endless.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

#[cfg(unix)]
use rustix::fs::OFlags;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{DefaultMessageFormatter, Error as YamlError, MessageFormatter as _};

use crate::failure::Failure;

/// Reads the text of a file, without a byte order mark and with Unix line ends. A pipe is read to its end.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    let file = open(path).map_err(|error| Failure::unreadable(path, &error))?;
    text_of(file, path)
}

/// Reads the text of a file that was [opened](open).
pub(crate) fn text_of(file: File, path: &Path) -> Result<String, Failure> {
    let read = pipe_reader(file).and_then(all);
    let bytes = read.map_err(|error| Failure::unreadable(path, &error))?;
    text(bytes, &path.display().to_string())
}

/// Reads the text on standard input as [`file()`] does.
pub(crate) fn input() -> Result<String, Failure> {
    const NAME: &str = "standard input";
    let bytes = all(io::stdin().lock())
        .map_err(|error| Failure::usage(format!("{NAME} cannot be read: {error}")))?;
    text(bytes, NAME)
}

/// Opens a file to read it. It does not wait for a writer of a pipe.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        OFlags::NONBLOCK.bits().cast_signed(),
    );
    options.open(path)
}

/// Parses JSON, and refuses an object that has a field twice.
pub(crate) fn json<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str::<Unique>(text)?;
    serde_json::from_str(text)
}

/// Parses YAML. The error is a sentence for the author of the text.
pub(crate) fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| {
        let what = wrong_yaml(&error);
        match error.location() {
            Some(at) => format!("line {}, column {}: {what}", at.line(), at.column()),
            None => what,
        }
    })
}

/// Words an error of YAML for the author of the text, since the parser's words are for programmers.
fn wrong_yaml(error: &YamlError) -> String {
    match error {
        YamlError::WithSnippet { error, .. } | YamlError::AliasError { error, .. } => {
            wrong_yaml(error)
        }
        YamlError::DuplicateMappingKey { key, .. } => {
            let name = key.as_deref().unwrap_or("a field");
            format!("`{name}` is there twice; remove one of them")
        }
        YamlError::MultipleDocuments { .. } => {
            "a second document begins here, and a file has one request; use --batch for several"
                .into()
        }
        YamlError::UnknownAnchor { .. } => {
            "it refers to something that is not there; put a text that begins with * in quotes"
                .into()
        }
        YamlError::InvalidScalar { ty, .. } if ty.starts_with("bool") => {
            "true or false is expected".into()
        }
        YamlError::InvalidScalar { .. } => "a whole number is expected".into(),
        YamlError::Unexpected { expected, .. } if expected.contains("string") => {
            "a text is expected; put it in quotes".into()
        }
        YamlError::Eof { .. } | YamlError::Unexpected { .. } => {
            "fields are expected, such as `prompt: A dog`".into()
        }
        YamlError::NullIntoString { .. } => {
            "there is no text; write one, or leave out the field".into()
        }
        YamlError::SerdeUnknownField { .. }
        | YamlError::SerdeUnknownVariant { .. }
        | YamlError::SerdeMissingField { .. }
        | YamlError::Message { .. } => DefaultMessageFormatter.format_message(error).into(),
        _ => format!(
            "it cannot be read as YAML: {}; indent with blanks, and put a text in quotes if it has more than words in it",
            DefaultMessageFormatter.format_message(error)
        ),
    }
}

/// Reads a file or a pipe to its end, up to 256 MiB.
fn all(source: impl Read) -> io::Result<Vec<u8>> {
    const MOST: u64 = 256 << 20;
    let mut bytes = Vec::new();
    let read = source.take(MOST + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 > MOST => Err(io::Error::other(format!(
            "it has more than {} MiB, which is too long for a text",
            MOST >> 20
        ))),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::other(
            "it has no data now; give a file with content",
        )),
        Err(error) => Err(error),
    }
}

/// Returns a reader of a file that was [opened](open). It waits for the writer of a pipe if there is one.
#[cfg(unix)]
fn pipe_reader(mut file: File) -> io::Result<impl Read> {
    use std::os::unix::fs::FileTypeExt as _;
    let mut first = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        // Only a read shows that a pipe has no writer.
        let mut byte = [0];
        match file.read(&mut byte) {
            Ok(0) => return Err(io::Error::other("it is a pipe, and nobody writes to it")),
            Ok(_) => first.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let flags = rustix::fs::fcntl_getfl(&file)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    }
    Ok(io::Cursor::new(first).chain(file))
}

#[cfg(not(unix))]
fn pipe_reader(file: File) -> io::Result<impl Read> {
    Ok(file)
}

fn text(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Failure::usage(format!(
            "{name} is in UTF-16; save it as UTF-8"
        )));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{name} is not a text in UTF-8; save it as UTF-8")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.replace("\r\n", "\n"))
}

/// JSON in which no object has a field twice. The value itself is not stored.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value::<Self>()?;
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            seen.insert(name);
        }
        Ok(self)
    }
}
