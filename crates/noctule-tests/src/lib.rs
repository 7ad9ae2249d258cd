//! Everything that tests more than one crate.
//!
//! * [`node`]: a node without sockets, step by step, for scripts and the simulator
//! * [`script`]: what clients send and must hear, on the pure broker and behind sockets

pub mod node;
pub mod script;
