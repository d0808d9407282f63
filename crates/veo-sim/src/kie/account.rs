//! The balance of an account, and links to its files.

use std::time::Duration;

use serde_json::json;

use super::envelope::{Answer, Refusal, body, fits, success};
use crate::media;
use crate::visit::{Visit, text};

/// The time for which a download link is valid, as kie.ai documents it.
const LINK_LIFE: Duration = Duration::from_secs(20 * 60);
const INVALID_URL: Refusal = Refusal(422, "url is wrong");

pub(crate) fn account_credits(visit: &Visit<'_>) -> Answer {
    let balance = visit.shared.state().balance(&visit.account);
    Ok(success(json!(balance)))
}

pub(crate) fn download_url(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let url = text(&request, "url").ok_or(INVALID_URL)?;
    fits(visit)?;
    let link = media::signed(visit.shared, &visit.account, url, LINK_LIFE).ok_or(INVALID_URL)?;
    Ok(success(json!(link)))
}
