//! What a log shows of a job: which, where and how it went, and nothing that is secret.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::fmt::format::FmtSpan;
use veo_core::{Access, Client, Kie, Poll, Submission, VideoRequest};
use veo_sim::Sim;
use veo_tests::KEY;

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What has been logged since the last time.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// Records everything that this thread logs, until what is returned beside the log is dropped.
pub(crate) fn record() -> (Log, impl Sized) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    // With only one subscriber, a span that another test enters first would be off for this one too.
    let another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    (log, (another, tracing::subscriber::set_default(subscriber)))
}

#[tokio::test]
async fn a_log_names_the_job_and_no_secret() {
    let (log, recording) = record();
    let sim = Sim::start().await.unwrap();
    let kie = Kie::new(Access::new(KEY).base_url(sim.url())).unwrap();
    let poll = Poll { first: Duration::ZERO, every: Duration::ZERO, ..Poll::default() };
    let client = Client::new(kie).unwrap().with_poll(poll);
    let request = VideoRequest::text("A secret prompt");
    let Submission::Accepted(job) = client.submit(&request).await else { panic!("it is accepted") };
    let video = client.wait(&job, |_| {}).await.unwrap();
    drop(recording);

    let log = log.take();
    let ours: Vec<_> = log.lines().filter(|line| line.contains("veo_core")).collect();
    let wanted = format!("submit{{provider=kie model=veo3_lite outcome=\"accepted\" job={}}}", job.reference);
    assert!(ours.iter().any(|line| line.contains(&wanted)), "{ours:#?}");
    let wanted = format!("wait{{job={}}}", job.reference);
    assert!(ours.iter().any(|line| line.contains(&wanted) && line.contains("succeeded")), "{ours:#?}");
    for secret in [KEY, "secret prompt", &video.urls[0]] {
        assert!(!ours.iter().any(|line| line.contains(secret)), "{ours:#?}");
    }
    assert!(!log.contains(KEY), "no crate below logs the key either");
}
