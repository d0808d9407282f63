//! API keys, addresses and the file that has them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use crate::sandbox::Sandbox;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_stored_api_key_is_readable_by_its_owner_only() {
    let sandbox = Sandbox::new();
    for (provider, key) in [("kie", "sk-one"), ("uniall", "sk-two"), ("kie", "sk-three")] {
        let run = sandbox.run_with_input(&["auth", provider], &format!("{key}\n"));
        assert_eq!(run.code, 0, "{}", run.err);
        assert_eq!(run.out, format!("Kept in {}\n", sandbox.config().display()));
        assert!(!run.err.contains(key), "{}", run.err);
        assert_eq!(mode(&sandbox.config()), 0o600);
    }
    let text = fs::read_to_string(sandbox.config()).unwrap();
    assert_eq!(
        text,
        "[kie]\napi_key = \"sk-three\"\n\n[uniall]\napi_key = \"sk-two\"\n"
    );
}

#[test]
fn an_api_key_is_added_to_the_configuration() {
    let sandbox = Sandbox::new();
    let text = "ledger = \"postgres://veo\"\n\n[downloads]\nallow_private_hosts = true\n";
    sandbox.configure(text, 0o600);
    let run = sandbox.run_with_input(&["auth", "kie"], "sk-one\n");
    assert_eq!(run.code, 0, "{}", run.err);
    let stored = fs::read_to_string(sandbox.config()).unwrap();
    assert_eq!(stored, format!("{text}\n[kie]\napi_key = \"sk-one\"\n"));
}

#[test]
fn a_configuration_that_others_can_read_is_refused() {
    for (mode, works) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
        (0o644, false),
    ] {
        let sandbox = Sandbox::new();
        // No server listens at this address.
        sandbox.configure(
            "[kie]\napi_key = \"sk-secret\"\nbase_url = \"http://127.0.0.1:1\"\n",
            mode,
        );
        let run = sandbox.run(&["credits"]);
        if works {
            assert_eq!(run.code, 3, "{mode:o}: {}", run.err);
        } else {
            let file = sandbox.config().display().to_string();
            let wanted = format!(
                "error: {file} holds keys and others on this machine can read it; run: chmod 600 {file}\n"
            );
            assert_eq!((run.code, run.err), (2, wanted));
        }
    }
}

#[test]
fn no_api_key_is_shown() {
    let table = [
        (
            "[kie]\napi_key = \"sk-secret\nbase_url = \"x\"\n",
            "config.toml, line 2: ",
        ),
        (
            "[kie]\napi_key = [\"sk-secret\"]\n",
            "config.toml, line 2: invalid type",
        ),
        (
            "[kie]\napi_keys = \"sk-secret\"\n",
            "config.toml, line 2: unknown field `api_keys`",
        ),
        (
            "[kai]\napi_key = \"sk-secret\"\n",
            "config.toml, line 1: unknown field `kai`",
        ),
        (
            "[kie]\napi_key = \"sk-secret\\nx\"\n",
            "the API key holds characters",
        ),
        (
            "[kie]\napi_key = \"sk-secret\"\nbase_url = \"http://example.net\"\n",
            "http",
        ),
    ];
    for (text, wanted) in table {
        let sandbox = Sandbox::new();
        sandbox.configure(text, 0o600);
        for arguments in [
            ["credits"].as_slice(),
            &["credits", "--json", "--verbose"],
            &["generate", "A dog"],
        ] {
            let run = sandbox.run(arguments);
            assert_eq!((run.code, run.out.as_str()), (2, ""), "{text}: {}", run.err);
            assert!(
                run.err.contains(wanted) && !run.err.contains("secret"),
                "{text}: {}",
                run.err
            );
        }
    }
    for variable in ["KIE_API_KEY", "UNIALL_API_KEY"] {
        let run = Sandbox::new()
            .with(variable, "sk-secret\nkey")
            .run(&["generate", "A dog"]);
        assert!(
            run.code == 2 && run.err.contains("the API key holds characters"),
            "{}",
            run.err
        );
        assert!(!run.err.contains("secret"), "{}", run.err);
    }
}

/// The simulator knows only this API key.
#[test]
fn an_api_key_is_accepted_with_quotes_and_spaces() {
    let key = "wrong-key";
    let texts = [
        "\u{feff}wrong-key",
        "\"wrong-key\"",
        "'wrong-key'",
        "“wrong-key”",
        " \twrong-key\r\n",
        "\u{200b}wrong-key\u{a0}",
        "Bearer wrong-key",
        "\"bearer  wrong-key\"",
        "Authorization: Bearer wrong-key",
    ];
    for text in texts {
        let sandbox = Sandbox::with_sim().with("KIE_API_KEY", text);
        let run = sandbox.run(&["credits", "--provider", "kie"]);
        assert!(run.err.contains("code 401"), "{text:?}: {}", run.err);

        let sandbox = Sandbox::new();
        let run = sandbox.run_with_input(&["auth", "kie"], text);
        assert_eq!(run.code, 0, "{text:?}: {}", run.err);
        let stored = fs::read_to_string(sandbox.config()).unwrap();
        assert_eq!(stored, format!("[kie]\napi_key = {key:?}\n"), "{text:?}");
    }
    for nothing in ["\"\"", "\u{feff}"] {
        let run = Sandbox::new().run_with_input(&["auth", "kie"], nothing);
        assert_eq!(run.code, 2, "{nothing:?}: {}", run.err);
        assert!(run.err.contains("there is no key"), "{}", run.err);
    }
}

#[test]
fn an_address_is_accepted_with_quotes_and_spaces() {
    let sim = Sandbox::with_sim();
    let url = sim.url();
    let port = url.rsplit(':').next().unwrap();
    let accepted = [
        format!("\u{feff}{url}"),
        format!(" \"{url}/\" "),
        format!("http://localhost.:{port}"),
        format!("http://LOCALHOST.:{port}"),
    ];
    for url in accepted {
        let run = Sandbox::new()
            .at("kie", &url)
            .run(&["generate", "A dog", "--timeout", "20s"]);
        assert_eq!(run.code, 0, "{url:?}: {}", run.err);
    }
    let refused = [
        ("api.kie.ai", "https://api.kie.ai"),
        ("api.kie.ai:443", "https://api.kie.ai"),
        ("127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("localhost:8787", "http://localhost:8787"),
    ];
    for (url, meant) in refused {
        let run = Sandbox::new().at("kie", url).run(&["generate", "A dog"]);
        let wanted = format!("the base URL cannot be used: it has no scheme; give {meant}");
        assert_eq!(run.code, 2, "{url}: {}", run.err);
        assert!(run.err.contains(&wanted), "{url}: {}", run.err);
    }
}

#[test]
fn the_environment_counts_more_than_the_file() {
    let sandbox = Sandbox::with_sim();
    sandbox.configure(
        "[kie]\napi_key = \"sk-file\"\nbase_url = \"http://127.0.0.1:1\"\n",
        0o600,
    );
    let run = sandbox.run(&["credits", "--provider", "kie"]);
    assert_eq!(run.code, 0, "{}", run.err);
}

/// The form for new videos comes from the environment, or else from the file.
#[test]
fn the_form_of_kie_ai_can_be_set() {
    let old = "\"generationType\"";
    let current = "\"generation_type\"";
    let rows = [
        ("", None, old),
        ("form = \"auto\"\n", None, old),
        ("form = \"current\"\n", None, current),
        ("form = \"old\"\n", Some("current"), current),
        ("form = \"current\"\n", Some("old"), old),
    ];
    for (file, variable, field) in rows {
        let mut sandbox = Sandbox::new();
        sandbox.configure(&format!("[kie]\n{file}"), 0o600);
        if let Some(form) = variable {
            sandbox = sandbox.with("KIE_FORM", form);
        }
        let run = sandbox.run(&["plan", "A dog", "--provider", "kie"]);
        assert!(run.out.contains(field), "{file} {variable:?}: {}", run.out);
    }
    let wrong = [
        ("[kie]\nform = \"new\"\n", "", "unknown variant `new`"),
        (
            "[uniall]\nform = \"old\"\n",
            "",
            "UniAll has one form of its API",
        ),
        (
            "",
            "new",
            "KIE_FORM is no form of kie.ai's API; set auto, old or current",
        ),
    ];
    for (file, variable, wanted) in wrong {
        let sandbox = Sandbox::new().with("KIE_FORM", variable);
        sandbox.configure(file, 0o600);
        let run = sandbox.run(&["plan", "A dog"]);
        assert!(
            run.code == 2 && run.err.contains(wanted),
            "{file}: {}",
            run.err
        );
    }
}

#[test]
fn a_job_is_asked_about_at_its_own_address() {
    let sandbox = Sandbox::with_sim();
    let job = sandbox
        .run(&["generate", "A dog", "--no-wait"])
        .out
        .trim()
        .to_owned();
    let elsewhere = sandbox.with("KIE_BASE_URL", "http://127.0.0.1:1");
    for arguments in [
        ["wait", &job].as_slice(),
        &["status", &job],
        &["download", &job],
        &["extend", &job, "x"],
    ] {
        let run = elsewhere.run(arguments);
        assert!(
            run.code == 2 && run.err.contains("was sent to http://127.0.0.1:"),
            "{arguments:?}: {}",
            run.err
        );
    }
    // A wait for all jobs leaves out the jobs of another address.
    let run = elsewhere.run(&["wait"]);
    assert!(
        run.code == 0 && run.err.contains("no job to wait for"),
        "{}",
        run.err
    );
}

#[test]
fn a_stored_api_key_is_private_under_any_umask() {
    let sandbox = Sandbox::new();
    let run = sandbox.run_line("umask 000; echo sk-one | veo auth kie");
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(mode(sandbox.config().parent().unwrap()), 0o700);
    assert_eq!(mode(&sandbox.config()), 0o600);
}

#[test]
fn a_file_of_another_user_is_not_replaced() {
    let sandbox = Sandbox::new();
    sandbox.configure("[kie]\napi_key = \"sk-one\"\n", 0o600);
    if chown(sandbox.config(), Some(4711), None).is_err() {
        println!("not tested: only root can give a file to another user");
        return;
    }
    let run = sandbox.run_with_input(&["auth", "kie"], "sk-two\n");
    assert_eq!(run.code, 2, "{}", run.err);
    assert!(run.err.contains("belongs to another user"), "{}", run.err);
    let text = fs::read_to_string(sandbox.config()).unwrap();
    assert!(text.contains("sk-one"), "{text}");
}
