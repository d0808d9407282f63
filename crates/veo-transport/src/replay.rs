//! Replies without a network, for tests: with the feature `replay`, which no program has.

use std::cell::RefCell;

use reqwest::Response;

thread_local! {
    static NEXT: RefCell<Option<Response>> = const { RefCell::new(None) };
}

/// Lets the next exchange on this thread have this reply. Nothing is sent.
pub fn replay(response: Response) {
    NEXT.set(Some(response));
}

/// The reply to have, if one was given.
pub(crate) fn next() -> Option<Response> {
    NEXT.take()
}
