//! The task that a reply to a paid request names, wherever it is.

use bytes::Bytes;
use veo_transport::{Reply, member_texts, members};

use crate::record::IN_PROGRESS;
use crate::types::TaskReply;
use crate::{Error, Rejection};

/// Words of kie.ai, in lower case, about an account without credits. Some of its pages give it the code for too many requests.
const EMPTY_ACCOUNT: &[&str] = &["insufficient"];

/// The id of the task that a reply to `generate` or `extend` names. A reply that names one is an acceptance, whatever else is
/// wrong with it: it is looked for in refusals, in error pages and in what was read of a broken reply.
///
/// The id of the video to extend, `source`, is not that of a task which was started.
pub fn started_task(
    result: &Result<Reply<TaskReply>, Error>,
    source: Option<&str>,
) -> Option<String> {
    let is_new = |id: &String| !id.is_empty() && Some(id.as_str()) != source;
    let body = body(result)?;
    let named = || {
        members(body, "taskId")
            .chain(members(body, "task_id"))
            // The current form tells the id twice.
            .chain(members(body, "recordId"))
            .filter(is_new)
    };
    let first = named().next();
    let Ok(reply) = result else {
        return first;
    };
    let typed = reply.data.as_ref().and_then(|task| task.task_id.as_ref());
    if let Some(id) = typed
        && is_new(id)
        // A number of many digits loses some when it is decoded, and only the body has them all.
        && (first.is_none() || named().any(|named| named == *id))
    {
        return Some(id.clone());
    }
    if first.is_some() {
        return first;
    }
    // Where the task would be there may be the bare id.
    let bare = member_texts(body, "data").next()?;
    let is_id = reply.code.is_some() && is_new(&bare) && looks_like_an_id(&bare);
    is_id.then_some(bare)
}

/// The body of a reply, or what was read of it.
fn body(result: &Result<Reply<TaskReply>, Error>) -> Option<&Bytes> {
    match result {
        Ok(reply) => Some(reply.body()),
        Err(Error::NoReply { partial, .. }) => Some(partial),
        Err(Error::Unreadable(reply)) => Some(&reply.body),
        Err(Error::Rejected(rejection)) => Some(&rejection.body),
        Err(_) => None,
    }
}

/// Whether a text by itself is the id of a task, and not the word for a state or a sentence.
fn looks_like_an_id(text: &str) -> bool {
    const SHORTEST: usize = 8;
    text.len() >= SHORTEST
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && text.contains(|c: char| c.is_ascii_digit())
}

impl Rejection {
    /// kie.ai's code, or the HTTP status if there is none.
    pub fn number(&self) -> i64 {
        self.code
            .map_or_else(|| self.head.status.into(), |code| code.value())
    }

    /// Whether it only says that something is on its way.
    pub fn is_in_progress(&self) -> bool {
        self.says(IN_PROGRESS)
    }

    /// Whether the account has not enough credits.
    pub fn is_empty_account(&self) -> bool {
        self.number() == 402 || self.number() == 429 && self.says(EMPTY_ACCOUNT)
    }

    /// Whether a refusal to tell the record of a task means that the task has failed: codes that kie.ai documents for that.
    pub fn is_failed_task(&self) -> bool {
        match self.number() {
            // Seen while a larger video is being made, too.
            400 => self.code.is_some() && !self.is_in_progress(),
            451 | 501 => self.code.is_some(),
            _ => false,
        }
    }

    pub(crate) fn says(&self, parts: &[&str]) -> bool {
        let words = self.message.as_deref().unwrap_or_default().to_lowercase();
        parts.iter().any(|part| words.contains(part))
    }
}
