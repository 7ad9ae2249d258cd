//! Unix sockets.

use super::failure::ConnectError;
use std::path::Path;
pub use tokio::net::UnixStream;

/// Connects to the socket at this path.
pub(super) async fn connect(path: &Path) -> Result<UnixStream, ConnectError> {
    let connected = UnixStream::connect(path).await;
    connected.map_err(|error| ConnectError::Unreachable { to: path.display().to_string(), error })
}
