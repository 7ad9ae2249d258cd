//! QoS 1 and 2 hand-shakes, the same for both ends of a connection.
//!
//! ```text
//! Sender::start ──PUBLISH──▶ Receiver::publish      Quota: how many may be open
//! Sender::puback ◀─PUBACK──
//! Sender::pubrec ◀─PUBREC──
//!                ──PUBREL──▶ Receiver::release
//! Sender::pubcomp ◀PUBCOMP─
//! ```
//!
//! Plain data: nothing here knows of connections or packets. A session keeps a [`Sender`] and a
//! [`Receiver`] across connections; a [`Quota`] lives as long as one connection. Nothing is
//! allocated while nothing is open.

mod quota;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use quota::Quota;
pub use receiver::{Arrival, Receiver};
pub use sender::{Entry, PubRecOutcome, Resend, Sender, Unknown};
