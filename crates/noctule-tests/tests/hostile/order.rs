//! Many who subscribe just as the value changes: whatever race they win, they see the values in
//! the order of their publishing.

use anyhow::{Result, ensure};
use noctule_tests::process::BrokerProcess;

use crate::attack_on;
use crate::wire::{Connect, Level, PUBACK, PUBLISH, Wire, publish_as};

/// Publisher, subscriber and retained message are at home on three shards more often than not.
const CONFIG: &str = "shards = 5\n";

/// SUBACK came before the first PUBLISH: both come live, in order. [MQTT-4.6.0-5 v5]
#[test]
fn a_value_set_after_the_suback_does_not_overtake_itself() -> Result<()> {
    const ROUNDS: usize = 1000;
    attack_on(BrokerProcess::start_with(CONFIG)?, "order", 96, |broker| {
        std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..4).map(|racer| scope.spawn(move || race(broker, racer, ROUNDS))).collect();
            racers.into_iter().try_for_each(|racer| racer.join().expect("no panic"))
        })
    })
}

fn race(broker: &BrokerProcess, racer: usize, rounds: usize) -> Result<()> {
    let connect = Connect::new(&format!("order-pub-{racer}"));
    let mut publisher = Wire::connect(broker.address(), &connect)?;
    for round in 0..rounds {
        let topic = format!("order/{racer}/{round}");
        let connect = Connect::new(&format!("order-sub-{racer}-{}", round % 7));
        let mut subscriber = Wire::connect(broker.address(), &connect)?;
        subscriber.subscribe(&topic)?;
        for payload in [b"1", b"2"] {
            let first = PUBLISH | 2 | 1;
            publisher.send(&publish_as(first, Level::V311, &topic, Some(1), payload))?;
            publisher.expect(PUBACK)?;
        }
        let got = [subscriber.message()?, subscriber.message()?];
        let told = || format!("{topic} round {round}: {got:02x?}");
        ensure!(got[0].payload() == b"1" && got[1].payload() == b"2", told());
        ensure!(got.iter().all(|message| message.first & 1 == 0), "retained: {}", told());
    }
    Ok(())
}
