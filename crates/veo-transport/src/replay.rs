//! Replies without a network, for tests. They need the feature `replay`, which no program turns on.

use std::cell::RefCell;

use reqwest::Response;

thread_local! {
    static NEXT: RefCell<Option<Response>> = const { RefCell::new(None) };
}

/// Sets the reply of the next exchange on this thread. Then nothing is sent.
pub fn replay(response: Response) {
    NEXT.set(Some(response));
}

/// Takes the reply that was set, if there is one.
pub(crate) fn next() -> Option<Response> {
    NEXT.take()
}
