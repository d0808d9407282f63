//! Reads the answers of the two calls that make a video larger.

use bytes::Bytes;
use serde::Deserialize as _;
use serde_json::Value;
use veo_transport::{Reply, UrlList, json, task_id};

use crate::Error;
use crate::record::decoded;

/// The answer to one call for an upgrade. A repeated call returns the state of the upgrade.
#[derive(Debug)]
pub enum UpgradeReply {
    /// The larger videos are finished.
    Finished {
        /// The URLs of the larger videos.
        urls: Vec<String>,
        /// The whole reply, as it arrived.
        body: Bytes,
        /// The content of long data URLs, as in [`Reply::inline`].
        inline: Vec<Bytes>,
    },
    /// The larger videos are being made.
    Running {
        /// The id of the upgrade's own task, if the reply has one.
        task: Option<String>,
    },
    /// This call was not charged, and to repeat it is of no use: kie.ai has refused the upgrade, the upgrade has
    /// failed, the account is empty, or the call was not sent. An earlier call may have been charged.
    Refused(Error),
    /// The call was not accepted, because of the API key, a limit, maintenance or the network. An earlier call may
    /// still have been accepted.
    NotNow(Error),
    /// The call may have been accepted and charged.
    Unknown(Error),
}

impl UpgradeReply {
    /// Reads the reply to `get_1080p_video` or `get_4k_video`. `small` is the id of the smaller video's task.
    ///
    /// kie.ai says "not yet" by a success without a URL, or by one of the codes 400, 422 and 500 with words about
    /// progress. A refusal can have the URLs of the finished videos, or name the upgrade's own task, whose id is not
    /// `small`.
    pub fn of<T>(result: Result<Reply<T>, Error>, small: &str) -> Self {
        let body = match &result {
            Ok(reply) => reply.body().clone(),
            Err(Error::Rejected(rejection)) => rejection.body.clone(),
            Err(_) => Bytes::new(),
        };
        let data = json(&body)
            .ok()
            .and_then(|mut json| Some(json.get_mut("data")?.take()))
            .unwrap_or_default();
        let data = match data {
            Value::String(text) => decoded(&text),
            data => data,
        };
        let urls = urls(&data);
        if !urls.is_empty() {
            let inline = match &result {
                Ok(reply) => reply.inline().to_vec(),
                Err(_) => Vec::new(),
            };
            return Self::Finished { urls, body, inline };
        }
        let task = ["taskId", "task_id"]
            .into_iter()
            .find_map(|name| task_id(data[name].as_str()?));
        let own = task.filter(|task| *task != small).map(str::to_owned);
        match result {
            Err(error) if says_failed(&error) => Self::Refused(error),
            Err(error) if own.is_none() => Self::of_error(error, task.is_some()),
            _ => Self::Running { task: own },
        }
    }

    /// Reads an error that has no videos and does not name the upgrade's own task. `has_task` is true if the error
    /// names the task of the smaller video.
    fn of_error(error: Error, has_task: bool) -> Self {
        let number = match &error {
            Error::Rejected(rejection) if rejection.is_empty_account() => {
                return Self::Refused(error);
            }
            Error::Rejected(rejection) => rejection.number(),
            // An error page of a server in front of kie.ai has a status and no code.
            Error::Unreadable(reply) => reply.head.status.into(),
            Error::InvalidRequest(_) => return Self::Refused(error),
            Error::NotConnected { .. } => return Self::NotNow(error),
            _ => return Self::Unknown(error),
        };
        let Error::Rejected(rejection) = &error else {
            return match number {
                // The call does not exist any more. A 404 can be a passing fault, so its outcome is unknown.
                405 | 410 => Self::Refused(error),
                _ if is_not_now(number) => Self::NotNow(error),
                _ => Self::Unknown(error),
            };
        };
        match number {
            405 | 505 => Self::Refused(error),
            // Only the HTTP status 410 counts, since kie.ai documents no code 410.
            410 if rejection.head.status == 410 => Self::Refused(error),
            // These codes refuse the call for now. An earlier call for the upgrade may have been accepted.
            _ if is_not_now(number) => Self::NotNow(error),
            _ if rejection.is_in_progress() => Self::Running { task: None },
            400 | 404 | 422 => Self::Refused(error),
            _ if has_task => Self::Running { task: None },
            _ => Self::Unknown(error),
        }
    }
}

/// Returns whether an upgrade has failed for good, even if the reply names its task.
fn says_failed(error: &Error) -> bool {
    let Error::Rejected(rejection) = error else {
        return false;
    };
    match rejection.number() {
        451 | 501 => !rejection.is_in_progress(),
        // Only the code 500 can have words that say that the error will not pass.
        500 => rejection.says(&["is unavailable"]) && !rejection.is_in_progress(),
        _ => false,
    }
}

fn is_not_now(number: i64) -> bool {
    matches!(number, 401 | 403 | 413 | 429 | 430 | 433 | 455)
}

/// Finds the URLs of the larger videos, wherever they are in the data.
fn urls(data: &Value) -> Vec<String> {
    const MEMBERS: [&str; 4] = ["resultUrls", "result_urls", "resultUrl", "result_url"];
    const WRAPPERS: [&str; 3] = ["response", "info", "resultJson"];
    let object = match data {
        Value::Object(object) => object,
        // The text is a URL, or it is JSON.
        Value::String(text) => match decoded(text) {
            Value::String(url) if is_url(&url) => return vec![url],
            inside @ Value::Object(_) => return urls(&inside),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let here = MEMBERS
        .into_iter()
        .filter_map(|name| Some(UrlList::deserialize(object.get(name)?).ok()?.0));
    let inside = WRAPPERS
        .into_iter()
        .filter_map(|name| object.get(name))
        .map(urls);
    here.chain(inside)
        .find(|urls| !urls.is_empty())
        .unwrap_or_default()
}

fn is_url(text: &str) -> bool {
    let start: String = text.chars().take(16).flat_map(char::to_lowercase).collect();
    ["http://", "https://", "data:video/"]
        .into_iter()
        .any(|scheme| start.starts_with(scheme))
}
