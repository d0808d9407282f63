//! Prints the JSON Schema of a request: `cargo run -p veo-core --example schema`. `cargo xtask schema` stores it.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

fn main() -> Result<(), serde_json::Error> {
    let schema = schemars::schema_for!(veo_core::VideoRequest);
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
