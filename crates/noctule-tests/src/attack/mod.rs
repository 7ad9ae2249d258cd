//! Attacks on a real broker, beside clients that behave: what those notice of it.
//!
//! ```text
//!  good publishers ──▶ broker ──▶ good subscribers: how late, how many, who was cut off
//!  newcomers ────────▶   ▲  └──▶ operator: $SYS/broker/alerts/#, memory, CPU
//!  attackers, from 127.66.0.0/16, for N seconds
//! ```
//!
//! Each attack has a broker of its own, started with users in a password file, rules, a TLS
//! listener, and `[defence]` with its default thresholds. Before and after the attack it is quiet;
//! what is compared are medians over slices of a second, each by its 99th percentile, so that one
//! hiccup of the machine is one slice.
//!
//! * `stage`: the broker and its configuration
//! * `wire`: a connection of a good client;  `good`: the load;  `newcomer`: who comes meanwhile
//! * `operator`: the alerts;  `usage`: processor time
//! * `mallory`: connections of attackers;  `strangers`, `insiders`, `floods`: the attacks
//! * `run`: one attack from the start of its broker to the verdict;  `verdict`: what must hold
//!
//! Attackers live on one thread and keep to rates that are written with each attack: the machine
//! they share with the broker is what is measured otherwise. They are addresses of 127/8, which
//! Linux alone lets a program have without asking.

mod floods;
mod good;
mod insiders;
mod mallory;
mod newcomer;
mod operator;
mod run;
mod stage;
mod strangers;
mod usage;
mod verdict;
mod wire;

pub use mallory::{ATTACKS, Attack};
pub use run::{Setting, run};
pub use verdict::{Verdict, heading};
