//! Job names as text, and names of jobs with any text as the id of the task.

use veo_core::JobRef;

pub(super) fn run(input: &[u8]) {
    let text = super::text(input);
    if let Ok(job) = text.parse::<JobRef>() {
        assert_eq!(job.to_string(), text.trim());
        is_same_after_printing(&job);
    }
    // Any text can be the id of a task.
    if !text.is_empty() {
        is_same_after_printing(&JobRef::new("kie", &*text));
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "kie:0f1e2d3c",
        "kie@studio:0f1e2d3c:1080p",
        "kie+jobs:0f1e2d3c:4k",
        "uniall@a%20b:task_%C3%A9",
        "kie:",
    ];
    lines.map(|line| line.as_bytes().to_vec()).to_vec()
}

fn is_same_after_printing(job: &JobRef) {
    let line = job.to_string();
    assert_eq!(line.parse().as_ref(), Ok(job), "{line}");
    assert!(!line.contains(char::is_whitespace), "{line}");
}
