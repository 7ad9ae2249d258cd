//! The topics under `$SYS/broker`: the counts that mosquitto publishes, under its names.
//!
//! Published by the first shard, retained, from the sum over all shards; a topic only when its
//! value changed. `store/messages` counts what waits in queues or is retained; `heap` is the
//! resident memory of the process.

use crate::memory::{self, Gauge};
use crate::shard::Snapshot;
use noctule_core::counters::Counters;
use noctule_core::input::{Memory, SystemPublish};
use noctule_core::verdict::Verdict;
use noctule_core::{Tenant, Time};
use noctule_proto::QoS;
use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering;

/// Minutes the load averages go back, and their names.
const SPANS: [(f64, &str); 3] = [(1.0, "1min"), (5.0, "5min"), (15.0, "15min")];

/// The topics and when they are due.
pub(crate) struct SysTopics {
    tenants: Vec<Tenant>,
    interval_secs: u32,
    due: Option<Time>,
    updated_at: Option<Time>,
    topics: Vec<Topic>,
    loads: Vec<Load>,
}

struct Topic {
    name: String,
    payload: String,
    changed: bool,
}

/// A rate per minute, averaged as load averages are: older minutes count less and less.
struct Load {
    name: &'static str,
    total: fn(&Counters) -> u64,
    last: u64,
    averages: [f64; SPANS.len()],
}

impl SysTopics {
    /// Topics for these namespaces. With an interval of 0 nothing is ever due.
    pub(crate) fn new(mut tenants: Vec<Tenant>, interval_secs: u32, now: Time) -> SysTopics {
        tenants.sort_unstable();
        tenants.dedup();
        SysTopics {
            tenants,
            interval_secs,
            due: (interval_secs > 0).then_some(now),
            updated_at: None,
            topics: Vec::new(),
            loads: loads(),
        }
    }

    /// Another interval from here on.
    pub(crate) fn set_interval(&mut self, interval_secs: u32, now: Time) {
        if interval_secs != self.interval_secs {
            self.interval_secs = interval_secs;
            // The last update of all takes back what was published.
            let published = self.topics.iter().any(|topic| !topic.payload.is_empty());
            self.due = (interval_secs > 0 || published).then_some(now);
        }
    }

    /// When the next update is due.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.due
    }

    /// Works out all values; answers what has to be published.
    pub(crate) fn update(
        &mut self,
        now: Time,
        uptime_millis: u64,
        (sum, memory): (&Snapshot, &Gauge),
    ) -> impl Iterator<Item = SystemPublish<'_>> {
        self.topics.iter_mut().for_each(|topic| topic.changed = false);
        if self.interval_secs == 0 {
            self.take_back();
        } else {
            self.due = Some(now.plus_secs(u64::from(self.interval_secs)));
            self.set("version", format_args!("noctule version {}", env!("CARGO_PKG_VERSION")));
            self.set("uptime", format_args!("{} seconds", uptime_millis / 1000));
            self.set_counts(sum);
            self.set_memory(&sum.core, memory);
            self.set_loads(now, &sum.core);
            self.updated_at = Some(now);
        }
        let SysTopics { topics, tenants, .. } = self;
        topics.iter().filter(|topic| topic.changed).flat_map(|topic| {
            tenants.iter().map(|tenant| SystemPublish {
                tenant: *tenant,
                topic: &topic.name,
                payload: topic.payload.as_bytes(),
                qos: QoS::ExactlyOnce,
                retain: true,
            })
        })
    }

    /// An empty payload ends a retained message: a value that nobody renews is soon a lie.
    fn take_back(&mut self) {
        self.due = None;
        self.updated_at = None;
        self.loads = loads();
        for topic in &mut self.topics {
            topic.changed = !std::mem::take(&mut topic.payload).is_empty();
        }
    }

    fn set_counts(&mut self, sum: &Snapshot) {
        for (name, count) in counts(sum) {
            self.set(name, count);
        }
        if let Some(memory) = memory::resident() {
            self.set("heap/current", memory.now);
            self.set("heap/maximum", memory.maximum);
        }
    }

    /// How much of its memory the process has used, and what was refused for want of it.
    fn set_memory(&mut self, core: &Counters, memory: &Gauge) {
        let budget = memory.budget.load(Ordering::Relaxed);
        if budget == 0 {
            return;
        }
        self.set("memory/budget", budget);
        self.set("memory/used", memory.used.load(Ordering::Relaxed));
        let level = memory.level.load(Ordering::Relaxed);
        let level = Memory::ALL.iter().find(|it| **it as u64 == level);
        self.set("memory/level", level.map_or("", |level| level.name()));
        self.set("memory/refused/connects", core.connects_short);
        self.set("memory/refused/subscribes", core.subscribes_short);
        self.set("memory/refused/publishes", core.publishes_short);
        self.set("memory/dropped", core.verdicts[Verdict::MemoryShort as usize]);
        self.set("memory/held_back", core.publishers_held_back);
        self.set("memory/slow_consumers_ended", core.slow_consumers_ended);
    }

    fn set_loads(&mut self, now: Time, core: &Counters) {
        let minutes = self.updated_at.map(|before| now.millis_since(before) as f64 / 60_000.0);
        let mut loads = std::mem::take(&mut self.loads);
        for load in &mut loads {
            let total = (load.total)(core);
            if let Some(minutes) = minutes.filter(|it| *it > 0.0) {
                let rate = total.saturating_sub(load.last) as f64 / minutes;
                for (average, (span, _)) in load.averages.iter_mut().zip(SPANS) {
                    *average = rate + (-minutes / span).exp() * (*average - rate);
                }
            }
            load.last = total;
            for (average, (_, span)) in load.averages.iter().zip(SPANS) {
                self.set(&format!("load/{}/{span}", load.name), format_args!("{average:.2}"));
            }
        }
        self.loads = loads;
    }

    fn set(&mut self, name: &str, value: impl Display) {
        let full = |topic: &Topic| topic.name.strip_prefix("$SYS/broker/") == Some(name);
        let at = self.topics.iter().position(full).unwrap_or_else(|| {
            let name = format!("$SYS/broker/{name}");
            self.topics.push(Topic { name, payload: String::new(), changed: false });
            self.topics.len() - 1
        });
        let topic = &mut self.topics[at];
        let mut payload = String::new();
        write!(payload, "{value}").expect("writing to a String cannot fail");
        if payload != topic.payload {
            topic.payload = payload;
            topic.changed = true;
        }
    }
}

/// What is counted, by its name under `$SYS/broker`.
pub(crate) fn counts(sum: &Snapshot) -> [(&'static str, u64); 25] {
    let core = &sum.core;
    let offline = core.sessions_now.saturating_sub(core.clients_now);
    // Of what is in flight nobody counts the bytes, so it is in neither of the two.
    let stored = core.queued_now + core.retained_now;
    [
        ("clients/total", core.clients_now + offline),
        ("clients/connected", core.clients_now),
        ("clients/active", core.clients_now),
        ("clients/disconnected", offline),
        ("clients/inactive", offline),
        ("clients/maximum", sum.sessions_most),
        ("clients/expired", core.sessions_expired),
        ("connections/socket/count", core.connections_now),
        ("messages/received", core.packets_received),
        ("messages/sent", core.packets_sent),
        ("messages/stored", stored),
        ("store/messages/count", stored),
        ("store/messages/bytes", core.queued_bytes_now + core.retained_bytes_now),
        ("bytes/received", core.bytes_received),
        ("bytes/sent", core.bytes_sent),
        ("publish/messages/received", core.publishes_received),
        ("publish/messages/sent", core.publishes_sent),
        ("publish/messages/dropped", dropped(core)),
        ("publish/bytes/received", core.publish_bytes_received),
        ("publish/bytes/sent", core.publish_bytes_sent),
        ("subscriptions/count", core.subscriptions_now),
        ("shared_subscriptions/count", core.shared_subscriptions_now),
        ("retained messages/count", core.retained_now),
        ("packet/out/count", sum.net.packets_waiting_now),
        ("packet/out/bytes", sum.net.bytes_waiting_now),
    ]
}

/// Messages that somebody was owed and did not get.
fn dropped(core: &Counters) -> u64 {
    let counted = Verdict::ALL.iter().zip(core.verdicts);
    counted.filter(|(verdict, _)| verdict.is_loss()).map(|(_, count)| count).sum()
}

fn loads() -> Vec<Load> {
    let load = |name, total| Load { name, total, last: 0, averages: [0.0; SPANS.len()] };
    vec![
        load("connections", |c| c.connects_accepted + c.connects_refused),
        load("sockets", |c| c.connections_opened),
        load("bytes/received", |c| c.bytes_received),
        load("bytes/sent", |c| c.bytes_sent),
        load("messages/received", |c| c.packets_received),
        load("messages/sent", |c| c.packets_sent),
        load("publish/received", |c| c.publishes_received),
        load("publish/sent", |c| c.publishes_sent),
        load("publish/dropped", dropped),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(sys: &mut SysTopics, now: Time, sum: &Snapshot) -> Vec<(Tenant, String, String)> {
        sys.update(now, now.0, (sum, &Gauge::default()))
            .map(|it| {
                assert!(it.retain);
                let payload = String::from_utf8(it.payload.to_vec()).unwrap();
                (it.tenant, it.topic.to_owned(), payload)
            })
            .collect()
    }

    fn value<'a>(all: &'a [(Tenant, String, String)], name: &str) -> Option<&'a str> {
        let name = format!("$SYS/broker/{name}");
        all.iter().find(|(_, topic, _)| *topic == name).map(|(.., payload)| payload.as_str())
    }

    #[test]
    fn everything_is_published_at_first_and_later_what_changed() {
        let mut sys = SysTopics::new(vec![Tenant(0)], 10, Time(0));
        assert_eq!(sys.next_deadline(), Some(Time(0)));
        let mut sum = Snapshot::default();
        sum.core.clients_now = 2;
        sum.core.sessions_now = 5;
        let first = published(&mut sys, Time(0), &sum);
        assert_eq!(value(&first, "clients/connected"), Some("2"));
        assert_eq!(value(&first, "clients/disconnected"), Some("3"));
        assert_eq!(value(&first, "clients/total"), Some("5"));
        assert_eq!(value(&first, "load/messages/received/15min"), Some("0.00"));
        assert!(value(&first, "version").unwrap().starts_with("noctule version "));
        assert_eq!(sys.next_deadline(), Some(Time(10_000)));
        sum.core.clients_now = 1;
        let second = published(&mut sys, Time(10_000), &sum);
        assert_eq!(value(&second, "uptime"), Some("10 seconds"));
        assert_eq!(value(&second, "clients/disconnected"), Some("4"));
        assert_eq!(value(&second, "clients/total"), None);
        assert_eq!(value(&second, "version"), None);
    }

    #[test]
    fn load_averages_approach_the_rate_per_minute() {
        let mut sys = SysTopics::new(vec![Tenant(0)], 10, Time(0));
        let mut sum = Snapshot::default();
        published(&mut sys, Time(0), &sum);
        sum.core.publishes_received = 100;
        let after = published(&mut sys, Time(10_000), &sum);
        // 600 a minute for ten seconds: 600 * (1 - e^(-1/6)), then over 5 and 15 minutes.
        assert_eq!(value(&after, "load/publish/received/1min"), Some("92.11"));
        assert_eq!(value(&after, "load/publish/received/5min"), Some("19.67"));
        assert_eq!(value(&after, "load/publish/received/15min"), Some("6.63"));
        for second in 2..200_u64 {
            sum.core.publishes_received += 100;
            published(&mut sys, Time(second * 10_000), &sum);
        }
        let load = sys.loads.iter().find(|load| load.name == "publish/received").unwrap();
        assert!((load.averages[0] - 600.0).abs() < 1e-6);
        assert!((load.averages[2] - 600.0).abs() < 100.0);
    }

    #[test]
    fn each_tenant_sees_them_once_and_no_interval_means_never() {
        let mut sys = SysTopics::new(vec![Tenant(3), Tenant(0), Tenant(3)], 10, Time(0));
        let all = published(&mut sys, Time(0), &Snapshot::default());
        let of = |tenant| all.iter().filter(|(it, ..)| *it == tenant).count();
        assert_eq!(of(Tenant(0)), of(Tenant(3)));
        assert_eq!(all.len(), 2 * of(Tenant(0)));
        sys.set_interval(0, Time(1));
        assert_eq!(sys.next_deadline(), Some(Time(1)), "what was published is taken back");
        let last = published(&mut sys, Time(1), &Snapshot::default());
        assert_eq!(last.len(), all.len());
        assert!(last.iter().all(|(.., payload)| payload.is_empty()));
        assert_eq!(sys.next_deadline(), None);
        sys.set_interval(10, Time(2));
        assert_eq!(published(&mut sys, Time(2), &Snapshot::default()).len(), all.len());
        assert_eq!(SysTopics::new(vec![], 0, Time(0)).next_deadline(), None);
    }

    #[test]
    fn what_is_stored_and_its_bytes_are_of_the_same_messages() {
        let mut sys = SysTopics::new(vec![Tenant(0)], 10, Time(0));
        let mut sum = Snapshot::default();
        (sum.core.queued_now, sum.core.queued_bytes_now) = (3, 300);
        (sum.core.retained_now, sum.core.retained_bytes_now) = (2, 20);
        sum.core.inflight_now = 7;
        (sum.net.packets_waiting_now, sum.net.bytes_waiting_now) = (4, 400);
        let all = published(&mut sys, Time(0), &sum);
        assert_eq!(value(&all, "store/messages/count"), Some("5"));
        assert_eq!(value(&all, "messages/stored"), Some("5"));
        assert_eq!(value(&all, "store/messages/bytes"), Some("320"));
        assert_eq!(value(&all, "packet/out/count"), Some("4"));
        assert_eq!(value(&all, "packet/out/bytes"), Some("400"));
    }
}
