use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

/// The status of a reply, and the headers that matter.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`, if the reply has it.
    pub content_type: Option<String>,
    /// The header `Retry-After` as a time from now, if the reply has it.
    pub retry_after: Option<Duration>,
}

impl Head {
    pub(crate) fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
        };
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let until = |text| {
            httpdate::parse_http_date(text)
                .ok()
                .map(|date| date.duration_since(SystemTime::now()).unwrap_or_default())
        };
        Self {
            status,
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|text| seconds(text).or_else(|| until(text))),
        }
    }

    /// Returns whether the status is from 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
