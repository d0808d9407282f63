//! The ledger in PostgreSQL that machines share.

use crate::sandbox::Sandbox;

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

    use serde_json::{Value, json};

    use super::Sandbox;
    use crate::sandbox::finish;

    const BATCH: [&str; 5] = ["generate", "--batch", "jobs.jsonl", "--concurrency", "3"];

    #[test]
    fn an_unusable_address_is_refused_without_its_password() {
        let form = "give one as a URL, or as host=HOST user=USER dbname=DATABASE";
        for (address, why) in [
            ("me:hidden", form),
            ("postgres://me:hidden@127.0.0.1/veo?hidden=hidden", form),
            (
                "postgres://me:hidden@db.example.net/veo",
                "is on another machine, and this program has no TLS for it",
            ),
            (
                "postgres://me:hidden@localhost/veo?hostaddr=192.0.2.1",
                "is on another machine",
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
            assert_eq!(run.out.lines().count(), 9, "each tells all receipts");
        }
        assert_eq!(sandbox.paid(), 9);
        assert!(
            !sandbox.state().join("veo").exists(),
            "nothing is kept here"
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

        let none = sandbox.run(&["settle", "nobody", "--not-taken"]);
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
