//! What clients do: connect, subscribe, publish, leave.

use super::chance::Chance;
use super::client::{Link, Sent, Terms};
use super::ledger::{Message, Wanted};
use super::world::World;
use noctule_core::ShardId;
use noctule_proto::packet::{Packet, RetainHandling, SubscribeOptions};
use noctule_proto::property::PropertiesBuf;
use noctule_proto::{QoS, Version};

const QOS: [QoS; 5] =
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::ExactlyOnce];

impl World {
    /// A client does something.
    pub(crate) fn act(&mut self, client: usize) {
        let Some(link) = self.clients[client].link else {
            if self.chance.percent(50) {
                let clean = self.chance.percent(20);
                self.connect(client, clean);
            }
            return;
        };
        if !self.links[link].live || self.links[link].closed {
            return;
        }
        let publishes = self.plan.publishes as usize;
        match self.chance.below(100) {
            n if n < publishes => self.publish(client, link),
            n if n < publishes + 16 => self.subscribe(client, link),
            n if n < publishes + 22 => self.unsubscribe(client, link),
            n if n < publishes + 25 => {
                let will = self.chance.percent(30);
                // [U5-3.14.2-1]: not from 0 to more.
                let lasting = self.links[link].terms.expiry_secs > 0;
                let expiry =
                    (lasting && self.chance.percent(30)).then(|| self.chance.pick(&[0, 5, 30]));
                let now = self.now();
                let link = &mut self.links[link];
                self.clients[client].disconnect(link, now, (will, expiry));
            }
            _ => self.ping(link),
        }
    }

    /// A connection with a CONNECT under way. Another one of the client is given up.
    pub(crate) fn connect(&mut self, client: usize, clean_start: bool) {
        if let Some(old) = self.clients[client].link.take() {
            self.links[old].given_up = true;
        }
        let shard = ShardId(self.chance.below(usize::from(self.node.shards())) as u16);
        let line = self.node.open(shard);
        let number = self.links.len();
        let version = self.clients[client].version;
        let mut link = Link::new(number, line, (client, version));
        link.terms = self.terms(client, clean_start);
        link.opened_at = self.now();
        link.last_handed_in = self.now();
        let now = self.now();
        self.clients[client].connect(&mut link, &self.ledger, now);
        self.clients[client].link = Some(number);
        self.links.push(link);
        self.live.push(number);
        self.after(&[shard], None);
    }

    fn terms(&mut self, client: usize, clean_start: bool) -> Terms {
        if client >= self.plan.clients {
            // Where the node dies, the witness has to see what happens while it is not there.
            let lasting = self.plan.dies && client == self.witness();
            return Terms {
                clean_start,
                expiry_secs: if lasting { u32::MAX } else { 0 },
                receive_maximum: u16::MAX,
                packet_size_max: u32::MAX,
                ..Terms::default()
            };
        }
        let v5 = self.clients[client].version == Version::V5;
        let chance = &mut self.chance;
        let (receive_maximum, packet_size_max, alias_max) = match v5 {
            true => (
                chance.pick(&[u16::MAX, 10, 3, 1]),
                chance.pick(&[u32::MAX, u32::MAX, u32::MAX, 120]),
                chance.pick(&[0, 2, 3, 20]),
            ),
            false => (u16::MAX, u32::MAX, 0),
        };
        Terms {
            clean_start,
            expiry_secs: if v5 { chance.pick(&[0, 3, 20, 60, u32::MAX, u32::MAX]) } else { 0 },
            keep_alive_secs: chance.pick(&[0, 0, 4, 20, 60]),
            receive_maximum,
            packet_size_max,
            alias_max,
            problem_information: chance.percent(50),
            will: chance.percent(50).then(|| self.will(client)),
        }
    }

    /// A Will and its delay.
    fn will(&mut self, client: usize) -> (usize, u32) {
        let v5 = self.clients[client].version == Version::V5;
        let delay = if v5 { self.chance.pick(&[0, 0, 2, 5, 30]) } else { 0 };
        let topic = self.ledger.universe.will_of(client);
        let retain = self.chance.percent(30);
        let message = self.message(client, (topic, retain));
        let qos = match message.qos {
            QoS::AtMostOnce if self.plan.dies => QoS::ExactlyOnce,
            qos => qos,
        };
        (self.ledger.write(Message { qos, padding: 0, clear: false, ..message }), delay)
    }

    fn message(&mut self, client: usize, (topic, retain): (usize, bool)) -> Message {
        let v5 = self.clients[client].version == Version::V5;
        let chance = &mut self.chance;
        let mut others = PropertiesBuf::new();
        if v5 && chance.percent(20) {
            others.payload_format(true);
            others.content_type("text/plain").expect("short");
            others.user_property("from", "sim").expect("short");
        }
        Message {
            client,
            session: None,
            topic,
            qos: chance.pick(&QOS),
            retain,
            clear: retain && chance.percent(15),
            padding: chance.pick(&[0, 8, 30, 90]),
            expiry_secs: (v5 && chance.percent(12)).then(|| chance.between(1, 20) as u32),
            others,
            born: Vec::new(),
            routed: Vec::new(),
            undone: Vec::new(),
            recorded: false,
            acknowledged: false,
            will: None,
        }
    }

    fn publish(&mut self, client: usize, link: usize) {
        let now = self.now();
        for _ in 0..=self.chance.below(self.plan.burst) {
            if self.clients[client].room(&self.links[link]) == 0 {
                return;
            }
            let universe = &self.ledger.universe;
            let (range, retain) = match self.chance.below(10) {
                0..5 => (universe.ordinary(), self.chance.percent(5)),
                5..8 => (universe.shared(), false),
                _ => (universe.retained(), self.chance.percent(85)),
            };
            let topic = range.start + self.chance.below(range.len());
            let message = self.message(client, (topic, retain));
            let number = self.ledger.write(message);
            let link = &mut self.links[link];
            let chance = &mut self.chance;
            self.clients[client].publish(link, &self.ledger, (number, now), chance);
        }
    }

    fn subscribe(&mut self, client: usize, link: usize) {
        let count = self.chance.between(1, 3) as usize;
        let mut wanted: Vec<Wanted> = Vec::new();
        for _ in 0..count {
            let entry = self.wanted(client);
            // By the identifier they share and the topic it has to be clear which one it was.
            let universe = &self.ledger.universe;
            let v5 = self.clients[client].version == Version::V5;
            let both = |other: &Wanted, topic: usize| {
                universe.matches(other.filter, topic) && universe.matches(entry.filter, topic)
            };
            let clash = |other: &Wanted| {
                other.filter == entry.filter
                    || v5 && (0..universe.topics.len()).any(|topic| both(other, topic))
            };
            if wanted.iter().any(clash) {
                continue;
            }
            wanted.push(entry);
        }
        let now = self.now();
        let link = &mut self.links[link];
        self.clients[client].subscribe(link, (&self.ledger, now), wanted);
    }

    /// A filter and options that a client may ask for. What v3 clients receive by two filters must
    /// not have to be told apart, so they share in one group and keep a filter's QoS.
    fn wanted(&mut self, client: usize) -> Wanted {
        let universe = &self.ledger.universe;
        let v5 = self.clients[client].version == Version::V5;
        let shares = universe.groups.len();
        let plain = universe.filters.len() - shares;
        let chance = &mut self.chance;
        let filter = match chance.percent(30) {
            true if v5 => plain + chance.below(shares),
            true => plain + client % shares,
            false => loop {
                let filter = chance.below(plain);
                if v5 || universe.filters[filter].plain {
                    break filter;
                }
            },
        };
        let shared = filter >= plain;
        let mut options = SubscribeOptions {
            qos: chance.pick(&QOS),
            no_local: v5 && !shared && chance.percent(15),
            retain_as_published: v5 && chance.percent(25),
            retain_handling: RetainHandling::Always,
        };
        if v5 {
            options.retain_handling = chance.pick(&[
                RetainHandling::Always,
                RetainHandling::Always,
                RetainHandling::IfNew,
                RetainHandling::Never,
            ]);
        } else {
            options.qos = QOS[(client + filter) % QOS.len()];
        }
        if shared && options.qos == QoS::AtMostOnce {
            options.qos = QoS::AtLeastOnce;
        }
        Wanted { filter, options, subscription_id: 0 }
    }

    fn unsubscribe(&mut self, client: usize, link: usize) {
        let mut wanted = vec![self.wanted(client)];
        // More often one that exists.
        if let Some((session, _)) = self.links[link].session
            && self.chance.percent(80)
        {
            let slots = &self.ledger.sessions[session].slots;
            let alive: Vec<usize> =
                slots.iter().copied().filter(|slot| self.ledger.slots[*slot].alive()).collect();
            if !alive.is_empty() {
                let slot = alive[self.chance.below(alive.len())];
                wanted[0].filter = self.ledger.slots[slot].filter;
            }
        }
        let now = self.now();
        let link = &mut self.links[link];
        self.clients[client].unsubscribe(link, (&self.ledger, now), wanted);
    }

    pub(crate) fn ping(&mut self, link: usize) {
        let now = self.now();
        let link = &mut self.links[link];
        link.pings += 1;
        link.send(now, &Packet::PingReq, Sent::Ping);
    }

    /// The witness subscribes once and for all.
    pub(crate) fn call_witness(&mut self) {
        let client = self.witness();
        self.connect(client, true);
        self.hear_all(client);
        let filters: &[&str] = if self.plan.all_seeing { &["#", "$r/#"] } else { &["w/#"] };
        let qos = if self.plan.dies { QoS::ExactlyOnce } else { QoS::AtMostOnce };
        let wanted = filters
            .iter()
            .map(|text| Wanted {
                filter: self.ledger.universe.filter(text),
                options: SubscribeOptions { qos, retain_as_published: true, ..Default::default() },
                subscription_id: 0,
            })
            .collect();
        let link = self.clients[client].link.expect("it just connected");
        let now = self.now();
        self.clients[client].subscribe(&mut self.links[link], (&self.ledger, now), wanted);
        self.hear_all(client);
        for slot in 0..self.ledger.slots.len() {
            self.ledger.bear_witness(slot);
        }
    }

    /// Everything a client sends and is sent arrives, and the node rests.
    pub(crate) fn hear_all(&mut self, client: usize) {
        for _ in 0..4 {
            let link = self.clients[client].link.expect("it stays connected");
            self.carry_up(link, usize::MAX);
            self.rest();
        }
    }

    /// Bytes of a client reach the node.
    pub(crate) fn carry_up(&mut self, link: usize, count: usize) {
        let link = &mut self.links[link];
        let bytes = link.carry_up(count);
        if !bytes.is_empty() {
            self.node.write(link.line, &bytes);
        }
    }

    /// Whether so many in a hundred times.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        Chance::percent(&mut self.chance, percent)
    }
}
