//! What failed on the way to the server, in the words of the library.

use crate::error::{Error, Failure, Layer};
use crate::net::{AddressError, ConnectError};
use std::io;

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Error {
        Error::Failure(Failure {
            layer: layer(&error),
            what: error.to_string(),
            os_error: error.os_error(),
            fix: error.likely_fix(),
            is_final: matches!(error, ConnectError::Missing(_)),
        })
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Error {
        Error::Failure(Failure {
            layer: Layer::Address,
            what: error.to_string(),
            os_error: None,
            fix: Some("name the server as host, host:port, mqtts://host or ws://host/path"),
            is_final: true,
        })
    }
}

fn layer(error: &ConnectError) -> Layer {
    match error {
        ConnectError::Lookup { .. } => Layer::Lookup,
        ConnectError::Unreachable { .. } => Layer::Reach,
        ConnectError::Io(_) => Layer::Network,
        ConnectError::Socks(_) => Layer::Proxy,
        ConnectError::Tls(_) => Layer::Tls,
        ConnectError::WebSocket(_) => Layer::WebSocket,
        ConnectError::Missing(_) => Layer::Missing,
    }
}

/// A connection that broke.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::from(ConnectError::from(error))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Failure(failure)
    }
}
