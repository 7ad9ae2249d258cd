//! Options of `[[listener]]`.

use super::super::spelling;
use super::super::transport::{self, Protocol, ProxiedName};
use super::super::value::{Choice, ChoiceOrNone, Text, Texts};
use super::{
    CLASSES, ListenerDraft, Opt, U16, U32, bytes, bytes_or_no_bound, own_bound, path, plain,
    presence, qos,
};
use crate::net::ProxyVersion;
use noctule_proto::text::is_clean;

/// Options of `[[listener]]`.
pub(in crate::config) const LISTENER: &[Opt<ListenerDraft>] = &[
    opt!(
        "bind",
        "IP address. \"0.0.0.0\" is every interface of the machine over IPv4, \"::\" over IPv6.",
        |l| Box::new(&mut l.bind)
    ),
    opt!("port", "TCP port. 0 lets the system choose one; the log names it.", |l| plain(
        &mut l.port,
        0,
        U16
    )),
    opt!(
        "unix",
        "The file of a Unix socket, instead of `bind` and `port`. Its clients count as those of \
         127.0.0.1. A relative path begins at the folder of this file.",
        |l| path(&mut l.transport.unix)
    ),
    opt!("unix_mode", "The rights of that file: who may write to it may connect.", |l| {
        transport::mode(&mut l.transport.unix_mode)
    }),
    opt!(
        "protocol",
        "What is spoken: \"mqtt\", or \"websocket\" (MQTT over WebSocket, as browsers need it); \
         with a [listener.tls] either is encrypted. Or \"http_api\": no MQTT, but counts, \
         listeners and version over HTTP, as mosquitto tells them.",
        |l| Box::new(Choice {
            slot: &mut l.transport.protocol,
            words: &[
                ("mqtt", Protocol::Mqtt),
                ("websocket", Protocol::WebSocket),
                ("http_api", Protocol::HttpApi),
            ],
        })
    ),
    opt!(
        "proxy_protocol",
        "The version of the PROXY protocol that all connections begin with, \"v1\" or \"v2\": a \
         proxy says so where its clients come from. Nobody but the proxy may reach the port. Not \
         set: none.",
        |l| Box::new(ChoiceOrNone {
            slot: &mut l.transport.proxy_protocol,
            words: &[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)],
        })
    ),
    opt!(
        "proxy_protocol_require_tls",
        "Whether clients have to speak TLS with the proxy (\"v2\").",
        |l| Box::new(&mut l.transport.proxy_protocol_require_tls)
    ),
    opt!(
        "proxy_protocol_user_name",
        "What the certificate that a client has shown the proxy says about it (\"v2\"): \
         \"nothing\", or \"common_name\", which is its user name then, without a password.",
        |l| Box::new(Choice {
            slot: &mut l.transport.proxy_protocol_user_name,
            words: &[("nothing", ProxiedName::Nothing), ("common_name", ProxiedName::CommonName),],
        })
    ),
    opt!(
        "websocket_header_max",
        "Bytes of the request for a WebSocket, at most; a longer one is refused (431).",
        |l| bytes(&mut l.transport.websocket_header_max, 256, transport::HEADER_MAX_MOST)
    ),
    opt!(
        "websocket_origins",
        "Pages that may connect by WebSocket, by their origins, like \"https://example.com\"; \
         those of others are refused (403). Empty: any. Who sends no origin is no page.",
        |l| Box::new(Texts {
            slot: &mut l.transport.websocket_origins,
            check: transport::check_origin,
        })
    ),
    opt!(
        "tenant",
        "Namespace of the clients of this listener, a number. Client ids, topics and \
         subscriptions of two tenants never meet.",
        |l| plain(&mut l.tenant, 0, U16)
    ),
    opt!(
        "allow_anonymous",
        "Let clients in that do not say who they are. Not set: true on a loopback address, false \
         on any other.",
        |l| Box::new(&mut l.allow_anonymous)
    ),
    opt!(
        "connections_max",
        "Connections open at a time; more are closed as they come.",
        |l| plain(&mut l.connections_max, 1, U32)
    ),
    opt!(
        "required",
        "Whether the start fails if the address cannot be had; otherwise the log says so.",
        |l| presence(&mut l.presence)
    ),
    opt!(
        "durability",
        "What acknowledgements to its clients promise: \"fsync\", \"os\" or \"memory\". Not set: \
         what `durability.class` says.",
        |l| Box::new(ChoiceOrNone { slot: &mut l.durability, words: CLASSES })
    ),
    opt!("acl_file", ACL_FILE_HERE, |l| path(&mut l.acl_file)),
    opt!("roles_file", ROLES_FILE_HERE, |l| path(&mut l.roles_file)),
    opt!("authenticators", AUTHENTICATORS_HERE, |l| Box::new(&mut l.authenticators)),
    opt!("password_file", PASSWORD_FILE_HERE, |l| path(&mut l.password_file)),
    opt!(
        "interface",
        "Network interface that connections must come in by, like \"eth0\" (Linux). Not set: any \
         that has the address.",
        |l| spelling::interface(&mut l.interface)
    ),
    opt!("allow", "Networks that clients may come from, like \"10.0.0.0/8\". Empty: any.", |l| {
        Box::new(&mut l.admission.allow)
    }),
    opt!("deny", "Networks that nobody may come from, whatever `allow` says.", |l| Box::new(
        &mut l.admission.deny
    )),
    opt!("versions", "Versions of MQTT that are served; others are refused (0x84).", |l| {
        Box::new(&mut l.limits.versions)
    }),
    opt!(
        "qos_max",
        "Highest QoS accepted here (announced), if `limits.qos_max` is not less.",
        |l| qos(&mut l.limits.qos_max)
    ),
    opt!(
        "retain_available",
        "Retained messages are supported here (announced), if `limits.retain_available`.",
        |l| Box::new(&mut l.limits.retain_available)
    ),
    opt!(
        "packet_size_max",
        "Largest packet accepted here (announced), if `limits.packet_size_max` is not less.",
        |l| bytes_or_no_bound(&mut l.limits.packet_size_max, 128)
    ),
    opt!(
        "topic_alias_max",
        "Topic aliases a client may use here (announced), if `limits.topic_alias_max` is not less.",
        |l| own_bound(&mut l.limits.topic_alias_max)
    ),
    opt!(
        "topic_alias_out_max",
        "Topic aliases the broker uses here, if `limits.topic_alias_out_max` is not less.",
        |l| own_bound(&mut l.limits.topic_alias_out_max)
    ),
    opt!(
        "assign_client_ids",
        "Give a client with an empty client id a name, if `limits.assign_client_ids`.",
        |l| Box::new(&mut l.limits.assign_client_ids)
    ),
    opt!(
        "client_id_prefix",
        "What the ids of its clients have to begin with; others are refused (0x87). Empty: with \
         anything.",
        |l| Box::new(Text {
            slot: &mut l.limits.client_id_prefix,
            check: |text| match is_clean(text) {
                true => Ok(()),
                false => Err("the beginning of client ids expected".into()),
            },
        })
    ),
    opt!(
        "client_id_from_user_name",
        "A client's id is the user name that it gives, whatever it calls itself; without one it is \
         refused (0x87).",
        |l| Box::new(&mut l.limits.client_id_from_user_name)
    ),
    opt!(
        "assigned_id_prefix",
        "What client ids assigned here begin with. Not set: as `limits.assigned_id_prefix` says.",
        |l| spelling::id_prefix(&mut l.limits.assigned_id_prefix)
    ),
    opt!(
        "mount_point",
        "What all topics of its clients begin with, unseen by them, like \"site-1/\". Empty: with \
         what the clients say.",
        |l| Box::new(Text { slot: &mut l.limits.mount_point, check: spelling::check_mount_point })
    ),
];

const AUTHENTICATORS_HERE: &str = "Who is asked about its clients, instead of the \
    `authenticators` of all listeners. An empty list: nobody.";
const PASSWORD_FILE_HERE: &str = "A file of the users that may log in here, instead of those of \
    all listeners.";
const ACL_FILE_HERE: &str = "For its clients, an `acl_file` instead of that of all listeners.";
const ROLES_FILE_HERE: &str = "For its clients, a `roles_file` instead of the roles of all.";
