//! Ways to a server: where it is, and what lies between its packets and the socket.
//!
//! ```text
//!  Endpoint ── connect() ──▶ Stream
//!   Host      tcp: every address of the name     srv: every server of the domain     unix
//!   proxy     SOCKS5, which resolves the name
//!   tls       rustls; certificates as mosquitto's clients take them, where that is sound
//!   websocket frames of RFC 6455 around the bytes
//! ```
//!
//! Each layer takes a [`Stream`] and answers one, so they combine freely. All of them are state of
//! the future that [`Endpoint::connect`] returns: who drops it closes the socket.

mod address;
mod dial;
mod endpoint;
mod failure;
mod stream;

#[cfg(feature = "socks")]
mod socks;
#[cfg(all(feature = "srv", unix))]
mod srv;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;
#[cfg(feature = "websocket")]
mod websocket;

#[cfg(not(feature = "socks"))]
#[path = "absent/socks.rs"]
mod socks;
#[cfg(not(all(feature = "srv", unix)))]
#[path = "absent/srv.rs"]
mod srv;
#[cfg(not(feature = "tls"))]
#[path = "absent/tls.rs"]
mod tls;
#[cfg(not(unix))]
#[path = "absent/unix.rs"]
mod unix;
#[cfg(not(feature = "websocket"))]
#[path = "absent/websocket.rs"]
mod websocket;

pub use address::{Address, AddressError, AddressPart};
pub use endpoint::{Endpoint, Host};
pub use failure::{ConnectError, Missing, Warning};
pub use socks::{Socks5, SocksError};
pub use stream::Stream;
#[cfg(feature = "tls")]
pub use tls::{Pem, TlsFileError, TlsVersion};
pub use tls::{Tls, TlsError, TlsStream};
pub use unix::UnixStream;
pub use websocket::{WebSocket, WebSocketError, WebSocketStream};
