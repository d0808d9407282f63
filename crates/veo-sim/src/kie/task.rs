//! The facts of a task that several of kie.ai's answers and callbacks are made from.

use super::envelope::{Refusal, UNKNOWN_TASK};
use crate::clip::Resolution;
use crate::media::RECORD_LIFE;
use crate::scenario::Fate;
use crate::state::State;
use crate::task::Task;
use crate::visit::Visit;

const OLD_TASK: Refusal = Refusal(422, "Temporarily supports records within 14 days.");
const UNFINISHED_TASK: Refusal = Refusal(422, "record status is not success.");
const EMPTY_TASK: Refusal = Refusal(422, "record result data is empty.");
/// Documented for the callback. It is not known how the calls that follow are answered.
pub(crate) const NO_4K: Refusal = Refusal(
    500,
    "The 4K version of this video is unavailable. Please try a different video.",
);

/// A task of the account whose record is still kept.
pub(crate) fn kept<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    let task = state.tasks.get_mut(id).ok_or(UNKNOWN_TASK)?;
    if task.account != visit.account {
        return Err(UNKNOWN_TASK);
    }
    if visit.now.saturating_sub(task.work.started) > RECORD_LIFE {
        return Err(OLD_TASK);
    }
    Ok(task)
}

/// A task of the account that has become a video.
pub(crate) fn finished<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    state.settle(id);
    let task = kept(state, visit, id)?;
    if task.work.done.is_none() || task.fate.is_failure() {
        return Err(UNFINISHED_TASK);
    }
    if task.fate == Fate::Filtered {
        return Err(EMPTY_TASK);
    }
    Ok(task)
}

/// Whether a reply names a video of 720p beside the one that was asked for.
pub(crate) fn has_origin(task: &Task) -> bool {
    let delivered = task.delivered();
    let is_other = delivered.portrait || delivered.resolution > Resolution::P720;
    is_other && !matches!(task.fate, Fate::Fallback | Fate::Filtered)
}

/// The code and the words of a task that has failed.
pub(crate) fn failure(fate: Fate) -> Option<Refusal> {
    match fate {
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
        Fate::Made | Fate::Filtered | Fate::Stuck | Fate::Smaller | Fate::Fallback | Fate::No4k => {
            None
        }
    }
}
