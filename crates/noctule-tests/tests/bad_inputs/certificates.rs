//! Certificates, of clients and of the server.

use crate::broker::Broker;
use crate::pki::{Flaw, Pki};
use crate::programs::{Shown, openssl, paho, publishers};
use anyhow::{Result, ensure};
use noctule_tests::driver::Needs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Far beyond what a line of the log takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the programs tell.
#[derive(Debug)]
struct Told {
    openssl: String,
    pahos: Vec<String>,
    theirs: String,
    ours: String,
}

impl Told {
    /// Ours and openssl say this, and each paho-mqtt of both versions. mosquitto's client has one
    /// of three codes and no reason, as the dice fall: it succeeds, or it does not and says so.
    fn is(&self, openssl: &str, paho_1: &str, paho_2: &str, ours: &str) -> bool {
        let pahos = self.pahos.iter().enumerate();
        let mut pahos = pahos.map(|(at, told)| told == [paho_1, paho_2][at % 2]);
        let succeeds = ours.starts_with("0 ");
        let silent = self.theirs.len() < 3;
        let theirs = self.theirs.starts_with("0 ") == succeeds && silent == succeeds;
        self.openssl == openssl && pahos.all(|same| same) && theirs && self.ours == ours
    }
}

/// mosquitto's client and ours by MQTT 5, openssl, and each paho-mqtt by both versions.
fn told(pki: &Pki, address: SocketAddr, certificate: Option<&str>) -> Result<Told> {
    let folder = pki.path("");
    let shown = Shown { folder: Some(&folder), certificate, ..Shown::default() };
    let [theirs, ours] = publishers(address, "mqttv5", shown)?;
    let pahos = [paho(address, "3.1.1", shown)?, paho(address, "5", shown)?].concat();
    Ok(Told { openssl: openssl(address, shown)?, pahos, theirs, ours })
}

/// Whose certificate is shown, what openssl, paho-mqtt and `noctule pub` say, and the broker's log.
const OF_CLIENTS: [(Option<&str>, &str, &str, &str, &str); 7] = [
    (
        None,
        "alert 116",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "it wants one, and got none",
        "shows no certificate",
    ),
    (
        Some("expired"),
        "alert 45",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "expired, or not valid yet",
        "it has expired",
    ),
    (
        Some("future"),
        "alert 45",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "expired, or not valid yet",
        "it is not valid yet",
    ),
    (
        Some("purpose"),
        "alert 43",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "unsupported",
        "not for clients",
    ),
    (Some("revoked"), "alert 44", "SSLV3_ALERT_CERTIFICATE_REVOKED", "revoked", "it is revoked"),
    (
        Some("stranger"),
        "alert 51",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "a signature of it is wrong",
        "its signature is wrong",
    ),
    (
        Some("itself"),
        "alert 48",
        "TLSV1_ALERT_UNKNOWN_CA",
        "it does not know the issuer",
        "nobody whom we trust",
    ),
];

#[test]
fn of_a_client() -> Result<()> {
    let mut pki = Pki::new("bad-inputs-clients")?;
    if Needs::MosquittoClients.program().is_none() || pki.openssl("version").is_none() {
        return Ok(());
    }
    pki.client("good", None)?;
    pki.client("expired", Some(Flaw::Expired))?;
    pki.client("future", Some(Flaw::NotYetValid))?;
    pki.client("purpose", Some(Flaw::Purpose))?;
    let gone = pki.client("revoked", None)?;
    pki.client_of_a_stranger("stranger")?;
    pki.self_signed("itself")?;
    pki.revoke(vec![gone])?;
    let (ca, crl) = (pki.path("ca.crt"), pki.path("ca.crl"));
    let options = format!("client_ca = {ca:?}\ncrl = {crl:?}");
    let Broker { process, address } = Broker::start(&pki, "server", &options)?;
    let good = told(&pki, address, Some("good"))?;
    ensure!(good.is("accepted", "accepted", "accepted", "0 "), "{good:?}");
    for (name, alert, paho, ours, log) in OF_CLIENTS {
        // paho-mqtt 2 keeps to itself what TLS says.
        let before = process.log().len();
        let told = told(&pki, address, name)?;
        let ours = format!(
            "1 Error: the server refuses our certificate: {ours} (likely fix: show a client \
             certificate that the server's CA has issued)"
        );
        ensure!(told.is(alert, paho, "closed", &ours), "{name:?}: {told:?}");
        // One line a second is written.
        let began = Instant::now();
        while !process.log()[before..].contains(log) {
            ensure!(began.elapsed() < PATIENCE, "no {log:?} in {}", process.log());
            std::thread::sleep(Duration::from_millis(200));
            let folder = pki.path("");
            let shown = Shown { folder: Some(&folder), certificate: name, ..Shown::default() };
            openssl(address, shown)?;
        }
    }
    process.stop()?;
    Ok(())
}

#[test]
fn of_the_server() -> Result<()> {
    let mut pki = Pki::new("bad-inputs-servers")?;
    if Needs::MosquittoClients.program().is_none() || pki.openssl("version").is_none() {
        return Ok(());
    }
    pki.server("host", "example.com")?;
    pki.bad_server("expired", "localhost", Some(Flaw::Expired))?;
    pki.bad_server("future", "localhost", Some(Flaw::NotYetValid))?;
    pki.bad_server("purpose", "localhost", Some(Flaw::Purpose))?;
    pki.server_of_a_stranger("stranger")?;
    pki.self_signed_server("itself")?;
    for (name, openssl, paho, ours) in [
        ("server", "accepted", "accepted", "0 "),
        (
            "host",
            "num=62:hostname mismatch",
            "Hostname mismatch, certificate is not valid for 'localhost'.",
            "stands for example.com, 127.0.0.1, not for localhost (likely fix: connect by a name \
             that it holds, or have it issued for this one)",
        ),
        (
            "expired",
            "num=10:certificate has expired",
            "certificate has expired",
            "has expired on 2020-01-01 (likely fix: have it renewed, or correct the clock of this \
             machine)",
        ),
        (
            "future",
            "num=9:certificate is not yet valid",
            "certificate is not yet valid",
            "is not valid yet, but from 2090-01-01 (likely fix: correct the clock of this machine)",
        ),
        (
            "purpose",
            "num=26:unsuitable certificate purpose",
            "unsuitable certificate purpose",
            "is no good: it is not for servers",
        ),
        (
            "stranger",
            "num=7:certificate signature failure",
            "certificate signature failure",
            "has a wrong signature, or a key that is too short (likely fix: have it issued anew, \
             with a key of 2048 bits if it is RSA)",
        ),
        (
            "itself",
            "num=18:self-signed certificate",
            "self-signed certificate",
            "was issued by nobody we trust (likely fix: trust the CA that has issued it, or the \
             certificate itself if it is self-signed)",
        ),
    ] {
        let Broker { process, address } = Broker::start(&pki, name, "")?;
        let told = told(&pki, address, None)?;
        let (paho, ours) = match name {
            "server" => (paho.to_owned(), ours.to_owned()),
            _ => (
                format!("CERTIFICATE_VERIFY_FAILED: {paho}"),
                format!("1 Error: the server's certificate {ours}"),
            ),
        };
        ensure!(told.is(openssl, &paho, &paho, &ours), "{name}: {told:?}");
        process.stop()?;
    }
    Ok(())
}
