//! Tokens.

use crate::client::{Action, Client, Hello, Told, answer};
use crate::service::{Answer, Service};
use crate::signer::{Signer, coded, in_secs, key_set, with_secret};
use crate::{Broker, eventually};
use anyhow::{Result, ensure};
use noctule_proto::{ReasonCode, Version};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SECRET: &[u8] = b"a secret of thirty-two bytes ...";
const HS256: &str = r#"{"alg":"HS256"}"#;

fn claims(secs: i64) -> String {
    format!(r#"{{"iss":"joe","aud":"mqtt","sub":"ann","exp":{}}}"#, in_secs(secs))
}

fn by_password(address: SocketAddr, token: &str) -> Result<Told> {
    let hello =
        Hello { user_name: Some("any"), password: Some(token.as_bytes()), ..Hello::default() };
    answer(address, &hello)
}

fn refused(code: ReasonCode, why: &str) -> Told {
    Told::Refused(code, why.into())
}

#[test]
fn each_bad_token_is_told_what_is_wrong_with_it_in_both_versions_and_ways() -> Result<()> {
    let tables = "[jwt]\nissuer = \"joe\"\naudience = \"mqtt\"\nsecret = \"secret\"\n";
    let broker = Broker::start(&[("secret", SECRET)], tables)?;
    let address = broker.address()?;
    let sign = |claims: &str| with_secret(HS256, claims, SECRET);
    let good = sign(&claims(60));
    let other = |from: &str, to: &str| sign(&claims(60).replace(from, to));
    let none = format!("{}.{}.", coded(r#"{"alg":"none"}"#), coded(claims(60)));
    let expiry = format!("\"exp\":{}", in_secs(60));
    for (token, why) in [
        (sign(&claims(-60)), "the token has expired"),
        (
            other("\"sub\"", &format!("\"nbf\":{},\"sub\"", in_secs(100))),
            "the token is not valid yet",
        ),
        (none, "the token is signed by an algorithm unknown here"),
        (other("mqtt", "http"), "the token is for another audience"),
        (other("joe", "jim"), "the token's issuer is unknown here"),
        (other(&expiry, "\"x\":1"), "the token has no expiry time"),
        (
            other("\"sub\":\"ann\"", "\"sub\":1"),
            "a claim of the token is missing or of the wrong kind",
        ),
        (
            other("\"sub\"", "\"acl\":[],\"sub\""),
            "the permissions of the token cannot be understood",
        ),
        (other("\"sub\"", "\"sub\":\"root\",\"sub\""), "the token is malformed"),
        (
            with_secret(r#"{"alg":"RS256"}"#, &claims(60), SECRET),
            "the token's algorithm is not one of its key",
        ),
        (with_secret(HS256, &claims(60), b"another"), "the token's signature is wrong"),
        (good[..good.len() - 3].to_owned(), "the token's signature is wrong"),
        (good[..good.len() - 50].to_owned(), "the token is malformed"),
        (format!("{good}!"), "the token is malformed"),
        (
            other("\"sub\"", &format!("\"x\":\"{}\",\"sub\"", "x".repeat(20_000))),
            "the token is too long",
        ),
    ] {
        let told = by_password(address, &token)?;
        ensure!(told == refused(ReasonCode::BadUserNameOrPassword, why), "{told:?}, not {why}");
        let method = Some(("JWT", token.as_bytes()));
        let told = answer(address, &Hello { method, ..Hello::default() })?;
        ensure!(told == refused(ReasonCode::NotAuthorized, why), "{told:?}, not {why}");
        let hello = Hello { version: Version::V311, user_name: Some("any"), ..Hello::default() };
        let told = answer(address, &Hello { password: Some(token.as_bytes()), ..hello })?;
        ensure!(matches!(told, Told::Refused(ReasonCode::NotAuthorized, _)), "{why}: {told:?}");
    }
    ensure!(by_password(address, &good)? == Told::Accepted);
    let without_name = Hello { password: Some(good.as_bytes()), ..Hello::default() };
    ensure!(answer(address, &without_name)? == Told::Accepted);
    let method = Some(("JWT", good.as_bytes()));
    ensure!(answer(address, &Hello { method, ..Hello::default() })? == Told::Accepted);
    // What does not want to be a token is nobody's.
    let wrong = "bad user name or password";
    ensure!(by_password(address, "x.y.z")? == refused(ReasonCode::BadUserNameOrPassword, wrong));
    let told = answer(address, &Hello { method: Some(("K5", b"")), ..Hello::default() })?;
    let methods = "the authentication methods of this server are SCRAM-SHA-256, JWT";
    ensure!(told == refused(ReasonCode::BadAuthenticationMethod, methods), "{told:?}");
    Ok(())
}

#[test]
fn a_connection_ends_with_its_token_unless_a_fresh_one_comes_in_time() -> Result<()> {
    let tables = "[jwt]\nsecret = \"secret\"\nleeway_secs = 0\n";
    let broker = Broker::start(&[("secret", SECRET)], tables)?;
    let address = broker.address()?;
    let token = |secs| with_secret(HS256, &claims(secs), SECRET);
    let connect = |hello: &Hello<'_>| -> Result<Client> {
        let mut client = Client::hello(address, hello)?;
        let told = client.told()?;
        ensure!(told == Told::Accepted, "{told:?}");
        Ok(client)
    };
    let began = Instant::now();
    let short = token(3);
    let named = |client_id, version| Hello {
        version,
        client_id,
        user_name: Some("a"),
        password: Some(short.as_bytes()),
        method: None,
    };
    let mut stays = connect(&Hello {
        client_id: "stays",
        method: Some(("JWT", short.as_bytes())),
        ..Hello::default()
    })?;
    let mut goes = connect(&named("goes", Version::V5))?;
    let mut old = connect(&named("old", Version::V311))?;
    stays.authenticate_again("JWT", token(3600).as_bytes())?;
    ensure!(stays.told()? == Told::Auth(ReasonCode::Success));
    goes.ping()?;
    old.ping()?;
    let why = "what proved who this client is has expired";
    let told = goes.told()?;
    ensure!(told == Told::Gone(ReasonCode::MaximumConnectTime, why.into()), "{told:?}");
    ensure!(began.elapsed() > Duration::from_millis(1500), "it was gone too early");
    ensure!(goes.told()? == Told::Closed);
    ensure!(old.told()? == Told::Closed);
    stays.ping()?;
    // Somebody else's token does not do, nor one that is no good.
    let others = with_secret(HS256, &claims(60).replace("ann", "bob"), SECRET);
    for (token, why) in [
        (others, "another user name than before"),
        (token(-60), "the token has expired"),
        (String::new(), "the token is malformed"),
    ] {
        let mut client = connect(&Hello {
            client_id: "again",
            method: Some(("JWT", short_lived(3600).as_bytes())),
            ..Hello::default()
        })?;
        client.authenticate_again("JWT", token.as_bytes())?;
        let told = client.told()?;
        ensure!(told == Told::Gone(ReasonCode::NotAuthorized, why.into()), "{told:?}");
    }
    stays.ping()
}

fn short_lived(secs: i64) -> String {
    with_secret(HS256, &claims(secs), SECRET)
}

#[test]
fn a_token_says_what_its_bearer_may_do_itself_and_by_its_roles() -> Result<()> {
    use Action::{Publish, Subscribe};
    let tables = "[jwt]\nsecret = \"secret\"\n\
                  [[role]]\nname = \"reader\"\n\
                  [[role.rule]]\nallow = [\"subscribe\", \"receive\"]\ntopics = [\"news/#\"]\n";
    let broker = Broker::start(&[("secret", SECRET)], tables)?;
    let acl = r#""acl":{"publish":["up/%c/#"],"subscribe":["down/%u"],"deny":["up/dev/x"]}"#;
    let more = format!("{acl},\"roles\":\"reader\",\"sub\"");
    let token = with_secret(HS256, &claims(60).replace("\"sub\"", &more), SECRET);
    let hello = Hello { password: Some(token.as_bytes()), ..Hello::default() };
    let mut client = Client::hello(broker.address()?, &hello)?;
    ensure!(client.told()? == Told::Accepted);
    for (what, topic, may) in [
        (Publish, "up/dev/a", true),
        (Publish, "up/dev/x", false),
        (Publish, "up/other/a", false),
        (Publish, "down/ann", false),
        (Publish, "news/a", false),
        (Subscribe, "down/ann", true),
        (Subscribe, "down/bob", false),
        (Subscribe, "up/dev/a", false),
        (Subscribe, "news/#", true),
        (Subscribe, "#", false),
    ] {
        ensure!(client.may(what, topic)? == may, "{what:?} {topic}");
    }
    Ok(())
}

#[test]
fn keys_from_a_url_are_fetched_rotated_and_kept_while_it_is_silent() -> Result<()> {
    let (old, new, third) = (Signer::new("old")?, Signer::new("new")?, Signer::new("third")?);
    let service = Service::start(Answer::Status(503))?;
    let url = format!("http://{}/jwks.json", service.address);
    let tables = format!("[jwt]\njwks = {url:?}\njwks_refresh_secs = 3600\n");
    let broker = Broker::start(&[], &tables)?;
    let address = broker.address()?;
    let told = |signer: &Signer| by_password(address, &signer.sign(&claims(60))?);
    // Nothing was fetched so far: nobody can be told to be wrong.
    let no_keys = "the keys of the token's issuer cannot be had at the moment";
    let expected = refused(ReasonCode::ServerUnavailable, no_keys);
    ensure!(told(&old)? == expected, "{:?}", told(&old)?);
    // It is tried again by itself.
    service.answers(Answer::Body(key_set(&[&old])));
    eventually("the first keys", || Ok(told(&old)? == Told::Accepted))?;
    let asked = service.asked();
    // A key that nobody has is asked for once, and then not again for a while.
    let unknown = refused(ReasonCode::BadUserNameOrPassword, "the token's key is unknown here");
    for _ in 0..20 {
        ensure!(told(&third)? == unknown);
    }
    ensure!(service.asked() <= asked + 1, "asked {} times", service.asked() - asked);
    // Whoever cannot be reached takes nothing away.
    service.answers(Answer::Garbage(b"\0\0\0\0\r\n\r\n"));
    ensure!(told(&old)? == Told::Accepted);
    drop(service);
    ensure!(told(&old)? == Told::Accepted);
    ensure!(told(&new)? == unknown);
    Ok(())
}

#[test]
fn the_first_token_by_a_new_key_waits_until_that_key_was_fetched() -> Result<()> {
    let (old, new) = (Signer::new("old")?, Signer::new("new")?);
    let service = Service::start(Answer::Body(key_set(&[&old])))?;
    let url = format!("http://{}/jwks.json", service.address);
    let broker = Broker::start(&[], &format!("[jwt]\njwks = {url:?}\n"))?;
    let address = broker.address()?;
    let told = |signer: &Signer| by_password(address, &signer.sign(&claims(60))?);
    ensure!(told(&old)? == Told::Accepted, "it waits for the first keys");
    service.answers(Answer::Body(key_set(&[&new])));
    ensure!(told(&old)? == Told::Accepted, "nobody has asked for the new keys yet");
    ensure!(told(&new)? == Told::Accepted);
    let unknown = refused(ReasonCode::BadUserNameOrPassword, "the token's key is unknown here");
    ensure!(told(&old)? == unknown, "the old key was taken back");
    ensure!(service.asked() == 2, "asked {} times", service.asked());
    ensure!(service.last().starts_with("GET /jwks.json HTTP/1.1\r\n"), "{}", service.last());
    Ok(())
}

#[test]
fn a_url_is_believed_over_tls_if_its_ca_vouches_for_it() -> Result<()> {
    let key = Signer::new("key")?;
    let (service, ca) = Service::start_secure(Answer::Body(key_set(&[&key])))?;
    let (_, other_ca) = Service::start_secure(Answer::Status(404))?;
    let url = format!("https://{}/jwks.json", service.address);
    let tables = format!("[jwt]\njwks = {url:?}\njwks_ca = \"ca.pem\"\n");
    let told = |ca: &str| {
        let broker = Broker::start(&[("ca.pem", ca.as_bytes())], &tables)?;
        by_password(broker.address()?, &key.sign(&claims(60))?)
    };
    ensure!(told(&ca)? == Told::Accepted);
    let no_keys = "the keys of the token's issuer cannot be had at the moment";
    let other = told(&other_ca)?;
    ensure!(other == refused(ReasonCode::ServerUnavailable, no_keys), "{other:?}");
    ensure!(service.asked() == 1, "nothing was said to somebody else");
    ensure!(told("text").is_err(), "a file that is no CA stops the start");
    Ok(())
}

#[test]
fn files_are_read_again_and_a_reload_takes_an_issuer_with_its_clients_away() -> Result<()> {
    let (old, new) = (Signer::new("old")?, Signer::new("new")?);
    let users = "[[jwt]]\nissuer = \"joe\"\njwks = \"keys\"\n";
    let mut broker = Broker::start(&[("keys", key_set(&[&old]).as_bytes())], users)?;
    let address = broker.address()?;
    let told = |signer: &Signer| by_password(address, &signer.sign(&claims(60))?);
    ensure!(told(&old)? == Told::Accepted);
    std::fs::write(broker.path("keys"), key_set(&[&new, &old]))?;
    broker.handle.refresh_files();
    ensure!(told(&new)? == Told::Accepted && told(&old)? == Told::Accepted);
    std::fs::write(broker.path("keys"), "broken")?;
    broker.handle.refresh_files();
    broker.reload(users)?;
    ensure!(told(&new)? == Told::Accepted, "a broken file changes nothing");
    std::fs::write(broker.path("keys"), key_set(&[&new]))?;
    let token = new.sign(&claims(60))?;
    let hello = Hello { password: Some(token.as_bytes()), client_id: "open", ..Hello::default() };
    let mut open = Client::hello(address, &hello)?;
    ensure!(open.told()? == Told::Accepted);
    broker.reload(users)?;
    open.ping()?;
    broker.reload("[[jwt]]\nissuer = \"jim\"\njwks = \"keys\"\n")?;
    let why = "the user, or who vouches for it, was removed or changed";
    let gone = open.told()?;
    ensure!(gone == Told::Gone(ReasonCode::NotAuthorized, why.into()), "{gone:?}");
    let unknown = "the token's issuer is unknown here";
    eventually("the new tables", || {
        Ok(told(&new)? == refused(ReasonCode::BadUserNameOrPassword, unknown))
    })
}
