use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use secrecy::SecretString;

use crate::{
    Error, ErrorKind, JobRef, Limit, Model, Offer, Reason, Resolution, State, Submission, Video,
    VideoRequest,
};

/// A future of the provider trait.
///
/// ```
/// use veo_core::BoxFuture;
///
/// fn soon<'a>(text: &'a str) -> BoxFuture<'a, usize> {
///     Box::pin(async { text.len() })
/// }
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Somebody who makes videos. [`Kie`](crate::Kie) and [`UniAll`](crate::UniAll) are two; `examples/third_provider.rs` is one of
/// one's own, in one file:
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
    /// A short lower-case name, which the jobs carry.
    fn name(&self) -> &'static str;

    /// Its models.
    fn models(&self) -> &[Model];

    /// The exact request for a model.
    ///
    /// # Errors
    ///
    /// The reasons against it, beyond those of [`Model::reasons`].
    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>>;

    /// Its capabilities besides making videos.
    fn capabilities(&self) -> Capabilities;

    /// Sends a paid request, at most once.
    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission>;

    /// Asks how far a job is.
    ///
    /// # Errors
    ///
    /// Only that the question failed, which says nothing about the job: [`ErrorKind::Unavailable`] if nothing is known now. A
    /// job that has failed is a [`State::Failed`].
    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>>;

    /// The account that pays: the name of the provider, which is the default, or a named account at it, such as `kie@studio`.
    /// Jobs carry it, and a client can have several accounts at one provider.
    fn account(&self) -> String {
        self.name().to_owned()
    }

    /// Where it is reached, if that is not its own address: a simulator, for example. The jobs of one address are not known at
    /// another. Nothing by default.
    fn base_url(&self) -> Option<&str> {
        None
    }

    /// The address of its API, for links of videos that lead there: they are asked with the key. No other address gets it, and
    /// no redirect takes it along. Nothing by default.
    fn api(&self) -> Option<ApiAddress> {
        None
    }

    /// The offer with a marker as the last pair of the query of its callback address, from a provider that [marks
    /// callbacks](Capabilities::marks_callbacks). Without a marker the address is as the caller has said it; in a plan it has
    /// `veo=...` where the marker would be. By default the same offer.
    fn marked(&self, offer: &Offer, marker: &str) -> Offer {
        let _ = marker;
        offer.clone()
    }

    /// The offer in the form of the provider's API that is used by now, if it was planned in one that is gone. It is asked before
    /// a paid request is sent, and after one was rejected, which is then sent once more in the form that it gives. If that form
    /// cannot have the request, every reason. Nothing by default.
    fn renewed(&self, offer: &Offer) -> Option<Result<Offer, Vec<Reason>>> {
        let _ = offer;
        None
    }

    /// Asks how far a job is, and what the provider's record says that was asked: to see whether a task can be that of a
    /// paid request whose reply was lost. By default the state alone.
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

    /// Makes a finished video larger, or asks how far that is: one call, which can cost money. It is made for the sizes of
    /// [`Capabilities::upgrades`] only.
    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> BoxFuture<'a, Upgrade> {
        let error = cannot(self.name(), &format!("make a finished video {to}")).with_job(job);
        Box::pin(std::future::ready(Upgrade::Rejected(error)))
    }

    /// Whether the upgrade of a job is a task of its own, which the first call names. Then that call is made once only, and the
    /// task is asked how far it is. By default the call itself is made again to ask.
    fn upgrades_as_task(&self, job: &JobRef) -> bool {
        let _ = job;
        false
    }

    /// Another link for a finished video, if those from [`state`](Self::state) do not lead to it, of which one is given, and the
    /// provider has a second way to get one. Nothing by default.
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

    /// The balance of the account, in the provider's own credits. It is asked only if it [tells](Capabilities::credits).
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

    /// Puts an image where every provider can reach it, and gives its URL. It is asked only if it [has a place for
    /// images](Capabilities::uploads).
    fn upload<'a>(&'a self, image: Bytes, name: String) -> BoxFuture<'a, Result<String, Error>> {
        let _ = (image, name);
        Box::pin(std::future::ready(Err(cannot(self.name(), "keep images"))))
    }
}

/// The address of an API, and what it wants to see of a caller. From [`Provider::api`].
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
    /// A URL. Only its scheme, host and port count.
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: SecretString,
}

impl ApiAddress {
    /// An address with the value of `Authorization` for it.
    pub fn new(url: impl Into<String>, authorization: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            authorization: authorization.into(),
        }
    }
}

/// The capabilities of a provider besides making videos. It has none by default.
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
    /// How many paid requests an account takes in which time, if that is known.
    pub limit: Option<Limit>,
    /// Whether it has a place for images.
    pub uploads: bool,
    /// Whether it tells the balance of an account.
    pub credits: bool,
    /// The sizes to which it can bring a finished video.
    pub upgrades: &'static [Resolution],
    /// Whether it calls the callback address back as it was given, with its query.
    pub marks_callbacks: bool,
}

impl Capabilities {
    /// The same with a limit.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same with a place for images.
    #[must_use]
    pub fn uploads(mut self) -> Self {
        self.uploads = true;
        self
    }

    /// The same with a balance.
    #[must_use]
    pub fn credits(mut self) -> Self {
        self.credits = true;
        self
    }

    /// The same with upgrades to these sizes.
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

    /// The same with callbacks that arrive with their query.
    #[must_use]
    pub fn marks_callbacks(mut self) -> Self {
        self.marks_callbacks = true;
        self
    }
}

/// A job as the provider's record has it. From [`Provider::describe`].
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
    /// The model in the provider's words, if the record has it.
    pub model: Option<String>,
    /// The size to which it makes a finished video larger, if the record says that it is an upgrade.
    pub upgrade: Option<Resolution>,
    /// The task of the video that it extends or makes larger, if the record has it.
    pub source: Option<String>,
    /// The provider's word for the state, if nobody knows it.
    pub word: Option<String>,
    /// How far the job is.
    pub state: State,
}

impl Described {
    /// A job of which only the state is known.
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
    /// The larger video is there.
    Finished(Box<Video>),
    /// It is being made.
    Running {
        /// The id of a task of its own, if it has one.
        task: Option<String>,
    },
    /// There will be no larger video: the smaller one is all there is. The call was not charged.
    Rejected(Error),
    /// The call was not taken now, and not charged: the key, a limit, maintenance or the network stands against it. It says
    /// nothing of a call before it.
    Unavailable(Error),
    /// The call may have been taken; nothing reliable came back.
    Unknown(Error),
}

fn cannot(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("{name} cannot {what}"))
}
