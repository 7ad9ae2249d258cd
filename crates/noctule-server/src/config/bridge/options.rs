//! The options of bridges.

use super::super::options::{Opt, U16, U32, bytes, opt, plain, qos, secs_or_never, text};
use super::super::sample::values;
use super::super::value::{Choice, Text, Texts, Value};
use super::{
    Bridge, BridgeReload, BridgeStart, BridgeTls, BridgeTopic, Direction, Hidden, Notifications,
};
use noctule_proto::text::is_clean;
use noctule_proto::{QoS, TopicName, Version};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A `[bridge.tls]` as the file says it.
#[derive(Clone, Default)]
pub(in crate::config) struct TlsDraft {
    ca: Box<str>,
    ca_folder: Box<str>,
    system_roots: bool,
    certificate: Box<str>,
    key: Box<str>,
    alpn: Vec<Box<str>>,
    v13_only: bool,
    ciphers: Vec<Box<str>>,
    any_host_name: bool,
}

impl TlsDraft {
    fn of(tls: &BridgeTls) -> TlsDraft {
        let path = |path: &Path| -> Box<str> { path.to_string_lossy().into() };
        let optional = |it: &Option<PathBuf>| it.as_deref().map(path).unwrap_or_default();
        let identity = tls.identity.as_ref().map(|(chain, key)| (path(chain), path(key)));
        let (certificate, key) = identity.unwrap_or_default();
        TlsDraft {
            ca: optional(&tls.ca),
            ca_folder: optional(&tls.ca_folder),
            system_roots: tls.system_roots,
            certificate,
            key,
            alpn: tls.alpn.clone(),
            v13_only: tls.v13_only,
            ciphers: tls.ciphers.clone(),
            any_host_name: tls.any_host_name,
        }
    }

    /// What it means, or which option is wrong, and why.
    pub(super) fn finish(self) -> Result<BridgeTls, (&'static str, &'static str)> {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let identity = match (path(&self.certificate), path(&self.key)) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            (Some(_), None) => return Err(("key", "is missing: the key of `certificate`")),
            (None, Some(_)) => return Err(("certificate", "is missing: what `key` is the key of")),
        };
        Ok(BridgeTls {
            ca: path(&self.ca),
            ca_folder: path(&self.ca_folder),
            system_roots: self.system_roots,
            identity,
            alpn: self.alpn,
            v13_only: self.v13_only,
            ciphers: self.ciphers,
            any_host_name: self.any_host_name,
        })
    }
}

/// Options of `[[bridge]]`.
pub(in crate::config) const BRIDGE: &[Opt<Bridge>] = &[
    opt!("name", "The name of the bridge, in the log and in topics of $SYS.", |b| Box::new(Text {
        slot: &mut b.name,
        check: check_level,
    })),
    opt!(
        "addresses",
        "Where the other broker is: like \"broker.example\", \"10.0.0.7:1884\", \
         \"mqtts://broker.example\", \"wss://broker.example/mqtt\". Of several, the first one that \
         answers is taken.",
        |b| Box::new(Texts { slot: &mut b.addresses, check: |_| Ok(()) })
    ),
    opt!(
        "round_robin",
        "Whether all addresses are equal. If not, the bridge goes back to the first as soon as \
         that is there again.",
        |b| Box::new(&mut b.round_robin)
    ),
    opt!("version", "The version of MQTT: \"5.0\", \"3.1.1\" or \"3.1\".", |b| Box::new(Choice {
        slot: &mut b.version,
        words: &[("5.0", Version::V5), ("3.1.1", Version::V311), ("3.1", Version::V31)],
    })),
    opt!(
        "client_id",
        "The client id there. Empty: host name, a dot, and the bridge's name.",
        |b| { text(&mut b.client_id) }
    ),
    opt!("user_name", "The user name there. Empty: none.", |b| text(&mut b.user_name)),
    opt!("password", "The password there. Empty: none.", |b| hidden(&mut b.password)),
    opt!(
        "local_client_id",
        "The client id of the session here, whose queue holds what is to be sent. Empty: `local.` \
         and the client id there.",
        |b| text(&mut b.local_client_id)
    ),
    opt!("local_user_name", "The user name here, for the log. Empty: none.", |b| text(
        &mut b.local_user_name
    )),
    opt!("clean_start", "Whether the other broker forgets the bridge with each connection.", |b| {
        Box::new(&mut b.clean_start)
    }),
    opt!(
        "local_clean_start",
        "Whether this broker does: nothing waits for the other one then. Unset: as `clean_start`.",
        |b| Box::new(&mut b.local_clean_start)
    ),
    opt!(
        "session_expiry_secs",
        "Seconds that the other broker keeps the session while the bridge is away (5.0).",
        |b| secs_or_never(&mut b.session_expiry_secs)
    ),
    opt!("keep_alive_secs", "Seconds of silence after which the other broker is pinged.", |b| {
        plain(&mut b.keep_alive_secs, 5, U16)
    }),
    opt!(
        "start",
        "\"automatic\": connected for good. \"lazy\": once `threshold` messages wait, until none \
         has come for `idle_secs`. \"once\": connected until the connection ends.",
        |b| Box::new(Choice {
            slot: &mut b.start,
            words: &[
                ("automatic", BridgeStart::Automatic),
                ("lazy", BridgeStart::Lazy),
                ("once", BridgeStart::Once),
            ],
        })
    ),
    opt!(
        "retry_secs_min",
        "Seconds until a connection is tried again. They grow with each failure.",
        |b| plain(&mut b.retry_secs_min, 1, 86_400)
    ),
    opt!("retry_secs_max", "The same at most.", |b| plain(&mut b.retry_secs_max, 1, 86_400)),
    opt!(
        "stable_secs",
        "Seconds that a connection has to last for the next failure to count as the first.",
        |b| plain(&mut b.stable_secs, 0, 86_400)
    ),
    opt!("idle_secs", "For start = \"lazy\".", |b| plain(&mut b.idle_secs, 1, 86_400)),
    opt!("threshold", "For start = \"lazy\".", |b| plain(&mut b.threshold, 1, U32)),
    opt!(
        "bridge_bit",
        "Whether CONNECT says that this is a bridge (3.1, 3.1.1), so that it does not get back \
         what it sends. Brokers that do not know the bit are asked again without it.",
        |b| Box::new(&mut b.bridge_bit)
    ),
    opt!(
        "notifications",
        "Who is told how the bridge stands, by a retained 1 or 0: \"none\", \"local\" (clients \
         here) or \"both\".",
        |b| Box::new(Choice {
            slot: &mut b.notifications,
            words: &[
                ("none", Notifications::None),
                ("local", Notifications::Local),
                ("both", Notifications::Both),
            ],
        })
    ),
    opt!(
        "notification_topic",
        "The topic for that. Empty: $SYS/broker/connection/CLIENT_ID/state.",
        |b| Box::new(Text { slot: &mut b.notification_topic, check: check_topic })
    ),
    opt!(
        "unsubscribe",
        "Whether the other broker is asked to forget subscriptions that are no use any more.",
        |b| Box::new(&mut b.unsubscribe)
    ),
    opt!("outgoing_retain", "Whether what is retained here is retained there.", |b| Box::new(
        &mut b.outgoing_retain
    )),
    opt!(
        "proxy",
        "A proxy on the way there: socks5h://[user[:password]@]host[:port]. Empty: none.",
        |b| { hidden(&mut b.proxy) }
    ),
    opt!("bind", "The address of this machine that connections come from. Unset: any.", |b| {
        address(&mut b.bind)
    }),
    opt!("packet_size_max", "The largest packet that is sent there, in bytes.", |b| {
        bytes(&mut b.packet_size_max, 1, 268_435_460)
    }),
    opt!("receive_maximum", "Messages of QoS 1 and 2 under way at a time, each way.", |b| plain(
        &mut b.receive_maximum,
        1,
        U16
    )),
    opt!(
        "hops_max",
        "Bridges that a message may have passed; then it is not passed on any more. Counted by a \
         user property `noctule-via`, so only where both sides speak 5.0.",
        |b| plain(&mut b.hops_max, 1, 255)
    ),
    opt!("rate_max", "Messages a second that are sent at most. 0: as fast as it goes.", |b| {
        plain(&mut b.rate_max, 0, U32)
    }),
    opt!(
        "reload",
        "When a reload takes effect: \"immediate\", or \"lazy\", with the next connection.",
        |b| Box::new(Choice {
            slot: &mut b.reload,
            words: &[("immediate", BridgeReload::Immediate), ("lazy", BridgeReload::Lazy)],
        })
    ),
];

/// Options of `[bridge.tls]`.
pub(in crate::config) const BRIDGE_TLS: &[Opt<TlsDraft>] = &[
    opt!("ca", "A file of CAs (PEM) to trust. Empty: those of the system.", |t| text(&mut t.ca)),
    opt!("ca_folder", "A folder of them. Empty: none.", |t| text(&mut t.ca_folder)),
    opt!("system_roots", "Whether those of the system are trusted beside them.", |t| Box::new(
        &mut t.system_roots
    )),
    opt!("certificate", "The certificate (PEM) that the bridge shows. Empty: none.", |t| text(
        &mut t.certificate
    )),
    opt!("key", "Its key (PEM).", |t| text(&mut t.key)),
    opt!(
        "alpn",
        "Protocols to offer, like [\"mqtt\"], or [\"x-amzn-mqtt-ca\"] for AWS IoT.",
        |t| { Box::new(Texts { slot: &mut t.alpn, check: |_| Ok(()) }) }
    ),
    opt!("v13_only", "TLS 1.3 or nothing.", |t| Box::new(&mut t.v13_only)),
    opt!("ciphers", "Cipher suites, by the names of IANA or OpenSSL. Empty: all.", |t| Box::new(
        Texts { slot: &mut t.ciphers, check: |_| Ok(()) }
    )),
    opt!("any_host_name", "Take a certificate of another host: not safe.", |t| Box::new(
        &mut t.any_host_name
    )),
];

/// Options of `[[bridge.topic]]`.
pub(in crate::config) const BRIDGE_TOPIC: &[Opt<BridgeTopic>] = &[
    opt!("filter", "Which topics, without their prefixes. May be empty.", |t| text(&mut t.filter)),
    opt!("direction", "\"out\" (from here to there), \"in\" or \"both\".", |t| Box::new(Choice {
        slot: &mut t.direction,
        words: &[("out", Direction::Out), ("in", Direction::In), ("both", Direction::Both)],
    })),
    opt!("qos", "The highest QoS: 0, 1 or 2.", |t| qos(&mut t.qos)),
    opt!("local_prefix", "What these topics begin with here.", |t| text(&mut t.local_prefix)),
    opt!("remote_prefix", "What they begin with there.", |t| text(&mut t.remote_prefix)),
];

impl Default for BridgeTopic {
    fn default() -> BridgeTopic {
        BridgeTopic {
            filter: Box::default(),
            direction: Direction::Out,
            qos: QoS::AtMostOnce,
            local_prefix: Box::default(),
            remote_prefix: Box::default(),
        }
    }
}

/// All bridges as a file says them.
pub(in crate::config) fn show(text: &mut String, bridges: &[Bridge]) {
    for bridge in bridges {
        let mut bridge = bridge.clone();
        text.push_str("\n[[bridge]]\n");
        values(text, BRIDGE, &mut bridge);
        if bridge.tls != BridgeTls::default() {
            text.push_str("[bridge.tls]\n");
            values(text, BRIDGE_TLS, &mut TlsDraft::of(&bridge.tls));
        }
        for topic in &mut bridge.topics {
            text.push_str("[[bridge.topic]]\n");
            values(text, BRIDGE_TOPIC, topic);
        }
    }
}

/// Whether text can be a level of topics, and of a client id.
fn check_level(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains(['+', '#', '/']) || !is_clean(text) {
        return Err("text without `+`, `#`, `/` and control characters expected".into());
    }
    Ok(())
}

fn check_topic(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    TopicName::parse(text).map(drop).map_err(|error| error.to_string())
}

/// Text that is not shown.
fn hidden(slot: &mut Hidden) -> Box<dyn Value + '_> {
    struct Unseen<'a>(&'a mut Hidden);
    impl Value for Unseen<'_> {
        fn show(&self) -> Option<String> {
            self.0.0.is_empty().then(|| "\"\"".into())
        }
        fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
            let text = value.as_str().ok_or("text in quotes expected")?;
            *self.0 = Hidden(text.into());
            Ok(())
        }
    }
    Box::new(Unseen(slot))
}

/// An address of this machine, or not set.
fn address(slot: &mut Option<IpAddr>) -> Box<dyn Value + '_> {
    struct Address<'a>(&'a mut Option<IpAddr>);
    impl Value for Address<'_> {
        fn show(&self) -> Option<String> {
            self.0.map(|address| format!("\"{address}\""))
        }
        fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
            let address = value.as_str().and_then(|text| text.parse().ok());
            *self.0 = Some(address.ok_or("an IP address of this machine expected")?);
            Ok(())
        }
    }
    Box::new(Address(slot))
}
