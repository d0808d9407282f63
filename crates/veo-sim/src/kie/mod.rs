//! kie.ai: its Veo endpoints in both forms, its common endpoints, its uploads and its callbacks.

mod account;
mod callback;
mod create_task;
mod envelope;
mod follow;
mod generate;
mod get_task;
mod omni;
mod price;
mod record;
mod send;
mod shapes;
mod task;
mod upgrade;
pub(crate) mod upload;
mod video;

use crate::reply::Reply;
use crate::visit::Visit;

pub(crate) use envelope::error;
pub(crate) use shapes::reshape;

/// The answer of api.kie.ai to a request.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation {
        "generate" => generate::generate(visit),
        "extend" => generate::extend(visit),
        "record_info" => record::record_info(visit),
        "get_1080p_video" => upgrade::get_1080p_video(visit),
        "get_4k_video" => upgrade::get_4k_video(visit),
        "create_task" => create_task::create_task(visit),
        "get_task" => get_task::get_task(visit),
        "account_credits" => account::account_credits(visit),
        "download_url" => account::download_url(visit),
        _ => return error(501, None, Some(&visit.not_simulated())),
    };
    answer.unwrap_or_else(Reply::from)
}
