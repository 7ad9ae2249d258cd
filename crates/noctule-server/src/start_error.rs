//! Why a broker could not start, in words for who starts it.

use crate::auth::AuthFileError;
use crate::dynsec::DynsecError;
use noctule_store::StoreError;
use noctule_tls::TlsFileError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a broker could not start.
#[derive(Debug)]
pub enum StartError {
    /// Clients cannot connect there.
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// Clients cannot connect to that Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The admin listener cannot listen there.
    Admin {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The system refuses threads, random numbers, or the like.
    System(io::Error),
    /// No listener is left to listen.
    NoListener,
    /// Something is to be kept, and no directory is named.
    NoDirectory,
    /// A listener cannot speak TLS.
    Tls {
        /// Which.
        address: SocketAddr,
        /// Why not.
        error: TlsFileError,
    },
    /// A file of tokens or of a webhook is of no use.
    Auth(AuthFileError),
    /// The file of dynamic security is of no use.
    Dynsec(DynsecError),
    /// What is to be kept cannot be kept there, or what was kept cannot be read.
    Store {
        /// Directory.
        directory: PathBuf,
        /// Why not.
        error: StoreError,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (StartError::Listen { address, error } | StartError::Admin { address, error }) = self
        else {
            return match self {
                StartError::Unix { path, error } => {
                    write!(f, "cannot listen on unix:{}: {error}", path.display())
                }
                StartError::System(error) => write!(f, "the system refuses: {error}"),
                StartError::NoDirectory => f.write_str(
                    "something is to be kept, but no directory is named: set `durability.data`",
                ),
                StartError::Store { directory, error } => store_error(f, directory, error),
                StartError::Auth(error) => {
                    write!(f, "clients could not be authenticated: {error}")
                }
                StartError::Dynsec(error) => write!(f, "no dynamic security: {error}"),
                StartError::Tls { address, error } => {
                    write!(f, "no TLS on {address}: {error}")?;
                    error.likely_fix().map_or(Ok(()), |fix| write!(f, ". {fix}"))
                }
                _ => f.write_str("none of the addresses can be listened on"),
            };
        };
        write!(f, "cannot listen on {address}: ")?;
        match (error.kind(), self) {
            (io::ErrorKind::AddrInUse, StartError::Listen { .. }) => write!(
                f,
                "the port is in use, probably by another broker. Stop that one, or choose another \
                 port: noctule serve -p PORT"
            ),
            (io::ErrorKind::AddrInUse, _) => {
                f.write_str("the port is in use. Choose another one: [admin] bind = \"...\"")
            }
            (io::ErrorKind::PermissionDenied, _) => f.write_str(
                "not permitted. Ports below 1024 need a privilege; choose a greater one",
            ),
            (io::ErrorKind::AddrNotAvailable, _) => {
                f.write_str("this machine does not have that address")
            }
            _ => error.fmt(f),
        }
    }
}

fn store_error(f: &mut fmt::Formatter<'_>, directory: &Path, error: &StoreError) -> fmt::Result {
    let shown = directory.display();
    match error {
        StoreError::InUse { pid: Some(pid) } => write!(
            f,
            "{shown} is in use by another broker, process {pid}. Stop that one, or choose another \
             directory: noctule serve --data DIR"
        ),
        StoreError::Damaged { .. } => write!(
            f,
            "{error} (in {shown}). Nothing was changed. noctule store check {shown} says how much \
             is damaged, noctule store salvage {shown} makes a broker start from the rest and says \
             what is lost. Or start from a backup, or another directory: noctule serve --data DIR"
        ),
        error => write!(
            f,
            "cannot keep anything in {shown}: {error}. Choose another directory with --data DIR, \
             or keep nothing: --memory"
        ),
    }
}

impl std::error::Error for StartError {}

impl From<AuthFileError> for StartError {
    fn from(error: AuthFileError) -> StartError {
        StartError::Auth(error)
    }
}

impl From<DynsecError> for StartError {
    fn from(error: DynsecError) -> StartError {
        StartError::Dynsec(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error)
    }
}
