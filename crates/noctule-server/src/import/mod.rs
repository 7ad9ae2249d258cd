//! What mosquitto kept, brought into a store of noctule.
//!
//! ```text
//!  mosquitto.db --------mosquitto_db--+
//!                                     +--> Persisted --plan--> records, Report --into--> a store
//!  mosquitto.sqlite3, -wal --sqlite---+
//! ```
//!
//! * `mosquitto_db` the file that `persistence true` makes
//! * `sqlite/`      the file of mosquitto's persist-sqlite plugin, read without SQLite
//! * `persisted`    what both say
//! * `message`      a message as noctule keeps it
//! * `plan`         what of it is taken, as records, and what is left, and why
//! * `report`       the same for people
//! * `into`         records into an empty store: all of them or none
//!
//! Files are only read. Readers are total: any bytes are a [`Persisted`] or a [`FormatError`], with
//! memory in proportion to their number.

mod into;
mod message;
mod mosquitto_db;
mod persisted;
mod plan;
mod report;
#[cfg(test)]
mod spoil;
mod sqlite;

pub use persisted::{FormatError, Persisted};
pub use plan::Plan;
pub use report::{Left, Report};

use crate::privileges::Privileges;
use crate::process::{RunError, place_to_keep};
use noctule_core::Time;
use noctule_store::StoreError;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is brought where.
#[derive(Clone, Debug, Default)]
pub struct Import<'a> {
    /// mosquitto's file.
    pub file: PathBuf,
    /// Configuration file of the broker, which names the directory and the user.
    pub config: Option<&'a Path>,
    /// The directory, if it is named.
    pub data: Option<&'a Path>,
    /// Only say what it would come to.
    pub dry_run: bool,
}

/// Why nothing was brought.
#[derive(Debug)]
pub enum ImportError {
    /// The configuration does not say where to.
    Config(RunError),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file is not what it should be.
    Format(PathBuf, FormatError),
    /// A file was written to in the meantime.
    Changed(PathBuf),
    /// SQLite's file has changes beside it that only SQLite can take back.
    Journal(PathBuf),
    /// The store holds something already.
    Holds(PathBuf),
    /// The directory belongs to another user, who could not open what is written there.
    OtherUser {
        /// It.
        directory: PathBuf,
        /// Whose it is.
        user: u32,
    },
    /// There is more than a store takes in one piece.
    TooMuch(u64),
    /// The store failed; it is as it was.
    Store(PathBuf, StoreError),
    /// The disk has no room; the store is as it was.
    Full(PathBuf, String),
    /// The system refuses to become the user that the configuration names.
    User(io::Error),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Config(error) => error.fmt(f),
            ImportError::Read(file, error) => write!(f, "{}: {error}", file.display()),
            ImportError::Format(file, error) => write!(f, "{}: {error}", file.display()),
            ImportError::Changed(file) => {
                write!(f, "{} is being written: stop mosquitto first", file.display())
            }
            ImportError::Journal(file) => write!(
                f,
                "{} holds changes that were not ended: start and stop mosquitto once, or open the \
                 database with sqlite3",
                file.display()
            ),
            ImportError::Holds(directory) => write!(
                f,
                "the store in {} holds something already: name a new directory (--data DIR), or \
                 move that one away",
                directory.display()
            ),
            ImportError::OtherUser { directory, user } => write!(
                f,
                "{} belongs to user {user}, who could not open what root writes there: run this \
                 as that user",
                directory.display()
            ),
            ImportError::TooMuch(bytes) => write!(
                f,
                "{bytes} bytes are more than the 2 GiB that are brought in one piece: let clients \
                 take what waits for them from mosquitto first"
            ),
            ImportError::Store(directory, StoreError::InUse { pid }) => {
                let whose = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
                write!(f, "{} is in use by a broker{whose}: stop it first", directory.display())
            }
            ImportError::Store(directory, error) => write!(f, "{}: {error}", directory.display()),
            ImportError::Full(directory, why) => {
                write!(f, "{}: {why}; nothing was written", directory.display())
            }
            ImportError::User(error) => write!(f, "cannot become the broker's user: {error}"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<RunError> for ImportError {
    fn from(error: RunError) -> ImportError {
        ImportError::Config(error)
    }
}

impl Import<'_> {
    /// Does it, and says what it came to, and where.
    ///
    /// # Errors
    /// A file is not what it should be; the store is not empty, or in use, or fails. Then it is as
    /// it was.
    pub fn run(&self) -> Result<(PathBuf, Report), ImportError> {
        let (directory, user) = place_to_keep(self.config, self.data)?;
        // Before the process becomes another user: it may be root that can read the file.
        let files = Files::read(&self.file)?;
        let persisted = files.parse()?;
        if self.dry_run {
            let plan = plan::make(&persisted, noctule_store::now(), plan::Given::default());
            into::check_empty(&directory)?;
            return Ok((directory, plan.report));
        }
        let user = Some(&*user).filter(|name| !name.is_empty());
        become_user(user, &directory)?;
        let report = into::write(&directory, |now, given| plan::make(&persisted, now, given))?;
        Ok((directory, report))
    }
}

/// What is written belongs to the user that the broker runs as.
fn become_user(user: Option<&str>, directory: &Path) -> Result<(), ImportError> {
    if let Some(name) = user {
        let becomes = |privileges: &Privileges| {
            privileges.make_directory(directory)?;
            privileges.lower()
        };
        let privileges = Privileges::of(Some(name)).map_err(ImportError::User)?;
        return becomes(&privileges).map_err(ImportError::User);
    }
    #[cfg(unix)]
    if crate::privileges::is_root()
        && let Ok(found) = fs::metadata(directory)
    {
        let user = std::os::unix::fs::MetadataExt::uid(&found);
        if user != 0 {
            return Err(ImportError::OtherUser { directory: directory.to_owned(), user });
        }
    }
    Ok(())
}

/// Files of mosquitto, whole.
struct Files {
    path: PathBuf,
    main: Vec<u8>,
    /// What SQLite has not put into its file yet.
    wal: Option<Vec<u8>>,
}

/// By what is seen that a file was written to.
type Seen = (u64, Option<SystemTime>);

fn seen(path: &Path) -> Option<Seen> {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()))
}

impl Files {
    fn read(path: &Path) -> Result<Files, ImportError> {
        let read =
            |path: &Path| fs::read(path).map_err(|error| ImportError::Read(path.to_owned(), error));
        let [wal_path, journal] = ["-wal", "-journal"].map(|end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        });
        let before = [path, &wal_path].map(seen);
        let main = read(path)?;
        let is_sqlite = main.starts_with(sqlite::MAGIC);
        if is_sqlite && seen(&journal).is_some_and(|(len, _)| len > 0) {
            return Err(ImportError::Journal(journal));
        }
        let wal = if is_sqlite && before[1].is_some() { Some(read(&wal_path)?) } else { None };
        if [path, &wal_path].map(seen) != before {
            return Err(ImportError::Changed(path.to_owned()));
        }
        Ok(Files { path: path.to_owned(), main, wal })
    }

    fn parse(&self) -> Result<Persisted<'_>, ImportError> {
        parse(&self.main, self.wal.as_deref())
            .map_err(|error| ImportError::Format(self.path.clone(), error))
    }
}

/// Reads what mosquitto kept: the bytes of its file, and for SQLite those of the `-wal` beside it.
///
/// # Errors
/// It is no such file, or damaged.
pub fn parse<'a>(main: &'a [u8], wal: Option<&'a [u8]>) -> Result<Persisted<'a>, FormatError> {
    if main.starts_with(sqlite::MAGIC) {
        return sqlite::parse(main, wal);
    }
    mosquitto_db::parse(main)
}

/// What of it becomes what in a store that is empty.
#[must_use]
pub fn plan(persisted: &Persisted<'_>, now: Time) -> Plan {
    plan::make(persisted, now, plan::Given::default())
}

/// What to say to somebody who starts a broker where mosquitto kept something: how to bring it,
/// while there is no store yet.
pub(crate) fn hint(config: &Path, directory: &Path) -> Option<String> {
    if noctule_store::exists(directory) {
        return None;
    }
    let files = ["mosquitto.db", "mosquitto.sqlite3"].map(|name| directory.join(name));
    let file = files.into_iter().find(|file| file.is_file())?;
    Some(format!(
        "what mosquitto kept in {} is not read. To bring it, stop this broker, before clients have \
         come, and run: noctule import -c {} {0}",
        file.display(),
        config.display()
    ))
}
