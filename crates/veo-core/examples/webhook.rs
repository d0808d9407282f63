//! Receives the webhooks of kie.ai, answers them, and asks kie.ai for the state of each job.
//!
//! ```console
//! KIE_API_KEY=... KIE_WEBHOOK_KEY=... cargo run -p veo-core --example webhook jobs.txt
//! ```
//!
//! The file `jobs.txt` has a line for each job, such as `kie:0f1e2d3c:1080p`. A webhook names the task, but not the
//! resolution that was requested.
//!
//! With `KIE_BASE_URL` the example asks another service, such as the simulator, which signs its webhooks with this key:
//!
//! ```console
//! cargo run -p veo-sim &
//! KIE_BASE_URL=http://127.0.0.1:8787 KIE_API_KEY=signed-callbacks KIE_WEBHOOK_KEY=test_webhook_hmac_key \
//!     cargo run -p veo-core --example webhook &
//! curl http://127.0.0.1:8787/api/v1/veo/generate -H 'Authorization: Bearer signed-callbacks' \
//!     --json '{"prompt":"A red kite","model":"veo3_lite","callBackUrl":"http://127.0.0.1:8788/webhook"}'
//! ```
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::env;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use veo_core::{Access, Client, Delivery, JobRef, Kie, Poll, SecretString, Webhooks};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let kie = match env::var("KIE_BASE_URL") {
        Ok(url) => Kie::new(Access::new(key("KIE_API_KEY")?).base_url(url))?,
        Err(_) => Kie::new(key("KIE_API_KEY")?)?,
    };
    // A webhook says that its job has ended, so the first question is sent at once.
    let client = Client::new(kie)?.with_poll(Poll::default().first(Duration::ZERO));
    let (app, jobs) = receiver(Webhooks::new(key("KIE_WEBHOOK_KEY")?)?);

    let listener = TcpListener::bind("127.0.0.1:8788").await?;
    println!(
        "Waiting for webhooks at http://{}/webhook",
        listener.local_addr()?
    );
    tokio::spawn(confirm_all(
        client,
        jobs,
        env::args().nth(1).unwrap_or_default(),
    ));
    Ok(axum::serve(listener, app).await?)
}

fn key(variable: &str) -> Result<SecretString, String> {
    env::var(variable)
        .map(Into::into)
        .map_err(|_| format!("Set {variable} to the key."))
}

/// Makes the handler of webhooks, and the stream of the jobs that the webhooks name.
fn receiver(webhooks: Webhooks) -> (Router, UnboundedReceiver<JobRef>) {
    let (sender, jobs) = unbounded_channel();
    (
        Router::new()
            .route("/webhook", post(receive))
            .with_state((Arc::new(webhooks), sender)),
        jobs,
    )
}

/// Answers a webhook at once. kie.ai waits 15 seconds for this answer, and a question to kie.ai can take longer.
async fn receive(
    State((webhooks, jobs)): State<(Arc<Webhooks>, UnboundedSender<JobRef>)>,
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    match webhooks.verify(&target.to_string(), &headers, &body) {
        Ok(Delivery::First(notice)) => {
            println!("{}: a webhook has come; confirming it", notice.job);
            // The send fails only while the program ends.
            let _ = jobs.send(notice.job);
            StatusCode::OK
        }
        Ok(Delivery::Repeated(notice)) => {
            println!("{}: the same webhook again", notice.job);
            StatusCode::OK
        }
        // The sender of a forged webhook does not learn why it was refused.
        Err(error) => {
            println!("Refused a webhook: {error}");
            StatusCode::BAD_REQUEST
        }
    }
}

async fn confirm_all(client: Client, mut jobs: UnboundedReceiver<JobRef>, file: String) {
    while let Some(called) = jobs.recv().await {
        let client = client.clone();
        let job = stored(&std::fs::read_to_string(&file).unwrap_or_default(), called);
        tokio::spawn(async move { println!("{}", confirm(&client, &job).await) });
    }
}

/// Finds the line of the job, which has the requested resolution. A job without a line is returned unchanged.
fn stored(lines: &str, called: JobRef) -> JobRef {
    let mut jobs = lines.lines().filter_map(|line| line.parse::<JobRef>().ok());
    jobs.find(|job| job.provider == called.provider && job.task == called.task)
        .unwrap_or(called)
}

/// Makes a sentence about the end of the job, from the answer of kie.ai and not from the webhook.
async fn confirm(client: &Client, job: &JobRef) -> String {
    match client.wait(job).await {
        Ok(video) => format!("{job}: finished, the video is at {}", video.urls.join(" ")),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use veo_core::{Resolution, Submission, VideoRequest};
    use veo_sim::Sim;

    use super::*;

    #[tokio::test]
    async fn a_signed_webhook_is_confirmed_once_and_a_forged_one_never() {
        let sim = Sim::start().await.unwrap();
        let none = Duration::ZERO;
        let poll = Poll::default().first(none).every(none).every_upgrade(none);
        // With this key the simulator makes videos that are smaller than requested.
        let kie = Kie::new(Access::new("smaller").base_url(sim.url())).unwrap();
        let client = Client::new(kie).unwrap().with_poll(poll);
        let request = VideoRequest::text("A red kite").resolution(Resolution::P1080);
        let Submission::Accepted(job) = client.submit(&request).await else {
            panic!("the simulator takes this")
        };
        let signer = |key: &str| Webhooks::new(key.to_owned().into()).unwrap();
        let signed = signer("hook")
            .sign(&job.reference.task, SystemTime::now())
            .unwrap();
        let forged = signer("guessed")
            .sign(&job.reference.task, SystemTime::now())
            .unwrap();
        let body = format!(
            r#"{{"data":{{"taskId":"{}","info":{{"resultUrls":["http://evil.example"]}}}}}}"#,
            job.reference.task
        );

        let (app, mut jobs) = receiver(signer("hook"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        for (headers, status) in [
            (&forged, 400),
            (&signed, 200),
            (&signed, 200),
            (&HeaderMap::new(), 400),
        ] {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let reply = client
                .post(&url)
                .headers(headers.clone())
                .body(body.clone())
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), status);
        }

        let called = jobs.try_recv().unwrap();
        assert_eq!(called.to_string(), format!("kie:{}", job.reference.task));
        assert!(
            jobs.try_recv().is_err(),
            "one webhook came twice, the others were forged"
        );
        assert_eq!(stored("kie:another\n", called.clone()), called);
        let begun = stored(&format!("kie:another\n{}\n", job.reference), called);
        assert_eq!(begun, job.reference);
        assert_eq!(
            client.wait(&begun).await.unwrap().resolution.as_deref(),
            Some("1080p")
        );
        let told = confirm(&client, &begun).await;
        assert!(
            told.starts_with(&format!(
                "{}: finished, the video is at {}",
                job.reference,
                sim.media_url()
            )),
            "{told}"
        );
    }
}
