//! What a mosquitto.conf says, as a noctule.toml says it.

use super::Surroundings;
use super::bridges;
use super::lines::Place;
use super::listeners::{self, TOPIC_ALIAS_MAX};
use super::plugins::DYNSEC;
use super::read::Said;
use super::write::Writer;
use crate::config::Fault;

/// Whom mosquitto becomes when root starts it.
const USER: &str = "mosquitto";

/// Writes everything.
pub(super) fn write(
    said: &Said,
    around: &Surroundings,
    writer: &mut Writer,
    faults: &mut Vec<Fault>,
) {
    top(said, around, writer);
    listeners::write(said, around, writer, faults);
    bridges::write(said, around, writer, faults);
    durability(said, around, writer);
    dynamic_security(said, around, writer);
    log(said, around, writer);
    writer.table("[admin]", None);
    writer.comment("mosquitto opens no other port; `true` serves /metrics, /healthz and bans.");
    writer.put("enabled", false, None);
    limits(said, writer);
    queues(said, writer);
}

fn top(said: &Said, around: &Surroundings, writer: &mut Writer) {
    let global = &said.global;
    let name = ["global_max_clients", "global_max_connections"];
    let one = name.iter().find(|name| global.number(name).is_some_and(|most| most > 0));
    if let Some(name) = one {
        // Bounds of the broker are bounds of its shards.
        writer.put("shards", 1, global.place(name));
    }
    let user = global.text("user").unwrap_or(USER);
    writer.text("user", if user == "root" { "" } else { user }, global.place("user"));
    let interval = global.number("sys_interval").unwrap_or(10);
    writer.put("sys_interval_secs", interval, global.place("sys_interval"));
    if let Some(answers) = global.flag("enable_control_api") {
        writer.put("control_api", answers, global.place("enable_control_api"));
    }
    for name in ["pid_file", "password_file", "acl_file"] {
        if let Some(file) = global.text(name) {
            writer.text(name, &around.path(file), global.place(name));
        }
    }
}

fn durability(said: &Said, around: &Surroundings, writer: &mut Writer) {
    writer.table("[durability]", None);
    let keeps = said.global.flag("persistence").unwrap_or(false);
    let class = if keeps { "fsync" } else { "memory" };
    writer.text("class", class, said.global.place("persistence"));
    let place = said.global.place("persistence_location");
    let location = around.persistence_location.as_deref();
    let place = place.filter(|_| location.is_none());
    if let Some(folder) = location.or_else(|| said.global.text("persistence_location")) {
        writer.text("data", &around.path(folder), place);
    }
}

fn dynamic_security(said: &Said, around: &Surroundings, writer: &mut Writer) {
    let global = &said.global;
    let place = global.place(DYNSEC[0]);
    if place.is_some() {
        writer.table("[dynamic_security]", place);
    }
    for (name, option) in DYNSEC.into_iter().zip(["file", "password_init_file"]) {
        if let Some(file) = global.text(name) {
            writer.text(option, &around.path(file), global.place(name));
        }
    }
}

fn log(said: &Said, around: &Surroundings, writer: &mut Writer) {
    let (global, log) = (&said.global, &said.log);
    writer.table("[log]", None);
    writer.text("format", "mosquitto", None);
    if let Some(place) = &log.to_place {
        writer.put("to", super::super::value::list(&log.to), Some(place));
    }
    if let Some((file, place)) = &log.file {
        writer.text("file", &around.path(file), Some(place));
    }
    if let Some(place) = &log.types_place {
        writer.put("types", super::super::value::list(&log.types), Some(place));
    }
    for name in ["log_timestamp", "connection_messages"] {
        if let Some(flag) = global.flag(name) {
            writer.put(name.trim_start_matches("log_"), flag, global.place(name));
        }
    }
    if let Some(format) = global.text("log_timestamp_format") {
        writer.text("timestamp_format", format, global.place("log_timestamp_format"));
    }
    if let Some(facility) = global.number("log_facility") {
        let place = global.place("log_facility");
        writer.text("syslog_facility", &format!("local{facility}"), place);
    }
}

/// The greatest number of topic aliases that a listener allows.
pub(super) fn aliases(said: &Said, name: &str) -> i64 {
    let listeners = said.listeners.iter();
    let of_each = listeners.map(|it| it.values.number(name).unwrap_or(TOPIC_ALIAS_MAX));
    of_each.max().unwrap_or(TOPIC_ALIAS_MAX)
}

fn limits(said: &Said, writer: &mut Writer) {
    let global = &said.global;
    writer.table("[limits]", None);
    writer.comment("What mosquitto does unless it is told otherwise.");
    // A text for people, which mosquitto does not send.
    writer.put("reason_strings", false, None);
    writer.put("refusals_as_mosquitto", true, None);
    let size = global.number("max_packet_size").unwrap_or(2_000_000).min(268_435_460);
    writer.put("packet_size_max", size, global.place("max_packet_size"));
    let name = "message_size_limit";
    if let Some(bytes) = global.number(name).filter(|bytes| *bytes > 0) {
        writer.put("payload_size_max", bytes, global.place(name));
    }
    let name = "max_inflight_messages";
    let inflight = match global.number(name).unwrap_or(20) {
        most @ 1..65_535 => most,
        _ => 65_535,
    };
    writer.put("receive_maximum", inflight, global.place(name));
    writer.put("inflight_max", inflight, global.place(name));
    writer.put("topic_alias_max", aliases(said, "max_topic_alias"), None);
    writer.put("topic_alias_out_max", aliases(said, "max_topic_alias_broker"), None);
    let name = "max_keepalive";
    if let Some(secs) = global.number(name).filter(|secs| *secs > 0) {
        writer.put("keep_alive_secs_max", secs, global.place(name));
    }
    let name = "persistent_client_expiration";
    if let Some(secs) = global.number(name) {
        // The greatest number means that there is no end.
        let secs = secs.min(i64::from(u32::MAX) - 1);
        writer.put("session_expiry_secs_max", secs, global.place(name));
        writer.put("session_expiry_secs_v3", secs, global.place(name));
    }
    for (name, option) in
        [("global_max_clients", "sessions_max"), ("global_max_connections", "connections_max")]
    {
        if let Some(most) = global.number(name).filter(|most| *most > 0) {
            writer.put(option, most, global.place(name));
        }
    }
    for (name, option) in [
        ("retain_available", "retain_available"),
        ("allow_zero_length_clientid", "assign_client_ids"),
    ] {
        if let Some(flag) = global.flag(name) {
            writer.put(option, flag, global.place(name));
        }
    }
    if let Some(prefix) = global.text("auto_id_prefix") {
        writer.text("assigned_id_prefix", prefix, global.place("auto_id_prefix"));
    }
    if let Some(bytes) = global.number("memory_limit") {
        writer.put("memory_max", bytes, global.place("memory_limit"));
    }
}

fn queues(said: &Said, writer: &mut Writer) {
    let global = &said.global;
    let name = "max_queued_messages";
    let messages = match global.number(name).unwrap_or(1000) {
        most @ 1.. => most,
        _ => i64::from(u32::MAX),
    };
    writer.put("queue_messages_max", messages, global.place(name));
    let name = "max_queued_bytes";
    let bytes = match global.number(name).unwrap_or(0) {
        most @ 1.. => most,
        _ => i64::MAX,
    };
    writer.put("queue_bytes_max", bytes, global.place(name));
    let place: Option<&Place> = global.place("queue_qos0_messages");
    writer.put("queue_qos0", global.flag("queue_qos0_messages").unwrap_or(false), place);
}
