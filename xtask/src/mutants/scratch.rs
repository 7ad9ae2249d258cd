//! A copy of the tree in which faults are planted and taken out again.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::list::Mutant;
use crate::{process, tree};

/// What is quick enough to be asked fifty times, the quickest first: a name, and what cargo is to
/// do.
const SUITES: [(&str, &[&str]); 3] = [
    ("proto", &["test", "--package", "noctule-proto", "--all-features"]),
    ("core", &["test", "--package", "noctule-core"]),
    ("conformance", &["test", "--package", "noctule-tests", "--test", "conformance"]),
];

/// A fault that makes a test run for ever is noticed by its not ending.
const PATIENCE: Duration = Duration::from_secs(300);

/// What became of a planted fault.
pub(super) enum Verdict {
    /// This suite failed, did not end, or no longer compiles.
    Caught(&'static str),
    /// Every suite passed.
    Survived,
    /// It is no fault at all: it does not compile.
    Void,
}

/// The copy. Its builds are kept between runs, apart from those of the tree itself.
pub(super) struct Scratch {
    tree: PathBuf,
    build: PathBuf,
}

impl Scratch {
    /// Copies every file of the tree as it stands now; what has not changed is left alone, so
    /// that it is not built again.
    pub(super) fn new() -> Result<Self> {
        let home = process::target().join("mutants");
        let scratch = Self { tree: home.join("tree"), build: home.join("build") };
        for source in tree::sources()? {
            let path = scratch.tree.join(&source.path);
            if fs::read_to_string(&path).is_ok_and(|text| text == source.text) {
                continue;
            }
            fs::create_dir_all(path.parent().expect("a file of the tree lies in it"))?;
            fs::write(&path, &source.text)?;
        }
        Ok(scratch)
    }

    /// The suites pass on the tree as it is.
    pub(super) fn baseline(&self) -> Result<()> {
        for (name, args) in SUITES {
            if !self.passes(args)? {
                bail!("{name} does not pass");
            }
        }
        Ok(())
    }

    /// Plants the fault, runs the suites until one notices, and takes the fault out again.
    pub(super) fn judge(&self, mutant: &Mutant) -> Result<Verdict> {
        let path = self.tree.join(&mutant.file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", mutant.file))?;
        fs::write(&path, mutant.plant(&text)?)?;
        let verdict = self.ask();
        fs::write(&path, text)?;
        verdict
    }

    fn ask(&self) -> Result<Verdict> {
        if !self.ends_well(&["check", "--package", "noctule-core"])? {
            return Ok(Verdict::Void);
        }
        for (name, args) in SUITES {
            if !self.passes(args)? {
                return Ok(Verdict::Caught(name));
            }
        }
        Ok(Verdict::Survived)
    }

    fn passes(&self, args: &[&str]) -> Result<bool> {
        self.ends_well(args)
    }

    /// Runs cargo in the copy, unseen, and stops it where it does not end.
    fn ends_well(&self, args: &[&str]) -> Result<bool> {
        let mut child = Command::new("cargo")
            .args(args)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            // Built again for every fault, so quick to build; yet the simulation wants some speed.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("NOCTULE_NO_SOCKETS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start cargo")?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stop(&mut child)?;
        Ok(false)
    }
}

/// Ends a cargo that was waited for long enough, and the test program under it.
fn stop(child: &mut Child) -> Result<()> {
    let parent = child.id().to_string();
    // The test program is cargo's child; it would run on by itself.
    let children = process::output("ps", &["-o", "pid=", "--ppid", &parent]).unwrap_or_default();
    child.kill()?;
    for id in children.split_whitespace() {
        process::run("kill", &["-9", id])?;
    }
    child.wait()?;
    Ok(())
}
