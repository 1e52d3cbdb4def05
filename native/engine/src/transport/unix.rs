//! Unix domain sockets.

use std::path::Path;

use tokio::net::UnixStream;

use super::within;
use crate::error::ConnectError;
use crate::options::ConnectOptions;

/// Connects to the socket at `path`.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(path: &Path, options: &ConnectOptions) -> Result<UnixStream, ConnectError> {
    within(options.connect_timeout, async { Ok(UnixStream::connect(path).await?) }).await
}
