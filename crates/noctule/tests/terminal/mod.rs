//! A terminal, for tests of what commands show on one.
#![allow(unreachable_pub, reason = "shared by several test programs")]
#![allow(dead_code, reason = "not every test program does everything")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A program on a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: File,
    /// Ours stays open, so that nothing is lost when the program ends.
    own: Option<OwnedFd>,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub fn start(mut command: Command) -> Terminal {
        command.env_remove("NO_COLOR");
        Terminal::start_as_is(command)
    }

    /// With this environment.
    pub fn start_as_is(mut command: Command) -> Terminal {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let own =
            open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        set_size(&own, 100, 30);
        let ends: [Stdio; 3] = std::array::from_fn(|_| own.try_clone().unwrap().into());
        let [stdin, stdout, stderr] = ends;
        command.env("TERM", "xterm");
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        // The command holds ends of its own.
        drop(command);
        let mut screen = File::from(master);
        let keys = screen.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, keys, own: Some(own), output, seen: String::new() }
    }

    /// Waits until this has been written after what was waited for before.
    pub fn wait_for(&mut self, words: &str) {
        while !self.seen.contains(words) {
            let Ok(bytes) = self.output.recv() else { panic!("no {words:?} in {:?}", self.seen) };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        let end = self.seen.find(words).unwrap() + words.len();
        self.seen.drain(..end);
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        set_size(self.own.as_ref().unwrap(), columns, rows);
    }

    /// Whether keys are seen by the terminal itself, as a shell wants it.
    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(self.own.as_ref().unwrap()).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits for the end; answers the status and what was written last.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        assert!(self.echoes(), "the terminal was not given back");
        drop(self.own.take());
        while let Ok(bytes) = self.output.recv() {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status, self.seen)
    }
}

fn set_size(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
