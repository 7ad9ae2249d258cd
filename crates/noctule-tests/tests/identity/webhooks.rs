//! Webhooks.

use crate::client::{Client, Hello, Told, answer};
use crate::service::{Answer, Service};
use crate::{Broker, eventually};
use anyhow::{Result, ensure};
use noctule_proto::{ReasonCode, Version};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const ALLOW: &str = r#"{"result":"allow"}"#;
const UNKNOWN: &str = "who you are cannot be found out at the moment";

pub(crate) fn body(text: &str) -> Answer {
    Answer::Body(text.into())
}

/// A broker that asks the service, and with these options.
fn asking(service: &Service, options: &str) -> Result<Broker> {
    let url = format!("http://{}/auth?tenant=1", service.address);
    Broker::start(&[("token", b"s3cret\n")], &format!("[webhook]\nurl = {url:?}\n{options}\n"))
}

pub(crate) fn named<'a>(user_name: &'a str, password: &'a str) -> Hello<'a> {
    let (user_name, password) = (Some(user_name), Some(password.as_bytes()));
    Hello { user_name, password, ..Hello::default() }
}

fn ask(address: SocketAddr, user_name: &str, password: &str) -> Result<Told> {
    answer(address, &named(user_name, password))
}

fn refused(code: ReasonCode, why: &str) -> Told {
    Told::Refused(code, why.into())
}

#[test]
fn each_answer_of_a_service_has_its_meaning() -> Result<()> {
    let service = Service::start(body(ALLOW))?;
    let options = "bearer = \"token\"\ncache_allow_secs = 0\ncache_deny_secs = 0\n\
                   failures_max = 1000";
    let broker = asking(&service, options)?;
    let address = broker.address()?;
    ensure!(ask(address, "ann", "p\u{e4}ss")? == Told::Accepted);
    let asked = service.last();
    let (head, question) = asked.split_once("\r\n\r\n").unwrap_or_default();
    ensure!(head.starts_with("POST /auth?tenant=1 HTTP/1.1\r\n"), "{head}");
    ensure!(head.to_lowercase().contains("\r\nauthorization: bearer s3cret"), "{head}");
    let listener = address.to_string();
    let expected = format!(
        "{{\"ask\":\"login\",\"client_id\":\"dev\",\"common_name\":null,\"listener\":{listener:?},\
         \"password\":\"p\u{e4}ss\",\"peer\":\"127.0.0.1\",\"user_name\":\"ann\",\
         \"version\":\"5\"}}"
    );
    ensure!(question == expected, "{question}");
    let binary = Hello { password: Some(&[0xff]), version: Version::V311, ..named("ann", "") };
    ensure!(answer(address, &binary)? == Told::Accepted);
    let question = service.last();
    ensure!(question.contains("\"password_base64\":\"/w==\""), "{question}");
    ensure!(question.contains("\"version\":\"3.1.1\""), "{question}");
    let failed = || refused(ReasonCode::ServerUnavailable, UNKNOWN);
    let denied = |why: &str| refused(ReasonCode::NotAuthorized, why);
    let long = format!("{{\"result\":\"deny\",\"reason\":\"{}\"}}", "x".repeat(1000));
    let huge = format!("{{\"result\":\"allow\",\"x\":\"{}\"}}", "x".repeat(100_000));
    for (said, expected) in [
        (
            body(r#"{"result":"allow","roles":["a"],"acl":{"publish":["%c/#"]},"expires_in":60}"#),
            Told::Accepted,
        ),
        (body(r#"{"result":"deny","reason":"not on Sundays"}"#), denied("not on Sundays")),
        (body(r#"{"result":"deny"}"#), denied("not authorized")),
        (body(&long), denied("not authorized")),
        (
            body(r#"{"result":"ignore"}"#),
            refused(ReasonCode::BadUserNameOrPassword, "bad user name or password"),
        ),
        (body(r#"{"result":"perhaps"}"#), failed()),
        (body(r#"{"result":"allow","result":"deny"}"#), failed()),
        (body(r#"{"result":"allow","acl":["a"]}"#), failed()),
        (body(r#"{"result":"allow","roles":7}"#), failed()),
        (body(r#"{"result":"allow","expires_in":"soon"}"#), failed()),
        (body(r#"{"result":"allow","expires_in":-1}"#), failed()),
        (body(r#"{"result":"allow","user_name":""}"#), failed()),
        (body(&huge), failed()),
        (body("allow"), failed()),
        (body(""), failed()),
        (Answer::Status(204), failed()),
        (Answer::Status(302), failed()),
        (Answer::Status(500), failed()),
        (Answer::Garbage(b"\x16\x03\x01\x00\x00"), failed()),
        (Answer::Garbage(b""), failed()),
        (Answer::Garbage(b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"result\""), failed()),
    ] {
        service.answers(said.clone());
        let told = ask(address, "ann", "x")?;
        ensure!(told == expected, "{said:?}: {told:?}");
    }
    service.answers(body(r#"{"result":"allow","acl":{"publish":["%c/#"]}}"#));
    let wild = Hello { client_id: "a/+", ..named("ann", "x") };
    let told = answer(address, &wild)?;
    ensure!(told == denied("the name of this client cannot be a part of a topic"), "{told:?}");
    // The token that it wants to see may change.
    std::fs::write(broker.path("token"), "another-one")?;
    broker.handle.refresh_files();
    ensure!(ask(address, "ann", "x")? == Told::Accepted);
    ensure!(service.last().to_lowercase().contains("bearer another-one"), "{}", service.last());
    Ok(())
}

#[test]
fn a_client_is_let_in_for_as_long_as_the_service_says() -> Result<()> {
    let service = Service::start(body(r#"{"result":"allow","expires_in":1.5}"#))?;
    let broker = asking(&service, "")?;
    let mut client = Client::hello(broker.address()?, &named("ann", "x"))?;
    ensure!(client.told()? == Told::Accepted);
    client.ping()?;
    let why = "what proved who this client is has expired";
    let told = client.told()?;
    ensure!(told == Told::Gone(ReasonCode::MaximumConnectTime, why.into()), "{told:?}");
    // What it said then is not good for another time like that.
    ensure!(ask(broker.address()?, "ann", "x")? == Told::Accepted);
    ensure!(service.asked() == 2, "asked {} times", service.asked());
    Ok(())
}

#[test]
fn what_was_said_a_moment_ago_is_not_asked_again_and_nothing_else_is_taken_for_it() -> Result<()> {
    let service = Service::start(body(ALLOW))?;
    let broker = asking(&service, "cache_deny_secs = 1")?;
    let address = broker.address()?;
    for _ in 0..3 {
        ensure!(ask(address, "ann", "right")? == Told::Accepted);
    }
    ensure!(service.asked() == 1);
    service.answers(body(r#"{"result":"deny"}"#));
    ensure!(ask(address, "ann", "right")? == Told::Accepted);
    let denied = refused(ReasonCode::NotAuthorized, "not authorized");
    ensure!(ask(address, "ann", "wrong")? == denied);
    ensure!(ask(address, "bob", "right")? == denied);
    let other = Hello { client_id: "other", ..named("ann", "right") };
    ensure!(answer(address, &other)? == denied);
    let before = service.asked();
    ensure!(ask(address, "ann", "wrong")? == denied && service.asked() == before);
    service.answers(body(ALLOW));
    eventually("a refusal is forgotten", || Ok(ask(address, "ann", "wrong")? == Told::Accepted))
}

#[test]
fn a_service_that_fails_is_left_alone_and_tried_again() -> Result<()> {
    let service = Service::start(Answer::Status(500))?;
    let options = "failures_max = 3\nretry_secs = 1\ncache_allow_secs = 0";
    let broker = asking(&service, options)?;
    let address = broker.address()?;
    let failed = refused(ReasonCode::ServerUnavailable, UNKNOWN);
    let began = Instant::now();
    for _ in 0..20 {
        ensure!(ask(address, "ann", "x")? == failed);
    }
    // Three until nobody asks, and one for each second since.
    let most = 3 + began.elapsed().as_secs() as usize;
    ensure!((3..=most).contains(&service.asked()), "asked {} times", service.asked());
    service.answers(body(ALLOW));
    eventually("it is asked again", || Ok(ask(address, "ann", "x")? == Told::Accepted))
}

#[test]
fn a_service_that_says_nothing_keeps_nobody_else_waiting() -> Result<()> {
    let service = Service::start(Answer::Silence)?;
    let options = "timeout_millis = 300\nin_flight_max = 2\nfailures_max = 1000\n\
                   [[users]]\nname = \"known\"\nverifier = \"";
    let verifier = noctule_server::auth::Verifier::from_password("pw", 1000, b"some salt");
    let broker = asking(&service, &format!("{options}{verifier}\""))?;
    let address = broker.address()?;
    let began = Instant::now();
    let waiting: Vec<Client> = (0..10)
        .map(|at| {
            let client_id = format!("c{at}");
            Client::hello(address, &Hello { client_id: &client_id, ..named("ann", "x") })
        })
        .collect::<Result<_>>()?;
    // Who is known to somebody before it in the chain does not notice.
    ensure!(ask(address, "known", "pw")? == Told::Accepted);
    for mut client in waiting {
        let told = client.told()?;
        ensure!(told == refused(ReasonCode::ServerUnavailable, UNKNOWN), "{told:?}");
    }
    ensure!(began.elapsed() >= Duration::from_millis(300));
    Ok(())
}

#[test]
fn what_holds_while_a_service_fails_can_be_chosen() -> Result<()> {
    let service = Service::start(Answer::Status(500))?;
    for (fail, expected) in [
        ("closed", refused(ReasonCode::ServerUnavailable, UNKNOWN)),
        ("open", Told::Accepted),
        ("ignore", refused(ReasonCode::BadUserNameOrPassword, "bad user name or password")),
    ] {
        let broker = asking(&service, &format!("fail = {fail:?}"))?;
        let told = ask(broker.address()?, "ann", "x")?;
        ensure!(told == expected, "{fail}: {told:?}");
    }
    Ok(())
}

#[test]
fn a_reload_asks_another_service_and_ends_who_came_by_one_that_is_gone() -> Result<()> {
    let (one, other) = (Service::start(body(ALLOW))?, Service::start(body(ALLOW))?);
    let mut broker = asking(&one, "")?;
    let address = broker.address()?;
    let mut client = Client::hello(address, &named("ann", "x"))?;
    ensure!(client.told()? == Told::Accepted);
    broker.reload(&format!("[webhook]\nurl = \"http://{}/\"\n", other.address))?;
    let hello = Hello { client_id: "new", ..named("bob", "x") };
    eventually("the other one is asked", || {
        Ok(answer(address, &hello)? == Told::Accepted && other.asked() > 0)
    })?;
    client.ping()?;
    broker.reload("")?;
    let told = client.told()?;
    ensure!(matches!(told, Told::Gone(ReasonCode::NotAuthorized, _)), "{told:?}");
    let wrong = refused(ReasonCode::BadUserNameOrPassword, "bad user name or password");
    let told = answer(address, &hello)?;
    ensure!(told == wrong, "{told:?}");
    Ok(())
}
