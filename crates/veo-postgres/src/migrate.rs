use deadpool_postgres::Pool;
use tokio_postgres::GenericClient;
use veo_core::{Error, ErrorKind};

use crate::failure::{Failed, of_commit, tried};
use crate::transactions::start;

/// The SQL of each step, from an empty schema to the tables of this version. A released step is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/1.sql")];

/// The lock for migrations: "veo" and a number.
const LOCK: i64 = 0x0076_656f_0001;

/// Makes the tables of the ledger in the first schema of the `search_path`, or brings them up to date. Several
/// processes may call it at the same time.
///
/// # Errors
///
/// [`ErrorKind::Ledger`] if the database refuses a step, or if the tables are those of a later version.
pub async fn migrate(pool: &Pool) -> Result<(), Error> {
    let migrated = tried(async || migrate_once(pool).await.map_err(Failed::harmless)).await;
    Ok(migrated?)
}

/// Refuses tables that are not of this version.
pub(crate) async fn check(client: &impl GenericClient) -> Result<(), Failed> {
    let version = version(client).await?;
    check_version(version)?;
    if version < MIGRATIONS.len() {
        let message =
            "the tables of the ledger are of an earlier version; call veo_postgres::migrate";
        return Err(Error::new(ErrorKind::Ledger, message).into());
    }
    Ok(())
}

async fn migrate_once(pool: &Pool) -> Result<(), Failed> {
    let mut client = pool.get().await?;
    let transaction = start(&mut client).await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let row = transaction.query_one("SHOW server_encoding", &[]).await?;
    let encoding: &str = row.try_get(0)?;
    if encoding != "UTF8" {
        let message = format!("the database has the encoding {encoding}; make one with UTF8");
        return Err(Error::new(ErrorKind::Ledger, message).into());
    }
    transaction
        .batch_execute("CREATE TABLE IF NOT EXISTS veo_schema (version integer PRIMARY KEY)")
        .await?;
    let version = version(&transaction).await?;
    check_version(version)?;
    for (number, sql) in (1..).zip(MIGRATIONS).skip(version) {
        transaction.batch_execute(sql).await?;
        let insert = "INSERT INTO veo_schema (version) VALUES ($1)";
        transaction.execute(insert, &[&number]).await?;
    }
    transaction.commit().await.map_err(of_commit)
}

/// Returns the number of steps that were already made.
async fn version(client: &impl GenericClient) -> Result<usize, Failed> {
    let query = "SELECT coalesce(max(version), 0) FROM veo_schema";
    let version: i32 = client.query_one(query, &[]).await?.try_get(0)?;
    Ok(usize::try_from(version).unwrap_or_default())
}

fn check_version(version: usize) -> Result<(), Error> {
    if version <= MIGRATIONS.len() {
        return Ok(());
    }
    let message = format!(
        "the tables of the ledger are of a later version ({version}) than this one of veo-postgres ({}); use that version",
        MIGRATIONS.len()
    );
    Err(Error::new(ErrorKind::Ledger, message))
}
