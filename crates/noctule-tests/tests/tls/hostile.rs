//! Those who want too much of TLS, or too little: storms of handshakes, handshakes that are never
//! ended, and readers that do not read.

use crate::Broker;
use crate::client::{self, Attempt};
use crate::pki::Pki;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_storm_of_handshakes_drops_nobody_and_lets_all_in() -> Result<()> {
    const EACH: usize = 60;
    let mut pki = Pki::new("storm")?;
    pki.client("good", None)?;
    let ca = pki.path("ca.crt");
    let broker = Broker::start(&pki, "server", &format!("client_ca = {ca:?}"))?;
    let attempt = Attempt { name: Some("good"), ..Attempt::default() };
    let mut inside = client::connect(&pki, broker.address, &attempt)?;
    std::thread::scope(|scope| {
        let storms: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    for _ in 0..EACH {
                        // Made anew, so that nothing is resumed.
                        client::connect(&pki, broker.address, &attempt)?.ping()?;
                    }
                    Ok(())
                })
            })
            .collect();
        while storms.iter().any(|storm| !storm.is_finished()) {
            inside.ping().context("who is in stays in")?;
        }
        storms.into_iter().try_for_each(|storm| storm.join().expect("it does not panic"))
    })
}

#[test]
fn a_handshake_that_is_not_ended_is_cut() -> Result<()> {
    let pki = Pki::new("unended")?;
    let broker = Broker::start(&pki, "server", "\n[limits]\nconnect_timeout_secs = 1")?;
    // Nothing, half a header, a header whose hello never comes, half a hello.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 7, 7, 7];
    for bytes in [&hello[..0], &hello[..3], &hello[..5], &hello[..]] {
        let mut streams: Vec<TcpStream> = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(broker.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.write_all(bytes)?;
            streams.push(stream);
        }
        for mut stream in streams {
            let ended = stream.read(&mut [0; 64]);
            let cut = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
            ensure!(matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(cut), "{ended:?}");
        }
    }
    client::connect(&pki, broker.address, &Attempt::default())?.ping()
}

#[test]
fn who_reads_late_gets_every_byte() -> Result<()> {
    const MESSAGES: u8 = 40;
    const LEN: usize = 500_000;
    let pki = Pki::new("late")?;
    let broker = Broker::start(&pki, "server", "")?;
    let mut reader = client::connect(&pki, broker.address, &Attempt::default())?;
    reader.subscribe("late", 1)?;
    let mut publisher = client::connect(&pki, broker.address, &Attempt::default())?;
    for number in 0..MESSAGES {
        publisher.publish("late", u16::from(number) + 1, &vec![number; LEN])?;
    }
    for number in 0..MESSAGES {
        let payload = reader.read_publish("late")?;
        ensure!(payload == vec![number; LEN], "message {number} arrives whole");
    }
    reader.ping()
}
