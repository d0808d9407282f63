//! `veo schema`

use veo_core::VideoRequest;

use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(output: &Output) -> Result<(), Failure> {
    let schema = schemars::schema_for!(VideoRequest);
    let written = if output.is_json() {
        serde_json::to_string(&schema)
    } else {
        serde_json::to_string_pretty(&schema)
    };
    // The schema is JSON with or without --json.
    output.print(&written.unwrap_or_default());
    Ok(())
}
