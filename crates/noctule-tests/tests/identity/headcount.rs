//! How many connections a user may have by its roles.

use crate::Broker;
use crate::client::{Client, Hello, Told, answer};
use crate::webhooks::named;
use anyhow::{Result, ensure};
use noctule_proto::{ReasonCode, Version};

const ALL: &str = "[[role.rule]]\nallow = \"all\"\ntopics = \"#\"\n";

/// Users with a role that allows so many connections.
fn tables(connections_max: u32) -> String {
    let verifier = noctule_server::auth::Verifier::from_password("pw", 1000, b"some salt");
    let user = |name: &str| format!("[[users]]\nname = {name:?}\nverifier = \"{verifier}\"\n");
    format!(
        "{}{}[[role]]\nname = \"device\"\nusers = [\"ann\"]\nconnections_max = {connections_max}\n\
         {ALL}[[role]]\nname = \"all\"\neveryone = true\n{ALL}",
        user("ann"),
        user("bob")
    )
}

#[test]
fn a_user_has_as_many_connections_as_its_role_says() -> Result<()> {
    let mut broker = Broker::start(&[], &tables(2))?;
    let address = broker.address()?;
    let enter = |client_id: &'static str, user: &'static str| -> Result<(Client, Told)> {
        let mut client = Client::hello(address, &Hello { client_id, ..named(user, "pw") })?;
        let told = client.told()?;
        Ok((client, told))
    };
    let why = "this user has as many connections as it may";
    let full = Told::Refused(ReasonCode::QuotaExceeded, why.to_owned());
    let (_one, told) = enter("a", "ann")?;
    ensure!(told == Told::Accepted, "{told:?}");
    let (two, told) = enter("b", "ann")?;
    ensure!(told == Told::Accepted, "{told:?}");
    let (_, told) = enter("c", "ann")?;
    ensure!(told == full, "{told:?}");
    // A wrong password tells nothing of it, and counts nowhere.
    let wrong = Hello { client_id: "c", ..named("ann", "guess") };
    let told = answer(address, &wrong)?;
    ensure!(matches!(told, Told::Refused(ReasonCode::BadUserNameOrPassword, _)), "{told:?}");
    let v4 = Hello { version: Version::V311, client_id: "c", ..named("ann", "pw") };
    let told = answer(address, &v4)?;
    ensure!(matches!(told, Told::Refused(ReasonCode::ServerUnavailable, _)), "{told:?}");
    // Nobody else is concerned, nor who comes again.
    for other in ["x", "y", "z"] {
        let (_, told) = enter(other, "bob")?;
        ensure!(told == Told::Accepted, "{told:?}");
    }
    let (again, told) = enter("b", "ann")?;
    ensure!(told == Told::Accepted, "{told:?}");
    drop(two);
    let (_, told) = enter("c", "ann")?;
    ensure!(told == full, "{told:?}");
    drop(again);
    crate::eventually("there is room again", || Ok(enter("c", "ann")?.1 == Told::Accepted))?;
    broker.reload(&tables(9))?;
    crate::eventually("a reload gives more", || {
        let entered: Result<Vec<_>> =
            ["d", "e", "f", "g"].map(|id| enter(id, "ann")).into_iter().collect();
        Ok(entered?.iter().all(|(_, told)| *told == Told::Accepted))
    })
}
