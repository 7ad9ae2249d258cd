//! What a process in the background leaves for others to find it by.

use std::io;
use std::path::{Path, PathBuf};

/// A file with the number of this process, for as long as it runs.
#[derive(Debug)]
pub(crate) struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes it, if there is to be one.
    pub(crate) fn write(path: Option<&Path>) -> io::Result<PidFile> {
        if let Some(path) = path {
            std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
                let what = format!("the pid file {} cannot be written: {error}", path.display());
                io::Error::new(error.kind(), what)
            })?;
        }
        Ok(PidFile(path.map(Path::to_owned)))
    }
}

impl Drop for PidFile {
    /// Who is not root any more may have no right to.
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!("the pid file {} stays: {error}", path.display());
        }
    }
}

/// Goes on in the background, without a terminal. Only for a process with one thread.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(crate) fn daemonize() -> io::Result<()> {
    let (stay_here, let_go_of_terminal) = (true, false);
    nix::unistd::daemon(stay_here, let_go_of_terminal).map_err(io::Error::from)
}

/// There is no such thing, or not any more.
#[cfg(any(not(unix), target_vendor = "apple"))]
pub(crate) fn daemonize() -> io::Result<()> {
    Err(io::Error::other("there is no background here: start it as a service, without -d"))
}

/// Tells systemd that clients can connect, if it wants to know (`Type=notify`).
#[cfg(target_os = "linux")]
pub(crate) fn tell_ready() -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}

/// There is no systemd.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tell_ready() -> io::Result<()> {
    Ok(())
}
