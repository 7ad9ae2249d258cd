//! Every option of mosquitto.conf: how its value is written, what it belongs to, and what becomes
//! of it. The reader, the manual's table and its test go by this list.

use std::ops::RangeInclusive;

/// An option, with its old names.
#[derive(Debug)]
pub(super) struct Known {
    /// The name of today first. One that ends with `_` is the beginning of names.
    pub(super) names: &'static [&'static str],
    pub(super) scope: Scope,
    pub(super) kind: Kind,
    pub(super) fate: Fate,
}

/// What an option is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// The broker.
    Global,
    /// The last `listener`; there has to be one.
    Listener,
    /// The last `listener`, else the one that `port` and `bind_address` are about.
    AnyListener,
    /// The last `listener` with `per_listener_settings`, else the broker.
    Security,
    /// The last `connection`.
    Bridge,
}

/// How a value is written.
#[derive(Debug)]
pub(super) enum Kind {
    /// true, false, 1 or 0.
    Flag,
    /// A whole number; below zero often means nothing, as -1 does.
    Number(RangeInclusive<i64>),
    /// The rest of the line; said twice, it is a mistake.
    Text,
    /// The same; said twice, the last one holds.
    LastText,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Anything: what it means is not looked at.
    Anything,
    /// It has a function of its own.
    Own,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It does what it does for mosquitto; this says by what in noctule.toml.
    Becomes(&'static str),
    /// It changes nothing, and here is why.
    Noted(&'static str),
    /// It changes nothing with this value; with another one it cannot be followed.
    Only(&'static str, &'static str),
    /// It stops the start, and here is what to do instead.
    Refused(&'static str),
}

const fn row(names: &'static [&'static str], scope: Scope, kind: Kind, fate: Fate) -> Known {
    Known { names, scope, kind, fate }
}

use Fate::{Becomes, Noted, Only, Refused};
use Kind::{Anything, Flag, LastText, Number, Own, Text, Word};
use Scope::{AnyListener, Bridge, Global, Listener, Security};

const INT: RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;
const U16: RangeInclusive<i64> = 0..=65_535;
const KEEP_ALIVE: &str = "MQTT's own keep alive finds out that the other broker is gone";
const NO_ENGINES: &str = "keys are read from files alone: name a PEM file in `keyfile`";
const NO_PSK: &str = "there is no TLS-PSK: use certificates (`noctule cert` makes them)";

/// All of them, in the order of the manual.
pub(super) const OPTIONS: &[Known] = &[
    // Listeners.
    row(&["listener"], Global, Own, Becomes("`[[listener]]`: `bind`, `port`, `unix`")),
    row(&["port"], Global, Own, Becomes("`[[listener]]`: `port`")),
    row(&["bind_address"], Global, Own, Becomes("`[[listener]]`: `bind`")),
    row(&["bind_interface"], AnyListener, Text, Becomes("`interface`")),
    row(
        &["protocol"],
        AnyListener,
        Word(&["mqtt", "websockets", "http_api"]),
        Becomes("`protocol`; `http_api` without TLS"),
    ),
    row(
        &["http_dir"],
        Listener,
        LastText,
        Refused("noctule serves no files: give them to a web server"),
    ),
    row(&["socket_domain"], AnyListener, Word(&["ipv4", "ipv6"]), Becomes("`bind`")),
    row(&["mount_point"], Listener, LastText, Becomes("`mount_point`; it must end with /")),
    row(&["max_connections"], AnyListener, Number(INT), Becomes("`connections_max`")),
    row(&["max_qos", "maximum_qos"], AnyListener, Number(0..=2), Becomes("`qos_max`")),
    row(&["max_topic_alias"], Listener, Number(U16), Becomes("`topic_alias_max`")),
    row(&["max_topic_alias_broker"], Listener, Number(U16), Becomes("`topic_alias_out_max`")),
    row(&["accept_protocol_versions"], Listener, Own, Becomes("`versions`")),
    row(&["use_username_as_clientid"], AnyListener, Flag, Becomes("`client_id_from_user_name`")),
    row(&["listener_allow_anonymous"], Listener, Flag, Becomes("`allow_anonymous`")),
    row(&["listener_auto_id_prefix"], Listener, Text, Becomes("`assigned_id_prefix`")),
    row(&["enable_proxy_protocol"], Listener, Number(1..=2), Becomes("`proxy_protocol`")),
    row(
        &["proxy_protocol_v2_require_tls"],
        Listener,
        Flag,
        Becomes("`proxy_protocol_require_tls`"),
    ),
    row(&["websockets_origin"], Listener, Own, Becomes("`websocket_origins`")),
    row(
        &["packet_buffer_size", "websockets_headers_size"],
        Global,
        Number(U16),
        Becomes("`websocket_header_max` of WebSocket listeners"),
    ),
    row(
        &["websockets_log_level"],
        Global,
        Anything,
        Noted("it is about libwebsockets, which mosquitto 2.1 does not use either"),
    ),
    // TLS.
    row(&["cafile"], Listener, LastText, Becomes("`client_ca`")),
    row(&["capath"], AnyListener, LastText, Becomes("`client_ca`")),
    row(&["certfile"], AnyListener, LastText, Becomes("`certificate`")),
    row(&["keyfile"], AnyListener, LastText, Becomes("`key`")),
    row(&["require_certificate"], AnyListener, Flag, Becomes("`client_certificates`")),
    row(&["use_identity_as_username"], AnyListener, Flag, Becomes("`user_name_from`")),
    row(&["use_subject_as_username"], AnyListener, Flag, Becomes("`user_name_from`")),
    row(&["crlfile"], AnyListener, LastText, Becomes("`crl`")),
    row(&["ciphers"], AnyListener, LastText, Becomes("`ciphers`; suites by name alone")),
    row(&["ciphers_tls1.3"], AnyListener, LastText, Becomes("`ciphers`")),
    row(
        &["tls_version"],
        Listener,
        Text,
        Becomes("`minimum_version`; `tlsv1.1` and older are refused"),
    ),
    row(
        &["dhparamfile"],
        Global,
        Anything,
        Noted("mosquitto 2.1 does not read it either: key exchange is over elliptic curves"),
    ),
    row(
        &["disable_client_cert_date_checks"],
        Listener,
        Flag,
        Only("false", "certificates that have expired let nobody in: renew them"),
    ),
    row(&["tls_engine"], AnyListener, Text, Refused(NO_ENGINES)),
    row(&["tls_engine_kpass_sha1"], AnyListener, Text, Refused(NO_ENGINES)),
    row(&["tls_keyform"], AnyListener, Text, Only("pem", NO_ENGINES)),
    row(&["psk_hint"], AnyListener, Text, Refused(NO_PSK)),
    row(&["psk_file"], Security, LastText, Refused(NO_PSK)),
    // Access.
    row(&["allow_anonymous"], Security, Flag, Becomes("`allow_anonymous` of listeners")),
    row(&["password_file"], Security, LastText, Becomes("`password_file`")),
    row(&["acl_file"], Security, LastText, Becomes("`acl_file`")),
    row(&["per_listener_settings"], Global, Own, Becomes("options of each `[[listener]]`")),
    row(
        &["plugin", "auth_plugin"],
        Security,
        Own,
        Becomes(
            "`password_file`, `acl_file`, `[dynamic_security]` for mosquitto's own three plugins; \
             others are refused",
        ),
    ),
    row(&["global_plugin"], Global, Own, Becomes("as `plugin`")),
    row(&["plugin_load"], Global, Own, Becomes("as `plugin`")),
    row(&["plugin_use"], Listener, Own, Becomes("as `plugin`, for a listener")),
    row(
        &["plugin_opt_", "auth_opt_"],
        Global,
        Own,
        Becomes(
            "`plugin_opt_password_file`, `plugin_opt_acl_file`, `plugin_opt_config_file`, \
             `plugin_opt_password_init_file`; others are refused",
        ),
    ),
    row(
        &["auth_plugin_deny_special_chars"],
        Global,
        Flag,
        Only("true", "names with + and # get nothing from rules with placeholders"),
    ),
    row(&["allow_zero_length_clientid"], Security, Flag, Becomes("`assign_client_ids`")),
    row(&["auto_id_prefix"], Security, Text, Becomes("`assigned_id_prefix`")),
    row(&["clientid_prefixes"], Global, LastText, Becomes("`client_id_prefix` of listeners")),
    row(
        &["check_retain_source"],
        Global,
        Flag,
        Noted("who wrote a retained message is asked when it is published, and not again"),
    ),
    row(&["enable_control_api"], Global, Flag, Becomes("`control_api`")),
    // Persistence.
    row(
        &["persistence", "retained_persistence"],
        Global,
        Flag,
        Becomes("`durability.class`: `fsync`, else `memory`"),
    ),
    row(&["persistence_location"], Global, Text, Becomes("`durability.data`")),
    row(
        &["persistence_file"],
        Global,
        Text,
        Noted("the store is a folder of files with names of their own"),
    ),
    row(
        &["autosave_interval"],
        Global,
        Number(INT),
        Noted("what is acknowledged is on the disk before the acknowledgement leaves"),
    ),
    row(
        &["autosave_on_changes"],
        Global,
        Flag,
        Noted("what is acknowledged is on the disk before the acknowledgement leaves"),
    ),
    row(
        &["persistent_client_expiration"],
        Global,
        Own,
        Becomes("`limits.session_expiry_secs_max`, `limits.session_expiry_secs_v3`"),
    ),
    // Queues and limits.
    row(
        &["max_inflight_messages"],
        Global,
        Number(i32::MIN as i64..=65_535),
        Becomes("`limits.inflight_max`, `limits.receive_maximum`"),
    ),
    row(
        &["max_inflight_bytes"],
        Global,
        Number(INT),
        Noted("what waits for a socket is bounded anyway, by `limits.backlog_high`"),
    ),
    row(&["max_queued_messages"], Global, Number(INT), Becomes("`limits.queue_messages_max`")),
    row(&["max_queued_bytes"], Global, Number(INT), Becomes("`limits.queue_bytes_max`")),
    row(&["queue_qos0_messages"], Global, Flag, Becomes("`limits.queue_qos0`")),
    row(
        &["message_size_limit"],
        Global,
        Number(0..=268_435_455),
        Becomes("`limits.payload_size_max`"),
    ),
    row(
        &["max_packet_size"],
        Global,
        Number(20..=i32::MAX as i64),
        Becomes("`limits.packet_size_max`; at least 128"),
    ),
    row(&["max_keepalive"], Global, Number(U16), Becomes("`limits.keep_alive_secs_max`")),
    row(&["memory_limit"], Global, Number(0..=i64::MAX), Becomes("`limits.memory_max`")),
    row(
        &["global_max_clients"],
        Global,
        Number(INT),
        Becomes("`limits.sessions_max`, with one shard"),
    ),
    row(
        &["global_max_connections"],
        Global,
        Number(INT),
        Becomes("`limits.connections_max`, with one shard"),
    ),
    row(&["retain_available"], Global, Flag, Becomes("`limits.retain_available`")),
    row(
        &["retain_expiry_interval"],
        Global,
        Number(1..=i32::MAX as i64),
        Noted(
            "retained messages that have expired are removed as they expire, and not now and then",
        ),
    ),
    row(
        &["upgrade_outgoing_qos"],
        Global,
        Flag,
        Only(
            "false",
            "messages are delivered with the QoS that the standard says: publish with a \
                       higher one",
        ),
    ),
    row(
        &["allow_duplicate_messages"],
        Global,
        Flag,
        Only("true", "a client gets a message once for each of its subscriptions that match"),
    ),
    row(&["set_tcp_nodelay"], Global, Flag, Noted("TCP_NODELAY is always set")),
    row(&["retry_interval"], Global, Anything, Noted("mosquitto does not read it any more either")),
    // Logging, process.
    row(&["log_dest"], Global, Own, Becomes("`log.to`, `log.file`")),
    row(&["log_type"], Global, Own, Becomes("`log.types`")),
    row(&["log_timestamp"], Global, Flag, Becomes("`log.timestamp`")),
    row(&["log_timestamp_format"], Global, Text, Becomes("`log.timestamp_format`")),
    row(&["log_facility"], Global, Number(0..=7), Becomes("`log.syslog_facility`")),
    row(&["connection_messages"], Global, Flag, Becomes("`log.connection_messages`")),
    row(&["sys_interval"], Global, Number(U16), Becomes("`sys_interval_secs`")),
    row(&["include_dir"], Global, Own, Becomes("what its files say")),
    row(&["user"], Global, LastText, Becomes("`user`")),
    row(&["pid_file"], Global, Text, Becomes("`pid_file`")),
    // Bridges.
    row(&["connection"], Global, Own, Becomes("`[[bridge]]`: `name`")),
    row(&["address", "addresses"], Bridge, Own, Becomes("`addresses`")),
    row(&["topic"], Bridge, Own, Becomes("`[[bridge.topic]]`")),
    row(&["remote_username", "username"], Bridge, Text, Becomes("`user_name`")),
    row(&["remote_password", "password"], Bridge, Text, Becomes("`password`")),
    row(&["remote_clientid", "clientid"], Bridge, Text, Becomes("`client_id`")),
    row(&["local_username"], Bridge, Text, Becomes("`local_user_name`")),
    row(&["local_password"], Bridge, Text, Noted("a bridge is not asked who it is here")),
    row(&["local_clientid"], Bridge, Text, Becomes("`local_client_id`")),
    row(&["cleansession"], Bridge, Flag, Becomes("`clean_start`")),
    row(&["local_cleansession"], Bridge, Flag, Becomes("`local_clean_start`")),
    row(&["keepalive_interval"], Bridge, Number(5..=65_535), Becomes("`keep_alive_secs`")),
    row(&["start_type"], Bridge, Word(&["automatic", "lazy", "once"]), Becomes("`start`")),
    row(&["restart_timeout"], Bridge, Own, Becomes("`retry_secs_min`, `_max`, `stable_secs`")),
    row(&["idle_timeout"], Bridge, Number(1..=86_400), Becomes("`idle_secs`")),
    row(&["threshold"], Bridge, Number(1..=i32::MAX as i64), Becomes("`threshold`")),
    row(&["round_robin"], Bridge, Flag, Becomes("`round_robin`")),
    row(&["try_private"], Bridge, Flag, Becomes("`bridge_bit`")),
    row(&["notifications"], Bridge, Flag, Becomes("`notifications`")),
    row(&["notifications_local_only"], Bridge, Flag, Becomes("`notifications = \"local\"`")),
    row(&["notification_topic"], Bridge, Text, Becomes("`notification_topic`")),
    row(&["bridge_attempt_unsubscribe"], Bridge, Flag, Becomes("`unsubscribe`")),
    row(&["bridge_outgoing_retain"], Bridge, Flag, Becomes("`outgoing_retain`")),
    row(
        &["bridge_protocol_version"],
        Bridge,
        Word(&["mqttv31", "mqttv311", "mqttv50"]),
        Becomes("`version`"),
    ),
    row(&["bridge_bind_address"], Bridge, Text, Becomes("`bind`")),
    row(&["bridge_max_packet_size"], Bridge, Number(INT), Becomes("`packet_size_max`")),
    row(&["bridge_max_topic_alias"], Bridge, Number(U16), Noted("bridges have no topic aliases")),
    row(&["bridge_receive_maximum"], Bridge, Number(U16), Becomes("`receive_maximum`")),
    row(
        &["bridge_session_expiry_interval"],
        Bridge,
        Number(0..=i32::MAX as i64),
        Becomes("`session_expiry_secs`"),
    ),
    row(&["bridge_tcp_keepalive"], Bridge, Anything, Noted(KEEP_ALIVE)),
    row(&["bridge_tcp_user_timeout"], Bridge, Anything, Noted(KEEP_ALIVE)),
    row(&["bridge_reload_type"], Bridge, Word(&["lazy", "immediate"]), Becomes("`reload`")),
    row(&["bridge_cafile"], Bridge, Text, Becomes("`mqtts://` and `[bridge.tls]`: `ca`")),
    row(&["bridge_capath"], Bridge, Text, Becomes("`ca_folder`")),
    row(&["bridge_certfile"], Bridge, Text, Becomes("`certificate`")),
    row(&["bridge_keyfile"], Bridge, Text, Becomes("`key`")),
    row(&["bridge_tls_use_os_certs"], Bridge, Flag, Becomes("`system_roots`")),
    row(
        &["bridge_tls_version"],
        Bridge,
        Word(&["tlsv1.3", "tlsv1.2"]),
        Becomes("`v13_only`; tlsv1.2 allows 1.3 too"),
    ),
    row(&["bridge_ciphers"], Bridge, Text, Becomes("`ciphers`")),
    row(&["bridge_ciphers_tls1.3"], Bridge, Text, Becomes("`ciphers`")),
    row(&["bridge_alpn"], Bridge, Text, Becomes("`alpn`")),
    row(&["bridge_insecure"], Bridge, Flag, Becomes("`any_host_name`")),
    row(
        &["bridge_require_ocsp"],
        Bridge,
        Flag,
        Only("false", "noctule does not ask for OCSP: use certificates with a short life"),
    ),
    row(&["bridge_identity"], Bridge, Anything, Refused(NO_PSK)),
    row(&["bridge_psk"], Bridge, Anything, Refused(NO_PSK)),
];

impl Known {
    /// Its name of today.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether a key of the file means it.
    fn is(&self, key: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('_') {
            Some(_) => key.len() > name.len() && key.starts_with(name),
            None => key == *name,
        })
    }
}

/// The option that a key means.
pub(super) fn find(key: &str) -> Option<&'static Known> {
    OPTIONS.iter().find(|known| known.is(key))
}

/// All of them as the manual has them.
pub(super) fn table() -> String {
    let mut text = String::from("| option | of | what becomes of it |\n|---|---|---|\n");
    for known in OPTIONS {
        let names: Vec<String> = known.names.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(", ").replace("_`", "_*`");
        let scope = match known.scope {
            Global => "broker",
            Listener | AnyListener => "listener",
            Security => "broker or listener",
            Bridge => "bridge",
        };
        let fate = match known.fate {
            Becomes(what) => what.to_owned(),
            Noted(why) => format!("taken, without effect: {why}"),
            Only(value, why) => format!("taken as `{value}`, else refused: {why}"),
            Refused(why) => format!("refused: {why}"),
        };
        text.push_str(&format!("| {names} | {scope} | {fate} |\n"));
    }
    text
}
