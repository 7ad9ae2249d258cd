//! The secrets of connections in a file, for those who look at what was sent.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use tokio_rustls::rustls::KeyLog;

/// A file in the form of `SSLKEYLOGFILE`, which Wireshark reads.
#[derive(Debug)]
pub(super) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Opens the file; what it holds stays. A new one is for its owner alone.
    pub(super) fn open(path: &Path) -> io::Result<KeyLogFile> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(KeyLogFile(Mutex::new(options.open(path)?)))
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = label.to_owned();
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                write!(line, "{byte:02x}").expect("a string takes everything");
            }
        }
        line.push('\n');
        if let Ok(mut file) = self.0.lock() {
            // A full disk must not end the connection; who looks at the file will miss the line.
            let _ = file.write_all(line.as_bytes());
        }
    }
}
