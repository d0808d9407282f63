//! Translation to and from `uniall-api`, which no other file names.

use secrecy::SecretString;
use uniall_api::types;
use uniall_api::{Config, Error as ApiError};

use crate::provider::{is_refusal, text_in, translated};
use crate::request::invalid;
use crate::{AspectRatio, BoxFuture, Error, ErrorKind, Job, Provider, State, Submission, Tier, Video, VideoRequest};

const NAME: &str = "uniall";

/// UniAll.
#[derive(Clone, Debug)]
pub struct UniAll {
    client: uniall_api::Client,
}

impl UniAll {
    /// UniAll with the given key. Makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key cannot be one.
    pub fn new(key: SecretString) -> Result<Self, Error> {
        Self::with(Config::new(key))
    }

    /// The same at another address, such as a simulator's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key or the address cannot be used.
    pub fn at(url: &str, key: SecretString) -> Result<Self, Error> {
        Self::with(Config::new(key).base_url(url))
    }

    fn with(config: Config) -> Result<Self, Error> {
        let client = uniall_api::Client::new(config).map_err(|error| translated(ErrorKind::InvalidRequest, &error))?;
        Ok(Self { client })
    }

    async fn submit(&self, request: &VideoRequest) -> Submission {
        let body = match body(request) {
            Ok(body) => body,
            Err(error) => return Submission::NotAccepted(error),
        };
        match self.client.create_video().body(body).send().await {
            Ok(task) => match task.poll_id() {
                Some(id) => Submission::Accepted(Job::new(NAME, id)),
                None => Submission::Unknown(Error::new(
                    ErrorKind::OutcomeUnknown,
                    "UniAll answered without naming a task; look at the balance before sending again",
                )),
            },
            Err(error) => refused(error),
        }
    }

    async fn state(&self, job: &Job) -> Result<State, Error> {
        let reply = self.client.query_video().task_id(&job.task).send().await.map_err(|error| unread(error, job))?;
        let percent = reply.progress.map(|percent| percent.0);
        Ok(match reply.state() {
            uniall_api::State::Succeeded => {
                let urls = reply.urls().into_iter().map(str::to_owned).collect();
                State::Succeeded(Video { resolution: reply.size.clone(), ..Video::new(job.clone(), urls) })
            }
            uniall_api::State::Failed => State::Failed(match reply.failure() {
                Some(words) => format!("UniAll failed to make the video: {words}"),
                None => {
                    "UniAll ended the job without a video and without a reason; it was most likely filtered".to_owned()
                }
            }),
            uniall_api::State::Running => State::Running { percent },
            _ => State::Pending,
        })
    }
}

impl Provider for UniAll {
    fn name(&self) -> &'static str {
        NAME
    }

    fn submit<'a>(&'a self, request: &'a VideoRequest) -> BoxFuture<'a, Submission> {
        Box::pin(self.submit(request))
    }

    fn state<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(self.state(job))
    }
}

fn body(request: &VideoRequest) -> Result<types::CreateVideoRequest, Error> {
    request.check()?;
    let model = match request.tier {
        Some(Tier::Quality) => types::Model::Standard720p,
        Some(Tier::Fast) | None => types::Model::Fast720p,
        Some(Tier::Lite) => return Err(invalid("tier: UniAll has no lite tier; choose fast, or kie.ai")),
    };
    let aspect_ratio = match request.aspect_ratio {
        AspectRatio::Landscape => types::AspectRatio::Landscape,
        AspectRatio::Portrait => types::AspectRatio::Portrait,
    };
    let duration: types::Duration = request.duration()?;
    types::CreateVideoRequest::builder()
        .model(model)
        .prompt(request.prompt.clone())
        .image(request.image.clone())
        .size(types::Size::P720)
        .aspect_ratio(aspect_ratio)
        .duration(duration)
        .try_into()
        .map_err(|error: types::error::ConversionError| Error::new(ErrorKind::InvalidRequest, error.to_string()))
}

/// What an error says about the money.
fn refused(error: ApiError) -> Submission {
    // A reply that holds the id of a task is an acceptance, whatever else is wrong with it.
    let id = match &error {
        ApiError::NoReply { partial, .. } => id_in(partial),
        ApiError::Unreadable(reply) if reply.head.is_success() => id_in(&reply.body),
        _ => None,
    };
    if let Some(id) = id {
        return Submission::Accepted(Job::new(NAME, id));
    }
    match &error {
        ApiError::InvalidRequest(_) => Submission::NotAccepted(translated(ErrorKind::InvalidRequest, &error)),
        ApiError::NotConnected { .. } => Submission::NotAccepted(translated(ErrorKind::NotSent, &error)),
        ApiError::Rejected(rejection) if rejection.head.status == 401 => {
            Submission::NotAccepted(translated(ErrorKind::Unauthorized, &error))
        }
        // The gateway found nobody to pass the request to.
        ApiError::Rejected(rejection) if rejection.code.as_deref() == Some("model_not_found") => {
            Submission::NotAccepted(translated(ErrorKind::Rejected, &error))
        }
        ApiError::Rejected(rejection) if is_refusal(rejection.head.status) => {
            Submission::NotAccepted(translated(ErrorKind::Rejected, &error))
        }
        ApiError::Unreadable(reply) if is_refusal(reply.head.status) => {
            Submission::NotAccepted(translated(ErrorKind::Rejected, &error))
        }
        _ => Submission::Unknown(translated(ErrorKind::OutcomeUnknown, &error)),
    }
}

/// The id of a task in a reply that does not have it in its place.
fn id_in(body: &[u8]) -> Option<String> {
    ["task_id", "id"].into_iter().find_map(|member| text_in(body, member))
}

fn unread(error: ApiError, job: &Job) -> Error {
    let kind = match &error {
        ApiError::Rejected(rejection) if rejection.head.status == 401 => ErrorKind::Unauthorized,
        _ => ErrorKind::Unavailable,
    };
    translated(kind, &error).with_job(job)
}
