//! Reads the load of a database and of the replicas' processes, from PostgreSQL and from `/proc`.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use veo_postgres::tokio_postgres::{self, Client, NoTls};

/// A database that can be restarted.
#[derive(Clone)]
pub struct Database {
    pub address: String,
    control: String,
}

/// Sums of counters. A sum keeps its value if its counter begins at zero again, as after a restart.
#[derive(Default)]
pub struct Sums {
    seen: BTreeMap<String, f64>,
    sums: BTreeMap<&'static str, f64>,
}

impl Database {
    /// The database at the address in a variable. A second variable has the command that restarts the database.
    pub fn of(variable: &str) -> Option<Self> {
        Some(Self {
            address: std::env::var(variable).ok()?,
            control: std::env::var(format!("{variable}_CONTROL")).ok()?,
        })
    }

    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.address, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Restarts the database: in the mode `fast` in order, and in the mode `immediate` as after a crash.
    pub fn restart(&self, mode: &str) {
        let line = format!("{} --mode {mode} --wait --silent restart", self.control);
        let mut command = Command::new("sh");
        let status = command.args(["-c", &line]).stdout(Stdio::null()).status();
        println!("{line}: {status:?}");
    }

    /// Adds the load of the database to sums.
    pub async fn add_to(&self, sums: &mut Sums) -> Result<(), tokio_postgres::Error> {
        let query =
            "SELECT xact_commit::float8, (pg_current_wal_lsn() - '0/0')::float8, pg_backend_pid()
            FROM pg_stat_database WHERE datname = current_database()";
        let row = self.connect().await?.query_one(query, &[]).await?;
        sums.count("transactions", "transactions", row.get(0));
        sums.count("log", "log", row.get(1));
        let process: i32 = row.get(2);
        if let Some(server) = Process::of(process as u32) {
            sums.count_server(server.parent);
        }
        Ok(())
    }
}

impl Sums {
    /// Adds the growth of a counter since it was last read. A counter that has shrunk has begun at zero meanwhile.
    pub fn count(&mut self, sum: &'static str, what: &str, now: f64) {
        let before = self.seen.insert(what.to_owned(), now).unwrap_or_default();
        let more = if now < before { now } else { now - before };
        *self.sums.entry(sum).or_default() += more;
    }

    /// Sets all sums to zero.
    pub fn forget(&mut self) {
        self.sums.clear();
    }

    pub fn sum(&self, sum: &str) -> f64 {
        self.sums.get(sum).copied().unwrap_or_default()
    }

    /// Adds the seconds of computing of a process, if it exists.
    pub fn count_process(&mut self, sum: &'static str, id: u32) {
        if let Some(process) = Process::of(id) {
            self.count(sum, &format!("{sum} {id}"), process.own);
        }
    }

    /// Adds the seconds of computing of a database server and its children. The time of an ended child is in that of
    /// the server.
    fn count_server(&mut self, id: u32) {
        let Some(server) = Process::of(id) else {
            return;
        };
        let children = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let living: f64 = children
            .filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?))
            .filter(|process| process.parent == id)
            .map(|process| process.own)
            .sum();
        let name = format!("database {id}");
        self.count("database", &name, server.own + server.of_ended + living);
    }
}

/// A process of Linux: its own seconds of computing, and those of its children that have ended.
struct Process {
    parent: u32,
    own: f64,
    of_ended: f64,
}

impl Process {
    fn of(id: u32) -> Option<Self> {
        let line = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program comes first, in brackets. It can have spaces.
        let rest = line.rsplit_once(") ")?.1;
        let fields: Vec<&str> = rest.split(' ').collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / 100.0);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: seconds(11)? + seconds(12)?,
            of_ended: seconds(13)? + seconds(14)?,
        })
    }
}
