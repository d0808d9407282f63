//! Tests of the way from a request to a saved file, for both providers.

use std::time::Duration;

use serde_json::{Value, json};
use veo_core::{
    Access, AspectRatio, Charged, Client, Downloads, ErrorKind, Input, Job, JobRef, Kie, KieForm,
    Poll, Receipt, Resend, Resolution, Source, State, Submission, Tier, UniAll, Video,
    VideoRequest,
};
use veo_sim::{Fate, Fault, Scenario, Sim};
use veo_tests::PNG;

use crate::FORMS;

fn kie(sim: &Sim) -> Kie {
    Kie::new(Access::new("key").base_url(sim.url())).unwrap()
}

fn uniall(sim: &Sim) -> UniAll {
    UniAll::new(Access::new("key").base_url(sim.url())).unwrap()
}

/// Returns the client without pauses between questions, and with permission to download from this machine.
fn eager(client: Client) -> Client {
    let client = client.with_poll(Poll::default().first(Duration::ZERO).every(Duration::ZERO));
    client
        .with_downloads(Downloads::default().allow_loopback(true))
        .unwrap()
}

/// Returns a client of each provider, with the prefix of the names of its jobs. kie.ai has a client for each form.
fn clients(sim: &Sim) -> Vec<(&'static str, Client)> {
    let mut clients = vec![("uniall", eager(Client::new(uniall(sim)).unwrap()))];
    for (form, name) in FORMS {
        clients.push((name, eager(Client::new(kie(sim).form(form)).unwrap())));
    }
    clients
}

fn accepted(submission: Submission) -> JobRef {
    match submission {
        Submission::Accepted(job) => job.reference,
        other => panic!("{other:?}"),
    }
}

fn rejected(submission: Submission) -> veo_core::Error {
    match submission {
        Submission::Rejected(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The JSON bodies of the paid requests.
fn paid(sim: &Sim) -> Vec<Value> {
    sim.calls()
        .into_iter()
        .filter_map(|request| request.body)
        .collect()
}

#[tokio::test]
async fn every_mode_is_saved_in_every_resolution() {
    let image = "https://img.example.net/kite.png";
    let earlier = Video::new(
        JobRef::new("kie", "t1"),
        vec!["https://cdn.example.net/kite.mp4".to_owned()],
    );
    let table = [
        ("text", VideoRequest::text("A red kite")),
        (
            "image",
            VideoRequest::image("It flies", image)
                .tier(Tier::Quality)
                .seconds(4),
        ),
        (
            "frames",
            VideoRequest::frames("It lands", image, "https://img.example.net/landed.png"),
        ),
        (
            "references",
            VideoRequest::references("Two kites", [image, image]),
        ),
        ("seed", VideoRequest::text("A red kite").seed(23_456)),
        ("extension", VideoRequest::extension("It goes on", &earlier)),
        (
            "tier of an extension",
            VideoRequest::extension("It goes on", &earlier).tier(Tier::Fast),
        ),
    ];
    // kie.ai's current form does not have these fields, so it refuses such requests.
    let refused = [
        ("seed", "seed: veo3_lite takes no seed; leave it out"),
        (
            "tier of an extension",
            "tier: veo/extend has no tiers; leave it out",
        ),
    ];
    let sizes = [
        (Resolution::P720, 1280, 720),
        (Resolution::P1080, 1920, 1080),
        (Resolution::K4, 3840, 2160),
    ];
    for ((mode, request), (resolution, width, height)) in table
        .into_iter()
        .flat_map(|row| sizes.map(|size| (row.clone(), size)))
    {
        let sim = Sim::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, client) in clients(&sim) {
            let case = format!("{mode} {name} {resolution}");
            // kie.ai extends only its own videos, and only in 720p.
            let is_extension = matches!(request.input, Input::Extension { .. });
            let mut request = request.clone().resolution(resolution);
            if is_extension && name != "uniall" {
                if resolution != Resolution::P720 {
                    continue;
                }
                let job = accepted(client.submit(&VideoRequest::text("A red kite")).await);
                request.input = Input::Extension {
                    source: Source::from(&client.wait(&job).await.unwrap()),
                };
            }
            let before = paid(&sim).len();
            let mut plan = client.plan(&request);
            if name == "kie+jobs"
                && let Some((_, why)) = refused.iter().find(|(of, _)| *of == mode)
            {
                let is_explained = plan.refusals.iter().any(|it| it.to_string().contains(why));
                assert!(plan.offers.is_empty() && is_explained, "{case}: {plan:?}");
                continue;
            }
            let planned = plan.offers.remove(0);

            let Submission::Accepted(job) = client.submit(&request).await else {
                panic!("{case} was not accepted")
            };
            let mut states = Vec::new();
            let video = client
                .wait_with(&job, |state| states.push(state.clone()))
                .await
                .unwrap();
            assert!(
                states.len() > 1 && matches!(states.last(), Some(State::Finished(_))),
                "{case}: {states:?}"
            );
            let file = folder.path().join(format!("{name}.mp4"));
            let mut last = (0, None);
            let saved = client
                .download_with(&video, &file, |received, total| last = (received, total))
                .await
                .unwrap();

            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(
                last,
                (bytes.len() as u64, Some(bytes.len() as u64)),
                "{case}"
            );
            assert_eq!(saved.bytes, bytes.len() as u64);
            assert_eq!(
                (saved.media.width, saved.media.height),
                (width, height),
                "{case}"
            );
            let receipt = Receipt::new(&job, &video, &saved);
            assert_eq!(receipt.discrepancies, [""; 0], "{case}");
            // UniAll does not say when a video was done.
            assert_eq!(
                (receipt.created_at.is_some(), receipt.completed_at.is_some()),
                (true, name != "uniall"),
                "{case}"
            );
            let stored: Video =
                serde_json::from_str(&serde_json::to_string(&video).unwrap()).unwrap();
            assert_eq!(stored.created_at, video.created_at, "{case}");
            assert_eq!(
                serde_json::from_str::<Job>(&serde_json::to_string(&job).unwrap()).unwrap(),
                job,
                "{case}"
            );
            assert_eq!(
                paid(&sim)[before..],
                [planned.body],
                "{case}: the planned body is sent once"
            );
            let line = job.reference.to_string();
            assert!(line.starts_with(&format!("{name}:")), "{case}: {line}");
            assert_eq!(job.reference, line.parse().unwrap(), "{case}");
        }
        assert_eq!(sim.surprises(), [""; 0], "{mode}");
        let known = ["kie.mp4", "kie+jobs.mp4", "uniall.mp4"];
        let files = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .filter(|file| !known.iter().any(|known| file == known));
        assert_eq!(files.count(), 0, "{mode}: only the videos are left");
    }
}

#[tokio::test]
async fn a_local_image_is_uploaded_to_kie_and_serves_any_provider() {
    let sim = Sim::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The name does not say that it is a picture, but the bytes do.
    let image = folder.path().join("my picture.txt");
    std::fs::write(&image, PNG).unwrap();
    let request = VideoRequest::image("It flies", image.clone()).audio(false);

    // kie.ai cannot leave out the sound, so UniAll makes the video from the image that kie.ai stores.
    let client = eager(Client::new(kie(&sim)).unwrap().or(uniall(&sim)));
    assert_eq!(accepted(client.submit(&request).await).provider, "uniall");
    let arrived: Vec<_> = sim
        .calls()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(
        arrived,
        ["/api/file-stream-upload", "/v1/video/generations"]
    );
    let url = paid(&sim)[0]["image"].as_str().unwrap().to_owned();
    assert!(
        url.starts_with(&sim.media_url()) && url.ends_with(".png"),
        "{url}"
    );

    // At kie.ai a file replaces an earlier file of the same name, so each file is named by its content.
    let [jpeg, png] = [
        include_bytes!("../media/ok.jpg").to_vec(),
        [PNG, b"and more"].concat(),
    ];
    let named = "7924f39463e540d00c26fcbeb0eb5c03.png";
    for (first, wanted) in [
        (jpeg, ".jpg"),
        (png, ".png"),
        (std::fs::read(&image).unwrap(), named),
    ] {
        let before = sim.calls().len();
        let frames = VideoRequest::frames("It flies", first, image.clone());
        assert_eq!(accepted(client.submit(&frames).await).provider, "kie");
        assert_eq!(
            sim.calls().len(),
            before + 3,
            "two uploads and one paid request"
        );
        let urls = paid(&sim).pop().unwrap()["imageUrls"].clone();
        let [first, last] = [0, 1].map(|index| urls[index].as_str().unwrap());
        assert!(first.ends_with(wanted) && last.ends_with(named), "{urls}");
        assert_eq!(first == last, wanted == named, "{urls}");
    }
    let arrived = sim.calls().len();

    let alone = eager(Client::new(uniall(&sim)).unwrap());
    let error = rejected(alone.submit(&request).await);
    assert!(
        error
            .to_string()
            .contains("no provider of this client takes uploads"),
        "{error}"
    );

    std::fs::write(&image, b"GIF89a").unwrap();
    let error = rejected(client.submit(&request).await);
    assert!(
        error
            .to_string()
            .contains("is not a JPEG, PNG or WebP image"),
        "{error}"
    );
    let error = rejected(
        client
            .submit(&VideoRequest::image(
                "It flies",
                folder.path().join("none.png"),
            ))
            .await,
    );
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert_eq!(
        sim.calls().len(),
        arrived,
        "nothing was sent for these requests"
    );
}

/// The next provider gets the request only if the first provider has certainly not accepted it.
#[tokio::test]
async fn the_next_provider_is_asked_only_after_a_rejection() {
    let request = VideoRequest::text("A red kite");
    let gone = Sim::start().await.unwrap();
    let unreachable = kie(&gone);
    drop(gone);

    let sim = Sim::start().await.unwrap();
    let client = eager(Client::new(unreachable.clone()).unwrap().or(uniall(&sim)));
    let Submission::Accepted(job) = client.submit(&request).await else {
        panic!("UniAll did not accept the request")
    };
    assert_eq!(
        (job.reference.provider.as_str(), job.refusals.len()),
        ("uniall", 1)
    );
    assert!(
        job.refusals[0].starts_with("kie: ") && job.refusals[0].contains("nothing was sent"),
        "{job:?}"
    );
    assert_eq!(sim.calls().len(), 1);

    let client = eager(Client::new(uniall(&sim)).unwrap().or(kie(&sim)));
    assert_eq!(accepted(client.submit(&request).await).provider, "uniall");
    assert_eq!(sim.calls().len(), 2, "only the first provider is asked");

    // The part before the slash is a scenario of the simulator. The part after it makes a separate account.
    let poor = UniAll::new(Access::new("no-credits/1").base_url(sim.url())).unwrap();
    let error = rejected(
        Client::new(unreachable)
            .unwrap()
            .or(poor)
            .submit(&request)
            .await,
    );
    assert_eq!(
        error.kind(),
        ErrorKind::InsufficientCredits,
        "the error is that of the last provider, and names the refusals before it"
    );
    assert!(error.to_string().ends_with(
        "(before that, kie: there was no connection to 127.0.0.1, so nothing was sent)"
    ));
    assert_eq!(sim.calls().len(), 3);

    // This server reads the request and never answers. The request may be paid for, so UniAll must not get it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 4096])
            .await
            .unwrap();
    });
    let client = Client::new(Kie::new(Access::new("key").base_url(&url)).unwrap())
        .unwrap()
        .or(uniall(&sim));
    let Submission::Unknown(unknown) = client.submit(&request).await else {
        panic!("the outcome is not unknown")
    };
    silent.await.unwrap();
    assert_eq!(sim.calls().len(), 3);
    assert_eq!(
        (unknown.error.charged(), unknown.error.resend()),
        (Charged::Unknown, Resend::Never)
    );
    assert_eq!(
        (
            unknown.offer.provider.as_str(),
            &unknown.offer.body["prompt"]
        ),
        ("kie", &json!("A red kite"))
    );
}

/// A job names its account, so two accounts at one provider need different names.
#[tokio::test]
async fn each_account_of_a_provider_is_asked_once() {
    let sim = Sim::start().await.unwrap();
    let at = |key: &str| Kie::new(Access::new(key).base_url(sim.url())).unwrap();
    let poor = |number| at(&format!("no-credits/{number}"));
    let client = eager(Client::new(poor(1)).unwrap().or(poor(2)).or(uniall(&sim)));
    assert_eq!(
        client
            .models()
            .filter(|model| model.provider == "kie")
            .count(),
        4
    );
    for request in [
        VideoRequest::text("A red kite"),
        VideoRequest::text("A red kite").watermark("Harbour"),
    ] {
        let plan = client.plan(&request);
        assert_eq!(
            plan.offers
                .iter()
                .filter(|offer| offer.provider == "kie")
                .count(),
            1,
            "{plan:?}"
        );
        let wanted =
            "kie: provider: this client has kie already; give the other account a name of its own";
        assert_eq!(plan.refusals.last().unwrap().to_string(), wanted);
    }
    assert_eq!(
        accepted(client.submit(&VideoRequest::text("A red kite")).await).provider,
        "uniall"
    );
    assert_eq!(sim.calls().len(), 2, "each account is asked once");

    let rich = || at("key").named("studio");
    let client = eager(
        Client::new(poor(3))
            .unwrap()
            .or(rich())
            .or(rich())
            .or(uniall(&sim)),
    );
    let plan = client.plan(&VideoRequest::text("A red kite"));
    let accounts: Vec<_> = plan
        .offers
        .iter()
        .map(|offer| (offer.provider.as_str(), offer.account.as_str()))
        .collect();
    assert_eq!(
        accounts,
        [("kie", "kie"), ("kie", "kie@studio"), ("uniall", "uniall")]
    );
    assert!(
        plan.refusals[0]
            .to_string()
            .starts_with("kie@studio: provider: this client has kie@studio already")
    );
    let Submission::Accepted(job) = client.submit(&VideoRequest::text("A red kite")).await else {
        panic!("the second account did not accept the request")
    };
    assert!(
        job.reference.to_string().starts_with("kie@studio:"),
        "{}",
        job.reference
    );
    assert!(
        job.refusals.len() == 1 && job.refusals[0].starts_with("kie: "),
        "{:?}",
        job.refusals
    );
    let job: JobRef = job.reference.to_string().parse().unwrap();
    assert_eq!(client.wait(&job).await.unwrap().job, job);
    assert!(client.credits("kie@studio").await.unwrap() > 0.0);
    for (client, reference) in [
        (&client, "kie@office:t1"),
        (&eager(Client::new(rich()).unwrap()), "kie:t1"),
    ] {
        let error = client
            .wait(reference.parse::<JobRef>().unwrap())
            .await
            .unwrap_err();
        let (account, _) = reference.split_once(':').unwrap();
        assert_eq!(
            error.to_string(),
            format!("{reference}: this client has no account {account}; add it")
        );
    }
}

#[tokio::test]
async fn an_unreachable_provider_was_sent_nothing() {
    let sim = Sim::start().await.unwrap();
    let clients = clients(&sim);
    drop(sim);
    for (name, client) in clients {
        let error = rejected(client.submit(&VideoRequest::text("A red kite")).await);
        assert_eq!(
            (error.kind(), error.charged()),
            (ErrorKind::NotSent, Charged::No),
            "{name}: {error}"
        );
        assert_eq!(error.resend(), Resend::Same);
    }
}

/// The provider does not know the job. A job counts as paid for, so the error names the job and says `Charged::Yes`.
#[tokio::test]
async fn an_error_of_a_wait_names_the_job() {
    let sim = Sim::start().await.unwrap();
    for (name, client) in clients(&sim) {
        let impatient = Poll::default()
            .first(Duration::ZERO)
            .every(Duration::ZERO)
            .forgive_for(Duration::ZERO);
        let job: JobRef = format!("{name}:no-such-task").parse().unwrap();
        let error = client
            .clone()
            .with_poll(impatient)
            .wait(&job)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.job()),
            (ErrorKind::Unavailable, Some(&job)),
            "{error}"
        );
        assert_eq!(
            (error.charged(), error.resend()),
            (Charged::Yes, Resend::Never)
        );

        let error = client
            .wait(JobRef::new("somebody", "t1"))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "somebody:t1: this client has no account somebody; add it"
        );
    }
}

#[tokio::test]
async fn a_receipt_lists_the_differences_from_the_request() {
    let smaller = Scenario::new("smaller", "Videos are 720p.").task(1.., Fate::Smaller);
    let sim = Sim::builder().scenario(smaller).start().await.unwrap();
    let client = eager(Client::new(uniall(&sim)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let text = || VideoRequest::text("A red kite");
    let table = [
        (text(), vec![]),
        (
            text()
                .audio(true)
                .seconds(6)
                .aspect_ratio(AspectRatio::Portrait),
            vec![],
        ),
        (text().audio(false), vec![]),
        (
            text().resolution(Resolution::K4),
            vec!["4k was requested, and 720p was delivered"],
        ),
    ];
    for (request, wanted) in table {
        let Submission::Accepted(mut job) = client.submit(&request).await else {
            panic!("the request was not accepted")
        };
        let video = client.wait(&job).await.unwrap();
        let saved = client
            .download(&video, folder.path().join("kite.mp4"))
            .await
            .unwrap();
        assert_eq!(Receipt::new(&job, &video, &saved).discrepancies, wanted);

        // The same video is now compared with a different request.
        job.offer.request = text()
            .seconds(4)
            .aspect_ratio(AspectRatio::Auto)
            .audio(!saved.media.has_audio);
        let receipt = Receipt::new(&job, &video, &saved);
        let sound = if saved.media.has_audio {
            "no sound was requested, and sound was delivered"
        } else {
            "sound was requested, and none was delivered"
        };
        let length = format!(
            "4 s were requested, and {:.1} s were delivered",
            saved.media.seconds
        );
        let mut found = receipt.discrepancies.clone();
        found.sort();
        assert_eq!(found, [length.as_str(), sound]);
        let json = serde_json::to_value(&receipt).unwrap();
        assert!(
            json["made_at"].is_u64() && json["job"]["accepted_at"].is_u64(),
            "{json}"
        );
        assert_eq!(json["saved"]["sha256"].as_str().map(str::len), Some(64));
        assert_eq!(json["job"]["offer"]["body"]["prompt"], "A red kite");
    }
}

/// kie.ai's record of the first task has only the smaller video, so a new link has to come from the upgrade's task.
#[tokio::test]
async fn an_upgraded_videos_link_is_renewed_from_its_own_task() {
    let scenario = Scenario::new(
        "expired",
        "The first link to an upgraded video has expired.",
    );
    let scenario = scenario
        .task(1.., Fate::Smaller)
        .fault("media", 1..=1, Fault::Expired);
    for (form, _) in FORMS {
        let sim = Sim::builder()
            .scenario(scenario.clone())
            .start()
            .await
            .unwrap();
        let none = Duration::ZERO;
        let poll = Poll::default().first(none).every(none).every_upgrade(none);
        let client = eager(Client::new(kie(&sim).form(form)).unwrap()).with_poll(poll);
        let request = VideoRequest::text("A red kite").resolution(Resolution::P1080);
        let job = accepted(client.submit(&request).await);
        let mut video = client.wait(&job).await.unwrap();
        // In the current form no reply says that the video is smaller, so the client begins no upgrade by itself.
        if form == KieForm::Current {
            video = client.upgrade(&job, Resolution::P1080).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let saved = client
            .download(&video, folder.path().join("kite.mp4"))
            .await
            .unwrap();
        assert_eq!(
            (saved.media.width, saved.media.height),
            (1920, 1080),
            "{form:?}\n{}",
            sim.report()
        );
    }
}
