use tokio::runtime::Handle;

use crate::{Error, ErrorKind};

/// The tokio runtime of the caller. Without one tokio panics, so this is asked before anything that needs it.
///
/// # Errors
///
/// [`ErrorKind::InvalidRequest`] if there is none.
pub(crate) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|error| {
        let message = "there is no tokio runtime; call this from within one";
        Error::new(ErrorKind::InvalidRequest, message).with_source(error)
    })
}
