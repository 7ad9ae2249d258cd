//! Why a shard ended before it was told to.

use noctule_store::StoreError;

/// Why a shard ended before it was told to.
#[derive(Debug)]
pub(crate) enum ShardError {
    /// The system does not let us wait for events.
    Poll(std::io::Error),
    /// Records cannot be kept.
    Store(StoreError),
}

impl std::fmt::Display for ShardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ShardError::Poll(error) => write!(f, "cannot wait for events: {error}"),
            ShardError::Store(error) => error.fmt(f),
        }
    }
}

impl From<std::io::Error> for ShardError {
    fn from(error: std::io::Error) -> ShardError {
        ShardError::Poll(error)
    }
}

impl From<StoreError> for ShardError {
    fn from(error: StoreError) -> ShardError {
        ShardError::Store(error)
    }
}
