//! A file of users, one a line: `name:` and what is kept of the password, in any form that
//! [`Secret`] knows. mosquitto's files are such. Lines that begin with `#` and empty ones are
//! comments.

use super::Secret;
use std::collections::HashSet;
use std::fmt;

/// A line of the file.
#[derive(Clone, PartialEq, Debug)]
pub enum PasswordLine {
    /// A user.
    User(Box<str>, Secret),
    /// Anything that is none: a comment, an empty line.
    Other(Box<str>),
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PasswordFileError {
    /// Its number, from 1.
    pub line: usize,
    /// What.
    pub what: &'static str,
}

impl fmt::Display for PasswordFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for PasswordFileError {}

/// Reads the text of a file.
///
/// # Errors
/// What is wrong with each line that is wrong; at least one.
pub fn read_lines(text: &str) -> Result<Vec<PasswordLine>, Vec<PasswordFileError>> {
    let (mut lines, mut faults, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for (at, text) in text.lines().enumerate() {
        let mut fault = |what| faults.push(PasswordFileError { line: at + 1, what });
        let text = text.trim_end();
        let Some((name, hash)) = text.split_once(':').filter(|_| !text.starts_with('#')) else {
            if !text.is_empty() && !text.starts_with('#') {
                fault("a user name, a colon and a hash expected, or a comment that begins with #");
            }
            lines.push(PasswordLine::Other(text.into()));
            continue;
        };
        if name.is_empty() {
            fault("the user name is missing before the colon");
        } else if super::prepared_name(name).is_none() {
            fault("the user name holds characters that none may (RFC 4013)");
        } else if !names.insert(name) {
            fault("this user has a line already");
        }
        match hash.parse::<Secret>() {
            Ok(secret) => lines.push(PasswordLine::User(name.into(), secret)),
            Err(error) => fault(error.what()),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::super::HashKind;
    use super::*;

    #[test]
    fn users_and_comments_are_told_apart() {
        let secret = HashKind::Sha512.hash(b"x").unwrap();
        let text = format!("# users\n\nann:{secret}\r\nbob with spaces:{secret}\n");
        let lines = read_lines(&text).unwrap();
        let names = lines.iter().filter_map(|line| match line {
            PasswordLine::User(name, kept) => Some((&**name, kept.accepts(b"x"))),
            PasswordLine::Other(_) => None,
        });
        assert_eq!(names.collect::<Vec<_>>(), [("ann", true), ("bob with spaces", true)]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        let secret = HashKind::Sha512.hash(b"x").unwrap();
        let text = format!("ann:{secret}\n:{secret}\nann:{secret}\nbob:plain\nnonsense\n");
        let faults = read_lines(&text).unwrap_err();
        assert_eq!(faults.iter().map(|it| it.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert!(faults[2].to_string().contains("passwd -U"), "{}", faults[2]);
    }
}
