use tokio::runtime::Handle;

use crate::{Error, ErrorKind};

/// Returns the caller's Tokio runtime. Tokio panics without one, so each call that needs it begins here.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] if there is no runtime.
pub(crate) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| {
        let message = "there is no tokio runtime; call this from within one";
        Error::new(ErrorKind::InvalidRequest, message).with_source(error)
    })
}
