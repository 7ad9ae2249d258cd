//! Bytes in and out, behind a narrow interface: a shard sees sockets that receive into a buffer
//! and take a batch of segments, and nothing else of the system.
//!
//! * `listen`  addresses to listening sockets, one set for each shard
//! * `unix`    the same of files, which name Unix sockets
//! * `incoming` either of them, at work
//! * `tcp`     one connection: receive, send a batch, half-close
//! * `entrance` what the connections of a listener go through before their bytes are MQTT
//! * `layers`  the same of one connection, at work
//! * `proxy`   what a proxy says of a client before all that
//! * `tls`     what such a connection may do to its bytes
//! * `ws`      the same as a WebSocket
//! * `output`  what waits for a socket: bytes with large shared payloads in between
//! * `fuzz`    what fuzz targets reach of all that
//! * `pool`    buffers, owned by a connection only while there is something in them

mod entrance;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod incoming;
mod layers;
mod listen;
mod output;
mod pool;
mod proxy;
mod tcp;
mod tls;
mod unix;
mod ws;

pub(crate) use entrance::Entrance;
pub(crate) use incoming::{HERE, Incoming};
pub(crate) use listen::{Bound, bind};
pub(crate) use output::{Output, Progress};
pub(crate) use pool::{Buffer, Pool, Slot};
pub(crate) use proxy::ProxyRules;
pub use proxy::ProxyVersion;
pub(crate) use tcp::{Layer, Moved, Received, Socket};
pub(crate) use tls::{Acceptor, Scratch, is_hello};
pub(crate) use unix::{SocketFile, bind as bind_unix};
pub(crate) use ws::Rules as WebSocketRules;
