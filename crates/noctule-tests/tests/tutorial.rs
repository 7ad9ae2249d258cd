//! The living room of every MQTT tutorial, as people type it: a temperature and a humidity sensor
//! in Python, a display that comes and goes, and a sensor that dies.
//!
//! The room has the same topics in each test: another's broker must be fresh for each.

use std::process::Command;

use anyhow::{Result, ensure};
use noctule_tests::driver::{self, Needs, Terminal};
use noctule_tests::process::BrokerProcess;

/// A living room of its own for each test.
struct LivingRoom {
    broker: BrokerProcess,
}

impl LivingRoom {
    /// `None`, said aloud, where paho-mqtt is missing.
    fn enter() -> Result<Option<Self>> {
        if Needs::Paho1.program().is_none() || Needs::Paho2.program().is_none() {
            return Ok(None);
        }
        Ok(Some(Self { broker: BrokerProcess::start()? }))
    }

    fn open(&self, needs: Needs, script: &str, more: &[&str]) -> Result<Terminal> {
        let program = needs.program().expect("looked for when the room was entered");
        let address = self.broker.address();
        let mut command = Command::new(program);
        command
            .arg(driver::clients_directory().join("tutorial").join(script))
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .args(more);
        Terminal::open(script, &mut command)
    }

    fn temperature(&self) -> Result<Terminal> {
        self.open(Needs::Paho1, "temperature_sensor.py", &[])
    }

    fn humidity(&self) -> Result<Terminal> {
        self.open(Needs::Paho2, "humidity_sensor.py", &[])
    }

    fn door(&self) -> Result<Terminal> {
        self.open(Needs::Paho2, "door_sensor.py", &[])
    }

    fn display(&self, more: &[&str]) -> Result<Terminal> {
        self.open(Needs::Paho2, "livingroom_display.py", more)
    }
}

/// Types readings one by one; the sensor says when each was acknowledged.
fn report(sensor: &mut Terminal, readings: &[&str]) -> Result<()> {
    for reading in readings {
        sensor.type_line(reading)?;
        let what = reading.split(' ').next_back().expect("a line is not empty");
        sensor.expect(&[&format!("published {what}")])?;
    }
    Ok(())
}

#[test]
fn a_display_that_comes_late_finds_the_last_values() -> Result<()> {
    let Some(room) = LivingRoom::enter()? else { return Ok(()) };
    let (mut temperature, mut humidity) = (room.temperature()?, room.humidity()?);
    report(&mut temperature, &["20.5", "21.0", "21.5"])?;
    report(&mut humidity, &["40", "41"])?;

    let mut display = room.display(&[])?;
    display.expect_in_any_order(&[
        "watching",
        "home/livingroom/temperature 21.5 (retained)",
        "home/livingroom/temperature/status online (retained)",
        "home/livingroom/humidity 41 (retained)",
        "home/livingroom/humidity/status online (retained)",
    ])?;
    report(&mut temperature, &["22.0"])?;
    display.expect(&["home/livingroom/temperature 22.0"])?;
    ensure!(display.close()?.is_empty());

    report(&mut humidity, &["42", "43"])?;
    let mut display = room.display(&[])?;
    display.expect_in_any_order(&[
        "watching",
        "home/livingroom/temperature 22.0 (retained)",
        "home/livingroom/temperature/status online (retained)",
        "home/livingroom/humidity 43 (retained)",
        "home/livingroom/humidity/status online (retained)",
    ])?;
    ensure!(display.close()?.is_empty());
    Ok(())
}

#[test]
fn a_display_that_keeps_its_session_misses_no_event() -> Result<()> {
    let Some(room) = LivingRoom::enter()? else { return Ok(()) };
    let mut display = room.display(&["keep"])?;
    display.expect(&["watching"])?;
    let mut door = room.door()?;
    report(&mut door, &["0 here-0", "1 here-1", "2 here-2"])?;
    display.expect(&[
        "home/livingroom/door here-0",
        "home/livingroom/door here-1",
        "home/livingroom/door here-2",
    ])?;
    ensure!(display.close()?.is_empty());

    report(&mut door, &["0 away-0", "1 away-1", "2 away-2", "1 away-3", "2 away-4"])?;
    let mut display = room.display(&["keep"])?;
    let mut events = Vec::new();
    while events.len() < 4 {
        // QoS 0 is not queued for a client that is away, unless the broker is told to
        // (`queue_qos0`): a line with away-0, which was sent first, would make these too many.
        let line = display.next_line()?;
        if line != "watching" {
            events.push(line);
        }
    }
    // paho hands on a QoS 2 message when its hand-shake is over, so the order holds within a QoS.
    events.sort();
    let wanted = [1, 2, 3, 4].map(|n| format!("home/livingroom/door away-{n}"));
    ensure!(events == wanted, "{events:#?}");
    ensure!(display.close()?.iter().all(|line| line == "watching"));
    Ok(())
}

#[test]
fn a_sensor_that_dies_leaves_its_last_will() -> Result<()> {
    let Some(room) = LivingRoom::enter()? else { return Ok(()) };
    let (mut temperature, mut humidity) = (room.temperature()?, room.humidity()?);
    report(&mut temperature, &["21.5"])?;
    report(&mut humidity, &["41"])?;
    let mut display = room.display(&[])?;
    display.expect_in_any_order(&[
        "watching",
        "home/livingroom/temperature 21.5 (retained)",
        "home/livingroom/temperature/status online (retained)",
        "home/livingroom/humidity 41 (retained)",
        "home/livingroom/humidity/status online (retained)",
    ])?;

    temperature.kill()?;
    display.expect(&["home/livingroom/temperature/status offline"])?;
    ensure!(display.close()?.is_empty());
    // Who comes after its death finds it dead, and its last value.
    let mut display = room.display(&[])?;
    display.expect_in_any_order(&[
        "watching",
        "home/livingroom/temperature 21.5 (retained)",
        "home/livingroom/temperature/status offline (retained)",
        "home/livingroom/humidity 41 (retained)",
        "home/livingroom/humidity/status online (retained)",
    ])?;
    // The other goes home properly: no will of its.
    ensure!(humidity.close()?.is_empty());
    let mut temperature = room.temperature()?;
    display.expect(&["home/livingroom/temperature/status online"])?;
    report(&mut temperature, &["19.0"])?;
    display.expect(&["home/livingroom/temperature 19.0"])?;
    ensure!(temperature.close()?.is_empty());
    display.expect(&["home/livingroom/temperature/status asleep"])?;
    ensure!(display.close()?.is_empty());
    Ok(())
}
