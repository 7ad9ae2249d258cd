//! `cargo xtask peers`: brings the programs noctule is compared with and tested against, once, into
//! `target/peers/`. `cargo xtask test` brings the brokers among them.
//!
//! * mosquitto 2.1.2 with its clients, from Debian sid, beside whatever this machine has: with
//!   its own libraries and its own loader, so that nothing is installed.
//! * nats-server 2.15.1, which is a broker of MQTT 3.1.1 too, from PyPI.
//! * the yardstick relay, where its source is at hand (`YARDSTICK_DIR`).

mod nats;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PROGRAMS: [(&str, &str); 5] = [
    ("mosquitto", "usr/sbin/mosquitto"),
    ("mosquitto_pub", "usr/bin/mosquitto_pub"),
    ("mosquitto_sub", "usr/bin/mosquitto_sub"),
    ("mosquitto_rr", "usr/bin/mosquitto_rr"),
    ("mosquitto_passwd", "usr/bin/mosquitto_passwd"),
];

/// Brings what is missing and prints where everything is.
pub(crate) fn run() -> Result<()> {
    let home = home();
    let bin = home.join("bin");
    bring_mosquitto(&home)?;
    bring_nats(&home)?;
    for (name, _) in PROGRAMS {
        println!("{}", bin.join(name).display());
    }
    println!("{}", bin.join("nats-server").display());
    // It answers with a status of its own; the first line says the version.
    let answer = Command::new(bin.join("mosquitto")).arg("-h").output()?;
    let answer = String::from_utf8_lossy(&answer.stdout);
    println!("{}", answer.lines().next().context("mosquitto does not start")?);
    process::run_command(Command::new(bin.join("nats-server")).arg("--version"))?;
    match yardstick(&home.join("yardstick"))? {
        Some(relay) => println!("{}", relay.display()),
        None => println!("left out: the yardstick relay (YARDSTICK_DIR does not name its source)"),
    }
    Ok(())
}

/// Brings the brokers that tests talk to; answers what could not be had.
pub(crate) fn brokers() -> Vec<String> {
    let home = home();
    let brought = [bring_mosquitto(&home), bring_nats(&home)];
    let failed = brought.into_iter().filter_map(Result::err);
    failed.map(|error| format!("{error:#} (cargo xtask peers)")).collect()
}

/// Brings nats-server.
pub(crate) fn nats() -> Result<()> {
    bring_nats(&home())
}

fn home() -> PathBuf {
    process::target().join("peers")
}

fn bring_mosquitto(home: &Path) -> Result<()> {
    let bin = home.join("bin");
    fs::create_dir_all(&bin)?;
    if bin.join("mosquitto").exists() {
        return Ok(());
    }
    mosquitto(&home.join("mosquitto"), &bin).context("mosquitto from Debian sid")
}

fn bring_nats(home: &Path) -> Result<()> {
    let bin = home.join("bin");
    fs::create_dir_all(&bin)?;
    if bin.join("nats-server").exists() {
        return Ok(());
    }
    nats::bring(&home.join("nats"), &bin).context("nats-server from PyPI")
}

/// Unpacks mosquitto with all it needs under `home`, and starts it from `bin`.
fn mosquitto(home: &Path, bin: &Path) -> Result<()> {
    let apt = home.join("apt");
    let tree = home.join("tree");
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::create_dir_all(&tree)?;
    // As if nothing at all were installed: then apt brings every library, the C library too.
    fs::write(apt.join("status"), "")?;
    fs::write(
        apt.join("sources.list"),
        format!("deb [signed-by={KEYRING}] {} sid main\n", debian_mirror()?),
    )?;
    apt_get(&apt, &["update"])?;
    let install = ["install", "--yes", "--download-only", "--no-install-recommends"];
    apt_get(&apt, &[&install[..], &["mosquitto", "mosquitto-clients"]].concat())?;
    for entry in fs::read_dir(apt.join("cache/archives"))? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            process::run_command(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
        }
    }
    // Some packages leave the links from a library's short name to ldconfig.
    let libraries = tree.join("usr/lib").join(library_folder());
    process::run_command(Command::new("/sbin/ldconfig").arg("-n").arg(&libraries))?;
    for (name, path) in PROGRAMS {
        write_starter(&bin.join(name), &tree, path)?;
    }
    Ok(())
}

/// The mirror this machine gets its own Debian packages from.
fn debian_mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    let texts: Vec<String> = files.iter().flat_map(fs::read_to_string).collect();
    let mut words = texts.iter().flat_map(|text| text.lines()).flat_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace()
    });
    let mirror = words.find(|word| word.contains("://") && word.ends_with("/debian"));
    Ok(mirror.context("this machine's apt knows no Debian mirror")?.to_owned())
}

/// apt-get that sees nothing of this machine but its network.
fn apt_get(apt: &Path, args: &[&str]) -> Result<()> {
    let mut command = process::command("apt-get", &["-qq"]);
    let path = |name: &str| apt.join(name).display().to_string();
    for option in [
        format!("Dir::Etc::sourcelist={}", path("sources.list")),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", path("lists")),
        format!("Dir::State::status={}", path("status")),
        format!("Dir::Cache={}", path("cache")),
        "Debug::NoLocking=1".to_owned(),
        // The folders are ours alone; apt's own user could not write there.
        format!("APT::Sandbox::User={}", std::env::var("USER").unwrap_or("root".to_owned())),
    ] {
        command.arg("-o").arg(option);
    }
    process::run_command(command.args(args))
}

/// A script that starts a program of the tree with the tree's own loader and libraries.
fn write_starter(script: &Path, tree: &Path, program: &str) -> Result<()> {
    let library = library_folder();
    let folders = ["usr/lib", "lib"].map(|lib| tree.join(lib).join(&library).display().to_string());
    let loader = find_loader(tree, &library)?;
    let text = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        folders.join(":"),
        tree.join(program).display(),
    );
    fs::write(script, text)?;
    process::run_command(Command::new("chmod").arg("+x").arg(script))
}

fn library_folder() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn find_loader(tree: &Path, library: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(tree.join("usr/lib").join(library))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("ld-linux-") {
            return Ok(path);
        }
    }
    bail!("the C library brought no loader")
}

/// Builds the yardstick relay from a copy of its source.
fn yardstick(home: &Path) -> Result<Option<PathBuf>> {
    let source = std::env::var_os("YARDSTICK_DIR").unwrap_or("../shared/yardstick".into());
    let source = process::root().join(source);
    if !source.join("Cargo.toml").is_file() {
        return Ok(None);
    }
    let relay = home.join("target/release/nullrelay");
    if relay.exists() {
        return Ok(Some(relay));
    }
    fs::create_dir_all(home)?;
    for part in ["Cargo.toml", "src"] {
        process::run_command(Command::new("cp").arg("-r").arg(source.join(part)).arg(home))?;
    }
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--quiet"]).current_dir(home);
    process::run_command(build.env("CARGO_TARGET_DIR", home.join("target")))?;
    Ok(Some(relay))
}
