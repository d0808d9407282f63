//! Receives the webhooks of kie.ai, answers them, and confirms what they say by asking kie.ai.
//!
//! ```console
//! KIE_API_KEY=... KIE_WEBHOOK_KEY=... cargo run -p veo-core --example webhook
//! ```
//!
//! With `KIE_BASE_URL` it asks somebody else, such as the simulator. The simulator sends no webhooks; this makes a job
//! there and sends one for it:
//!
//! ```console
//! cargo run -p veo-sim &
//! KIE_BASE_URL=http://127.0.0.1:8787 KIE_API_KEY=any KIE_WEBHOOK_KEY=secret cargo run -p veo-core --example webhook &
//! task=$(curl -s http://127.0.0.1:8787/api/v1/veo/generate -H 'Authorization: Bearer any' \
//!     --json '{"prompt":"A red kite","model":"veo3_lite"}' | grep -o '[0-9a-f]\{32\}')
//! now=$(date +%s)
//! signature=$(printf %s "$task.$now" | openssl dgst -sha256 -hmac secret -binary | base64)
//! curl -i http://127.0.0.1:8788/webhook -H "X-Webhook-Timestamp: $now" -H "X-Webhook-Signature: $signature" \
//!     --json "{\"code\":200,\"msg\":\"success\",\"data\":{\"taskId\":\"$task\"}}"
//! ```
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::env;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
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
    // A job that a webhook is about has ended, so there is no reason to wait before the first question.
    let client = Client::new(kie)?.with_poll(Poll { first: Duration::ZERO, ..Poll::default() });
    let (app, jobs) = receiver(Webhooks::new(key("KIE_WEBHOOK_KEY")?)?);

    let listener = TcpListener::bind("127.0.0.1:8788").await?;
    println!("Waiting for webhooks at http://{}/webhook", listener.local_addr()?);
    tokio::spawn(confirm_all(client, jobs));
    Ok(axum::serve(listener, app).await?)
}

fn key(variable: &str) -> Result<SecretString, String> {
    env::var(variable).map(Into::into).map_err(|_| format!("Set {variable} to the key."))
}

/// The handler, and the jobs that it has been told of.
fn receiver(webhooks: Webhooks) -> (Router, UnboundedReceiver<JobRef>) {
    let (sender, jobs) = unbounded_channel();
    (Router::new().route("/webhook", post(receive)).with_state((Arc::new(webhooks), sender)), jobs)
}

/// Answers at once. kie.ai waits for 15 seconds, and asking it can take longer.
async fn receive(
    State((webhooks, jobs)): State<(Arc<Webhooks>, UnboundedSender<JobRef>)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    match webhooks.verify(&headers, &body) {
        Ok(Delivery::First(notice)) => {
            println!("{}: a webhook has come; confirming it", notice.job);
            // Nobody listens only while the program ends.
            let _ = jobs.send(notice.job);
            StatusCode::OK
        }
        Ok(Delivery::Repeated(notice)) => {
            println!("{}: the same webhook again", notice.job);
            StatusCode::OK
        }
        // Whoever sent it is not told why.
        Err(error) => {
            println!("Refused a webhook: {error}");
            StatusCode::BAD_REQUEST
        }
    }
}

async fn confirm_all(client: Client, mut jobs: UnboundedReceiver<JobRef>) {
    while let Some(job) = jobs.recv().await {
        let client = client.clone();
        tokio::spawn(async move { println!("{}", confirm(&client, &job).await) });
    }
}

/// What has become of the job, in the words of the provider and not of the webhook.
async fn confirm(client: &Client, job: &JobRef) -> String {
    match client.wait(job, |_| {}).await {
        Ok(video) => format!("{job}: finished, the video is at {}", video.urls.join(" ")),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use veo_core::{Submission, VideoRequest};
    use veo_sim::Sim;

    use super::*;

    #[tokio::test]
    async fn a_signed_webhook_is_confirmed_once_and_a_forged_one_never() {
        let sim = Sim::start().await.unwrap();
        let poll = Poll { first: Duration::ZERO, every: Duration::ZERO, ..Poll::default() };
        let client = Client::new(Kie::new(Access::new("key").base_url(sim.url())).unwrap()).unwrap().with_poll(poll);
        let Submission::Accepted(job) = client.submit(&VideoRequest::text("A red kite")).await else {
            panic!("the simulator takes this")
        };
        let signer = |key: &str| Webhooks::new(key.to_owned().into()).unwrap();
        let signed = signer("hook").sign(&job.reference.task, SystemTime::now()).unwrap();
        let forged = signer("guessed").sign(&job.reference.task, SystemTime::now()).unwrap();
        let body = format!(
            r#"{{"data":{{"taskId":"{}","info":{{"resultUrls":["http://evil.example"]}}}}}}"#,
            job.reference.task
        );

        let (app, mut jobs) = receiver(signer("hook"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        for (headers, status) in [(&forged, 400), (&signed, 200), (&signed, 200), (&HeaderMap::new(), 400)] {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let reply = client.post(&url).headers(headers.clone()).body(body.clone()).send().await.unwrap();
            assert_eq!(reply.status(), status);
        }

        assert_eq!(jobs.try_recv().unwrap(), job.reference);
        assert!(jobs.try_recv().is_err(), "one webhook came twice, the others were forged");
        let told = confirm(&client, &job.reference).await;
        assert!(told.starts_with(&format!("{}: finished, the video is at {}", job.reference, sim.url())), "{told}");
    }
}
