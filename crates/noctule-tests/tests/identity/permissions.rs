//! What a webhook says that clients may do whom others let in.

use crate::client::{Action, Client, Told, answer};
use crate::service::{Answer, Service};
use crate::webhooks::{body, named};
use crate::{Broker, eventually};
use anyhow::{Result, ensure};
use noctule_proto::ReasonCode;
use std::time::Duration;

/// What a client may be said to have for it.
const OWN: &str = r#"{"result":"allow","acl":{"publish":["own/%u/#"],"subscribe":["read/#"]}}"#;
const LESS: &str = r#"{"result":"allow","acl":{"subscribe":["read/#"]}}"#;
const REFUSED: &str = r#"{"result":"deny","reason":"has not paid"}"#;

/// A broker that knows a user, and asks the service what it may do; with these options.
fn asking(service: &Service, options: &str) -> Result<Broker> {
    let verifier = noctule_server::auth::Verifier::from_password("pw", 1000, b"some salt");
    let tables = format!(
        "authenticators = [\"password\"]\n[webhook]\nurl = \"http://{}/\"\npermissions = true\n\
         {options}\n[[users]]\nname = \"ann\"\nverifier = \"{verifier}\"\n",
        service.address
    );
    Broker::start(&[], &tables)
}

fn connected(broker: &Broker) -> Result<Client> {
    let mut client = Client::hello(broker.address()?, &named("ann", "pw"))?;
    let told = client.told()?;
    ensure!(told == Told::Accepted, "{told:?}");
    Ok(client)
}

#[test]
fn who_is_let_in_by_others_may_do_what_the_service_says() -> Result<()> {
    let service = Service::start(body(OWN))?;
    let broker = asking(&service, "cache_allow_secs = 0\ncache_deny_secs = 0")?;
    let address = broker.address()?;
    let wrong =
        Told::Refused(ReasonCode::BadUserNameOrPassword, "bad user name or password".to_owned());
    ensure!(answer(address, &named("ann", "guess"))? == wrong);
    ensure!(answer(address, &named("bob", "pw"))? == wrong);
    ensure!(service.asked() == 0, "it is not asked about those who are not let in");
    let mut client = connected(&broker)?;
    let question = service.last();
    ensure!(question.contains("\"ask\":\"permissions\""), "{question}");
    ensure!(question.contains("\"password\":null,"), "{question}");
    ensure!(question.contains("\"user_name\":\"ann\""), "{question}");
    ensure!(client.may(Action::Publish, "own/ann/x")?);
    ensure!(!client.may(Action::Publish, "own/bob/x")?);
    ensure!(client.may(Action::Subscribe, "read/x/#")?);
    ensure!(!client.may(Action::Subscribe, "#")?);
    service.answers(body(REFUSED));
    let told = answer(address, &named("ann", "pw"))?;
    ensure!(told == Told::Refused(ReasonCode::NotAuthorized, "has not paid".into()), "{told:?}");
    // Nothing is said, and there are no other rules.
    service.answers(body(r#"{"result":"ignore"}"#));
    let mut client = connected(&broker)?;
    ensure!(client.may(Action::Publish, "any/thing")?);
    Ok(())
}

#[test]
fn what_holds_while_the_service_fails_can_be_chosen() -> Result<()> {
    let service = Service::start(Answer::Status(500))?;
    let why = "what you may do cannot be found out at the moment";
    for (fail, expected) in [
        ("closed", Told::Refused(ReasonCode::ServerUnavailable, why.to_owned())),
        ("open", Told::Accepted),
        ("ignore", Told::Accepted),
    ] {
        let broker = asking(&service, &format!("fail = {fail:?}"))?;
        let told = answer(broker.address()?, &named("ann", "pw"))?;
        ensure!(told == expected, "{fail}: {told:?}");
    }
    Ok(())
}

#[test]
fn a_client_that_stays_is_asked_about_again() -> Result<()> {
    let service = Service::start(body(OWN))?;
    let options = "cache_allow_secs = 0\ncache_deny_secs = 0\npermissions_secs = 1\n\
                   failures_max = 1000";
    let broker = asking(&service, options)?;
    let mut client = connected(&broker)?;
    ensure!(client.may(Action::Publish, "own/ann/x")?);
    service.answers(body(LESS));
    eventually("it may do less", || Ok(!client.may(Action::Publish, "own/ann/x")?))?;
    ensure!(client.may(Action::Subscribe, "read/#")?);
    // What is not known any more stays as it was.
    service.answers(Answer::Status(500));
    let before = service.asked();
    eventually("the service fails", || Ok(service.asked() >= before + 2))?;
    ensure!(!client.may(Action::Publish, "own/ann/x")?);
    ensure!(client.may(Action::Subscribe, "read/#")?);
    service.answers(body(OWN));
    eventually("it may do more", || client.may(Action::Publish, "own/ann/x"))?;
    service.answers(body(REFUSED));
    let told = client.told()?;
    ensure!(told == Told::Gone(ReasonCode::NotAuthorized, "has not paid".into()), "{told:?}");
    // Nobody asks about those who are gone.
    std::thread::sleep(Duration::from_millis(100));
    let before = service.asked();
    std::thread::sleep(Duration::from_millis(1500));
    ensure!(service.asked() == before);
    Ok(())
}

#[test]
fn what_the_service_let_in_is_asked_about_again_too() -> Result<()> {
    let service = Service::start(body(OWN))?;
    let tables = format!(
        "[webhook]\nurl = \"http://{}/\"\npermissions = true\npermissions_secs = 1\n\
         cache_allow_secs = 0\n",
        service.address
    );
    let broker = Broker::start(&[], &tables)?;
    let mut client = connected(&broker)?;
    ensure!(service.asked() == 1, "its first answer said it all");
    ensure!(client.may(Action::Publish, "own/ann/x")?);
    service.answers(body(LESS));
    eventually("it may do less", || Ok(!client.may(Action::Publish, "own/ann/x")?))?;
    ensure!(service.last().contains("\"ask\":\"permissions\""), "{}", service.last());
    Ok(())
}
