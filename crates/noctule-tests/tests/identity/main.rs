//! Who gets in by a token or a webhook, and what it may do by one, over real sockets, and what
//! everybody else is told.

mod alarm;
mod client;
mod headcount;
mod listeners;
mod permissions;
mod service;
mod signer;
mod tokens;
mod webhooks;

use anyhow::{Context, Result, ensure};
use noctule_server::config::Config;
use noctule_server::{Handle, Server};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A broker in a folder of its own.
struct Broker {
    folder: tempfile::TempDir,
    handle: Handle,
}

impl Broker {
    /// With these files, and these tables beside a listener that lets nobody in without a name.
    fn start(files: &[(&str, &[u8])], tables: &str) -> Result<Broker> {
        let folder = tempfile::tempdir()?;
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes)?;
        }
        let handle = Server::start(config(&folder, tables)?)?;
        Ok(Broker { folder, handle })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self) -> Result<SocketAddr> {
        self.handle.addresses().first().copied().context("it listens")
    }

    /// Reads the configuration again, as SIGHUP has it done.
    fn reload(&mut self, tables: &str) -> Result<()> {
        let config = config(&self.folder, tables)?;
        self.handle.reload(&config);
        Ok(())
    }
}

fn config(folder: &tempfile::TempDir, tables: &str) -> Result<Config> {
    let path = folder.path().join("noctule.toml");
    let text = format!(
        "shards = 2\n{tables}\n[[listener]]\nport = 0\nallow_anonymous = false\n\
         [durability]\nclass = \"memory\"\n[admin]\nenabled = false\n"
    );
    std::fs::write(&path, text)?;
    Ok(Config::load(&path)?)
}

/// Waits until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds()? {
        ensure!(Instant::now() < deadline, "it never came to: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
