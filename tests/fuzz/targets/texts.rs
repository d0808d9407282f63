//! Texts of others that go into errors and logs, and ids in broken replies.

use veo_transport::{
    absolute, excerpt, is_link, json, member_texts, members, possible_task, shortened, task_id,
    without_queries,
};

pub(super) fn run(input: &[u8]) {
    let text = super::text(input);
    let shown = without_queries(&text);
    assert_eq!(without_queries(&shown), shown, "of {text:?}");
    for most in [0, 20, 4096] {
        let start = excerpt(input, most);
        assert!(start.len() <= 3 * most + 8 || input.len() <= most, "{most}");
    }
    let _ = shortened(text.clone());
    if let Some(id) = task_id(&text) {
        assert!(
            !id.is_empty() && !id.contains(char::is_whitespace),
            "{id:?}"
        );
    }
    for name in ["taskId", "data", "id"] {
        let all: Vec<_> = members(input, name).collect();
        for inside in member_texts(input, name) {
            assert!(all.contains(&inside), "{inside:?}");
        }
    }
    let _ = (json(input).is_ok(), possible_task(input, true));
    let absolute = absolute(&text, "https://api.example.net");
    assert!(!is_link(&text) || is_link(&absolute), "{absolute}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::replies("kie/generate/documented");
    for line in super::text(&super::file("tests/fixtures/refusals.tsv")).lines() {
        seeds.push(line.as_bytes().to_vec());
    }
    seeds.push(b"see https://me:pass@cdn.example.net/v.mp4?signature=0f1e#x, for a day".to_vec());
    seeds.push(
        b"data:video/mp4;base64,AAAA and {\"taskId\":\"\\u0030\\/\",\"data\":{\"id\":\"0f1e2d3c\"}"
            .to_vec(),
    );
    seeds
}
