//! What stands for SRV records in a build without a resolver for them.

use super::failure::{ConnectError, Missing};

/// Fails: there is no resolver.
pub(super) async fn lookup(_: &str, _: bool) -> Result<Vec<(String, u16)>, ConnectError> {
    Err(Missing::Srv.into())
}
