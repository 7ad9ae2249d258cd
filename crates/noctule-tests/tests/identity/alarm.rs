//! A service that is told of what is found.

use crate::client::{Hello, Told, answer};
use crate::service::{Answer, Service};
use crate::webhooks::named;
use crate::{Broker, eventually};
use anyhow::{Result, ensure};
use noctule_proto::ReasonCode;
use std::net::SocketAddr;

/// Guesses passwords until that is a finding.
fn attack(address: SocketAddr, hello: &Hello<'_>) -> Result<()> {
    for _ in 0..12 {
        let told = answer(address, hello)?;
        ensure!(matches!(told, Told::Refused(ReasonCode::BadUserNameOrPassword, _)), "{told:?}");
    }
    Ok(())
}

#[test]
fn a_finding_is_posted_and_tried_again_until_the_service_takes_it() -> Result<()> {
    let service = Service::start(Answer::Status(503))?;
    let tables = |address: SocketAddr| {
        let verifier = noctule_server::auth::Verifier::from_password("pw", 1000, b"some salt");
        format!(
            "[[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\n[defence]\n\
             alert_url = \"http://{address}/alert?key=1\"\nalert_bearer = \"token\"\n\
             user_failures_max = 0"
        )
    };
    let mut broker = Broker::start(&[("token", b"s3cret\n")], &tables(service.address))?;
    let address = broker.address()?;
    attack(address, &named("bob", "guess"))?;
    eventually("it is posted", || Ok(service.asked() > 0))?;
    service.answers(Answer::Status(204));
    eventually("it is posted again", || Ok(service.asked() > 1))?;
    let asked = service.last();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap_or_default();
    ensure!(head.starts_with("POST /alert?key=1 HTTP/1.1\r\n"), "{head}");
    ensure!(head.to_lowercase().contains("\r\nauthorization: bearer s3cret"), "{head}");
    ensure!(body.contains("\"kind\":\"auth_failures\""), "{body}");
    ensure!(body.contains("\"address\":\"127.0.0.1\""), "{body}");
    // Another service from here on.
    let other = Service::start(Answer::Status(200))?;
    let before = service.asked();
    broker.reload(&tables(other.address))?;
    eventually("the other one is told", || {
        attack(address, &named("bob", "guess"))?;
        Ok(other.asked() > 0)
    })?;
    ensure!(service.asked() == before, "{} and then {}", before, service.asked());
    Ok(())
}

#[test]
fn a_broker_that_cannot_tell_anybody_does_not_start() -> Result<()> {
    let tables = "[defence]\nalert_url = \"https://localhost/\"\nalert_bearer = \"nowhere\"\n";
    let error = Broker::start(&[], tables).err().map(|error| format!("{error:#}"));
    let error = error.unwrap_or_default();
    ensure!(error.ends_with("(defence.alert_bearer)"), "{error}");
    Ok(())
}
