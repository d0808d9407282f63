use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::field::{Empty, display};
use tracing::{Instrument, info_span};

use crate::download::Downloader;
use crate::limit::Window;
use crate::wait::Waiting;
use crate::{
    BoxFuture, Downloads, Error, ErrorKind, Image, JobRef, Model, Plan, Poll, Provider, Refusal, Resolution, Saved,
    State, Submission, Upgrade, Video, VideoRequest,
};
use crate::{image, plan, wait};

/// Makes videos with one provider or several. Clones are cheap, and share connections, limits and permits.
///
/// In the examples the client is one of a simulated provider; [`new`](Self::new) makes a real one.
///
/// | to | use |
/// | --- | --- |
/// | see what would be sent, and to whom | [`plan`](Self::plan), [`models`](Self::models) |
/// | pay for a video | [`submit`](Self::submit) |
/// | get it | [`wait`](Self::wait) or [`states`](Self::states), [`download`](Self::download), [`upgrade`](Self::upgrade) |
/// | make many | [`permit`](Self::permit) |
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
///         let video = client.wait(&job, |state| println!("{state:?}")).await?;
///         let saved = client.download(&video, &file, |_received, _total| {}).await?;
///         assert_eq!((saved.media.width, saved.media.height), (1280, 720));
///     }
///     Submission::Rejected(error) => println!("not charged: {error}"),
///     Submission::Unknown(unknown) => println!("maybe charged: {}", unknown.error),
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    entries: Vec<Entry>,
    /// The accounts that were given once more, which are never asked.
    doubles: Vec<String>,
    /// Who has a place for images if none of the providers has, and is not asked for videos.
    uploader: Option<Arc<dyn Provider>>,
    downloader: Downloader,
    poll: Poll,
    /// One permit for each job that may be under way; clones share them.
    in_flight: Option<Arc<Semaphore>>,
}

/// A provider, and when it was last sent paid requests.
#[derive(Clone, Debug)]
struct Entry {
    provider: Arc<dyn Provider>,
    window: Window,
}

/// Leave for one job to be under way, which is given back when this is dropped. From [`Client::permit`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// let client = client.with_max_in_flight(1);
/// let permit = client.permit().await;
/// let job = accepted(&client).await;
/// client.wait(&job, |_| {}).await?;
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
    /// A client of a provider. Makes no connection yet.
    ///
    /// ```
    /// # #[cfg(feature = "kie")]
    /// # fn example() -> Result<(), veo_core::Error> {
    /// use veo_core::{Client, Kie};
    ///
    /// let client = Client::new(Kie::new("the API key")?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if there can be no HTTP client on this machine.
    pub fn new(provider: impl Provider + 'static) -> Result<Self, Error> {
        Ok(Self {
            entries: vec![Entry::new(provider)],
            doubles: Vec::new(),
            uploader: None,
            downloader: Downloader::new(Downloads::default())?,
            poll: Poll::default(),
            in_flight: None,
        })
    }

    /// The same client with one more provider, which is asked when those before it have not taken a request.
    ///
    /// A client has each account once, since a [`JobRef`] names it: a second account at a provider needs a name of its own, as
    /// by `Kie::named`. One that the client has already is never asked, and every [plan](Self::plan) refuses it.
    ///
    /// ```
    /// # #[cfg(all(feature = "kie", feature = "uniall"))]
    /// # fn main() -> Result<(), veo_core::Error> {
    /// use veo_core::{Client, Kie, UniAll, VideoRequest};
    ///
    /// let client = Client::new(Kie::new("a key")?)?.or(UniAll::new("another key")?);
    /// let plan = client.plan(&VideoRequest::text("A dog playing in a park"));
    /// let order: Vec<_> = plan.offers.iter().map(|offer| offer.provider.as_str()).collect();
    /// assert_eq!(order, ["kie", "uniall"]);
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "kie", feature = "uniall")))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn or(mut self, provider: impl Provider + 'static) -> Self {
        let entry = Entry::new(provider);
        let account = entry.provider.account();
        if self.account(&account).is_some() {
            self.doubles.push(account);
        } else {
            self.entries.push(entry);
        }
        self
    }

    /// The same client with a place for images of this machine: they are uploaded to this provider if none of those that make
    /// the videos has a place, such as UniAll. It is asked for no video.
    ///
    /// ```
    /// # #[cfg(all(feature = "kie", feature = "uniall"))]
    /// # fn main() -> Result<(), veo_core::Error> {
    /// use veo_core::{Client, Image, Kie, UniAll, VideoRequest};
    ///
    /// let request = VideoRequest::image("It starts to rain", Image::from(vec![0x89, b'P', b'N', b'G']));
    /// let client = Client::new(UniAll::new("a key")?)?;
    /// assert!(client.plan(&request).offers.is_empty());
    /// let client = client.with_uploader(Kie::new("another key")?);
    /// assert_eq!(client.plan(&request).offers[0].provider, "uniall");
    /// # Ok(()) }
    /// # #[cfg(not(all(feature = "kie", feature = "uniall")))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn with_uploader(mut self, provider: impl Provider + 'static) -> Self {
        self.uploader = Some(Arc::new(provider));
        self
    }

    /// The same client with another way of waiting.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use std::time::Duration;
    /// use veo_core::Poll;
    ///
    /// let patient = client.with_poll(Poll { give_up_after: Duration::from_secs(60 * 60), ..Poll::default() });
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_poll(mut self, poll: Poll) -> Self {
        self.poll = poll;
        self
    }

    /// The same client with another way of downloading.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::Downloads;
    ///
    /// let frugal = client.with_downloads(Downloads { max_bytes: 100 << 20, ..Downloads::default() })?;
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if there can be no HTTP client on this machine.
    pub fn with_downloads(mut self, downloads: Downloads) -> Result<Self, Error> {
        self.downloader = Downloader::new(downloads)?;
        Ok(self)
    }

    /// The same client with a cap on how many [permits](Self::permit) it and its clones give out at a time; at least 1. Without
    /// this there is none.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// let client = client.with_max_in_flight(8);
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_max_in_flight(mut self, jobs: usize) -> Self {
        self.in_flight = Some(Arc::new(Semaphore::new(jobs.clamp(1, Semaphore::MAX_PERMITS))));
        self
    }

    /// Waits until one more job may be under way, in the order of asking; at once if there is [no cap](Self::with_max_in_flight).
    ///
    /// Hold the permit from before [`submit`](Self::submit) until the job has ended. `submit` itself takes none: whoever submits
    /// everything before waiting for anything would wait for ever.
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
    ///             Submission::Accepted(job) => client.wait(&job, |_| {}).await.is_ok(),
    ///             _ => false,
    ///         }
    ///     });
    /// }
    /// assert_eq!(tasks.join_all().await, [true; 20]);
    /// # Ok(()) }) }
    /// ```
    pub async fn permit(&self) -> Permit {
        let permit = match &self.in_flight {
            // It is never closed, so there is always one in the end.
            Some(permits) => permits.clone().acquire_owned().await.ok(),
            None => None,
        };
        Permit { _permit: permit }
    }

    /// The models of all providers, and what they can do.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// for model in client.models() {
    ///     println!("{} {}: {}, {:?}", model.provider, model.name, model.tier, model.modes);
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.providers().flat_map(|provider| provider.models())
    }

    /// What each provider would do with a request, to the letter, and why the others cannot. Nothing is sent.
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
        let mut plan = plan::plan(self.providers(), request, image::is_stranded(request, self.places()));
        plan.refusals.extend(self.doubles.iter().map(|name| Refusal::of_double(name)));
        plan
    }

    /// Sends a paid request to the first provider that can make the video, at most once. Only when a provider has certainly
    /// not taken it, the next one is asked; the job then says why. Images of this machine are uploaded first. Waits if the provider's
    /// [limit](crate::Capabilities::limit) has been reached by this client and its clones.
    ///
    /// Dropping the future after the request has left loses what became of it, as a lost reply does. So put no time-out around
    /// it; [`submit_until`](Self::submit_until) and `Access::submit_timeout` end in an outcome.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::{Resend, Submission, VideoRequest};
    ///
    /// match client.submit(&VideoRequest::text("A dog playing in a park")).await {
    ///     Submission::Accepted(job) => println!("paid for; keep this line: {}", job.reference),
    ///     Submission::Rejected(error) => match error.resend() {
    ///         Resend::Same | Resend::After(_) => println!("not charged, and worth another try: {error}"),
    ///         _ => println!("not charged: {error}"),
    ///     },
    ///     Submission::Unknown(unknown) => {
    ///         println!("look for a task from {:?} on before you send it again: {}", unknown.sent_at, unknown.error);
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    pub async fn submit(&self, request: &VideoRequest) -> Submission {
        self.submit_until(request, std::future::pending()).await
    }

    /// As [`submit`](Self::submit), but once `stop` is done, no paid request leaves any more: not after the uploads, not after
    /// waiting for the provider's limit, and not to the next provider. One that has left is waited for. So this is what to use
    /// for Ctrl-C, for a deadline, or when whoever wanted the video has gone. What was stopped is rejected, with
    /// [`ErrorKind::Stopped`]. One for which the connection is just being made counts as one that has left.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use std::time::Duration;
    /// use veo_core::{Submission, VideoRequest};
    ///
    /// let deadline = tokio::time::sleep(Duration::from_secs(30));
    /// match client.submit_until(&VideoRequest::text("A dog playing in a park"), deadline).await {
    ///     Submission::Accepted(job) => println!("paid for: {}", job.reference),
    ///     Submission::Rejected(error) => println!("not charged: {error}"),
    ///     Submission::Unknown(unknown) => println!("maybe charged: {}", unknown.error),
    /// }
    /// # Ok(()) }) }
    /// ```
    pub async fn submit_until(&self, request: &VideoRequest, stop: impl Future<Output = ()>) -> Submission {
        let mut plan = self.plan(request);
        if plan.offers.is_empty() {
            return Submission::Rejected(impossible(&plan.refusals));
        }
        let (mut refusals, mut last) = (Vec::new(), None::<Error>);
        let mut stop = pin!(stop);
        if image::has_local(request) {
            match before(&mut stop, self.upload_images(request)).await {
                Some(Ok(uploaded)) => plan = self.plan(&uploaded),
                Some(Err(error)) => return Submission::Rejected(error),
                None => return Submission::Rejected(stopped(&refusals)),
            }
        }
        for offer in plan.offers {
            let Some(Entry { provider, window }) = self.entries.iter().find(|entry| entry.is(&offer.account)) else {
                continue;
            };
            // There is no record that could find it by a marker.
            let offer = provider.marked(&offer, "");
            if before(&mut stop, window.enter(provider.capabilities().limit)).await.is_none() {
                return Submission::Rejected(stopped(&refusals));
            }
            let span =
                info_span!("submit", provider = %offer.account, model = %offer.model, outcome = Empty, job = Empty);
            let submission = provider.submit(&offer).instrument(span.clone()).await;
            span.record("outcome", submission.outcome());
            match submission {
                Submission::Rejected(error) => {
                    let said = format!("{}: {error}", offer.account);
                    last = Some(error.after(&refusals));
                    refusals.push(said);
                }
                Submission::Accepted(mut job) => {
                    span.record("job", display(&job.reference));
                    job.refusals = refusals;
                    return Submission::Accepted(job);
                }
                Submission::Unknown(unknown) => return Submission::Unknown(unknown),
            }
        }
        Submission::Rejected(last.unwrap_or_else(|| impossible(&plan.refusals)))
    }

    /// Asks once how far a job is.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// use veo_core::State;
    ///
    /// match client.state(&job).await? {
    ///     State::Finished(video) => println!("{:?}", video.urls),
    ///     State::Failed(error) => println!("{error}"),
    ///     State::Running { percent: Some(percent) } => println!("{percent} %"),
    ///     _ => println!("not yet"),
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Only that the question failed, which says nothing about the job: [`ErrorKind::Unavailable`] if nothing is known now. The
    /// error carries the job.
    pub async fn state(&self, job: impl AsRef<JobRef>) -> Result<State, Error> {
        let job = job.as_ref();
        let provider = self.account(&job.account()).ok_or_else(|| nobody(job))?;
        provider.state(job).await.map(|state| state.with_job(job)).map_err(|error| error.with_job(job))
    }

    /// Waits until a job has ended, and tells every state on the way; as often as [`Poll`] says. Dropping the future ends the
    /// waiting and not the job. A video that came out smaller than it was asked for is made larger, if that is possible;
    /// [`Video::shortfall`] says if not.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// use veo_core::{Charged, JobRef};
    ///
    /// // In another process, a line is enough.
    /// let job: JobRef = job.reference.to_string().parse()?;
    /// match client.wait(&job, |state| println!("{state:?}")).await {
    ///     Ok(video) => println!("{:?}", video.urls),
    ///     Err(error) if error.charged() == Charged::Yes => println!("wait again for {job}: {error}"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::JobFailed`] and [`ErrorKind::Policy`] if the job failed; any other kind if it could not be followed, and
    /// then it goes on, as does the making of a larger video: wait again. The error carries the job.
    pub async fn wait(&self, job: impl AsRef<JobRef>, on_state: impl FnMut(&State)) -> Result<Video, Error> {
        let job = job.as_ref();
        let provider = self.account(&job.account()).ok_or_else(|| nobody(job))?;
        let mut on_state = on_state;
        let span = info_span!("wait", job = %job);
        let ask = || provider.state(job);
        let waiting = wait::until_done(&self.poll, ask, &mut on_state).instrument(span);
        let video = waiting.await.map_err(|error| error.with_job(job))?;
        match job.resolution.filter(|wanted| video.is_below(*wanted)) {
            Some(wanted) => match self.upgrade(&video.job, wanted, on_state).await {
                // What the smaller one cost is not what both cost.
                Ok(Video { urls, resolution, raw, .. }) => Ok(Video { urls, resolution, raw, credits: None, ..video }),
                // The smaller one is paid for and there.
                Err(error) if error.refuses_upgrade() => Ok(Video {
                    shortfall: Some(format!("it was to be {wanted} and cannot be upgraded: {error}")),
                    ..video
                }),
                // The larger one may be paid for too, so waiting again goes on with it.
                Err(error) => Err(error.with_job(job)),
            },
            None => Ok(video),
        }
    }

    /// The states of a job as a stream, which ends with the finished video, with the failure of the job, or with an error if
    /// the job could not be followed. Dropping it ends the asking and not the job. Unlike [`wait`](Self::wait) it leaves a video as small as it is.
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// async fn follow(client: &veo_core::Client, job: &veo_core::Job) {
    ///     let mut states = std::pin::pin!(client.states(&job.reference));
    ///     while let Some(state) = states.next().await {
    ///         println!("{state:?}");
    ///     }
    /// }
    /// ```
    pub fn states(&self, job: &JobRef) -> impl Stream<Item = Result<State, Error>> + Send + use<> {
        let job = job.clone();
        let account = job.account();
        let found = self.entries.iter().find(|entry| entry.is(&account)).map(|entry| entry.provider.clone());
        let start = Some((Waiting::new(self.poll.clone()), found, job));
        stream::unfold(start, |waiting| async {
            let (mut waiting, provider, job) = waiting?;
            let state = match &provider {
                Some(provider) => {
                    let state = waiting.next(|| provider.state(&job)).await;
                    state.map(|state| state.with_job(&job)).map_err(|error| error.with_job(&job))
                }
                None => Err(nobody(&job)),
            };
            let goes_on = matches!(state, Ok(State::Pending | State::Running { .. }));
            Some((state, goes_on.then_some((waiting, provider, job))))
        })
    }

    /// Makes the video of a finished job larger, which costs extra, and waits for it. Calling it again for the same job and
    /// resolution goes on with the same upgrade. Only kie.ai can.
    ///
    /// ```
    /// use veo_core::{Client, Error, Job, Resolution};
    ///
    /// async fn in_4k(client: &Client, job: &Job) -> Result<Vec<String>, Error> {
    ///     Ok(client.upgrade(job, Resolution::K4, |_state| {}).await?.urls)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the provider cannot. [`ErrorKind::Refused`], [`ErrorKind::Retired`] and
    /// [`ErrorKind::InsufficientCredits`] if it will not: the smaller video is all there is. Any other kind if the upgrade could
    /// not be followed, and then it goes on. The error carries the job.
    pub async fn upgrade(
        &self,
        job: impl AsRef<JobRef>,
        to: Resolution,
        on_state: impl FnMut(&State),
    ) -> Result<Video, Error> {
        let job = job.as_ref();
        let impossible = || {
            let message = format!("{} cannot make a finished video {to}; ask for it when you start", job.provider);
            Error::new(ErrorKind::InvalidRequest, message).with_job(job)
        };
        let provider = self.account(&job.account()).ok_or_else(|| nobody(job))?;
        if !provider.capabilities().upgrades.contains(&to) {
            return Err(impossible());
        }
        let ask = || async {
            match provider.upgrade(job, to).await {
                Upgrade::Finished(video) => Ok(State::Finished(video)),
                Upgrade::Running { .. } => Ok(State::Running { percent: None }),
                Upgrade::Rejected(error) | Upgrade::Unavailable(error) | Upgrade::Unknown(error) => Err(error),
            }
        };
        let poll = self.poll.for_upgrade();
        let span = info_span!("upgrade", job = %job, to = %to);
        wait::until_done(&poll, ask, on_state).instrument(span).await.map_err(|error| error.with_job(job))
    }

    /// Saves a finished video as an MP4 file, and tells how many bytes there are so far, and of how many if that is known.
    /// The file is there when all of it is, and replaces one of the same name.
    ///
    /// A transfer that breaks off or stands still goes on where it stopped if the media host can do that, and from the start
    /// if not; then the number of bytes goes back. A link that the media host does not take any more is renewed by the
    /// provider. The media host gets no key.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let job = accepted(&client).await;
    /// # let video = client.wait(&job, |_| {}).await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("dog.mp4");
    /// use veo_core::Receipt;
    ///
    /// let saved = client.download(&video, &file, |received, total| println!("{received} of {total:?}")).await?;
    /// let receipt = Receipt::new(&job, &video, &saved);
    /// assert!(receipt.discrepancies.is_empty());
    /// println!("{}", serde_json::to_string_pretty(&receipt)?);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`], and then there is no new file. The error carries the job.
    pub async fn download(
        &self,
        video: &Video,
        path: impl AsRef<Path>,
        on_bytes: impl FnMut(u64, Option<u64>),
    ) -> Result<Saved, Error> {
        let Some(url) = video.urls.first() else {
            return Err(Error::new(ErrorKind::Download, "the video has no URL").with_job(&video.job));
        };
        let renew = |way, link: String| -> BoxFuture<'_, Result<Option<String>, Error>> {
            Box::pin(async move {
                let Some(provider) = self.account(&video.job.account()) else { return Ok(None) };
                match way {
                    0 => match provider.state(&video.job).await? {
                        // After an upgrade this is still the smaller one.
                        State::Finished(again) if again.resolution == video.resolution => {
                            Ok(again.urls.into_iter().next())
                        }
                        _ => Ok(None),
                    },
                    _ => provider.fresh_link(&link).await,
                }
            })
        };
        let span = info_span!("download", job = %video.job);
        let saved = self.downloader.save(url, path.as_ref(), renew, on_bytes).instrument(span).await;
        saved.map_err(|error| error.with_job(&video.job))
    }

    /// What is left on an account, in the provider's credits; that of a provider is called as it is, a named one as
    /// `kie@studio`. It can be a fraction, and less than nothing. Only
    /// kie.ai tells, where a credit has cost half a US cent.
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
    /// [`ErrorKind::InvalidRequest`] if this client does not have the account, or if the provider does not tell, as UniAll;
    /// otherwise why there is no answer. Asking costs nothing.
    pub async fn credits(&self, account: &str) -> Result<f64, Error> {
        let refuse = |message| Error::new(ErrorKind::InvalidRequest, message);
        let Some(provider) = self.account(account) else {
            return Err(refuse(format!("this client has no provider {account}; add it")));
        };
        if !provider.capabilities().credits {
            return Err(refuse(format!("{account} does not tell its balance to programs; look at its web site")));
        }
        provider.credits().await
    }

    /// Brings an image of this machine to where every provider can reach it, and gives its URL. The URL of an image that has
    /// one is given back as it is. [`submit`](Self::submit) does this by itself; this is for an image that serves many requests.
    ///
    /// The first provider that has a place for images takes it. kie.ai keeps it for three days by its pages, and has been seen
    /// to keep it for one; it costs nothing.
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
    /// [`ErrorKind::InvalidRequest`] if the image cannot be read, is not a JPEG, PNG or WebP, is larger than 20 MiB, or if no
    /// provider of this client has a place for it; otherwise why the provider did not take it.
    pub async fn upload(&self, image: &Image) -> Result<String, Error> {
        image::reachable(image, self.places()).await
    }

    /// The request with all its images as URLs: those of this machine are [uploaded](Self::upload). [`submit`](Self::submit)
    /// does this by itself; this is for who wants to have it done before, such as before a record of the paid request is kept.
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
    /// As [`upload`](Self::upload). Nothing has been paid for then.
    pub async fn upload_images(&self, request: &VideoRequest) -> Result<VideoRequest, Error> {
        image::uploaded(request, self.places()).await
    }

    fn providers(&self) -> impl Iterator<Item = &dyn Provider> + Clone {
        self.entries.iter().map(|entry| &*entry.provider)
    }

    /// Who may have a place for images, in the order of asking.
    fn places(&self) -> impl Iterator<Item = &dyn Provider> + Clone {
        self.providers().chain(self.uploader.as_deref())
    }

    fn account(&self, account: &str) -> Option<&dyn Provider> {
        self.providers().find(|provider| provider.account() == account)
    }
}

impl Entry {
    fn new(provider: impl Provider + 'static) -> Self {
        Self { provider: Arc::new(provider), window: Window::default() }
    }

    fn is(&self, account: &str) -> bool {
        self.provider.account() == account
    }
}

/// What comes of something, unless `stop` is done first. Not for what must not be dropped.
async fn before<T>(stop: &mut (impl Future<Output = ()> + Unpin), work: impl Future<Output = T>) -> Option<T> {
    match select(stop, pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((done, _)) => Some(done),
    }
}

/// The caller does not want it any more.
fn stopped(refusals: &[String]) -> Error {
    Error::new(ErrorKind::Stopped, "stopped before a paid request was sent; submit it again if you want it")
        .after(refusals)
}

/// The job lives at a provider that is not here.
fn nobody(job: &JobRef) -> Error {
    let message = format!("this client has no provider {}; add it", job.account());
    Error::new(ErrorKind::InvalidRequest, message).with_job(job)
}

/// Nobody here can make it, for all these reasons.
fn impossible(refusals: &[Refusal]) -> Error {
    let refusals: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    Error::new(ErrorKind::InvalidRequest, refusals.join("\n"))
}
