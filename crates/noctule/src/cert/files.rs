//! Files of certificates and keys: each is there whole or not at all, and a key is at no time
//! readable by others.

use super::leaf::Pair;
use anyhow::{Context, Result, anyhow};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Stays,
    GivesWay,
}

/// Who may read a file; where there are no modes, its directory decides.
#[derive(Clone, Copy)]
enum Readers {
    Owner,
    Everyone,
}

/// Files that are written, but not yet under their names.
#[derive(Default)]
pub(super) struct Files(Vec<Staged>);

struct Staged {
    file: NamedTempFile,
    path: PathBuf,
    existing: Existing,
}

impl Files {
    /// Writes a certificate and its key. The key comes first: a certificate without its key is of
    /// no use, should the next one fail.
    pub(super) fn stage(
        &mut self,
        dir: &Path,
        stem: &str,
        made: &Pair,
        existing: Existing,
    ) -> Result<()> {
        let [certificate, key] = pair(dir, stem);
        let parts =
            [(key, &made.key, Readers::Owner), (certificate, &made.certificate, Readers::Everyone)];
        for (path, text, readers) in parts {
            let file = write(dir, text, readers)
                .with_context(|| format!("cannot write {}", path.display()))?;
            self.0.push(Staged { file, path, existing });
        }
        Ok(())
    }

    /// Gives all files their names.
    pub(super) fn show(self) -> Result<()> {
        for Staged { file, path, existing } in self.0 {
            let shown = match existing {
                Existing::Stays => file.persist_noclobber(&path),
                Existing::GivesWay => file.persist(&path),
            };
            shown.map_err(|error| {
                anyhow!(error.error).context(format!("cannot write {}", path.display()))
            })?;
        }
        Ok(())
    }
}

fn write(dir: &Path, text: &str, readers: Readers) -> io::Result<NamedTempFile> {
    let mut file = create(dir, readers)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The file has its mode from its first moment.
#[cfg(unix)]
fn create(dir: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everyone => 0o644,
    };
    let permissions = std::fs::Permissions::from_mode(mode);
    tempfile::Builder::new().permissions(permissions).tempfile_in(dir)
}

#[cfg(not(unix))]
fn create(dir: &Path, _: Readers) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(dir)
}

/// The files of a certificate and its key.
pub(super) fn pair(dir: &Path, stem: &str) -> [PathBuf; 2] {
    ["crt", "key"].map(|ending| dir.join(format!("{stem}.{ending}")))
}

/// Whether there is something of this name, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair_of(text: &str) -> Pair {
        let text = || text.to_owned();
        Pair { certificate: text(), key: text(), until: time::OffsetDateTime::UNIX_EPOCH }
    }

    #[test]
    fn nothing_is_there_before_all_is_and_nothing_stays_of_what_was_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        files.stage(dir.path(), "a", &pair_of("one"), Existing::Stays).unwrap();
        let [certificate, key] = pair(dir.path(), "a");
        assert!(!is_there(&certificate).unwrap() && !is_there(&key).unwrap());
        drop(files);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_came_in_between_stays_unless_it_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let [certificate, key] = pair(dir.path(), "a");
        for (existing, left) in [(Existing::Stays, "other"), (Existing::GivesWay, "one")] {
            let mut files = Files::default();
            files.stage(dir.path(), "a", &pair_of("one"), existing).unwrap();
            std::fs::write(&key, "other").unwrap();
            let shown = files.show();
            assert_eq!(shown.is_ok(), existing == Existing::GivesWay);
            assert_eq!(std::fs::read_to_string(&key).unwrap(), left);
            assert_eq!(is_there(&certificate).unwrap(), shown.is_ok());
        }
    }
}
