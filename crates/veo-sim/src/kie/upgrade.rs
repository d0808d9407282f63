//! Upgrades of a finished video in the old form, to 1080p and to 4K. The same call starts an upgrade and asks about it.

use serde_json::json;

use super::envelope::{Answer, NO_CREDITS, Refusal, body, fits, success};
use super::follow::follow;
use super::task::{NO_4K, TO_4K, TO_1080P, Upgrade, upgradable};
use crate::clip::Resolution;
use crate::media;
use crate::reply::Reply;
use crate::task::{Subject, Work};
use crate::visit::{Visit, text};

const PROCESSING_1080P: Refusal = Refusal(
    400,
    "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
);
const PROCESSING_4K: &str =
    "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.";

/// The state of an upgrade after a call.
struct Stage {
    /// True if this call has started it, and was charged for it.
    is_new: bool,
    /// True if it has ended. If it also `fails`, there is no video.
    has_ended: bool,
    fails: bool,
}

pub(crate) fn get_1080p_video(visit: &Visit<'_>) -> Answer {
    let id = visit.query("taskId").unwrap_or_default();
    fits(visit)?;
    let upgrade = upgrade(visit, &id, &TO_1080P)?;
    if !upgrade.has_ended {
        return Err(PROCESSING_1080P);
    }
    let url = media::url(&visit.shared.media_url, &id, "_1080p");
    Ok(success(json!({ "resultUrl": url })))
}

/// Answers a call for 4K. The first call starts the upgrade. Later calls get a refusal with data: running, or done.
pub(crate) fn get_4k_video(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    fits(visit)?;
    let id = text(&request, "taskId").unwrap_or_default();
    let upgrade = upgrade(visit, id, &TO_4K)?;
    let mut data = json!({ "taskId": id, "resultUrls": null, "imageUrls": null });
    if upgrade.is_new {
        if let Some(url) = text(&request, "callBackUrl") {
            let state = &mut visit.shared.state();
            follow(visit.shared, state, id, url, Subject::Upgrade4k);
        }
        return Ok(success(data));
    }
    if upgrade.has_ended && upgrade.fails {
        return Err(NO_4K);
    }
    let mut message = PROCESSING_4K;
    if upgrade.has_ended {
        message = "The video has been generated successfully";
        data["resultUrls"] = json!([media::url(&visit.shared.media_url, id, "_4k")]);
    }
    let reply = json!({ "code": 422, "msg": message, "data": data });
    Ok(Reply::json(200, reply))
}

fn upgrade(visit: &Visit<'_>, id: &str, upgrade: &Upgrade) -> Result<Stage, Refusal> {
    let state = &mut *visit.shared.state();
    let place = usize::from(upgrade.to == Resolution::K4);
    let is_new = upgradable(state, visit, id)?.upgrades[place].is_none();
    let price = upgrade.price.into();
    if is_new && !state.bill(&visit.account, visit.operation, visit.call, id, price) {
        return Err(NO_CREDITS);
    }
    let task = upgradable(state, visit, id)?;
    let fails = task.has_no_upgrade(upgrade.to);
    let new = Work::new(visit.now, upgrade.seconds);
    let work = task.upgrades[place].get_or_insert(new);
    let has_ended = work.ask(visit.pace, visit.now);
    task.wake();
    Ok(Stage {
        is_new,
        has_ended,
        fails,
    })
}
