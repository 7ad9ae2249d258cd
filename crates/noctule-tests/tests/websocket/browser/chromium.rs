//! Chromium without a window.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use noctule_tests::process::signal;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// It asks nobody but the page's server and the broker, and root may run it.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A browser that nobody has used before.
pub(super) struct Chromium {
    command: Command,
    profile: TempDir,
}

/// One that shows a page; it ends with this value.
pub(super) struct Open {
    child: Child,
    profile: TempDir,
}

impl Chromium {
    pub(super) fn new(program: &Path) -> Result<Chromium> {
        let profile = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display()));
        // Whatever the settings of who runs the test; and what it writes goes with the profile.
        command.env_remove("CHROMIUM_FLAGS").env("HOME", profile.path());
        command.env("TMPDIR", profile.path());
        Ok(Chromium { command, profile })
    }

    /// It takes the certificate with this key for a good one, and no other.
    pub(super) fn believe(mut self, key: &Path) -> Result<Chromium> {
        let key = KeyPair::from_pem(&std::fs::read_to_string(key)?)?;
        let hash = STANDARD.encode(Sha256::digest(key.subject_public_key_info()));
        self.command.arg(format!("--ignore-certificate-errors-spki-list={hash}"));
        Ok(self)
    }

    /// Shows a page.
    pub(super) fn open(mut self, page: &str) -> Result<Open> {
        let log = File::create(self.profile.path().join("said"))?;
        let command = self.command.arg(page).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Open { child: child.context("cannot start Chromium")?, profile: self.profile })
    }
}

impl Open {
    /// What it said on its standard error.
    pub(super) fn log(&self) -> String {
        let text = std::fs::read(self.profile.path().join("said")).unwrap_or_default();
        format!("Chromium said:\n{}", String::from_utf8_lossy(&text))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Asked, it ends its other processes first. It may have ended already, and nobody is left
        // to be told.
        let _ = signal("TERM", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
