//! `noctule import`: what mosquitto kept is what clients of noctule find, from files that mosquitto
//! made and from one that is made here.
#![cfg(unix)]

mod broker;
mod client;
mod file;
mod story;

use anyhow::{Context, Result, ensure};
use broker::{Broker, free, imported, ours, refused};
use noctule_tests::driver::{Needs, leave_out};
use noctule_tests::process;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use story::Holds;
use tempfile::TempDir;

/// A folder, and in it the file that is made here.
fn made_here() -> Result<(TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("mosquitto.db");
    fs::write(&file, file::file()?)?;
    Ok((folder, shown(&file)))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The store that is imported into.
fn store(folder: &TempDir) -> String {
    shown(&folder.path().join("store"))
}

/// What clients find in the store of the folder, also once more behind a crash.
fn find(folder: &TempDir, holds: Holds) -> Result<()> {
    // A broker that reads it and is killed changes nothing of it.
    ours(folder.path())?.kill()?;
    let broker = ours(folder.path())?;
    let found = story::find(broker.address, holds);
    found.with_context(|| fs::read_to_string(folder.path().join("log")).unwrap_or_default())?;
    broker.end()
}

#[test]
fn a_mosquitto_db_is_what_clients_find() -> Result<()> {
    let (folder, file) = made_here()?;
    let store = store(&folder);
    let before = fs::read(&file)?;
    let would = imported(&["--dry-run", "--data", &store, &file])?;
    ensure!(!Path::new(&store).exists(), "a dry run makes nothing");
    let says = imported(&["--data", &store, &file])?;
    ensure!(would.replace("would be brought", "brought") == says, "{would}\n{says}");
    let told = says.split_once('\n').context("lines")?.1;
    ensure!(
        told == "  mosquitto.db, version 6
  taken: 2 retained messages
  taken: 3 sessions (1 with a user name)
  taken: 4 subscriptions
  taken: 12 queued messages
  taken: 3 QoS 2 messages in flight (1 to be sent again, 1 with PUBREL to be sent again, 1 from \
clients, without PUBREL yet)
  taken: 0 Wills that wait
  left: 1 retained messages that have expired, the first of \"r/gone\"
  left: 1 sessions that have expired, the first of \"over\"
  left: 1 subscriptions to what is no filter, the first of \"a/#/b\"
  left: 1 subscriptions of sessions that are left, the first of \"a/#\"
  note: whom a session belongs to is not kept by noctule: whoever may connect with its client id \
gets it
  note: mosquitto keeps no shared subscriptions ($share/…) in this file: their clients have to \
subscribe again
",
        "{told}"
    );
    ensure!(fs::read(&file)? == before, "the file is only read");
    find(&folder, Holds::NoShares)
}

#[test]
fn an_import_that_was_cut_off_left_nothing_and_is_done_again() -> Result<()> {
    let (folder, file) = made_here()?;
    let store = store(&folder);
    imported(&["--data", &store, &file])?;
    let log = fs::OpenOptions::new().write(true).open(format!("{store}/log-00000001"))?;
    let len = log.metadata()?.len() as usize;
    for end in [20_000, 9_000, 700] {
        log.write_all_at(&vec![0; len - end], end as u64)?;
        let owed = Command::new(process::binary()?).args(["store", "export", &store]).output()?;
        ensure!(owed.status.success() && owed.stdout.is_empty(), "cut at {end}: {owed:?}");
    }
    drop(log);
    imported(&["--data", &store, &file])?;
    find(&folder, Holds::NoShares)
}

#[test]
fn a_store_that_holds_something_or_is_in_use_is_left_alone() -> Result<()> {
    let (folder, file) = made_here()?;
    let store = store(&folder);
    // A broker that nobody has used is nothing in the way, once it has ended.
    let running = ours(folder.path())?;
    for words in [&["--data", &store, &file][..], &["--dry-run", "--data", &store, &file]] {
        let says = refused(words)?;
        ensure!(says.contains(&store) && says.contains("is in use by a broker"), "{says}");
    }
    running.end()?;
    imported(&["--data", &store, &file])?;
    for words in [&["--data", &store, &file][..], &["--dry-run", "--data", &store, &file]] {
        let says = refused(words)?;
        ensure!(says.contains(&store) && says.contains("holds something already"), "{says}");
    }
    find(&folder, Holds::NoShares)
}

#[test]
fn what_is_no_file_of_mosquitto_is_refused_and_nothing_is_made() -> Result<()> {
    let (folder, file) = made_here()?;
    let store = store(&folder);
    let whole = fs::read(&file)?;
    let of_version = |version: u8| [&whole[..22], &[version], &whole[23..]].concat();
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "is empty"),
        (b"{\"clients\":[]}".to_vec(), "is JSON: a file of dynamic security need not be imported"),
        (b"[mosquitto]\n".to_vec(), "is neither a mosquitto.db nor the SQLite file"),
        (of_version(4), "of version 4: start and stop mosquitto 2.x once with it"),
        (of_version(7), "of version 7: this is newer than what noctule knows"),
        (whole[..whole.len() - 3].to_vec(), "a chunk of a retained message: needs 8 bytes, and 5"),
        (whole[..50].to_vec(), "at byte 47: the head of a chunk: needs 4 bytes, and 3 are left"),
        (b"SQLite format 3\0".to_vec(), "a SQLite database that ends within its head"),
    ];
    for (bytes, wanted) in cases {
        fs::write(&file, &bytes)?;
        let says = refused(&["--data", &store, &file])?;
        ensure!(says.contains(&file) && says.contains(wanted), "{wanted}: {says}");
        ensure!(!Path::new(&store).exists(), "{wanted}: nothing is made");
    }
    let says = refused(&["--data", &store, "/nowhere/mosquitto.db"])?;
    ensure!(says.contains("/nowhere/mosquitto.db: "), "{says}");
    Ok(())
}

#[test]
fn who_starts_it_with_mosquittos_configuration_is_told_how() -> Result<()> {
    let (folder, file) = made_here()?;
    let home = folder.path();
    let address = free()?;
    let conf = home.join("mosquitto.conf");
    let says = |persistence: &str| {
        let text = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous true\npersistence {persistence}\n\
             persistence_location {}\n",
            address.port(),
            home.display()
        );
        fs::write(&conf, text)
    };
    let serve = || -> Result<String> {
        let mut command = Command::new(process::binary()?);
        command.args(["serve", "-c"]).arg(&conf);
        Broker::start(command, address, home)?.end()?;
        Ok(fs::read_to_string(home.join("log"))?)
    };
    let conf = shown(&conf);
    says("false")?;
    let refusal = refused(&["-c", &conf, &file])?;
    ensure!(refusal.contains("nothing is kept"), "{refusal}");
    says("true")?;
    let log = serve()?;
    ensure!(log.contains(&format!("run: noctule import -c {conf} {file}")), "{log}");
    let report = imported(&["-c", &conf, &file])?;
    ensure!(report.contains("taken: 3 sessions"), "{report}");
    let log = serve()?;
    ensure!(!log.contains("noctule import"), "{log}");
    Ok(())
}

/// mosquitto, to which the story is told, in the folder; `None` if it is not here.
fn mosquitto(folder: &TempDir, config: &str) -> Result<Option<Broker>> {
    let Some(program) = Needs::MosquittoPeers.program() else { return Ok(None) };
    let (address, home) = (free()?, folder.path());
    let conf = home.join("mosquitto.conf");
    let text = format!(
        "user root\nlistener {} 127.0.0.1\nallow_anonymous true\n\
         persistence_location {}/\n{config}",
        address.port(),
        home.display()
    );
    fs::write(&conf, text)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&conf);
    let broker = Broker::start(command, address, home)?;
    story::tell(address)?;
    Ok(Some(broker))
}

#[test]
fn what_mosquitto_keeps_in_its_own_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(running) = mosquitto(&folder, "persistence true\n")? else { return Ok(()) };
    running.end()?;
    let file = shown(&folder.path().join("mosquitto.db"));
    let says = imported(&["--data", &store(&folder), &file])?;
    ensure!(says.contains("taken: 3 sessions\n"), "{says}");
    find(&folder, Holds::NoShares)
}

/// Where the plugin lies in the tree of packages.
fn plugin() -> Option<PathBuf> {
    let tree = process::target_directory().join("peers/mosquitto/tree/usr/lib");
    let triples = fs::read_dir(tree).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let file = "mosquitto/mosquitto_persist_sqlite.so";
    let found = triples.map(|triple| triple.join(file)).find(|path| path.exists());
    if found.is_none() {
        leave_out("mosquitto's persist-sqlite plugin (cargo xtask peers)");
    }
    found
}

fn in_sqlite(ends: impl FnOnce(Broker, &Path) -> Result<()>) -> Result<()> {
    let Some(plugin) = plugin() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let config = format!("plugin {}\nplugin_opt_flush_period 0\n", plugin.display());
    let Some(running) = mosquitto(&folder, &config)? else { return Ok(()) };
    let file = folder.path().join("mosquitto.sqlite3");
    ends(running, &file)?;
    let says = imported(&["--data", &store(&folder), &shown(&file)])?;
    for wanted in ["taken: 3 sessions\n", "(1 shared)", "taken: 1 Wills that wait"] {
        ensure!(says.contains(wanted), "{wanted}: {says}");
    }
    find(&folder, Holds::All)
}

#[test]
fn what_mosquitto_keeps_in_sqlite() -> Result<()> {
    in_sqlite(|running, file| {
        running.end()?;
        ensure!(!file.with_extension("sqlite3-wal").exists(), "no -wal is left");
        Ok(())
    })
}

#[test]
fn what_mosquitto_left_in_the_wal_as_it_was_killed() -> Result<()> {
    in_sqlite(|running, file| {
        let wal = file.with_extension("sqlite3-wal");
        // It commits once a while: what is asked for is that it has, not when.
        let is_there =
            || -> Result<bool> { Ok(fs::read(&wal)?.windows(6).any(|it| it == b"shared")) };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_there()? {
            ensure!(Instant::now() < deadline, "nothing is committed");
            std::thread::sleep(Duration::from_millis(20));
        }
        running.kill()?;
        ensure!(fs::metadata(&wal)?.len() > 0, "a -wal is left");
        Ok(())
    })
}
