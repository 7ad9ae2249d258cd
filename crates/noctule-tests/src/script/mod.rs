//! Scripts: what clients send and what they must hear, run on the pure broker and behind sockets.
//!
//! ```
//! use noctule_tests::script::prelude::*;
//!
//! script().run(|world| {
//!     let (a, b) = (world.connect("a"), world.connect("b"));
//!     b.subscribes("sensor/+", 1);
//!     a.send(publish("sensor/1", "20").qos(1, 7));
//!     a.expect(puback(7));
//!     b.receives(publish("sensor/1", "20").qos(1, 0));
//! });
//! ```
//!
//! A script runs once for each version it is for and each broker: pure with one shard, with three,
//! and with two and a store; a server behind TCP with one shard and with two, behind TLS, and
//! behind WebSocket. [`watch`] checks on every packet of every script what holds for all of them.

pub mod client;
pub mod connect;
pub(crate) mod line;
pub mod packet;
pub mod property;
pub mod tcp;
pub mod transport;
pub mod watch;
mod web_socket;
pub mod world;

use noctule_core::Limits;
use noctule_core::grant::Policies;
use noctule_core::limits::Durability;
use noctule_proto::Version;
use tcp::{Security, Tcp};
use transport::{Pure, Transport};
use world::World;

/// All that scripts use.
pub mod prelude {
    pub use super::client::Client;
    pub use super::connect::{Connect, Will, connect, raw_connect, resume, will};
    pub use super::packet::{
        Packet, auth, binary, connack, disconnect, frame, kind, pingreq, pingresp, puback, pubcomp,
        publish, pubrec, pubrel, suback, subscribe, text, unsuback, unsubscribe, varint,
    };
    pub use super::property::*;
    pub use super::world::World;
    pub use super::{Script, rules, script};
    pub use noctule_proto::Version;
}

/// A script and where it runs.
#[derive(Clone, Debug)]
pub struct Script {
    versions: Vec<Version>,
    limits: Limits,
    policies: Policies,
    over: Over,
    name: String,
    accounts: Vec<(String, String)>,
}

/// What carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Over {
    All,
    Pure,
    Tcp,
}

/// Rules as a configuration file has them.
#[must_use]
pub fn rules(text: &str) -> Policies {
    let parsed = noctule_server::Config::parse("rules", text);
    parsed.unwrap_or_else(|error| panic!("{error}")).policies
}

/// A script for all versions, with the limits that a broker has by default.
#[must_use]
pub fn script() -> Script {
    Script {
        versions: vec![Version::V31, Version::V311, Version::V5],
        limits: Limits::default(),
        policies: Policies::default(),
        over: Over::All,
        name: String::new(),
        accounts: Vec::new(),
    }
}

impl Script {
    /// For v5 only.
    #[must_use]
    pub fn v5(self) -> Script {
        self.versions(&[Version::V5])
    }

    /// For what came before v5.
    #[must_use]
    pub fn v3(self) -> Script {
        self.versions(&[Version::V31, Version::V311])
    }

    /// For these versions.
    #[must_use]
    pub fn versions(self, versions: &[Version]) -> Script {
        Script { versions: versions.to_vec(), ..self }
    }

    /// With other limits.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Script {
        change(&mut self.limits);
        self
    }

    /// With rules, as a configuration file has them.
    #[must_use]
    pub fn rules(self, text: &str) -> Script {
        Script { policies: rules(text), ..self }
    }

    /// On the pure broker alone; `reason` says why it cannot run behind sockets.
    #[must_use]
    pub fn pure(self, reason: &str) -> Script {
        assert!(!reason.is_empty(), "a reason is needed");
        Script { over: Over::Pure, ..self }
    }

    /// Behind sockets alone, on a server that lets nobody in but this user.
    #[must_use]
    pub fn account(self, user_name: &str, password: &str) -> Script {
        let accounts = vec![(user_name.to_owned(), password.to_owned())];
        Script { over: Over::Tcp, accounts, ..self }
    }

    /// With a name, where many scripts differ in little.
    #[must_use]
    pub fn called(self, name: &str) -> Script {
        Script { name: name.to_owned(), ..self }
    }

    /// Runs it everywhere; with `NOCTULE_NO_SOCKETS` set, on the pure broker alone, for who runs
    /// all scripts many times over (`cargo xtask mutants`).
    pub fn run(self, script: impl Fn(&World)) {
        let sockets = std::env::var_os("NOCTULE_NO_SOCKETS").is_none();
        for version in &self.versions {
            for shards in [1, 3].into_iter().filter(|_| self.over != Over::Tcp) {
                let pure = Pure::new(shards, &self.limits, &self.policies);
                self.run_on(*version, &format!("pure, {shards} shards"), Box::new(pure), &script);
            }
            if self.over != Over::Tcp {
                // Acknowledgements that wait for the store are the same acknowledgements.
                let limits = Limits { durability: Durability::Fsync, ..self.limits.clone() };
                let pure = Pure::new(2, &limits, &self.policies);
                let stored = Script { limits, ..self.clone() };
                stored.run_on(*version, "pure, 2 shards, stored", Box::new(pure), &script);
            }
            for shards in [1, 2].into_iter().filter(|_| sockets && self.over != Over::Pure) {
                let tcp = Tcp::new(shards, self.rights(), &self.accounts, Security::Plain);
                self.run_on(*version, &format!("TCP, {shards} shards"), Box::new(tcp), &script);
            }
            if sockets && self.over != Over::Pure {
                let tls = Tcp::new(2, self.rights(), &self.accounts, Security::Tls);
                self.run_on(*version, "TLS, 2 shards", Box::new(tls), &script);
                let ws = Tcp::new(2, self.rights(), &self.accounts, Security::WebSocket);
                self.run_on(*version, "WebSocket, 2 shards", Box::new(ws), &script);
            }
        }
    }

    fn rights(&self) -> (&Limits, &Policies) {
        (&self.limits, &self.policies)
    }

    fn run_on(
        &self,
        version: Version,
        over: &str,
        transport: Box<dyn Transport>,
        script: &impl Fn(&World),
    ) {
        let title = format!("{} {version:?}, {over}", self.name);
        script(&World::new(&title, version, self.limits.clone(), transport));
    }
}
