//! What a connection and a subscription of MQTT 5 agree on, as far as rumqttc takes part.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use noctule_tests::process::BrokerProcess;
use rumqttc::v5::mqttbytes::QoS;

use crate::rumqttc_v5::{filter, wish};

#[test]
fn rumqttc_v5_no_local() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut party = wish(&broker, "local").connect()?;
    let mut other = wish(&broker, "local-other").connect()?;
    let mut not_mine = filter("rumqttc5/local", QoS::AtLeastOnce);
    not_mine.nolocal = true;
    party.subscribe(not_mine, None)?;
    party.publish("rumqttc5/local", QoS::AtLeastOnce, false, "mine")?;
    other.publish("rumqttc5/local", QoS::AtLeastOnce, false, "of another")?;
    party.expect("of another")?;
    party.expect_nothing()?;
    party.leave()?;
    other.leave()
}

/// rumqttc gives the topic back to a message that came by alias, and refuses an alias that was not
/// given before.
#[test]
fn rumqttc_v5_aliases_of_the_broker() -> Result<()> {
    const ALIASES: u16 = 3;
    let broker = BrokerProcess::start()?;
    let mut wish_aliases = wish(&broker, "alias");
    wish_aliases.properties.topic_alias_max = Some(ALIASES);
    let mut party = wish_aliases.connect()?;
    party.subscribe(filter("rumqttc5/alias/#", QoS::AtLeastOnce), None)?;
    let mut publisher = wish(&broker, "alias-pub").connect()?;
    let mut aliased = 0;
    for n in 0..60 {
        let topic = format!("rumqttc5/alias/{}", n % 5);
        publisher.publish(&topic, QoS::AtLeastOnce, false, &n.to_string())?;
        let message = party.expect(&n.to_string())?;
        ensure!(message.topic == topic, "{message:?}");
        if let Some(alias) = message.properties.and_then(|properties| properties.topic_alias) {
            ensure!((1..=ALIASES).contains(&alias), "alias {alias}");
            aliased += 1;
        }
    }
    // A broker may do without; ours does not.
    ensure!(aliased > 0 || !broker.is_ours(), "no alias was ever used");
    party.leave()?;
    publisher.leave()
}

#[test]
fn rumqttc_v5_maximum_packet_size() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut wish_small = wish(&broker, "size");
    wish_small.properties.max_packet_size = Some(200);
    let mut party = wish_small.connect()?;
    party.subscribe(filter("rumqttc5/size", QoS::AtLeastOnce), None)?;
    let mut publisher = wish(&broker, "size-pub").connect()?;
    for payload in ["small", &"x".repeat(1000), "small again"] {
        publisher.publish("rumqttc5/size", QoS::AtLeastOnce, false, payload)?;
    }
    // rumqttc ends the connection at a packet beyond its size.
    party.expect("small")?;
    party.expect("small again")?;
    party.leave()?;
    publisher.leave()
}

#[test]
fn rumqttc_v5_assigned_client_id() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut names = Vec::new();
    let mut parties = Vec::new();
    for _ in 0..2 {
        let mut nameless = wish(&broker, "");
        nameless.options.set_client_id(String::new());
        let party = nameless.connect()?;
        let told = party.connack.properties.as_ref().context("CONNACK without properties")?;
        names.push(told.assigned_client_identifier.clone().context("no name was assigned")?);
        parties.push(party);
    }
    ensure!(!names[0].is_empty() && !names[1].is_empty() && names[0] != names[1], "{names:?}");
    // The name is the session's: by it a second connection takes the first over.
    let mut named = wish(&broker, "");
    named.options.set_client_id(names[0].clone());
    let taker = named.connect()?;
    let why = parties[0].end()?;
    ensure!(why.contains("SessionTakenOver"), "ended for another reason: {why}");
    taker.leave()
}

#[test]
fn rumqttc_v5_a_session_expires() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let visit = |expiry: u32| {
        let mut wish = wish(&broker, &format!("expiry-{expiry}")).kept();
        wish.properties.session_expiry_interval = Some(expiry);
        wish.connect()
    };
    for expiry in [0, 1, 60] {
        let party = visit(expiry)?;
        ensure!(!party.connack.session_present);
        party.leave()?;
    }
    // Time that must pass is what this is about.
    std::thread::sleep(Duration::from_millis(2200));
    for (expiry, present) in [(0, false), (1, false), (60, true)] {
        let party = visit(expiry)?;
        ensure!(party.connack.session_present == present, "after an expiry of {expiry} s");
        party.leave()?;
    }
    Ok(())
}

#[test]
fn rumqttc_v5_what_was_not_acknowledged_comes_again() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut publisher = wish(&broker, "again-pub").connect()?;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("rumqttc5/again/{qos:?}");
        let visit = || {
            let mut wish = wish(&broker, &format!("again-{qos:?}")).kept();
            wish.options.set_manual_acks(true);
            wish.connect()
        };
        let mut party = visit()?;
        party.subscribe(filter(&topic, qos), None)?;
        publisher.publish(&topic, qos, false, "again")?;
        let first = party.expect("again")?;
        ensure!(!first.dup && first.qos == qos, "{first:?}");
        party.die();
        let mut party = visit()?;
        let second = party.expect("again")?;
        ensure!(second.dup && second.qos == qos && second.pkid == first.pkid, "{second:?}");
        party.client.ack(&second)?;
        // A publish that is answered after the ack says that it was taken.
        party.publish("rumqttc5/other", QoS::AtLeastOnce, false, "x")?;
        party.die();
        let mut party = visit()?;
        party.expect_nothing()?;
        party.leave()?;
    }
    publisher.leave()
}

/// Five seconds is the least keep alive that it takes.
#[test]
fn rumqttc_v5_an_idle_client_pings_and_stays() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let mut wish_idle = wish(&broker, "idle");
    wish_idle.options.set_keep_alive(Duration::from_secs(5));
    let mut idle = wish_idle.connect()?;
    idle.subscribe(filter("rumqttc5/idle", QoS::AtLeastOnce), None)?;
    // Silence is what this is about.
    std::thread::sleep(Duration::from_secs(9));
    let mut publisher = wish(&broker, "idle-pub").connect()?;
    publisher.publish("rumqttc5/idle", QoS::AtLeastOnce, false, "still there")?;
    // A party whose connection ends does not connect again.
    idle.expect("still there")?;
    idle.leave()?;
    publisher.leave()
}
