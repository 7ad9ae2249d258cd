//! The broker that is attacked, as somebody would run it who takes care.

use crate::process::{BrokerProcess, fresh_directory};
use crate::script::line::server_options;
use anyhow::{Context, Result, ensure};
use noctule_server::auth::Verifier;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Everybody's password but the attackers', who know that of `mallory`.
pub(super) const PASSWORD: &str = "right";
/// The user whom attackers are: somebody who is let in, and does what he should not.
pub(super) const INSIDER: &str = "mallory";
/// The user of all good clients.
pub(super) const GOOD: &str = "good";
/// Who reads the alerts.
pub(super) const OPERATOR: &str = "operator";

/// Users whose passwords the broker has not seen yet, one for each newcomer.
pub(super) const GUESTS: usize = 90;

const PATIENCE: Duration = Duration::from_secs(20);

/// What takes memory has bounds that are reached within seconds; thresholds of `[defence]` are the
/// defaults. Attackers are on this machine, so loopback is answered too.
const CONFIG: &str = r#"
[admin]
bind = "127.0.0.1:0"

[defence]
answer = "ban"
answer_loopback = true

[limits]
subscriptions_max = 10000
retained_bytes_max = "32 MiB"
queues_bytes_max = "32 MiB"
half_open_max = 4000

[[role]]
name = "good"
groups = ["good"]
[[role.rule]]
allow = "all"
topics = ["good/#"]

[[role]]
name = "insider"
users = ["mallory"]
[[role.rule]]
allow = "all"
topics = ["mallory/#"]

[[role]]
name = "operator"
users = ["operator"]
[[role.rule]]
allow = "subscribe"
topics = ["$SYS/#"]
"#;

/// A broker, and where it is reached.
pub(super) struct Stage {
    pub(super) broker: BrokerProcess,
    pub(super) doors: Doors,
    home: PathBuf,
}

/// Its listeners, neither of which lets anybody in without a password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doors {
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
}

impl Stage {
    pub(super) fn new() -> Result<Stage> {
        let home = fresh_directory()?;
        let passwords = home.join("passwords");
        std::fs::write(&passwords, users())?;
        let mut config = format!("password_file = {passwords:?}\n{CONFIG}");
        let guests: Vec<String> =
            (0..GUESTS).map(|number| format!("{:?}", guest(number))).collect();
        let guests = guests.join(", ");
        write!(config, "[[group]]\nname = \"good\"\nusers = [{GOOD:?}, {guests}]\n")?;
        let tls = server_options();
        let anonymous = "allow_anonymous = false";
        write!(
            config,
            "[[listener]]\nport = 0\n{anonymous}\n\
             [[listener]]\nport = 0\n{anonymous}\n\
             [listener.tls]\ncertificate = {:?}\nkey = {:?}\n",
            tls.certificate, tls.key
        )?;
        let broker = BrokerProcess::start_with(&config)?;
        let doors = doors(&broker)?;
        Ok(Stage { broker, doors, home })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// The name of a newcomer.
pub(super) fn guest(number: usize) -> String {
    format!("guest-{number}")
}

/// The text of the password file. Salts differ: a password that was checked is known by its hash.
fn users() -> String {
    let names = [INSIDER, GOOD, OPERATOR].map(str::to_owned);
    let mut text = String::new();
    for name in names.into_iter().chain((0..GUESTS).map(guest)) {
        // As many rounds as `noctule passwd` has.
        let salt = format!("the salt of {name}");
        let rounds = noctule_server::auth::ITERATIONS;
        let verifier = Verifier::from_password(PASSWORD, rounds, salt.as_bytes());
        text.push_str(&format!("{name}:{verifier}\n"));
    }
    text
}

/// Where the listeners of the file are: it logs them in their order, and one of the test's after.
fn doors(broker: &BrokerProcess) -> Result<Doors> {
    let deadline = Instant::now() + PATIENCE;
    while !broker.log().contains("ready after") {
        ensure!(Instant::now() < deadline, "it does not say that it is ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    let log = broker.log();
    let listening = |line: &str| -> Option<SocketAddr> {
        line.split_once("listening on ")?.1.split(' ').next()?.trim_end_matches(':').parse().ok()
    };
    let mut found = log.lines().filter_map(listening);
    let (plain, tls) =
        found.next().zip(found.next()).context("it does not say where it listens")?;
    Ok(Doors { plain, tls })
}
