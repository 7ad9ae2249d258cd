//! The file of mosquitto's persist-sqlite plugin, with what lies in the `-wal` beside it.
//!
//! * `pages`  pages of the file, or newer ones of the `-wal`
//! * `wal`    the `-wal`
//! * `tree`   rows of a table
//! * `row`    values of a row
//! * `tables` the plugin's tables
//! * `properties` how it writes properties
//!
//! Seven tables are read from their first row to their last, once: for that SQLite itself, in C and
//! larger than the rest of what import needs, would be much, and it does not open a database with a
//! `-wal` without writing beside it.

mod pages;
mod properties;
mod row;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod wal;

use super::persisted::{FormatError, Persisted};

/// What the file begins with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Reads the file and its `-wal`.
pub(super) fn parse<'a>(
    main: &'a [u8],
    wal: Option<&'a [u8]>,
) -> Result<Persisted<'a>, FormatError> {
    let pages = pages::Pages::new(main, wal)?;
    tables::read(&pages)
}
