//! Why a measurement could not be made.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is no result.
#[derive(Debug)]
pub enum Error {
    /// The plan contradicts itself, or asks for more than this machine has.
    Plan(String),
    /// The broker could not be reached, or the operating system refused something.
    Io {
        /// What was tried.
        what: String,
        /// What came of it.
        error: io::Error,
    },
    /// The broker did not do what the scenario needs.
    Broker(String),
    /// Nothing came from the broker for this long, although something was due.
    Silent(Duration),
    /// The process of the broker cannot be watched.
    Meter(String),
    /// A file of results cannot be read.
    Results(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::Io { what: what.into(), error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { what, error } => write!(f, "{what}: {error}"),
            Error::Silent(time) => {
                write!(f, "nothing came from the broker for {} s", time.as_secs())
            }
            Error::Plan(words)
            | Error::Broker(words)
            | Error::Meter(words)
            | Error::Results(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Error {}
