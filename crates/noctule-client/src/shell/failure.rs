//! What the operating system says, in the words of the library.

use crate::error::{Error, Failure};
use std::io::{self, ErrorKind};

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Failure(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let fix = match error.kind() {
            ErrorKind::ConnectionRefused => Some("start the server, or check host and port"),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Some("check the network and the address")
            }
            _ => None,
        };
        Failure { what: error.to_string(), os_error: error.raw_os_error(), fix }
    }
}
