//! The outcome of every known reply to a paid request.

use std::time::Duration;

use kie_api::OPERATIONS as KIE;
use uniall_api::OPERATIONS as UNIALL;
use veo_core::{
    Access, Client, JobRef, Kie, KieForm, Provider, Resend, Submission, UniAll, Unknown,
    VideoRequest,
};
use veo_tests::{KEY, recorder, serve_bytes, texts_of_replies};

fn show(submission: Submission) -> String {
    match submission {
        Submission::Accepted(job) => format!("accepted     {}", job.reference),
        // The time until a date is different in every run.
        Submission::Rejected(error) => match error.resend() {
            Resend::After(time) if time > Duration::from_secs(3600) => {
                format!("rejected {:?}, later", error.kind())
            }
            resend => format!("rejected {:?}, {resend:?}", error.kind()),
        },
        Submission::Unknown(unknown) => format!("unknown      {:?}", unknown.error.kind()),
    }
}

#[tokio::test]
async fn every_reply_to_a_paid_request_has_one_of_three_outcomes() {
    let server = recorder().await;
    let access = Access::new(KEY).base_url(server.uri());
    let kie = Kie::new(access.clone()).unwrap();
    let uniall = UniAll::new(access).unwrap();
    let client = Client::new(kie.clone()).unwrap().or(uniall.clone());
    // A client would wait for kie.ai's limit, so the test calls the providers directly.
    let mut offers = client.plan(&VideoRequest::text("A red kite")).offers;
    offers.extend(
        client
            .plan(&VideoRequest::extension(
                "It goes on",
                JobRef::new("kie", "t1"),
            ))
            .offers,
    );
    let current = kie.clone().form(KieForm::Current);
    let of_current = Client::new(current.clone()).unwrap();
    offers.extend(of_current.plan(&VideoRequest::text("A red kite")).offers);
    let rows: [(&str, &[&str], &dyn Provider, &str); 4] = [
        ("kie", KIE, &kie, "generate"),
        ("uniall", UNIALL, &uniall, "create_video"),
        ("kie", KIE, &kie, "extend"),
        ("kie", KIE, &current, "create_task"),
    ];
    for ((provider, operations, asked, paid), offer) in rows.into_iter().zip(offers) {
        let texts = texts_of_replies(&server, provider, operations, async |fixture| {
            if fixture.operation != paid {
                return None;
            }
            let submission = asked.submit(&offer).await;
            if let Submission::Rejected(error) | Submission::Unknown(Unknown { error, .. }) =
                &submission
            {
                assert_eq!(
                    error.reply(),
                    fixture.excerpt().as_deref(),
                    "{}",
                    fixture.name
                );
            }
            let outcome = show(submission);
            assert_eq!(
                server.received_requests().await.unwrap().len(),
                1,
                "{}",
                fixture.name
            );
            Some(format!("{:<56} {outcome}\n", fixture.name))
        });
        let text = &texts.await[paid];
        insta::assert_snapshot!(format!("{provider}_{paid}_outcomes"), text);
    }
}

/// A task with a longer id could not be asked about, and the ledger could not store the id.
#[tokio::test]
async fn an_id_longer_than_4_kib_makes_the_outcome_unknown() {
    let server = recorder().await;
    let access = Access::new(KEY).base_url(server.uri());
    let clients = [
        (
            "kie",
            "taskId",
            Client::new(Kie::new(access.clone()).unwrap()).unwrap(),
        ),
        (
            "uniall",
            "id",
            Client::new(UniAll::new(access).unwrap()).unwrap(),
        ),
    ];
    for (provider, member, client) in clients {
        for (length, status) in [(4096, 200), (4097, 200), (4096, 402), (4097, 402)] {
            let body = format!(
                r#"{{"code":200,"data":{{"{member}":"{}"}}}}"#,
                "a".repeat(length)
            );
            serve_bytes(&server, status, body.into()).await;
            match client.submit(&VideoRequest::text("A red kite")).await {
                Submission::Accepted(job) if length == 4096 => {
                    assert_eq!(job.reference, JobRef::new(provider, "a".repeat(length)));
                }
                Submission::Unknown(unknown) if length == 4097 => {
                    let reply = unknown.error.reply().unwrap_or_default();
                    assert!(reply.contains(member), "the reply is lost: {reply:?}");
                    assert_eq!(unknown.key, None, "there is no ledger");
                }
                other => panic!("{provider} {status} {length}: {}", show(other)),
            }
        }
    }
}
