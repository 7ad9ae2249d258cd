//! The broker as a pure state machine: one [`Broker`] per shard, no I/O, no clock, no thread.
//!
//! ```text
//!  Input --> Broker::handle(now, &index, input, &mut outbox) --> Outbox
//!            Broker::tick(now, &index, &mut outbox)              frames and sends, records,
//!            Broker::next_deadline()                             index changes, peer messages,
//!            Broker::apply(record)                               effects, events
//! ```
//!
//! Read [`input`] and [`output`] first: those enums are everything the broker can be told and can
//! say. `broker.rs` dispatches; `connection.rs` is one connection from CONNECT to DISCONNECT;
//! `session/` outlives it; `index/` is the subscription index, a value shared by all shards.
//!
//! Deliberately absent: sockets, threads, time sources, logging, authentication sources.
#![forbid(unsafe_code)]

mod alias;
mod apply;
mod broker;
mod check;
mod connect;
mod connection;
mod control;
pub mod counters;
pub mod crowd;
pub mod defence;
mod expiry;
pub mod grant;
mod hold;
pub mod identity;
pub mod index;
pub mod input;
mod job;
mod lazy;
pub mod limits;
mod looks;
pub mod message;
mod mount;
mod outbound;
pub mod output;
pub mod peer;
mod publish;
mod random;
pub mod rate;
pub mod record;
pub mod retained;
mod rights;
mod route;
mod seed;
mod send;
mod session;
mod share;
mod shortage;
pub mod slab;
mod snapshot;
mod spare;
mod store_room;
mod subscribe;
mod terms;
pub mod timer;
pub mod verdict;
mod wait;
mod will;

pub use broker::Broker;
pub use identity::{ConnId, Homes, ListenerId, SessionNumber, ShardId, Tenant, Time};
pub use index::{Index, IndexChange};
pub use input::Input;
pub use limits::Limits;
pub use looks::Holdings;
pub use message::Message;
pub use output::{Effect, Event, Outbox, Send};
