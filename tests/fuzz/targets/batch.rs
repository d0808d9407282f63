//! The lines of a batch.

use std::collections::BTreeSet;

use serde_json::Value;
use veo_cli::batch_lines;
use veo_core::VideoRequest;

pub(super) fn run(input: &[u8]) {
    let text = super::text(input);
    let Ok(lines) = batch_lines(&text) else {
        return;
    };
    let keys: BTreeSet<_> = lines.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), lines.len(), "two lines have one key");
    for (_, request) in &lines {
        let json = serde_json::to_string(request).unwrap();
        let read: VideoRequest = serde_json::from_str(&json).unwrap();
        assert_eq!(read, *request, "{json}");
    }
    // A key depends on the content of a line, and not on its spelling.
    let respelt = batch_lines(&respelt(&text)).unwrap();
    assert_eq!(respelt, lines);
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::files("tests/fixtures/kie/requests");
    let batches = [
        "{\"prompt\":\"One\"}\n{\"prompt\":\"One\",\"output\":\"one.mp4\"}\n\n{\"prompt\":\"One\"}\n",
        r#"{"prompt":"P","tier":"fast","resolution":"1080p","aspect_ratio":"9:16","seconds":8,"seed":12345,"audio":true}"#,
        r#"{"prompt":"P","input":{"type":"image","image":{"url":"https://a.example.net/i.png"}},"negative_prompt":"x"}"#,
        r#"{"prompt":"P","input":{"type":"extension","source":{"job":"kie:0f1e2d3c"}},"extra":{"kie":{"a":[1,2.5,null]}}}"#,
        r#"{"prompt":"P","callback_url":"https://a.example.net/c?d=e","watermark":"w","translate_prompt":false}"#,
        r#"{"prompt":"\u0000\ud83d\ude00","output":"a b/c.mp4"}"#,
    ];
    seeds.extend(batches.map(|batch| batch.as_bytes().to_vec()));
    seeds
}

/// Returns the same lines with other blanks.
fn respelt(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines = lines.map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        format!("{value} \n")
    });
    lines.collect()
}
