//! A broker that is killed and comes back under the same address.

use super::log;
use crate::process::{BrokerProcess, fresh_directory, target_directory};
use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Ports that no system gives to clients: nobody takes them while the broker is away, and no
/// client that knocks there can be given the same port and meet itself.
const PORTS: std::ops::Range<u16> = 21_500..21_600;
/// Between two looks at something that is awaited, and how many are too many.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOKS_MAX: usize = 3000;

/// Which broker.
#[derive(Clone, Debug)]
pub(super) enum Bird {
    /// With this configuration. It keeps everything in memory.
    Noctule { config: String },
    /// With its files here; it keeps sessions and messages on disk.
    Nats { program: PathBuf, home: PathBuf },
}

#[derive(Debug)]
enum Running {
    Noctule(BrokerProcess),
    Nats(Child),
}

/// A broker, or the place of one.
#[derive(Debug)]
pub(super) struct Phoenix {
    bird: Bird,
    pub(super) address: SocketAddr,
    running: Option<Running>,
}

impl Phoenix {
    /// Starts it.
    pub(super) async fn rise(bird: Bird) -> Result<Phoenix> {
        let mut phoenix = Phoenix { bird, address: free_address()?, running: None };
        phoenix.again().await?;
        Ok(phoenix)
    }

    /// Starts it again.
    pub(super) async fn again(&mut self) -> Result<()> {
        let (bird, address) = (self.bird.clone(), self.address);
        self.running = Some(match bird {
            Bird::Noctule { config } => {
                let start = move || BrokerProcess::start_at(address, &config);
                Running::Noctule(spawn_blocking(start).await??)
            }
            Bird::Nats { program, home } => {
                let child = start_nats(&program, &home, address)?;
                await_listening(address).await?;
                Running::Nats(child)
            }
        });
        Ok(())
    }

    /// Kills it.
    pub(super) fn die(&mut self) -> Result<()> {
        match self.running.take() {
            Some(Running::Noctule(broker)) => {
                log::check(&broker.log())?;
                broker.kill()
            }
            Some(Running::Nats(mut child)) => {
                child.kill()?;
                child.wait()?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Asks it to end.
    pub(super) async fn retire(&mut self) -> Result<()> {
        let Some(Running::Noctule(broker)) = self.running.take() else { return Ok(()) };
        log::check(&broker.log())?;
        let status = spawn_blocking(move || broker.stop()).await??;
        ensure!(status.success(), "the broker ended with {status}");
        Ok(())
    }
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        if let Some(Running::Nats(child)) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_address() -> Result<SocketAddr> {
    // Two runs at the same time do not begin at the same port.
    let first = std::process::id() as usize % PORTS.len();
    let mut ports = PORTS.cycle().skip(first).take(PORTS.len());
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let port = free.with_context(|| format!("no free port in {PORTS:?}"))?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

async fn await_listening(address: SocketAddr) -> Result<()> {
    for _ in 0..LOOKS_MAX {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        sleep(LOOK_AGAIN).await;
    }
    anyhow::bail!("nobody listens on {address}")
}

/// The nats-server of this machine: the one named by `NOCTULE_NATS_SERVER`, or brought by
/// `cargo xtask peers`.
pub(super) fn find_nats() -> Option<PathBuf> {
    let named = std::env::var_os("NOCTULE_NATS_SERVER").map(PathBuf::from);
    let brought = target_directory().join("peers/bin/nats-server");
    named.or(Some(brought)).filter(|program| program.is_file())
}

/// What is acknowledged is on disk: `sync_interval: always`.
fn start_nats(program: &Path, home: &Path, address: SocketAddr) -> Result<Child> {
    let config = format!(
        "server_name: soak\nlisten: \"127.0.0.1:-1\"\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
         mqtt {{ listen: \"{address}\", ack_wait: \"3s\" }}\n",
        home.display()
    );
    let path = home.join("nats.conf");
    std::fs::write(&path, config)?;
    let log = std::fs::File::options().append(true).create(true).open(home.join("log"))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

/// A nats-server with nothing in its files yet.
pub(super) fn nats(program: PathBuf) -> Result<Bird> {
    Ok(Bird::Nats { program, home: fresh_directory()? })
}
