//! Videos, whose facts are read from the file.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;
use veo_core::Media;

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new_in(folder()).unwrap());
}

pub(super) fn run(input: &[u8]) {
    let media = FILE.with_borrow_mut(|file| {
        file.as_file_mut().set_len(0).unwrap();
        std::io::Seek::rewind(file.as_file_mut()).unwrap();
        file.write_all(input).unwrap();
        Media::of_file(file.path())
    });
    let Ok(media) = media else { return };
    assert!(
        media.seconds.is_finite() && media.seconds >= 0.0,
        "{media:?}"
    );
    assert!(
        media.fps.is_none_or(|fps| fps.is_finite() && fps >= 0.0),
        "{media:?}"
    );
    let json = serde_json::to_string(&media).unwrap();
    assert_eq!(serde_json::from_str::<Media>(&json).unwrap(), media);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let names = ["base", "fast", "frag", "dash"];
    let names = names.map(|name| format!("tests/media/{name}.mp4"));
    names.map(|path| super::file(&path)).to_vec()
}

/// Returns a folder in memory, if the system has one.
pub(super) fn folder() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        return memory;
    }
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
