//! Files with options: one option a line, its value behind the first space.

use super::flags::Misuse;
use super::{Called, Tool};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The options of the file that `-o` names, or else of the user's own, as command lines.
pub(super) fn lines(
    tool: Tool,
    called: Called,
    words: &[Vec<u8>],
) -> Result<Vec<Vec<Vec<u8>>>, Misuse> {
    let named = named(words)?;
    let file = match &named {
        Some(name) => Some(PathBuf::from(as_os(name))),
        None => own(tool, |name| std::env::var_os(name)),
    };
    let Some(file) = file else { return Ok(Vec::new()) };
    match std::fs::read(&file) {
        Ok(text) => Ok(parse(&text)),
        // mosquitto's tools go on without the file; who asks for ours is told.
        Err(error) if named.is_some() && called == Called::Noctule => {
            Err(Misuse::line(format!("Unable to read options file {}: {error}.", file.display())))
        }
        Err(_) => Ok(Vec::new()),
    }
}

/// The value of `-o`, wherever the word stands.
fn named(words: &[Vec<u8>]) -> Result<Option<&[u8]>, Misuse> {
    let mut named = None;
    for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == b"-o") {
        if named.is_some() {
            return Err(Misuse::paragraph("Duplicate -o argument given."));
        }
        let Some(name) = words.get(at + 1) else {
            let missing = "-o argument given but no options file specified.";
            return Err(Misuse::paragraph(missing));
        };
        named = Some(name.as_slice());
    }
    Ok(named)
}

/// The user's own file; it need not exist.
fn own(tool: Tool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let name = tool.mosquitto_name();
    if let Some(folder) = variable("XDG_CONFIG_HOME") {
        return Some(Path::new(&folder).join(name));
    }
    variable("HOME").map(|home| Path::new(&home).join(".config").join(name))
}

fn parse(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    lines.map(words).filter(|words| !words.is_empty()).collect()
}

/// An option, and all that stands behind the space after it.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    let start = line.iter().position(|byte| *byte != b' ').unwrap_or(end);
    let line = line.get(start..end).unwrap_or_default();
    let words = line.splitn(2, |byte| *byte == b' ');
    words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A name of a file as it was given.
#[cfg(unix)]
pub(super) fn as_os(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

/// A name of a file as it was given.
#[cfg(not(unix))]
pub(super) fn as_os(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_option_and_its_value() {
        let text = b"# -h x\n-h there\n\n  -t a b \r\n-d\r\r\n--will-payload  two\n-q ";
        let lines = parse(text);
        let lines: Vec<Vec<&str>> = lines
            .iter()
            .map(|line| line.iter().map(|word| std::str::from_utf8(word).expect("text")).collect())
            .collect();
        let expected: [&[&str]; 5] =
            [&["-h", "there"], &["-t", "a b "], &["-d"], &["--will-payload", " two"], &["-q"]];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_users_own_file_has_the_name_of_mosquittos_tool() {
        let own = |name: &'static str, folder: &'static str| {
            own(Tool::Rr, move |asked| (asked == name).then(|| folder.into()))
        };
        assert_eq!(own("XDG_CONFIG_HOME", "/c"), Some("/c/mosquitto_rr".into()));
        assert_eq!(own("HOME", "/h"), Some("/h/.config/mosquitto_rr".into()));
        assert_eq!(own("OTHER", "/h"), None);
    }

    #[test]
    fn a_file_is_named_once() {
        let words = |line: &str| -> Vec<Vec<u8>> {
            line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
        };
        assert_eq!(named(&words("-t a -o f -d")), Ok(Some(&b"f"[..])));
        assert_eq!(named(&words("-t a")), Ok(None));
        assert!(named(&words("-t a -o")).is_err());
        assert!(named(&words("-o a -o b")).is_err());
    }
}
