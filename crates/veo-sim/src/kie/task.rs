//! The facts of a task that several of kie.ai's answers and callbacks share.

use serde_json::{Value, json};

use super::envelope::{INVALID, Refusal, UNKNOWN_TASK};
use crate::clip::Resolution;
use crate::media::{self, RECORD_LIFE};
use crate::scenario::Fate;
use crate::state::State;
use crate::task::{Progress, Task};
use crate::visit::Visit;

const OLD_TASK: Refusal = Refusal(422, "Temporarily supports records within 14 days.");
const UNFINISHED_TASK: Refusal = Refusal(422, "record status is not success.");
const EMPTY_TASK: Refusal = Refusal(422, "record result data is empty.");
const NOT_FOR_FALLBACK: Refusal =
    Refusal(422, "Videos made by the fallback model cannot be upgraded.");
/// The refusal that kie.ai documents for the callback. kie.ai's answers to later calls are not known.
pub(crate) const NO_4K: Refusal = Refusal(
    500,
    "The 4K version of this video is unavailable. Please try a different video.",
);

/// The model of the current form for a video of Veo 3.1 in any tier.
pub(crate) const VEO: &str = "veo-3-1";

/// An upgrade of a finished video. It is the same in both forms.
pub(crate) struct Upgrade {
    pub(crate) to: Resolution,
    /// The price in credits.
    pub(crate) price: u32,
    /// The time that it takes.
    pub(crate) seconds: u64,
}

pub(crate) const TO_1080P: Upgrade = Upgrade {
    to: Resolution::P1080,
    price: 5,
    seconds: 120,
};
pub(crate) const TO_4K: Upgrade = Upgrade {
    to: Resolution::K4,
    price: 120,
    seconds: 480,
};

/// Finds a task of the account and of the form of the request. Its record must still exist.
pub(crate) fn find_task<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    let task = state.tasks.get_mut(id).ok_or(UNKNOWN_TASK)?;
    let is_current = matches!(visit.operation, "create_task" | "get_task");
    if task.account != visit.account || task.current.is_some() != is_current {
        return Err(UNKNOWN_TASK);
    }
    if visit.now.saturating_sub(task.work.started) > RECORD_LIFE {
        return Err(OLD_TASK);
    }
    Ok(task)
}

/// Counts a question about a task. Returns the task, and whether it has ended.
pub(crate) fn count_question<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<(&'a mut Task, bool), Refusal> {
    find_task(state, visit, id)?;
    let progress = state.ask(&visit.account, id);
    let has_ended = matches!(progress, Some(Progress::Ended));
    Ok((find_task(state, visit, id)?, has_ended))
}

/// Finds a task of the account that has become a video of Veo 3.1 and is no upgrade.
pub(crate) fn finished<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    state.settle(id);
    let task = find_task(state, visit, id)?;
    if task.current.is_some_and(|current| current.tier.is_empty()) {
        return Err(INVALID);
    }
    if task.work.done.is_none() || task.fails() {
        return Err(UNFINISHED_TASK);
    }
    if task.fate == Fate::Filtered {
        return Err(EMPTY_TASK);
    }
    Ok(task)
}

/// Finds a [`finished`] task whose video can be upgraded.
pub(crate) fn upgradable<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    let task = finished(state, visit, id)?;
    if task.fate == Fate::Fallback {
        return Err(NOT_FOR_FALLBACK);
    }
    Ok(task)
}

/// Returns whether a reply names a video of 720p besides the requested one.
pub(crate) fn has_origin(task: &Task) -> bool {
    let delivered = task.delivered();
    let is_other = delivered.portrait || delivered.resolution > Resolution::P720;
    is_other && !matches!(task.fate, Fate::Fallback | Fate::Filtered)
}

/// A list with the URL of the file with this ending. The list is empty if the video was filtered.
pub(crate) fn urls(task: &Task, id: &str, base: &str, which: &str) -> Value {
    match task.fate {
        Fate::Filtered => json!([]),
        _ => json!([media::url(base, id, which)]),
    }
}

pub(crate) fn failure(task: &Task) -> Option<Refusal> {
    match task.fate {
        Fate::PromptRefused => Some(Refusal(
            400,
            "Your prompt was flagged by Website as violating content policies.",
        )),
        Fate::ImageRefused => Some(Refusal(400, "public error unsafe image upload.")),
        Fate::NoAudio => Some(Refusal(
            400,
            "The Google model was unable to generate audio for this request.",
        )),
        Fate::Failed | Fate::FailedButCharged => Some(Refusal(422, "failed")),
        Fate::Retired => Some(Refusal(400, "PUBLIC_ERROR_MODEL_ACCESS_DENIED")),
        Fate::FailedEarly => Some(Refusal(500, "Internal Error, Please try again later.")),
        Fate::No4k if task.fails() => Some(NO_4K),
        Fate::Made | Fate::Filtered | Fate::Stuck | Fate::Smaller | Fate::Fallback | Fate::No4k => {
            None
        }
    }
}
