//! The clients that people use, against a real broker process: paho-mqtt 1.6 and 2.x, the mosquitto
//! command line, MQTT.js and rumqttc, in every version of MQTT that they speak.
//!
//! `clients/setup.sh` brings them; what is missing is skipped aloud. Each also runs by hand:
//! `target/clients/paho2/bin/python crates/noctule-tests/clients/paho/will.py 127.0.0.1 1883 5`.
//!
//! The checks are those of the standard, so not every broker passes. mosquitto 2.0.11 does not:
//!
//! * sends no 0x8E when a session is taken over (MQTT.js, rumqttc)
//! * has more QoS 2 messages in flight than the client's receive maximum (MQTT.js, `mosquitto_sub`)
//! * sends retained messages to shared subscriptions (paho)
//! * loses what a dead member of a share group had not acknowledged (paho)
//! * drops QoS 2 messages of MQTT 3.x when more than 20 are in flight at once (MQTT.js)

mod rumqttc_v4;
mod rumqttc_v5;
mod rumqttc_v5_connections;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use noctule_tests::driver::{self, Needs};
use noctule_tests::process::BrokerProcess;

const ALL: &[&str] = &["3.1", "3.1.1", "5"];
const V5: &[&str] = &["5"];

/// Runs a script once for each version, all at once, against one broker.
fn drive(needs: Needs, script: &str, versions: &[&str]) -> Result<()> {
    let Some(program) = needs.program() else { return Ok(()) };
    let broker = BrokerProcess::start()?;
    let script = driver::clients_directory().join(script);
    let outcome = std::thread::scope(|scope| {
        let runs: Vec<_> = versions
            .iter()
            .map(|version| scope.spawn(|| run(&program, &script, &broker, version)))
            .collect();
        runs.into_iter().try_for_each(|run| run.join().expect("a run does not panic"))
    });
    broker.explain(outcome)
}

fn run(program: &Path, script: &Path, broker: &BrokerProcess, version: &str) -> Result<()> {
    let address = broker.address();
    driver::run(
        Command::new(program)
            .arg(script)
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .arg(version)
            // The sources of this repository are no place for compiled ones.
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

macro_rules! drives {
    ($($name:ident: $needs:ident, $script:literal, $versions:expr;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            drive(Needs::$needs, $script, $versions)
        })*
    };
}

drives! {
    paho_1_round_trip: Paho1, "paho/round_trip.py", ALL;
    paho_1_retained: Paho1, "paho/retained.py", ALL;
    paho_1_will: Paho1, "paho/will.py", ALL;
    paho_1_persistent_session: Paho1, "paho/persistent_session.py", ALL;
    paho_1_messages_of_v5: Paho1, "paho/v5_messages.py", V5;
    paho_1_connections_of_v5: Paho1, "paho/v5_connections.py", V5;
    paho_2_round_trip: Paho2, "paho/round_trip.py", ALL;
    paho_2_retained: Paho2, "paho/retained.py", ALL;
    paho_2_will: Paho2, "paho/will.py", ALL;
    paho_2_persistent_session: Paho2, "paho/persistent_session.py", ALL;
    paho_2_messages_of_v5: Paho2, "paho/v5_messages.py", V5;
    paho_2_connections_of_v5: Paho2, "paho/v5_connections.py", V5;
    mosquitto_round_trip: MosquittoClients, "mosquitto/round_trip.sh", ALL;
    mosquitto_retained: MosquittoClients, "mosquitto/retained.sh", ALL;
    mosquitto_will: MosquittoClients, "mosquitto/will.sh", ALL;
    mosquitto_persistent_session: MosquittoClients, "mosquitto/persistent_session.sh", ALL;
    mosquitto_sessions: MosquittoClients, "mosquitto/sessions.sh", ALL;
    mosquitto_properties_of_v5: MosquittoClients, "mosquitto/v5_properties.sh", V5;
    mqttjs_any_version: MqttJs, "mqttjs/any_version.mjs", ALL;
    mqttjs_version_5: MqttJs, "mqttjs/version_5.mjs", V5;
}
