use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use veo_transport::{json, without_queries};

use super::callback::marker;
use super::form::CURRENT;
use super::models::NAME;
use crate::{Error, ErrorKind, JobRef};

/// A verifier that distinguishes the webhooks of kie.ai from forgeries. UniAll sends none.
///
/// When a job has ended, kie.ai calls the callback address of its request. kie.ai signs this call if a `webhookHmacKey`
/// exists in its settings. The signature covers the id of the task and the time, and not the body. So a verified
/// webhook says only that this job may have ended: anybody who has seen one call can send it with another body. Ask
/// kie.ai for the true state, with [`Client::wait`](crate::Client::wait).
///
/// kie.ai expects an answer with HTTP 200 within 15 seconds. Otherwise it repeats the webhook up to three times. So
/// answer first and ask kie.ai afterwards, as `examples/webhook.rs` does with axum:
///
/// ```
/// use veo_core::{Client, Delivery, Error, JobRef, Webhooks};
///
/// /// Before the answer: HTTP 200 if there is no error, and 400 if there is one.
/// fn receive(webhooks: &Webhooks, target: &str, headers: &http::HeaderMap, body: &[u8]) -> Result<Delivery, Error> {
///     webhooks.verify(target, headers, body)
/// }
///
/// /// After the answer, with the jobs that were begun.
/// async fn confirm(client: &Client, jobs: &[JobRef], delivery: Delivery) -> Result<(), Error> {
///     let Delivery::First(notice) = delivery else { return Ok(()) };
///     // Only what was stored says in which resolution the video is wanted.
///     let same = |job: &&JobRef| job.provider == notice.job.provider && job.task == notice.job.task;
///     if let Some(job) = jobs.iter().find(same) {
///         let video = client.wait(job).await?;
///         println!("{} is at {:?}", video.job, video.urls);
///     }
///     Ok(())
/// }
/// ```
///
/// Set [`Poll::first`](crate::Poll::first) to zero, so that the client asks at once. A webhook can be lost for good. So
/// store the jobs, and wait also for those whose webhook does not come.
///
/// A verifier remembers the webhooks that it has seen, so use one verifier for all requests. Other processes do not
/// know them.
pub struct Webhooks {
    key: Hmac<Sha256>,
    tolerance: Duration,
    seen: Mutex<Seen>,
}

/// A webhook that kie.ai has signed.
///
/// A repeated webhook is not an error: kie.ai repeats a webhook if it has missed the answer, and an error as the answer
/// would make kie.ai repeat it once more. kie.ai does not document whether a repeated webhook has a new signature. If
/// it has, it is another [`First`](Self::First), so your code has to allow two of them for one job.
///
/// ```
/// use veo_core::{Delivery, JobRef};
///
/// /// The job to confirm, if it is news.
/// fn news(delivery: Delivery) -> Option<JobRef> {
///     match delivery {
///         Delivery::First(notice) => Some(notice.job),
///         Delivery::Repeated(_) => None,
///     }
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// The signature has not been seen before. Answer with HTTP 200, and ask kie.ai about the job.
    First(Notice),
    /// The signature has been seen before, for the same task and time. Answer with HTTP 200, and do nothing more.
    Repeated(Notice),
}

/// The job of a webhook. The URLs of the body are left out, since the signature does not cover them.
///
/// The webhook does not have the [resolution](JobRef::resolution) of the job. If a larger video was requested, a wait
/// for this job would return the smaller one. So find your stored job by its provider and its task, and wait for the
/// stored job, as in the example of [`Webhooks`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Notice {
    /// The job that has ended, without its resolution. The task is verified. The form is the form of the body and is
    /// not verified: the body about a job of the current form can be in the old form.
    pub job: JobRef,
    /// The code in the body, where 200 stands for success. It is not verified: use it in logs, and not for decisions.
    pub unverified_code: Option<i64>,
    /// The marker in the address at which the webhook arrived, by which a [ledger](crate::ledger) finds its attempt. It
    /// is not verified, so kie.ai is asked about the task before the ledger changes.
    pub marker: Option<String>,
    /// The words in the body. They are not verified: use them in logs, and not for decisions.
    pub unverified_message: Option<String>,
}

impl Notice {
    /// Returns the job in the form of the body, and in the other form.
    pub(crate) fn jobs(&self) -> [JobRef; 2] {
        let mut other = self.job.clone();
        other.form = match &self.job.form {
            Some(_) => None,
            None => Some(CURRENT.to_owned()),
        };
        [self.job.clone(), other]
    }
}

impl Webhooks {
    /// Makes a verifier with the `webhookHmacKey` of kie.ai's settings, which is not the API key.
    ///
    /// ```
    /// use veo_core::Webhooks;
    ///
    /// let webhooks = Webhooks::new("the webhookHmacKey".into())?;
    /// assert!(Webhooks::new("".into()).is_err());
    /// # Ok::<(), veo_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the key is empty: then anybody could make the signature.
    pub fn new(key: SecretString) -> Result<Self, Error> {
        let key = key.expose_secret();
        if key.trim().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the webhook key is empty; give the webhookHmacKey of kie.ai's settings",
            ));
        }
        let key = Hmac::new_from_slice(key.as_bytes()).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, "the webhook key cannot be used")
                .with_source(error)
        })?;
        Ok(Self {
            key,
            tolerance: Duration::from_secs(5 * 60),
            seen: Mutex::default(),
        })
    }

    /// Sets the tolerance: the largest difference between the time of a webhook and the clock of this machine, in whole
    /// seconds; 5 minutes by default. The latest 10,000 signatures are remembered.
    ///
    /// kie.ai does not document how long it waits before it repeats a webhook.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::Webhooks;
    ///
    /// let webhooks = Webhooks::new("the webhookHmacKey".into())?.with_tolerance(Duration::from_secs(60));
    /// # Ok::<(), veo_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Verifies a webhook from the target of the HTTP request (its path and query), the headers, and the body as it
    /// arrived. The target has the [marker](Notice::marker), if the client has a ledger.
    ///
    /// ```
    /// use veo_core::{Delivery, Webhooks};
    ///
    /// /// The HTTP status to answer with.
    /// fn receive(webhooks: &Webhooks, request: &http::Request<Vec<u8>>) -> u16 {
    ///     match webhooks.verify(&request.uri().to_string(), request.headers(), request.body()) {
    ///         Ok(Delivery::First(notice)) => {
    ///             println!("look at {}", notice.job);
    ///             200
    ///         }
    ///         Ok(Delivery::Repeated(_)) => 200,
    ///         Err(_) => 400,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidWebhook`] if the webhook is not signed with the key, if its time is not within the
    /// tolerance, if its body is longer than 1 MiB, or if it does not name exactly one task. Ignore such a webhook. A
    /// wait for the job is still possible.
    pub fn verify(
        &self,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Delivery, Error> {
        self.verify_at(SystemTime::now(), target, headers, body)
    }

    /// Verifies a webhook at another time than now, for tests.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use veo_core::Webhooks;
    ///
    /// let webhooks = Webhooks::new("a key for tests".into())?;
    /// let sent = SystemTime::now();
    /// let headers = webhooks.sign("0f1e2d3c", sent)?;
    /// let body = br#"{"data":{"taskId":"0f1e2d3c"}}"#;
    /// assert!(webhooks.verify_at(sent + Duration::from_secs(600), "/webhook", &headers, body).is_err(), "too old");
    /// # Ok::<(), veo_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`verify`](Self::verify).
    pub fn verify_at(
        &self,
        now: SystemTime,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Delivery, Error> {
        let now = unix_seconds(now).unwrap_or_default();
        let time = header(headers, TIMESTAMP)?;
        let signature = header(headers, SIGNATURE)?;
        let timestamp = self.timestamp(now, time)?;
        let signature: [u8; 32] = STANDARD
            .decode(signature)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| {
                invalid_webhook(format!(
                    "the header {SIGNATURE} is not 32 bytes in base64; it was not made by kie.ai"
                ))
            })?;
        let notice = Notice {
            marker: marker(target),
            ..read(body)?
        };
        // The comparison takes the same time for every wrong signature.
        self.mac(&notice.job.task, time).verify_slice(&signature).map_err(|_| {
            invalid_webhook(
                "the signature does not fit the task and the time; if kie.ai did send this, check that the webhook key \
                 is the one of its settings, without spaces or line ends around it",
            )
        })?;

        // Only a verified signature is remembered, so a forger cannot displace the others.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(if seen.insert(timestamp, signature) {
            Delivery::First(notice)
        } else {
            Delivery::Repeated(notice)
        })
    }

    /// Makes the two headers with which kie.ai would sign a webhook for a task, to test a handler.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use veo_core::{Delivery, Webhooks};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let webhooks = Webhooks::new("a key for tests".to_owned().into())?;
    /// let headers = webhooks.sign("0f1e2d3c", SystemTime::now())?;
    /// let body = br#"{"code":200,"msg":"success","data":{"taskId":"0f1e2d3c"}}"#;
    /// assert!(matches!(webhooks.verify("/webhook", &headers, body)?, Delivery::First(_)));
    /// assert!(matches!(webhooks.verify("/webhook", &headers, body)?, Delivery::Repeated(_)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] for a time before 1970.
    pub fn sign(&self, task: &str, time: SystemTime) -> Result<HeaderMap, Error> {
        let time = unix_seconds(time).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "a webhook cannot be signed for a time before 1970",
            )
        })?;
        let signature = STANDARD.encode(
            self.mac(task, time.to_string().as_bytes())
                .finalize()
                .into_bytes(),
        );
        let signature = HeaderValue::try_from(signature).map_err(|error| {
            Error::new(
                ErrorKind::InvalidRequest,
                "the signature cannot be a header",
            )
            .with_source(error)
        })?;
        Ok(HeaderMap::from_iter([
            (TIMESTAMP, HeaderValue::from(time)),
            (SIGNATURE, signature),
        ]))
    }

    /// Returns the signature. It covers the exact text of the time in the header.
    fn mac(&self, task: &str, time: &[u8]) -> Hmac<Sha256> {
        self.key
            .clone()
            .chain_update(task)
            .chain_update(".")
            .chain_update(time)
    }

    /// Returns the time of a webhook, if it is within the tolerance.
    fn timestamp(&self, now: u64, time: &[u8]) -> Result<u64, Error> {
        let digits = std::str::from_utf8(time)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(timestamp) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err(invalid_webhook(format!(
                "the header {TIMESTAMP} is not a number of seconds since 1970; it was not made by kie.ai"
            )));
        };
        let off = now.abs_diff(timestamp);
        if off > self.tolerance.as_secs() {
            let direction = if timestamp < now { "past" } else { "future" };
            let tolerance = self.tolerance.as_secs();
            return Err(invalid_webhook(format!(
                "the webhook is from {off} seconds in the {direction}, and {tolerance} are tolerated; it is an old one \
                 sent again, or this machine's clock is wrong"
            )));
        }
        Ok(timestamp)
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

const TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");

/// The places where kie.ai's pages and their examples have the id of a task, the likeliest first.
const PLACES: [(&str, &str); 4] = [
    ("data.taskId", "/data/taskId"),
    ("data.task_id", "/data/task_id"),
    ("taskId", "/taskId"),
    ("task_id", "/task_id"),
];

/// The longest body that is read. Every real one is shorter.
const LONGEST_BODY: usize = 1024 * 1024;

/// The latest signatures. The task need not be stored, since the signature covers it. No signature is forgotten for its
/// age, since the clock of this machine can be set back.
#[derive(Default)]
struct Seen(BTreeSet<(u64, [u8; 32])>);

impl Seen {
    /// The number of signatures to remember: several times what kie.ai's limit of 20 requests in 10 seconds allows
    /// within the default tolerance, and less than a megabyte.
    const MOST: usize = 10_000;

    /// Adds a signature, and returns whether it is new. If there are too many, the oldest one is removed.
    fn insert(&mut self, timestamp: u64, signature: [u8; 32]) -> bool {
        let new = self.0.insert((timestamp, signature));
        if self.0.len() > Self::MOST {
            self.0.pop_first();
        }
        new
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Result<&[u8], Error> {
    headers.get(&name).map(HeaderValue::as_bytes).ok_or_else(|| {
        invalid_webhook(format!(
            "the header {name} is missing; kie.ai signs webhooks once a webhookHmacKey has been made in its settings"
        ))
    })
}

/// Reads the body. An error quotes nothing of the body, since anybody may have written it.
fn read(body: &[u8]) -> Result<Notice, Error> {
    if body.len() > LONGEST_BODY {
        return Err(invalid_webhook(
            "the body is longer than 1 MiB; it was not sent by kie.ai",
        ));
    }
    let body = json(body).map_err(|error| {
        invalid_webhook(
            "the body is not JSON; give the bytes as they arrived if it was sent by kie.ai",
        )
        .with_source(error)
    })?;
    let code = &body["code"];
    let mut job = JobRef::new(NAME, task(&body)?);
    let is_current = ["state", "param"]
        .into_iter()
        .any(|name| body["data"].get(name).is_some());
    job.form = is_current.then(|| CURRENT.to_owned());
    Ok(Notice {
        job,
        unverified_code: code.as_i64().or_else(|| code.as_str()?.parse().ok()),
        unverified_message: body["msg"].as_str().map(without_queries),
        marker: None,
    })
}

/// Returns the task that a body names. A body with two tasks is refused: the signature covers only one.
fn task(body: &Value) -> Result<String, Error> {
    let mut found: Option<(&str, String)> = None;
    for (place, pointer) in PLACES {
        let id = match body.pointer(pointer) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) if text.is_empty() => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            Some(_) => {
                return Err(invalid_webhook(format!(
                    "the body has no id of a task in {place}, but something else"
                )));
            }
        };
        match &found {
            None => found = Some((place, id)),
            Some((first, other)) if *other != id => {
                return Err(invalid_webhook(format!(
                    "the body names one task in {first} and another one in {place}; it was not made by kie.ai"
                )));
            }
            Some(_) => {}
        }
    }
    let (_, id) = found.ok_or_else(|| {
        invalid_webhook("the body names no task, so there is nothing that the signature could cover; wait for the job instead")
    })?;
    Ok(id)
}

fn unix_seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs())
}

fn invalid_webhook(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidWebhook, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let mut seen = Seen::default();
        for timestamp in 0..=Seen::MOST as u64 {
            assert!(seen.insert(timestamp, [1; 32]));
        }
        assert_eq!(seen.0.len(), Seen::MOST);
        assert!(!seen.insert(1, [1; 32]), "the second oldest is still there");
        assert_eq!(seen.0.first(), Some(&(1, [1; 32])), "the oldest is not");
    }
}
