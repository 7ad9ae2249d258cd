//! A broker of one side, started with a mosquitto.conf: mosquitto itself, or noctule by its name.

use anyhow::{Context, Result, ensure};
use noctule_tests::{ports, process};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A folder with the files of one side.
pub(crate) struct Side {
    /// The program.
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) ports: [u16; 2],
}

/// A broker that runs until this value is dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Side {
    /// A side with a fresh folder, in which the fixtures name its own ports.
    pub(crate) fn new(program: &Path) -> Result<Side> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("noctule-conf-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let ports = [ports::free(), ports::free()];
        let side = Side { program: program.to_owned(), folder, ports };
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mosquitto/files");
        side.copy(&files, &side.folder)?;
        for place in ["state", "ha-state"] {
            fs::create_dir_all(side.folder.join(place))?;
        }
        Ok(side)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let (path, name) = {
                let entry = entry?;
                (entry.path(), entry.file_name())
            };
            if path.is_dir() {
                self.copy(&path, &to.join(name))?;
            } else {
                fs::write(to.join(name), self.filled(&fs::read_to_string(path)?))?;
            }
        }
        Ok(())
    }

    /// Text with this side's places.
    pub(crate) fn filled(&self, text: &str) -> String {
        text.replace("@PORT1@", &self.ports[0].to_string())
            .replace("@PORT2@", &self.ports[1].to_string())
            .replace("@DIR@", &self.folder.to_string_lossy())
    }

    /// Text without this side's places, for a comparison.
    pub(crate) fn emptied(&self, text: &str) -> String {
        let [first, second] = self.ports.map(|port| port.to_string());
        // Numbers, so that JSON stays JSON.
        let text = text.replace(&first, "1001").replace(&second, "1002");
        text.replace(&*self.folder.to_string_lossy(), "DIR")
    }

    /// Writes a password file: `secret` is the password of all.
    pub(crate) fn write_users(&self, name: &str, users: &[&str]) -> Result<()> {
        let file = self.folder.join(name);
        drop(fs::remove_file(&file));
        for (at, user) in users.iter().enumerate() {
            let made = Command::new(process::binary()?)
                .arg("passwd")
                .args(if at == 0 { &["-c"][..] } else { &[] })
                .args(["-b", "-H", "sha512-pbkdf2"])
                .arg(&file)
                .args([user, "secret"])
                .output()?;
            ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(())
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, self.filled(text))?;
        Ok(path)
    }

    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[at]))
    }

    /// The program's command line, run to its end.
    pub(crate) fn outcome(&self, words: &[&str]) -> Result<(Option<i32>, String)> {
        let words: Vec<String> = words.iter().map(|word| self.filled(word)).collect();
        let output = Command::new(&self.program)
            .args(words)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.code(), text + &String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts it with a file, and waits until it listens on its first port.
    pub(crate) fn start(&self, file: &str) -> Result<Running> {
        let log = self.folder.join("output");
        let output = File::create(&log)?;
        let child = Command::new(&self.program)
            .args(["-c", file])
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut running = Running { child, log };
        self.await_listening(&mut running, 0).with_context(|| file.to_owned())?;
        Ok(running)
    }

    /// Waits until it listens on one of its ports: it does not on all of them at once.
    pub(crate) fn await_listening(&self, running: &mut Running, at: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address(at)).is_err() {
            if let Some(status) = running.child.try_wait()? {
                anyhow::bail!("ended with {status}:\n{}", running.log());
            }
            ensure!(Instant::now() < deadline, "does not listen:\n{}", running.log());
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Running {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        ensure!(status.success(), "kill -s {name}");
        Ok(())
    }

    /// How it ends when it is asked to.
    pub(crate) fn end(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "does not end:\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// noctule by the name of mosquitto.
pub(crate) fn ours() -> Result<PathBuf> {
    static ONCE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONCE.lock();
    let folder = process::target_directory().join("tmp/mosquitto-name");
    fs::create_dir_all(&folder)?;
    let link = folder.join("mosquitto");
    drop(fs::remove_file(&link));
    std::os::unix::fs::symlink(process::binary()?, &link)?;
    Ok(link)
}
