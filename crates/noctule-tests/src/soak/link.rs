//! The network between one client and the server: a TCP proxy that does to each connection what
//! the weather has in store.
//!
//! ```text
//! client ──▶ pump (up) ──▶ server       What is under way when a connection ends is lost, as on
//!        ◀── pump (down) ◀──            a network that had taken it.
//! ```

use super::ledger::Ledger;
use super::weather::{Direction, Doom, End, Sky, Weather};
use crate::sim::chance::Chance;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Bytes that are taken at once.
const BUFFER: usize = 16 * 1024;
/// The longest that ends which notice nothing are kept waiting.
const VOID_MAX: Duration = Duration::from_secs(20);

/// Opens a link of `party` to the server and answers where the client connects to. It stands as
/// long as the runtime.
pub(crate) async fn open_link(
    server: SocketAddr,
    party: u16,
    weather: &Weather,
    ledger: &Arc<Ledger>,
    mut chance: Chance,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (weather, ledger) = (weather.clone(), Arc::clone(ledger));
    let link = Arc::new(Link { server, party, weather, ledger });
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((client, _)) = listener.accept().await {
            number += 1;
            let mut chance = Chance::new(chance.next());
            let (link, doom) = (Arc::clone(&link), Doom::draw(&mut chance));
            tokio::spawn(Connection { link, number, doom, chance }.run(client));
        }
    });
    Ok(address)
}

/// What the connections of a link have in common.
#[derive(Debug)]
struct Link {
    server: SocketAddr,
    party: u16,
    weather: Weather,
    ledger: Arc<Ledger>,
}

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    /// They pass, so many from now on.
    Pass(u64),
    /// They stay where they are.
    Hold,
    /// They are lost.
    Swallow,
    /// They are lost, and the other side is told that none come any more.
    Finish,
}

/// Nothing is in the way.
const ALL: Flow = Flow::Pass(u64::MAX);

/// The flows of both directions.
#[derive(Debug)]
struct Flows {
    up: watch::Sender<Flow>,
    down: watch::Sender<Flow>,
}

impl Flows {
    /// As long as the doom allows.
    fn pass(doom: &Doom) -> (Flow, Flow) {
        match doom.after_bytes {
            None => (ALL, ALL),
            Some((Direction::Up, bytes)) => (Flow::Pass(bytes), ALL),
            Some((Direction::Down, bytes)) => (ALL, Flow::Pass(bytes)),
        }
    }

    /// While the doom comes about, and for how long; `None`: it is over at once.
    fn end(end: End) -> Option<((Flow, Flow), Duration)> {
        Some(match end {
            End::Refused | End::Reset | End::Closed => return None,
            End::HalfClosed(Direction::Up, time) => ((Flow::Finish, ALL), time),
            End::HalfClosed(Direction::Down, time) => ((ALL, Flow::Finish), time),
            End::Stalled(time) => ((Flow::Hold, Flow::Hold), time),
            End::Deaf(Direction::Up) => ((Flow::Swallow, ALL), VOID_MAX),
            End::Deaf(Direction::Down) => ((ALL, Flow::Swallow), VOID_MAX),
            End::Void => ((Flow::Swallow, Flow::Swallow), VOID_MAX),
        })
    }

    fn set(&self, (up, down): (Flow, Flow)) {
        self.up.send_replace(up);
        self.down.send_replace(down);
    }
}

/// One connection through a link.
struct Connection {
    link: Arc<Link>,
    number: u32,
    doom: Doom,
    chance: Chance,
}

impl Connection {
    async fn run(mut self, mut client: TcpStream) {
        if self.doom.end == End::Refused && self.link.weather.sky() == Sky::Storm {
            self.tell();
            return reset(&client);
        }
        // As a server that is not there.
        let Ok(mut server) = TcpStream::connect(self.link.server).await else {
            return reset(&client);
        };
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let stands = format!("link: connection {} stands", self.number);
        self.link.ledger.note(self.link.party, stands);
        self.link.ledger.count("connections");
        if !self.carry(&mut client, &mut server).await {
            return;
        }
        let resets = self.doom.end == End::Reset;
        if resets {
            reset(&client);
        }
        drop(client);
        // The server has not noticed yet.
        let _ = timeout(self.doom.ghost, swallow(&mut server)).await;
        if resets {
            reset(&server);
        }
    }

    fn tell(&self) {
        let what = self.doom.end.name();
        self.link.ledger.note(self.link.party, format!("link: connection {} {what}", self.number));
        self.link.ledger.count(what);
    }

    /// Carries bytes until the doom has come about; `false`: both sides have ended before.
    async fn carry(&mut self, client: &mut TcpStream, server: &mut TcpStream) -> bool {
        let link = Arc::clone(&self.link);
        let (up, down) = Flows::pass(&self.doom);
        let flows = Flows { up: watch::channel(up).0, down: watch::channel(down).0 };
        let due = Notify::new();
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = self.pump(from_client, to_server, &flows.up, &link.weather);
        let down = self.pump(from_server, to_client, &flows.down, &link.weather);
        let mut pumps = pin!(async { tokio::join!(up.run(&due), down.run(&due)) });
        loop {
            tokio::select! {
                _ = &mut pumps => return false,
                () = sleep(self.doom.after) => {}
                () = due.notified() => {}
            }
            if link.weather.sky() == Sky::Calm {
                flows.set((ALL, ALL));
                continue;
            }
            self.tell();
            let Some((flow, time)) = Flows::end(self.doom.end) else { return true };
            flows.set(flow);
            tokio::select! {
                _ = &mut pumps => return true,
                () = sleep(time) => {}
                () = link.weather.calm() => {}
            }
            if !matches!(self.doom.end, End::Stalled(_)) {
                return true;
            }
            self.doom = Doom::draw(&mut self.chance);
            flows.set(Flows::pass(&self.doom));
        }
    }

    fn pump<'a>(
        &mut self,
        from: ReadHalf<'a>,
        to: WriteHalf<'a>,
        flow: &watch::Sender<Flow>,
        weather: &'a Weather,
    ) -> Pump<'a> {
        let (flow, doom) = (flow.subscribe(), self.doom.clone());
        let chance = Chance::new(self.chance.next());
        Pump { from, to, flow, weather, doom, chance, buffer: vec![0; BUFFER] }
    }
}

/// Carries the bytes of one direction.
struct Pump<'a> {
    from: ReadHalf<'a>,
    to: WriteHalf<'a>,
    flow: watch::Receiver<Flow>,
    weather: &'a Weather,
    doom: Doom,
    chance: Chance,
    buffer: Vec<u8>,
}

impl Pump<'_> {
    /// Until one of the sides has ended. `due` is told when as many have passed as may.
    async fn run(mut self, due: &Notify) {
        let _ = self.carry(due).await;
        // What is swallowed is not noticed.
        if matches!(*self.flow.borrow(), Flow::Pass(_)) {
            let _ = self.to.shutdown().await;
        }
    }

    async fn carry(&mut self, due: &Notify) -> io::Result<()> {
        let mut held = 0..0;
        let mut passed = 0;
        loop {
            if self.flow.has_changed().unwrap_or(false) {
                passed = 0;
            }
            let flow = *self.flow.borrow_and_update();
            match flow {
                Flow::Pass(limit) if passed >= limit => {
                    due.notify_one();
                    self.changed().await;
                    continue;
                }
                Flow::Hold => {
                    self.changed().await;
                    continue;
                }
                Flow::Pass(limit) => {
                    let len = (held.len() as u64).min(limit - passed);
                    let end = held.start + len as usize;
                    self.to.write_all(&self.buffer[held.start..end]).await?;
                    (held.start, passed) = (end, passed + len);
                    if !held.is_empty() {
                        continue;
                    }
                }
                Flow::Swallow => held = 0..0,
                Flow::Finish => {
                    held = 0..0;
                    self.to.shutdown().await?;
                }
            }
            let storm = self.weather.sky() == Sky::Storm;
            let piece = if storm { self.doom.piece } else { BUFFER };
            tokio::select! {
                read = self.from.read(&mut self.buffer[..piece]) => held = 0..read?,
                _ = self.flow.changed() => self.flow.mark_changed(),
            }
            if held.is_empty() && !self.flow.has_changed().unwrap_or(false) {
                return Ok(());
            }
            if storm && !self.doom.delay.is_zero() {
                let most = self.doom.delay.as_millis() as u64;
                sleep(Duration::from_millis(self.chance.between(0, most))).await;
            }
        }
    }

    /// Waits for another flow.
    async fn changed(&mut self) {
        if self.flow.changed().await.is_ok() {
            self.flow.mark_changed();
        }
    }
}

/// Takes what comes until nothing does any more, and drops it.
async fn swallow(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
}

/// The other side will be told that the connection has broken when the stream is dropped.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
