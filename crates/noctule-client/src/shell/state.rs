//! How a client stands with its server, for whoever wants to show or await it.

use crate::error::Error;
use crate::session::Connected;
use std::sync::Arc;
use std::time::Duration;

/// How a client stands with its server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// It is connecting, or a connection has just ended.
    Connecting,
    /// The server has let it in.
    Online(Arc<Connected>),
    /// It waits before it connects again.
    Waiting {
        /// Why the last connection is over, or did not come about.
        error: Error,
        /// How long it waits.
        delay: Duration,
    },
    /// It is over for good.
    Ended(Error),
}

impl State {
    /// Whether the server has let the client in.
    pub fn is_online(&self) -> bool {
        matches!(self, State::Online(_))
    }
}
