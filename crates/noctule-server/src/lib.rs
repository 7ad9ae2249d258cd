//! The running broker: sockets, threads, files, clock.
//!
//! ```text
//!  Config --Server::start--> password threads, one thread a shard, the admin thread
//!                            Handle: addresses, counters, reload, stop
//!  run(Options)              the same as a process: configuration file, log, signals
//! ```
//!
//! * `shard/`   one thread, one loop, one broker
//! * `net/`     bytes in and out
//! * `auth/`    who a client is
//! * `config/`  file -> valid [`Config`]
//! * `admin/`   `/metrics`, `/healthz`, `/readyz`
//! * `server`   starts and joins all of it (`start_error`: why not); `process` is what a process
//!   adds: `log`, `signals`
//! * `listeners` ports and files of listeners
//! * `import/` what mosquitto kept, into a store
//! * `inside`    connections that begin within this process; `beside` who makes them: bridges
//! * `cidr`     networks, for listeners, rates and bans
//! * `rules/`   what is odd about rules, and what differs between two versions of them
//! * `daemon` what a process in the background leaves behind
//! * `dynsec/`  mosquitto's dynamic security
//! * `defence` findings, bans, the audit log
//! * `secrets`  files that not everybody should read
//! * `sys`      the `$SYS` topics; `events` the broker's rare events as log lines
//!
//! Deliberately absent: decisions about MQTT. They are in `noctule-core`.
#![forbid(unsafe_code)]

mod admin;
pub mod auth;
mod beside;
mod cidr;
pub mod config;
mod daemon;
mod defence;
mod dynsec;
mod events;
mod files;
mod http;
pub mod import;
mod inside;
mod listeners;
mod log;
mod memory;
mod net;
mod privileges;
mod process;
pub mod rules;
mod secrets;
mod server;
mod shard;
mod signals;
mod start_error;
mod stores;
mod sys;

pub use beside::Beside;
pub use config::{Config, ConfigError};
pub use dynsec::DynsecError;
pub use inside::Inside;
#[cfg(feature = "fuzz")]
pub use net::fuzz;
pub use process::{ConfigFile, Keep, Options, RunError, run, store_directory};
pub use server::{Handle, Server};
pub use shard::{NetCounters, Snapshot};
pub use start_error::StartError;
