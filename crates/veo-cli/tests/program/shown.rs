//! The words of a provider do not control the terminal, and the API key is shown nowhere.

use std::fs;
use std::path::Path;

use crate::sandbox::{PICTURE, Sandbox};
use crate::server::{Server, accepted, prompt, record, whole};

/// An API key like real ones, with characters that encodings change.
const KEY: &str = "sk-0f1e/2d3c+4b5a/69788796a5b4c3d2";
/// Sequences that terminals obey, as JSON: a title, colours, a rewritten line, an order of letters, a forged line.
const ORDERS: &str =
    r"\u001b]0;PWNED\u0007\u001b[31mred\r\u001b[2K\u009b31m\u007f\u202eme\nSaved 1 MiB";

fn is_order(c: char) -> bool {
    c.is_control() && c != '\n' || c == '\u{202e}'
}

#[test]
fn words_of_a_provider_are_shown_escaped() {
    let refusal = |code: u16| format!(r#"{{"code":{code},"msg":"no {ORDERS}","data":null}}"#);
    let failed = format!(
        r#"{{"code":200,"msg":"success","data":{{"taskId":"t1","successFlag":3,"errorCode":501,"errorMessage":"no {ORDERS}"}}}}"#
    );
    let linked = format!(
        r#"{{"code":200,"msg":"success","data":{{"taskId":"t1","successFlag":1,"response":{{"resultUrls":["ftp://x/{ORDERS}"]}}}}}}"#
    );
    let uploaded = format!(
        r#"{{"success":true,"code":200,"msg":"ok","data":{{"downloadUrl":"https://x/{ORDERS}"}}}}"#
    );
    let odd_task = accepted(&format!("t{ORDERS}"));
    let commands: [&[&str]; 10] = [
        &["generate", "A dog", "--timeout", "1s"],
        &["wait", "kie:t1", "--timeout", "1s"],
        &["status", "kie:t1"],
        &["download", "kie:t1"],
        &["extend", "kie:t1", "more", "--timeout", "1s"],
        &["upgrade", "kie:t1", "--resolution", "4k", "--timeout", "1s"],
        &["upload", "a.png"],
        &["credits"],
        &["jobs"],
        &["generate", "--batch", "jobs.jsonl", "--timeout", "1s"],
    ];
    for answers in [
        [&refusal(402), &refusal(402)],
        [&odd_task, &failed],
        [&odd_task, &linked],
    ] {
        let [paid, asked] = answers.map(Clone::clone);
        let uploaded = uploaded.clone();
        let server = Server::start(move |line, body| {
            Some(match prompt(body) {
                _ if line.contains("upload") => uploaded.clone(),
                Some(_) => paid.clone(),
                None => asked.clone(),
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        fs::write(sandbox.path("a.png"), b"\x89PNG\r\n\x1a\n").unwrap();
        sandbox.write("jobs.jsonl", "{\"prompt\":\"A\"}\n");
        for command in commands {
            for options in [[].as_slice(), &["-v"], &["--json"]] {
                let run = sandbox.run(&[command, options].concat());
                for text in [run.out, run.err] {
                    let is_forged = text.lines().any(|line| line.starts_with("Saved 1 MiB"));
                    assert!(!is_forged, "{command:?} {options:?}: {text:?}");
                    assert!(
                        !text.contains(is_order),
                        "{command:?} {options:?}: {text:?}"
                    );
                }
            }
        }
    }
}

/// Invisible characters are shown escaped, and the characters of real writing stay as they are.
#[test]
fn invisible_characters_are_escaped_and_real_writing_stays() {
    let hidden = [
        ("A\u{e0041}\u{e0042}", r"A\udb40\udc41\udb40\udc42"),
        ("zero\u{200b}width", r"zero\u200bwidth"),
        ("A\u{200d}B\u{200c}C", r"A\u200dB\u200cC"),
        ("\u{2060}word\u{feff}", r"\u2060word\ufeff"),
        ("A\u{fe0f}\u{fe01}", r"A\ufe0f\ufe01"),
        ("👍\u{fe0f}\u{fe0f}", "👍\u{fe0f}\\ufe0f"),
        ("A\u{e0100}\u{e01ef}", r"A\udb40\udd00\udb40\uddef"),
        ("soft\u{ad}hyphen", r"soft\u00adhyphen"),
        ("A\u{3164}B", r"A\u3164B"),
        ("🏴\u{e0061}\u{e007f}", r"🏴\udb40\udc61\udb40\udc7f"),
    ];
    let signs = [
        "e\u{301}te\u{301}, Zo\u{308}e, नमस्ते, ภาษาไทย, שָׁלוֹם",
        "می\u{200c}خواهم, क्\u{200d}ष",
        "❤\u{fe0f} 👨\u{200d}👩\u{200d}👧 👩🏽\u{200d}🚀 🏳\u{fe0f}\u{200d}🌈 1\u{fe0f}\u{20e3} ℹ\u{fe0f} 🇩🇪",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    ];
    let table = hidden.into_iter().chain(signs.map(|text| (text, text)));
    let sandbox = Sandbox::new();
    for (text, shown) in table {
        let words = format!("say {text}.");
        let wanted = format!("say {shown}.");
        let plan = sandbox.run(&["plan", &words]);
        assert!(plan.out.contains(&wanted), "{text:?}: {}", plan.out);
        let plan = sandbox.run(&["plan", &words, "--json"]);
        let event: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
        assert_eq!(event["offers"][0]["body"]["prompt"], words, "{text:?}");
    }
}

#[test]
fn the_api_key_is_shown_nowhere_in_any_encoding() {
    let each: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let echo = |key: &str| format!(r#"{{"code":401,"msg":"bad key {key}","data":null}}"#);
    let table = [
        echo(KEY),
        echo(&KEY.replace('/', "\\/")),
        echo(&each),
        echo(&KEY.replace('/', "%2F").replace('+', "%2B")),
        whole(
            "500 Internal Server Error",
            &format!("content-type: text/html; k={KEY}\r\n"),
            "xx",
        ),
    ];
    for reply in table {
        let shown = reply.clone();
        let server = Server::start(move |_, _| Some(reply.clone()));
        let sandbox = Sandbox::new()
            .at("kie", server.url())
            .with("KIE_API_KEY", KEY);
        sandbox.write("jobs.jsonl", "{\"prompt\":\"A\"}\n");
        for command in [
            ["generate", "A dog"].as_slice(),
            &["generate", "A dog", "--json"],
            &["generate", "A dog", "-v"],
            &[
                "generate",
                "--batch",
                "jobs.jsonl",
                "--receipts",
                "r.jsonl",
                "-v",
            ],
            &["jobs", "--json"],
        ] {
            let run = sandbox.run(command);
            let files = sandbox.files();
            let stored = files
                .values()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            for text in stored.chain([run.out, run.err]) {
                // This part of the API key is the same in every encoding.
                assert!(!text.contains("69788796"), "{shown}, {command:?}: {text}");
                assert!(!text.contains("%2F2d3c"), "{shown}, {command:?}: {text}");
                assert!(
                    !text.contains(r"\u0073\u006b"),
                    "{shown}, {command:?}: {text}"
                );
            }
        }
    }
}

/// Links can have signatures, passwords and sequences that terminals obey.
#[test]
fn secrets_of_links_are_shown_only_on_request() {
    const VIDEO: &str = r"http://me:pa55@127.0.0.1:1/\u001b.mp4?signature=5ecret";
    for url in [r"{origin}/video.mp4?signature=5ecret\u001b", VIDEO] {
        let record = record("t1", 1, url).replace(
            r#""response":{"#,
            r#""response":{"originUrls":["https://me:pa55@x/o.mp4?signature=5ecret"],"#,
        );
        let server = Server::start(move |line, _| {
            Some(match line {
                line if line.contains("upload") => {
                    let image = r"https://me:pa55@x.example.net/\u001b.png?signature=5ecret";
                    format!(r#"{{"success":true,"code":200,"data":{{"downloadUrl":"{image}"}}}}"#)
                }
                line if line.contains("download-url") => {
                    format!(r#"{{"code":200,"data":"{VIDEO}"}}"#)
                }
                line if line.starts_with("POST") => accepted("t1"),
                _ => record.clone(),
            })
        });
        let sandbox = Sandbox::new().at("kie", server.url());
        fs::write(sandbox.path("a.png"), PICTURE).unwrap();
        sandbox.write(
            "jobs.jsonl",
            r#"{"prompt":"B","input":{"type":"image","image":{"file":"a.png"}}}"#,
        );
        for command in [
            "generate A --image a.png -o a.mp4 --receipt a.json",
            "wait kie:t1 --receipt b.json --force",
            "download kie:t1 --receipt c.json --force",
            "generate --batch jobs.jsonl --receipts r.jsonl",
            "jobs",
        ] {
            for option in ["-v", "--json"] {
                let arguments: Vec<_> = command.split(' ').chain([option]).collect();
                let run = sandbox.run(&arguments);
                let files = sandbox.files();
                let is_text = |path: &Path| {
                    path.extension()
                        .is_none_or(|end| end != "mp4" && end != "png")
                };
                let stored = files
                    .iter()
                    .filter(|(path, _)| is_text(path))
                    .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
                for text in stored.chain([run.out, run.err]) {
                    for secret in ["5ecret", "pa55", "\u{1b}"] {
                        assert!(!text.contains(secret), "{command} {option}: {text}");
                    }
                }
            }
        }
        let status = sandbox.run(&["status", "kie:t1"]);
        assert!(status.out.contains("signature=5ecret"), "{}", status.out);
        let upload = sandbox.run(&["upload", "a.png"]);
        assert!(upload.out.contains("signature=5ecret"), "{}", upload.out);
        let again = sandbox.run(&["generate", "--request", "a.json", "-o", "again.mp4"]);
        if url != VIDEO {
            let receipts = fs::read_to_string(sandbox.path("r.jsonl")).unwrap();
            assert!(receipts.contains(r"/\u001b.png?..."), "{receipts}");
            assert_eq!(again.code, 2, "{}", again.err);
            assert!(again.err.contains("has lost its query"), "{}", again.err);
        }
    }
}
