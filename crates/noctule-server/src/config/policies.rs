//! What all rules of a configuration come to, those in files of their own among them.

use super::{Config, ConfigError, Listener, acl, parse, roles};
use noctule_core::grant::{Acl, Policies, Policy, Roles};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that were read already: several listeners may name the same.
#[derive(Default)]
struct Files {
    acls: HashMap<PathBuf, Acl>,
    roles: HashMap<PathBuf, Roles>,
}

impl Config {
    /// Whether any rules are in files of their own.
    pub(super) fn names_rules(&self) -> bool {
        let named =
            |acl: &Option<PathBuf>, roles: &Option<PathBuf>| acl.is_some() || roles.is_some();
        named(&self.acl_file, &self.roles_file)
            || self.listeners.iter().any(|it| named(&it.acl_file, &it.roles_file))
    }

    /// Reads the files of rules; those that are not named from the root on lie in `folder`.
    pub(super) fn read_policies(&mut self, folder: &Path) -> Result<(), ConfigError> {
        let own = [&mut self.acl_file, &mut self.roles_file].into_iter();
        let listeners = self.listeners.iter_mut();
        let theirs = listeners.flat_map(|it| [&mut it.acl_file, &mut it.roles_file]);
        for file in own.chain(theirs).flatten() {
            *file = folder.join(&*file);
        }
        let mut files = Files::default();
        let general =
            self.policy(&mut files, (self.acl_file.as_ref(), self.roles_file.as_ref()))?;
        let general = Arc::new(general);
        let mut by_listener = Vec::new();
        let own = |it: &Listener| it.acl_file.is_some() || it.roles_file.is_some();
        let some = self.listeners.iter().any(own);
        for listener in self.listeners.iter().filter(|_| some) {
            let (acl, roles) = (listener.acl_file.as_ref(), listener.roles_file.as_ref());
            by_listener.push(if !own(listener) {
                Arc::clone(&general)
            } else {
                let either = (acl.or(self.acl_file.as_ref()), roles.or(self.roles_file.as_ref()));
                Arc::new(self.policy(&mut files, either)?)
            });
        }
        self.policies = Policies { by_listener, otherwise: general, beyond_ranks: None };
        Ok(())
    }

    fn policy(
        &self,
        files: &mut Files,
        (acl, roles): (Option<&PathBuf>, Option<&PathBuf>),
    ) -> Result<Policy, ConfigError> {
        let acl = acl.map(|file| files.acl(file)).transpose()?;
        let roles = match roles {
            Some(file) => Some(files.roles(file)?),
            None => self.roles.clone(),
        };
        let ruled = acl.is_some() || roles.is_some();
        let strict = ruled && self.strict_subscribe.unwrap_or(acl.is_none());
        Ok(Policy { roles, acl, strict })
    }
}

impl Files {
    fn acl(&mut self, file: &Path) -> Result<Acl, ConfigError> {
        if let Some(acl) = self.acls.get(file) {
            return Ok(acl.clone());
        }
        let acl = read_acl(file)?;
        self.acls.insert(file.into(), acl.clone());
        Ok(acl)
    }

    fn roles(&mut self, file: &Path) -> Result<Roles, ConfigError> {
        if let Some(roles) = self.roles.get(file) {
            return Ok(roles.clone());
        }
        let roles = read_roles(file)?;
        self.roles.insert(file.into(), roles.clone());
        Ok(roles)
    }
}

/// Reads a file of rules as mosquitto has them. Names of users are compared as those of users who
/// have proved theirs are.
///
/// # Errors
/// It cannot be read, or any line is wrong.
pub fn read_acl(file: &Path) -> Result<Acl, ConfigError> {
    let (name, text) = read(file)?;
    let mut acl = acl::parse(&name, &text).map_err(|faults| ConfigError { file: name, faults })?;
    acl.users = acl.users.into_iter().map(|(user, list)| (roles::prepared(&user), list)).collect();
    Ok(acl)
}

/// Reads a file of roles.
///
/// # Errors
/// It cannot be read, or any of it is wrong.
pub fn read_roles(file: &Path) -> Result<Roles, ConfigError> {
    let (name, text) = read(file)?;
    parse::parse_roles(&name, &text).map(Option::unwrap_or_default)
}

fn read(file: &Path) -> Result<(String, String), ConfigError> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(ConfigError::unreadable(&name, &error)),
    }
}
