//! The database with the ledgers that machines share, and TLS to it.

use std::env;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;
use veo_core::is_loopback;
use veo_core::ledger::Ledger;
use veo_postgres::PostgresLedger;
use veo_postgres::deadpool_postgres::{Manager, Pool};
use veo_postgres::tokio_postgres::config::{Host, SslMode};
use veo_postgres::tokio_postgres::{Config, NoTls};

use crate::failure::Failure;

/// The variable of all programs of PostgreSQL that names a file with the certificates of authorities.
const AUTHORITIES: &str = "PGSSLROOTCERT";
/// How long to try to reach a database that does not answer, unless its address sets another time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the ledger in the database at `address`. `source` is the option, variable or field that has the address.
pub(crate) async fn open(address: &str, source: &str) -> Result<Arc<dyn Ledger>, Failure> {
    let mut config = parsed(address, source)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    let manager = if config.get_ssl_mode() == SslMode::Require {
        Manager::new(config, tls()?)
    } else {
        Manager::new(config, NoTls)
    };
    let pool = Pool::builder(manager)
        .max_size(4)
        .build()
        .map_err(|error| Failure::failed(format!("the database cannot be used: {error}")))?;
    veo_postgres::migrate(&pool).await?;
    Ok(Arc::new(PostgresLedger::open(pool).await?))
}

/// Reads an address. The connection to another machine uses TLS, unless the address turns TLS off.
fn parsed(address: &str, source: &str) -> Result<Config, Failure> {
    if address.contains("sslrootcert=") {
        return Err(Failure::usage(format!(
            "{source} names a file in sslrootcert; name it in {AUTHORITIES} instead"
        )));
    }
    // This program always checks the certificate and the name of the server.
    let address = address
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    // The reason is left out, since it can contain a part of the password.
    let mut config: Config = address.parse().map_err(|_| {
        let form = "give one as a URL, or as host=HOST user=USER dbname=DATABASE";
        Failure::usage(format!(
            "{source} is not the address of a PostgreSQL database; {form}"
        ))
    })?;
    if config.get_ssl_mode() == SslMode::Prefer && !is_here(&config) {
        config.ssl_mode(SslMode::Require);
    }
    Ok(config)
}

/// Returns whether the database is on this machine.
fn is_here(config: &Config) -> bool {
    let mut hosts = config.get_hosts().iter();
    let mut addresses = config.get_hostaddrs().iter();
    let is_named_so = hosts.all(|host| match host {
        Host::Tcp(name) => is_loopback(&format!("http://{name}")),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    is_named_so && addresses.all(IpAddr::is_loopback)
}

/// Trusts the public authorities, and those of the file that the environment names.
fn tls() -> Result<MakeRustlsConnect, Failure> {
    let mut roots = RootCertStore::empty();
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots.add_parsable_certificates(public.cloned());
    if let Some(path) = env::var_os(AUTHORITIES).filter(|path| !path.is_empty()) {
        let unusable = |error: &dyn std::fmt::Display| {
            let path = path.display();
            Failure::usage(format!("{AUTHORITIES}: {path} cannot be used: {error}"))
        };
        let certificates =
            CertificateDer::pem_file_iter(&path).map_err(|error| unusable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::failed(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
