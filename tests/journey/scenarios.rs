//! Every known way in which things go wrong, for both providers: what a user gets, and what it cost.

use std::path::Path;
use std::time::Duration;

use veo_core::{
    Access, Charged, Client, Delivery, Downloads, Kie, Poll, Receipt, Resolution, Submission,
    UniAll, VideoRequest, Webhooks,
};
use veo_sim::{Charge, Scenario, Sim};
use veo_tests::{PNG, recorder};
use wiremock::MockServer;

/// A client whose key picks the scenario.
fn client(sim: &Sim, provider: &str, scenario: &str) -> Client {
    // Long enough for a busy machine, and only waited for where nothing comes.
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
    let hangs = ["hang", "stall"].contains(&scenario);
    let access = Access::new(format!("{scenario}/a-key")).base_url(sim.url());
    let access = if hangs {
        access.connect_timeout(short).submit_timeout(long)
    } else {
        access
    };
    let client = match provider {
        "kie" => Client::new(Kie::new(access).unwrap()),
        _ => Client::new(UniAll::new(access).unwrap()),
    };
    let endless = ["stuck", "real-time"].contains(&scenario);
    let give_up_after = if endless {
        short
    } else {
        Poll::default().give_up_after
    };
    let none = Duration::ZERO;
    let poll = Poll::default()
        .first(none)
        .every(none)
        .every_upgrade(none)
        .give_up_after(give_up_after);
    let downloads = Downloads::default()
        .allow_loopback(true)
        .stalled_after(short)
        .pause(none);
    client
        .unwrap()
        .with_poll(poll)
        .with_downloads(downloads)
        .unwrap()
}

/// From a request to a file and its receipt, told in a line; and what the user was told of the charge.
async fn journey(
    client: &Client,
    scenario: &str,
    callback_url: Option<String>,
    folder: &Path,
) -> (String, Option<Charged>) {
    let request = match (scenario, client.models().next().map(|model| model.provider)) {
        ("lost-upload", Some("kie")) => VideoRequest::image("It flies", PNG.to_vec()),
        // Its URL is in the record, where there is no other.
        ("filtered", Some("kie")) => {
            VideoRequest::image("It flies", "https://img.example.net/kite.png")
        }
        _ => VideoRequest::text("A red kite"),
    };
    // Larger than some scenarios deliver.
    let resolution = match scenario {
        "fallback" | "upgrade-fails" | "new-4k-id" => Resolution::K4,
        _ => Resolution::P1080,
    };
    let mut request = request.seconds(4).resolution(resolution);
    request.callback_url = callback_url;
    let failed = |step: &str, error: &veo_core::Error| {
        (
            format!(
                "{step}: {:?}, {:?}, {:?}",
                error.kind(),
                error.resend(),
                error.fault()
            ),
            Some(error.charged()),
        )
    };
    let job = match client.submit(&request).await {
        Submission::Accepted(job) => job,
        Submission::Rejected(error) => return failed("rejected", &error),
        Submission::Unknown(unknown) => return failed("unknown", &unknown.error),
    };
    let video = match client.wait(&job).await {
        Ok(video) => video,
        Err(error) => return failed("waiting", &error),
    };
    let saved = match client.download(&video, folder.join("kite.mp4")).await {
        Ok(saved) => saved,
        Err(error) => return failed("saving", &error),
    };
    let media = &saved.media;
    let receipt = Receipt::new(&job, &video, &saved);
    let complaints: Vec<_> = receipt
        .discrepancies
        .iter()
        .map(|it| format!("; {it}").replace(&job.reference.task, "..."))
        .collect();
    (
        format!(
            "saved {}x{}, {} s{}",
            media.width,
            media.height,
            media.seconds,
            complaints.concat()
        ),
        None,
    )
}

/// What the first callback of a scenario says, to somebody who takes only what is signed.
async fn called(receiver: &MockServer) -> String {
    let call = loop {
        match receiver.received_requests().await.unwrap().pop() {
            Some(call) => break call,
            None => tokio::task::yield_now().await,
        }
    };
    match Webhooks::new("test_webhook_hmac_key".to_owned().into())
        .unwrap()
        .verify(call.url.as_str(), &call.headers, &call.body)
    {
        Ok(delivery) => {
            let (Delivery::First(notice) | Delivery::Repeated(notice)) = delivery;
            format!("{} {:?}", notice.job.provider, notice.unverified_code)
        }
        Err(error) => format!("refused: {error}"),
    }
}

fn paid(charges: &[Charge]) -> String {
    let prices = charges.iter().map(|charge| {
        let back = if charge.refunded { " returned" } else { "" };
        format!("{} {:.2}{back}", charge.operation, charge.credits)
    });
    prices.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn every_scenario_of_kie_ends_well_or_says_what_it_cost_and_is_paid_once() {
    every_scenario("kie").await;
}

#[tokio::test]
async fn every_scenario_of_uniall_ends_well_or_says_what_it_cost_and_is_paid_once() {
    every_scenario("uniall").await;
}

async fn every_scenario(provider: &str) {
    let mut text = String::new();
    for scenario in Scenario::catalogue() {
        let name = &scenario.name;
        let sim = Sim::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let receiver = recorder().await;
        // Of those that come in the wrong order one alone never comes. UniAll sends none.
        let callback = &scenario.callback;
        let calls = provider == "kie" && callback.key.is_some() && !callback.reordered;
        let callback_url = calls.then(|| receiver.uri());
        let (end, told) = journey(
            &client(&sim, provider, name),
            name,
            callback_url,
            folder.path(),
        )
        .await;
        let charges = sim.charges();

        // One that is gone may be followed by one in kie.ai's other form.
        for operation in ["generate", "create_task", "create_video"] {
            let calls = sim.calls().into_iter();
            let paid = calls.filter(|call| call.operation == Some(operation));
            assert!(
                paid.count() <= 1,
                "{provider} {name}: at most one paid request\n{}",
                sim.report()
            );
        }
        assert_eq!(sim.surprises(), [""; 0], "{provider} {name}");
        let videos = charges
            .iter()
            .filter(|charge| !charge.operation.starts_with("get_"))
            .count();
        match told {
            Some(Charged::No) => assert_eq!(videos, 0, "{provider} {name}: {end}"),
            Some(Charged::Yes) | None => assert_eq!(videos, 1, "{provider} {name}: {end}"),
            Some(Charged::Unknown) => assert!(videos <= 1, "{provider} {name}: {end}"),
        }
        let is_saved = folder.path().join("kite.mp4").exists();
        assert_eq!(
            is_saved,
            told.is_none(),
            "{provider} {name}: a file means success, and success a file"
        );
        text.push_str(&format!(
            "{name:<26} {end}\n{:26} paid: {}\n",
            "",
            paid(&charges)
        ));
        if calls {
            text.push_str(&format!("{:26} called: {}\n", "", called(&receiver).await));
        }
    }
    insta::assert_snapshot!(provider, text);
}
