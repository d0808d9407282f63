//! What every known reply to a paid request means for the money.

use kie_api::OPERATIONS as KIE;
use uniall_api::OPERATIONS as UNIALL;
use veo_core::{Access, Client, Kie, Submission, UniAll, VideoRequest};
use veo_tests::{KEY, fixtures, recorder};

fn show(submission: Submission) -> String {
    match submission {
        Submission::Accepted(job) => format!("accepted     {}", job.reference),
        Submission::NotAccepted(error) => format!("not accepted {:?}", error.kind()),
        Submission::Unknown(unknown) => format!("unknown      {:?}", unknown.error.kind()),
    }
}

#[tokio::test]
async fn every_reply_to_a_paid_request_has_one_of_three_outcomes() {
    let server = recorder().await;
    let kie = Client::new(Kie::new(Access::new(KEY).base_url(server.uri())).unwrap()).unwrap();
    let uniall = Client::new(UniAll::new(Access::new(KEY).base_url(server.uri())).unwrap()).unwrap();
    let rows = [("kie", KIE, "generate", kie), ("uniall", UNIALL, "create_video", uniall)];
    for (provider, operations, paid, client) in rows {
        let mut text = String::new();
        for fixture in fixtures(provider, operations).iter().filter(|fixture| fixture.operation == paid) {
            fixture.serve(&server).await;
            let outcome = show(client.submit(&VideoRequest::text("A red kite")).await);
            text.push_str(&format!("{:<56} {outcome}\n", fixture.name));
            assert_eq!(server.received_requests().await.unwrap().len(), 1, "{}", fixture.name);
        }
        insta::assert_snapshot!(format!("{provider}_outcomes"), text);
    }
}
