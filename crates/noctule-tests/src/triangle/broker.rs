//! One broker of the triangle, and its bridge to the next.

use super::ledger::Ledger;
use crate::ports;
use crate::process::{self, signal, tail};
use anyhow::{Context, Result, ensure};
use noctule_client::{Client, Message, Options, QoS};
use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Whose broker it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Noctule,
    Mosquitto,
}

/// A broker that is started and ended again and again.
pub(super) struct Broker {
    name: &'static str,
    /// The one that its bridge goes to.
    next: &'static str,
    kind: Kind,
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

/// All three; the third is mosquitto, if that is here.
pub(super) fn three(mosquitto: Option<&Path>, folder: &Path) -> Result<Vec<Broker>> {
    let addresses: Vec<SocketAddr> =
        (0..3).map(|_| SocketAddr::from(([127, 0, 0, 1], ports::free()))).collect();
    let mut brokers = Vec::new();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let (kind, program) = match mosquitto.filter(|_| at == 2) {
            Some(program) => (Kind::Mosquitto, program.to_owned()),
            None => (Kind::Noctule, process::binary()?),
        };
        let folder = folder.join(name);
        std::fs::create_dir_all(folder.join("data"))?;
        let next = ["b", "c", "a"][at];
        let to = addresses[(at + 1) % 3];
        let broker =
            Broker { name, next, kind, program, folder, address: addresses[at], child: None };
        std::fs::write(broker.folder.join("mosquitto.conf"), broker.conf(to))?;
        brokers.push(broker);
    }
    Ok(brokers)
}

impl Broker {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same words for both kinds.
    fn conf(&self, to: SocketAddr) -> String {
        let (name, next, data) = (self.name, self.next, self.folder.join("data"));
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {data}/\nmax_queued_messages 0\nmax_inflight_messages 50\n\
             connection {name}-{next}\naddress {to}\nremote_clientid {name}-{next}\n\
             bridge_protocol_version mqttv50\n\
             bridge_session_expiry_interval 2000000000\nrestart_timeout 1\nnotifications false\n\
             topic {name}/# out 2 \"\" via/\ntopic {next}/# in 2 via/ \"\"\n",
            port = self.address.port(),
            data = data.display(),
        )
    }

    /// Starts it, and waits until it listens.
    pub(super) fn start(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = Command::new(&self.program);
        if self.kind == Kind::Noctule {
            command.arg("serve");
        }
        let child = command
            .args(["-c", "mosquitto.conf"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            ensure!(Instant::now() < deadline, "{} does not listen: {}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it: noctule by a kill, mosquitto, which would lose what it has, by asking.
    pub(super) fn end(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        match self.kind {
            Kind::Noctule => child.kill()?,
            Kind::Mosquitto => {
                signal("TERM", child.id())?;
                // If it is frozen, it has to thaw to hear of it.
                signal("CONT", child.id())?;
            }
        }
        child.wait()?;
        Ok(())
    }

    pub(super) fn freeze(&self) -> Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal("STOP", child.id()))
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal("CONT", child.id()))
    }

    /// The end of its log.
    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&bytes)).to_owned()
    }

    /// Waits until its bridge carries something to the broker at its other end, and back.
    pub(super) async fn await_bridge(&self, ledgers: &[Ledger]) -> Result<()> {
        let client = Client::connect(&self.address.to_string(), Options::new("probe")).await?;
        let at = ["a", "b", "c"].iter().position(|name| *name == self.next).unwrap_or_default();
        let (topic, arrives) = (format!("{}/probe", self.name), format!("via/{}/probe", self.name));
        let deadline = Instant::now() + PATIENCE;
        while ledgers[at].different(&arrives) == 0 {
            ensure!(Instant::now() < deadline, "no bridge from {}: {}", self.name, self.log());
            client.publish(Message::new(&*topic, "0").qos(QoS::AtLeastOnce)).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.disconnect().await?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended, and nobody is left to be told.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
