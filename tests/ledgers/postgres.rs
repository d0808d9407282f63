//! The behaviour that only PostgreSQL has: its tables, leases, and connections that are lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use veo_core::ledger::{Begin, Begun, EntryState, Event, Ledger as _, Outcome, Want, Wish};
use veo_core::{Error, ErrorKind, Settlement, Step, Submission, VideoRequest};
use veo_postgres::PostgresLedger;
use veo_postgres::tokio_postgres::Config;
use veo_postgres::tokio_postgres::config::Host;

use crate::fake_provider::{Answer, FakeProvider};
use crate::setup::{Setup, accepted, pool};

#[tokio::test]
async fn several_processes_migrate_at_once() {
    let Some(setup) = Setup::empty_schema().await else {
        return;
    };
    let error = PostgresLedger::open(setup.pool()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ledger);
    assert!(
        error.to_string().contains("call veo_postgres::migrate"),
        "{error}"
    );
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let pool = setup.pool();
        tasks.spawn(async move { veo_postgres::migrate(&pool).await });
    }
    for migrated in tasks.join_all().await {
        migrated.unwrap();
    }
    PostgresLedger::open(setup.pool()).await.unwrap();
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let insert = "INSERT INTO veo_schema (version) VALUES (1000)";
    setup.database().await.execute(insert, &[]).await.unwrap();
    let opened = PostgresLedger::open(setup.pool()).await.map(drop);
    let migrated = veo_postgres::migrate(&setup.pool()).await;
    for refused in [opened, migrated] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ledger);
        assert!(
            error.to_string().contains("are of a later version (1000)"),
            "{error}"
        );
    }
}

/// Commits are durable even if the user's settings do not ask for that. These tests turn `synchronous_commit` off.
#[tokio::test]
async fn every_commit_is_durable() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let database = setup.database().await;
    database
        .batch_execute(
            "CREATE TABLE seen (setting text);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NULL; END';
             CREATE TRIGGER see AFTER INSERT OR UPDATE ON veo_entries EXECUTE FUNCTION see();",
        )
        .await
        .unwrap();
    let provider = FakeProvider::new(&[]);
    let client = provider.client(&setup).await;
    client.want("order 17", &dog()).await.unwrap();
    client.step("order 17").await.unwrap();
    let query = "SELECT array_agg(setting) FROM seen";
    let seen: Vec<String> = database.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(seen, ["on"; 3], "wanted, begun, accepted");
}

#[tokio::test]
async fn a_late_outcome_of_a_slow_process_is_stored() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let provider = FakeProvider::new(&[]);
    let held = provider.submit_replies.write().await;
    let (slow, other) = (provider.client(&setup).await, provider.client(&setup).await);
    let sending = tokio::spawn(async move { accepted(slow.submit_once("k", &dog()).await) });
    provider.until_sent(1).await;
    assert_eq!(setup.state("k").await, EntryState::OnItsWay);
    setup.let_leases_end().await;
    assert_eq!(setup.state("k").await, EntryState::Unknown);
    let submission = other.submit_once("k", &dog()).await;
    assert!(
        matches!(submission, Submission::Unknown(_)),
        "{submission:?}"
    );
    assert!(matches!(other.step("k").await.unwrap(), Step::LookAtIt(_)));

    drop(held);
    let job = sending.await.unwrap();
    assert_eq!(job.unrecorded, None);
    assert_eq!(setup.state("k").await, EntryState::Accepted);
    assert_eq!(accepted(other.submit_once("k", &dog()).await), job);
    assert_eq!(provider.submits(), 1);
}

/// The request was settled too early as not accepted, and was sent again before the first call ended.
#[tokio::test]
async fn an_outcome_is_stored_only_by_the_process_that_sent_it() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let ledger = PostgresLedger::open(setup.pool()).await.unwrap();
    let slow = PostgresLedger::open(setup.pool()).await.unwrap();
    let begin = begin("k").await;
    assert!(matches!(slow.begin(begin.clone()).await, Ok(Begun::Yours)));
    setup.let_leases_end().await;
    let client = FakeProvider::new(&[]).client(&setup).await;
    client.settle("k", Settlement::NotTaken).await.unwrap();
    assert!(matches!(ledger.begin(begin).await, Ok(Begun::Yours)));

    let late = slow.record("k", refused()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::OnItsWay, "{late}");
    assert_eq!(setup.state("k").await, EntryState::OnItsWay);
    let entry = ledger.record("k", refused()).await.unwrap();
    assert_eq!(
        (entry.state, entry.attempts.len()),
        (EntryState::Rejected, 2)
    );
}

/// The answer to a commit is lost, once after the commit and once before it.
#[tokio::test]
async fn a_call_is_not_sent_if_its_entry_is_in_doubt() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let provider = FakeProvider::new(&[]);
    let proxy = Proxy::start(setup.config()).await;
    let ledger = PostgresLedger::open(pool(proxy.config.clone()))
        .await
        .unwrap();
    let client = veo_core::Client::new(provider.clone())
        .unwrap()
        .with_ledger(ledger);
    proxy.loses_a_commit.store(true, Ordering::Relaxed);
    let Submission::Rejected(error) = client.submit_once("k", &dog()).await else {
        panic!("the request was sent")
    };
    assert_eq!(error.kind(), ErrorKind::Ledger);
    assert!(
        error.to_string().contains("so the call was not sent"),
        "{error}"
    );
    assert_eq!(
        setup.state("k").await,
        EntryState::Rejected,
        "the begun call is written down as rejected"
    );

    // The database ends the connection within the commit, which is undone.
    let database = setup.database().await;
    database
        .batch_execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN IF NEW.state = ''on_its_way'' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
              RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER die AFTER INSERT OR UPDATE ON veo_entries
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();",
        )
        .await
        .unwrap();
    for key in ["k", "l"] {
        let submission = client.submit_once(key, &dog()).await;
        assert!(
            matches!(submission, Submission::Rejected(_)),
            "{submission:?}"
        );
    }
    assert_eq!(provider.submits(), 0);
    database
        .batch_execute("DROP TRIGGER die ON veo_entries")
        .await
        .unwrap();
    for key in ["k", "l"] {
        accepted(client.submit_once(key, &dog()).await);
    }
    assert_eq!(provider.submits(), 2);
}

/// The answer to the commit of an outcome is lost, so the ledger repeats the transaction.
#[tokio::test]
async fn an_outcome_is_stored_although_the_connection_is_lost() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let provider = FakeProvider::new(&[]);
    let held = provider.submit_replies.write().await;
    let proxy = Proxy::start(setup.config()).await;
    let ledger = PostgresLedger::open(pool(proxy.config.clone()))
        .await
        .unwrap();
    let client = veo_core::Client::new(provider.clone())
        .unwrap()
        .with_ledger(ledger);
    let sending = tokio::spawn(async move { accepted(client.submit_once("k", &dog()).await) });
    provider.until_sent(1).await;
    proxy.loses_a_commit.store(true, Ordering::Relaxed);
    drop(held);
    let job = sending.await.unwrap();
    assert!(
        !proxy.loses_a_commit.load(Ordering::Relaxed),
        "the proxy has lost no commit"
    );
    assert_eq!(job.unrecorded, None);
    assert_eq!(setup.state("k").await, EntryState::Accepted);
}

/// All connections end again and again, while four processes send the same keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wish_is_sent_twice_when_connections_end() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let provider = FakeProvider::new(&[]);
    // The connections of this test have the name of its schema as their application name.
    let schema = setup.config().get_application_name().unwrap().to_owned();
    let mut outside = setup.config();
    outside.application_name("outside");
    let outside = pool(outside);
    let is_over = Arc::new(AtomicBool::new(false));
    let ended = is_over.clone();
    let killing = tokio::spawn(async move {
        let client = outside.get().await.unwrap();
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        let mut kills = 0_i64;
        while !ended.load(Ordering::Relaxed) {
            kills += client
                .query_one(kill, &[&schema])
                .await
                .unwrap()
                .get::<_, i64>(0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        kills
    });
    let keys = 20;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let client = provider.client(&setup).await;
        tasks.spawn(async move {
            for number in 0..keys {
                let _ = client
                    .submit_once(&format!("order {number}"), &order(number))
                    .await;
            }
        });
    }
    tasks.join_all().await;
    is_over.store(true, Ordering::Relaxed);
    println!("{} connections were ended", killing.await.unwrap());
    let sent = provider.sent.lock().unwrap().clone();
    let different: BTreeSet<_> = sent.iter().collect();
    assert_eq!(different.len(), sent.len(), "{sent:?}");
    // A request that was not sent can be sent now. The other requests have their jobs.
    let client = provider.client(&setup).await;
    for number in 0..keys {
        accepted(
            client
                .submit_once(&format!("order {number}"), &order(number))
                .await,
        );
    }
    assert_eq!(provider.submits(), 20);
}

/// To a call of an hour ago, the pause would seem to be of a clock that was set back.
#[tokio::test]
async fn a_pause_counts_also_after_old_calls() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let client = setup.client().await;
    accepted(client.submit_once("old", &VideoRequest::text("a")).await);
    let updates = "UPDATE veo_attempts SET sent_at = sent_at - interval '1 hour', ended_at = ended_at - interval '1 hour';
         UPDATE veo_accounts SET not_before = clock_timestamp() + interval '1 minute'";
    let database = setup.database().await;
    database.batch_execute(updates).await.unwrap();
    client.want("new", &VideoRequest::text("b")).await.unwrap();
    let step = client.step("new").await.unwrap();
    let Step::AgainAfter(pause) = step else {
        panic!("{step:?}")
    };
    assert!(pause > Duration::from_secs(30), "{pause:?}");
    assert_eq!(setup.sim.submits(), 1);
}

#[tokio::test]
async fn zero_characters_are_refused_before_sending() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let ledger = PostgresLedger::open(setup.pool()).await.unwrap();
    let good = begin("k").await;
    let in_key = Want::new("a\0b", good.want.wish.clone());
    let in_prompt = Want::new("k", Wish::request(&VideoRequest::text("a\0b")).await);
    let mut in_target = good.want.clone();
    in_target.target = Some("a\0b".to_owned());
    for want in [in_key, in_prompt, in_target] {
        let mut begin = good.clone();
        begin.want = want.clone();
        let errors = [
            ledger.want(want).await.unwrap_err(),
            ledger.begin(begin).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("zero character"), "{error}");
        }
    }
    let mut in_body = good.clone();
    in_body.offer.body = json!({ "text": "a\0b" });
    let error = ledger.begin(in_body).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert_eq!(ledger.entry("a\0b").await.unwrap(), None);

    assert!(matches!(ledger.begin(good).await, Ok(Begun::Yours)));
    let outcome = Outcome::rejected(Error::new(ErrorKind::Refused, "a\0b"));
    let entry = ledger.record("k", Event::Ended { outcome }).await.unwrap();
    assert_eq!(entry.why().unwrap().to_string(), "a\u{fffd}b");
}

#[tokio::test]
async fn a_wish_is_stored_in_the_transaction_of_the_caller() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let mut database = setup.database().await;
    database
        .batch_execute("CREATE TABLE queue (key text)")
        .await
        .unwrap();
    for (key, is_committed) in [("committed", true), ("rolled back", false)] {
        let transaction = database.transaction().await.unwrap();
        let want = Want::new(key, Wish::request(&dog()).await);
        let entry = veo_postgres::want_in(&transaction, want).await.unwrap();
        assert_eq!(entry.state, EntryState::Wanted);
        let insert = "INSERT INTO queue VALUES ($1)";
        transaction.execute(insert, &[&key]).await.unwrap();
        if is_committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let entry = setup.ledger().await.entry(key).await.unwrap();
        assert_eq!(entry.is_some(), is_committed, "{key}");
        let queued = "SELECT count(*) FROM queue WHERE key = $1";
        let queued: i64 = database.query_one(queued, &[&key]).await.unwrap().get(0);
        assert_eq!(queued, i64::from(is_committed), "{key}");
    }
}

#[tokio::test]
async fn signed_links_are_removed_after_their_request_was_sent() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let client = setup.client().await;
    let request = VideoRequest::image("It rains", "https://img.example.net/a.png?signature=hidden");
    client.want("k", &request).await.unwrap();
    assert!(setup.stored_text().await.contains("hidden"));
    client.step("k").await.unwrap();
    let call = setup.sim.calls().last().unwrap().body.clone().unwrap();
    assert!(call.to_string().contains("hidden"), "{call}");
    assert!(!setup.stored_text().await.contains("hidden"));
}

#[tokio::test]
async fn views_show_open_and_unknown_entries_and_the_money_spent() {
    let Some(setup) = Setup::in_postgres().await else {
        return;
    };
    let provider = FakeProvider::new(&[Answer::Lost]);
    let client = provider.client(&setup).await;
    let _ = client.submit_once("lost", &dog()).await;
    accepted(client.submit_once("accepted", &dog()).await);
    client.want("wanted", &dog()).await.unwrap();
    let ledger = setup.ledger().await;
    ledger
        .record("accepted", Event::Cost { credits: 60.0 })
        .await
        .unwrap();
    assert!(matches!(
        ledger.begin(begin("sending").await).await,
        Ok(Begun::Yours)
    ));
    setup.let_leases_end().await;

    let database = setup.database().await;
    let rows = async |query: &str| -> Vec<String> {
        let query = format!("SELECT array_agg(row::text) FROM ({query}) AS row");
        database.query_one(&query, &[]).await.unwrap().get(0)
    };
    assert_eq!(
        rows("SELECT key, state, account, prompt FROM veo_open ORDER BY key").await,
        [
            "(accepted,accepted,fake,\"A dog\")",
            "(lost,unknown,fake,\"A dog\")",
            "(sending,unknown,fake,\"A dog\")",
            "(wanted,wanted,,\"A dog\")",
        ]
    );
    assert_eq!(
        rows("SELECT key FROM veo_unknown ORDER BY key").await,
        ["(lost)", "(sending)"]
    );
    // A call of unknown price counts with the price of another call of its kind.
    let spent = "SELECT account, calls, credits, calls_of_unknown_price FROM veo_spent";
    assert_eq!(rows(spent).await, ["(fake,3,180,2)"]);
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog")
}

fn order(number: i32) -> VideoRequest {
    VideoRequest::text(format!("A dog with the number {number}"))
}

fn refused() -> Event {
    let outcome = Outcome::rejected(Error::new(ErrorKind::Refused, "no"));
    Event::Ended { outcome }
}

async fn begin(key: &str) -> Begin {
    let want = Want::new(key, Wish::request(&dog()).await);
    Begin::new(want, FakeProvider::new(&[]).offered(&dog(), json!({})))
}

/// A proxy of the database that can lose the answer to a commit.
struct Proxy {
    config: Config,
    loses_a_commit: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(mut config: Config) -> Self {
        let Host::Unix(folder) = &config.get_hosts()[0] else {
            panic!(
                "these tests need a PostgreSQL on a Unix socket; run them with scripts/postgres.sh"
            )
        };
        let socket = folder.join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut proxied = Config::new();
        proxied
            .host("127.0.0.1")
            .port(port)
            .user(config.get_user().unwrap())
            .dbname(config.get_dbname().unwrap())
            .options(config.get_options().unwrap());
        config = proxied;
        let loses_a_commit = Arc::new(AtomicBool::new(false));
        let loses = loses_a_commit.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(pass_on(client, server, loses.clone()));
            }
        });
        Self {
            config,
            loses_a_commit,
        }
    }
}

/// Passes bytes on in both directions, until one side ends or an answer is to be lost.
async fn pass_on(mut client: TcpStream, mut server: UnixStream, loses: Arc<AtomicBool>) {
    let mut asked = vec![0; 1 << 16];
    let mut answered = vec![0; 1 << 16];
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let question = &asked[..length];
                let is_commit = question.windows(7).any(|word| word == b"COMMIT\0");
                server.write_all(question).await.unwrap();
                if is_commit && loses.swap(false, Ordering::Relaxed) {
                    let mut answer = Vec::new();
                    while !answer.windows(7).any(|word| word == b"COMMIT\0") {
                        let length = server.read(&mut answered).await.unwrap();
                        answer.extend_from_slice(&answered[..length]);
                    }
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
