//! TLS of a real broker process: who gets in, who does not and what each is told, files that
//! change, and the programs that people use.

mod broker;
mod client;
mod hostile;
#[allow(dead_code, reason = "shared with tests that need all of it")]
mod pki;

use anyhow::{Context, Result, ensure};
use broker::Broker;
use client::{Attempt, Outcome, attempt};
use noctule_tests::driver::{self, Needs};
use noctule_tests::process;
use noctule_tls::rustls::AlertDescription;
use pki::{Flaw, Pki};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn each_certificate_gets_its_answer_and_the_log_says_why() -> Result<()> {
    let mut pki = Pki::new("answers")?;
    pki.client("good", None)?;
    pki.client("expired", Some(Flaw::Expired))?;
    pki.client("future", Some(Flaw::NotYetValid))?;
    pki.client("purpose", Some(Flaw::Purpose))?;
    let gone = pki.client("gone", None)?;
    pki.client_of_a_stranger("stranger")?;
    pki.self_signed("itself")?;
    pki.revoke(vec![gone])?;
    let (ca, crl) = (pki.path("ca.crt"), pki.path("ca.crl"));
    let broker = Broker::start(&pki, "server", &format!("client_ca = {ca:?}\ncrl = {crl:?}"))?;
    let refused = |alert| Outcome::Alert(alert);
    for (name, outcome, why) in [
        (Some("good"), Outcome::Connected, ""),
        (None, refused(AlertDescription::CertificateRequired), "shows no certificate"),
        (Some("expired"), refused(AlertDescription::CertificateExpired), "it has expired"),
        (Some("future"), refused(AlertDescription::CertificateExpired), "it is not valid yet"),
        (Some("purpose"), refused(AlertDescription::UnsupportedCertificate), "not for clients"),
        (Some("gone"), refused(AlertDescription::CertificateRevoked), "it is revoked"),
        (Some("stranger"), refused(AlertDescription::DecryptError), "its signature is wrong"),
        (Some("itself"), refused(AlertDescription::UnknownCA), "nobody whom we trust"),
    ] {
        // One line a second is written.
        let before = broker.process.log().len();
        loop {
            let got = attempt(&pki, broker.address, &Attempt { name, ..Attempt::default() })?;
            ensure!(got == outcome, "{name:?}: {got:?}, not {outcome:?}");
            if broker.process.log()[before..].contains(why) {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    broker.process.stop()?;
    Ok(())
}

#[test]
fn an_optional_certificate_may_be_missing_but_not_bad() -> Result<()> {
    let mut pki = Pki::new("optional")?;
    pki.client("good", None)?;
    pki.client("expired", Some(Flaw::Expired))?;
    let ca = pki.path("ca.crt");
    let options = format!(
        "client_ca = {ca:?}\nclient_certificates = \"optional\"\nuser_name_from = \"common_name\""
    );
    let broker = Broker::start(&pki, "server", &options)?;
    let outcome = |name| attempt(&pki, broker.address, &Attempt { name, ..Attempt::default() });
    assert_eq!(outcome(None)?, Outcome::Connected);
    assert_eq!(outcome(Some("good"))?, Outcome::Connected);
    assert_eq!(outcome(Some("expired"))?, Outcome::Alert(AlertDescription::CertificateExpired));
    broker.await_log("user_name=\"good\"", 1)
}

#[test]
fn a_certificate_names_its_client_and_binds_its_client_id() -> Result<()> {
    let mut pki = Pki::new("bound")?;
    pki.client("ann", None)?;
    let ca = pki.path("ca.crt");
    for (from, name, other) in [("common_name", "ann", "CN=ann"), ("subject", "CN=ann", "ann")] {
        let options =
            format!("client_ca = {ca:?}\nuser_name_from = {from:?}\nbind_client_id = true");
        let broker = Broker::start(&pki, "server", &options)?;
        let port = broker.address.port().to_string();
        let publish = |id: &str| -> Result<std::process::Output> {
            let mut command = Command::new(process::binary()?);
            command.args(["pub", "-h", "localhost", "-p", &port, "-i", id, "-t", "x", "-m", "y"]);
            command.arg("--cafile").arg(&ca).args(["-V", "5"]);
            command.arg("--cert").arg(pki.path("ann.crt"));
            command.arg("--key").arg(pki.path("ann.key"));
            Ok(command.output()?)
        };
        let let_in = publish(name)?;
        ensure!(let_in.status.success(), "{let_in:?}");
        broker.await_log(&format!("user_name=\"{name}\""), 1)?;
        let refused = publish(other)?;
        ensure!(refused.status.code() == Some(0x85), "{refused:?}");
        broker.await_log("the client identifier is not the name in the certificate", 1)?;
    }
    Ok(())
}

#[test]
fn what_speaks_the_other_language_is_named() -> Result<()> {
    let pki = Pki::new("languages")?;
    let broker = Broker::start(&pki, "server", "")?;
    let plain = broker.process.address();
    let mut stream = TcpStream::connect(broker.address)?;
    client::write_connect(&mut stream)?;
    broker.await_log("the client speaks MQTT without TLS", 1)?;
    let outcome = attempt(&pki, plain, &Attempt::default())?;
    ensure!(matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
    broker.await_log("the client speaks TLS, and its listener does not", 1)
}

#[test]
fn old_versions_and_unknown_protocols_are_refused() -> Result<()> {
    let pki = Pki::new("versions")?;
    let broker = Broker::start(&pki, "server", "minimum_version = \"1.3\"")?;
    let outcome = |attempt_: Attempt<'_>| attempt(&pki, broker.address, &attempt_);
    let old = Attempt { only_tls12: true, ..Attempt::default() };
    assert_eq!(outcome(old)?, Outcome::Alert(AlertDescription::ProtocolVersion));
    let other = Attempt { alpn: Some("h2"), ..Attempt::default() };
    assert_eq!(outcome(other)?, Outcome::Alert(AlertDescription::NoApplicationProtocol));
    let mqtt = Attempt { alpn: Some("mqtt"), ..Attempt::default() };
    assert_eq!(outcome(mqtt)?, Outcome::Connected);
    Ok(())
}

#[test]
fn changed_files_count_for_new_connections_and_nobody_is_dropped() -> Result<()> {
    let mut pki = Pki::new("reload")?;
    let broker = Broker::start(&pki, "server", "")?;
    let mut open = client::connect(&pki, broker.address, &Attempt::default())?;
    let before = open.certificate()?;
    pki.server("server", "localhost")?;
    broker.await_log("has its files anew", 1)?;
    let mut new = client::connect(&pki, broker.address, &Attempt::default())?;
    ensure!(new.certificate()? != before, "the new certificate is shown");
    // What is of no use changes nothing.
    pki.write("server.key", "no key")?;
    broker.await_log("there is no private key in it", 1)?;
    let mut newest = client::connect(&pki, broker.address, &Attempt::default())?;
    for client in [&mut open, &mut new, &mut newest] {
        client.ping()?;
    }
    Ok(())
}

#[test]
fn sessions_are_resumed_in_both_versions() -> Result<()> {
    let mut pki = Pki::new("resumed")?;
    pki.client("good", None)?;
    let ca = pki.path("ca.crt");
    let broker = Broker::start(&pki, "server", &format!("client_ca = {ca:?}"))?;
    for only_tls12 in [false, true] {
        let attempt = Attempt { name: Some("good"), only_tls12, ..Attempt::default() };
        let config = client::config(&pki, &attempt)?;
        let kinds = (0..2).map(|_| {
            let mut client = client::connect_with(&config, broker.address)?;
            client.ping()?;
            Ok(client.is_resumed())
        });
        let kinds: Vec<bool> = kinds.collect::<Result<_>>()?;
        assert_eq!(kinds, [false, true], "TLS 1.2 only: {only_tls12}");
    }
    Ok(())
}

#[test]
fn files_of_no_use_stop_the_start_and_are_named() -> Result<()> {
    let mut pki = Pki::new("useless")?;
    pki.server("other", "localhost")?;
    pki.write("text", "no certificate")?;
    let binary = process::binary()?;
    for (certificate, key, said) in [
        ("missing.crt", "server.key", "missing.crt: No such file"),
        ("text", "server.key", "text: there is no certificate in it"),
        ("server.crt", "text", "text: there is no private key in it"),
        ("server.crt", "other.key", "other.key is not that of the certificate"),
    ] {
        pki.write(
            "noctule.toml",
            &format!(
                "[[listener]]\nport = 0\n[listener.tls]\ncertificate = {certificate:?}\n\
                 key = {key:?}\n[admin]\nenabled = false\n"
            ),
        )?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--memory", "-c"]).arg(pki.path("noctule.toml"));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && text.contains(said), "{certificate} {key}: {text}");
        let mut command = Command::new(&binary);
        command.args(["config", "check"]).arg(pki.path("noctule.toml"));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && text.contains(said), "check of {certificate}: {text}");
    }
    Ok(())
}

/// The recipes of mosquitto's manual and of common tutorials, with mosquitto's own client,
/// paho-mqtt and ours.
#[test]
fn what_openssl_makes_by_the_usual_recipes_is_taken() -> Result<()> {
    let Some(_) = Needs::MosquittoClients.program() else { return Ok(()) };
    let pki = Pki::new("recipes")?;
    // One that signs itself, says that it is a CA's, and serves.
    let made = pki.openssl(
        "req -new -x509 -days 365 -nodes -out self.crt -keyout self.key -subj /CN=localhost",
    );
    let Some(_) = made else { return Ok(()) };
    pki.write_ca_key()?;
    for (name, subject) in [("v1server", "/CN=localhost"), ("v1client", "/CN=meter-7")] {
        pki.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj {subject}"
        ));
        pki.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt \
             -days 30"
        ));
        let text = pki.openssl(&format!("x509 -in {name}.crt -noout -text")).unwrap_or_default();
        ensure!(text.contains("Version: 1"), "{text}");
    }
    a_certificate_without_extensions_is_taken_back(&pki)?;
    for (server, ca) in [("self", "self.crt"), ("v1server", "ca.crt")] {
        for end in ["crt", "key"] {
            std::fs::copy(
                pki.path(&format!("{server}.{end}")),
                pki.path(&format!("server.{end}")),
            )?;
        }
        let client_ca = pki.path("ca.crt");
        let options = format!("client_ca = {client_ca:?}\nuser_name_from = \"common_name\"");
        let broker = Broker::start(&pki, "server", &options)?;
        let ours = process::binary()?;
        let programs = [(Path::new("mosquitto_pub"), None), (&*ours, Some("pub"))];
        for (version, (program, word)) in
            ["mqttv311", "mqttv5"].into_iter().flat_map(|it| programs.map(|program| (it, program)))
        {
            let mut command = Command::new(program);
            command.args(word);
            command.args(["-h", "localhost", "-p", &broker.address.port().to_string()]);
            command.args(["-V", version, "-q", "2", "-t", "a", "-m", "b", "--cafile"]);
            command.arg(pki.path(ca)).arg("--cert").arg(pki.path("v1client.crt"));
            driver::run(command.arg("--key").arg(pki.path("v1client.key")))?;
        }
        let pahos = paho_gets_in(&broker, &pki, ca)?;
        broker.await_log("user_name=\"meter-7\"", 4 + pahos)?;
    }
    Ok(())
}

/// Each paho-mqtt that is here, in both versions; answers how often that was.
fn paho_gets_in(broker: &Broker, pki: &Pki, ca: &str) -> Result<usize> {
    let mut times = 0;
    for program in [Needs::Paho1, Needs::Paho2].into_iter().filter_map(Needs::program) {
        for version in ["3.1.1", "5"] {
            let mut command = Command::new(&program);
            command.arg(driver::clients_directory().join("paho/refused.py"));
            command.args(["localhost", &broker.address.port().to_string(), version]);
            command.args([&format!("ca={ca}"), "own=v1client"]).current_dir(pki.path(""));
            let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output()?;
            let told = String::from_utf8_lossy(&output.stdout);
            ensure!(told.trim() == "accepted", "{version}: {told} {output:?}");
            times += 1;
        }
    }
    Ok(times)
}

/// The list of its CA counts, though webpki never sees it.
fn a_certificate_without_extensions_is_taken_back(pki: &Pki) -> Result<()> {
    let (ca, crl) = (pki.path("ca.crt"), pki.path("ca.crl"));
    pki.revoke(vec![pki.serial("v1server").context("openssl tells it")?])?;
    let broker = Broker::start(pki, "server", &format!("client_ca = {ca:?}\ncrl = {crl:?}"))?;
    let show =
        |name| attempt(pki, broker.address, &Attempt { name: Some(name), ..Attempt::default() });
    ensure!(show("v1client")? == Outcome::Connected, "another one is still good");
    ensure!(show("v1server")? == Outcome::Alert(AlertDescription::CertificateRevoked), "revoked");
    Ok(())
}

#[test]
fn a_ca_in_a_folder_counts_once_its_file_is_written_anew() -> Result<()> {
    let mut pki = Pki::new("folder")?;
    pki.client("good", None)?;
    let folder = pki.path("cas");
    std::fs::create_dir(&folder)?;
    let stranger = Pki::new("folder-stranger")?;
    std::fs::copy(stranger.path("ca.crt"), folder.join("ca.crt"))?;
    let broker = Broker::start(&pki, "server", &format!("client_ca = {folder:?}"))?;
    let good = Attempt { name: Some("good"), ..Attempt::default() };
    let before = attempt(&pki, broker.address, &good)?;
    ensure!(matches!(before, Outcome::Alert(_)), "{before:?}");
    // In place: the folder itself does not change.
    std::fs::write(folder.join("ca.crt"), std::fs::read(pki.path("ca.crt"))?)?;
    broker.await_log("has its files anew", 1)?;
    assert_eq!(attempt(&pki, broker.address, &good)?, Outcome::Connected);
    Ok(())
}

#[test]
fn paho_talks_over_tls_and_believes_nobody_else() -> Result<()> {
    let mut pki = Pki::new("paho")?;
    pki.client("good", None)?;
    pki.client_of_a_stranger("stranger")?;
    let ca = pki.path("ca.crt");
    let broker = Broker::start(&pki, "server", &format!("client_ca = {ca:?}"))?;
    for needs in [Needs::Paho1, Needs::Paho2] {
        let Some(program) = needs.program() else { continue };
        for version in ["3.1.1", "5"] {
            let mut command = Command::new(&program);
            command.arg(driver::clients_directory().join("paho/tls.py"));
            command.args(["localhost", &broker.address.port().to_string(), version]);
            command.args(["ca.crt", "good", "stranger"]).current_dir(pki.path(""));
            driver::run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
        }
    }
    Ok(())
}
