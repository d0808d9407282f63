//! A disk that can be filled.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A disk of 16 MiB in a folder, if root may mount one. Otherwise it is the folder alone, which is never full.
pub(crate) struct Disk {
    path: PathBuf,
    is_mounted: bool,
}

impl Disk {
    pub(crate) fn new(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=16m", "none"])
            .arg(path)
            .stderr(Stdio::null());
        Self {
            path: path.to_owned(),
            is_mounted: mount.status().is_ok_and(|status| status.success()),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Fills the disk to the last byte. Returns whether that is possible.
    pub(crate) fn fill(&self) -> bool {
        if !self.is_mounted {
            return false;
        }
        let mut filler = File::create(self.path("filler")).unwrap();
        while filler.write(&[0; 4096]).is_ok_and(|count| count > 0) {}
        true
    }

    pub(crate) fn free(&self) {
        let _ = fs::remove_file(self.path("filler"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
    }
}
