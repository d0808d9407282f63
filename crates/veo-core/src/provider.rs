use std::fmt;
use std::pin::Pin;

use bytes::Bytes;

use crate::{Error, JobRef, Limit, Model, Offer, Reason, Resolution, State, Submission, VideoRequest};

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
///     BoxFuture, Client, Error, Job, JobRef, Model, Offer, Provider, Reason, State, Submission, Video, VideoRequest,
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
///         Ok(Offer::new(model, request, "draw", serde_json::json!({ "text": request.prompt })))
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
    /// What stands against it beyond [`Model::reasons`].
    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>>;

    /// How many paid requests it takes in which time, if that is known.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Limit, Provider};
    ///
    /// /// The shortest time in which a provider takes so many requests.
    /// fn at_least(provider: &dyn Provider, requests: u32) -> Duration {
    ///     let Some(Limit { requests: at_once, per }) = provider.limit() else { return Duration::ZERO };
    ///     per * (requests.saturating_sub(1) / at_once as u32)
    /// }
    /// ```
    fn limit(&self) -> Option<Limit> {
        None
    }

    /// Sends a paid request, at most once.
    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission>;

    /// Asks how far a job is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if nothing is known now, which says nothing about the job; [`ErrorKind::JobFailed`](crate::ErrorKind::JobFailed) and
    /// [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the job has failed, and only then.
    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>>;

    /// Makes a finished video larger, or asks how far that is: the same question until the video is there. The first one
    /// can cost money. Nothing if this provider cannot.
    ///
    /// ```
    /// use veo_core::{JobRef, Provider, Resolution};
    ///
    /// fn can_upgrade(provider: &dyn Provider) -> bool {
    ///     // What nobody waits for does not begin.
    ///     provider.upgrade(&JobRef::new(provider.name(), "any"), Resolution::K4).is_some()
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if nothing is known now; [`ErrorKind::Refused`](crate::ErrorKind::Refused), [`ErrorKind::Retired`](crate::ErrorKind::Retired) and
    /// [`ErrorKind::InsufficientCredits`](crate::ErrorKind::InsufficientCredits) if there will be no larger video, so that the smaller one is what there is.
    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> Option<BoxFuture<'a, Result<State, Error>>> {
        let _ = (job, to);
        None
    }

    /// Another link for a finished video, if the one from [`state`](Self::state) is no longer taken and the provider has a
    /// second way to get one. Nothing by default.
    ///
    /// ```
    /// use veo_core::{Error, Provider, Video};
    ///
    /// async fn link(provider: &dyn Provider, video: &Video) -> Result<Option<String>, Error> {
    ///     let Some(url) = video.urls.first() else { return Ok(None) };
    ///     provider.fresh_link(url).await
    /// }
    /// ```
    fn fresh_link<'a>(&'a self, _url: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// What is left on the account, in the provider's own credits; nothing if this provider does not tell.
    ///
    /// ```
    /// use veo_core::{Error, Provider};
    ///
    /// async fn balance(provider: &dyn Provider) -> Result<Option<f64>, Error> {
    ///     match provider.credits() {
    ///         Some(answer) => answer.await.map(Some),
    ///         None => Ok(None),
    ///     }
    /// }
    /// ```
    fn credits(&self) -> Option<BoxFuture<'_, Result<f64, Error>>> {
        None
    }

    /// Puts an image where every provider can reach it, and gives its URL; nothing if this provider has no such place.
    fn upload<'a>(&'a self, image: Bytes, name: String) -> Option<BoxFuture<'a, Result<String, Error>>> {
        let _ = (image, name);
        None
    }
}
