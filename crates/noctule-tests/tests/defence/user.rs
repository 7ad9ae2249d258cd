//! A broker that root starts and that becomes another user. Elsewhere than as root there is nothing
//! to give up, so what can be tested is that it goes on.

use crate::broker::{Broker, Home, Visitor};
use anyhow::{Context, Result, ensure};
use noctule_tests::process;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

fn starts_as_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

#[test]
fn root_is_given_up_and_what_is_kept_belongs_to_the_user() -> Result<()> {
    let home = Home::new("user", "user = \"nobody\"\npassword_file = \"secret\"")?;
    fs::write(home.path("secret"), "")?;
    fs::set_permissions(home.path("secret"), fs::Permissions::from_mode(0o600))?;
    let broker = Broker::start(&home)?;
    let status = fs::read_to_string(format!("/proc/{}/status", broker.id()))?;
    let ids = |name: &str| -> Result<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line")?;
        Ok(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    };
    let owner = fs::metadata(home.path("data"))?.uid();
    ensure!(ids("Uid:")? == [owner; 4], "{status}");
    if starts_as_root()? {
        ensure!(owner != 0, "{status}");
        ensure!(!ids("Groups:")?.contains(&0), "{status}");
        for name in ["Gid:", "Uid:"] {
            ensure!(!ids(name)?.contains(&0), "{status}");
        }
        for task in fs::read_dir(format!("/proc/{}/task", broker.id()))? {
            let of_thread = fs::read_to_string(task?.path().join("status"))?;
            let capabilities = of_thread.lines().find_map(|line| line.strip_prefix("CapEff:"));
            ensure!(capabilities.is_some_and(|it| it.trim().bytes().all(|it| it == b'0')));
        }
    }
    for entry in fs::read_dir(home.path("data"))? {
        let entry = entry?;
        ensure!(entry.metadata()?.uid() == owner, "{:?} is another's", entry.file_name());
    }
    ensure!(Visitor::ann("a").code(broker.address)? == Some(0));
    broker.stop()?;
    // What it keeps, it finds again.
    let broker = Broker::start(&home)?;
    ensure!(Visitor::ann("a").code(broker.address)? == Some(0));
    broker.stop()
}

#[test]
fn a_user_that_is_none_is_named() -> Result<()> {
    let home = Home::new("no-user", "user = \"no such user\"")?;
    let mut command = Command::new(process::binary()?);
    command.args(["serve", "--memory", "-c"]).arg(home.path("noctule.toml"));
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{said}");
    ensure!(said.contains("there is no user \"no such user\" (user)"), "{said}");
    Ok(())
}
