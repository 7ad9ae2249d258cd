//! How many sockets this process may have open.

use crate::error::Error;

/// Raises the soft limit of open files to the hard one, and says so if that is not enough.
#[cfg(unix)]
pub(crate) fn allow(connections: u64) -> Result<(), Error> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    /// Files that are open besides the connections.
    const SPARE: u64 = 64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| Error::io("open files")(errno.into()))?;
    #[allow(clippy::useless_conversion, reason = "the limits have 32 bits on 32-bit platforms")]
    let (soft_files, hard_files) = (u64::from(soft), u64::from(hard));
    let needed = connections + SPARE;
    let raised = || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    if needed <= soft_files || raised() && needed <= hard_files {
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
