//! The video endpoints of UniAll.

mod content;
mod create;
mod errors;
mod models;
mod query;
mod shapes;

use std::borrow::Cow;

use hyper::Method;

use crate::reply::Reply;
use crate::visit::Visit;

pub(crate) use errors::error;
pub(crate) use models::list as models;
pub(crate) use shapes::reshape;

/// Converts other paths of the same operations to the path in the specification. UniAll's pages have some of these
/// paths, and the gateway software that UniAll most likely runs has the others.
pub(crate) fn usual_path<'a>(method: &Method, path: &'a str) -> Cow<'a, str> {
    const CREATE: &str = "/v1/video/generations";
    match (method, path) {
        (&Method::POST, "/v1/videos" | "/v1/videos/generations") => CREATE.into(),
        (&Method::GET, _) => {
            let folders = [query::IN_ENVELOPE, "/v1/videos/generations/"];
            let id = folders.iter().find_map(|folder| path.strip_prefix(folder));
            id.map_or(path.into(), |id| format!("/v1/videos/{id}").into())
        }
        _ => path.into(),
    }
}

pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation {
        "create_video" => create::create(visit),
        "query_video" => query::query(visit),
        "video_content" => content::content(visit),
        _ => {
            let why = visit.not_simulated();
            Err(error(501, Some("not_implemented"), Some(&why)))
        }
    };
    answer.unwrap_or_else(|refusal| refusal)
}
