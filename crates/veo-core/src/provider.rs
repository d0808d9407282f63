use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use secrecy::SecretString;

use crate::{
    Error, ErrorKind, JobRef, Limit, Model, Offer, Reason, Resolution, State, Submission, Video,
    VideoRequest,
};

/// A future that a method of [`Provider`] returns.
///
/// ```
/// use veo_core::BoxFuture;
///
/// fn soon<'a>(text: &'a str) -> BoxFuture<'a, usize> {
///     Box::pin(async { text.len() })
/// }
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A service that makes videos, such as [`Kie`](crate::Kie) and [`UniAll`](crate::UniAll). A provider of your own fits
/// into one file, as `examples/third_provider.rs` shows:
///
/// ```
/// use veo_core::{
///     BoxFuture, Capabilities, Client, Error, Job, JobRef, Model, Offer, Operation, Provider, Reason, State, Submission,
///     Video, VideoRequest,
/// };
///
/// #[derive(Debug)]
/// struct Hat {
///     models: Vec<Model>,
/// }
///
/// impl Provider for Hat {
///     fn name(&self) -> &'static str {
///         "hat"
///     }
///
///     fn models(&self) -> &[Model] {
///         &self.models
///     }
///
///     fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
///         Ok(Offer::new(model, request, Operation::Generate, serde_json::json!({ "text": request.prompt })))
///     }
///
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::default()
///     }
///
///     fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
///         Box::pin(async { Submission::Accepted(Job::new(offer, "rabbit")) })
///     }
///
///     fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
///         let video = Video::new(job.clone(), vec!["https://hat.example.net/rabbit.mp4".to_owned()]);
///         Box::pin(async { Ok(State::Finished(Box::new(video))) })
///     }
/// }
///
/// let client = Client::new(Hat { models: Vec::new() })?;
/// # Ok::<(), veo_core::Error>(())
/// ```
pub trait Provider: fmt::Debug + Send + Sync {
    /// A short name in lower case. The name of each job begins with it, as in `kie:TASK`.
    fn name(&self) -> &'static str;

    /// The models of the provider.
    fn models(&self) -> &[Model];

    /// Makes the offer of a model for a request. It sends nothing.
    ///
    /// # Errors
    ///
    /// The reasons against the request, besides those of [`Model::reasons`].
    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>>;

    /// The capabilities besides making videos.
    fn capabilities(&self) -> Capabilities;

    /// Sends a paid request at most once, and returns its outcome. If the reply is lost, the outcome is
    /// [`Submission::Unknown`]: an implementation must not send it again, since the first one may have been charged.
    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission>;

    /// Asks for the state of a job.
    ///
    /// # Errors
    ///
    /// An error means that the question failed, and says nothing about the job. [`ErrorKind::Unavailable`] means that a
    /// later question can succeed. A failed job is no error, but a [`State::Failed`].
    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>>;

    /// The account that pays: the name of the provider, which is the default, or a named account at the provider, such
    /// as `kie@studio`. The name of each job has the account. A client can have several accounts at one provider.
    fn account(&self) -> String {
        self.name().to_owned()
    }

    /// The address of the provider, if it is not the usual one, such as the address of a simulator. A job of one
    /// address is not known at another. `None` by default.
    fn base_url(&self) -> Option<&str> {
        None
    }

    /// The address of the API, and its API key. The API key is sent with the download of a video whose link leads to
    /// this address. It is sent to no other address, and not after a redirect. `None` by default.
    fn api(&self) -> Option<ApiAddress> {
        None
    }

    /// Adds a marker to the callback address of the offer, as the last pair of its query, if the provider [marks
    /// callbacks](Capabilities::marks_callbacks). Before this call, an offer has the address from the caller, and a
    /// plan shows `veo=...` in place of the marker. By default the offer stays the same.
    fn marked(&self, offer: &Offer, marker: &str) -> Offer {
        let _ = marker;
        offer.clone()
    }

    /// Makes an offer again for the current form of the provider's API, if it was planned in a form that is gone. The
    /// reasons say why the current form cannot make the video. `None`, the default, means that the form of the offer is
    /// not gone. The method is called before a paid request is sent, and after a rejection. If a rejection shows that
    /// the form is gone, nothing was charged, and the request is sent once more in the current form.
    fn renewed(&self, offer: &Offer) -> Option<Result<Offer, Vec<Reason>>> {
        let _ = offer;
        None
    }

    /// Asks for the state of a job, and for the request as the provider's record repeats it. From the request, a caller
    /// sees whether a task can belong to a paid request whose reply was lost. By default only the state is returned.
    ///
    /// ```
    /// use veo_core::{Error, JobRef, Provider};
    ///
    /// async fn asked(provider: &dyn Provider, job: &JobRef) -> Result<String, Error> {
    ///     let described = provider.describe(job).await?;
    ///     Ok(described.prompt.unwrap_or_else(|| "the provider does not say".to_owned()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    fn describe<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<Described, Error>> {
        Box::pin(async move { Ok(Described::new(self.state(job).await?)) })
    }

    /// Begins to make a finished video larger, or asks for the progress of the upgrade. Both are the same call, which
    /// can cost money. The method is called only with the sizes of [`Capabilities::upgrades`].
    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> BoxFuture<'a, Upgrade> {
        let error = cannot(self.name(), &format!("upgrade a video to {to}")).with_job(job);
        Box::pin(std::future::ready(Upgrade::Rejected(error)))
    }

    /// Returns whether the call for the upgrade of a job returns the id of a new task. If so, the call is made only
    /// once, and the task is asked for its state. By default, the upgrade call is repeated to ask for the progress.
    fn upgrades_as_task(&self, job: &JobRef) -> bool {
        let _ = job;
        false
    }

    /// Asks for another link to a finished video, if the links from [`state`](Self::state) do not lead to the video.
    /// `url` is one of those links. `None` by default.
    ///
    /// ```
    /// use veo_core::{Error, Provider, Video};
    ///
    /// async fn link(provider: &dyn Provider, video: &Video) -> Result<Option<String>, Error> {
    ///     let Some(url) = video.urls.first() else { return Ok(None) };
    ///     provider.fresh_link(&video.job, url).await
    /// }
    /// ```
    fn fresh_link<'a>(
        &'a self,
        job: &'a JobRef,
        url: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let _ = (job, url);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Asks for the balance of the account, in the provider's own credits, if the provider [has
    /// one](Capabilities::credits).
    ///
    /// ```
    /// use veo_core::{Error, Provider};
    ///
    /// async fn balance(provider: &dyn Provider) -> Result<Option<f64>, Error> {
    ///     if !provider.capabilities().credits {
    ///         return Ok(None);
    ///     }
    ///     provider.credits().await.map(Some)
    /// }
    /// ```
    fn credits(&self) -> BoxFuture<'_, Result<f64, Error>> {
        Box::pin(std::future::ready(Err(cannot(
            self.name(),
            "tell its balance to programs",
        ))))
    }

    /// Uploads an image, and returns a URL at which every provider can reach it. The method is called only if the
    /// provider [stores images](Capabilities::uploads).
    fn upload<'a>(&'a self, image: Bytes, name: String) -> BoxFuture<'a, Result<String, Error>> {
        let _ = (image, name);
        Box::pin(std::future::ready(Err(cannot(self.name(), "keep images"))))
    }
}

/// The address of an API, and the value of the header `Authorization` for it. From [`Provider::api`].
///
/// ```
/// use veo_core::ApiAddress;
///
/// let api = ApiAddress::new("https://api.hat.example.net", "Bearer the-API-key");
/// assert!(!format!("{api:?}").contains("the-API-key"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiAddress {
    /// A URL. Only its scheme, host and port are used.
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: SecretString,
}

impl ApiAddress {
    /// Makes an address with the value of `Authorization` for it.
    pub fn new(url: impl Into<String>, authorization: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            authorization: authorization.into(),
        }
    }
}

/// The capabilities of a provider besides making videos. There are none by default.
///
/// ```
/// use std::time::Duration;
/// use veo_core::{Capabilities, Limit};
///
/// let capabilities = Capabilities::default().limit(Limit::new(5, Duration::from_secs(10)));
/// assert!(!capabilities.uploads);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The rate limit of an account for paid requests, if it is known.
    pub limit: Option<Limit>,
    /// True if the provider stores uploaded images.
    pub uploads: bool,
    /// True if the provider reports the balance of an account.
    pub credits: bool,
    /// The sizes to which the provider can upgrade a finished video.
    pub upgrades: &'static [Resolution],
    /// True if the provider calls a callback address unchanged, with its query.
    pub marks_callbacks: bool,
}

impl Capabilities {
    /// Sets the limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Says that the provider stores uploaded images.
    #[must_use]
    pub fn uploads(mut self) -> Self {
        self.uploads = true;
        self
    }

    /// Says that the provider reports the balance of an account.
    #[must_use]
    pub fn credits(mut self) -> Self {
        self.credits = true;
        self
    }

    /// Sets the sizes of upgrades.
    ///
    /// ```
    /// use veo_core::{Capabilities, Resolution};
    ///
    /// let capabilities = Capabilities::default().upgrades(&[Resolution::P1080, Resolution::K4]);
    /// assert!(capabilities.upgrades.contains(&Resolution::K4));
    /// ```
    #[must_use]
    pub fn upgrades(mut self, sizes: &'static [Resolution]) -> Self {
        self.upgrades = sizes;
        self
    }

    /// Says that the provider calls a callback address unchanged, with its query.
    #[must_use]
    pub fn marks_callbacks(mut self) -> Self {
        self.marks_callbacks = true;
        self
    }
}

/// The state of a job, and the request as the provider's record repeats it. From [`Provider::describe`].
///
/// ```
/// use veo_core::{Described, State};
///
/// let mut described = Described::new(State::Pending);
/// described.prompt = Some("A rabbit".to_owned());
/// assert_eq!(described.model, None);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Described {
    /// The prompt, if the record has it.
    pub prompt: Option<String>,
    /// The name of the model, if the record has it.
    pub model: Option<String>,
    /// The size of the larger video, if the record says that the job is an upgrade.
    pub upgrade: Option<Resolution>,
    /// The task of the video that the job extends or upgrades, if the record has it.
    pub source: Option<String>,
    /// The provider's word for the state, if this library does not know it.
    pub word: Option<String>,
    /// The state of the job.
    pub state: State,
}

impl Described {
    /// Makes a description that has only the state.
    pub fn new(state: State) -> Self {
        Self {
            prompt: None,
            model: None,
            upgrade: None,
            source: None,
            word: None,
            state,
        }
    }
}

/// The answer to one call of [`Provider::upgrade`].
///
/// ```
/// use veo_core::Upgrade;
///
/// /// Whether this call can have been charged.
/// fn may_be_charged(upgrade: &Upgrade) -> bool {
///     !matches!(upgrade, Upgrade::Rejected(_) | Upgrade::Unavailable(_))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Upgrade {
    /// The larger video is finished.
    Finished(Box<Video>),
    /// The larger video is being made.
    Running {
        /// The id of the upgrade's own task, if the upgrade has one.
        task: Option<String>,
    },
    /// There will be no larger video. The call was not charged.
    Rejected(Error),
    /// The call was not accepted and not charged, because of the API key, a limit, maintenance or the network. An
    /// earlier call may still have been accepted.
    Unavailable(Error),
    /// The call was sent, and no reliable reply came back. It may have been accepted and charged.
    Unknown(Error),
}

fn cannot(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("{name} cannot {what}"))
}
