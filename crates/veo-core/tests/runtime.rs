//! Outside of a Tokio runtime, every call of the library returns an error. Tokio itself would panic.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Debug;
use std::future::{pending, ready};

use futures_util::{FutureExt as _, StreamExt as _};
use veo_core::ledger::FileLedger;
use veo_core::{
    Client, Image, JobRef, Kie, Resolution, Settlement, Submission, Video, VideoRequest,
};

/// Polls a call once outside of a runtime. The call has to end with the error about the missing runtime.
#[track_caller]
fn check(call: &str, asked: impl Future<Output = impl Debug>) {
    let ended = asked.now_or_never();
    let told = format!("{ended:?}");
    assert!(told.contains("there is no tokio runtime"), "{call}: {told}");
}

#[test]
fn every_call_outside_of_a_runtime_names_that_as_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let open = FileLedger::open(folder.path().join("jobs.ledger"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ledger = runtime.block_on(open).unwrap();
    let plain = Client::new(Kie::new("the API key").unwrap()).unwrap();
    let recording = plain.clone().with_ledger(ledger);

    let request = VideoRequest::text("A kite over the sea");
    let image = Image::from(include_bytes!("../../../tests/media/kite.png").to_vec());
    let with_image = VideoRequest::image("It flies", image.clone());
    let job = JobRef::new("kie", "t1");
    let video = Video::new(
        job.clone(),
        vec!["https://cdn.example.net/v.mp4".to_owned()],
    );
    let place = folder.path().join("kite.mp4");
    check("check", image.check());
    let path = folder.path().join("other.ledger");
    check("open", FileLedger::open(&path));
    for client in [&plain, &recording] {
        check("prepare", client.prepare(&request));
        check("submit", client.submit(&request));
        check("submit_until", client.submit_until(&request, pending()));
        check("upload", client.upload(&image));
        check("upload_images", client.upload_images(&with_image));
        check("state", client.state(&job));
        check("states", client.states(&job).collect::<Vec<_>>());
        check("wait", client.wait(&job));
        check("upgrade", client.upgrade(&job, Resolution::K4));
        check("download", client.download(&video, &place));
        check("credits", client.credits("kie"));
        check("want", client.want("order 17", &request));
        check("submit_once", client.submit_once("order 17", &request));
        check("step", client.step("order 17"));
        check("run", client.run(|_, _| ready(())));
        check("run_until", client.run_until(pending(), |_, _| ready(())));
        check("entry", client.entry("order 17"));
        check("settle", client.settle("order 17", Settlement::NotTaken));
        let larger = client.want_upgrade(&job, Resolution::K4, None);
        check("want_upgrade", larger);
    }
}

/// A request that was planned within a runtime is not sent outside of the runtime.
#[test]
fn a_prepared_request_is_not_sent_outside_of_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = Client::new(Kie::new("the API key").unwrap()).unwrap();
    let request = VideoRequest::text("A kite over the sea");
    let prepared = runtime.block_on(client.prepare(&request)).unwrap();
    let Some(Submission::Rejected(error)) = client.send(prepared).now_or_never() else {
        panic!("it is rejected at once");
    };
    assert!(
        error.to_string().contains("there is no tokio runtime"),
        "{error}"
    );
}
