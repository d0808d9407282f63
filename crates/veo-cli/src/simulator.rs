//! The simulator of both providers, for `--sim` and `veo sim`.

use std::fmt::Display;

use veo_sim::{Builder, Scenario, Sim};

use crate::failure::Failure;

/// Starts a simulator, which stops when it is dropped.
pub(crate) async fn start(builder: Builder) -> Result<Sim, Failure> {
    builder.start().await.map_err(cannot_start)
}

pub(crate) fn cannot_start(error: impl Display) -> Failure {
    Failure::failed(format!("the simulator cannot start: {error}"))
}

/// Returns whether an API key is one that only a simulator understands: `any`, or the name of a scenario.
pub(crate) fn is_for_simulator(key: &str) -> bool {
    let name = key.split('/').next().unwrap_or_default();
    name == "any" || Scenario::named(name).is_some()
}
