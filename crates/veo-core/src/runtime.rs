use tokio::runtime::Handle;

use crate::{Error, ErrorKind};

/// Returns the caller's tokio runtime. tokio panics without one, so this is called before everything that needs it.
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
