//! mosquitto's dynamic security: clients, groups and roles in one JSON file, changed by messages to
//! `$CONTROL/dynamic-security/v1` and answered on `…/response`.
//!
//! * `model`    what the file says
//! * `file`     how it is read and written
//! * `first`    the file that is made where there is none
//! * `rights`   what all of it permits, as core has it
//! * `said`     the fields of a command
//! * `request`  a message of commands, and the answer to it
//! * `clients` `groups` `roles` `access`  the commands
//! * `desk`     the thread that does what messages ask for
//! * `broker`   what is asked about the broker itself, in the same form
//!
//! ```text
//! PUBLISH ─core─▶ Effect::Control ─shard─▶ desk: changes a copy ─▶ file ─▶ all shards ─▶ response
//! ```
//!
//! There is one owner of the truth, the desk's thread. Shards hold the last model for CONNECT, and
//! core holds what it permits; a client is answered when the file is on the disk and all shards
//! have both. A request that cannot be kept changes nothing.

mod access;
mod broker;
mod clients;
mod desk;
mod file;
mod first;
mod groups;
mod model;
mod request;
mod rights;
mod roles;
mod said;
#[cfg(test)]
mod tests;

pub(crate) use broker::{BROKER_TOPIC, BrokerApi};
pub(crate) use desk::{Connected, Desk, DeskThread, Opening, Order, Question, Rights};
pub use file::DynsecError;
pub(crate) use file::{Book, check, permitted};
pub(crate) use model::{Client, Model};

/// The topic of requests.
const TOPIC: &str = "$CONTROL/dynamic-security/v1";

/// The answer on other topics, in mosquitto's words.
pub(crate) const NO_ENDPOINT: &str = r#"{"error": "endpoint not available"}"#;
