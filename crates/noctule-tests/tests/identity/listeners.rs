//! Listeners that have users of their own, or ask nobody.

use crate::Broker;
use crate::client::{Client, Hello, Told, answer};
use crate::webhooks::named;
use anyhow::{Context, Result, ensure};
use noctule_proto::ReasonCode;

#[test]
fn each_listener_lets_its_own_users_in_before_and_after_a_reload() -> Result<()> {
    let verifier = noctule_server::auth::Verifier::from_password("pw", 1000, b"some salt");
    let line = |name: &str| format!("{name}:{verifier}\n");
    let files = [("all", line("ann")), ("own", line("bob"))];
    let files = [(files[0].0, files[0].1.as_bytes()), (files[1].0, files[1].1.as_bytes())];
    let tables = "password_file = \"all\"\n[[listener]]\nport = 0\npassword_file = \"own\"\n\
                  [[listener]]\nport = 0\nauthenticators = []\n";
    let mut broker = Broker::start(&files, tables)?;
    let addresses = broker.handle.addresses();
    let [own, unasked, all] = addresses[..] else { anyhow::bail!("{addresses:?}") };
    let wrong = "bad user name or password".to_owned();
    let wrong = Told::Refused(ReasonCode::BadUserNameOrPassword, wrong);
    for (address, user, in_it) in [
        (all, "ann", true),
        (all, "bob", false),
        (own, "ann", false),
        (own, "bob", true),
        (unasked, "whoever", true),
    ] {
        let told = answer(address, &named(user, "pw"))?;
        let expected = if in_it { &Told::Accepted } else { &wrong };
        ensure!(told == *expected, "{user} at {address}: {told:?}");
    }
    let mut bob = Client::hello(own, &named("bob", "pw"))?;
    ensure!(bob.told()? == Told::Accepted);
    let mut ann = Client::hello(all, &Hello { client_id: "ann", ..named("ann", "pw") })?;
    ensure!(ann.told()? == Told::Accepted);
    std::fs::write(broker.path("own"), line("cid"))?;
    broker.reload(tables)?;
    let gone = bob.told().context("bob is told")?;
    ensure!(matches!(gone, Told::Gone(ReasonCode::NotAuthorized, _)), "{gone:?}");
    ann.ping().context("ann stays")?;
    ensure!(answer(own, &named("cid", "pw"))? == Told::Accepted);
    Ok(())
}
