//! What attackers have in common: addresses, connections, a pace, and a count of what they reached.

use super::stage::{Doors, INSIDER, PASSWORD};
use super::{floods, insiders, strangers};
use crate::script::connect::{Connect, connect};
use noctule_proto::Version;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attack {
    /// Passwords are guessed, from a thousand addresses.
    BruteForce,
    /// Connections come and go, or come and say nothing.
    ConnectFlood,
    /// TLS handshakes that begin and do not go on.
    SlowHandshakes,
    /// CONNECTs and messages, a byte at a time.
    SlowLoris,
    /// Ever more subscriptions.
    SubscriptionBomb,
    /// Ever more retained messages.
    RetainedFlood,
    /// Clients that come with a Will and break off.
    WillFlood,
    /// Wildcards that it may not subscribe to, and one that it may, again and again.
    WildcardScan,
}

/// All of them.
pub const ATTACKS: [Attack; 8] = [
    Attack::BruteForce,
    Attack::ConnectFlood,
    Attack::SlowHandshakes,
    Attack::SlowLoris,
    Attack::SubscriptionBomb,
    Attack::RetainedFlood,
    Attack::WillFlood,
    Attack::WildcardScan,
];

impl Attack {
    /// Its name on the command line and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Attack::BruteForce => "brute-force",
            Attack::ConnectFlood => "connect-flood",
            Attack::SlowHandshakes => "slow-handshakes",
            Attack::SlowLoris => "slow-loris",
            Attack::SubscriptionBomb => "subscription-bomb",
            Attack::RetainedFlood => "retained-flood",
            Attack::WillFlood => "will-flood",
            Attack::WildcardScan => "wildcard-scan",
        }
    }

    /// Goes on until the end of the scene.
    pub(super) async fn run(self, scene: &Scene) {
        match self {
            Attack::BruteForce => strangers::brute_force(scene).await,
            Attack::ConnectFlood => strangers::connect_flood(scene).await,
            Attack::SlowHandshakes => strangers::slow_handshakes(scene).await,
            Attack::SlowLoris => strangers::slow_loris(scene).await,
            Attack::SubscriptionBomb => insiders::subscription_bomb(scene).await,
            Attack::RetainedFlood => floods::retained(scene).await,
            Attack::WillFlood => floods::wills(scene).await,
            Attack::WildcardScan => insiders::wildcard_scan(scene).await,
        }
    }
}

/// Where and how long, and what was reached.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) doors: Doors,
    pub(super) until: Instant,
    toll: Rc<RefCell<Toll>>,
}

/// Counts by name.
#[derive(Clone, Default, Debug)]
pub(super) struct Toll(BTreeMap<&'static str, u64>);

impl Toll {
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} {name}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl Scene {
    pub(super) fn new(doors: Doors, until: Instant) -> Scene {
        Scene { doors, until, toll: Rc::default() }
    }

    pub(super) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    pub(super) fn count(&self, name: &'static str, more: u64) {
        *self.toll.borrow_mut().0.entry(name).or_default() += more;
    }

    /// Keeps the greatest.
    pub(super) fn most(&self, name: &'static str, value: u64) {
        let mut toll = self.toll.borrow_mut();
        let kept = toll.0.entry(name).or_default();
        *kept = value.max(*kept);
    }

    pub(super) fn toll(&self) -> Toll {
        self.toll.borrow().clone()
    }

    /// Does something so many times a second, until the end; each is given its number.
    pub(super) async fn at_rate(&self, a_second: u64, mut deed: impl FnMut(u64)) {
        let (start, mut done) = (Instant::now(), 0);
        while self.goes_on() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let due = start.elapsed().as_micros() as u64 * a_second / 1_000_000;
            // After a hold-up it does not make up for everything at once.
            done = done.max(due.saturating_sub(a_second / 20));
            while done < due {
                deed(done);
                done += 1;
            }
        }
    }

    /// A connection from an address.
    pub(super) async fn dial(&self, from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Logs in; answers the code of CONNACK as well.
    pub(super) async fn login(
        &self,
        from: Ipv4Addr,
        hello: Connect,
    ) -> io::Result<(u8, TcpStream)> {
        let mut stream = self.dial(from, self.doors.plain).await?;
        stream.write_all(&hello.encode(Version::V5)).await?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let mut rest = vec![0; usize::from(head[1]).saturating_sub(2)];
        stream.read_exact(&mut rest).await?;
        Ok((head[3], stream))
    }
}

/// An attacker's address.
pub(super) fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, 66, (number / 250) as u8, (number % 250) as u8 + 1)
}

/// The CONNECT of somebody who knows a password.
pub(super) fn insider(client_id: &str) -> Connect {
    connect(client_id).user_name(INSIDER.as_bytes()).password(PASSWORD.as_bytes())
}

/// Whether a text of an alert says who attacked.
pub(super) fn is_named(text: &str) -> bool {
    text.contains("\"address\":\"127.66.")
        || text.contains("\"client_id\":\"mallory-")
        || text.contains("\"user_name\":\"mallory\"")
}

/// Closes with a reset: nothing is left of it, on either side.
pub(super) fn reset(stream: TcpStream) {
    // If it cannot be said, it is closed as usual.
    let _ = stream.set_zero_linger();
}
