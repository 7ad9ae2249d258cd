//! How many sockets the process may have open.

/// Raises the soft limit of open files to the hard one: each connection is a file, and the usual
/// soft limit is 1024. What cannot be raised stays.
#[cfg(target_os = "linux")]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!("cannot raise the limit of open files: {error}");
        }
    }
}

/// The limit of open files is raised on Linux only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_limit() {}
