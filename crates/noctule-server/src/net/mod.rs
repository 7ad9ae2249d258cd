//! Bytes in and out, behind a narrow interface: a shard sees sockets that receive into a buffer
//! and take a batch of segments, and nothing else of the system.
//!
//! * `listen`  addresses to listening sockets, one set for each shard
//! * `tcp`     one connection: receive, send a batch, half-close
//! * `tls`     what such a connection may do to its bytes
//! * `output`  what waits for a socket: bytes with large shared payloads in between
//! * `pool`    buffers, owned by a connection only while there is something in them
//!
//! WebSocket comes as a filter between these bytes and the frames of the protocol: it turns
//! received bytes into more bytes and one output into another.

mod listen;
mod output;
mod pool;
mod tcp;
mod tls;

pub(crate) use listen::{Bound, bind};
pub(crate) use output::{Output, Progress};
pub(crate) use pool::{Buffer, Pool, Slot};
pub(crate) use tcp::{Moved, Received, Socket};
pub(crate) use tls::{Acceptor, Scratch, is_hello};
