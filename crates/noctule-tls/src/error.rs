//! What is wrong with the files and names of TLS.

use std::fmt;
use std::io;

/// Why a file, or a name, is of no use for TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TlsFileError {
    /// Something is wrong with a file, or with a text that stands for one.
    File {
        /// Which.
        name: String,
        /// What.
        why: String,
        /// The number of the operating system's error, if it is one.
        os_error: Option<i32>,
    },
    /// The private key in this file needs a pass phrase.
    EncryptedKey(String),
    /// A certificate and a private key do not belong together.
    KeyMismatch {
        /// The file of the certificate.
        certificate: String,
        /// The file of the key.
        key: String,
    },
    /// There is no cipher suite of this name.
    UnknownCipherSuite {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
}

impl TlsFileError {
    /// A file is of no use, and why.
    pub fn of_file(name: impl fmt::Display, why: impl fmt::Display) -> TlsFileError {
        TlsFileError::File { name: name.to_string(), why: why.to_string(), os_error: None }
    }

    /// The system does not give us a file.
    pub fn of_system(name: impl fmt::Display, error: &io::Error) -> TlsFileError {
        let os_error = error.raw_os_error();
        TlsFileError::File { name: name.to_string(), why: error.to_string(), os_error }
    }

    /// The number of the operating system's error, if it is one.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        match self {
            TlsFileError::File { os_error, .. } => *os_error,
            TlsFileError::EncryptedKey(_)
            | TlsFileError::KeyMismatch { .. }
            | TlsFileError::UnknownCipherSuite { .. } => None,
        }
    }

    /// What can be done about it, where that can be said.
    #[must_use]
    pub fn likely_fix(&self) -> Option<&'static str> {
        match self {
            TlsFileError::EncryptedKey(_) => {
                Some("take the pass phrase off: openssl pkey -in KEY -out PLAIN_KEY")
            }
            TlsFileError::KeyMismatch { .. } => {
                Some("name the key that the certificate was requested with")
            }
            TlsFileError::File { .. } | TlsFileError::UnknownCipherSuite { .. } => None,
        }
    }
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsFileError::File { name, why, .. } => write!(f, "{name}: {why}"),
            TlsFileError::EncryptedKey(name) => {
                write!(f, "{name}: the private key is encrypted, and that is not supported")
            }
            TlsFileError::KeyMismatch { certificate, key } => {
                write!(f, "the private key in {key} is not that of the certificate {certificate}")
            }
            TlsFileError::UnknownCipherSuite { name, known } => {
                write!(f, "there is no cipher suite {name}; there are {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for TlsFileError {}
