//! A broker as a process of its own, for tests of the commands that talk to one.
#![allow(unreachable_pub, reason = "shared by several test programs")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running `noctule serve` on loopback; ends with the value.
pub struct Broker {
    process: Child,
    pub port: u16,
}

impl Broker {
    /// On a port that the system chooses.
    pub fn start(name: &str, settings: &str) -> Broker {
        Broker::start_at(name, 0, settings)
    }

    /// On this port; `name` is of one test only.
    pub fn start_at(name: &str, port: u16, settings: &str) -> Broker {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        let text = format!(
            "{settings}\nshards = 1\n[[listener]]\nport = {port}\n[admin]\nenabled = false\n"
        );
        std::fs::write(&file, text).expect("a writable folder");
        let mut process = Command::new(env!("CARGO_BIN_EXE_noctule"))
            .args(["serve", "--memory"])
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built for this test");
        let mut log = BufReader::new(process.stderr.take().expect("it was asked for"));
        let mut said = String::new();
        let port = loop {
            let from = said.len();
            assert!(log.read_line(&mut said).expect("text") > 0, "no broker: {said}");
            let digits = said[from..].split("listening on 127.0.0.1:").nth(1);
            let digits = digits.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
            if let Some(port) = digits.flatten().and_then(|digits| digits.parse().ok()) {
                break port;
            }
        };
        // Somebody has to read on, or the broker's log has nowhere to go.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Broker { process, port }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
