//! Every option there is, with those in `defence`. The parser, the sample and the hints of error
//! messages read these lists.

use super::spelling;
use super::tls::TlsDraft;
use super::transport::Transport;
use super::value::{Auto, Choice, ChoiceOrNone, Number, Text, Unit, Value};
use super::{
    Admin, Admission, AuthenticatorKind, Class, Config, Durability, PORT, Presence, SHARDS_MAX,
};
use noctule_core::Limits;
use noctule_core::limits::{ListenerLimits, Overflow, QueueRule};
use noctule_proto::text::is_clean;
use noctule_proto::{QoS, TopicFilter};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// One option of a table `T`.
pub(super) struct Opt<T: 'static> {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) slot: for<'a> fn(&'a mut T) -> Box<dyn Value + 'a>,
}

/// A `[[listener]]` as the file says it, before its defaults are known.
pub(super) struct ListenerDraft {
    pub(super) bind: IpAddr,
    pub(super) port: u16,
    pub(super) transport: Transport,
    pub(super) tenant: u16,
    pub(super) allow_anonymous: Option<bool>,
    pub(super) connections_max: u32,
    pub(super) presence: Presence,
    pub(super) durability: Option<Class>,
    pub(super) interface: Option<Box<str>>,
    pub(super) admission: Admission,
    pub(super) limits: ListenerLimits,
    pub(super) tls: Option<TlsDraft>,
    pub(super) acl_file: Option<PathBuf>,
    pub(super) roles_file: Option<PathBuf>,
    pub(super) authenticators: Option<Vec<AuthenticatorKind>>,
    pub(super) password_file: Option<PathBuf>,
}

impl Default for ListenerDraft {
    fn default() -> ListenerDraft {
        ListenerDraft {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: PORT,
            transport: Transport::default(),
            tenant: 0,
            allow_anonymous: None,
            connections_max: 1_000_000,
            presence: Presence::Required,
            durability: None,
            interface: None,
            admission: Admission::default(),
            limits: ListenerLimits::default(),
            tls: None,
            acl_file: None,
            roles_file: None,
            authenticators: None,
            password_file: None,
        }
    }
}

/// A `[[durability.topics]]` entry as the file says it.
#[derive(Default)]
pub(super) struct TopicDraft {
    pub(super) filter: Box<str>,
    pub(super) class: Option<Class>,
}

/// A `[[users]]` entry as the file says it.
#[derive(Default)]
pub(super) struct UserDraft {
    pub(super) name: Box<str>,
    pub(super) verifier: Box<str>,
}

/// An option of a list.
macro_rules! opt {
    ($name:literal, $doc:expr, $slot:expr) => {
        $crate::config::options::Opt { name: $name, doc: $doc, slot: $slot }
    };
}
pub(super) use opt;

mod identity;
mod listener;
mod tls;

pub(super) use super::log::LOG;
pub(super) use identity::{DYNSEC, JWT, USER, WEBHOOK};
pub(super) use listener::LISTENER;
pub(super) use tls::TLS;

/// Bytes that follow the prefix of a client id that the broker assigns.
pub(super) const ASSIGNED_LEN: usize = 36;

pub(super) const U16: u64 = u16::MAX as u64;
pub(super) const U32: u64 = u32::MAX as u64;
/// The largest packet the standard can express: a Remaining Length of four bytes and the header.
const PACKET_MAX: u64 = 268_435_455 + 5;
pub(super) const I64: u64 = i64::MAX as u64;

pub(super) fn plain<'a, T>(slot: &'a mut T, min: u64, max: u64) -> Box<dyn Value + 'a>
where
    T: Copy + TryFrom<u64>,
    u64: From<T>,
{
    Box::new(Number { slot, range: min..=max, unit: Unit::Plain })
}

pub(super) fn bytes<'a, T>(slot: &'a mut T, min: u64, max: u64) -> Box<dyn Value + 'a>
where
    T: Copy + TryFrom<u64>,
    u64: From<T>,
{
    Box::new(Number { slot, range: min..=max, unit: Unit::Bytes })
}

fn own_bound(slot: &mut u16) -> Box<dyn Value + '_> {
    Box::new(Number { slot, range: 0..=U16, unit: Unit::OrNoBound })
}

fn bytes_or_no_bound(slot: &mut u32, min: u64) -> Box<dyn Value + '_> {
    Box::new(Number { slot, range: min..=U32, unit: Unit::BytesOrNoBound })
}

pub(super) fn secs_or_never(slot: &mut u32) -> Box<dyn Value + '_> {
    Box::new(Number { slot, range: 0..=U32, unit: Unit::SecsOrNever })
}

/// `required = true | false`.
fn presence(slot: &mut Presence) -> Box<dyn Value + '_> {
    struct Required<'a>(&'a mut Presence);
    impl Value for Required<'_> {
        fn show(&self) -> Option<String> {
            Some((*self.0 == Presence::Required).to_string())
        }
        fn set(&mut self, value: &toml::de::DeValue<'_>) -> Result<(), String> {
            *self.0 = match value.as_bool() {
                Some(true) => Presence::Required,
                Some(false) => Presence::IfPossible,
                None => return Err("true or false expected, without quotes".into()),
            };
            Ok(())
        }
    }
    Box::new(Required(slot))
}

/// `qos_max = 0 | 1 | 2`.
pub(super) fn qos(slot: &mut QoS) -> Box<dyn Value + '_> {
    struct Level<'a>(&'a mut QoS);
    impl Value for Level<'_> {
        fn show(&self) -> Option<String> {
            Some((*self.0 as u8).to_string())
        }
        fn set(&mut self, value: &toml::de::DeValue<'_>) -> Result<(), String> {
            *self.0 = match value.as_integer().map(|it| it.as_str()) {
                Some("0") => QoS::AtMostOnce,
                Some("1") => QoS::AtLeastOnce,
                Some("2") => QoS::ExactlyOnce,
                _ => return Err("must be 0, 1 or 2".into()),
            };
            Ok(())
        }
    }
    Box::new(Level(slot))
}

/// The classes, the strongest first.
const CLASSES: &[(&str, Class)] =
    &[("fsync", Class::Fsync), ("os", Class::Os), ("memory", Class::Memory)];

/// A file, or a folder; not set if it is empty.
pub(super) fn path(slot: &mut Option<PathBuf>) -> Box<dyn Value + '_> {
    struct File<'a>(&'a mut Option<PathBuf>);
    impl Value for File<'_> {
        fn show(&self) -> Option<String> {
            self.0.as_ref().map(|path| toml::Value::from(&*path.to_string_lossy()).to_string())
        }
        fn set(&mut self, value: &toml::de::DeValue<'_>) -> Result<(), String> {
            let text = value.as_str().filter(|text| !text.is_empty());
            *self.0 = Some(text.ok_or("the path of a file expected, in quotes")?.into());
            Ok(())
        }
    }
    Box::new(File(slot))
}

/// Any text.
pub(super) fn text(slot: &mut Box<str>) -> Box<dyn Value + '_> {
    Box::new(Text { slot, check: |_| Ok(()) })
}

/// Options outside any table.
pub(super) const TOP: &[Opt<Config>] = &[
    opt!(
        "shards",
        "Threads that serve clients, each with an event loop of its own. 0: one for each core.",
        |c| Box::new(Auto { slot: &mut c.shards, max: SHARDS_MAX })
    ),
    opt!(
        "user",
        "The user that the broker becomes when root starts it, once it has read its keys and taken \
         its ports. Empty: it stays who started it.",
        |c| text(&mut c.user)
    ),
    opt!(
        "pid_file",
        "A file that the number of the process is written to. A relative path begins at the folder \
         of this file.",
        |c| path(&mut c.pid_file)
    ),
    opt!(
        "sys_interval_secs",
        "Seconds between two updates of the topics under $SYS. 0 switches them off.",
        |c| plain(&mut c.sys_interval_secs, 0, 86_400)
    ),
    opt!(
        "shutdown_grace_secs",
        "Seconds a shutdown may take until connections that do not take their DISCONNECT are cut.",
        |c| plain(&mut c.shutdown_grace_secs, 0, 3600)
    ),
    opt!(
        "control_api",
        "Answer what clients ask on $CONTROL/broker/v1, as mosquitto does: which listeners there \
         are. Rules say who may.",
        |c| Box::new(&mut c.control_api)
    ),
    opt!(
        "password_file",
        "A file of users, one a line: those that `noctule passwd FILE NAME` and mosquitto_passwd \
         write. A relative path begins at the folder of this file.",
        |c| path(&mut c.password_file)
    ),
    opt!("acl_file", ACL_FILE, |c| path(&mut c.acl_file)),
    opt!("roles_file", ROLES_FILE, |c| path(&mut c.roles_file)),
    opt!(
        "strict_subscribe",
        "Refuse a SUBSCRIBE (0x87) if not all of its filter is allowed. Otherwise it is taken, and \
         what is not allowed is not delivered. Not set: true, but false with an `acl_file`, as \
         mosquitto does.",
        |c| Box::new(&mut c.strict_subscribe)
    ),
    opt!(
        "authenticators",
        "Who is asked about a client, in this order, until one knows it: \"certificate\" \
         (`user_name_from`), \"jwt\", \"dynamic_security\", \"password\" (users, and SCRAM), \
         \"webhook\". Those that are not configured know nobody.",
        |c| Box::new(&mut c.authenticators)
    ),
];

const ACL_FILE: &str = "A file of rules who may publish and receive what, as mosquitto has them.";
const ROLES_FILE: &str = "A file with [[role]] and [[group]] tables, instead of those in here.";

/// Options of `[durability]`, beside its `topics`.
pub(super) const DURABILITY: &[Opt<Durability>] = &[
    opt!(
        "class",
        "What an acknowledgement of a QoS 1 or 2 message promises, if a persistent session or a \
         retained topic depends on it. \"fsync\": it is on the disk and survives a power cut. \
         \"os\": the operating system has it, and it survives the end of the process. \
         \"memory\": nothing.",
        |d| Box::new(Choice { slot: &mut d.class, words: CLASSES })
    ),
    opt!(
        "data",
        "Directory of what is kept, from the root on. Not set: $STATE_DIRECTORY, which systemd \
         sets, else $XDG_STATE_HOME/noctule, else ~/.local/state/noctule.",
        |d| Box::new(&mut d.data)
    ),
];

/// Options of `[[durability.topics]]`.
pub(super) const TOPIC: &[Opt<TopicDraft>] = &[
    opt!("filter", "Topic filter; its topics are matched in every tenant.", |t| Box::new(Text {
        slot: &mut t.filter,
        check: |text| match TopicFilter::parse(text) {
            Ok(filter) if filter.share().is_some() => {
                Err("a filter without $share expected".into())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
    })),
    opt!("class", "\"fsync\", \"os\" or \"memory\".", |t| Box::new(ChoiceOrNone {
        slot: &mut t.class,
        words: CLASSES,
    })),
];

const PAYLOAD_SIZE: &str = "Largest payload of a message; a larger one is dropped (0x97; before \
    MQTT 5 it is acknowledged all the same).";
const QUEUE_MESSAGES: &str = "Messages waiting for one session; beyond, `overflow` decides.";
const QUEUE_BYTES: &str = "Bytes of messages waiting for one session; beyond, `overflow` decides.";
const QUEUE_AGE: &str =
    "Seconds a QoS 1 or 2 message waits for a session at most; then it is dropped. 0: any number.";
const OVERFLOW: &str =
    "What gives way when a queue is full: \"drop_newest\" (what just came) or \"drop_oldest\".";
const QUEUE_QOS0: &str = "Queue QoS 0 messages for sessions that are away.";

/// Options of `[[queue]]`; those of `[limits]` with the same names hold for everybody else.
pub(super) const QUEUE: &[Opt<QueueRule>] = &[
    opt!("clients", "Client ids: * stands for any characters, ? for one. Of any tenant.", |q| {
        Box::new(Text { slot: &mut q.clients, check: check_clients })
    }),
    opt!("queue_messages_max", QUEUE_MESSAGES, |q| plain(&mut q.queue.messages_max, 1, U32)),
    opt!("queue_bytes_max", QUEUE_BYTES, |q| bytes(&mut q.queue.bytes_max, 1024, I64)),
    opt!("queue_age_secs_max", QUEUE_AGE, |q| plain(&mut q.queue.age_secs_max, 0, U32)),
    opt!("overflow", OVERFLOW, |q| overflow(&mut q.queue.overflow)),
    opt!("queue_qos0", QUEUE_QOS0, |q| Box::new(&mut q.queue.qos0)),
];

fn overflow(slot: &mut Overflow) -> Box<dyn Value + '_> {
    let words = &[("drop_newest", Overflow::DropNewest), ("drop_oldest", Overflow::DropOldest)];
    Box::new(Choice { slot, words })
}

fn check_clients(text: &str) -> Result<(), String> {
    if text.is_empty() || !is_clean(text) {
        return Err("a client id, with * and ? for what varies, expected".into());
    }
    Ok(())
}

/// Options of `[admin]`.
pub(super) const ADMIN: &[Opt<Admin>] = &[
    opt!("enabled", "Serve /metrics (Prometheus), /healthz and /readyz over HTTP.", |a| Box::new(
        &mut a.enabled
    )),
    opt!(
        "bind",
        "IP address and port. There is no password: keep it on loopback, or behind a proxy.",
        |a| Box::new(&mut a.address)
    ),
    opt!(
        "required",
        "Whether the start fails if the address cannot be had; otherwise the log says so.",
        |a| presence(&mut a.presence)
    ),
];

/// Options of `[limits]`.
pub(super) const LIMITS: &[Opt<Limits>] = &[
    opt!(
        "connect_timeout_secs",
        "Seconds a new connection has to send its CONNECT; then it is closed.",
        |l| plain(&mut l.connect_timeout_secs, 1, U16)
    ),
    opt!(
        "packet_size_max",
        "Largest packet accepted, announced to clients; a larger one ends the connection (0x95).",
        |l| bytes(&mut l.packet_size_max, 128, PACKET_MAX)
    ),
    opt!("payload_size_max", PAYLOAD_SIZE, |l| bytes_or_no_bound(&mut l.payload_size_max, 0)),
    opt!(
        "receive_maximum",
        "QoS 1 and 2 messages a client may have open towards the broker (announced).",
        |l| plain(&mut l.receive_maximum, 1, U16)
    ),
    opt!(
        "inflight_max",
        "QoS 1 and 2 messages the broker keeps open towards a client, if that allows as many.",
        |l| plain(&mut l.inflight_max, 1, U16)
    ),
    opt!("topic_alias_max", "Topic aliases a client may use (announced). 0: none.", |l| plain(
        &mut l.topic_alias_max,
        0,
        U16
    )),
    opt!(
        "topic_alias_out_max",
        "Topic aliases the broker uses towards a client, if the client allows as many. 0: none.",
        |l| plain(&mut l.topic_alias_out_max, 0, U16)
    ),
    opt!("topic_levels_max", "Levels of a topic name or filter; deeper ones are refused.", |l| {
        plain(&mut l.topic_levels_max, 1, U16)
    }),
    opt!("client_id_len_max", "Longest client id, bytes; a longer one is refused (0x85).", |l| {
        plain(&mut l.client_id_len_max, 23, U16)
    }),
    opt!(
        "keep_alive_secs_max",
        "Longest keep alive; v5 clients that ask for more (or for none) are told this one. 0: any.",
        |l| plain(&mut l.keep_alive_secs_max, 0, U16)
    ),
    opt!(
        "session_expiry_secs_max",
        "Longest time a session is kept after its connection ended; \"never\" has no end.",
        |l| secs_or_never(&mut l.session_expiry_secs_max)
    ),
    opt!(
        "session_expiry_secs_v3",
        "The same for clients of MQTT 3 that connect with Clean Session 0: they cannot ask.",
        |l| secs_or_never(&mut l.session_expiry_secs_v3)
    ),
    opt!("queue_messages_max", QUEUE_MESSAGES, |l| plain(&mut l.queue.messages_max, 1, U32)),
    opt!("queue_bytes_max", QUEUE_BYTES, |l| bytes(&mut l.queue.bytes_max, 1024, I64)),
    opt!("queue_age_secs_max", QUEUE_AGE, |l| plain(&mut l.queue.age_secs_max, 0, U32)),
    opt!(
        "queues_messages_max",
        "Messages waiting for all sessions of a shard, or \"no bound\"; beyond, what just came is \
         dropped.",
        |l| Box::new(Number {
            slot: &mut l.queues_messages_max,
            range: 1..=u64::MAX,
            unit: Unit::OrNoBound,
        })
    ),
    opt!(
        "queues_bytes_max",
        "Bytes of messages waiting for all sessions of a shard, or \"no bound\"; beyond, what just \
         came is dropped.",
        |l| Box::new(Number {
            slot: &mut l.queues_bytes_max,
            range: 1024..=u64::MAX,
            unit: Unit::BytesOrNoBound,
        })
    ),
    opt!("overflow", OVERFLOW, |l| overflow(&mut l.queue.overflow)),
    opt!("queue_qos0", QUEUE_QOS0, |l| Box::new(&mut l.queue.qos0)),
    opt!("subscriptions_max", "Subscriptions of one session; more are refused (0x97).", |l| plain(
        &mut l.subscriptions_max,
        1,
        U32
    )),
    opt!("retained_max", "Retained messages of a shard; more are delivered, but not kept.", |l| {
        plain(&mut l.retained_max, 0, U32)
    }),
    opt!(
        "retained_bytes_max",
        "Bytes of retained messages of a shard; more are delivered, but not kept.",
        |l| bytes(&mut l.retained_bytes_max, 0, I64)
    ),
    opt!(
        "wills_bytes_max",
        "Bytes of wills of a shard; who brings one more is refused (0x97).",
        |l| bytes(&mut l.wills_bytes_max, 0, I64)
    ),
    opt!("sessions_max", "Sessions of a shard; more are refused (0x97).", |l| plain(
        &mut l.sessions_max,
        1,
        U32
    )),
    opt!("connections_max", "Connections of a shard; more are refused (0x89).", |l| plain(
        &mut l.connections_max,
        1,
        U32
    )),
    opt!(
        "half_open_max",
        "Connections of a shard that have not sent their CONNECT; beyond, the oldest is closed.",
        |l| plain(&mut l.half_open_max, 1, U32)
    ),
    opt!(
        "share_queue_max",
        "Messages waiting in one share group for a member with room; beyond, `overflow` decides.",
        |l| plain(&mut l.share_queue_max, 1, U32)
    ),
    opt!(
        "backlog_high",
        "Bytes waiting for one socket above which nothing more is sent to it until half of it has \
         left: QoS 0 is dropped for that client, QoS 1 and 2 wait in its queue.",
        |l| bytes(&mut l.backlog_high, 4096, U32)
    ),
    opt!(
        "stall_millis",
        "Milliseconds without progress after which a slow receiver holds no publisher back.",
        |l| plain(&mut l.stall_millis, 1, U32)
    ),
    opt!("qos_max", "Highest QoS accepted (announced): 0, 1 or 2.", |l| qos(&mut l.qos_max)),
    opt!("retain_available", "Retained messages are supported (announced).", |l| Box::new(
        &mut l.retain_available
    )),
    opt!("wildcard_available", "Wildcard subscriptions are supported (announced).", |l| {
        Box::new(&mut l.wildcard_available)
    }),
    opt!(
        "subscription_ids_available",
        "Subscription identifiers are supported (announced).",
        |l| Box::new(&mut l.subscription_ids_available)
    ),
    opt!("shared_available", "Shared subscriptions are supported (announced).", |l| Box::new(
        &mut l.shared_available
    )),
    opt!(
        "assign_client_ids",
        "Give a client with an empty client id a name; otherwise it is refused (0x85).",
        |l| Box::new(&mut l.assign_client_ids)
    ),
    opt!("assigned_id_prefix", "What assigned client ids begin with.", |l| Box::new(Text {
        slot: &mut l.assigned_id_prefix,
        check: spelling::check_id_prefix,
    })),
    opt!(
        "reason_strings",
        "Say why something is refused in a Reason String, to v5 clients that want it.",
        |l| Box::new(&mut l.reason_strings)
    ),
    opt!(
        "refusals_as_mosquitto",
        "Refuse as mosquitto does: credentials with 0x87, client ids with 0x80, with Maximum QoS \
         in CONNACK, and clients of MQTT 3 that ask for too long a keep alive with return code 2. \
         A client that may not publish its will is let in, and the will dropped in the end.",
        |l| Box::new(&mut l.refusals_as_mosquitto)
    ),
    opt!(
        "response_information",
        "Response Information for v5 clients that ask, `%c` being the client id. Empty: none.",
        |l| Box::new(Text {
            slot: &mut l.response_information,
            check: |text| {
                if text.contains(['+', '#']) || !is_clean(text) {
                    return Err("must be (the beginning of) a topic: no `+`, `#` or control \
                                characters"
                        .into());
                }
                Ok(())
            },
        })
    ),
    opt!(
        "turn_budget",
        "Deliveries that long work (a retained flood, a drain) may make before others have a turn.",
        |l| plain(&mut l.turn_budget, 16, 1_000_000)
    ),
    opt!(
        "route_cache_bytes",
        "Bytes of remembered routes (topic to subscribers) of a shard.",
        |l| { bytes(&mut l.route_cache_bytes, 0, U32) }
    ),
];
