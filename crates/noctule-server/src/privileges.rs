//! The user that the broker runs as.
//!
//! Started by root with `user`, the process keeps what root may until it has read the keys and
//! taken its ports, and gives it up for good then. What is kept on disk is opened as that user from
//! the start, so that it is never root's.

use std::io;
use std::path::Path;

#[cfg(unix)]
use nix::unistd;

/// Whether this is root's process.
#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    unistd::geteuid().is_root()
}

/// There is no root here.
#[cfg(not(unix))]
pub(crate) fn is_root() -> bool {
    false
}

/// Who the process becomes.
pub(crate) struct Privileges {
    /// `None`: it stays who it is.
    #[cfg(unix)]
    user: Option<unistd::User>,
}

#[cfg(unix)]
impl Privileges {
    /// Of a process that is to run as this user.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn of(user: Option<&str>) -> io::Result<Privileges> {
        let root = is_root();
        let Some(name) = user else {
            if root {
                tracing::warn!("runs as root; name another user: user = \"noctule\"");
            }
            return Ok(Privileges { user: None });
        };
        let user = unistd::User::from_name(name).map_err(io::Error::from)?;
        let Some(user) = user else {
            let what = format!("there is no user {name:?} (user)");
            if root {
                return Err(io::Error::new(io::ErrorKind::NotFound, what));
            }
            // Nobody but root becomes anybody.
            tracing::warn!("{what}: runs as who started it");
            return Ok(Privileges { user: None });
        };
        let stays = user.uid == unistd::geteuid();
        if !root && !stays {
            tracing::warn!("cannot become {name}, because only root can: runs as who started it");
        }
        Ok(Privileges { user: (root && !stays).then_some(user) })
    }

    /// Makes a directory for the user, if it is not there.
    pub(crate) fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        if directory.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(directory)?;
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        std::os::unix::fs::chown(directory, Some(uid), Some(gid))
    }

    /// Files are opened as the user from here on.
    pub(crate) fn lower(&self) -> io::Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        give_up_groups(user)?;
        unistd::setegid(user.gid)?;
        Ok(unistd::seteuid(user.uid)?)
    }

    /// As root again, after `lower`.
    pub(crate) fn raise(&self) -> io::Result<()> {
        if self.user.is_some() {
            unistd::seteuid(unistd::Uid::from_raw(0))?;
        }
        Ok(())
    }

    /// Is the user from here on, with no way back.
    pub(crate) fn give_up(self) -> io::Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        unistd::setgid(user.gid)?;
        unistd::setuid(user.uid)?;
        // Were there a way back after all, it would be one for whoever breaks in.
        if unistd::seteuid(unistd::Uid::from_raw(0)).is_ok() && !user.uid.is_root() {
            return Err(io::Error::other("the process is still root"));
        }
        tracing::info!("runs as {}", user.name);
        Ok(())
    }
}

/// The groups of root are not the user's.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn give_up_groups(user: &unistd::User) -> io::Result<()> {
    let name = std::ffi::CString::new(&*user.name).map_err(io::Error::other)?;
    Ok(unistd::initgroups(&name, user.gid)?)
}

/// macOS asks a directory service for them, whatever they were.
#[cfg(target_vendor = "apple")]
fn give_up_groups(_: &unistd::User) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
impl Privileges {
    pub(crate) fn of(user: Option<&str>) -> io::Result<Privileges> {
        match user {
            None => Ok(Privileges {}),
            Some(_) => {
                Err(io::Error::other("`user` is for Unix: run it as a service of that user"))
            }
        }
    }

    pub(crate) fn make_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn lower(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn raise(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give_up(self) -> io::Result<()> {
        Ok(())
    }
}
