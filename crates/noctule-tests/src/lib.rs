//! Everything that tests more than one crate.
//!
//! * [`node`]: a node without sockets, step by step, for scripts and the simulator
//! * [`ports`]: free ports of loopback
//! * [`process`]: a real broker process on a free loopback port
//! * [`driver`]: the clients of other projects, driven as programs
//! * [`script`]: what clients send and must hear, on the pure broker and behind sockets
//! * [`ends`]: the client's session against the broker, over links and processes that die
//! * [`sim`]: many clients and shards on virtual time and one seed, with checkers
//! * [`kill`]: brokers that are killed and whose power is cut, against a ledger of their promises
//! * [`attack`]: attacks on a broker beside clients that behave, and what those notice of it
//! * [`wire`]: packets off a stream, for tests that look at bytes
//! * [`triangle`]: brokers joined by bridges that are killed, against a ledger of what arrives
//! * [`soak`]: the client library on real sockets that break, against a ledger of its promises

pub mod attack;
pub mod driver;
pub mod ends;
pub mod kill;
mod log;
pub mod node;
pub mod ports;
pub mod process;
pub mod script;
pub mod sim;
pub mod soak;
pub mod triangle;
pub mod wire;
