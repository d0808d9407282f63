//! The record of a job in both forms, and its meaning.

use kie_api::{Client, Error as ApiError, Rejection, types};
use veo_transport::absolute;

use super::form::Form;
use super::jobs;
use super::refusals::of_question;
use crate::providers::errors::{failure, start};
use crate::providers::submit::explained;
use crate::time::whole_seconds;
use crate::{Described, Error, ErrorKind, JobRef, State, Video};

/// Asks for the state of a job, and for the request that its record repeats.
pub(super) async fn describe(client: &Client, job: &JobRef) -> Result<Described, Error> {
    let (record, state) = ask(client, job).await?;
    Ok(match record {
        Some(record) => described(&record, state),
        None => Described::new(state),
    })
}

/// Asks for the state of a job. Nothing else in its record is read.
pub(super) async fn state(client: &Client, job: &JobRef) -> Result<State, Error> {
    let (_, state) = ask(client, job).await?;
    Ok(state)
}

/// Asks for the record of a job, in the form that knows the job. A failed job can have none.
async fn ask(client: &Client, job: &JobRef) -> Result<(Option<types::Record>, State), Error> {
    let form = Form::of_job(job)?;
    let asked = match form {
        Form::Old => client.record_info().task_id(&job.task).send().await,
        Form::Current => client.get_task().task_id(&job.task).send().await,
    };
    let reply = match asked {
        Ok(reply) => reply,
        Err(ApiError::Rejected(rejection)) => return of_rejection(client, job, form, rejection),
        Err(error) => return Err(of_question(&error).with_job(job)),
    };
    let body = reply.body().clone();
    let inline = reply.inline().to_vec();
    let Some(record) = reply.into_inner().data else {
        let message = "kie.ai does not know the job, or not yet";
        return Err(Error::new(ErrorKind::Unavailable, message)
            .with_reply(body)
            .with_job(job));
    };
    let state = state_of(&record, job, &body, client.address())?;
    Ok((Some(record), state.with_inline(inline)))
}

/// Reads a refusal to a question about a job. The refusal can have the record of the job.
fn of_rejection(
    client: &Client,
    job: &JobRef,
    form: Form,
    rejection: Box<Rejection>,
) -> Result<(Option<types::Record>, State), Error> {
    let record = rejection.ended_record();
    let has_failed_without_words = match &record {
        Some(record) => record.state() == kie_api::State::Failed && record.failure().is_none(),
        // In the current form a failed task has a record, so a refusal without a record does not mean a failure.
        None => form == Form::Old && rejection.is_failed_task(),
    };
    if has_failed_without_words {
        let error = explained(ErrorKind::JobFailed, &*rejection).with_job(job);
        return Ok((None, State::Failed(Box::new(error))));
    }
    if let Some(record) = record {
        let state = state_of(&record, job, &rejection.body, client.address())?;
        return Ok((Some(record), state));
    }
    Err(of_question(&ApiError::Rejected(rejection)).with_job(job))
}

fn described(record: &types::Record, state: State) -> Described {
    let asked = record.asked();
    let kind = asked.kind.as_ref().or(record.model.as_ref());
    Described {
        prompt: asked.prompt,
        model: asked.model,
        upgrade: kind.and_then(|kind| jobs::size_of_upgrade(kind)),
        source: asked.task,
        word: record.unknown_word(),
        ..Described::new(state)
    }
}

fn state_of(
    record: &types::Record,
    job: &JobRef,
    body: &[u8],
    address: &str,
) -> Result<State, Error> {
    match record.state() {
        kie_api::State::Succeeded => {
            let urls = record.urls().into_iter();
            let urls = urls.map(|url| absolute(url, address)).collect();
            Ok(State::Finished(Box::new(Video {
                resolution: record.resolution(),
                has_audio: record.has_audio(),
                seeds: record.seeds().to_vec(),
                credits: record.credits(),
                created_at: record.created_at().map(whole_seconds),
                completed_at: record.completed_at().map(whole_seconds),
                raw: start(body),
                ..Video::new(job.clone(), urls)
            })))
        }
        kie_api::State::Empty => {
            let failed = failed(record);
            if failed.kind() == ErrorKind::Policy {
                let failed = failed.with_reply(body).with_job(job);
                return Ok(State::Failed(Box::new(failed)));
            }
            let message =
                "kie.ai reports success and names no video; ask again later, or look at its reply";
            Err(Error::new(ErrorKind::Download, message)
                .with_reply(body)
                .with_job(job))
        }
        kie_api::State::Failed => {
            let failed = failed(record).with_reply(body).with_job(job);
            Ok(State::Failed(Box::new(failed)))
        }
        kie_api::State::Running => Ok(State::Running { percent: None }),
        _ => Ok(State::Pending),
    }
}

fn failed(record: &types::Record) -> Error {
    let code = record.failure_code();
    let words = record.failure();
    let because = words.as_deref().unwrap_or("no reason given");
    let message = match &code {
        Some(code) => format!("kie.ai failed to make the video, code {code}: {because}"),
        None => format!("kie.ai failed to make the video: {because}"),
    };
    let said = words.as_deref().unwrap_or_default();
    let error = failure(message, code.as_deref(), said).with_provider(code, words);
    if record.asked().has_images == Some(false) {
        error.not_of_an_image()
    } else {
        error
    }
}
