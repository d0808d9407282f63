//! What one simulator remembers, all of it bounded.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::request::Parts;

use crate::ReceivedRequest;
use crate::media::File;
use crate::{kie, uniall};

const MAX_REQUESTS: usize = 10_000;
const MAX_RECORDED_BODY: usize = 64 * 1024;
const MAX_TASKS: usize = 1_000;
/// Clips are part of the program, so a published one costs only its name.
const MAX_VIDEOS: usize = 10_000;
/// Each may be as large as a request body.
const MAX_UPLOADS: usize = 32;

/// What the server and its owner share.
pub(crate) struct Shared {
    pub(crate) url: String,
    state: Mutex<State>,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) requests: VecDeque<ReceivedRequest>,
    pub(crate) kie_tasks: Recent<kie::Task>,
    pub(crate) uniall_tasks: Recent<uniall::Task>,
    /// Finished videos, by their path under `/media/`.
    pub(crate) videos: Recent<File>,
    /// Uploaded files, by their path under `/media/`.
    pub(crate) uploads: Recent<File>,
}

/// The latest entries, by name. The oldest makes room for a new one.
pub(crate) struct Recent<T> {
    limit: usize,
    entries: VecDeque<(String, T)>,
}

impl Shared {
    pub(crate) fn new(url: String) -> Shared {
        Shared {
            url,
            state: Mutex::new(State {
                requests: VecDeque::new(),
                kie_tasks: Recent::new(MAX_TASKS),
                uniall_tasks: Recent::new(MAX_TASKS),
                videos: Recent::new(MAX_VIDEOS),
                uploads: Recent::new(MAX_UPLOADS),
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make these values wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, parts: &Parts, body: &[u8]) {
        let body = (body.len() <= MAX_RECORDED_BODY).then(|| serde_json::from_slice(body).ok()).flatten();
        let request = ReceivedRequest {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            body,
        };
        let requests = &mut self.state().requests;
        if requests.len() == MAX_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    /// The link to a file under `/media/`.
    pub(crate) fn media_url(&self, path: &str) -> String {
        format!("{}/media/{path}", self.url)
    }

    /// Puts a file on the media host and returns the link to it.
    pub(crate) fn publish(&self, files: &mut Recent<File>, path: String, file: File) -> String {
        let url = self.media_url(&path);
        files.put(path, file);
        url
    }
}

impl<T> Recent<T> {
    fn new(limit: usize) -> Recent<T> {
        Recent { limit, entries: VecDeque::new() }
    }

    /// Adds an entry, in place of one of the same name.
    pub(crate) fn put(&mut self, name: String, value: T) {
        self.entries.retain(|(known, _)| *known != name);
        if self.entries.len() == self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back((name, value));
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let entry = self.entries.iter_mut().find(|(known, _)| known == name)?;
        Some(&mut entry.1)
    }
}

/// 32 hexadecimal digits that do not come twice.
pub(crate) fn unique_id() -> String {
    // The standard library keys every hasher anew, which is random enough for a name.
    let random = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", random(), random())
}

/// The time since the Unix epoch.
pub(crate) fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
