//! A log shows a job, its place and its outcome, and no secret.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing_subscriber::fmt::format::FmtSpan;
use veo_core::{Access, Client, Kie, Poll, Submission, VideoRequest};
use veo_sim::Sim;
use veo_tests::{KEY, serve_bytes};
use wiremock::MockServer;

use crate::FORMS;

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
    /// Returns the lines that were logged since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// Records everything that this thread logs, until the second value is dropped.
pub(crate) fn record() -> (Log, impl Sized) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    // With only one subscriber, a span that another test enters first would be switched off for this subscriber too.
    let another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    (log, (another, tracing::subscriber::set_default(subscriber)))
}

#[tokio::test]
async fn a_log_names_the_job_and_no_secret() {
    for (form, _) in FORMS {
        let (log, recording) = record();
        let sim = Sim::start().await.unwrap();
        let kie = Kie::new(Access::new(KEY).base_url(sim.url())).unwrap();
        let kie = kie.form(form);
        let poll = Poll::default().first(Duration::ZERO).every(Duration::ZERO);
        let client = Client::new(kie).unwrap().with_poll(poll);
        let request = VideoRequest::text("A secret prompt");
        let Submission::Accepted(job) = client.submit(&request).await else {
            panic!("the request was not accepted")
        };
        let video = client.wait(&job).await.unwrap();
        drop(recording);

        let log = log.take();
        let ours: Vec<_> = log
            .lines()
            .filter(|line| line.contains("veo_core"))
            .collect();
        let wanted = format!(
            "submit{{provider=kie model=veo3_lite outcome=\"accepted\" job={}}}",
            job.reference
        );
        assert!(ours.iter().any(|line| line.contains(&wanted)), "{ours:#?}");
        let wanted = format!("wait{{job={}}}", job.reference);
        assert!(
            ours.iter()
                .any(|line| line.contains(&wanted) && line.contains("finished")),
            "{ours:#?}"
        );
        for secret in [KEY, "secret prompt", &video.urls[0]] {
            assert!(!ours.iter().any(|line| line.contains(secret)), "{ours:#?}");
        }
        assert!(!log.contains(KEY), "no crate below logs the key either");
    }
}

/// The log that `--verbose` shows has the whole exchange, without anything that others could abuse.
#[tokio::test]
async fn an_exchange_is_logged_in_short_and_without_secrets() {
    let server = MockServer::start().await;
    let access = Access::new(KEY).base_url(server.uri());
    let client = Client::new(Kie::new(access).unwrap()).unwrap();
    let signed = "https://me:hidden@cdn.example.net/v.mp4?signature=hidden";
    let reply =
        format!(r#"{{"code":200,"msg":"for {KEY}","data":{{"taskId":"t1","at":"{signed}"}}}}"#);
    let long = format!("<html>\n{}hidden", "<p>too long</p>".repeat(1000));
    let table = [
        // Each row has the status and the body of the reply, and the line that is logged.
        (
            200,
            reply,
            r#"reply status=200 body={"code":200,"msg":"for [key]","data":{"taskId":"t1","at":"https://cdn.example.net/v.mp4?..."}}"#,
        ),
        (
            502,
            long,
            "reply status=502 body=<html> <p>too long</p><p>too",
        ),
    ];
    for (status, body, wanted) in table {
        serve_bytes(&server, status, body.into()).await;
        let (log, recording) = record();
        let request =
            VideoRequest::image(format!("With {KEY}, as in {signed}"), signed).callback_url(signed);
        let _ = client.submit(&request).await;
        drop(recording);

        let log = log.take();
        let wire: Vec<_> = log
            .lines()
            .filter(|line| line.contains("veo::wire"))
            .collect();
        assert_eq!(wire.len(), 2, "{wire:#?}");
        let sent = [
            "DEBUG submit{provider=kie model=veo3_lite}: veo::wire: request method=POST url=",
            "/api/v1/veo/generate body={",
            r#""callBackUrl":"https://cdn.example.net/v.mp4?...""#,
            r#""prompt":"With [key], as in https://cdn.example.net/v.mp4?...""#,
        ];
        assert!(sent.iter().all(|part| wire[0].contains(part)), "{wire:#?}");
        assert!(
            wire[1].contains(wanted) && wire[1].len() < 5000,
            "{wire:#?}"
        );
        assert!(!log.contains(KEY) && !log.contains("hidden"), "{log}");
    }

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client =
        Client::new(Kie::new(Access::new(KEY).base_url(format!("http://{closed}"))).unwrap())
            .unwrap();
    let (log, recording) = record();
    let _ = client.submit(&VideoRequest::text("A red kite")).await;
    drop(recording);
    assert!(log.take().contains("veo::wire: no connection error="));
}
