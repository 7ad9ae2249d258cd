//! Which figures stand under which topics of `$SYS`, in mosquitto's layout.

use super::text;
use std::time::Duration;

/// What everything here stands under.
const BROKER: &str = "$SYS/broker/";

/// Minutes that the averages of the broker go back.
pub(super) const SPANS: [&str; 3] = ["1min", "5min", "15min"];

/// Something that is counted on and on; of interest is how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    PublishesIn,
    PublishesOut,
    Dropped,
    PacketsIn,
    PacketsOut,
    BytesIn,
    BytesOut,
    Connects,
}

/// Names of a [`Flow`].
pub(super) struct FlowNames {
    pub(super) flow: Flow,
    /// To people.
    pub(super) label: &'static str,
    /// To scripts.
    pub(super) key: &'static str,
    /// Topic of the count; brokers do not count everything that they average.
    total: Option<&'static str>,
    /// Topic of the averages, without their span.
    load: &'static str,
}

impl FlowNames {
    /// So many a second, for people.
    pub(super) fn rate(&self, number: f64) -> String {
        match self.unit() {
            Unit::Pieces => text::rate(number),
            Unit::Bytes => text::bytes(number),
        }
    }

    pub(super) fn unit(&self) -> Unit {
        match self.flow {
            Flow::BytesIn | Flow::BytesOut => Unit::Bytes,
            Flow::PublishesIn
            | Flow::PublishesOut
            | Flow::Dropped
            | Flow::PacketsIn
            | Flow::PacketsOut
            | Flow::Connects => Unit::Pieces,
        }
    }
}

/// All flows, in the order in which they are shown, which is that of the enum.
pub(super) const FLOWS: [FlowNames; 8] = [
    flow(
        (Flow::PublishesIn, "messages in", "publish_received"),
        Some("publish/messages/received"),
        "load/publish/received/",
    ),
    flow(
        (Flow::PublishesOut, "messages out", "publish_sent"),
        Some("publish/messages/sent"),
        "load/publish/sent/",
    ),
    flow(
        (Flow::Dropped, "dropped", "publish_dropped"),
        Some("publish/messages/dropped"),
        "load/publish/dropped/",
    ),
    flow(
        (Flow::PacketsIn, "packets in", "packets_received"),
        Some("messages/received"),
        "load/messages/received/",
    ),
    flow(
        (Flow::PacketsOut, "packets out", "packets_sent"),
        Some("messages/sent"),
        "load/messages/sent/",
    ),
    flow(
        (Flow::BytesIn, "bytes in", "bytes_received"),
        Some("bytes/received"),
        "load/bytes/received/",
    ),
    flow((Flow::BytesOut, "bytes out", "bytes_sent"), Some("bytes/sent"), "load/bytes/sent/"),
    flow((Flow::Connects, "connects", "connects"), None, "load/connections/"),
];

/// Something that goes up and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gauge {
    Connected,
    Away,
    Clients,
    Most,
    Expired,
    Sockets,
    Stored,
    StoredBytes,
    Waiting,
    WaitingBytes,
    Retained,
    Subscriptions,
    Shared,
    Heap,
    HeapMost,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Pieces,
    Bytes,
}

/// Names of a [`Gauge`].
pub(super) struct GaugeNames {
    pub(super) gauge: Gauge,
    /// To people.
    pub(super) label: &'static str,
    /// To scripts: the group and the name in it.
    pub(super) key: (&'static str, &'static str),
    pub(super) unit: Unit,
    /// Its topic, and an older one that some brokers use instead.
    topics: &'static [&'static str],
}

/// All gauges, in the order in which they are shown, which is that of the enum.
pub(super) const GAUGES: [GaugeNames; 15] = [
    gauge(
        (Gauge::Connected, "clients connected", ("clients", "connected")),
        Unit::Pieces,
        &["clients/connected", "clients/active"],
    ),
    gauge(
        (Gauge::Away, "sessions away", ("clients", "disconnected")),
        Unit::Pieces,
        &["clients/disconnected", "clients/inactive"],
    ),
    gauge(
        (Gauge::Clients, "both together", ("clients", "total")),
        Unit::Pieces,
        &["clients/total"],
    ),
    gauge((Gauge::Most, "most so far", ("clients", "maximum")), Unit::Pieces, &["clients/maximum"]),
    gauge(
        (Gauge::Expired, "sessions expired", ("clients", "expired")),
        Unit::Pieces,
        &["clients/expired"],
    ),
    gauge(
        (Gauge::Sockets, "sockets", ("clients", "sockets")),
        Unit::Pieces,
        &["connections/socket/count"],
    ),
    gauge(
        (Gauge::Stored, "messages stored", ("queues", "stored_messages")),
        Unit::Pieces,
        &["store/messages/count", "messages/stored"],
    ),
    gauge(
        (Gauge::StoredBytes, "bytes stored", ("queues", "stored_bytes")),
        Unit::Bytes,
        &["store/messages/bytes"],
    ),
    gauge(
        (Gauge::Waiting, "packets to write", ("queues", "packets_to_write")),
        Unit::Pieces,
        &["packet/out/count"],
    ),
    gauge(
        (Gauge::WaitingBytes, "bytes to write", ("queues", "bytes_to_write")),
        Unit::Bytes,
        &["packet/out/bytes"],
    ),
    gauge(
        (Gauge::Retained, "retained", ("retained", "messages")),
        Unit::Pieces,
        &["retained messages/count"],
    ),
    gauge(
        (Gauge::Subscriptions, "subscriptions", ("subscriptions", "plain")),
        Unit::Pieces,
        &["subscriptions/count"],
    ),
    gauge(
        (Gauge::Shared, "shared subs.", ("subscriptions", "shared")),
        Unit::Pieces,
        &["shared_subscriptions/count"],
    ),
    gauge((Gauge::Heap, "heap", ("heap", "now")), Unit::Bytes, &["heap/current"]),
    gauge((Gauge::HeapMost, "heap, most", ("heap", "maximum")), Unit::Bytes, &["heap/maximum"]),
];

type Names<Kind, Key> = (Kind, &'static str, Key);

const fn flow(
    (flow, label, key): Names<Flow, &'static str>,
    total: Option<&'static str>,
    load: &'static str,
) -> FlowNames {
    FlowNames { flow, label, key, total, load }
}

const fn gauge(
    (gauge, label, key): Names<Gauge, (&'static str, &'static str)>,
    unit: Unit,
    topics: &'static [&'static str],
) -> GaugeNames {
    GaugeNames { gauge, label, key, unit, topics }
}

/// One value as the broker published it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Figure {
    Version(String),
    Uptime(Duration),
    Total(Flow, u64),
    /// So many a second on the average, over one of [`SPANS`].
    Load(Flow, usize, f64),
    Gauge(Gauge, u64),
}

/// What a message says, if that is known here.
pub(super) fn figure(topic: &str, payload: &[u8]) -> Option<Figure> {
    let name = topic.strip_prefix(BROKER)?;
    let text = std::str::from_utf8(payload).ok()?.trim();
    if name == "version" {
        return Some(Figure::Version(text.to_owned()));
    }
    let number = text.split(' ').next().unwrap_or_default();
    if name == "uptime" {
        return number.parse().ok().map(|secs| Figure::Uptime(Duration::from_secs(secs)));
    }
    let known = GAUGES.iter().find(|names| names.topics.contains(&name));
    if let Some(names) = known {
        return number.parse().ok().map(|count| Figure::Gauge(names.gauge, count));
    }
    FLOWS.iter().find_map(|names| {
        if names.total == Some(name) {
            return number.parse().ok().map(|count| Figure::Total(names.flow, count));
        }
        let span = name.strip_prefix(names.load)?;
        let span = SPANS.iter().position(|known| *known == span)?;
        let a_minute: f64 = number.parse().ok()?;
        let sane = a_minute.is_finite() && a_minute >= 0.0;
        sane.then_some(Figure::Load(names.flow, span, a_minute / 60.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_in_the_order_of_their_enums() {
        assert!(FLOWS.iter().enumerate().all(|(at, names)| names.flow as usize == at));
        assert!(GAUGES.iter().enumerate().all(|(at, names)| names.gauge as usize == at));
    }

    #[test]
    fn values_are_read_as_mosquitto_writes_them() {
        let read =
            |name: &str, value: &str| figure(&format!("$SYS/broker/{name}"), value.as_bytes());
        assert_eq!(read("uptime", "61 seconds"), Some(Figure::Uptime(Duration::from_secs(61))));
        assert_eq!(
            read("version", "mosquitto version 2.1.2"),
            Some(Figure::Version("mosquitto version 2.1.2".into()))
        );
        assert_eq!(read("messages/sent", "7"), Some(Figure::Total(Flow::PacketsOut, 7)));
        assert_eq!(
            read("load/publish/dropped/5min", "120.00"),
            Some(Figure::Load(Flow::Dropped, 1, 2.0))
        );
        assert_eq!(read("retained messages/count", "55"), Some(Figure::Gauge(Gauge::Retained, 55)));
        assert_eq!(read("clients/active", "3"), Some(Figure::Gauge(Gauge::Connected, 3)));
    }

    #[test]
    fn what_is_no_figure_is_left_alone() {
        for (topic, value) in [
            ("$SYS/broker/", "1"),
            ("$SYS/broker/log/N", "a line"),
            ("$SYS/brokers/node/uptime", "1"),
            ("$SYS/broker/heap/current", "-1"),
            ("$SYS/broker/heap/current", "99999999999999999999"),
            ("$SYS/broker/uptime", ""),
            ("$SYS/broker/load/connections/1min", "NaN"),
            ("$SYS/broker/load/connections/1min", "inf"),
            ("$SYS/broker/load/connections/1min", "-1"),
            ("$SYS/broker/load/connections/2min", "1"),
        ] {
            assert_eq!(figure(topic, value.as_bytes()), None, "{topic} {value}");
        }
        assert_eq!(figure("$SYS/broker/version", b"\xff"), None);
    }
}
