//! `noctule top` on a terminal: what it shows, its keys, and how it leaves the terminal.
#![cfg(target_os = "linux")]

mod broker;
mod terminal;

use broker::Broker;
use std::process::Command;
use terminal::Terminal;

/// How the other screen of a terminal is entered and left, and the cursor hidden and shown.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const SHOW: &str = "\x1b[?25h";

fn top(port: u16, arguments: &[&str]) -> Terminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.args(["top", "-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments);
    Terminal::start(command)
}

#[test]
fn the_dashboard_shows_the_broker_and_obeys_keys() {
    let broker = Broker::start("terminal-keys", "sys_interval_secs = 1");
    let mut terminal = top(broker.port, &[]);
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
    terminal.resize(50, 10);
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
        let mut terminal = top(broker.port, &[]);
        terminal.wait_for("retained");
        terminal.signal(signal);
        let (status, last) = terminal.end();
        assert_eq!(status.code(), Some(0), "{signal}");
        assert!(last.contains(LEAVE) && last.contains(SHOW), "{signal} {last:?}");
    }
    let mut terminal = top(broker.port, &[]);
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
    let mut terminal = top(port, &[]);
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
    let (status, said) = top(port, &[]).end();
    assert_eq!(status.code(), Some(1));
    assert!(!said.contains(ENTER) && said.contains("start the server"), "{said:?}");
}

#[test]
fn one_snapshot_is_printed_on_a_terminal_too() {
    let broker = Broker::start("terminal-once", "sys_interval_secs = 1");
    let (status, said) = top(broker.port, &["--once"]).end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.contains(ENTER) && said.contains("clients connected"), "{said:?}");
}
