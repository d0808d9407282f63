//! Texts are read in the same way from every source.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::sandbox::{PICTURE, Sandbox};
use crate::server::Server;

fn plan(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let run = sandbox.run(&[&["plan", "--json", "--provider", "kie"], arguments].concat());
    assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
    serde_json::from_str(&run.out).unwrap()
}

#[test]
fn marks_cases_and_line_ends_of_texts_are_tolerated() {
    let table: [(&str, &str, &[&str], &str, &str); 9] = [
        (
            "r.json",
            "\u{feff}{\"prompt\":\"E\"}",
            &["--request", "r.json"],
            "prompt",
            "E",
        ),
        (
            "r.yaml",
            "\u{feff}prompt: E\r\n",
            &["--request", "r.yaml"],
            "prompt",
            "E",
        ),
        (
            "p.txt",
            "\u{feff}A dog\r\nin a park\r\n",
            &["@p.txt"],
            "prompt",
            "A dog\nin a park",
        ),
        ("", "", &["@@home and away"], "prompt", "@home and away"),
        ("", "", &["@@"], "prompt", "@"),
        (
            "",
            "",
            &[
                "A",
                "--aspect-ratio",
                "Auto",
                "--image",
                "https://a.example/1.png",
            ],
            "aspectRatio",
            "Auto",
        ),
        ("", "", &["A", "--tier", "FAST"], "model", "veo3_fast"),
        (
            "a.json",
            r#"{"prompt":"A","aspect_ratio":"Auto","input":{"type":"image","image":"https://a.example/1.png"}}"#,
            &["--request", "a.json"],
            "aspectRatio",
            "Auto",
        ),
        (
            "d.json",
            r#"{"prompt":"\"prompt\": twice"}"#,
            &["--request", "d.json"],
            "prompt",
            "\"prompt\": twice",
        ),
    ];
    let sandbox = Sandbox::new();
    for (name, text, arguments, field, expected) in table {
        if !name.is_empty() {
            sandbox.write(name, text);
        }
        let plan = plan(&sandbox, arguments);
        assert_eq!(plan["offers"][0]["body"][field], expected, "{arguments:?}");
    }
}

#[test]
fn a_receipt_can_be_given_as_a_request() {
    let sandbox = Sandbox::with_sim();
    let made = [
        "generate",
        "A dog",
        "--duration",
        "4",
        "--receipt",
        "receipt.json",
    ];
    assert_eq!(sandbox.run(&made).code, 0);
    let plan = plan(&sandbox, &["--request", "receipt.json"]);
    let body = &plan["offers"][0]["body"];
    assert_eq!(
        (&body["prompt"], &body["duration"]),
        (&"A dog".into(), &4.into())
    );
}

#[test]
fn ambiguous_texts_are_refused_in_one_sentence() {
    let twice = r#"{"prompt":"A","prompt":"B"}"#;
    let deeper = r#"{"prompt":"A","input":{"type":"text","type":"image"}}"#;
    let one_a_line = "each line must be one JSON object";
    let batch = ["generate", "--batch", "f"].as_slice();
    let table: [(&str, &[&str], &[&str]); 11] = [
        (twice, batch, &["line 1", "`prompt` is there twice"]),
        (deeper, batch, &["line 1", "`type` is there twice"]),
        (twice, &["plan", "--request", "f"], &["prompt"]),
        (
            deeper,
            &["plan", "--request", "f.json"],
            &["`type` is there twice"],
        ),
        (r#"[{"prompt":"A"}]"#, batch, &[one_a_line]),
        ("prompt,seconds\nA,4\n", batch, &[one_a_line]),
        ("prompt: A\n---\nprompt: B\n", batch, &[one_a_line]),
        ("{\n  \"prompt\": \"A\"\n}\n", batch, &[one_a_line]),
        (
            "",
            &["plan", "@home and away"],
            &["@ reads", "home and away", "@@home"],
        ),
        (
            "",
            &["plan", "@"],
            &["@ reads", "no file is named", "@@home"],
        ),
        ("A\0", &["plan", "@f.utf16"], &["UTF-16"]),
    ];
    let sandbox = Sandbox::with_sim();
    std::fs::write(sandbox.path("f.utf16"), b"\xff\xfeA\0").unwrap();
    for (text, command, words) in table {
        sandbox.write("f", text);
        sandbox.write("f.json", text);
        let run = sandbox.run(command);
        assert_eq!(run.code, 2, "{text}: {}", run.err);
        for word in words {
            assert!(run.err.contains(word), "{text}: {}", run.err);
        }
    }
    assert_eq!(sandbox.paid(), 0);
}

/// The message is for the user who wrote the file, and not for programmers.
#[test]
fn a_fault_in_yaml_is_explained_in_one_sentence() {
    let not_yaml = "indent with blanks, and put a text in quotes";
    let table = [
        (
            "prompt: A\nprompt: B\n",
            "line 2, column 1: `prompt` is there twice; remove one of them",
        ),
        (
            "prompt: A\ninput:\n  type: text\n  type: image\n",
            "line 4, column 3: `type` is there twice",
        ),
        (
            "prompt: A\n---\nprompt: B\n",
            "line 3, column 1: a second document begins",
        ),
        ("prompt: *dog*\n", "put a text that begins with * in quotes"),
        ("prompt: [A\n", "line 1, column 9: a text is expected"),
        (
            "prompt: A\nseconds: four\n",
            "line 2, column 10: a whole number is expected",
        ),
        (
            "prompt: A\naudio: loud\n",
            "line 2, column 8: true or false is expected",
        ),
        (
            "prompt: A\nfoo: 1\n",
            "line 2, column 1: unknown field `foo`",
        ),
        ("A dog\n", "fields are expected, such as `prompt: A dog`"),
        ("- prompt: A\n", "fields are expected"),
        ("", "fields are expected"),
        ("prompt: A\n\tseconds: 4\n", not_yaml),
        ("prompt: A: B\n", not_yaml),
        ("prompt: \"A\n", not_yaml),
        ("prompt: !!binary A\n", not_yaml),
        ("prompt: A\ninput: {type: text\n", not_yaml),
    ];
    let sandbox = Sandbox::new();
    for (text, words) in table {
        sandbox.write("r.yaml", text);
        let run = sandbox.run(&["plan", "--request", "r.yaml"]);
        assert_eq!(run.code, 2, "{text}: {}", run.err);
        assert!(run.err.contains("r.yaml is not a request: "), "{}", run.err);
        assert!(run.err.contains(words), "{text}: {}", run.err);
        for word in ["Options", "Policy", "from_str", "scalar start"] {
            assert!(!run.err.contains(word), "{text}: {}", run.err);
        }
    }
}

#[test]
fn a_batch_with_a_byte_order_mark_is_the_same_batch() {
    let sandbox = Sandbox::with_sim();
    sandbox.write(
        "jobs.jsonl",
        "{\"prompt\":\"A\"}\n{\"prompt\":\"B\",\"aspect_ratio\":\"16:9\"}\n",
    );
    let batch = ["generate", "--batch", "jobs.jsonl"];
    assert_eq!(sandbox.run(&batch).code, 0);
    sandbox.write(
        "jobs.jsonl",
        "\u{feff}{\"prompt\":\"A\"}\r\n{\"prompt\":\"B\",\"aspect_ratio\":\"16:9\"}\r\n",
    );
    let run = sandbox.run(&batch);
    assert_eq!((run.code, sandbox.paid()), (0, 2), "{}", run.err);
}

#[test]
fn a_readable_api_key_is_refused_only_when_it_is_used() {
    let key = "[kie]\napi_key = \"from-the-file\"\n";
    // Each row has the text, whether the environment has an API key, the exit code, and whether there is a warning.
    let table = [
        (key, true, 0, true),
        (key, false, 2, true),
        ("# nothing\n", true, 0, false),
        (
            "[uniall]\nbase_url = \"http://127.0.0.1:1\"\n",
            true,
            0,
            false,
        ),
    ];
    for (text, has_key, code, warns) in table {
        let mut sandbox = Sandbox::new();
        if has_key {
            sandbox = sandbox.at("kie", "http://127.0.0.1:1");
        }
        let file = sandbox.config();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let run = sandbox.run(&["plan", "A dog"]);
        assert_eq!(run.code, code, "{text}: {}", run.err);
        assert_eq!(run.err.contains("chmod 600"), warns, "{text}: {}", run.err);
    }
}

#[test]
fn a_batch_uses_the_aspect_ratio_of_the_image() {
    let sandbox = Sandbox::with_sim();
    std::fs::write(sandbox.path("a.png"), PICTURE).unwrap();
    for ratio in ["auto", "Auto"] {
        let input = r#"{"type":"image","image":{"file":"a.png"}}"#;
        let line = format!(r#"{{"prompt":"{ratio}","aspect_ratio":"{ratio}","input":{input}}}"#);
        sandbox.write("jobs.jsonl", &line);
        let batch = ["generate", "--batch", "jobs.jsonl", "--provider", "kie"];
        let run = sandbox.run(&[batch.as_slice(), &["-v"]].concat());
        assert_eq!(run.code, 0, "{ratio}: {}", run.err);
        let is_sent = run.err.contains(r#""aspectRatio":"Auto""#);
        assert!(is_sent, "{ratio}: {}", run.err);
    }
}

/// The program does not wait for a pipe without a writer, and does not read an endless device.
#[test]
fn special_files_are_refused_at_once() {
    let server = Server::start(|_, _| None);
    let sandbox = Sandbox::new().at("kie", server.url());
    let made = sandbox.run_line("mkfifo pipe; mkdir folder; ln -s nowhere link");
    assert_eq!(made.code, 0, "{}", made.err);
    let table = [
        ("pipe", "is a pipe"),
        ("/dev/zero", "is a device"),
        ("folder", "is a folder"),
        (".", "is a folder"),
        ("link", "is a link to a file that is not there"),
    ];
    for (file, words) in table {
        let input = format!(r#"{{"type":"image","image":{{"file":"{file}"}}}}"#);
        let line = format!(r#"{{"prompt":"A","input":{input}}}"#);
        sandbox.write("jobs.jsonl", &line);
        let last = ["--last-frame", file];
        let frames = ["generate", "A", "--first-frame", file];
        let commands: [&[&str]; 7] = [
            &["generate", "A", "--image", file],
            &["generate", "A", "--reference", file],
            &[frames, [last[0], last[1], "--tier", "fast"]].concat(),
            &["generate", "--request", "jobs.jsonl"],
            &["generate", "--batch", "jobs.jsonl"],
            &["plan", "A", "--image", file],
            &["upload", file],
        ];
        for command in commands {
            let run = sandbox.run(command);
            assert_eq!(run.code, 2, "{command:?}: {}", run.err);
            assert!(run.err.contains(words), "{command:?}: {}", run.err);
        }
        let run = sandbox.run(&["inspect", file]);
        assert_eq!(run.code, 2, "{file}: {}", run.err);
        assert!(run.err.contains("cannot be read"), "{file}: {}", run.err);
    }
    assert_eq!(server.count(""), 0);
}

/// A text with an end is read from any source, and an endless one is refused.
#[test]
fn endless_texts_are_refused() {
    let server = Server::start(|_, _| None);
    let sandbox = Sandbox::new().at("kie", server.url());
    let no_writer = "it is a pipe, and nobody writes to it";
    let endless = "it has more than 256 MiB";
    let batch = "the ledger is kept beside its file";
    let table = [
        ("veo generate @pipe", no_writer),
        ("veo generate --request pipe", no_writer),
        ("veo sim --scenario pipe", no_writer),
        ("veo generate --batch pipe", batch),
        ("veo jobs --batch pipe", "has not been begun"),
        (
            "veo settle k --not-taken --batch pipe",
            "has not been begun",
        ),
        ("veo inspect pipe", "not a file"),
        ("veo generate @/dev/zero", endless),
        ("veo generate --request /dev/zero", endless),
        ("veo generate --batch /dev/zero", batch),
        ("yes | veo generate @/dev/stdin", endless),
        ("yes | veo generate -", endless),
        ("yes | veo generate --request -", endless),
        ("yes | veo auth kie", endless),
        ("cat jobs.jsonl | veo generate --batch /dev/stdin", batch),
        ("veo generate --batch - < jobs.jsonl", batch),
    ];
    sandbox.write("jobs.jsonl", "{\"prompt\":\"A\"}\n");
    assert_eq!(sandbox.run_line("mkfifo pipe").code, 0);
    for (line, words) in table {
        let run = sandbox.run_line(line);
        assert_eq!(run.code, 2, "{line}: {}", run.err);
        assert!(run.err.contains(words), "{line}: {}", run.err);
    }
    assert_eq!(server.count(""), 0);
    let finite = [
        "echo A dog | veo plan @/dev/stdin --json",
        "(sleep 0.1; echo A dog) | veo plan @/dev/stdin --json",
        "echo prompt: A dog | veo plan --request /dev/stdin --json",
        "bash -c 'veo plan @<(echo A dog) --json'",
    ];
    for line in finite {
        let run = sandbox.run_line(line);
        let is_there = run.out.contains("\"prompt\":\"A dog\"");
        assert!(is_there, "{line}: {} {}", run.out, run.err);
    }
}

/// A receipt can come from a stranger.
#[test]
fn a_receipt_that_names_a_special_file_is_inspected() {
    let sandbox = Sandbox::with_sim();
    let made = ["generate", "A dog", "-o", "dog.mp4", "--receipt", "r.json"];
    assert_eq!(sandbox.run(&made).code, 0);
    let receipt = std::fs::read_to_string(sandbox.path("r.json")).unwrap();
    let dog = sandbox.path("dog.mp4").display().to_string();
    let changed = receipt.replace(&dog, "/dev/zero");
    assert_ne!(changed, receipt);
    sandbox.write("r.json", &changed);
    let run = sandbox.run(&["inspect", "r.json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("not there"), "{}", run.out);
}

#[test]
fn loopback_addresses_are_recognised_in_any_case() {
    let sandbox = Sandbox::with_sim();
    let port = sandbox.url().rsplit(':').next().unwrap().to_owned();
    let urls = [
        "http://LOCALHOST:",
        "HTTP://127.0.0.1:",
        "http://LocalHost:",
    ];
    for (number, url) in (1..).zip(urls) {
        let sandbox = Sandbox::new().at("kie", &format!("{url}{port}"));
        let run = sandbox.run(&["generate", "A dog", "--timeout", "20s"]);
        assert_eq!(run.code, 0, "{url}, {number}: {}", run.err);
    }
}
