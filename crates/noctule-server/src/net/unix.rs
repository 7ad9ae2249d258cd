//! Unix sockets that clients of this machine connect to, and the files that name them.

use super::incoming::Incoming;
use std::io;
use std::path::Path;

#[cfg(not(unix))]
pub(crate) use elsewhere::SocketFile;
#[cfg(unix)]
pub(crate) use here::SocketFile;

/// Listens on the socket that this file names, and gives it these rights. A file that an earlier
/// run has left is replaced; one that somebody listens on, or that is no socket, is left alone.
pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<(Incoming, SocketFile)> {
    SocketFile::bind(path, mode)
}

#[cfg(unix)]
mod here {
    use super::super::listen::BACKLOG;
    use super::Incoming;
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::fs::{self, Permissions};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    /// The file of a socket, which goes with it.
    #[derive(Debug)]
    pub(crate) struct SocketFile {
        path: PathBuf,
        /// Device and number: another broker may have replaced it.
        file: (u64, u64),
    }

    impl SocketFile {
        pub(super) fn bind(path: &Path, mode: u32) -> io::Result<(Incoming, SocketFile)> {
            clear(path)?;
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let data = fs::symlink_metadata(path)?;
            let file = SocketFile { path: path.into(), file: (data.dev(), data.ino()) };
            // Nobody can connect before it listens.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            socket.listen(BACKLOG)?;
            let socket = mio::net::UnixListener::from_std(socket.into());
            Ok((Incoming::Unix(socket), file))
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let ours = fs::symlink_metadata(&self.path);
            if ours.is_ok_and(|data| (data.dev(), data.ino()) == self.file) {
                drop(fs::remove_file(&self.path));
            }
        }
    }

    /// Removes a socket that nobody listens on.
    fn clear(path: &Path) -> io::Result<()> {
        let data = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            data => data?,
        };
        if !data.file_type().is_socket() {
            let why = "there is a file that is no socket: move it, or choose another path";
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        }
        match UnixStream::connect(path) {
            Ok(_) => {
                let why = "somebody listens there already, probably another broker";
                Err(io::Error::new(ErrorKind::AddrInUse, why))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn path(name: &str) -> PathBuf {
            std::env::temp_dir().join(format!("noctule-{}-{name}.sock", std::process::id()))
        }

        #[test]
        fn a_socket_file_has_its_rights_and_goes_with_its_socket() {
            let path = path("rights");
            let (socket, file) = SocketFile::bind(&path, 0o640).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            assert!(UnixStream::connect(&path).is_ok());
            let error = SocketFile::bind(&path, 0o660).err().unwrap();
            assert!(error.to_string().contains("somebody listens there"), "{error}");
            drop((socket, file));
            assert!(!path.exists());
        }

        #[test]
        fn what_an_earlier_run_left_is_replaced_and_anything_else_is_not() {
            let path = path("left");
            let (socket, file) = SocketFile::bind(&path, 0o600).unwrap();
            std::mem::forget(file);
            drop(socket);
            assert!(path.exists());
            let (second, its_file) = SocketFile::bind(&path, 0o600).unwrap();
            // A file that is not ours any more stays.
            fs::remove_file(&path).unwrap();
            fs::write(&path, "a note").unwrap();
            drop((second, its_file));
            let error = SocketFile::bind(&path, 0o600).err().unwrap();
            assert!(error.to_string().contains("no socket"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), b"a note");
            fs::remove_file(&path).unwrap();
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use super::Incoming;
    use std::io;
    use std::path::Path;

    /// There is none on this system.
    #[derive(Debug)]
    pub(crate) enum SocketFile {}

    impl SocketFile {
        pub(super) fn bind(_: &Path, _: u32) -> io::Result<(Incoming, SocketFile)> {
            Err(io::Error::other("Unix sockets are for Unix systems alone"))
        }
    }
}
