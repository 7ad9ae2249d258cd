//! Counts in Prometheus' text format. Each field of core's `Counters` has an arm in `help`; the
//! only labels are verdict and kind, so the number of samples is fixed.

use crate::defence::Tally;
use crate::memory::{self, Gauge};
use crate::shard::{NetCounters, Snapshot};
use noctule_core::defence::Kind;
use noctule_core::input::Memory;
use noctule_core::limits::Durability;
use noctule_core::verdict::Verdict;
use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The whole page.
pub(super) fn text(
    sum: &Snapshot,
    uptime_millis: u64,
    (promised, tally): (Durability, &Tally),
) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.family("build_info", "gauge", "Version of the broker; always 1.");
    page.sample("build_info", Some(("version", env!("CARGO_PKG_VERSION"))), 1);
    page.family("durability_info", "gauge", "What acknowledgements promise; always 1.");
    page.sample("durability_info", Some(("class", promised.name())), 1);
    let uptime = uptime_millis as f64 / 1000.0;
    page.gauge("uptime_seconds", "Seconds since the start.", uptime);
    for (name, value) in sum.core.each() {
        match name.strip_suffix("_now") {
            Some(gauge) => page.gauge(gauge, help(name), value),
            None => page.counter(&unit_last(name), help(name), value),
        }
    }
    let name = "messages_withheld_total";
    page.family(
        name,
        "counter",
        "Messages withheld from a receiver or dropped, by the reason why.",
    );
    for (verdict, count) in Verdict::ALL.iter().zip(sum.core.verdicts) {
        page.sample(name, Some(("verdict", verdict.name())), count);
    }
    let net = &sum.net;
    page.counter(
        "listener_connections_refused",
        "Connections closed as they came, because their listener was full.",
        net.connections_refused,
    );
    page.counter(
        "listener_connections_denied",
        "Connections closed as they came, because their listener does not take their address.",
        net.connections_denied,
    );
    page.counter(
        "address_connections_refused",
        "Connections closed as they came, because their address has, or opens, too many.",
        net.addresses_refused,
    );
    page.counter(
        "half_open_connections_cut",
        "Connections closed because too many had not sent their CONNECT.",
        net.half_open_cut,
    );
    page.counter(
        "connections_cut",
        "Connections cut, because unfinished packets took too much memory.",
        net.connections_cut,
    );
    page.gauge("unfinished_bytes", "Memory of unfinished packets.", net.bytes_unfinished_now);
    page.layers(net);
    page.counter("accepts_failed", "Accepts that the system refused.", net.accepts_failed);
    page.gauge("socket_backlog_bytes", "Bytes waiting for full sockets.", net.bytes_waiting_now);
    page.gauge("socket_backlog_packets", "Packets that wait, about.", net.packets_waiting_now);
    page.counter("store_records", "Records handed to the store.", net.records);
    page.gauge(
        "store_records_waiting",
        "Records that are not on the disk yet.",
        net.records_waiting_now,
    );
    page.gauge("store_full", "1 while the disk of the store is full.", net.store_full_now);
    page.defence(tally);
    page.memory(&tally.memory);
    page.counter("turns", "Turns of the shards' loops.", net.turns);
    page.process(uptime);
    page.0
}

/// Prometheus wants the unit of a counter at the end of its name, before `_total`.
fn unit_last(name: &str) -> Cow<'_, str> {
    match name.split_once("bytes_") {
        Some((before, after)) => format!("{before}{after}_bytes").into(),
        None => name.into(),
    }
}

struct Page(String);

impl Page {
    /// What lies between sockets and MQTT.
    fn layers(&mut self, net: &NetCounters) {
        self.counter("tls_handshakes_failed", "TLS handshakes that failed.", net.handshakes_failed);
        self.counter(
            "websockets_failed",
            "WebSockets that were refused, or broke the rules.",
            net.websockets_failed,
        );
        self.counter(
            "proxy_headers_failed",
            "Connections without the header that their listener wants of a proxy.",
            net.proxy_headers_failed,
        );
    }

    /// What dashboards look for under the names that Prometheus' own clients give it.
    fn process(&mut self, uptime_secs: f64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let started = now - uptime_secs;
        let mut gauges = vec![(
            "process_start_time_seconds",
            "Start of the process, in seconds since the Unix epoch.",
            format!("{started:.3}"),
        )];
        if let Some(memory) = memory::resident() {
            let name = "process_resident_memory_bytes";
            gauges.push((name, "Resident memory of the process.", memory.now.to_string()));
        }
        for (name, help, value) in gauges {
            writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
                .expect("writing to a String cannot fail");
        }
    }

    /// What was found, and what became of it.
    fn defence(&mut self, tally: &Tally) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let name = "findings_total";
        self.family(name, "counter", "Attacks and other oddities found, by their kind.");
        for (kind, counter) in Kind::ALL.iter().zip(&tally.found) {
            self.sample(name, Some(("kind", kind.name())), count(counter));
        }
        self.gauge("bans", "Bans there are.", count(&tally.bans));
        for (name, help, counter) in [
            ("banned_refused", "Connections and CONNECTs refused for a ban.", &tally.banned),
            ("findings_untold", "Findings counted and not told, being too many.", &tally.untold),
            (
                "reports_dropped",
                "Reports of the shards that found no room.",
                &tally.reports_dropped,
            ),
            (
                "alerts_failed",
                "Findings that the service of alert_url was not told of.",
                &tally.alerts_failed,
            ),
            ("audit_dropped", "Lines of the audit log that found no room.", &tally.audit_dropped),
            (
                "audit_failed",
                "Lines of the audit log that could not be written.",
                &tally.audit_failed,
            ),
        ] {
            self.counter(name, help, count(counter));
        }
    }

    /// How much memory the process may have, and has.
    fn memory(&mut self, memory: &Gauge) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let help = "Memory that the process may have (memory_max); 0: no bound.";
        self.gauge("memory_budget_bytes", help, count(&memory.budget));
        let help = "Memory that counts for it, at the last look.";
        self.gauge("memory_used_bytes", help, count(&memory.used));
        let help = "0 free, 1 near, 2 tight, 3 full.";
        self.gauge("memory_level", help, count(&memory.level));
        let name = "memory_levels_entered_total";
        self.family(name, "counter", "Times a level of memory was entered from below.");
        for (level, counter) in Memory::ALL.iter().zip(&memory.entered).skip(1) {
            self.sample(name, Some(("level", level.name())), count(counter));
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, None, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        self.sample(&name, None, value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP noctule_{name} {help}\n# TYPE noctule_{name} {kind}")
            .expect("writing to a String cannot fail");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl Display) {
        match label {
            Some((label, of)) => writeln!(self.0, "noctule_{name}{{{label}=\"{of}\"}} {value}"),
            None => writeln!(self.0, "noctule_{name} {value}"),
        }
        .expect("writing to a String cannot fail");
    }
}

/// What a field of `Counters` counts.
fn help(name: &str) -> &'static str {
    match name {
        "connections_now" => "Transport connections open.",
        "clients_now" => "Clients connected.",
        "sessions_now" => "Sessions, connected or not.",
        "sessions_expired" => "Sessions ended by their expiry interval.",
        "connections_opened" => "Connections opened.",
        "connects_accepted" => "CONNECTs accepted.",
        "connects_refused" => "CONNECTs refused.",
        "subscribes_denied" => "Filters of SUBSCRIBE refused: the client may not.",
        "connects_over_rate" => "CONNECTs refused because their client id connects too often.",
        "takeovers" => "Connections ended by a newer one with the same client id.",
        "sessions_resumed" => "Sessions resumed by a CONNECT.",
        "protocol_errors" => "Connections ended for a breach of the protocol.",
        "keep_alive_timeouts" => "Connections ended by keep alive.",
        "packets_received" => "Packets received.",
        "packets_sent" => "Packets sent.",
        "bytes_received" => "Bytes received in packets.",
        "bytes_sent" => "Bytes sent in packets.",
        "publishes_received" => "PUBLISH packets received.",
        "publishes_sent" => "PUBLISH packets sent.",
        "publish_bytes_received" => "Payload bytes received in PUBLISH packets.",
        "publish_bytes_sent" => "Payload bytes sent in PUBLISH packets.",
        "publishes_resent" => "PUBLISH packets sent again after a reconnect.",
        "queued_now" => "Messages waiting in queues of sessions.",
        "wills_bytes_now" => "Bytes of wills that wait for their time.",
        "queued_bytes_now" => "Bytes of messages waiting in queues of sessions.",
        "inflight_now" => "Messages sent and not yet acknowledged.",
        "subscriptions_now" => "Subscriptions that are not shared.",
        "shared_subscriptions_now" => "Memberships of share groups.",
        "retained_now" => "Retained messages.",
        "retained_bytes_now" => "Bytes of retained messages.",
        "wills_published" => "Wills published.",
        "wills_delayed" => "Wills that waited for a delay.",
        "share_redelivered" => "Messages of a share group handed to another member.",
        "aliases_replaced" => "Topic aliases given a new topic by the broker.",
        "publishers_held" => "Publishers not read for a while, all their receivers being behind.",
        "publishers_slowed" => {
            "Publishers not read for a while: they published more than they may."
        }
        "publishes_over_rate" => "Messages not taken: their publisher publishes more than it may.",
        "connects_short" => "CONNECTs of new sessions refused: little memory was left.",
        "subscribes_short" => "Filters of SUBSCRIBE refused: no memory was left.",
        "publishes_short" => "Messages refused: little memory was left.",
        "publishers_held_back" => {
            "Publishers not read for a while: their messages had to wait, and no memory was left."
        }
        "slow_consumers_ended" => "Connections ended: furthest behind when no memory was left.",
        "peer_channel_full" => "Times the channel from a shard to another was full.",
        "jobs_continued" => "Turns in which long work was left.",
        "route_hits" => "Routes found in the cache.",
        "route_misses" => "Routes worked out from the index.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn every_counter_is_explained() {
        for (name, _) in Snapshot::default().core.each() {
            assert!(!help(name).is_empty(), "{name} needs an arm in `help`");
        }
    }

    #[test]
    fn the_page_is_what_prometheus_reads() {
        let mut sum = Snapshot::default();
        sum.core.publishes_received = 7;
        sum.core.publish_bytes_received = 9;
        sum.core.bytes_sent = 8;
        sum.core.clients_now = 3;
        sum.core.verdicts[Verdict::Expired as usize] = 5;
        let page = text(&sum, 1500, (Durability::Fsync, &Tally::default()));
        let mut kinds = HashMap::new();
        let mut seen = HashSet::new();
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let rest = words.next().unwrap();
                if what == "TYPE" {
                    assert!(
                        kinds.insert(name.to_owned(), rest.to_owned()).is_none(),
                        "{name} twice"
                    );
                }
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(seen.insert(sample.to_owned()), "{sample} twice");
            let name = sample.split('{').next().unwrap();
            let kind = &kinds[name];
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(name.starts_with("noctule_") || name.starts_with("process_"));
            assert!(!name.contains("bytes_") || name.ends_with("bytes_total"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            );
        }
        for expected in [
            "noctule_publishes_received_total 7",
            "noctule_publish_received_bytes_total 9",
            "noctule_sent_bytes_total 8",
            "noctule_clients 3",
            "noctule_messages_withheld_total{verdict=\"expired\"} 5",
            "noctule_uptime_seconds 1.5",
        ] {
            assert!(page.lines().any(|line| line == expected), "{expected}");
        }
        assert!(kinds.contains_key("process_start_time_seconds"));
    }
}
