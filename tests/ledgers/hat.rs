use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use veo_core::{
    AspectRatio, BoxFuture, Capabilities, Client, Error, ErrorKind, Job, JobRef, Mode, Model,
    Offer, Operation, Poll, Provider, Reason, Resolution, State, Submission, Tier, Upgrade, Video,
    VideoRequest,
};

use crate::place::Place;

/// A simulated provider without a network. It gives the `answers` of the test, and then accepts everything.
#[derive(Clone, Debug)]
pub(crate) struct Hat {
    models: Vec<Model>,
    pub(crate) answers: Arc<Mutex<Vec<Answer>>>,
    pub(crate) sent: Arc<Mutex<Vec<String>>>,
    upgraded: Arc<AtomicUsize>,
    /// Permits for the answers to requests. Each answer needs a permit, and waits while there is none.
    pub(crate) taken: Arc<Semaphore>,
    /// Permits for the answers about tasks, with the same rule.
    pub(crate) asked: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Lost,
    NoCredits,
}

impl Hat {
    pub(crate) fn new(answers: &[Answer]) -> Self {
        let model = Model::new("hat", "m", Tier::Lite)
            .modes(&[Mode::Text])
            .resolutions(&[Resolution::P720, Resolution::K4])
            .aspect_ratios(&[AspectRatio::Landscape])
            .seconds(&[8]);
        let (sent, upgraded) = Default::default();
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        Self {
            models: vec![model],
            answers,
            sent,
            upgraded,
            taken: Arc::new(Semaphore::new(1000)),
            asked: Arc::new(Semaphore::new(1000)),
        }
    }

    pub(crate) fn offered(&self, request: &VideoRequest, body: Value) -> Offer {
        Offer::new(&self.models[0], request, Operation::Generate, body)
    }

    fn answer(&self) -> Option<Answer> {
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() {
            None
        } else {
            Some(answers.remove(0))
        }
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.sent.lock().unwrap().len(),
            self.upgraded.load(Ordering::Relaxed),
        )
    }
}

impl Hat {
    /// Returns a client with its own ledger, like a client in another process.
    pub(crate) async fn client(&self, place: &Place) -> Client {
        let every = Duration::from_millis(1);
        let poll = Poll::default()
            .first(Duration::ZERO)
            .every(every)
            .every_upgrade(every);
        let client = Client::new(self.clone()).unwrap().with_poll(poll);
        place.recorded(client).await
    }
}

impl Provider for Hat {
    fn name(&self) -> &'static str {
        "hat"
    }

    fn models(&self) -> &[Model] {
        &self.models
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        let body = json!({ "text": request.prompt });
        Ok(Offer::new(model, request, Operation::Generate, body))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().upgrades(&[Resolution::K4])
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        let mut sent = self.sent.lock().unwrap();
        sent.push(offer.request.prompt.clone());
        let number = sent.len();
        let answer = self.answer();
        Box::pin(async move {
            self.taken.acquire().await.unwrap().forget();
            match answer {
                Some(Answer::Lost) => Submission::of_error(lost(), offer, SystemTime::now()),
                _ => Submission::Accepted(Job::new(offer, format!("rabbit{number}"))),
            }
        })
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async move {
            self.asked.acquire().await.unwrap().forget();
            let mut video = Video::new(
                job.clone(),
                vec!["https://hat.example.net/rabbit.mp4".to_owned()],
            );
            video.resolution = Some("720p".to_owned());
            Ok(State::Finished(Box::new(video)))
        })
    }

    fn upgrade<'a>(&'a self, _job: &'a JobRef, _to: Resolution) -> BoxFuture<'a, Upgrade> {
        self.upgraded.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer();
        Box::pin(async move {
            // The pause lets other callers begin their call meanwhile.
            sleep(Duration::from_millis(20)).await;
            match answer {
                Some(Answer::Lost) => Upgrade::Unknown(lost()),
                _ => Upgrade::Rejected(Error::new(
                    ErrorKind::InsufficientCredits,
                    "there are no credits",
                )),
            }
        })
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the reply was lost")
}
