use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};
use veo_core::{
    AspectRatio, BoxFuture, Capabilities, Client, Error, ErrorKind, Job, JobRef, Limit, Mode,
    Model, Offer, Operation, Poll, Provider, Reason, Resolution, State, Submission, Tier, Upgrade,
    Video, VideoRequest,
};

use crate::setup::Setup;

/// A simulated provider without a network. It gives the `answers` of the test, and then accepts everything.
#[derive(Clone, Debug)]
pub(crate) struct FakeProvider {
    models: Vec<Model>,
    pub(crate) limit: Option<Limit>,
    /// The credits of the account, which no call changes.
    pub(crate) balance: Option<f64>,
    pub(crate) answers: Arc<Mutex<Vec<Answer>>>,
    pub(crate) sent: Arc<Mutex<Vec<String>>>,
    upgrades: Arc<AtomicUsize>,
    /// While a test has the write lock, the provider accepts requests and holds its replies back.
    pub(crate) submit_replies: Arc<RwLock<()>>,
    /// The same for the replies about the state of a task.
    pub(crate) state_replies: Arc<RwLock<()>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Lost,
    NoCredits,
    /// The provider wants no request for a minute.
    TooManyRequests,
}

impl FakeProvider {
    pub(crate) fn new(answers: &[Answer]) -> Self {
        let model = Model::new("fake", "m", Tier::Lite)
            .modes(&[Mode::Text])
            .resolutions(&[Resolution::P720, Resolution::K4])
            .aspect_ratios(&[AspectRatio::Landscape])
            .seconds(&[8]);
        Self {
            models: vec![model],
            limit: None,
            balance: None,
            answers: Arc::new(Mutex::new(answers.to_vec())),
            sent: Arc::default(),
            upgrades: Arc::default(),
            submit_replies: Arc::default(),
            state_replies: Arc::default(),
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

    /// Returns the number of paid calls for new videos.
    pub(crate) fn submits(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// Waits until there were this many paid calls for new videos.
    pub(crate) async fn until_sent(&self, count: usize) {
        let sent = async {
            while self.submits() < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), sent).await.unwrap();
    }

    /// Returns the number of paid calls for upgrades.
    pub(crate) fn upgrades(&self) -> usize {
        self.upgrades.load(Ordering::Relaxed)
    }
}

impl FakeProvider {
    /// Returns a client with its own ledger, like a client in another process.
    pub(crate) async fn client(&self, setup: &Setup) -> Client {
        setup.with_ledger(self.client_without_ledger()).await
    }

    pub(crate) fn client_without_ledger(&self) -> Client {
        let every = Duration::from_millis(1);
        let poll = Poll::default()
            .first(Duration::ZERO)
            .every(every)
            .every_upgrade(every);
        Client::new(self.clone()).unwrap().with_poll(poll)
    }
}

impl Provider for FakeProvider {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn models(&self) -> &[Model] {
        &self.models
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        let body = json!({ "text": request.prompt });
        Ok(Offer::new(model, request, Operation::Generate, body))
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default().upgrades(&[Resolution::K4]);
        capabilities.limit = self.limit;
        capabilities.credits = self.balance.is_some();
        capabilities
    }

    fn credits(&self) -> BoxFuture<'_, Result<f64, Error>> {
        Box::pin(async { Ok(self.balance.unwrap_or_default()) })
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        let mut sent = self.sent.lock().unwrap();
        sent.push(offer.request.prompt.clone());
        let number = sent.len();
        let answer = self.answer();
        Box::pin(async move {
            drop(self.submit_replies.read().await);
            match answer {
                Some(Answer::Lost) => Submission::of_error(lost(), offer, SystemTime::now()),
                Some(Answer::NoCredits) => Submission::Rejected(no_credits()),
                Some(Answer::TooManyRequests) => Submission::Rejected(too_many_requests()),
                None => Submission::Accepted(Job::new(offer, format!("task{number}"))),
            }
        })
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(async move {
            drop(self.state_replies.read().await);
            let mut video = Video::new(
                job.clone(),
                vec!["https://fake.example.net/video.mp4".to_owned()],
            );
            video.resolution = Some("720p".to_owned());
            Ok(State::Finished(Box::new(video)))
        })
    }

    fn upgrade<'a>(&'a self, _job: &'a JobRef, _to: Resolution) -> BoxFuture<'a, Upgrade> {
        self.upgrades.fetch_add(1, Ordering::Relaxed);
        let answer = self.answer();
        Box::pin(async move {
            // The pause lets other callers begin their call meanwhile.
            sleep(Duration::from_millis(20)).await;
            match answer {
                Some(Answer::Lost) => Upgrade::Unknown(lost()),
                _ => Upgrade::Rejected(no_credits()),
            }
        })
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the reply was lost")
}

fn no_credits() -> Error {
    Error::new(ErrorKind::InsufficientCredits, "there are no credits")
}

fn too_many_requests() -> Error {
    let minute = Some(Duration::from_secs(60));
    Error::new(ErrorKind::RateLimited, "too many requests").with_retry_after(minute)
}
