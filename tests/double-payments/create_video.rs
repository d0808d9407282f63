//! Requests one video from the library, as `clients` do with other clients: `create_video LEDGER URL SECONDS`. With a
//! ledger it sends the request twice under the same key, like a user who does not know the first outcome.
//!
//! | LEDGER | ledger |
//! | --- | --- |
//! | `none` | no ledger, and one request |
//! | `file` | a file |
//! | `postgres` | the database of `VEO_TEST_POSTGRES`; another replica sends the second request |

use std::error::Error;
use std::time::Duration;

use tempfile::TempDir;
use veo_core::ledger::FileLedger;
use veo_core::{Access, Client, Kie, Submission, VideoRequest};
use veo_postgres::PostgresLedger;
use veo_postgres::deadpool_postgres::{Manager, Pool};
use veo_postgres::tokio_postgres::{Config, NoTls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, ledger, url, seconds] = arguments.as_slice() else {
        return Err("give a ledger, a URL and seconds".into());
    };
    let timeout = Duration::from_secs(seconds.parse()?);
    let access = Access::new("key")
        .base_url(url)
        .connect_timeout(timeout / 2)
        .submit_timeout(timeout);
    let client = Client::new(Kie::new(access)?)?;
    let request = VideoRequest::text("A red kite");
    let folder = tempfile::tempdir()?;
    let replicas = match ledger.as_str() {
        "none" => {
            print_outcome(client.submit(&request).await);
            return Ok(());
        }
        "file" => {
            let ledger = FileLedger::open(folder.path().join("ledger")).await?;
            let client = client.with_ledger(ledger);
            [client.clone(), client]
        }
        _ => {
            let config = schema(&folder).await?;
            let one = client.clone().with_ledger(open(&config).await?);
            [one, client.with_ledger(open(&config).await?)]
        }
    };
    for replica in replicas {
        print_outcome(replica.submit_once("order 17", &request).await);
    }
    Ok(())
}

/// Returns the address of the database with a new schema.
async fn schema(folder: &TempDir) -> Result<Config, Box<dyn Error>> {
    let mut config: Config = std::env::var("VEO_TEST_POSTGRES")?.parse()?;
    let name = folder.path().file_name().unwrap_or_default().display();
    let schema = format!("\"create{name}\"");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    let create = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&create).await?;
    config.options(format!("-c search_path={schema}"));
    Ok(config)
}

async fn open(config: &Config) -> Result<PostgresLedger, Box<dyn Error>> {
    let pool = Pool::builder(Manager::new(config.clone(), NoTls)).build()?;
    veo_postgres::migrate(&pool).await?;
    Ok(PostgresLedger::open(pool).await?)
}

#[allow(clippy::print_stdout, reason = "this is a program")]
fn print_outcome(submission: Submission) {
    match submission {
        Submission::Accepted(job) => println!("accepted: {}", job.reference),
        Submission::Rejected(error) => println!("rejected: {error}"),
        Submission::Unknown(unknown) => println!("unknown: {}", unknown.error),
    }
}
