//! rumqttc speaking MQTT 3.1.1.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use noctule_tests::process::BrokerProcess;
use rumqttc::{Client, Connection, Event, LastWill, MqttOptions, Packet, Publish, QoS};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough that a message which must not come would have come.
const QUIET: Duration = Duration::from_millis(400);
const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// A connected client; what it receives waits in a queue.
struct Party {
    client: Client,
    packets: Receiver<Packet>,
    messages: VecDeque<Publish>,
    session_present: bool,
    stop: Arc<AtomicBool>,
    pump: JoinHandle<()>,
}

fn options(broker: &BrokerProcess, name: &str) -> MqttOptions {
    let id = format!("v4-{name}-{}", std::process::id());
    let address = broker.address();
    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
    options.set_max_packet_size(1 << 20, 1 << 20);
    options
}

/// Drives the connection until it ends; leaving it without DISCONNECT is what a crash looks like.
fn pump(mut connection: Connection, stop: &AtomicBool, packets: &Sender<Packet>) {
    while !stop.load(Ordering::Relaxed) {
        match connection.recv_timeout(Duration::from_millis(20)) {
            Ok(Ok(Event::Incoming(packet))) => {
                if packets.send(packet).is_err() {
                    return;
                }
            }
            Ok(Ok(Event::Outgoing(_))) | Err(rumqttc::RecvTimeoutError::Timeout) => {}
            Ok(Err(_)) | Err(rumqttc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Party {
    fn connect(options: MqttOptions) -> Result<Self> {
        let (client, connection) = Client::new(options, 1000);
        let (sender, packets) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pump = std::thread::spawn(move || pump(connection, &stopped, &sender));
        let messages = VecDeque::new();
        let mut party = Self { client, packets, messages, session_present: false, stop, pump };
        party.session_present = party.await_answer("CONNACK", |packet| match packet {
            Packet::ConnAck(connack) => Some(connack.session_present),
            _ => None,
        })?;
        Ok(party)
    }

    /// Waits for one packet; messages that come before it keep their place in the queue.
    fn await_answer<T>(&mut self, what: &str, wanted: impl Fn(&Packet) -> Option<T>) -> Result<T> {
        loop {
            let packet = self.packets.recv_timeout(PATIENCE).with_context(|| what.to_owned())?;
            if let Some(answer) = wanted(&packet) {
                return Ok(answer);
            }
            if let Packet::Publish(publish) = packet {
                self.messages.push_back(publish);
            }
        }
    }

    fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<()> {
        self.client.subscribe(filter, qos)?;
        let codes = self.await_answer("SUBACK", |packet| match packet {
            Packet::SubAck(suback) => Some(suback.return_codes.clone()),
            _ => None,
        })?;
        ensure!(codes == [rumqttc::SubscribeReasonCode::Success(qos)], "{codes:?}");
        Ok(())
    }

    /// Publishes and waits until the hand-shake of the QoS is complete.
    fn publish(&mut self, topic: &str, qos: QoS, retain: bool, payload: &str) -> Result<()> {
        self.client.publish(topic, qos, retain, payload)?;
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

    fn expect(&mut self, payload: &str) -> Result<Publish> {
        let message = self.next()?;
        ensure!(message.payload == payload, "wanted {payload}, got {message:?}");
        Ok(message)
    }

    fn expect_nothing(&mut self) -> Result<()> {
        while let Ok(packet) = self.packets.recv_timeout(QUIET) {
            if let Packet::Publish(message) = packet {
                bail!("unexpected {message:?}");
            }
        }
        ensure!(self.messages.is_empty(), "unexpected {:?}", self.messages);
        Ok(())
    }

    /// Ends as a client should: with DISCONNECT.
    fn leave(self) -> Result<()> {
        self.client.disconnect()?;
        self.pump.join().expect("the pump does not panic");
        Ok(())
    }

    /// Ends as a crash does.
    fn die(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.pump.join().expect("the pump does not panic");
    }
}

#[test]
fn rumqttc_v4_round_trip() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = Party::connect(options(&broker, "rt-pub"))?;
    for granted in EVERY_QOS {
        let mut subscriber = Party::connect(options(&broker, "rt-sub"))?;
        let topic = format!("rumqttc4/rt/{granted:?}");
        subscriber.subscribe(&topic, granted)?;
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
fn rumqttc_v4_retained() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = Party::connect(options(&broker, "re-pub"))?;
    for qos in EVERY_QOS {
        let topic = format!("rumqttc4/re/{qos:?}");
        let mut witness = Party::connect(options(&broker, "re-see"))?;
        witness.subscribe(&topic, QoS::ExactlyOnce)?;
        for payload in ["first", "last"] {
            publisher.publish(&topic, qos, true, payload)?;
            ensure!(!witness.expect(payload)?.retain);
        }
        let mut late = Party::connect(options(&broker, "re-late"))?;
        late.subscribe(&topic, QoS::ExactlyOnce)?;
        let message = late.expect("last")?;
        ensure!(message.retain && message.qos == qos, "{message:?}");
        publisher.publish(&topic, qos, true, "")?;
        witness.expect("")?;
        late.expect("")?;
        late.leave()?;
        let mut later = Party::connect(options(&broker, "re-later"))?;
        later.subscribe(&topic, QoS::ExactlyOnce)?;
        later.expect_nothing()?;
        later.leave()?;
        witness.leave()?;
    }
    publisher.leave()
}

#[test]
fn rumqttc_v4_will() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut watcher = Party::connect(options(&broker, "wi-see"))?;
    watcher.subscribe("rumqttc4/will/#", QoS::ExactlyOnce)?;
    for qos in EVERY_QOS {
        let topic = format!("rumqttc4/will/{qos:?}");
        let mut mortal = options(&broker, "wi-mortal");
        mortal.set_last_will(LastWill::new(&topic, "died", qos, true));
        Party::connect(mortal.clone())?.leave()?;
        watcher.expect_nothing()?;
        Party::connect(mortal)?.die();
        let message = watcher.expect("died")?;
        ensure!(message.qos == qos && message.topic == topic && !message.retain, "{message:?}");
        let mut late = Party::connect(options(&broker, "wi-late"))?;
        late.subscribe(&topic, QoS::ExactlyOnce)?;
        let message = late.expect("died")?;
        ensure!(message.qos == qos && message.retain, "{message:?}");
        late.leave()?;
    }
    watcher.leave()
}

#[test]
fn rumqttc_v4_persistent_session() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = Party::connect(options(&broker, "ps-pub"))?;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("rumqttc4/ps/{qos:?}");
        let mut kept = options(&broker, &format!("ps-{qos:?}"));
        kept.set_clean_session(false);
        let mut party = Party::connect(kept.clone())?;
        ensure!(!party.session_present);
        party.subscribe(&topic, qos)?;
        if qos == QoS::AtLeastOnce {
            party.leave()?;
        } else {
            party.die();
        }
        for n in 0..100 {
            publisher.publish(&topic, qos, false, &n.to_string())?;
        }
        let mut party = Party::connect(kept.clone())?;
        ensure!(party.session_present);
        for n in 0..100 {
            ensure!(party.expect(&n.to_string())?.qos == qos);
        }
        party.expect_nothing()?;
        party.leave()?;
        kept.set_clean_session(true);
        let mut party = Party::connect(kept)?;
        ensure!(!party.session_present);
        party.expect_nothing()?;
        party.leave()?;
    }
    publisher.leave()
}

#[test]
fn rumqttc_v4_what_was_not_acknowledged_comes_again() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut kept = options(&broker, "again");
    kept.set_clean_session(false).set_manual_acks(true);
    let mut party = Party::connect(kept.clone())?;
    party.subscribe("rumqttc4/again", QoS::AtLeastOnce)?;
    let mut publisher = Party::connect(options(&broker, "again-pub"))?;
    for n in 0..10 {
        publisher.publish("rumqttc4/again", QoS::AtLeastOnce, false, &n.to_string())?;
    }
    for n in 0..10 {
        let message = party.expect(&n.to_string())?;
        if n < 5 {
            party.client.ack(&message)?;
        }
    }
    // A publish that is answered after the acks says that they were taken.
    party.publish("rumqttc4/other", QoS::AtLeastOnce, false, "x")?;
    party.die();
    let mut party = Party::connect(kept)?;
    for n in 5..10 {
        let message = party.expect(&n.to_string())?;
        ensure!(message.dup, "{message:?}");
        party.client.ack(&message)?;
    }
    party.expect_nothing()?;
    party.leave()?;
    publisher.leave()
}

#[test]
fn rumqttc_v4_an_idle_client_pings_and_stays() -> Result<()> {
    // rumqttc pings after as much silence, and the broker waits half as long again: with two
    // seconds a busy machine has one to spare.
    const KEEP_ALIVE: Duration = Duration::from_secs(2);
    let broker = BrokerProcess::start()?;
    let mut restless = options(&broker, "idle");
    restless.set_keep_alive(KEEP_ALIVE);
    let mut idle = Party::connect(restless)?;
    idle.subscribe("rumqttc4/idle", QoS::AtLeastOnce)?;
    // Silence is what this is about.
    std::thread::sleep(KEEP_ALIVE * 5 / 2);
    let mut publisher = Party::connect(options(&broker, "idle-pub"))?;
    publisher.publish("rumqttc4/idle", QoS::AtLeastOnce, false, "still there")?;
    // A party whose connection ends does not connect again.
    idle.expect("still there")?;
    idle.leave()?;
    publisher.leave()
}
