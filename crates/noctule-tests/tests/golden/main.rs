//! `noctule pub`, `sub` and `rr` under the names of mosquitto's tools, beside these tools 2.1.2:
//! the same command line against brokers of the same kind, and whatever can be seen compared byte
//! for byte: standard output, standard error, exit code, and what the client sends.
//!
//! Each side has brokers of its own, so that both find the same retained messages and sessions.
//! The clients speak through a relay (`relay`), which knows when they are subscribed and what they
//! said. Only what has to differ is made equal (`normal`): times, client identifiers that brokers
//! choose, packet identifiers on the wire. Where ours differs on purpose, the case says why.
#![cfg(unix)]

mod case;
mod formats;
mod normal;
mod publishing;
mod relay;
mod requests;
mod stage;
mod subscribing;
mod usage;
mod ways;
