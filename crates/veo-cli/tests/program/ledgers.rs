//! The ledger in PostgreSQL that machines share.

use crate::sandbox::Sandbox;

/// The option wins over the environment, and the environment over the file. No address is shown.
#[test]
fn the_shared_ledger_can_be_set() {
    const HIDDEN: &str = "me:hidden";
    let file = "ledger = \"me:hidden\"\n";
    let table = [
        ("", "", HIDDEN, "--ledger "),
        ("", HIDDEN, "", "VEO_LEDGER "),
        (file, "", "", "ledger in the configuration "),
        (file, HIDDEN, "", "VEO_LEDGER "),
        (file, HIDDEN, HIDDEN, "--ledger "),
        (file, " ", " ", "ledger in the configuration "),
    ];
    for (file, variable, option, source) in table {
        let sandbox = Sandbox::with_sim().with("VEO_LEDGER", variable);
        sandbox.configure(file, 0o600);
        for command in [["jobs"].as_slice(), &["generate", "A dog", "-v"]] {
            let run = sandbox.run(&[command, &["--ledger", option]].concat());
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
            assert!(run.err.contains(source), "{source}: {}", run.err);
            assert!(!run.err.contains("hidden"), "{}", run.err);
        }
        assert_eq!(sandbox.paid(), 0);

        sandbox.write("dogs.jsonl", "");
        let batch = sandbox.run(&["jobs", "--batch", "dogs.jsonl", "--ledger", option]);
        assert_eq!(batch.code, 2);
        assert!(batch.err.contains("leave out --batch"), "{}", batch.err);
    }
}

#[test]
fn an_address_of_a_ledger_that_others_can_read_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.configure("ledger = \"me:hidden\"\n", 0o644);
    let file = sandbox.config().display().to_string();
    let wanted = format!(
        "error: {file} holds the address of a ledger and others on this machine can read it; run: chmod 600 {file}\n"
    );
    let run = sandbox.run(&["jobs"]);
    assert_eq!((run.code, run.err), (2, wanted));
    let run = sandbox.with("VEO_LEDGER", "me:hidden").run(&["jobs"]);
    assert!(run.err.contains("VEO_LEDGER "), "{}", run.err);
}

#[cfg(not(feature = "postgres"))]
#[test]
fn without_postgresql_nothing_is_sent() {
    let sandbox = Sandbox::with_sim();
    let by_environment = Sandbox::new().with("VEO_LEDGER", ADDRESS);
    for run in [
        sandbox.run(&["generate", "A dog", "--ledger", ADDRESS]),
        by_environment.run(&["jobs"]),
    ] {
        assert_eq!(run.code, 2, "{}", run.err);
        assert!(
            run.err
                .contains("cargo install veo-cli --features postgres"),
            "{}",
            run.err
        );
        assert!(!run.err.contains("hidden"), "{}", run.err);
    }
    assert_eq!(sandbox.paid(), 0);
}

#[cfg(not(feature = "postgres"))]
const ADDRESS: &str = "postgres://me:hidden@127.0.0.1/veo";

#[cfg(feature = "postgres")]
mod postgres {
    use std::env;
    use std::fs;
    use std::io::{Read as _, Write};
    use std::net::TcpListener;
    use std::thread;

    use rustls::StreamOwned;
    use serde_json::{Value, json};

    use super::Sandbox;
    use crate::network::{certificates, server_connection};
    use crate::sandbox::finish;

    /// The first message of a client of PostgreSQL that asks for TLS.
    const ASKED_FOR_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    const BATCH: [&str; 5] = ["generate", "--batch", "jobs.jsonl", "--concurrency", "3"];

    #[test]
    fn an_unusable_address_is_refused_without_its_password() {
        let form = "give one as a URL, or as host=HOST user=USER dbname=DATABASE";
        for (address, why) in [
            ("me:hidden", form),
            ("postgres://me:hidden@127.0.0.1/veo?hidden=hidden", form),
            (
                "postgres://me:hidden@127.0.0.1/veo?sslrootcert=hidden.pem",
                "name it in PGSSLROOTCERT instead",
            ),
            // No server listens at this port.
            (
                "postgres://me:hidden@127.0.0.1:1/veo",
                "PostgreSQL cannot be reached",
            ),
        ] {
            let sandbox = Sandbox::with_sim().with("VEO_LEDGER", address);
            let run = sandbox.run(&["generate", "A dog", "--verbose"]);
            assert!(run.err.contains(why), "{address}: {}", run.err);
            assert!(!run.err.contains("hidden"), "{}", run.err);
            assert!(!run.out.contains("hidden"), "{}", run.out);
            assert_eq!(sandbox.paid(), 0);
        }
    }

    /// TLS always checks the certificate and its name. Another machine is reached with TLS unless that is switched off.
    #[test]
    fn a_database_on_another_machine_is_reached_with_tls() {
        let there = "host=api.kie.ai hostaddr=127.0.0.1";
        let table = [
            (there, "", true, "with TLS"),
            (there, "sslmode=prefer", true, "with TLS"),
            (there, "sslmode=require", true, "with TLS"),
            (there, "sslmode=verify-ca", true, "with TLS"),
            (there, "sslmode=verify-full", true, "with TLS"),
            (there, "sslmode=disable", true, "without TLS"),
            (there, "", false, "UnknownIssuer"),
            (there, "sslmode=require", false, "UnknownIssuer"),
            (there, "sslmode=verify-full", false, "UnknownIssuer"),
            (
                "host=example.net hostaddr=127.0.0.1",
                "",
                true,
                "not valid for name",
            ),
            (
                "host=127.0.0.1",
                "sslmode=require",
                true,
                "not valid for name",
            ),
            ("host=127.0.0.1", "", true, "without TLS"),
        ];
        let authority = certificates().join("authority.pem").display().to_string();
        for (host, mode, is_trusted, wanted) in table {
            let port = serve(b'S');
            let address = format!("{host} port={port} user=me password=hidden {mode}");
            let sandbox = Sandbox::with_sim().with("VEO_LEDGER", &address);
            let trusted = if is_trusted { authority.as_str() } else { "" };
            let sandbox = sandbox.with("PGSSLROOTCERT", trusted);
            let run = sandbox.run(&["generate", "A dog"]);
            assert!(run.err.contains(wanted), "{address}: {}", run.err);
            assert!(!run.err.contains("hidden"), "{}", run.err);
            assert_eq!(sandbox.paid(), 0);
        }
    }

    #[test]
    fn nothing_is_sent_to_a_database_without_tls() {
        let port = serve(b'N');
        let address = format!("host=api.kie.ai hostaddr=127.0.0.1 port={port} user=me");
        let run = Sandbox::new().with("VEO_LEDGER", &address).run(&["jobs"]);
        assert!(
            run.err.contains("server does not support TLS"),
            "{}",
            run.err
        );
        let missing = Sandbox::new()
            .with("VEO_LEDGER", &address)
            .with("PGSSLROOTCERT", "/nowhere.pem")
            .run(&["jobs"]);
        assert_eq!(missing.code, 2);
        assert!(
            missing
                .err
                .contains("PGSSLROOTCERT: /nowhere.pem cannot be used"),
            "{}",
            missing.err
        );
    }

    /// Listens as a database that answers `answer` to a client that asks for TLS. Refuses every client with a sentence
    /// that says whether it came with TLS. Returns the port.
    fn serve(answer: u8) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut beginning = [0; 8];
                stream.read_exact(&mut beginning).unwrap();
                if beginning != ASKED_FOR_TLS {
                    refuse(&mut stream, "without TLS");
                    continue;
                }
                stream.write_all(&[answer]).unwrap();
                // A client that rejects the answer closes the connection.
                let mut stream = StreamOwned::new(server_connection(), stream);
                if stream.read_exact(&mut beginning).is_ok() {
                    refuse(&mut stream, "with TLS");
                }
            }
        });
        port
    }

    /// Sends an error of PostgreSQL.
    fn refuse(stream: &mut impl Write, how: &str) {
        let fields = format!("SFATAL\0C28000\0Myou came {how}\0\0");
        let length = 4 + fields.len() as u32;
        let message = [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat();
        stream.write_all(&message).unwrap();
        stream.flush().unwrap();
    }

    /// The test has all steps in one, since all of them use the same tables.
    #[test]
    fn machines_share_a_batch_and_its_jobs() {
        let Some(address) = address() else {
            return;
        };
        let sandbox = Sandbox::with_sim().with("VEO_LEDGER", &address);
        let lines: Vec<String> = (0..9)
            .map(|number| json!({ "prompt": format!("Dog {number}"), "seconds": 4 }).to_string())
            .collect();
        let mut machines = Vec::new();
        for machine in ["one", "two", "three"] {
            fs::create_dir(sandbox.path(machine)).unwrap();
            sandbox.write(&format!("{machine}/jobs.jsonl"), &lines.join("\n"));
            let mut command = sandbox.command(&BATCH);
            machines.push(command.current_dir(sandbox.path(machine)).spawn().unwrap());
        }
        for machine in machines {
            let run = finish(machine);
            assert_eq!(run.code, 0, "{}", run.err);
            assert_eq!(
                run.out.lines().count(),
                9,
                "each machine lists all receipts"
            );
        }
        assert_eq!(sandbox.paid(), 9);
        assert!(
            !sandbox.state().join("veo").exists(),
            "a ledger is on this machine"
        );

        let again = sandbox
            .command(&BATCH)
            .current_dir(sandbox.path("two"))
            .spawn()
            .unwrap();
        assert_eq!(finish(again).code, 0);
        let whole = sandbox.run(&["jobs", "--batch", "one/jobs.jsonl"]);
        assert_eq!(whole.code, 2);
        assert!(whole.err.contains("leave out --batch"), "{}", whole.err);

        // A job of one machine is continued on another.
        let sent = sandbox.run(&["generate", "A cat", "--no-wait", "-o", "cat.mp4"]);
        assert_eq!(sent.code, 0, "{}", sent.err);
        assert_eq!(states(&sandbox), [("accepted", 1), ("done", 9)]);
        let waited = sandbox.run(&["wait", "-o", "here.mp4"]);
        assert_eq!(waited.code, 0, "{}", waited.err);
        assert!(sandbox.path("here.mp4").exists());
        assert_eq!(states(&sandbox), [("done", 10)]);
        assert_eq!(sandbox.paid(), 10);

        // Another machine settles an outcome that the first machine does not know.
        let lost = sandbox.with("KIE_API_KEY", "lost-reply");
        let run = lost.run(&["generate", "A kite", "--provider", "kie", "-o", "kite.mp4"]);
        let (_, rest) = run.err.split_once("veo settle ").unwrap();
        let key = rest.split(' ').next().unwrap();
        let task = lost.last_task();
        let settled = lost.run(&["settle", key, "--job", &format!("kie:{task}")]);
        assert_eq!(settled.code, 0, "{}", settled.err);
        let waited = lost.run(&["wait"]);
        assert_eq!(waited.code, 0, "{}", waited.err);
        assert!(lost.path("kite.mp4").exists());
        assert_eq!(states(&lost), [("done", 11)]);
        assert_eq!(lost.paid(), 11);

        let none = lost.run(&["settle", "nobody", "--not-taken"]);
        assert_eq!(none.code, 2);
        assert!(
            none.err.contains("there is no request nobody"),
            "{}",
            none.err
        );
    }

    fn states(sandbox: &Sandbox) -> Vec<(&'static str, usize)> {
        let listed = sandbox.listed(&[]);
        let count = |state: &str| {
            let is_it = |job: &&Value| job["state"] == state;
            listed.iter().filter(is_it).count()
        };
        ["accepted", "done"]
            .map(|state| (state, count(state)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// The address of a PostgreSQL for tests, if there is one.
    fn address() -> Option<String> {
        let address = env::var("VEO_TEST_POSTGRES").ok();
        if address.is_none() {
            let is_needed = env::var_os("VEO_TEST_POSTGRES_NEEDED").is_some();
            assert!(!is_needed, "VEO_TEST_POSTGRES is not set");
            println!("skipped: scripts/postgres.sh runs a command with a PostgreSQL");
        }
        address
    }
}
