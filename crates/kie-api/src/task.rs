//! Finds the task in the reply to a paid request. If a task is overlooked, its request may be paid for again.

use bytes::Bytes;
use veo_transport::{Named, Reply, member_texts, members, possible_task, task_id, unquoted};

use crate::record::IN_PROGRESS;
use crate::types::TaskReply;
use crate::{Error, Rejection};

/// Words of kie.ai, in lower case, about a lack of credits. On some pages its code is that of too many requests.
const EMPTY_ACCOUNT: &[&str] = &["insufficient"];

/// Finds the task that a reply to `generate` or `extend` names. A reply that names a task is an acceptance, even if all
/// else in it is wrong. So the search includes refusals, error pages, and the part of a broken reply that arrived.
///
/// `source` is the id of the task to extend. A reply can repeat it, and then it is not the id of a new task.
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
        // A long number loses digits when it is decoded; the body has all of them. A wrong id would lose a paid video.
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
    // An id in a refusal can be the id of an earlier task, so it proves no job. It can also be the id of a new, paid
    // task, so the request is not sent again.
    let is_refusal = !result.as_ref().is_ok_and(|reply| reply.code.is_some());
    possible_task(body, is_refusal).filter(|(Named::Task(id) | Named::Possible(id))| is_new(id))
}

/// Finds the ids of tasks in a reply.
fn named_in(body: &[u8]) -> impl Iterator<Item = String> {
    // In the current form, a reply has the id twice, as `taskId` and `recordId`.
    ["taskId", "task_id", "recordId"]
        .into_iter()
        .flat_map(|member| members(body, member))
        .filter_map(|id| task_id(&id).map(str::to_owned))
}

/// The body of a reply, or the part of it that arrived.
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
    /// The code of kie.ai, or the HTTP status if there is none.
    pub fn number(&self) -> i64 {
        self.code
            .map_or_else(|| self.head.status.into(), |code| code.value())
    }

    /// Returns whether the words say that a video is still being made.
    pub fn is_in_progress(&self) -> bool {
        self.says(IN_PROGRESS)
    }

    /// Returns whether the account lacks credits.
    pub fn is_empty_account(&self) -> bool {
        self.number() == 402 || self.number() == 429 && self.says(EMPTY_ACCOUNT)
    }

    /// Returns whether a refusal to return a record means that the task has failed, by the codes that kie.ai documents.
    pub fn is_failed_task(&self) -> bool {
        match self.number() {
            // kie.ai also sends this code while a larger video is being made.
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
