//! Checks that no dependency needs a later Rust than our packages declare, and that each package has the licence texts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Reports dependencies that need a later Rust than the packages declare, and packages without a licence text.
pub(crate) fn run(workspace: &Path) -> Result<String, String> {
    let packages = packages(workspace)?;
    let mut problems = late_dependencies(env!("CARGO_PKG_RUST_VERSION"), &packages);
    for package in packages.iter().filter(|package| package.is_published()) {
        problems.extend(missing_licences(workspace, package));
    }
    if problems.is_empty() {
        Ok(format!(
            "the packages are in order ({} with all dependencies)\n",
            packages.len()
        ))
    } else {
        Err(problems.join("\n"))
    }
}

/// A package of the lock file, as `cargo metadata` prints it.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    rust_version: Option<String>,
    manifest_path: PathBuf,
    /// The source. `None` for a package of the workspace.
    source: Option<String>,
    /// The registries to which the package may be published. `None` means all.
    publish: Option<Vec<String>>,
}

impl Package {
    fn is_published(&self) -> bool {
        self.source.is_none() && self.publish.is_none()
    }
}

fn packages(workspace: &Path) -> Result<Vec<Package>, String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    // Cargo sets CARGO for its subcommands.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(workspace)
        .output()
        .map_err(|error| format!("cargo metadata cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata prints something else: {error}"))?;
    Ok(metadata.packages)
}

/// Names the dependencies that need a later Rust than `declared`. A dependency that declares no version is accepted.
fn late_dependencies(declared: &str, packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        let Some(needed) = &package.rust_version else {
            continue;
        };
        if numbers(needed) > numbers(declared) {
            problems.push(format!(
                "{} {} needs Rust {needed}, and rust-version in Cargo.toml is {declared}; take an earlier version of it, or \
                 raise rust-version",
                package.name, package.version
            ));
        }
    }
    problems
}

/// The major, minor and patch numbers. A missing part counts as 0.
fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        *number = part.parse().unwrap_or(u64::MAX);
    }
    numbers
}

/// Names the licences that a package lacks. A package contains only files of its folder, so each needs its own copies.
fn missing_licences(workspace: &Path, package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    for licence in LICENCES {
        let copy = package.manifest_path.with_file_name(licence);
        let original = fs::read(workspace.join(licence)).ok();
        if original.is_none() || fs::read(&copy).ok() != original {
            problems.push(format!(
                "{} is not a copy of {licence} of the workspace; copy it",
                copy.display()
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_needs_a_later_rust_is_named() {
        let rows = [
            (None, true),
            (Some("1.9"), true),
            (Some("1.88.1"), true),
            (Some("1.89"), true),
            (Some("1.89.0"), true),
            (Some("1.89.1"), false),
            (Some("1.90"), false),
            (Some("2.0"), false),
        ];
        for (needed, fits) in rows {
            let package = Package {
                name: "late".to_owned(),
                version: "3.1.4".to_owned(),
                rust_version: needed.map(str::to_owned),
                manifest_path: PathBuf::new(),
                source: Some("a registry".to_owned()),
                publish: None,
            };
            let problems = late_dependencies("1.89", &[package]);
            assert_eq!(problems.is_empty(), fits, "{needed:?}: {problems:?}");
            assert!(
                problems
                    .iter()
                    .all(|problem| problem.contains("late 3.1.4"))
            );
        }
    }

    #[test]
    fn a_licence_that_is_missing_or_changed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("crates/one");
        fs::create_dir_all(&package).unwrap();
        for licence in LICENCES {
            fs::write(folder.path().join(licence), licence).unwrap();
        }
        let one = Package {
            name: "one".to_owned(),
            version: "0.1.0".to_owned(),
            rust_version: None,
            manifest_path: package.join("Cargo.toml"),
            source: None,
            publish: None,
        };
        assert_eq!(missing_licences(folder.path(), &one).len(), 2);
        fs::write(package.join("LICENSE-APACHE"), "LICENSE-APACHE").unwrap();
        fs::write(package.join("LICENSE-MIT"), "changed").unwrap();
        let problems = missing_licences(folder.path(), &one);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("LICENSE-MIT"));
        fs::write(package.join("LICENSE-MIT"), "LICENSE-MIT").unwrap();
        assert!(missing_licences(folder.path(), &one).is_empty());
    }
}
