//! The ways to a server, over real sockets: each layer alone, in combination, against servers made
//! of what others wrote, and against servers that mean no good.

mod certificates;
mod hostile;
mod plain;
mod servers;
mod socks;
mod tls;
mod trust;
mod websocket;
