//! Several tasks and processes use one ledger at the same time.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use veo_core::ledger::{Begin, Begun, Budget, EntryState, Event, Find, Outcome, Want, Wish};
use veo_core::{
    Client, Error, ErrorKind, Job, Resolution, Settlement, Step, Submission, VideoRequest,
};

use crate::fake_provider::{Answer, FakeProvider};
use crate::setup::Setup;

pub(crate) async fn a_later_refusal_does_not_settle_a_lost_call(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let client = provider.client(&setup).await;
    let job = accepted(&client, "order 17").await;
    *provider.answers.lock().unwrap() = vec![Answer::Lost, Answer::NoCredits];
    for _ in 0..3 {
        let error = client.upgrade(&job, Resolution::K4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
    let key = format!("{}:4k", job.reference);
    assert_eq!(
        client.entry(&key).await.unwrap().unwrap().state,
        EntryState::Unknown
    );
    assert_eq!(provider.upgrades(), 2, "the call is repeated once");
}

pub(crate) async fn a_lost_call_for_4k_is_repeated_once_among_all_processes(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let one = provider.client(&setup).await;
    let job = accepted(&one, "order 17").await;
    *provider.answers.lock().unwrap() = vec![Answer::Lost; 10];
    let upgrade = one.want_upgrade(&job, Resolution::K4, None).await.unwrap();
    let step = one.step(&upgrade.key).await.unwrap();
    assert!(matches!(step, Step::AgainAfter(_)), "{step:?}");
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let (other, job) = (provider.client(&setup).await, job.clone());
        tasks.spawn(async move {
            other
                .upgrade(&job, Resolution::K4)
                .await
                .unwrap_err()
                .kind()
        });
    }
    let kinds = tasks.join_all().await;
    assert!(
        kinds.iter().all(|kind| *kind == ErrorKind::OutcomeUnknown),
        "{kinds:?}"
    );
    assert_eq!(provider.upgrades(), 2);
    let step = one.step(&upgrade.key).await.unwrap();
    assert!(matches!(step, Step::LookAtIt(_)), "{step:?}");
}

pub(crate) async fn only_one_process_may_repeat_a_lost_call(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let one = provider.client(&setup).await;
    let job = accepted(&one, "order 17").await;
    *provider.answers.lock().unwrap() = vec![Answer::Lost];
    let upgrade = one.want_upgrade(&job, Resolution::K4, None).await.unwrap();
    one.step(&upgrade.key).await.unwrap();
    let [first, second] = [setup.ledger().await, setup.ledger().await];
    let again = Event::CalledAgain { calls: 2 };
    let entry = first.record(&upgrade.key, again.clone()).await.unwrap();
    assert_eq!(entry.state, EntryState::OnItsWay);
    let error = second.record(&upgrade.key, again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OnItsWay);
    // The process that has made the call ends.
    drop(first);
    setup.let_leases_end().await;
    let error = second
        .record(&upgrade.key, Event::CalledAgain { calls: 2 })
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::OnItsWay,
        "the repeated call was made"
    );
    assert_eq!(
        second.entry(&upgrade.key).await.unwrap().unwrap().state,
        EntryState::Unknown
    );
}

pub(crate) async fn a_settlement_is_refused_after_the_wish_was_sent_again(setup: Setup) {
    let provider = FakeProvider::new(&[Answer::Lost]);
    let client = provider.client(&setup).await;
    let Submission::Unknown(_) = client.submit_once("order 17", &dog()).await else {
        panic!("the reply is lost, so the outcome must be unknown")
    };
    let held = provider.state_replies.write().await;
    let slow = client.clone();
    let settled = Settlement::Accepted("fake:task1".parse().unwrap());
    let settling = tokio::spawn(async move { slow.settle("order 17", settled).await });
    // Here the other task asks about the job.
    tokio::task::yield_now().await;
    client
        .settle("order 17", Settlement::NotTaken)
        .await
        .unwrap();
    let job = accepted(&client, "order 17").await;
    drop(held);
    let _ = settling.await.unwrap();
    let entry = client.entry("order 17").await.unwrap().unwrap();
    assert_eq!(entry.reference(), Some(&job.reference));
}

/// The client looks first, but another process can store the job in between.
pub(crate) async fn a_ledger_refuses_the_job_of_another_key(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let client = provider.client(&setup).await;
    let job = accepted(&client, "first").await.reference;
    *provider.answers.lock().unwrap() = vec![Answer::Lost];
    let lost = client.submit_once("second", &dog()).await;
    assert!(matches!(lost, Submission::Unknown(_)), "{lost:?}");
    let event = Event::Settled {
        outcome: Outcome::Accepted {
            job,
            task: None,
            at: SystemTime::now(),
            refusals: Vec::new(),
        },
        attempts: 1,
    };
    let ledger = setup.ledger().await;
    let error = ledger.record("second", event).await.unwrap_err();
    assert_eq!(error.to_string(), "fake:task1 is the job of first");
    assert_eq!(setup.state("second").await, EntryState::Unknown);
}

pub(crate) async fn a_video_over_budget_for_an_upgrade_is_handed_on_unchanged(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let client = provider.client(&setup).await;
    let client = client.with_budget(
        Budget::new("june", "fake", 60.0)
            .unwrap()
            .price(60.0)
            .unwrap(),
    );
    client
        .want("order 17", &dog().resolution(Resolution::K4))
        .await
        .unwrap();
    let videos = Mutex::new(Vec::new());
    let run = client.run(|key, step| {
        if let Step::Video(video) = step {
            videos.lock().unwrap().push((key, video.shortfall));
        }
        std::future::ready(())
    });
    timeout(Duration::from_secs(20), run)
        .await
        .unwrap()
        .unwrap();
    let videos = videos.into_inner().unwrap();
    assert!(
        matches!(&*videos, [(key, Some(_))] if key == "order 17"),
        "{videos:?}"
    );
    assert_eq!(provider.submits(), 1);
    assert_eq!(provider.upgrades(), 0);
}

pub(crate) async fn a_key_that_another_task_sends_is_not_reported_unknown(setup: Setup) {
    let provider = FakeProvider::new(&[]);
    let client = provider.client(&setup).await;
    client.want("order 17", &dog()).await.unwrap();
    let (one, two) = tokio::join!(client.step("order 17"), client.step("order 17"));
    for step in [one.unwrap(), two.unwrap()] {
        assert!(
            matches!(step, Step::AgainAfter(_) | Step::Video(_)),
            "{step:?}"
        );
    }
    assert_eq!(provider.submits(), 1);
}

pub(crate) async fn a_budget_is_shared_by_all_processes(setup: Setup) {
    let budget = Budget::new("june", "fake", 30.0).unwrap().price(10.0);
    let mut tasks = JoinSet::new();
    for number in 0..10 {
        let ledger = setup.ledger().await;
        let want = Want::new(format!("order {number}"), Wish::request(&dog()).await);
        let mut begin = Begin::new(want, FakeProvider::new(&[]).offered(&dog(), json!({})));
        begin.budget = Some(budget.clone().unwrap());
        tasks.spawn(async move { ledger.begin(begin).await.unwrap() });
    }
    let mut begun = tasks.join_all().await;
    begun.retain(|begun| matches!(begun, Begun::Yours));
    assert_eq!(begun.len(), 3);
    assert_eq!(setup.ledger().await.spent("june").await.unwrap(), 30.0);
}

/// The numbers of a body still have the same text after they were stored.
pub(crate) async fn numbers_of_a_body_are_stored_exactly(setup: Setup) {
    let ledger = setup.ledger().await;
    let numbers = json!([1, 1.0, 0.1, -0.0, 1e16, 1e300, u64::MAX, i64::MIN, 60.5]);
    let offer = FakeProvider::new(&[]).offered(&dog(), json!({ "numbers": numbers }));
    let begin = Begin::new(Want::new("k", Wish::request(&dog()).await), offer);
    assert!(matches!(ledger.begin(begin).await.unwrap(), Begun::Yours));
    let entry = ledger.entry("k").await.unwrap().unwrap();
    let stored = &entry.attempts[0].sent.body["numbers"];
    assert_eq!(stored.to_string(), numbers.to_string());
}

pub(crate) async fn long_keys_and_targets_are_found(setup: Setup) {
    let ledger = setup.ledger().await;
    let key = "k".repeat(100_000);
    let target = "/srv/".repeat(10_000);
    let mut want = Want::new(&key, Wish::request(&dog()).await);
    want.target = Some(target.clone());
    ledger.want(want).await.unwrap();
    assert_eq!(ledger.entry(&key).await.unwrap().unwrap().key, key);
    let found = ledger.find(Find::Target(&target)).await.unwrap();
    assert_eq!(found.unwrap().key, key);
    assert_eq!(ledger.find(Find::Marker(&target)).await.unwrap(), None);
}

/// A rejected wish that is sent again keeps its target, unless another entry has that target by now.
pub(crate) async fn a_rejected_wish_keeps_its_target_unless_it_is_taken(setup: Setup) {
    let ledger = setup.ledger().await;
    let wish = Wish::request(&dog()).await;
    let begin = |key: &str, target: Option<&str>| {
        let mut want = Want::new(key, wish.clone());
        want.target = target.map(str::to_owned);
        Begin::new(want, FakeProvider::new(&[]).offered(&dog(), json!({})))
    };
    let begun = ledger.begin(begin("k", Some("/srv/dog.mp4"))).await;
    assert!(matches!(begun, Ok(Begun::Yours)), "{begun:?}");
    let outcome = Outcome::rejected(Error::new(ErrorKind::Refused, "no"));
    ledger.record("k", Event::Ended { outcome }).await.unwrap();
    let begun = ledger.begin(begin("l", Some("/srv/dog.mp4"))).await;
    assert!(matches!(begun, Ok(Begun::Yours)), "{begun:?}");
    let begun = ledger.begin(begin("k", None)).await;
    assert!(
        matches!(&begun, Ok(Begun::TargetTaken(key)) if key == "l"),
        "{begun:?}"
    );
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog")
}

async fn accepted(client: &Client, key: &str) -> Job {
    let Submission::Accepted(job) = client.submit_once(key, &dog()).await else {
        panic!("the request was not accepted")
    };
    job
}
