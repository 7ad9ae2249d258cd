//! A password file, line by line: what is not changed stays as it is.

use anyhow::{Context, Result, bail};
use noctule_server::auth::{PasswordLine, Secret, read_lines};
use std::io::Write;
use std::path::Path;

/// The lines of a file.
#[derive(Default)]
pub(super) struct PasswordFile(Vec<PasswordLine>);

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

impl PasswordFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<PasswordFile> {
        let text = text(path).context("-c makes a new file")?;
        match read_lines(&text) {
            Ok(lines) => Ok(PasswordFile(lines)),
            Err(faults) => {
                let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
                bail!("{}: {}", path.display(), told.join("; "))
            }
        }
    }

    /// Sets the password of a user; `true` if there was one.
    pub(super) fn set(&mut self, name: &str, secret: Secret) -> bool {
        let its =
            |line: &&mut PasswordLine| matches!(line, PasswordLine::User(it, _) if **it == *name);
        let line = PasswordLine::User(name.into(), secret);
        match self.0.iter_mut().find(its) {
            Some(old) => {
                *old = line;
                true
            }
            None => {
                self.0.push(line);
                false
            }
        }
    }

    /// Takes a user out; `false` if there is none.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|line| !matches!(line, PasswordLine::User(it, _) if **it == *name));
        self.0.len() < before
    }

    /// Appends a line that is no user's.
    pub(super) fn keep(&mut self, line: &str) {
        self.0.push(PasswordLine::Other(line.into()));
    }

    /// Writes the file, as a whole or not at all. One that was there keeps its mode; a new one is
    /// its owner's alone, and takes no other's place.
    pub(super) fn write(&self, path: &Path, new: bool) -> Result<()> {
        let mut text = String::new();
        for line in &self.0 {
            match line {
                PasswordLine::User(name, secret) => text.push_str(&format!("{name}:{secret}\n")),
                PasswordLine::Other(line) => text.push_str(&format!("{line}\n")),
            }
        }
        let cannot = || format!("cannot write {}", path.display());
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .with_context(cannot)?;
        file.write_all(text.as_bytes()).with_context(cannot)?;
        if !new {
            // It is still there: it was read.
            let mode = std::fs::metadata(path).with_context(cannot)?.permissions();
            file.as_file().set_permissions(mode).with_context(cannot)?;
        }
        file.as_file().sync_all().with_context(cannot)?;
        let shown = if new { file.persist_noclobber(path) } else { file.persist(path) };
        shown.map(drop).map_err(|error| error.error).with_context(cannot)
    }
}
