use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::stream::{self, BoxStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast};
use tracing::{Instrument, info_span};

use crate::download::Downloader;
use crate::history::Histories;
use crate::ledger::{Budget, Entry, Ledger, NoLedger, Wish};
use crate::runtime::runtime;
use crate::wait::Waiting;
use crate::wire::Wire;
use crate::{
    Downloads, Error, ErrorKind, Image, JobRef, Model, Plan, Poll, Provider, Refusal, Resolution,
    Saved, State, Video, VideoRequest,
};
use crate::{image, plan};

/// The number of stored or settled keys that a run can queue. A run that falls behind reads the whole ledger.
const HURRIED: usize = 256;

/// A client of one or more providers, which makes videos. Clones are cheap: they share connections, limits and permits.
///
/// The examples use a client of a simulated provider; [`new`](Self::new) makes a real one.
///
/// | to | use |
/// | --- | --- |
/// | see what would be sent, and to whom | [`plan`](Self::plan), [`models`](Self::models) |
/// | keep a ledger of what is paid | [`with_ledger`](Self::with_ledger), [`with_budget`](Self::with_budget) |
/// | pay for a video | [`submit_once`](Self::submit_once), [`submit`](Self::submit); [`prepare`](Self::prepare) and [`send`](Self::send) |
/// | continue after a crash | [`run`](Self::run), [`run_until`](Self::run_until) or [`step`](Self::step); [`settle`](Self::settle) |
/// | get the video | [`wait`](Self::wait), [`download`](Self::download), [`upgrade`](Self::upgrade) |
/// | see the progress | [`state`](Self::state), [`states`](Self::states), [`wait_with`](Self::wait_with), [`download_with`](Self::download_with) |
/// | make many videos | [`permit`](Self::permit) |
/// | look after the account | [`credits`](Self::credits), [`upload`](Self::upload) |
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("dog.mp4");
/// use veo_core::{Submission, VideoRequest};
///
/// match client.submit(&VideoRequest::text("A dog playing in a park")).await {
///     Submission::Accepted(job) => {
///         println!("{} is paid for", job.reference);
///         let video = client.wait(&job).await?;
///         let saved = client.download(&video, &file).await?;
///         assert_eq!((saved.media.width, saved.media.height), (1280, 720));
///     }
///     Submission::Rejected(error) => println!("not charged: {error}"),
///     Submission::Unknown(unknown) => println!("maybe charged: {}", unknown.error),
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    /// The providers, one for each account, in the order in which they are asked.
    providers: Vec<Arc<dyn Provider>>,
    /// The accounts that the caller has added a second time. Their second providers are never asked.
    duplicate_accounts: Vec<String>,
    /// A provider that stores images if no other provider can. It is never asked for a video.
    uploader: Option<Arc<dyn Provider>>,
    ledger: Arc<dyn Ledger>,
    /// True if the caller has given the ledger.
    has_ledger: bool,
    budget: Option<Budget>,
    /// The last known balance of the budget's account.
    balance: Arc<Mutex<Option<f64>>>,
    /// A count of the calls on the wire, which clones share.
    wire: Wire,
    /// The keys that a run is to step now.
    hurry: broadcast::Sender<String>,
    pub(crate) downloader: Arc<Downloader>,
    poll: Arc<Poll>,
    histories: Histories,
    /// The permits, one for each job that may be under way. Clones share the permits.
    in_flight: Option<Arc<Semaphore>>,
}

/// A permission for one job to be under way, from [`Client::permit`]. Dropping the permit returns it to the client.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// let client = client.with_max_in_flight(1);
/// let permit = client.permit().await;
/// let job = accepted(&client).await;
/// client.wait(&job).await?;
/// // Now the next one may begin.
/// drop(permit);
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Client {
    /// Makes a client with one provider. It opens no connection yet.
    ///
    /// ```
    /// # fn example() -> Result<(), veo_core::Error> {
    /// use veo_core::{Client, Kie};
    ///
    /// let client = Client::new(Kie::new("the API key")?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if no HTTP client can be made on this machine.
    pub fn new(provider: impl Provider + 'static) -> Result<Self, Error> {
        Ok(Self {
            providers: vec![Arc::new(provider)],
            duplicate_accounts: Vec::new(),
            uploader: None,
            ledger: Arc::new(NoLedger::new()),
            has_ledger: false,
            budget: None,
            balance: Arc::default(),
            wire: Wire::new(),
            hurry: broadcast::Sender::new(HURRIED),
            downloader: Arc::new(Downloader::new(Downloads::default())?),
            poll: Arc::default(),
            histories: Histories::default(),
            in_flight: None,
        })
    }

    /// Adds a provider, which is asked only if the providers before it have certainly not accepted a request.
    ///
    /// A client has each account once, since a [`JobRef`] names the account. A second provider of the same account is
    /// never asked, even with another API key; every [plan](Self::plan) refuses it. Give a second account its own name.
    ///
    /// ```
    /// # fn main() -> Result<(), veo_core::Error> {
    /// use veo_core::{Client, Kie, UniAll, VideoRequest};
    ///
    /// let client = Client::new(Kie::new("a key")?)?.or(UniAll::new("another key")?);
    /// let plan = client.plan(&VideoRequest::text("A dog playing in a park"));
    /// let order: Vec<_> = plan.offers.iter().map(|offer| offer.provider.as_str()).collect();
    /// assert_eq!(order, ["kie", "uniall"]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn or(mut self, provider: impl Provider + 'static) -> Self {
        let account = provider.account();
        if self.account(&account).is_some() {
            self.duplicate_accounts.push(account);
        } else {
            self.providers.push(Arc::new(provider));
        }
        self
    }

    /// Adds a provider for local images. Images are uploaded to it if the other providers, such as UniAll, store none.
    /// It is never asked for a video.
    ///
    /// ```
    /// # fn main() -> Result<(), veo_core::Error> {
    /// use std::path::PathBuf;
    /// use veo_core::{Client, Kie, UniAll, VideoRequest};
    ///
    /// let request = VideoRequest::image("It starts to rain", PathBuf::from("house.png"));
    /// let client = Client::new(UniAll::new("a key")?)?;
    /// assert!(client.plan(&request).offers.is_empty());
    /// let client = client.with_uploader(Kie::new("another key")?);
    /// assert_eq!(client.plan(&request).offers[0].provider, "uniall");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_uploader(mut self, provider: impl Provider + 'static) -> Self {
        self.uploader = Some(Arc::new(provider));
        self
    }

    /// Adds a ledger: each paid call is written down before it is sent, and its outcome afterwards. Then nothing is
    /// paid twice under one key, and no paid job is lost, even if the process is killed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("jobs.ledger");
    /// use veo_core::VideoRequest;
    /// use veo_core::ledger::{EntryState, FileLedger};
    ///
    /// let client = client.with_ledger(FileLedger::open(path).await?);
    /// let _ = client.submit_once("order 17", &VideoRequest::text("A dog playing in a park")).await;
    /// let entry = client.entry("order 17").await?;
    /// assert_eq!(entry.map(|entry| entry.state), Some(EntryState::Accepted));
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_ledger(mut self, ledger: impl Ledger + 'static) -> Self {
        (self.ledger, self.has_ledger) = (Arc::new(ledger), true);
        self
    }

    /// Adds a cap: no paid call leaves that could cost more than the budget has left. It needs a
    /// [ledger](Self::with_ledger), which counts the spending of all processes that use the budget. The client then
    /// uses only the account of the budget.
    ///
    /// The client learns an unknown price from the first call of its kind. No other call of the budget is made at that
    /// time.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        (self.budget, self.balance) = (Some(budget), Arc::default());
        self
    }

    /// Sets how to wait for jobs.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use std::time::Duration;
    /// use veo_core::Poll;
    ///
    /// let patient = client.with_poll(Poll::default().give_up_after(Duration::from_secs(60 * 60)));
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_poll(mut self, poll: Poll) -> Self {
        self.poll = Arc::new(poll);
        self
    }

    /// Sets how to download videos.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::Downloads;
    ///
    /// let frugal = client.with_downloads(Downloads::default().max_bytes(100 << 20))?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if no HTTP client can be made on this machine.
    pub fn with_downloads(mut self, downloads: Downloads) -> Result<Self, Error> {
        self.downloader = Arc::new(Downloader::new(downloads)?);
        Ok(self)
    }

    /// Sets whether a downloaded video replaces an existing file. See [`Downloads::replace`].
    #[must_use]
    pub fn with_replacing(mut self, replace: bool) -> Self {
        Arc::make_mut(&mut self.downloader).replace(replace);
        self
    }

    /// Sets how many [permits](Self::permit) this client and its clones have; at least 1. By default there is no cap.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// let client = client.with_max_in_flight(8);
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_max_in_flight(mut self, jobs: usize) -> Self {
        self.in_flight = Some(Arc::new(Semaphore::new(
            jobs.clamp(1, Semaphore::MAX_PERMITS),
        )));
        self
    }

    /// Waits until one more job may be under way. The first to ask gets the first permit. Without [a
    /// cap](Self::with_max_in_flight) this does not wait.
    ///
    /// Hold the permit from before [`submit`](Self::submit) until the job has ended. `submit` itself needs no permit.
    /// Otherwise a caller that submits all requests before it waits for a job would wait for ever.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::{Submission, VideoRequest};
    ///
    /// let client = client.with_max_in_flight(8);
    /// let mut tasks = tokio::task::JoinSet::new();
    /// for number in 1..=20 {
    ///     let client = client.clone();
    ///     tasks.spawn(async move {
    ///         let _permit = client.permit().await;
    ///         match client.submit(&VideoRequest::text(format!("Dog number {number}"))).await {
    ///             Submission::Accepted(job) => client.wait(&job).await.is_ok(),
    ///             _ => false,
    ///         }
    ///     });
    /// }
    /// assert_eq!(tasks.join_all().await, [true; 20]);
    /// # Ok(()) }) }
    /// ```
    pub async fn permit(&self) -> Permit {
        let permit = match &self.in_flight {
            // The semaphore is never closed, so this never fails.
            Some(permits) => permits.clone().acquire_owned().await.ok(),
            None => None,
        };
        Permit { _permit: permit }
    }

    /// Returns the models of all providers, with their abilities.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// for model in client.models() {
    ///     println!("{} {}: {:?}, {:?}", model.provider, model.name, model.tier, model.modes);
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.providers().flat_map(|provider| provider.models())
    }

    /// Returns the exact body that would be sent to each provider, and why the other providers cannot make the video.
    /// Nothing is sent. This reads the files of images, which can block the thread.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::VideoRequest;
    ///
    /// let plan = client.plan(&VideoRequest::text("A dog playing in a park").seconds(4));
    /// assert_eq!(plan.offers[0].body["duration"], 4);
    ///
    /// let plan = client.plan(&VideoRequest::text("A dog playing in a park").seconds(5));
    /// assert!(plan.offers.is_empty());
    /// println!("{}", plan.refusals[0]);
    /// # Ok(()) }) }
    /// ```
    pub fn plan(&self, request: &VideoRequest) -> Plan {
        let mut plan = plan::plan(
            self.providers(),
            request,
            image::lacks_uploader(request, self.uploaders()),
        );
        plan.refusals.extend(
            self.duplicate_accounts
                .iter()
                .map(|account| Refusal::of_duplicate(account)),
        );
        plan
    }

    /// Plans a request without blocking a thread of the runtime while images are read.
    pub(crate) async fn planned(&self, request: &VideoRequest) -> Plan {
        if !image::has_local(request) {
            return self.plan(request);
        }
        let client = self.clone();
        let owned = request.clone();
        let planning = tokio::task::spawn_blocking(move || client.plan(&owned));
        planning.await.unwrap_or_else(|_| self.plan(request))
    }

    /// Asks once for the state of a job.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// use veo_core::State;
    ///
    /// match client.state(&job).await? {
    ///     State::Finished(video) => println!("{:?}", video.urls),
    ///     State::Running { percent: Some(percent) } => println!("{percent} %"),
    ///     State::Failed(error) => println!("{error}"),
    ///     _ => println!("not yet"),
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An error means only that the question failed, and says nothing about the job. Its kind is
    /// [`ErrorKind::Unavailable`] if the provider did not answer. The error carries the job.
    pub async fn state(&self, job: impl AsRef<JobRef>) -> Result<State, Error> {
        self.ask(job.as_ref()).await
    }

    /// Waits until a job has ended, and asks as often as [`Poll`] says. Dropping the future ends the wait and not the
    /// job. If the video is smaller than requested, this makes it larger by a paid [upgrade](Self::upgrade), or
    /// [`Video::shortfall`] says why not.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// use veo_core::{Charged, JobRef};
    ///
    /// // In another process, a line is enough.
    /// let job: JobRef = job.reference.to_string().parse()?;
    /// match client.wait(&job).await {
    ///     Ok(video) => println!("{:?}", video.urls),
    ///     Err(error) if error.charged() == Charged::Yes => println!("wait again for {job}: {error}"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::JobFailed`], [`ErrorKind::Policy`] and [`ErrorKind::Retired`] if the job failed. With any other
    /// kind the job, or its upgrade, may still be running: wait again. The error carries the job.
    pub async fn wait(&self, job: impl AsRef<JobRef>) -> Result<Video, Error> {
        self.wait_with(job, |_state| {}).await
    }

    /// Waits like [`wait`](Self::wait), and reports every state on the way.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// let video = client.wait_with(&job, |state| println!("{state:?}")).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`wait`](Self::wait).
    pub async fn wait_with(
        &self,
        job: impl AsRef<JobRef>,
        mut on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        let job = job.as_ref();
        runtime().map_err(|error| error.with_job(job))?;
        let Some(provider) = self.provider_of(job) else {
            return Err(no_such_provider(job));
        };
        // Many jobs can be waited for at the same time, so large and seldom used values are boxed.
        let entry = self.entry_of(job).await.map(Box::new);
        if let Some(entry) = &entry {
            // An entry with a damaged line does not have the address to which it was sent.
            if !matches!(entry.wish, Wish::Lost) {
                self.check_address(job, entry.base_url())?;
            }
            if let Some(to) = entry.upgrade() {
                let small = job.without_resolution();
                return Box::pin(self.enlarge(&small, to, false, on_state)).await;
            }
        }
        let accepted = entry.as_ref().and_then(|entry| entry.job());
        let mut waiting = self.waiting(job, accepted.map(|job| job.accepted_at));
        let ended = follow(&mut waiting, provider, job, &mut on_state)
            .instrument(info_span!("wait", job = %job))
            .await;
        Box::pin(self.conclude(job, entry, ended, on_state)).await
    }

    /// Returns the states of a job as a stream. The stream ends with the finished video, with the failure of the job,
    /// or with an error if the state could not be read. Dropping the stream ends the questions and not the job. Unlike
    /// [`wait`](Self::wait), it pays for no upgrade of a small video.
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// async fn follow(client: &veo_core::Client, job: &veo_core::Job) {
    ///     let mut states = client.states(job);
    ///     while let Some(state) = states.next().await {
    ///         println!("{state:?}");
    ///     }
    /// }
    /// ```
    pub fn states(&self, job: impl AsRef<JobRef>) -> BoxStream<'static, Result<State, Error>> {
        let job = job.as_ref().clone();
        let provider = self.shared_account(&job.account());
        let start = Some((self.waiting(&job, None), provider, job));
        let states = stream::unfold(start, |following| async {
            let (mut waiting, provider, job) = following?;
            let asked = match &provider {
                Some(provider) => next_state(&mut waiting, &**provider, &job).await,
                None => Err(no_such_provider(&job)),
            };
            let state = asked.map_err(|error| error.with_job(&job));
            let goes_on = matches!(state, Ok(State::Pending | State::Running { .. }));
            Some((state, goes_on.then_some((waiting, provider, job))))
        });
        Box::pin(states)
    }

    /// Saves a finished video as an MP4 file. The file appears when it is complete, and replaces one of the same name.
    ///
    /// A transfer that breaks off or stalls continues where it stopped, or from the start if the media host cannot
    /// continue. If the media host does not accept a link any more, the provider is asked for a new one. The API key is
    /// sent only to the provider's own API, and to no media host.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// # let video = client.wait(&job).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("dog.mp4");
    /// use veo_core::Receipt;
    ///
    /// let saved = client.download(&video, &file).await?;
    /// let receipt = Receipt::new(&job, &video, &saved);
    /// assert!(receipt.discrepancies.is_empty());
    /// println!("{}", serde_json::to_string_pretty(&receipt)?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`] if no link leads to the video. Then there is no new file, and the error carries the job.
    pub async fn download(&self, video: &Video, path: impl AsRef<Path>) -> Result<Saved, Error> {
        self.download_with(video, path, |_received, _total| {})
            .await
    }

    /// Saves like [`download`](Self::download), and reports the bytes so far, and the total if it is known. The number
    /// of bytes falls when a transfer starts again.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// # let video = client.wait(&job).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("dog.mp4");
    /// let tell = |received, total| println!("{received} of {total:?}");
    /// let saved = client.download_with(&video, &file, tell).await?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`download`](Self::download).
    pub async fn download_with(
        &self,
        video: &Video,
        path: impl AsRef<Path>,
        on_bytes: impl FnMut(u64, Option<u64>),
    ) -> Result<Saved, Error> {
        let span = info_span!("download", job = %video.job);
        let saving = self.save(video, path.as_ref(), on_bytes);
        let saved = saving.instrument(span).await;
        saved.map_err(|error| error.with_job(&video.job))
    }

    /// Returns the balance of an account, in the provider's credits. `provider` is the name of the provider, or of a
    /// named account (`kie@studio`). The balance can be a fraction, and below zero. Only kie.ai reports a balance. A
    /// credit there has cost half a US cent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// match client.credits("kie").await {
    ///     Ok(credits) => println!("{credits} credits are left"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if this client does not have the account, or if the provider, such as UniAll,
    /// reports no balance; otherwise the error of the question. The question costs nothing.
    pub async fn credits(&self, provider: &str) -> Result<f64, Error> {
        let Some(found) = self.account(provider) else {
            let message = format!("this client has no account {provider}; add it");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        };
        if !found.capabilities().credits {
            let message =
                format!("{provider} does not tell its balance to programs; look at its web site");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        runtime()?;
        found.credits().await
    }

    /// Uploads a local image, and returns a URL that every provider can reach. For an image that has a URL, returns
    /// this URL. [`submit`](Self::submit) uploads images by itself; use this for an image of many requests.
    ///
    /// The image goes to the first provider that stores images. kie.ai's pages say that it keeps an image for three
    /// days; one day has been seen. An upload costs nothing.
    ///
    /// ```
    /// use std::path::PathBuf;
    /// use veo_core::{Client, Error, Image, VideoRequest};
    ///
    /// async fn two_videos(client: &Client) -> Result<[VideoRequest; 2], Error> {
    ///     let url = client.upload(&Image::from(PathBuf::from("park.png"))).await?;
    ///     Ok([VideoRequest::image("It starts to rain", url.as_str()), VideoRequest::image("It starts to snow", url)])
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the image cannot be read, is not a JPEG, PNG or WebP, is larger than 20 MiB, or
    /// if no provider of this client stores images; otherwise the error of the provider.
    pub async fn upload(&self, image: &Image) -> Result<String, Error> {
        image::reachable(image, self.uploaders()).await
    }

    /// [Uploads](Self::upload) the local images of a request, and returns the request with the URLs of all its images.
    /// [`submit`](Self::submit) does this by itself. Use this to upload before you write down the paid request.
    ///
    /// ```
    /// use veo_core::{Client, Error, Submission, VideoRequest};
    ///
    /// async fn submit_later(client: &Client, request: &VideoRequest) -> Result<Submission, Error> {
    ///     let request = client.upload_images(request).await?;
    ///     println!("about to pay for {}", request.prompt);
    ///     Ok(client.submit(&request).await)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`upload`](Self::upload). An upload costs nothing, even if it fails.
    pub async fn upload_images(&self, request: &VideoRequest) -> Result<VideoRequest, Error> {
        image::uploaded(request, self.uploaders()).await
    }

    pub(crate) fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Returns an error if a job was sent to another address than this client uses: a provider does not have the jobs
    /// of a simulator. `base_url` is the address in the entry of the job.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if this client uses another address for the account of the job.
    pub fn check_address(
        &self,
        job: impl AsRef<JobRef>,
        base_url: Option<&str>,
    ) -> Result<(), Error> {
        let job = job.as_ref();
        let Some(provider) = self.provider_of(job) else {
            return Ok(());
        };
        if provider.base_url() == base_url {
            return Ok(());
        }
        let own_address = "the provider's own address";
        let there = base_url.unwrap_or(own_address);
        let here = provider.base_url().unwrap_or(own_address);
        let message = format!(
            "its request was sent to {there}, but this client uses {here}; correct the base URL"
        );
        Err(Error::new(ErrorKind::InvalidRequest, message).with_job(job))
    }

    pub(crate) fn has_ledger(&self) -> bool {
        self.has_ledger
    }

    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    pub(crate) fn balance(&self) -> &Mutex<Option<f64>> {
        &self.balance
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn hurry(&self) -> &broadcast::Sender<String> {
        &self.hurry
    }

    pub(crate) fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Makes the wait for a job that was accepted at this time, if the time is known.
    pub(crate) fn waiting(&self, job: &JobRef, accepted_at: Option<SystemTime>) -> Waiting {
        let age = accepted_at.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        let history = self.histories.of(&job.account());
        Waiting::of_job(self.poll.clone(), age, history)
    }

    pub(crate) async fn ask(&self, job: &JobRef) -> Result<State, Error> {
        runtime().map_err(|error| error.with_job(job))?;
        let provider = self.provider_of(job).ok_or_else(|| no_such_provider(job))?;
        provider
            .state(job)
            .await
            .map(|state| state.with_job(job))
            .map_err(|error| error.with_job(job))
    }

    /// Corrects the failure of a job by its request: the error names an image only if the request has one, and it names
    /// the models that can replace a retired model.
    pub(crate) fn as_of(&self, entry: &Entry, mut error: Error) -> Error {
        let Wish::Request { request, .. } = &entry.wish else {
            return error;
        };
        if request.images().is_empty() {
            error = error.not_of_an_image();
        }
        if error.kind() == ErrorKind::Retired
            && let Some(job) = entry.job()
            && let Some(provider) = self.account(&job.offer.account)
        {
            error = plan::with_other_models(error, provider, &job.offer);
        }
        error
    }

    /// Ends a wait: writes down how the job has ended, and enlarges a video that is smaller than requested.
    async fn conclude(
        &self,
        job: &JobRef,
        entry: Option<Box<Entry>>,
        ended: Result<Video, Error>,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        let ended = ended.map_err(|error| match &entry {
            Some(entry) => self.as_of(entry, error).with_job(job),
            None => error.with_job(job),
        });
        if let Some(entry) = &entry {
            self.write_end(entry, &ended).await;
        }
        let video = ended?;
        match job.resolution {
            Some(wanted) if video.is_below(wanted) => {
                self.enlarge_or_keep(video, job, wanted, on_state).await
            }
            _ => Ok(video),
        }
    }

    /// Writes down the end of a job, if the job has ended. The caller gets the result even if writing fails.
    async fn write_end(&self, entry: &Entry, ended: &Result<Video, Error>) {
        let written = match ended {
            Ok(video) => self.record_finished(entry, video).await,
            Err(error) if error.ends_job() => self.record_failed(entry, error).await,
            Err(_) => Ok(()),
        };
        if let Err(error) = written {
            tracing::error!(%error, key = entry.key, "the ledger cannot be written");
        }
    }

    /// Makes a video larger that is smaller than requested. If the upgrade is refused, returns the smaller video.
    async fn enlarge_or_keep(
        &self,
        small: Video,
        job: &JobRef,
        wanted: Resolution,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        match self.enlarge(&small.job, wanted, false, on_state).await {
            Ok(larger) => Ok(Video {
                urls: larger.urls,
                inline: larger.inline,
                resolution: larger.resolution,
                raw: larger.raw,
                // The reported cost is that of the smaller video, and not that of the video and its upgrade.
                credits: None,
                ..small
            }),
            // The smaller video is paid for, so the caller gets it in the place of this error.
            Err(error) if error.refuses_upgrade() => {
                let shortfall =
                    format!("the video was to be {wanted}, and cannot be upgraded: {error}");
                Ok(Video {
                    shortfall: Some(shortfall),
                    ..small
                })
            }
            // The upgrade may be paid for. Waiting again continues the same upgrade.
            Err(error) => Err(error.with_job(job)),
        }
    }

    pub(crate) fn account(&self, account: &str) -> Option<&dyn Provider> {
        self.providers()
            .find(|provider| provider.account() == account)
    }

    pub(crate) fn shared_account(&self, account: &str) -> Option<Arc<dyn Provider>> {
        self.providers
            .iter()
            .find(|provider| provider.account() == account)
            .cloned()
    }

    pub(crate) fn provider_of(&self, job: &JobRef) -> Option<&dyn Provider> {
        self.account(&job.account())
    }

    fn providers(&self) -> impl Iterator<Item = &dyn Provider> + Clone {
        self.providers.iter().map(|provider| &**provider)
    }

    /// Returns the providers that may store images, in the order in which they are asked.
    fn uploaders(&self) -> impl Iterator<Item = &dyn Provider> + Clone {
        self.providers().chain(self.uploader.as_deref())
    }
}

/// Asks until a job has ended, and reports every state on the way.
async fn follow(
    waiting: &mut Waiting,
    provider: &dyn Provider,
    job: &JobRef,
    on_state: &mut impl FnMut(&State),
) -> Result<Video, Error> {
    loop {
        let state = next_state(waiting, provider, job).await?;
        on_state(&state);
        if let Some(ended) = state.ended() {
            return ended;
        }
    }
}

async fn next_state(
    waiting: &mut Waiting,
    provider: &dyn Provider,
    job: &JobRef,
) -> Result<State, Error> {
    loop {
        waiting.until_next()?.await;
        let answer = provider.describe(job).await;
        if let Ok(described) = &answer {
            waiting.note(described.word.clone());
        }
        if let Some(state) = waiting.take_up(answer.map(|described| described.state))? {
            return Ok(state.with_job(job));
        }
    }
}

pub(crate) fn no_such_provider(job: &JobRef) -> Error {
    let message = format!("this client has no account {}; add it", job.account());
    Error::new(ErrorKind::InvalidRequest, message).with_job(job)
}

/// Makes the error of a request that no provider can fulfil, with all reasons.
pub(crate) fn no_provider_can(refusals: &[Refusal]) -> Error {
    let refusals: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    Error::new(ErrorKind::InvalidRequest, refusals.join("\n"))
}
