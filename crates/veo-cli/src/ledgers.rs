//! The place of the ledgers: files of this machine, or a database that machines share.

use std::env;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use veo_core::ledger::Ledger;

use crate::config;
use crate::failure::Failure;

#[derive(Clone)]
pub(crate) struct Ledgers {
    option: Option<SecretString>,
}

/// The address of the database that has all ledgers. It can have a password.
struct Address {
    text: SecretString,
    /// The option, variable or field that has the address.
    source: &'static str,
}

impl Ledgers {
    /// Takes the address from the option, or else from the environment, or else from the configuration.
    pub(crate) fn of(option: Option<String>) -> Self {
        Self {
            option: option.map(Into::into),
        }
    }

    /// Returns whether there is a ledger for all machines.
    pub(crate) fn are_shared(&self) -> Result<bool, Failure> {
        Ok(self.address()?.is_some())
    }

    /// Opens the ledger that machines share, if there is one.
    pub(crate) async fn shared(&self) -> Result<Option<Arc<dyn Ledger>>, Failure> {
        match self.address()? {
            Some(address) => open(&address).await.map(Some),
            None => Ok(None),
        }
    }

    fn address(&self) -> Result<Option<Address>, Failure> {
        if let Some(address) = Address::of(self.option.clone(), "--ledger") {
            return Ok(Some(address));
        }
        let variable = env::var("VEO_LEDGER").ok().map(SecretString::from);
        if let Some(address) = Address::of(variable, "VEO_LEDGER") {
            return Ok(Some(address));
        }
        Ok(Address::of(
            config::ledger()?,
            "ledger in the configuration",
        ))
    }
}

impl Address {
    /// Returns `None` for a blank text.
    fn of(text: Option<SecretString>, source: &'static str) -> Option<Self> {
        let text = text?.expose_secret().trim().into();
        let address = Self { text, source };
        (!address.text.expose_secret().is_empty()).then_some(address)
    }
}

#[cfg(feature = "postgres")]
async fn open(address: &Address) -> Result<Arc<dyn Ledger>, Failure> {
    crate::database::open(address.text.expose_secret(), address.source).await
}

/// Refuses the address. Files of this machine are no substitute: they do not have the paid requests of the database.
#[cfg(not(feature = "postgres"))]
async fn open(address: &Address) -> Result<Arc<dyn Ledger>, Failure> {
    Err(Failure::usage(format!(
        "this veo is built without PostgreSQL, which {} needs; build one that has it: \
         cargo install veo-cli --features postgres",
        address.source
    )))
}
