//! rumqttc speaking MQTT 5.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use noctule_tests::process::BrokerProcess;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, Filter, LastWill, LastWillProperties, Packet, Publish,
    PublishProperties, RetainForwardRule, SubscribeProperties, SubscribeReasonCode, UnsubAckReason,
};
use rumqttc::v5::{Client, Connection, Event, MqttOptions, RecvTimeoutError};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough that a message which must not come would have come.
const QUIET: Duration = Duration::from_millis(400);
const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A connected client; what it receives waits in a queue.
pub(crate) struct Party {
    pub client: Client,
    heard: Receiver<Heard>,
    messages: VecDeque<Publish>,
    pub connack: ConnAck,
    stop: Arc<AtomicBool>,
    pump: JoinHandle<()>,
}

enum Heard {
    Packet(Box<Packet>),
    /// The connection ended, in the words of rumqttc.
    End(String),
}

/// What a test wants of a connection beyond the usual.
pub(crate) struct Wish {
    pub options: MqttOptions,
    pub properties: ConnectProperties,
}

pub(crate) fn wish(broker: &BrokerProcess, name: &str) -> Wish {
    let id = format!("v5-{name}-{}", std::process::id());
    let address = broker.address();
    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
    options.set_outgoing_inflight_upper_limit(10);
    let mut properties = ConnectProperties::new();
    properties.max_packet_size = Some(1 << 20);
    Wish { options, properties }
}

impl Wish {
    pub(crate) fn kept(mut self) -> Self {
        self.options.set_clean_start(false);
        self.properties.session_expiry_interval = Some(300);
        self
    }

    pub(crate) fn connect(mut self) -> Result<Party> {
        self.options.set_connect_properties(self.properties);
        let (client, connection) = Client::new(self.options, 1000);
        let (sender, heard) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pump = std::thread::spawn(move || pump(connection, &stopped, &sender));
        let packet = match heard.recv_timeout(PATIENCE)? {
            Heard::Packet(packet) => packet,
            Heard::End(why) => bail!("not connected: {why}"),
        };
        let Packet::ConnAck(connack) = *packet else { bail!("no CONNACK but {packet:?}") };
        Ok(Party { client, heard, messages: VecDeque::new(), connack, stop, pump })
    }
}

/// Drives the connection until it ends; leaving it without DISCONNECT is what a crash looks like.
fn pump(mut connection: Connection, stop: &AtomicBool, heard: &Sender<Heard>) {
    while !stop.load(Ordering::Relaxed) {
        let heard_now = match connection.recv_timeout(Duration::from_millis(20)) {
            Ok(Ok(Event::Incoming(packet))) => Heard::Packet(Box::new(packet)),
            Ok(Ok(Event::Outgoing(_))) | Err(RecvTimeoutError::Timeout) => continue,
            Ok(Err(why)) => Heard::End(format!("{why:?}")),
            Err(RecvTimeoutError::Disconnected) => Heard::End("dropped".to_owned()),
        };
        let end = matches!(heard_now, Heard::End(_));
        if heard.send(heard_now).is_err() || end {
            return;
        }
    }
}

impl Party {
    /// Waits for one packet; messages that come before it keep their place in the queue.
    fn await_answer<T>(&mut self, what: &str, wanted: impl Fn(&Packet) -> Option<T>) -> Result<T> {
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).with_context(|| what.to_owned())?;
            let packet = match heard {
                Heard::Packet(packet) => packet,
                Heard::End(why) => bail!("waiting for {what}: {why}"),
            };
            if let Some(answer) = wanted(&packet) {
                return Ok(answer);
            }
            if let Packet::Publish(publish) = *packet {
                self.messages.push_back(publish);
            }
        }
    }

    pub(crate) fn subscribe(&mut self, filter: Filter, id: Option<usize>) -> Result<()> {
        let wanted = [SubscribeReasonCode::Success(filter.qos)];
        match id {
            Some(id) => {
                let properties = SubscribeProperties { id: Some(id), user_properties: vec![] };
                self.client.subscribe_many_with_properties([filter], properties)?;
            }
            None => self.client.subscribe_many([filter])?,
        }
        let codes = self.await_answer("SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes.clone()),
            _ => None,
        })?;
        ensure!(codes == wanted, "{codes:?}");
        Ok(())
    }

    fn unsubscribe(&mut self, filter: &str) -> Result<Vec<UnsubAckReason>> {
        self.client.unsubscribe(filter)?;
        self.await_answer("UNSUBACK", |packet| match packet {
            Packet::UnsubAck(unsuback) => Some(unsuback.reasons.clone()),
            _ => None,
        })
    }

    pub(crate) fn publish(
        &mut self,
        topic: &str,
        qos: QoS,
        retain: bool,
        payload: &str,
    ) -> Result<()> {
        self.publish_with(topic, qos, (payload, retain), PublishProperties::default())
    }

    /// Publishes and waits until the hand-shake of the QoS is complete.
    fn publish_with(
        &mut self,
        topic: &str,
        qos: QoS,
        (payload, retain): (&str, bool),
        properties: PublishProperties,
    ) -> Result<()> {
        let payload = payload.to_owned();
        self.client.publish_with_properties(topic, qos, retain, payload, properties)?;
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self
                .await_answer("PUBACK", |packet| matches!(packet, Packet::PubAck(_)).then_some(())),
            QoS::ExactlyOnce => self.await_answer("PUBCOMP", |packet| {
                matches!(packet, Packet::PubComp(_)).then_some(())
            }),
        }
    }

    fn next(&mut self) -> Result<Publish> {
        if let Some(message) = self.messages.pop_front() {
            return Ok(message);
        }
        self.await_answer("a message", |packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
    }

    pub(crate) fn expect(&mut self, payload: &str) -> Result<Publish> {
        let message = self.next()?;
        ensure!(message.payload == payload, "wanted {payload}, got {message:?}");
        Ok(message)
    }

    pub(crate) fn expect_nothing(&mut self) -> Result<()> {
        while let Ok(heard) = self.heard.recv_timeout(QUIET) {
            match heard {
                Heard::Packet(packet) => {
                    ensure!(!matches!(*packet, Packet::Publish(_)), "unexpected {packet:?}");
                }
                Heard::End(why) => bail!("ended: {why}"),
            }
        }
        ensure!(self.messages.is_empty(), "unexpected {:?}", self.messages);
        Ok(())
    }

    /// Why the broker ended the connection.
    pub(crate) fn end(&mut self) -> Result<String> {
        loop {
            match self.heard.recv_timeout(PATIENCE)? {
                Heard::Packet(_) => {}
                Heard::End(why) => return Ok(why),
            }
        }
    }

    /// Ends as a client should: with DISCONNECT.
    pub(crate) fn leave(self) -> Result<()> {
        self.client.disconnect()?;
        self.pump.join().expect("the pump does not panic");
        Ok(())
    }

    /// Ends as a crash does.
    pub(crate) fn die(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.pump.join().expect("the pump does not panic");
    }
}

pub(crate) fn filter(path: &str, qos: QoS) -> Filter {
    Filter::new(path, qos)
}

#[test]
fn rumqttc_v5_round_trip() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = wish(&broker, "rt-pub").connect()?;
    for granted in EVERY_QOS {
        let mut subscriber = wish(&broker, "rt-sub").connect()?;
        let topic = format!("rumqttc5/rt/{granted:?}");
        subscriber.subscribe(filter(&topic, granted), None)?;
        for qos in EVERY_QOS {
            for n in 0..100 {
                publisher.publish(&topic, qos, false, &format!("{qos:?} {n}"))?;
            }
            for n in 0..100 {
                let message = subscriber.expect(&format!("{qos:?} {n}"))?;
                ensure!(message.qos as u8 == (qos as u8).min(granted as u8), "{message:?}");
                ensure!(message.topic == topic && !message.retain && !message.dup, "{message:?}");
            }
        }
        subscriber.expect_nothing()?;
        subscriber.leave()?;
    }
    publisher.leave()
}

#[test]
fn rumqttc_v5_retained() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = wish(&broker, "re-pub").connect()?;
    for qos in EVERY_QOS {
        let topic = format!("rumqttc5/re/{qos:?}");
        let mut witness = wish(&broker, "re-see").connect()?;
        let mut as_published = filter(&topic, QoS::ExactlyOnce);
        as_published.preserve_retain = true;
        witness.subscribe(as_published, None)?;
        for payload in ["first", "last"] {
            publisher.publish(&topic, qos, true, payload)?;
            ensure!(witness.expect(payload)?.retain);
        }
        let mut late = wish(&broker, "re-late").connect()?;
        let mut never = filter(&topic, QoS::ExactlyOnce);
        never.retain_forward_rule = RetainForwardRule::Never;
        late.subscribe(never, None)?;
        late.expect_nothing()?;
        late.subscribe(filter(&topic, QoS::ExactlyOnce), None)?;
        let message = late.expect("last")?;
        ensure!(message.retain && message.qos == qos, "{message:?}");
        publisher.publish(&topic, qos, true, "")?;
        witness.expect("")?;
        late.expect("")?;
        late.subscribe(filter(&topic, QoS::ExactlyOnce), None)?;
        late.expect_nothing()?;
        late.leave()?;
        witness.leave()?;
    }
    publisher.leave()
}

#[test]
fn rumqttc_v5_will() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut watcher = wish(&broker, "wi-see").connect()?;
    watcher.subscribe(filter("rumqttc5/will/#", QoS::ExactlyOnce), None)?;
    for qos in EVERY_QOS {
        let topic = format!("rumqttc5/will/{qos:?}");
        let mortal = || {
            let mut wish = wish(&broker, "wi-mortal");
            wish.options.set_last_will(LastWill::new(&topic, "died", qos, true, None));
            wish
        };
        mortal().connect()?.leave()?;
        watcher.expect_nothing()?;
        mortal().connect()?.die();
        let message = watcher.expect("died")?;
        ensure!(message.qos == qos && message.topic == topic && !message.retain, "{message:?}");
        let mut late = wish(&broker, "wi-late").connect()?;
        late.subscribe(filter(&topic, QoS::ExactlyOnce), None)?;
        let message = late.expect("died")?;
        ensure!(message.qos == qos && message.retain, "{message:?}");
        late.leave()?;
    }
    watcher.leave()
}

#[test]
fn rumqttc_v5_a_will_waits_for_its_delay_and_a_return_cancels_it() -> Result<()> {
    const TOPIC: &str = "rumqttc5/delayed";
    let broker = BrokerProcess::start()?;
    let mut watcher = wish(&broker, "delay-see").connect()?;
    watcher.subscribe(filter(TOPIC, QoS::ExactlyOnce), None)?;
    let properties = LastWillProperties {
        delay_interval: Some(5),
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(100),
        content_type: Some("text/plain".to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: vec![("why".to_owned(), "test".to_owned())],
    };
    let mortal = |name: &str, payload: &str, delay: u32| {
        let mut wish = wish(&broker, name).kept();
        let properties = LastWillProperties { delay_interval: Some(delay), ..properties.clone() };
        let will = LastWill::new(TOPIC, payload, QoS::AtLeastOnce, false, Some(properties));
        wish.options.set_last_will(will);
        wish.connect()
    };
    mortal("delay-back", "of one who came back", 4)?.die();
    wish(&broker, "delay-back").kept().connect()?.leave()?;
    let death = Instant::now();
    mortal("delay-late", "died", 5)?.die();
    // The first will was due before this one.
    let message = watcher.expect("died")?;
    let waited = death.elapsed();
    ensure!(waited >= Duration::from_secs(5), "the will came after {waited:?}");
    let got = message.properties.context("no properties")?;
    ensure!(got.content_type == properties.content_type, "{got:?}");
    ensure!(got.user_properties == properties.user_properties, "{got:?}");
    // Its life began when it was published.
    ensure!(got.message_expiry_interval.is_some_and(|left| (70..=100).contains(&left)), "{got:?}");
    watcher.expect_nothing()?;
    watcher.leave()
}

#[test]
fn rumqttc_v5_persistent_session() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = wish(&broker, "ps-pub").connect()?;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("rumqttc5/ps/{qos:?}");
        let name = format!("ps-{qos:?}");
        let mut party = wish(&broker, &name).kept().connect()?;
        ensure!(!party.connack.session_present);
        party.subscribe(filter(&topic, qos), None)?;
        if qos == QoS::AtLeastOnce {
            party.leave()?;
        } else {
            party.die();
        }
        for n in 0..100 {
            publisher.publish(&topic, qos, false, &n.to_string())?;
        }
        let mut party = wish(&broker, &name).kept().connect()?;
        ensure!(party.connack.session_present);
        for n in 0..100 {
            ensure!(party.expect(&n.to_string())?.qos == qos);
        }
        party.expect_nothing()?;
        party.leave()?;
        let mut party = wish(&broker, &name).connect()?;
        ensure!(!party.connack.session_present);
        party.expect_nothing()?;
        party.leave()?;
    }
    publisher.leave()
}

#[test]
fn rumqttc_v5_properties() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut party = wish(&broker, "props").connect()?;
    party.subscribe(filter("rumqttc5/props/+", QoS::ExactlyOnce), Some(11))?;
    party.subscribe(filter("rumqttc5/props/a", QoS::ExactlyOnce), Some(268_435_455))?;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(1000),
        topic_alias: Some(1),
        response_topic: Some("rumqttc5/answer".to_owned()),
        correlation_data: Some(vec![0, 1, 255].into()),
        user_properties: vec![pair("b", "1"), pair("a", "2"), pair("b", "1")],
        subscription_identifiers: vec![],
        content_type: Some("text/plain".to_owned()),
    };
    for qos in EVERY_QOS {
        party.publish_with("rumqttc5/props/a", qos, ("x", false), sent.clone())?;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut got = party.expect("x")?.properties.context("no properties")?;
            ids.append(&mut got.subscription_identifiers);
            let left = got.message_expiry_interval.take().context("no expiry")?;
            ensure!((990..=1000).contains(&left), "{left}");
            let unchanged = PublishProperties {
                topic_alias: None,
                message_expiry_interval: None,
                ..sent.clone()
            };
            ensure!(got == unchanged, "{got:?}");
        }
        ids.sort_unstable();
        ensure!(ids == [11, 268_435_455], "{ids:?}");
    }
    party.leave()
}

#[test]
fn rumqttc_v5_reason_codes() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut first = wish(&broker, "codes").kept().connect()?;
    first.subscribe(filter("rumqttc5/codes", QoS::AtLeastOnce), None)?;
    ensure!(first.unsubscribe("rumqttc5/codes")? == [UnsubAckReason::Success]);
    ensure!(first.unsubscribe("rumqttc5/codes")? == [UnsubAckReason::NoSubscriptionExisted]);
    let second = wish(&broker, "codes").kept().connect()?;
    ensure!(second.connack.session_present);
    let why = first.end()?;
    ensure!(why.contains("SessionTakenOver"), "ended for another reason: {why}");
    second.leave()
}

#[test]
fn rumqttc_v5_receive_maximum() -> Result<()> {
    const WINDOW: u16 = 3;
    let broker = BrokerProcess::start()?;
    let mut wish_window = wish(&broker, "window");
    wish_window.options.set_manual_acks(true);
    wish_window.properties.receive_maximum = Some(WINDOW);
    let mut party = wish_window.connect()?;
    party.subscribe(filter("rumqttc5/window", QoS::AtLeastOnce), None)?;
    let mut publisher = wish(&broker, "window-pub").connect()?;
    for n in 0..20 {
        publisher.publish("rumqttc5/window", QoS::AtLeastOnce, false, &n.to_string())?;
    }
    let mut held = VecDeque::new();
    for n in 0..20 {
        if held.len() == usize::from(WINDOW) {
            if n == WINDOW {
                party.expect_nothing()?;
            }
            let oldest = held.pop_front().context("the window is not empty")?;
            party.client.ack(&oldest)?;
        }
        held.push_back(party.expect(&n.to_string())?);
    }
    party.leave()?;
    publisher.leave()
}

#[test]
fn rumqttc_v5_shared_subscriptions() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut members = Vec::new();
    for n in 0..3 {
        let mut member = wish(&broker, &format!("share{n}")).connect()?;
        member.subscribe(filter("$share/g/rumqttc5/share", QoS::AtLeastOnce), None)?;
        members.push(member);
    }
    let mut publisher = wish(&broker, "share-pub").connect()?;
    for n in 0..90 {
        publisher.publish("rumqttc5/share", QoS::AtLeastOnce, false, &n.to_string())?;
    }
    let mut got = Vec::new();
    for member in &mut members {
        while let Ok(heard) = member.heard.recv_timeout(QUIET) {
            let Heard::Packet(packet) = heard else { bail!("a member lost its connection") };
            if let Packet::Publish(message) = *packet {
                got.push(String::from_utf8(message.payload.to_vec())?.parse::<u32>()?);
            }
        }
    }
    got.sort_unstable();
    ensure!(got == (0..90).collect::<Vec<_>>(), "{got:?}");
    members.into_iter().try_for_each(Party::leave)?;
    publisher.leave()
}
