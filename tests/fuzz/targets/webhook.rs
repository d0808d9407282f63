//! The bodies of callbacks, and the signatures with which they are accepted.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use veo_core::{Delivery, Webhooks};

const OTHER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

pub(super) fn run(input: &[u8]) {
    // Any text can be the address at which a callback arrives.
    let target = super::text(&input[..input.len().min(100)]);
    for task in [task_in(input), Some(OTHER.to_owned())]
        .into_iter()
        .flatten()
    {
        check(&target, input, &task);
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    super::files("tests/fixtures/kie/callbacks")
}

/// Checks that a signature is accepted for its own task only, and is new only once.
fn check(target: &str, body: &[u8], task: &str) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let webhooks = Webhooks::new("the webhookHmacKey".into()).unwrap();
    let headers = webhooks.sign(task, now).unwrap();
    let Ok(first) = webhooks.verify_at(now, target, &headers, body) else {
        return;
    };
    let Delivery::First(notice) = first else {
        panic!("{first:?}");
    };
    assert_eq!(notice.job.task, task);
    let again = webhooks.verify_at(now, target, &headers, body);
    assert_eq!(again.ok(), Some(Delivery::Repeated(notice)));
}

/// The task that the body names, in one of the places that kie.ai's pages document.
fn task_in(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let places = [
        &body["data"]["taskId"],
        &body["data"]["task_id"],
        &body["taskId"],
    ];
    let task = places.into_iter().find_map(Value::as_str)?;
    Some(task.to_owned())
}
