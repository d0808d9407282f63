//! The providers that a command works with: those of the configuration, or simulated ones.

use crate::args::Who;
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::simulator::Simulator;
use crate::store::Store;

/// Everything that is needed to send something.
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) providers: Vec<ProviderName>,
    /// It stops when it is dropped.
    simulator: Option<Simulator>,
}

impl Setting {
    /// The configuration, or the simulator.
    pub(crate) async fn of(who: &Who) -> Result<Self, Failure> {
        let Some(provider) = who.sim else {
            let providers = who.provider.clone();
            return Ok(Self {
                config: Config::load()?,
                providers,
                simulator: None,
            });
        };
        let simulator = Simulator::start().await?;
        let config = Config::simulated(&simulator.url());
        Ok(Self {
            config,
            providers: vec![provider],
            simulator: Some(simulator),
        })
    }

    /// Where jobs are kept. Those of the simulator live nowhere after the program, so they are kept nowhere.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        if self.is_simulated() {
            Store::temporary().await
        } else {
            Store::open().await
        }
    }

    pub(crate) fn is_simulated(&self) -> bool {
        self.simulator.is_some()
    }
}
