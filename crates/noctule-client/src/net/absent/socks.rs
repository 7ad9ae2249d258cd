//! What stands for proxies in a build without them: types that have no values.

use super::failure::ConnectError;
use super::stream::Stream;
use std::fmt;

/// A proxy, of which this build knows nothing: the feature `socks` brings it.
#[derive(Clone, Debug)]
pub enum Socks5 {}

/// An error that cannot happen without the feature `socks`.
#[derive(Debug)]
pub enum SocksError {}

impl Socks5 {
    pub(super) fn address(&self) -> (&str, u16) {
        match *self {}
    }

    pub(super) async fn connect(&self, _: Stream, _: (&str, u16)) -> Result<Stream, ConnectError> {
        match *self {}
    }
}

impl SocksError {
    pub(super) fn os_error(&self) -> Option<i32> {
        match *self {}
    }

    pub(super) fn likely_fix(&self) -> Option<&'static str> {
        match *self {}
    }
}

impl fmt::Display for SocksError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
