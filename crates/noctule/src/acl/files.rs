//! Where rules come from: a configuration, an ACL file, a file of roles.

use anyhow::{Context, Result};
use clap::Args;
use noctule_core::grant::{Policies, Policy, Ranked};
use noctule_server::config::{read_acl, read_roles};
use noctule_server::{Config, rules};
use std::path::{Path, PathBuf};

/// The files that are asked.
#[derive(Args, Debug)]
pub(super) struct RuleArgs {
    /// Configuration file, with the files of rules that it names.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["acl_file", "roles_file"])]
    #[arg(required_unless_present_any = ["acl_file", "roles_file"])]
    config: Option<PathBuf>,
    /// A file of rules as mosquitto has them, alone.
    #[arg(long, value_name = "FILE")]
    acl_file: Option<PathBuf>,
    /// A file of roles, alone or before the ACL file.
    #[arg(long, value_name = "FILE")]
    roles_file: Option<PathBuf>,
    /// The listener that the client comes in by, by its port; without it: the rules of all
    /// listeners that have none of their own.
    #[arg(long, value_name = "PORT", requires = "config")]
    listener: Option<u16>,
}

impl RuleArgs {
    /// The rules that are asked, and those that have a say before them.
    pub(super) fn rules(&self) -> Result<(Policy, Option<Ranked>)> {
        let config = self.config()?;
        Ok((of_listener(&config, self.listener)?, rules::ranked(&config)?))
    }

    /// The configuration that they are in; files of rules alone are all of one.
    pub(super) fn config(&self) -> Result<Config> {
        if let Some(file) = &self.config {
            return Ok(Config::load(file)?);
        }
        let acl = self.acl_file.as_deref().map(read_acl).transpose()?;
        let roles = self.roles_file.as_deref().map(read_roles).transpose()?;
        let strict = acl.is_none();
        let policies = Policies::of_all(Policy { roles, acl, strict });
        Ok(Config { policies, ..Config::default() })
    }
}

/// The rules of a file, whichever kind it is.
pub(super) fn of_file(file: &Path, listener: Option<u16>) -> Result<Policy> {
    if file.extension().is_none_or(|it| it != "toml") {
        let acl = Some(read_acl(file)?);
        return Ok(Policy { roles: None, acl, strict: false });
    }
    if let Ok(roles) = read_roles(file) {
        return Ok(Policy { roles: Some(roles), acl: None, strict: true });
    }
    of_listener(&Config::load(file)?, listener)
}

fn of_listener(config: &Config, port: Option<u16>) -> Result<Policy> {
    let Some(port) = port else { return Ok((*config.policies.otherwise).clone()) };
    let at = config.listeners.iter().position(|listener| listener.address.port() == port);
    let at = at.with_context(|| format!("no listener has the port {port}"))?;
    let at = noctule_core::ListenerId(u16::try_from(at).context("too many listeners")?);
    Ok(config.policies.of(at).clone())
}
