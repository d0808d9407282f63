//! Writes the JSON Schema of a request. This crate uses no other crate of ours, so it runs `veo schema`.

use std::path::Path;
use std::process::Command;

use crate::codegen::difference;

const FILE: &str = "schemas/video-request.json";

/// Writes the schema, or with `check` only compares it with the file.
///
/// # Errors
///
/// Returns the problem, or with `check` the difference and the command that removes it.
pub(crate) fn run(workspace: &Path, check: bool) -> Result<String, String> {
    // Cargo sets CARGO for its subcommands.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "--quiet", "--package", "veo-cli", "--", "schema"])
        .current_dir(workspace);
    let output = command
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "veo cannot print the schema:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let wanted = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = workspace.join(FILE);
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    if check {
        let difference = difference(FILE, &current, &wanted, "cargo xtask schema");
        return if difference.is_empty() {
            Ok(format!("{FILE} is up to date\n"))
        } else {
            Err(difference)
        };
    }
    std::fs::write(&path, &wanted).map_err(|error| format!("{FILE} cannot be written: {error}"))?;
    Ok(format!("{FILE} written\n"))
}
