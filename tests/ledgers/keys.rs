//! One key is paid for once, whatever happens to the caller or the process.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use veo_core::ledger::{Budget, EntryState, Find, Which};
use veo_core::{
    Access, Client, Delivery, Error, ErrorKind, Image, Kie, Limit, Notice, Poll, Receipt,
    Resolution, Settlement, Step, Submission, UniAll, VideoRequest, Webhooks,
};
use veo_sim::Fault;

use crate::fake_provider::{Answer, FakeProvider};
use crate::setup::{Setup, accepted};

pub(crate) async fn one_key_is_paid_once(setup: Setup) {
    let client = setup.client().await;
    let job = accepted(client.submit_once("order 17", &dog()).await);
    // First another process submits under the same key, and then many callers do so at once.
    assert_eq!(accepted(client.submit_once("order 17", &dog()).await), job);
    assert_eq!(
        accepted(setup.client().await.submit_once("order 17", &dog()).await),
        job
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let client = if number % 2 == 0 {
            client.clone()
        } else {
            setup.client().await
        };
        tasks
            .spawn(async move { accepted(client.submit_once("order 18", &dog()).await).reference });
    }
    let jobs = tasks.join_all().await;
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:?}");
    assert_eq!(setup.sim.submits(), 2, "{}", setup.sim.report());

    // The same wish under another key is another video, and another wish under the same key is refused.
    accepted(client.submit(&dog()).await);
    accepted(client.submit(&dog()).await);
    assert_eq!(setup.sim.submits(), 4);
    let other = dog().resolution(Resolution::P720);
    assert_eq!(
        rejected(client.submit_once("order 17", &other).await),
        ErrorKind::KeyReused,
        "a stated resolution is another wish"
    );
    assert_eq!(setup.sim.submits(), 4);
}

pub(crate) async fn a_second_caller_of_a_key_waits_for_the_first(setup: Setup) {
    let fake = FakeProvider::new(&[]);
    let (first, second) = (fake.client(&setup).await, fake.client(&setup).await);
    let submit = |client: Client| async move {
        let request = VideoRequest::text("A dog");
        accepted(client.submit_once("order 17", &request).await)
    };
    let replies = fake.submit_replies.clone().write_owned().await;
    let first = tokio::spawn(submit(first));
    fake.until_sent(1).await;
    let mut second = tokio::spawn(submit(second));
    let waiting = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(waiting.is_err(), "{waiting:?}");
    drop(replies);
    assert_eq!(second.await.unwrap(), first.await.unwrap());
    assert_eq!(fake.submits(), 1);
}

pub(crate) async fn a_video_that_was_waited_for_is_in_the_ledger(setup: Setup) {
    let fake = FakeProvider::new(&[]);
    let client = fake.client(&setup).await;
    let job = accepted(client.submit(&VideoRequest::text("A dog")).await);
    client.wait(&job).await.unwrap();
    let entry = setup.ledger().await.find(Find::Job(&job.reference)).await;
    assert_eq!(entry.unwrap().unwrap().state, EntryState::Finished);
}

pub(crate) async fn an_entry_is_listed_with_its_job_and_address(setup: Setup) {
    let client = setup.client().await;
    let prepared = client.prepare(&dog()).await.unwrap().key("order 17");
    let job = accepted(client.send(prepared.target("/srv/dog.mp4")).await);
    let listed = setup.ledger().await.list(Which::All).await.unwrap();
    let [entry] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (&*entry.key, entry.state),
        ("order 17", EntryState::Accepted)
    );
    assert_eq!(entry.job.as_deref(), Some(&*job.reference.to_string()));
    assert_eq!(entry.base_url.as_deref(), Some(&*setup.sim.url()));
    assert_eq!(entry.target.as_deref(), Some("/srv/dog.mp4"));
}

/// The call may be paid for, so no process sends it again.
pub(crate) async fn a_call_whose_reply_is_lost_is_not_sent_again(setup: Setup) {
    let page = |status| Fault::Reply {
        status,
        body: "<html>Bad gateway</html>".to_owned(),
        content_type: None,
        accepted: true,
    };
    let faults = [
        Fault::Drop,
        Fault::Reset,
        Fault::Hang,
        Fault::CutHead,
        Fault::CutBody,
        Fault::Stall,
        page(500),
        page(502),
        page(503),
        page(504),
        page(520),
        page(524),
    ];
    let access = || {
        Access::new("key")
            .base_url(setup.sim.url())
            .connect_timeout(Duration::from_secs(1))
            .submit_timeout(Duration::from_secs(2))
    };
    let client = async || {
        let kie = Kie::new(access()).unwrap();
        setup.without_pauses(Client::new(kie).unwrap()).await
    };
    for (number, fault) in faults.into_iter().enumerate() {
        let key = format!("order {number}");
        setup.sim.fault("submit", 1..=1, fault.clone()).unwrap();
        for client in [client().await, client().await] {
            let submission = client.submit_once(&key, &dog()).await;
            let is_rejected = matches!(submission, Submission::Rejected(_));
            assert!(!is_rejected, "{fault:?}: {submission:?}");
            client.step(&key).await.unwrap();
        }
        assert_eq!(setup.sim.submits(), number + 1, "{fault:?}");
    }
}

/// The name and the format of an image do not matter.
pub(crate) async fn a_wish_is_recognised_by_the_content_of_its_images(setup: Setup) {
    let client = setup.client().await;
    let file = |name: &str, content: &[u8]| {
        let path = setup.folder().join(name);
        std::fs::write(
            &path,
            [include_bytes!("../media/kite.png"), content].concat(),
        )
        .unwrap();
        path
    };
    let of = |image: PathBuf| VideoRequest::image("It rains", image);
    let (park, copy, lake) = (
        file("park.png", b"park"),
        file("copy.png", b"park"),
        file("lake.png", b"lake"),
    );
    accepted(client.submit_once("k", &of(park.clone())).await);
    accepted(client.submit_once("k", &of(copy)).await);
    assert_eq!(
        rejected(client.submit_once("k", &of(lake)).await),
        ErrorKind::KeyReused
    );
    let bytes = Image::from(std::fs::read(&park).unwrap());
    accepted(
        client
            .submit_once("k", &VideoRequest::image("It rains", bytes))
            .await,
    );
    // An image that has been deleted is recognised by its path.
    std::fs::remove_file(&park).unwrap();
    accepted(client.submit_once("k", &of(park)).await);
    assert_eq!(setup.sim.submits(), 1);

    // A link is stored without its signature, and is recognised although it has one.
    let signed = |text: &str| {
        VideoRequest::image(
            "It rains",
            format!("https://img.example.net/park.png?{text}"),
        )
    };
    accepted(client.submit_once("l", &signed("signature=hidden")).await);
    accepted(client.submit_once("l", &signed("signature=hidden")).await);
    assert_eq!(
        rejected(client.submit_once("l", &signed("signature=other")).await),
        ErrorKind::KeyReused
    );
    assert!(!setup.stored_text().await.contains("hidden"));
}

pub(crate) async fn a_rejected_wish_is_sent_again_and_an_unknown_one_is_not(setup: Setup) {
    let without_credits = setup.client_with("no-credits").await;
    assert_eq!(
        rejected(without_credits.submit_once("k", &dog()).await),
        ErrorKind::InsufficientCredits
    );
    assert_eq!(setup.state("k").await, EntryState::Rejected);
    // This client has an account with credits.
    let client = setup.client().await;
    accepted(client.submit_once("k", &dog()).await);
    let entry = client.entry("k").await.unwrap().unwrap();
    let refused: Vec<_> = entry
        .attempts
        .iter()
        .map(|attempt| attempt.rejection().is_some())
        .collect();
    assert_eq!(
        (entry.state, refused.as_slice()),
        (EntryState::Accepted, [true, false].as_slice())
    );

    let losing_replies = setup.client_with("lost-reply").await;
    for _ in 0..3 {
        let Submission::Unknown(unknown) = losing_replies.submit_once("l", &dog()).await else {
            panic!("the reply is lost, so the outcome must be unknown")
        };
        assert_eq!(unknown.key.as_deref(), Some("l"));
    }
    assert_eq!(
        (setup.state("l").await, setup.sim.submits()),
        (EntryState::Unknown, 3)
    );

    // The operator has looked at the provider's site, and has found no task.
    losing_replies
        .settle("l", Settlement::NotTaken)
        .await
        .unwrap();
    assert_eq!(setup.state("l").await, EntryState::Rejected);
    let task = setup.sim.charges().last().unwrap().task.clone();
    let job = veo_core::JobRef::new("kie", task);
    // The settlement can be changed later to a task that the provider knows.
    assert!(
        client
            .settle(
                "l",
                Settlement::Accepted(veo_core::JobRef::new("kie", "nobody"))
            )
            .await
            .is_err()
    );
    assert_eq!(setup.state("l").await, EntryState::Rejected);
    let key = "lost-reply";
    setup
        .client_with(key)
        .await
        .settle("l", Settlement::Accepted(job.clone()))
        .await
        .unwrap();
    assert_eq!(setup.state("l").await, EntryState::Accepted);
    let error = client.settle("l", Settlement::NotTaken).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("l is accepted; only an unknown outcome can be settled"),
        "{error}"
    );
    assert_eq!(
        accepted(losing_replies.submit_once("l", &dog()).await).reference,
        job
    );
    assert_eq!(setup.sim.submits(), 3);
}

/// An outcome is unknown only once the process that was sending has ended.
pub(crate) async fn an_entry_is_unknown_after_its_sending_process_ends(setup: Setup) {
    // This server reads the request and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent =
        Kie::new(Access::new("key").base_url(format!("http://{}", listener.local_addr().unwrap())))
            .unwrap();
    let process = process();
    let client = setup.with_ledger(Client::new(silent).unwrap()).await;
    let sending = process.spawn(async move { client.submit_once("k", &dog()).await });
    let (_socket, _) = listener.accept().await.unwrap();

    let other = setup.client().await;
    let state = || async { other.entry("k").await.unwrap().map(|entry| entry.state) };
    assert_eq!(state().await, Some(EntryState::OnItsWay));
    assert_eq!(
        other.step("k").await.unwrap(),
        Step::AgainAfter(Duration::from_secs(1)),
        "only one process sends the request"
    );
    end(process, sending).await;
    until_unknown(&setup, "k").await;
    assert!(matches!(
        other.submit_once("k", &dog()).await,
        Submission::Unknown(_)
    ));
    assert!(matches!(other.step("k").await.unwrap(), Step::LookAtIt(_)));
    assert_eq!(setup.sim.submits(), 0);
}

pub(crate) async fn steps_take_a_wish_to_a_saved_video(setup: Setup) {
    let client = setup.client().await;
    client.want("k", &dog()).await.unwrap();
    client.want("k", &dog()).await.unwrap();
    assert_eq!(
        client
            .want("k", &VideoRequest::text("A cat"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::KeyReused
    );
    assert_eq!(
        (setup.sim.submits(), setup.state("k").await),
        (0, EntryState::Wanted)
    );

    let client = setup.client().await;
    let mut steps = 0;
    let video = loop {
        steps += 1;
        match client.step("k").await.unwrap() {
            Step::AgainAfter(_) => {}
            Step::Video(video) => break video,
            other => panic!("{other:?}"),
        }
    };
    assert!(
        steps > 2 && setup.state("k").await == EntryState::Finished,
        "{steps}"
    );
    // Every step returns the video until the entry is done.
    assert!(matches!(client.step("k").await.unwrap(), Step::Video(_)));
    let saved = client
        .download(&video, setup.folder().join("dog.mp4"))
        .await
        .unwrap();
    let job = client.entry("k").await.unwrap().unwrap().job().unwrap();
    let receipt = Receipt::new(&job, &video, &saved);
    client.done("k", &receipt).await.unwrap();
    let Step::Done(Some(stored)) = client.step("k").await.unwrap() else {
        panic!("the entry is not done")
    };
    assert_eq!(
        (&stored.saved, &stored.job.reference),
        (&receipt.saved, &receipt.job.reference)
    );
    assert_eq!(setup.sim.submits(), 1);
    assert_eq!(
        client.step("nothing").await.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

pub(crate) async fn a_run_finishes_every_open_entry_but_unknown_ones(setup: Setup) {
    let client = setup.client().await;
    for number in 0..10 {
        client
            .want(&format!("order {number}"), &dog())
            .await
            .unwrap();
    }
    let lost = setup.client_with("lost-reply").await;
    let _ = lost.submit_once("lost", &dog()).await;
    let folder = setup.folder().to_owned();
    let handled = std::cell::RefCell::new(Vec::new());
    let save = |key: String, step: Step| {
        let (client, folder, handled) = (&client, &folder, &handled);
        async move {
            if let Step::Video(video) = step {
                let saved = client.download(&video, folder.join(&key)).await.unwrap();
                let job = client.entry(&key).await.unwrap().unwrap().job().unwrap();
                client
                    .done(&key, &Receipt::new(&job, &video, &saved))
                    .await
                    .unwrap();
                // A caller may add a request during the run.
                if key == "order 3" {
                    client.want("order 10", &dog()).await.unwrap();
                }
            }
            handled.borrow_mut().push(key);
        }
    };
    client.run(save).await.unwrap();
    assert_eq!(handled.borrow().len(), 11, "{handled:?}");
    let listed = setup.ledger().await.list(Which::Open).await.unwrap();
    assert_eq!(
        listed.iter().map(|entry| &*entry.key).collect::<Vec<_>>(),
        ["lost"]
    );
    assert_eq!(setup.sim.submits(), 12);
}

pub(crate) async fn two_open_entries_never_have_the_same_target(setup: Setup) {
    let client = setup.client().await;
    let prepared = async || client.prepare(&dog()).await.unwrap().target("/srv/dog.mp4");
    accepted(client.send(prepared().await.key("k")).await);
    assert_eq!(
        rejected(client.send(prepared().await.key("l")).await),
        ErrorKind::TargetTaken
    );
    accepted(client.send(prepared().await.key("k")).await);
    assert_eq!(setup.sim.submits(), 1);
}

pub(crate) async fn a_budget_caps_all_calls_of_its_name_and_account(setup: Setup) {
    let client = setup.client().await;
    // The price of one call.
    let price = {
        accepted(client.submit(&dog()).await);
        setup.sim.charges()[0].credits
    };
    let budget = |cap: f64| Budget::new("june", "kie", cap).unwrap();
    let capped = client.clone().with_budget(budget(price * 3.0));
    let mut ends = Vec::new();
    for number in 0..5 {
        ends.push(
            match capped.submit_once(&format!("order {number}"), &dog()).await {
                Submission::Accepted(_) => "accepted".to_owned(),
                Submission::Rejected(error) => format!("{:?}", error.kind()),
                Submission::Unknown(_) => "unknown".to_owned(),
            },
        );
    }
    assert_eq!(
        ends,
        [
            "accepted",
            "accepted",
            "accepted",
            "OverBudget",
            "OverBudget"
        ]
    );
    // Only the first cost is read from the balance. Later calls have that price, and can run at the same time.
    let ledger = setup.ledger().await;
    for (key, cost) in [("order 0", Some(price)), ("order 1", None)] {
        let entry = ledger.entry(key).await.unwrap().unwrap();
        assert_eq!(entry.attempts[0].credits, cost, "{key}");
    }
    // The cap applies to all clients that use its name, and to no other account.
    let more = setup.client().await.with_budget(budget(price * 4.0));
    accepted(more.submit_once("one more", &dog()).await);
    assert_eq!(
        rejected(more.submit_once("and one", &dog()).await),
        ErrorKind::OverBudget
    );
    let uniall = UniAll::new(Access::new("key").base_url(setup.sim.url())).unwrap();
    let elsewhere = setup
        .without_pauses(Client::new(uniall).unwrap())
        .await
        .with_budget(budget(1e9));
    let Submission::Rejected(error) = elsewhere.submit(&dog()).await else {
        panic!("the request was sent")
    };
    assert!(
        error
            .to_string()
            .contains("the budget june is for kie and not for uniall"),
        "{error}"
    );
    for cap in [f64::NAN, f64::INFINITY, -1.0, -0.0] {
        assert_eq!(
            Budget::new("june", "kie", cap).unwrap_err().kind(),
            ErrorKind::InvalidRequest,
            "{cap}"
        );
    }
}

/// A provider can charge for a call after it has accepted it.
pub(crate) async fn a_balance_that_has_not_fallen_tells_no_price(setup: Setup) {
    let mut fake = FakeProvider::new(&[]);
    fake.balance = Some(100.0);
    let budget = Budget::new("june", "fake", 100.0).unwrap();
    let client = fake.client(&setup).await.with_budget(budget);
    let request = VideoRequest::text("A dog");
    accepted(client.submit_once("order 17", &request).await);
    let entry = setup.ledger().await.entry("order 17").await;
    assert_eq!(entry.unwrap().unwrap().attempts[0].credits, None);
}

/// The callback address has a marker, which leads to the attempt. Then the client asks about the task of the callback.
pub(crate) async fn a_callback_with_the_marker_settles_an_unknown_outcome(setup: Setup) {
    let client = setup.client_with("lost-reply").await;
    let request = dog().callback_url("https://app.example.net/hook?user=7#part");
    let Submission::Unknown(unknown) = client.submit_once("k", &request).await else {
        panic!("the reply is lost, so the outcome must be unknown")
    };
    assert_eq!(unknown.key.as_deref(), Some("k"));
    let sent = setup.sim.calls().last().unwrap().body.clone().unwrap()["callBackUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let (start, rest) = sent.split_once("&veo=").unwrap();
    let (marker, end) = rest.split_once('#').unwrap();
    assert_eq!(
        (start, marker.len(), end),
        ("https://app.example.net/hook?user=7", 32, "part"),
        "{sent}"
    );

    let task = setup.sim.charges()[0].task.clone();
    let target = format!("/hook?user=7&veo={marker}");
    // A callback without the marker settles nothing. Neither does a callback about a task that kie.ai does not know.
    assert_eq!(
        client
            .settle_by(&notice("/hook?user=7", &task))
            .await
            .unwrap(),
        None
    );
    assert!(client.settle_by(&notice(&target, "another")).await.is_err());
    // A task that exists but has another request does not settle the outcome either.
    let elsewhere = Client::new(setup.kie("lost-reply")).unwrap();
    let cat = accepted(
        elsewhere
            .submit(&VideoRequest::text("A cat").seconds(4))
            .await,
    )
    .reference
    .task;
    let error = client.settle_by(&notice(&target, &cat)).await.unwrap_err();
    assert!(
        error.to_string().contains("has another prompt than k"),
        "{error}"
    );
    assert_eq!(setup.state("k").await, EntryState::Unknown);
    let entry = client
        .settle_by(&notice(&target, &task))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (entry.state, entry.reference().unwrap().task.as_str()),
        (EntryState::Accepted, &*task)
    );
    // The marker in the callback address does not make it another wish.
    accepted(client.submit_once("k", &request).await);
}

/// The sending process has ended, and the callback arrives at another process.
pub(crate) async fn a_callback_settles_the_call_of_a_process_that_has_ended(setup: Setup) {
    let process = process();
    let client = setup.client_with("hang").await;
    let request = dog().callback_url("https://app.example.net/hook");
    let sent = request.clone();
    let sending = process.spawn(async move { client.submit_once("k", &sent).await });
    while setup.sim.charges().is_empty() {
        tokio::task::yield_now().await;
    }
    end(process, sending).await;
    until_unknown(&setup, "k").await;

    let other = setup.client_with("hang").await;
    let call = setup.sim.calls()[0].body.clone().unwrap();
    let url = call["callBackUrl"].as_str().unwrap();
    let target = url.strip_prefix("https://app.example.net").unwrap();
    let task = &setup.sim.charges()[0].task;
    let settled = other.settle_by(&notice(target, task)).await.unwrap();
    let settled = settled.unwrap();
    assert_eq!(
        (settled.key.as_str(), settled.state),
        ("k", EntryState::Accepted)
    );
    assert_eq!(
        accepted(other.submit_once("k", &request).await)
            .reference
            .task,
        *task
    );
    assert_eq!(setup.sim.submits(), 1);
}

pub(crate) async fn processes_share_the_limit_of_an_account(setup: Setup) {
    let (accepted, count) = tokio::sync::watch::channel(0);
    let accepted = std::sync::Arc::new(accepted);
    let mut tasks = tokio::task::JoinSet::new();
    // The time of the limit is so long that it does not end during the test on any machine.
    let limit = Limit::new(20, Duration::from_secs(3600));
    for number in 0..30 {
        let kie = setup.kie("key").limit(limit);
        let client = setup.without_pauses(Client::new(kie).unwrap()).await;
        let (accepted, mut count) = (accepted.clone(), count.clone());
        tasks.spawn(async move {
            let prepared = client
                .prepare(&dog())
                .await
                .unwrap()
                .key(format!("order {number}"));
            // The waiting requests stop once the limit is used up by sent requests.
            let all_sent = async move { drop(count.wait_for(|count| *count == 20).await) };
            let sent = client.send_until(prepared, all_sent).await;
            let is_accepted = matches!(sent, Submission::Accepted(_));
            accepted.send_modify(|count| *count += usize::from(is_accepted));
            is_accepted
        });
    }
    let sent = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|is_accepted| *is_accepted)
        .count();
    assert_eq!(
        (sent, setup.sim.submits()),
        (20, 20),
        "{}",
        setup.sim.report()
    );
    // A request that has waited was not sent, so there is no entry for it.
    let listed = setup.ledger().await.list(Which::All).await.unwrap();
    assert_eq!(listed.len(), 20);
}

/// A provider counts a call when it arrives, and a slow call can arrive at any time before its end.
pub(crate) async fn a_slow_call_counts_until_after_its_end(setup: Setup) {
    let per = Duration::from_millis(300);
    let mut fake = FakeProvider::new(&[]);
    fake.limit = Some(Limit::new(1, per));
    let alone = fake.client_without_ledger();
    let clients = [
        [fake.client(&setup).await, fake.client(&setup).await],
        [alone.clone(), alone],
    ];
    for (earlier, [slow, next]) in clients.into_iter().enumerate() {
        let sent = earlier * 2;
        let replies = fake.submit_replies.clone().write_owned().await;
        let slow = tokio::spawn(async move { slow.submit(&VideoRequest::text("slow")).await });
        fake.until_sent(sent + 1).await;
        let next = tokio::spawn(async move { next.submit(&VideoRequest::text("next")).await });
        tokio::time::sleep(per * 2).await;
        assert_eq!(fake.submits(), sent + 1, "the first call has not ended");
        let ended = tokio::time::Instant::now();
        drop(replies);
        accepted(slow.await.unwrap());
        accepted(next.await.unwrap());
        assert_eq!(fake.submits(), sent + 2);
        assert!(ended.elapsed() >= per, "{:?}", ended.elapsed());
    }
}

pub(crate) async fn a_pause_is_not_waited_for_if_it_is_too_long(setup: Setup) {
    let mut fake = FakeProvider::new(&[Answer::TooManyRequests]);
    fake.limit = Some(Limit::new(100, Duration::from_millis(100)));
    let impatient = Poll::default().give_up_after(Duration::from_secs(1));
    let client = fake.client(&setup).await.with_poll(impatient);
    for words in [
        "too many requests",
        "not sent: fake wants no request for another",
    ] {
        let error = rejected_soon(&client).await;
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(fake.submits(), 1);
}

/// The price of a call is not known, so all that is left of the budget is set aside for the first call.
pub(crate) async fn a_call_waits_for_the_budget_as_long_as_for_a_job(setup: Setup) {
    let fake = FakeProvider::new(&[Answer::NoCredits]);
    let budget = Budget::new("june", "fake", 100.0).unwrap();
    let client = async || fake.client(&setup).await.with_budget(budget.clone());
    let first = client().await;
    let patient = client().await;
    let impatient = Poll::default().give_up_after(Duration::from_millis(300));
    let impatient = client().await.with_poll(impatient);

    let replies = fake.submit_replies.clone().write_owned().await;
    let first = tokio::spawn(async move { first.submit(&VideoRequest::text("A dog")).await });
    fake.until_sent(1).await;
    let waiting = tokio::spawn(async move { patient.submit(&VideoRequest::text("A dog")).await });
    let error = rejected_soon(&impatient).await;
    assert_eq!(error.kind(), ErrorKind::OverBudget);
    let words = "the rest of the budget is set aside for calls under way";
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(fake.submits(), 1);

    drop(replies);
    assert_eq!(
        rejected(first.await.unwrap()),
        ErrorKind::InsufficientCredits
    );
    accepted(waiting.await.unwrap());
    assert_eq!(fake.submits(), 2);
}

pub(crate) async fn an_unfinished_question_does_not_block_the_ledger(setup: Setup) {
    let ledger = setup.ledger().await;
    let mut half: Vec<_> = (0..3).map(|_| ledger.entry("order 17")).collect();
    for question in &mut half {
        std::future::poll_fn(|context| {
            let _ = question.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    let asked = tokio::time::timeout(Duration::from_secs(5), ledger.entry("order 18")).await;
    assert_eq!(asked.unwrap().unwrap(), None);
}

async fn rejected_soon(client: &Client) -> Error {
    let request = VideoRequest::text("A dog");
    let sent = tokio::time::timeout(Duration::from_secs(20), client.submit(&request)).await;
    rejection(sent.unwrap())
}

/// A runtime that plays another process, and can end at any time.
fn process() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

async fn end(process: Runtime, sending: JoinHandle<Submission>) {
    process.shutdown_background();
    let _ = sending.await;
}

/// The lock of a process can outlive the process for a moment.
async fn until_unknown(setup: &Setup, key: &str) {
    setup.let_leases_end().await;
    while setup.state(key).await == EntryState::OnItsWay {
        tokio::task::yield_now().await;
    }
    assert_eq!(setup.state(key).await, EntryState::Unknown);
}

/// A verified webhook that came to this address and is about this task.
fn notice(target: &str, task: &str) -> Notice {
    let webhooks = Webhooks::new("a key for tests".into()).unwrap();
    let headers = webhooks.sign(task, SystemTime::now()).unwrap();
    let body = json!({ "code": 200, "data": { "taskId": task } }).to_string();
    match webhooks.verify(target, &headers, body.as_bytes()).unwrap() {
        Delivery::First(notice) | Delivery::Repeated(notice) => notice,
    }
}

fn dog() -> VideoRequest {
    VideoRequest::text("A dog playing in a park").seconds(4)
}

fn rejected(submission: Submission) -> ErrorKind {
    rejection(submission).kind()
}

fn rejection(submission: Submission) -> Error {
    match submission {
        Submission::Rejected(error) => error,
        other => panic!("{other:?}"),
    }
}
