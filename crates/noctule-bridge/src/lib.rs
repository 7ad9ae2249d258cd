//! Bridges: a session of this broker joined to a session of another.
//!
//! ```text
//!  this broker                                                        another broker
//!  session "local.hut.cloud"                                          session "hut.cloud"
//!    its durable queue is the  ◀──MQTT 5──▶  relay  ◀──MQTT 3.1 to 5──▶  its queue
//!    outbox                    within the process    TCP, TLS, WebSocket
//! ```
//!
//! A relay keeps nothing. It lets each packet of a delivery through under the packet identifier
//! that it came with: PUBLISH, PUBREC, PUBREL and PUBCOMP each go from one end to the other, so a
//! message is acknowledged to its sender when its receiver has acknowledged it, and what a crash
//! interrupts the two sessions resume as if there were nothing between them: exactly once stays
//! exactly once. While the other broker is away, so is the session here, and its queue keeps what
//! its bounds allow.
//!
//! * `plan`   what one bridge comes to: names, places, topics
//! * `rules`  which topic becomes which
//! * `via`    bridges that a message has passed
//! * `line`   one end of a relay: bytes, and what the other side of them allows
//! * `hello`  how a connection begins at both ends
//! * `relay`  what goes from one end to the other
//! * `drive`  sockets and time of a relay
//! * `keeper` one bridge for as long as it is configured: tries, pauses, other addresses
//! * `fleet`  all of them, and what a reload changes
//! * `status` how they stand, for `$SYS`
//!
//! Deliberately absent: queues and files. They are the broker's.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod drive;
#[cfg(unix)]
mod fleet;
#[cfg(unix)]
mod hello;
#[cfg(unix)]
mod keeper;
mod line;
mod plan;
mod relay;
mod rules;
mod status;
mod via;

#[cfg(feature = "fuzz")]
pub use relay::fuzz;

use noctule_server::config::{Bridge, Fault};
use noctule_server::{Beside, Inside};
use std::io;
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedReceiver;

/// The bridges of a broker, for [`noctule_server::run`].
pub const BRIDGES: Beside = Beside { check, start };

/// Whether bridges can be as configured: their addresses, and the files of their TLS.
///
/// # Errors
/// One of them cannot; nothing was connected to find that out.
pub fn check(bridges: &[Bridge]) -> Result<(), Fault> {
    if !cfg!(unix) && !bridges.is_empty() {
        return Err(plan::fault("bridge", "bridges are for Unix systems alone, for now".into()));
    }
    bridges.iter().try_for_each(|bridge| plan::Plan::of(bridge)?.load())
}

/// Starts a thread that has those bridges run that it is told last, and ends when nothing more can
/// be told.
///
/// # Errors
/// The system has no thread left.
#[cfg(unix)]
pub fn start(inside: Inside, told: UnboundedReceiver<Vec<Bridge>>) -> io::Result<JoinHandle<()>> {
    fleet::start(inside, told)
}

/// There are none on this system, see [`check`].
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn start(_: Inside, _: UnboundedReceiver<Vec<Bridge>>) -> io::Result<JoinHandle<()>> {
    Err(io::ErrorKind::Unsupported.into())
}
