//! The providers that a command works with: the configured ones, or simulated ones.

use veo_sim::Sim;

use crate::args::ProviderChoice;
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::simulator;
use crate::store::Store;

/// The providers of a command, and the ledgers that store their jobs.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) providers: Vec<ProviderName>,
    pub(crate) ledgers: Ledgers,
    /// The simulator, which stops when this is dropped.
    simulator: Option<Sim>,
}

impl Session {
    /// Reads the configuration, or starts a simulator.
    pub(crate) async fn of(
        who: &ProviderChoice,
        ledgers: &Ledgers,
        output: &Output,
    ) -> Result<Self, Failure> {
        let Some(provider) = who.sim else {
            return Ok(Self {
                config: Config::load(output)?,
                providers: who.provider.clone(),
                ledgers: ledgers.clone(),
                simulator: None,
            });
        };
        let simulator = simulator::start(Sim::builder()).await?;
        Ok(Self {
            config: Config::simulated(&simulator.url()),
            providers: vec![provider],
            ledgers: ledgers.clone(),
            simulator: Some(simulator),
        })
    }

    /// Opens the ledger of jobs. Simulated jobs end with the program, so their ledger is a temporary one.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        if self.is_simulated() {
            Store::temporary().await
        } else {
            Store::open(&self.ledgers).await
        }
    }

    pub(crate) fn is_simulated(&self) -> bool {
        self.simulator.is_some()
    }
}
