//! All known faults of both providers. Each snapshot says what a user gets, and what the user pays.

use std::path::Path;
use std::time::Duration;

use veo_core::{
    Access, Charged, Client, Delivery, Downloads, ErrorKind, Job, Kie, KieForm, Poll, Receipt,
    Resolution, Saved, Submission, UniAll, Video, VideoRequest, Webhooks,
};
use veo_sim::{Call, Charge, Fault, Scenario, Sim};
use veo_tests::{PNG, recorder};
use wiremock::MockServer;

/// The provider that gets the request: kie.ai in a form, or UniAll for `None`.
type Asked = Option<KieForm>;

/// Returns a client whose API key picks the scenario.
fn client(sim: &Sim, asked: Asked, scenario: &str) -> Client {
    // These times are long enough for a busy machine. They are used up only in scenarios without a reply.
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
    let hangs = ["hang", "stall"].contains(&scenario);
    let access = Access::new(format!("{scenario}/a-key")).base_url(sim.url());
    let access = if hangs {
        access.connect_timeout(short).submit_timeout(long)
    } else {
        access
    };
    let client = match asked {
        Some(form) => Client::new(Kie::new(access).unwrap().form(form)),
        None => Client::new(UniAll::new(access).unwrap()),
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

/// Goes from a request to a file. Returns the result in a line, and the charge of the error if there is one.
async fn journey(
    client: &Client,
    scenario: &str,
    callback_url: Option<String>,
    folder: &Path,
) -> (String, Option<Charged>) {
    let request = match (scenario, client.models().next().map(|model| model.provider)) {
        ("lost-upload", Some("kie")) => VideoRequest::image("It flies", PNG.to_vec()),
        // Then the record has the URL of this image, but of no video.
        ("filtered", Some("kie")) => {
            VideoRequest::image("It flies", "https://img.example.net/kite.png")
        }
        _ => VideoRequest::text("A red kite"),
    };
    // The request is for a larger video than some scenarios deliver.
    let resolution = match scenario {
        "fallback" | "upgrade-fails" | "new-4k-id" => Resolution::K4,
        _ => Resolution::P1080,
    };
    let mut request = request.seconds(4).resolution(resolution);
    request.callback_url = callback_url;
    let failed = |step: &str, error: &veo_core::Error| {
        (format!("{step}: {}", words(error)), Some(error.charged()))
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
    let file = folder.join("kite.mp4");
    let saved = match client.download(&video, &file).await {
        Ok(saved) => saved,
        Err(error) => return failed("saving", &error),
    };
    let mut end = described(&job, &video, &saved);
    // A record of the current form has no size, so a caller who finds the video too small requests the upgrade.
    if job.offer.form.is_some() && is_smaller(&saved, resolution) {
        let larger = match client.upgrade(&job, resolution).await {
            Ok(larger) => larger,
            Err(error) => return (format!("{end}; upgrade: {}", words(&error)), None),
        };
        std::fs::remove_file(&file).unwrap();
        let saved = client.download(&larger, &file).await.unwrap();
        end = format!("{end}; upgrade: {}", described(&job, &larger, &saved));
    }
    (end, None)
}

/// Returns the kind of an error, and what to do about it.
fn words(error: &veo_core::Error) -> String {
    let (kind, resend, fault) = (error.kind(), error.resend(), error.fault());
    format!("{kind:?}, {resend:?}, {fault:?}")
}

/// Describes a saved video, and its differences from the request.
fn described(job: &Job, video: &Video, saved: &Saved) -> String {
    let media = &saved.media;
    let receipt = Receipt::new(job, video, saved);
    let complaints: Vec<_> = receipt
        .discrepancies
        .iter()
        .map(|it| format!("; {it}").replace(&job.reference.task, "..."))
        .collect();
    format!(
        "saved {}x{}, {} s{}",
        media.width,
        media.height,
        media.seconds,
        complaints.concat()
    )
}

fn is_smaller(saved: &Saved, wanted: Resolution) -> bool {
    let lines = if wanted == Resolution::K4 { 2160 } else { 1080 };
    saved.media.height < lines
}

/// Returns the content of the first callback of a scenario. Only a signed callback is accepted.
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

/// Returns whether a call asks for an upgrade.
fn is_upgrade(call: &Call) -> bool {
    let body = call.body.as_ref();
    let model = body.and_then(|body| body["model"].as_str());
    matches!(call.operation, Some("get_1080p_video" | "get_4k_video"))
        || matches!(model, Some("veo/get-1080p-video" | "veo/get-4k-video"))
}

/// Checks that the request was sent at most once in each form, and that only one form has accepted it.
fn check_paid_once(sim: &Sim, charged: Option<Charged>, case: &str) {
    let report = sim.report();
    let calls = sim.calls();
    let (upgrades, videos): (Vec<&Call>, Vec<&Call>) =
        calls.iter().partition(|call| is_upgrade(call));
    let asked = |calls: &[&Call], operation: &str| {
        let asked = calls
            .iter()
            .filter(|call| call.operation == Some(operation));
        asked.count()
    };
    for operation in ["generate", "create_task", "create_video"] {
        let count = asked(&videos, operation);
        assert!(count <= 1, "{case}: {count} requests\n{report}");
    }
    // In the current form each call for an upgrade is paid for.
    let count = asked(&upgrades, "create_task");
    assert!(count <= 1, "{case}: {count} upgrades\n{report}");

    let charges = sim.charges();
    let is_of_video = |charge: &&Charge| videos.iter().any(|call| call.number == charge.call);
    let paid = charges.iter().filter(is_of_video).count();
    match charged {
        Some(Charged::No) => assert_eq!(paid, 0, "{case}\n{report}"),
        Some(Charged::Yes) | None => assert_eq!(paid, 1, "{case}\n{report}"),
        Some(Charged::Unknown) => assert!(paid <= 1, "{case}\n{report}"),
    }
}

#[tokio::test]
async fn every_scenario_of_kie_is_paid_at_most_once() {
    every_scenario("kie", Some(KieForm::Auto)).await;
}

#[tokio::test]
async fn every_scenario_of_the_current_form_is_paid_at_most_once() {
    every_scenario("kie_in_the_current_form", Some(KieForm::Current)).await;
}

#[tokio::test]
async fn every_scenario_of_uniall_is_paid_at_most_once() {
    every_scenario("uniall", None).await;
}

async fn every_scenario(snapshot: &str, asked: Asked) {
    let mut text = String::new();
    for scenario in Scenario::catalogue() {
        let name = &scenario.name;
        let sim = Sim::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let receiver = recorder().await;
        // If callbacks come in the wrong order, a single callback never comes. UniAll sends no callbacks.
        let callback = &scenario.callback;
        let calls = asked.is_some() && callback.key.is_some() && !callback.reordered;
        let callback_url = calls.then(|| receiver.uri());
        let (end, charged) = journey(
            &client(&sim, asked, name),
            name,
            callback_url,
            folder.path(),
        )
        .await;
        let case = format!("{snapshot} {name}: {end}");
        check_paid_once(&sim, charged, &case);
        assert_eq!(sim.surprises(), [""; 0], "{case}");
        let is_saved = folder.path().join("kite.mp4").exists();
        assert_eq!(
            is_saved,
            charged.is_none(),
            "{case}: a file means success, and success a file"
        );
        text.push_str(&format!(
            "{name:<26} {end}\n{:26} paid: {}\n",
            "",
            paid(&sim.charges())
        ));
        if calls {
            text.push_str(&format!("{:26} called: {}\n", "", called(&receiver).await));
        }
    }
    insta::assert_snapshot!(snapshot, text);
}

/// Without a ledger only the client remembers that the call was made. kie.ai can charge each call.
#[tokio::test]
async fn an_upgrade_without_a_ledger_is_not_repeated_either() {
    let table = [
        (KieForm::Old, "upgrade", 1, Resolution::P1080, 1),
        // kie.ai's page says that a second call for 4K answers with the state.
        (KieForm::Old, "upgrade", 1, Resolution::K4, 2),
        (KieForm::Current, "submit", 2, Resolution::P1080, 1),
        (KieForm::Current, "submit", 2, Resolution::K4, 1),
    ];
    for (form, group, first, to, wanted) in table {
        let scenario = Scenario::new("lost", "").fault(group, first.., Fault::Drop);
        let sim = Sim::builder().also(scenario).start().await.unwrap();
        let client = client(&sim, Some(form), "lost");
        let submission = client.submit(&VideoRequest::text("A red kite")).await;
        let Submission::Accepted(job) = submission else {
            panic!("{submission:?}");
        };
        client.wait(&job).await.unwrap();
        let error = client.upgrade(&job, to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{form:?} {to}");
        let calls = sim.calls();
        let upgrades = calls.iter().filter(|call| is_upgrade(call)).count();
        assert_eq!(upgrades, wanted, "{form:?} {to}");
    }
}
