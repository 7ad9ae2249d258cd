//! `noctule top` on a terminal: what it shows, its keys, and how it leaves the terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker;

use broker::Broker;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// How the other screen of a terminal is entered and left, and the cursor hidden and shown.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW: &str = "\x1b[?25h";

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    /// Ours stays open, so that nothing is lost when the program ends.
    own: Option<OwnedFd>,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(mut command: Command) -> Terminal {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let own =
            open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        resize(&own, 100, 30);
        let ends: [Stdio; 3] = std::array::from_fn(|_| own.try_clone().unwrap().into());
        let [stdin, stdout, stderr] = ends;
        command.env("TERM", "xterm").env_remove("NO_COLOR");
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

    fn top(port: u16, arguments: &[&str]) -> Terminal {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
        command.args(["top", "-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
        Terminal::start(command)
    }

    /// Waits until this has been written after what was waited for before.
    fn wait_for(&mut self, words: &str) {
        while !self.seen.contains(words) {
            let Ok(bytes) = self.output.recv() else { panic!("no {words:?} in {:?}", self.seen) };
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        let end = self.seen.find(words).unwrap() + words.len();
        self.seen.drain(..end);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Whether keys are seen by the terminal itself, as a shell wants it.
    fn echoes(&self) -> bool {
        let modes = tcgetattr(self.own.as_ref().unwrap()).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits for the end; answers the status and what was written last.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        assert!(self.echoes(), "the terminal was not given back");
        drop(self.own.take());
        while let Ok(bytes) = self.output.recv() {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status, self.seen)
    }
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

#[test]
fn the_dashboard_shows_the_broker_and_obeys_keys() {
    let broker = Broker::start("terminal-keys", "sys_interval_secs = 1");
    let mut terminal = Terminal::top(broker.port, &[]);
    terminal.wait_for(ENTER);
    terminal.wait_for("retained");
    assert!(!terminal.echoes(), "keys are its own");
    terminal.press("?");
    terminal.wait_for("this");
    terminal.press("x");
    terminal.press("t");
    terminal.wait_for("listening");
    terminal.press("p");
    terminal.wait_for("paused");
    terminal.press("p");
    terminal.wait_for("updated");
    resize(terminal.own.as_ref().unwrap(), 50, 10);
    terminal.signal("-WINCH");
    // A resized screen is cleared and drawn from the start.
    terminal.wait_for("\x1b[2J");
    terminal.wait_for("noctule");
    terminal.press("q");
    let (status, last) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(last.contains(LEAVE) && last.contains(SHOW), "{last:?}");
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_dashboard() {
    let broker = Broker::start("terminal-ends", "sys_interval_secs = 1");
    for signal in ["-TERM", "-INT", "-HUP", "-QUIT"] {
        let mut terminal = Terminal::top(broker.port, &[]);
        terminal.wait_for("retained");
        terminal.signal(signal);
        let (status, last) = terminal.end();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(last.contains(LEAVE) && last.contains(SHOW), "{signal} {last:?}");
    }
    let mut terminal = Terminal::top(broker.port, &[]);
    terminal.wait_for("retained");
    terminal.press("\x03");
    let (status, last) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(last.contains(LEAVE), "{last:?}");
}

#[test]
fn a_lost_connection_is_shown_and_made_again() {
    let broker = Broker::start("terminal-again", "sys_interval_secs = 1");
    let port = broker.port;
    let mut terminal = Terminal::top(port, &[]);
    terminal.wait_for("updated");
    drop(broker);
    terminal.wait_for("no connection for");
    let _broker = Broker::start_at("terminal-again", port, "sys_interval_secs = 1");
    terminal.wait_for("updated");
    terminal.press("q");
    assert_eq!(terminal.end().0.code(), Some(0));
}

#[test]
fn who_cannot_connect_keeps_the_terminal_as_it_is() {
    let broker = Broker::start("terminal-none", "");
    let port = broker.port;
    drop(broker);
    let (status, said) = Terminal::top(port, &[]).end();
    assert_eq!(status.code(), Some(1));
    assert!(!said.contains(ENTER) && said.contains("start the server"), "{said:?}");
}

#[test]
fn one_snapshot_is_printed_on_a_terminal_too() {
    let broker = Broker::start("terminal-once", "sys_interval_secs = 1");
    let (status, said) = Terminal::top(broker.port, &["--once"]).end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.contains(ENTER) && said.contains("clients connected"), "{said:?}");
}
