//! How many sockets this process may have open.

use crate::error::Error;

/// Files that are open besides the connections.
const SPARE: u64 = 64;

/// Raises the soft limit of open files to the hard one, and says so if that is not enough.
#[cfg(unix)]
pub(crate) fn allow(connections: u64) -> Result<(), Error> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| Error::io("open files")(errno.into()))?;
    let needed = connections + SPARE;
    if needed <= soft || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() && needed <= hard {
        return Ok(());
    }
    Err(Error::Plan(format!(
        "{connections} connections need {needed} open files, and this process may have {hard}: \
         raise the limit (ulimit -n, LimitNOFILE=)"
    )))
}

/// Elsewhere there is no such limit, or none that can be asked for.
#[cfg(not(unix))]
pub(crate) fn allow(_: u64) -> Result<(), Error> {
    Ok(())
}
