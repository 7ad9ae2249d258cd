//! Real brokers that are killed, and whose power is cut, against a ledger of their promises.
//!
//! ```text
//! publishers, wills ──▶ broker, recorded ──▶ subscribers: steady, away, in a group
//!     │                    │                     │
//!     │              kill -9, power cut          │
//!     └─ acknowledged ──▶ Ledger ◀── arrived ────┘
//! ```
//!
//! A round is one life of a broker: it starts on what the last one left, the clients come back and
//! are owed what was acknowledged; new load; then the broker is killed, at a moment or at a change
//! of its files drawn from the seed. In most rounds the power is cut as well,
//! and what that left is sometimes folded into a checkpoint.
//!
//! * `stage`: the clients (`publisher`, `subscriber`, `will`, `ender`, `leaver`, `retained`), on
//!   `line`s
//! * `ledger`: what was promised, what arrived
//! * `broker`, `round`: one life
//! * `full`: a broker whose file system fills up
//! * `recorded`, `journal`, `power`: the files, and the power cut
//! * `scribble`: a program and a model to test those with
//!
//! What is drawn comes from one seed; when it happens is up to the machine, so a seed makes a fault
//! likely again, not certain.

mod broker;
mod ender;
mod full;
mod journal;
mod leaver;
mod ledger;
mod line;
mod power;
mod publisher;
mod recorded;
mod retained;
mod round;
mod scribble;
mod stage;
mod subscriber;
mod will;

pub use full::full;
pub use power::{Style, Toll};
pub use recorded::{Image, Orders, Recorded, image};
pub use round::{Run, Setting};
pub use scribble::{Model, scribble};
