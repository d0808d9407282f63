//! The task that a reply to a paid request names, wherever it is.

use bytes::Bytes;
use veo_transport::{Named, Reply, member_texts, members, task_id, unnamed_task, unquoted};

use crate::record::IN_PROGRESS;
use crate::types::TaskReply;
use crate::{Error, Rejection};

/// Words of kie.ai, in lower case, about an account without credits. Some of its pages give it the code for too many requests.
const EMPTY_ACCOUNT: &[&str] = &["insufficient"];

/// The task that a reply to `generate` or `extend` names. A reply that names one is an acceptance, whatever else is wrong with
/// it: it is looked for in refusals, in error pages and in what was read of a broken reply.
///
/// The id of the video to extend, `source`, is not that of a task which was started.
pub fn started_task(
    result: &Result<Reply<TaskReply>, Error>,
    source: Option<&str>,
) -> Option<Named> {
    let is_new = |id: &String| Some(id.as_str()) != source;
    let body = body(result)?;
    let named = || named_in(body).filter(is_new);
    let first = named().next();
    let typed = result
        .as_ref()
        .ok()
        .and_then(|reply| reply.data.as_ref()?.task_id.as_deref());
    if let Some(id) = typed.and_then(task_id).map(str::to_owned)
        && is_new(&id)
        // A number of many digits loses some when it is decoded, and only the body has them all.
        && (first.is_none() || named().any(|named| named == id))
    {
        return Some(Named::Task(id));
    }
    let in_text = || {
        let texts = member_texts(body, "data").map(unquoted);
        texts.filter_map(|text| named_in(text.as_bytes()).find(is_new))
    };
    if let Some(id) = first.or_else(|| in_text().next()) {
        return Some(Named::Task(id));
    }
    let is_refusal = !result.as_ref().is_ok_and(|reply| reply.code.is_some());
    unnamed_task(body, is_refusal).filter(|(Named::Task(id) | Named::Perhaps(id))| is_new(id))
}

/// The ids that a reply gives as those of tasks.
fn named_in(body: &[u8]) -> impl Iterator<Item = String> {
    // The current form tells the id twice.
    ["taskId", "task_id", "recordId"]
        .into_iter()
        .flat_map(|member| members(body, member))
        .filter_map(|id| task_id(&id).map(str::to_owned))
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
