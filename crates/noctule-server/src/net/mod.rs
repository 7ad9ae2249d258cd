//! Bytes in and out, behind a narrow interface: a shard sees sockets that receive into a buffer
//! and take a batch of segments, and nothing else of the system.
//!
//! * `listen`  addresses to listening sockets, one set for each shard
//! * `tcp`     one connection: receive, send a batch, half-close
//! * `output`  what waits for a socket: bytes with large shared payloads in between
//! * `pool`    buffers, owned by a connection only while there is something in them
//!
//! TLS and WebSocket come as filters between these bytes and the frames of the protocol: they
//! turn received bytes into more bytes and one output into another, and do no I/O themselves.

mod listen;
mod output;
mod pool;
mod tcp;

pub(crate) use listen::{Bound, bind};
pub(crate) use output::{Output, Progress};
pub(crate) use pool::{Buffer, Pool, Slot};
pub(crate) use tcp::{Received, Socket};
