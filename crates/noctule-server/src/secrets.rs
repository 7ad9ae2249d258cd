//! Files that hold secrets, and who may read them.

use crate::config::{Config, JwtOptions};
use std::path::Path;

/// Says which files of a configuration can be read by everybody, though they are for a few.
pub(crate) fn warn_of_readers(config: &Config) {
    let keys = config.listeners.iter().filter_map(|it| it.tls.as_ref()).map(|tls| &tls.key);
    let bearer = config.webhook.iter().filter_map(|it| it.bearer.as_ref());
    let secrets = config
        .jwt
        .iter()
        .filter_map(JwtOptions::secret_file)
        .chain(bearer)
        .chain(&config.defence.alert_bearer);
    let passwords = config.listeners.iter().filter_map(|it| it.password_file.as_ref());
    let dynsec = config.dynamic_security.iter();
    let dynsec = dynsec.flat_map(|it| [Some(&it.file), it.password_init_file.as_ref()]).flatten();
    let bridges = config.bridges.iter().filter_map(|it| it.tls.identity.as_ref()).map(|it| &it.1);
    let keys = keys.chain(bridges);
    for path in keys.chain(dynsec).chain(&config.password_file).chain(passwords).chain(secrets) {
        if let Some(mode) = open_to_all(path) {
            let path = path.display();
            tracing::warn!(
                "{path} can be read or written by every user of this machine (mode {mode:o}): \
                 chmod o= {path}"
            );
        }
    }
}

/// The mode of a file, if it is open to those who are neither its owner nor of its group.
#[cfg(unix)]
fn open_to_all(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o007 != 0).then_some(mode)
}

/// Elsewhere, who may read a file is not told by a mode.
#[cfg(not(unix))]
fn open_to_all(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_for_a_few_is_told_from_one_for_all() -> std::io::Result<()> {
        let path = std::env::temp_dir().join(format!("noctule-secret-{}", std::process::id()));
        std::fs::write(&path, "secret")?;
        let mut told = Vec::new();
        for mode in [0o600, 0o640, 0o644, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            told.push(open_to_all(&path));
        }
        std::fs::remove_file(&path)?;
        assert_eq!(told, [None, None, Some(0o644), Some(0o602)]);
        assert_eq!(open_to_all(&path), None);
        Ok(())
    }
}
