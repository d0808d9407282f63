use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use veo_core::ledger::{EntryState, FileLedger, Ledger};
use veo_core::{Access, Client, Downloads, Job, Kie, Poll, Submission};
use veo_postgres::PostgresLedger;
use veo_postgres::deadpool_postgres::{Manager, Object, Pool};
use veo_postgres::tokio_postgres::{Config, NoTls};
use veo_sim::{Scenario, Sim};

/// A ledger that several processes share, and a simulated kie.ai.
pub(crate) struct Setup {
    pub(crate) sim: Sim,
    folder: TempDir,
    /// The address of the database with a separate schema, if the ledger is in a database.
    database: Option<Config>,
}

impl Setup {
    pub(crate) async fn in_a_file() -> Option<Self> {
        Some(Self::new(None).await)
    }

    /// Returns a setup with new tables, if there is a PostgreSQL for tests.
    pub(crate) async fn in_postgres() -> Option<Self> {
        let setup = Self::empty_schema().await?;
        veo_postgres::migrate(&setup.pool()).await.unwrap();
        Some(setup)
    }

    /// Returns a setup with a schema that has no tables yet.
    pub(crate) async fn empty_schema() -> Option<Self> {
        let Ok(address) = std::env::var("VEO_TEST_POSTGRES") else {
            assert!(
                std::env::var_os("VEO_TEST_POSTGRES_NEEDED").is_none(),
                "VEO_TEST_POSTGRES is not set, so there is no PostgreSQL to test with"
            );
            println!(
                "skipped: there is no PostgreSQL, whose address would be in VEO_TEST_POSTGRES; \
                 scripts/postgres.sh runs a command with one"
            );
            return None;
        };
        let mut config: Config = address.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let schema = format!("test_{}", name.trim_start_matches('.')).to_lowercase();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute(&format!("CREATE SCHEMA \"{schema}\""))
            .await
            .unwrap();
        // These settings are dangerous. The ledger has to be durable in spite of them.
        config.options(format!(
            "-c search_path={schema} -c synchronous_commit=off -c default_transaction_isolation=serializable"
        ));
        config.application_name(schema);
        Some(Self::new(Some(config)).await)
    }

    async fn new(database: Option<Config>) -> Self {
        let rich = Scenario::new("rich", "There are credits for every test.").credits(1_000_000.0);
        Self {
            sim: Sim::builder().scenario(rich).start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            database,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn kie(&self, api_key: &str) -> Kie {
        Kie::new(Access::new(api_key).base_url(self.sim.url())).unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        self.database.clone().unwrap()
    }

    /// Returns new connections, like those of another process.
    pub(crate) fn pool(&self) -> Pool {
        pool(self.config())
    }

    /// A connection to look at the tables and to change them.
    pub(crate) async fn database(&self) -> Object {
        self.pool().get().await.unwrap()
    }

    /// Opens the ledger again, like another process.
    pub(crate) async fn ledger(&self) -> Box<dyn Ledger> {
        match &self.database {
            None => Box::new(FileLedger::open(self.path()).await.unwrap()),
            Some(_) => Box::new(PostgresLedger::open(self.pool()).await.unwrap()),
        }
    }

    /// Returns the client with a newly opened ledger, like a client in another process.
    pub(crate) async fn with_ledger(&self, client: Client) -> Client {
        match &self.database {
            None => client.with_ledger(FileLedger::open(self.path()).await.unwrap()),
            Some(_) => client.with_ledger(PostgresLedger::open(self.pool()).await.unwrap()),
        }
    }

    /// Returns a new client of kie.ai, like a client in another process.
    pub(crate) async fn client(&self) -> Client {
        self.client_with("key").await
    }

    pub(crate) async fn client_with(&self, api_key: &str) -> Client {
        self.without_pauses(Client::new(self.kie(api_key)).unwrap())
            .await
    }

    /// Returns the client without pauses and with a newly opened ledger, like a client in another process.
    pub(crate) async fn without_pauses(&self, client: Client) -> Client {
        let zero = Duration::ZERO;
        let poll = Poll::default().first(zero).every(zero).every_upgrade(zero);
        let downloads = Downloads::default().allow_loopback(true);
        let client = client.with_poll(poll).with_downloads(downloads).unwrap();
        self.with_ledger(client).await
    }

    pub(crate) async fn state(&self, key: &str) -> EntryState {
        let ledger = self.ledger().await;
        ledger.entry(key).await.unwrap().unwrap().state
    }

    pub(crate) async fn stored_text(&self) -> String {
        if self.database.is_none() {
            return std::fs::read_to_string(self.path()).unwrap();
        }
        let client = self.database().await;
        let query = "SELECT coalesce(string_agg(veo_entries::text, ' '), '') FROM veo_entries";
        client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Makes the leases of all processes end, as if none had renewed its own in time.
    pub(crate) async fn let_leases_end(&self) {
        if self.database.is_some() {
            let client = self.database().await;
            let update = "UPDATE veo_entries SET leased_until = clock_timestamp()";
            client.execute(update, &[]).await.unwrap();
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("jobs.ledger")
    }
}

pub(crate) fn pool(config: Config) -> Pool {
    let manager = Manager::new(config, NoTls);
    Pool::builder(manager).max_size(4).build().unwrap()
}

pub(crate) fn accepted(submission: Submission) -> Job {
    match submission {
        Submission::Accepted(job) => job,
        other => panic!("{other:?}"),
    }
}
