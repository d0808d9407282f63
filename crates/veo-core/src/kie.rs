//! Translation to and from `kie-api`, which no other file names.

use kie_api::types::{self, Code, SuccessFlag};
use kie_api::{Config, Error as ApiError};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::provider::{is_refusal, text_in, translated};
use crate::{AspectRatio, BoxFuture, Error, ErrorKind, Job, Provider, State, Submission, Tier, Video, VideoRequest};

const NAME: &str = "kie";

/// kie.ai.
#[derive(Clone, Debug)]
pub struct Kie {
    client: kie_api::Client,
}

impl Kie {
    /// kie.ai with the given key. Makes no connection yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key cannot be one.
    pub fn new(key: SecretString) -> Result<Self, Error> {
        let client =
            kie_api::Client::new(Config::new(key)).map_err(|error| translated(ErrorKind::InvalidRequest, &error))?;
        Ok(Self { client })
    }

    /// The same at another address, such as a simulator's, also for uploads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key or the address cannot be used.
    pub fn at(url: &str, key: SecretString) -> Result<Self, Error> {
        let client =
            kie_api::Client::new(Config::new(key).base_url(url)).and_then(|client| client.with_upload_url(url));
        Ok(Self { client: client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))? })
    }

    async fn submit(&self, request: &VideoRequest) -> Submission {
        let body = match body(request) {
            Ok(body) => body,
            Err(error) => return Submission::NotAccepted(error),
        };
        match self.client.generate().body(body).send().await {
            Ok(reply) => {
                let typed = reply.data.as_ref().and_then(|task| task.task_id.clone()).filter(|id| !id.is_empty());
                // Where the task would be there may be the bare id.
                let bare = || text_in(reply.body(), "data").filter(|id| reply.code.is_some() && !id.contains(' '));
                match typed.or_else(|| id_in(reply.body())).or_else(bare) {
                    Some(id) => Submission::Accepted(Job::new(NAME, id)),
                    None => Submission::Unknown(Error::new(
                        ErrorKind::OutcomeUnknown,
                        "kie.ai accepted the request but named no task; look for it in kie.ai's log before sending again",
                    )),
                }
            }
            Err(error) => refused(error),
        }
    }

    async fn state(&self, job: &Job) -> Result<State, Error> {
        let reply = self.client.record_info().task_id(&job.task).send().await.map_err(|error| unread(error, job))?;
        let Some(record) = reply.into_inner().data else {
            let message = "kie.ai does not know the job, or not yet";
            return Err(Error::new(ErrorKind::Unavailable, message).with_job(job));
        };
        Ok(match record.success_flag {
            Some(SuccessFlag::Succeeded) => succeeded(record, job),
            Some(SuccessFlag::Failed | SuccessFlag::GenerationFailed) => State::Failed(failure(&record)),
            Some(SuccessFlag::Generating) => State::Running { percent: None },
            _ => State::Pending,
        })
    }
}

impl Provider for Kie {
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

fn body(request: &VideoRequest) -> Result<types::GenerateRequest, Error> {
    request.check()?;
    let model = match request.tier {
        Some(Tier::Quality) => types::Model::Quality,
        Some(Tier::Fast) => types::Model::Fast,
        Some(Tier::Lite) | None => types::Model::Lite,
    };
    let aspect_ratio = match request.aspect_ratio {
        AspectRatio::Landscape => types::AspectRatio::Landscape,
        AspectRatio::Portrait => types::AspectRatio::Portrait,
    };
    let generation_type = match request.image {
        Some(_) => types::GenerationType::FirstAndLastFrames,
        None => types::GenerationType::Text,
    };
    let duration: types::Duration = request.duration()?;
    types::GenerateRequest::builder()
        .prompt(request.prompt.as_str())
        .image_urls(request.image.iter().cloned().collect::<Vec<_>>())
        .model(model)
        .generation_type(generation_type)
        .aspect_ratio(aspect_ratio)
        // The field's later name, which cannot be in the specification beside the first one.
        .extra(Map::from_iter([("aspect_ratio".to_owned(), Value::from(aspect_ratio.as_str()))]))
        .resolution(types::Resolution::P720)
        .duration(duration)
        .try_into()
        .map_err(|error: types::error::ConversionError| Error::new(ErrorKind::InvalidRequest, error.to_string()))
}

/// What an error says about the money.
fn refused(error: ApiError) -> Submission {
    // A reply that holds the id of a task is an acceptance, whatever else is wrong with it.
    let id = match &error {
        ApiError::NoReply { partial, .. } => id_in(partial),
        ApiError::Unreadable(reply) => id_in(&reply.body),
        ApiError::Rejected(rejection) => {
            rejection.data.as_ref().and_then(|data| Some(data["taskId"].as_str()?.to_owned()))
        }
        _ => None,
    };
    if let Some(id) = id {
        return Submission::Accepted(Job::new(NAME, id));
    }
    match &error {
        ApiError::InvalidRequest(_) => Submission::NotAccepted(translated(ErrorKind::InvalidRequest, &error)),
        ApiError::NotConnected { .. } => Submission::NotAccepted(translated(ErrorKind::NotSent, &error)),
        ApiError::Rejected(rejection) => match rejection.code {
            Some(Code::Unauthorized) => Submission::NotAccepted(translated(ErrorKind::Unauthorized, &error)),
            Some(
                Code::BadRequest
                | Code::InsufficientCredits
                | Code::NotFound
                | Code::MethodNotAllowed
                | Code::ValidationError
                | Code::RateLimited
                | Code::CallFrequency
                | Code::KeyLimit
                | Code::ImageFetchFailed
                | Code::Maintenance
                | Code::FeatureDisabled,
            ) => Submission::NotAccepted(translated(ErrorKind::Rejected, &error)),
            None if is_refusal(rejection.head.status) => {
                Submission::NotAccepted(translated(ErrorKind::Rejected, &error))
            }
            _ => Submission::Unknown(translated(ErrorKind::OutcomeUnknown, &error)),
        },
        ApiError::Unreadable(reply) if is_refusal(reply.head.status) => {
            Submission::NotAccepted(translated(ErrorKind::Rejected, &error))
        }
        _ => Submission::Unknown(translated(ErrorKind::OutcomeUnknown, &error)),
    }
}

/// The id of a task in a reply that does not have it in its place.
fn id_in(body: &[u8]) -> Option<String> {
    ["taskId", "task_id"].into_iter().find_map(|member| text_in(body, member))
}

fn unread(error: ApiError, job: &Job) -> Error {
    let kind = match &error {
        ApiError::Rejected(rejection) if rejection.code == Some(Code::Unauthorized) => ErrorKind::Unauthorized,
        _ => ErrorKind::Unavailable,
    };
    translated(kind, &error).with_job(job)
}

fn succeeded(record: types::Record, job: &Job) -> State {
    let result = record.response.unwrap_or_default();
    let places = [result.full_result_urls, result.result_urls, record.result_urls];
    match places.into_iter().flatten().map(|urls| urls.0).find(|urls| !urls.is_empty()) {
        Some(urls) => State::Succeeded(Video { resolution: result.resolution, ..Video::new(job.clone(), urls) }),
        None => State::Failed("kie.ai reports success without a video; it was most likely filtered".to_owned()),
    }
}

fn failure(record: &types::Record) -> String {
    let words = record.error_message.as_deref().filter(|words| !words.is_empty()).unwrap_or("no reason given");
    match record.error_code {
        Some(code) => format!("kie.ai failed to make the video: {words} (code {code})"),
        None => format!("kie.ai failed to make the video: {words}"),
    }
}
