//! The examples of the client library, each run as its head says, against the broker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use noctule_client::{Client, Options, QoS, Subscribe};
use noctule_tests::process::BrokerProcess;

/// The program of an example: cargo builds it with the whole workspace's tests, into the folder
/// beside them. It is built here if only this test was asked for.
fn example(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(|deps| deps.parent()).context("a target folder")?;
    let path = folder.join("examples").join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../noctule-client/examples")
        .join(name)
        .with_extension("rs");
    if changed(&path).is_none_or(|built| changed(&source) > Some(built)) {
        let profile = folder.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
        let profile = if profile == "debug" { "dev" } else { profile };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--workspace", "--examples", "--profile", profile]);
        ensure!(build.status()?.success(), "the examples do not build");
    }
    Ok(path)
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Runs an example to its end and answers what it printed.
fn run(name: &str, args: &[&str], home: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(example(name)?);
    // Files of an example go where temporary files go.
    let output = command.args(args).env("TMPDIR", home).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {said}{complaints}");
    Ok(said.lines().map(str::to_owned).collect())
}

#[test]
fn the_first_example_prints_what_it_publishes() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let home = tempfile::tempdir()?;
    let said = run("first", &[&broker.address().to_string()], home.path())?;
    assert_eq!(said, ["home/kitchen/temperature 21.5", "home/bath/temperature 23.0"]);
    Ok(())
}

#[test]
fn the_dashboard_shows_what_the_sensor_says() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let address = broker.address().to_string();
    let home = tempfile::tempdir()?;
    // What was retained is there for who comes later; the dashboard ends with a sensor asleep.
    let sensor = run("sensor", &[&address], home.path())?;
    assert_eq!(sensor, ["published 11.4", "published 11.5", "published 11.3"]);
    let board = run("dashboard", &[&address], home.path())?;
    assert!(board.contains(&"[online as dashboard]".to_owned()), "{board:?}");
    let shows = |line: &str| board.iter().any(|shown| shown == line);
    assert!(shows("sensors/cellar/status = asleep"), "{board:?}");
    Ok(())
}

#[test]
fn requests_are_answered() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let home = tempfile::tempdir()?;
    let said = run("requests", &[&broker.address().to_string()], home.path())?;
    assert_eq!(said[0], "12 -> 144");
    assert!(said[1].starts_with("many -> \"many\" is no number"), "{said:?}");
    Ok(())
}

#[test]
fn each_task_of_the_work_queue_is_done_once_and_both_workers_do_some() -> Result<()> {
    let broker = BrokerProcess::start()?;
    let home = tempfile::tempdir()?;
    let said = run("work_queue", &[&broker.address().to_string()], home.path())?;
    let done = said.iter().filter_map(|line| Some(line.split_once(" did ")?.1));
    let mut tasks: Vec<&str> = done.collect();
    tasks.sort_unstable();
    assert_eq!(tasks, ["task 1", "task 2", "task 3", "task 4", "task 5", "task 6"]);
    for worker in ["worker-1", "worker-2"] {
        assert!(said.iter().any(|line| line.starts_with(&format!("{worker} did"))), "{said:?}");
    }
    Ok(())
}

#[test]
fn what_is_measured_offline_is_delivered_by_a_later_process() -> Result<()> {
    let home = tempfile::tempdir()?;
    // Nobody listens on the port that a broker has just left.
    let gone = {
        let broker = BrokerProcess::start()?;
        broker.address().to_string()
    };
    for _ in 0..2 {
        run("offline_first", &["measure", &gone], home.path())?;
    }
    let broker = BrokerProcess::start()?;
    let address = broker.address().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(async {
        let watcher = Client::connect(&address, Options::new("watcher")).await?;
        let mut trucks = watcher.subscribe(Subscribe::to("trucks/#", QoS::ExactlyOnce)).await?;
        let said = run("offline_first", &["deliver", &address], home.path())?;
        assert_eq!(said.last().map(String::as_str), Some("delivered"));
        let mut seen = 0;
        while seen < 3 && trucks.recv().await.is_some() {
            seen += 1;
        }
        anyhow::Ok(seen)
    })?;
    assert_eq!(seen, 3);
    Ok(())
}
