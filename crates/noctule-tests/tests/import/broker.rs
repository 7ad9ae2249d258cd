//! Brokers with a store, or a file of mosquitto's.

use anyhow::{Context, Result, bail, ensure};
use noctule_tests::process;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A broker that runs until this value is dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// A port that is free.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// noctule with the store in `folder/store`.
pub(crate) fn ours(folder: &Path) -> Result<Broker> {
    let address = free()?;
    let mut command = Command::new(process::binary()?);
    command.args(["serve", "-p", &address.port().to_string(), "--data"]).arg(folder.join("store"));
    Broker::start(command, address, folder)
}

/// `noctule import` with these words.
pub(crate) fn import(words: &[&str]) -> Result<Output> {
    let mut command = Command::new(process::binary()?);
    Ok(command.arg("import").args(words).stdin(Stdio::null()).output()?)
}

/// What it says if it goes well.
pub(crate) fn imported(words: &[&str]) -> Result<String> {
    let output = import(words)?;
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    let complains = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: {says}{complains}");
    Ok(says)
}

/// What it says if it does not.
pub(crate) fn refused(words: &[&str]) -> Result<String> {
    let output = import(words)?;
    ensure!(output.status.code() == Some(1), "{words:?}: {output:?}");
    ensure!(output.stdout.is_empty(), "{words:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Broker {
    pub(crate) fn start(mut command: Command, address: SocketAddr, home: &Path) -> Result<Broker> {
        let log = File::create(home.join("log"))?;
        command.current_dir(home).env("HOME", home).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut broker = Broker { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = broker.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!(
                    "{command:?} does not listen:\n{}",
                    std::fs::read_to_string(home.join("log"))?
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(broker)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        process::signal("TERM", self.child.id())?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "SIGTERM does not end it");
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().context("it was started here")?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
