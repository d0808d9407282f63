//! kie.ai: its Veo and common endpoints, its uploads and its callbacks.

mod account;
mod callback;
mod envelope;
mod follow;
mod forms;
mod generate;
mod price;
mod record;
mod send;
mod task;
mod upgrade;
pub(crate) mod upload;
mod video;

use crate::reply::Reply;
use crate::visit::Visit;

pub(crate) use envelope::error;
pub(crate) use forms::reshape;

/// The answer of api.kie.ai to a request.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation {
        "generate" => generate::generate(visit),
        "extend" => generate::extend(visit),
        "record_info" => record::record_info(visit),
        "get_1080p_video" => upgrade::get_1080p_video(visit),
        "get_4k_video" => upgrade::get_4k_video(visit),
        // The current form is closed here, so it has no tasks.
        "create_task" => Err(envelope::CLOSED),
        "get_task" => Err(envelope::NO_RECORD),
        "account_credits" => account::account_credits(visit),
        "download_url" => account::download_url(visit),
        _ => return error(501, None, Some(&visit.is_not_played())),
    };
    answer.unwrap_or_else(Reply::from)
}
