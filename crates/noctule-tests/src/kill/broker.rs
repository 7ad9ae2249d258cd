//! One life of a broker: started on a directory, recorded, killed.

use super::recorded::{Orders, Recorded};
use crate::process::{binary, tail};
use anyhow::{Context, Result, bail, ensure};
use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take, replay included.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;

/// Nothing may be dropped for want of room, and no port but that of the test is taken.
const CONFIG: &str = "\
[admin]
enabled = false
[limits]
queue_messages_max = 1000000
queue_bytes_max = \"1 GiB\"
share_queue_max = 1000000
";

/// How brokers are started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) home: PathBuf,
    pub(super) address: SocketAddr,
}

/// Where a broker keeps what it acknowledges.
#[derive(Debug)]
pub(super) enum Keeps<'a> {
    Nothing,
    In(&'a Path),
    Recorded(&'a Recorded, Orders),
}

/// A broker process.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    log: PathBuf,
}

impl Launch {
    /// A launch on a port that is free now.
    pub(super) fn new(home: &Path) -> Result<Launch> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        std::fs::write(home.join("noctule.toml"), CONFIG)?;
        Ok(Launch { home: home.to_owned(), address })
    }

    /// Starts a broker; it need not listen yet.
    pub(super) fn start(&self, keeps: &Keeps<'_>, shards: usize) -> Result<Broker> {
        let log = self.home.join("log");
        let lines = OpenOptions::new().create(true).append(true).open(&log)?;
        let binary = binary()?;
        let mut command = Command::new(&binary);
        command.arg("serve").args(["-p", &self.address.port().to_string()]);
        command.arg("-c").arg(self.home.join("noctule.toml"));
        command.args(["--shards", &shards.to_string()]);
        match keeps {
            Keeps::Nothing => command.arg("--memory"),
            Keeps::In(data) => command.arg("--data").arg(data),
            Keeps::Recorded(recorded, orders) => {
                let environment = recorded.environment(*orders)?;
                command.arg("--data").arg(recorded.data()).envs(environment)
            }
        };
        let child = command
            .current_dir(&self.home)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(lines.try_clone()?)
            .stderr(lines)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Broker { child, log })
    }
}

impl Broker {
    /// Waits until it listens; `false` if it killed itself before, as it was ordered to.
    pub(super) fn listens(&mut self, address: SocketAddr, until: Instant) -> Result<bool> {
        let start = Instant::now();
        while self.lives()? {
            if TcpStream::connect(address).is_ok() {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            ensure!(start.elapsed() < PATIENCE, "it does not listen: {}", self.tail());
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(false)
    }

    /// Whether it still runs. An end by anything but SIGKILL is a fault.
    pub(super) fn lives(&mut self) -> Result<bool> {
        match self.child.try_wait()? {
            None => Ok(true),
            Some(status) if status.signal() == Some(SIGKILL) => Ok(false),
            Some(status) => bail!("the broker ended by itself, {status}: {}", self.tail()),
        }
    }

    /// Kills it, and answers when it is gone.
    pub(super) fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// The end of its log.
    pub(super) fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        tail(&String::from_utf8_lossy(&bytes)).to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be gone already, and nobody is left to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
