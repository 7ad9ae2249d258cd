//! What is watched, what is done about it, and what is written down: `[defence]` and `[audit]`.

use super::options::{Opt, bytes, opt, path, plain};
use super::value::{Choice, Text, Texts, Value};
use crate::cidr::Cidr;
use crate::defence::{Answer, Thresholds};
use std::path::PathBuf;

/// What is done about those who attack.
#[derive(Clone, PartialEq, Debug)]
pub struct Defence {
    /// The hardest answer.
    pub answer: Answer,
    /// Seconds a ban lasts.
    pub ban_secs: u32,
    /// Whether loopback addresses are answered like others.
    pub answer_loopback: bool,
    /// Addresses and networks that are only observed.
    pub allow_addresses: Vec<Cidr>,
    /// Users who are.
    pub allow_users: Vec<Box<str>>,
    /// Clients that are, by their client id.
    pub allow_clients: Vec<Box<str>>,
    /// Whether findings are published.
    pub alerts: bool,
    /// A service that is told of findings; empty: none is.
    pub alert_url: Box<str>,
    /// Who vouches for it over TLS, if not whom the system trusts.
    pub alert_ca: Option<PathBuf>,
    /// A file with the token that it wants to see.
    pub alert_bearer: Option<PathBuf>,
    /// From where on something is a finding.
    pub thresholds: Thresholds,
}

impl Default for Defence {
    /// Everything is watched and told, and nothing done: an answer that is wrong hurts.
    fn default() -> Defence {
        Defence {
            answer: Answer::Observe,
            ban_secs: 600,
            answer_loopback: false,
            allow_addresses: Vec::new(),
            allow_users: Vec::new(),
            allow_clients: Vec::new(),
            alerts: true,
            alert_url: Box::default(),
            alert_ca: None,
            alert_bearer: None,
            thresholds: Thresholds::default(),
        }
    }
}

impl Defence {
    /// Whether the same service is told, in the same way.
    pub(crate) fn alarms_as(&self, other: &Defence) -> bool {
        let way =
            |it: &Defence| (it.alert_url.clone(), it.alert_ca.clone(), it.alert_bearer.clone());
        way(self) == way(other)
    }
}

/// What is written down of who came, who was refused, and who changed something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// Where to; nothing is written without.
    pub file: Option<PathBuf>,
    /// Bytes of the file from which on another one is begun.
    pub file_bytes_max: u64,
    /// Older files that are kept.
    pub files_max: u16,
}

impl Default for Audit {
    fn default() -> Audit {
        Audit { file: None, file_bytes_max: 16 * 1024 * 1024, files_max: 8 }
    }
}

/// How hard an answer may be.
const ANSWERS: &[(&str, Answer)] = &[
    ("observe", Answer::Observe),
    ("slow", Answer::Slow),
    ("quarantine", Answer::Quarantine),
    ("ban", Answer::Ban),
];

/// Any texts.
fn names(slot: &mut Vec<Box<str>>) -> Box<dyn Value + '_> {
    Box::new(Texts { slot, check: |_| Ok(()) })
}

/// Options of `[defence]`.
pub(super) const DEFENCE: &[Opt<Defence>] = &[
    opt!(
        "answer",
        "The hardest answer to a finding: \"observe\" (it is told), \"slow\" (the client is not \
         read for a while), \"quarantine\" (what it publishes is refused for a while) or \"ban\". \
         Who is found again is answered one step harder, up to this.",
        |d| Box::new(Choice { slot: &mut d.answer, words: ANSWERS })
    ),
    opt!("ban_secs", "Seconds a ban lasts.", |d| plain(&mut d.ban_secs, 1, 31_536_000)),
    opt!(
        "allow_addresses",
        "Addresses and networks that are only observed, like [\"192.0.2.7\", \"10.0.0.0/8\"].",
        |d| Box::new(&mut d.allow_addresses)
    ),
    opt!("allow_users", "User names that are only observed.", |d| names(&mut d.allow_users)),
    opt!("allow_clients", "Client ids that are only observed.", |d| names(&mut d.allow_clients)),
    opt!(
        "answer_loopback",
        "Whether clients of this machine are answered too, not only observed.",
        |d| Box::new(&mut d.answer_loopback)
    ),
    opt!(
        "alerts",
        "Publish findings to $SYS/broker/alerts/KIND. They name clients, users and addresses.",
        |d| Box::new(&mut d.alerts)
    ),
    opt!("alert_url", "A service that each finding is posted to, in JSON. Empty: none.", |d| {
        Box::new(Text {
            slot: &mut d.alert_url,
            check: |url| match url {
                "" => Ok(()),
                url => crate::http::check_url(url),
            },
        })
    }),
    opt!("alert_ca", "CAs (PEM) of that URL; without it those that the system trusts.", |d| path(
        &mut d.alert_ca
    )),
    opt!(
        "alert_bearer",
        "A file with the token that the service wants to see (Authorization: Bearer).",
        |d| path(&mut d.alert_bearer)
    ),
    opt!(
        "address_failures_max",
        "Failed logins of an address that are no finding; one is forgiven a minute. 0: never one.",
        |d| plain(&mut d.thresholds.address_failures_max, 0, 10_000)
    ),
    opt!("user_failures_max", "The same for a user name, wherever they come from.", |d| plain(
        &mut d.thresholds.user_failures_max,
        0,
        10_000
    )),
    opt!(
        "idle_connects_max",
        "Connections of an address that come to nothing (no CONNECT, or neither publish nor \
         subscribe, or refused for `limits.address`) and are no finding; one is forgiven a second. \
         0: never one.",
        |d| plain(&mut d.thresholds.idle_connects_max, 0, 10_000)
    ),
    opt!(
        "flaps_max",
        "Connections of a client, lost or of no use, that are no finding; one is forgiven every \
         half minute. 0: never one.",
        |d| plain(&mut d.thresholds.flaps_max, 0, 250)
    ),
    opt!(
        "denials_max",
        "Denied publishes and subscribes of a client, in a second, that are no finding. 0: never \
         one.",
        |d| plain(&mut d.thresholds.denials_max, 0, 10_000)
    ),
    opt!(
        "subscribes_max",
        "SUBSCRIBEs of a client, in a second, that are no finding; 64 filters of one count as \
         another. 0: never one.",
        |d| plain(&mut d.thresholds.subscribes_max, 0, 60)
    ),
    opt!(
        "spike_messages_min",
        "Messages a second from which on eight times the client's own peak are a finding. 0: never \
         one.",
        |d| plain(&mut d.thresholds.spike_messages_min, 0, 1_000_000_000)
    ),
    opt!("spike_bytes_min", "The same for bytes of payload a second.", |d| bytes(
        &mut d.thresholds.spike_bytes_min,
        0,
        1 << 31
    )),
    opt!(
        "topics_min",
        "Topics within an hour from which on sixteen times the client's own most are a finding. 0: \
         never one.",
        |d| plain(&mut d.thresholds.topics_min, 0, 1_000_000)
    ),
    opt!(
        "silence",
        "Whether it is a finding that a client says nothing for almost three times its longest \
         pause, though it always talks.",
        |d| Box::new(&mut d.thresholds.silence)
    ),
];

/// Options of `[audit]`.
pub(super) const AUDIT: &[Opt<Audit>] = &[
    opt!(
        "file",
        "A file for who connected, was refused, left, was banned, and what was changed: one JSON \
         object a line. A relative path begins at the folder of this file.",
        |a| path(&mut a.file)
    ),
    opt!(
        "file_bytes_max",
        "Bytes of the file from which on it is renamed, and another one begun.",
        |a| bytes(&mut a.file_bytes_max, 4096, 1 << 40)
    ),
    opt!("files_max", "Older files that are kept: FILE.1, FILE.2, ...", |a| plain(
        &mut a.files_max,
        1,
        1000
    )),
];
