//! Unix sockets of a real broker process: who connects, what becomes of the file, and the programs
//! that people use.
#![cfg(unix)]

use anyhow::{Context, Result, ensure};
use noctule_tests::driver::Needs;
use noctule_tests::process::{self, BrokerProcess};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// MQTT 3.1.1, a clean session, a client id that the broker chooses.
const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";

fn start(socket: &Path, more: &str) -> Result<BrokerProcess> {
    let config = format!("shards = 2\n[[listener]]\nunix = {socket:?}\n{more}");
    let broker = BrokerProcess::start_with(&config)?;
    broker.await_log(&format!("listening on unix:{}", socket.display()), 1)?;
    Ok(broker)
}

/// A path that nothing is at; short, as that of a socket has to be.
fn free(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("nt-{}-{name}.sock", std::process::id()));
    drop(fs::remove_file(&path));
    path
}

fn is_let_in(socket: &Path) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(CONNECT)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    ensure!(answer == [0x20, 2, 0, 0], "{answer:?}");
    Ok(stream)
}

fn tool(args: &[&str], socket: &Path) -> Result<Output> {
    let output = Command::new(process::binary()?).args(args).arg("--unix").arg(socket).output()?;
    ensure!(output.status.success(), "{args:?}: {output:?}");
    Ok(output)
}

#[test]
fn clients_connect_by_the_file_and_the_log_names_it() -> Result<()> {
    let socket = free("file");
    let broker = start(&socket, "unix_mode = \"0600\"")?;
    ensure!(fs::metadata(&socket)?.permissions().mode() & 0o777 == 0o600, "its rights");
    let mut large = vec![b'x'; 1_000_000];
    // Clients of either shard.
    let clients: Vec<UnixStream> = (0..8).map(|_| is_let_in(&socket)).collect::<Result<_>>()?;
    broker.await_log(&format!("remote=\"unix:{}\"", socket.display()), 1)?;
    drop(clients);
    broker.await_log("connection lost", 1)?;
    tool(&["pub", "-t", "kept", "-m", "here", "-r", "-q", "2"], &socket)?;
    ensure!(tool(&["sub", "-t", "kept", "-C", "1", "-W", "20"], &socket)?.stdout == b"here\n");
    let text = String::from_utf8(large.clone())?;
    let file = free("payload");
    fs::write(&file, &text)?;
    let path = file.to_str().context("a path")?;
    tool(&["pub", "-t", "large", "-f", path, "-r", "-q", "1"], &socket)?;
    large.push(b'\n');
    ensure!(tool(&["sub", "-t", "large", "-C", "1", "-W", "20"], &socket)?.stdout == large);
    fs::remove_file(&file)?;
    if let Some(mosquitto) = Needs::MosquittoPeers.program() {
        let mut command = Command::new(mosquitto.with_file_name("mosquitto_sub"));
        command.args(["-t", "kept", "-C", "1", "-W", "20", "--unix"]).arg(&socket);
        let output = command.output()?;
        ensure!(output.status.success() && output.stdout == b"here\n", "{output:?}");
    }
    broker.stop()?;
    ensure!(!socket.exists(), "the file goes with the broker");
    Ok(())
}

#[test]
fn a_file_that_was_left_is_replaced_and_one_in_use_is_not() -> Result<()> {
    let socket = free("left");
    // As after a kill: nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&socket)?);
    let broker = start(&socket, "")?;
    is_let_in(&socket)?;
    let folder = free("second");
    fs::create_dir_all(&folder)?;
    let file = folder.join("noctule.toml");
    for (path, why) in [
        (&socket, "somebody listens there already, probably another broker"),
        (&file, "there is a file that is no socket: move it, or choose another path"),
    ] {
        fs::write(&file, format!("admin.enabled = false\n[[listener]]\nunix = {path:?}\n"))?;
        let mut second = Command::new(process::binary()?);
        let output = second.args(["serve", "--memory", "-c"]).arg(&file).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("cannot listen on unix:{}: {why}", path.display());
        ensure!(!output.status.success() && said.contains(&expected), "{said}");
    }
    fs::remove_dir_all(&folder)?;
    // The first one was not disturbed.
    is_let_in(&socket)?;
    broker.stop()?;
    ensure!(!socket.exists(), "the file goes with the broker");
    Ok(())
}

#[test]
fn anonymous_clients_and_networks_are_as_on_loopback() -> Result<()> {
    let socket = free("denied");
    let broker = start(&socket, "deny = [\"127.0.0.0/8\"]")?;
    let mut stream = UnixStream::connect(&socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // It is closed as it comes.
    let end = stream.write_all(CONNECT).and_then(|()| stream.read(&mut [0; 4]));
    ensure!(end.as_ref().map_or(true, |len| *len == 0), "{end:?}");
    let line = "a listener does not take connections from there: closed";
    broker.await_log(line, 1)?;
    let log = broker.log();
    let said = log.lines().find(|it| it.contains(line)).context("a line")?;
    ensure!(said.contains(&format!("unix:{}", socket.display())), "{said}");
    Ok(())
}
