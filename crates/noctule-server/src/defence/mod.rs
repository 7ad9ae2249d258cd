//! What is done about attacks: who is found, told of, answered and banned; and the audit log.
//!
//! ```text
//!  shards --Report (events, findings)--> defence thread --Command--> shards: bans, alerts
//!  admin  --Question-------------------> (owns the bans)  --lines--> audit thread --> file
//! ```
//!
//! * `report`  what the thread is told, and what is counted
//! * `watch`   the thread: failed logins, findings, bans
//! * `allow`   who is only observed;  `bans`  who is not let in;  `store`  the bans in a file
//! * `alarm`   a service that is told
//! * `audit`   the file of who came and went;  `line`  one line of it
//!
//! What is found of clients is found on their shards, from counts that their connections keep
//! (`noctule_core::defence`); failed logins come from all shards and are added up here. Nothing
//! here is on the message path: shards post and go on, and what finds no room is counted.

mod alarm;
mod allow;
mod audit;
mod bans;
mod line;
mod report;
mod store;
mod watch;

pub(crate) use noctule_core::defence::{Answer, Thresholds};

pub(crate) use alarm::Alarm;
pub(crate) use allow::Allowed;
pub(crate) use audit::AuditLog;
pub(crate) use bans::{Bans, Subject};
pub(crate) use report::{Question, Reloaded, Report, Reports, Suspicion, Tally};
pub(crate) use store::{BanFile, parse_subject, to_json};
pub(crate) use watch::{Defence, Posts};
