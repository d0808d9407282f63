//! The video endpoints of UniAll.

mod create;
mod errors;
mod forms;
mod query;

use crate::reply::Reply;
use crate::visit::Visit;

pub(crate) use errors::error;
pub(crate) use forms::reshape;

/// The answer to a request.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation {
        "create_video" => create::create(visit),
        "query_video" => query::query(visit),
        _ => {
            let why = visit.is_not_played();
            Err(error(501, Some("not_implemented"), Some(&why)))
        }
    };
    answer.unwrap_or_else(|refusal| refusal)
}
