//! The place of the ledgers: files of this machine, or a database that machines share.

use std::env;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use veo_core::ledger::Ledger;

use crate::failure::Failure;

#[derive(Clone)]
pub(crate) struct Ledgers {
    /// The address of the database that has all ledgers. The address can contain a password.
    shared: Option<SecretString>,
}

impl Ledgers {
    /// Takes the address from the option, or else from the environment.
    pub(crate) fn of(option: Option<String>) -> Self {
        let address = option.or_else(|| env::var("VEO_LEDGER").ok());
        let shared = address.filter(|address| !address.trim().is_empty());
        Self {
            shared: shared.map(|address| address.trim().into()),
        }
    }

    /// Opens the ledger that machines share, if there is one.
    pub(crate) async fn shared(&self) -> Result<Option<Arc<dyn Ledger>>, Failure> {
        match &self.shared {
            Some(address) => open(address.expose_secret()).await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(feature = "postgres")]
async fn open(address: &str) -> Result<Arc<dyn Ledger>, Failure> {
    use std::net::IpAddr;

    use veo_postgres::PostgresLedger;
    use veo_postgres::deadpool_postgres::{Manager, Pool};
    use veo_postgres::tokio_postgres::config::SslMode;
    use veo_postgres::tokio_postgres::{Config, NoTls};

    // The parser's error can contain a part of the password, so the message leaves it out.
    let Ok(config) = address.parse::<Config>() else {
        return Err(Failure::usage(
            "--ledger or VEO_LEDGER is not the address of a PostgreSQL database; give one as a URL, or as host=HOST user=USER dbname=DATABASE",
        ));
    };
    let is_local = config.get_hosts().iter().all(is_here)
        && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    if !is_local && config.get_ssl_mode() != SslMode::Disable {
        return Err(Failure::usage(
            "the database of --ledger or VEO_LEDGER is on another machine, and this program has no TLS for it; reach it through \
             a tunnel, or in a network where nobody else listens add ?sslmode=disable to the address",
        ));
    }
    let pool = Pool::builder(Manager::new(config, NoTls))
        .max_size(4)
        .build()
        .map_err(|error| Failure::failed(format!("the database cannot be used: {error}")))?;
    veo_postgres::migrate(&pool).await?;
    Ok(Arc::new(PostgresLedger::open(pool).await?))
}

/// Returns whether a host is this machine.
#[cfg(feature = "postgres")]
fn is_here(host: &veo_postgres::tokio_postgres::config::Host) -> bool {
    use veo_postgres::tokio_postgres::config::Host;

    match host {
        Host::Tcp(name) => veo_core::is_loopback(&format!("http://{name}")),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Refuses the address. Files of this machine are no substitute: they do not have the paid requests of the database.
#[cfg(not(feature = "postgres"))]
async fn open(_: &str) -> Result<Arc<dyn Ledger>, Failure> {
    Err(Failure::usage(
        "this veo is built without PostgreSQL, which --ledger and VEO_LEDGER need; build one that has it: \
         cargo install veo-cli --features postgres",
    ))
}
