//! Bridges: which topics are passed on to and from which other brokers.
//!
//! * `options` every option of the tables, and how it is written
//! * `parse`   the tables of a file, and what is wrong with them

mod options;
mod parse;

pub(super) use options::{BRIDGE, BRIDGE_TLS, BRIDGE_TOPIC, TlsDraft, show};

use noctule_proto::{QoS, Version};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A bridge to another broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bridge {
    /// Its name, in logs and topics of `$SYS`.
    pub name: Box<str>,
    /// Where the other broker is: URLs, or host and port; tried in their order.
    pub addresses: Vec<Box<str>>,
    /// Whether all addresses are as good as the first one.
    pub round_robin: bool,
    /// The version of MQTT that is spoken with it.
    pub version: Version,
    /// The client id there; empty: host name and name of the bridge.
    pub client_id: Box<str>,
    /// The user name there; empty: none.
    pub user_name: Box<str>,
    /// The password there; empty: none.
    pub password: Hidden,
    /// The client id here; empty: `local.` and the one there.
    pub local_client_id: Box<str>,
    /// The user name here, for logs and events; empty: none.
    pub local_user_name: Box<str>,
    /// Whether the other broker forgets the bridge with each connection.
    pub clean_start: bool,
    /// Whether this broker does; `None`: as the other one.
    pub local_clean_start: Option<bool>,
    /// Seconds that the other broker keeps the session (5.0); the greatest number: for ever.
    pub session_expiry_secs: u32,
    /// Seconds of silence after which the other broker is asked whether it is there.
    pub keep_alive_secs: u16,
    /// When it connects.
    pub start: BridgeStart,
    /// Seconds until a connection is tried again, at least.
    pub retry_secs_min: u32,
    /// The same at most.
    pub retry_secs_max: u32,
    /// Seconds that a connection has to last for the next failure to count as the first.
    pub stable_secs: u32,
    /// Seconds without a message after which a lazy bridge ends its connection.
    pub idle_secs: u32,
    /// Messages that have to wait for a lazy bridge to connect.
    pub threshold: u32,
    /// Whether CONNECT says that this is a bridge (3.1, 3.1.1), by the bit that mosquitto has.
    pub bridge_bit: bool,
    /// Who is told how the bridge stands.
    pub notifications: Notifications,
    /// The topic for that; empty: `$SYS/broker/connection/CLIENT_ID/state`.
    pub notification_topic: Box<str>,
    /// Whether subscriptions that it has no use for any more are taken back there.
    pub unsubscribe: bool,
    /// Whether what is retained here is retained there.
    pub outgoing_retain: bool,
    /// A SOCKS 5 proxy on the way there, as a URL; empty: none.
    pub proxy: Hidden,
    /// The address of this machine that connections come from.
    pub bind: Option<IpAddr>,
    /// The largest packet that is sent there, bytes.
    pub packet_size_max: u32,
    /// Messages of QoS 1 and 2 under way at a time, in each direction.
    pub receive_maximum: u16,
    /// Bridges that a message may have passed (5.0).
    pub hops_max: u8,
    /// Messages a second that are sent at most; 0: as fast as it goes.
    pub rate_max: u32,
    /// When a reload takes effect.
    pub reload: BridgeReload,
    /// How it speaks TLS where an address asks for that.
    pub tls: BridgeTls,
    /// What is passed on.
    pub topics: Vec<BridgeTopic>,
}

/// When a bridge connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgeStart {
    /// At once, and again whenever the connection ends.
    Automatic,
    /// When messages wait, for as long as there are some.
    Lazy,
    /// At once; an end is the end until the next start.
    Once,
}

/// Who is told how a bridge stands, by a retained `1` or `0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notifications {
    /// Nobody.
    None,
    /// Clients of this broker.
    Local,
    /// Clients of both.
    Both,
}

/// When a bridge does what a reload says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BridgeReload {
    /// With its next connection.
    Lazy,
    /// With a new connection at once.
    Immediate,
}

/// TLS of a bridge. Files are PEM.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BridgeTls {
    /// CAs that are trusted.
    pub ca: Option<PathBuf>,
    /// A folder of them.
    pub ca_folder: Option<PathBuf>,
    /// Whether whom the system trusts is trusted beside those.
    pub system_roots: bool,
    /// The certificate that the bridge shows, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Protocols to offer.
    pub alpn: Vec<Box<str>>,
    /// TLS 1.3 or nothing.
    pub v13_only: bool,
    /// Cipher suites, by the names of IANA or OpenSSL; without any, all.
    pub ciphers: Vec<Box<str>>,
    /// Whether a certificate of another host will do.
    pub any_host_name: bool,
}

/// Topics that are passed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BridgeTopic {
    /// What follows the prefix of both sides; may be empty.
    pub filter: Box<str>,
    /// Which way.
    pub direction: Direction,
    /// The highest QoS.
    pub qos: QoS,
    /// What topics begin with here.
    pub local_prefix: Box<str>,
    /// What they begin with there.
    pub remote_prefix: Box<str>,
}

/// Which way messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From here to there.
    Out,
    /// From there to here.
    In,
    /// Both.
    Both,
}

impl Direction {
    /// Whether messages of here go there.
    #[must_use]
    pub fn is_out(self) -> bool {
        matches!(self, Direction::Out | Direction::Both)
    }

    /// Whether messages of there come here.
    #[must_use]
    pub fn is_in(self) -> bool {
        matches!(self, Direction::In | Direction::Both)
    }
}

/// Text that no log and no terminal gets to see.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(pub Box<str>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "hidden" })
    }
}

impl Default for Bridge {
    fn default() -> Bridge {
        Bridge {
            name: Box::default(),
            addresses: Vec::new(),
            round_robin: false,
            version: Version::V5,
            client_id: Box::default(),
            user_name: Box::default(),
            password: Hidden::default(),
            local_client_id: Box::default(),
            local_user_name: Box::default(),
            clean_start: false,
            local_clean_start: None,
            session_expiry_secs: u32::MAX,
            keep_alive_secs: 60,
            start: BridgeStart::Automatic,
            retry_secs_min: 1,
            retry_secs_max: 30,
            stable_secs: 60,
            idle_secs: 60,
            threshold: 10,
            bridge_bit: true,
            notifications: Notifications::Both,
            notification_topic: Box::default(),
            unsubscribe: true,
            outgoing_retain: true,
            proxy: Hidden::default(),
            bind: None,
            packet_size_max: 268_435_460,
            receive_maximum: 100,
            hops_max: 8,
            rate_max: 0,
            reload: BridgeReload::Immediate,
            tls: BridgeTls::default(),
            topics: Vec::new(),
        }
    }
}

impl Bridge {
    /// Files that are not named from the root on lie in this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let BridgeTls { ca, ca_folder, identity, .. } = &mut self.tls;
        let of_identity = identity.iter_mut().flat_map(|(chain, key)| [chain, key]);
        for file in [ca, ca_folder].into_iter().flatten().chain(of_identity) {
            *file = folder.join(&*file);
        }
    }

    /// Whether this broker forgets the session with each connection.
    #[must_use]
    pub fn forgets_here(&self) -> bool {
        self.local_clean_start.unwrap_or(self.clean_start)
    }
}
