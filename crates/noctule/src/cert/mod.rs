//! `noctule cert`: a development CA, and certificates of servers and clients by it.
//!
//! * `authority` the CA: made, or taken from its files
//! * `files`     written whole or not at all, keys for their owner only
//! * `leaf`      certificates by the CA
//! * `name`      which names can stand in a certificate
//! * `words`     what was made, and how to use it

mod authority;
mod files;
mod leaf;
mod name;
mod words;

use anyhow::{Context, Result, bail};
use authority::Authority;
use clap::Args;
use files::{Existing, Files};
use leaf::{Leaf, Lifetime, Pair};
use name::{ClientName, ServerName};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a development CA and certificates by it, for TLS on a new machine.
///
/// The CA is made if the directory holds none, and used if it does. The certificate of the server
/// is for the names given; without any, for this machine: localhost, the name of the machine,
/// 127.0.0.1 and ::1.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CertArgs {
    /// Host names, wildcards like *.example.org and IP addresses by which clients reach the server.
    #[arg(value_name = "NAME")]
    names: Vec<ServerName>,
    /// Directory of all files; it is made if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,
    /// Make a certificate of a client of this name too; may be repeated.
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<ClientName>,
    /// Make no certificate of a server.
    #[arg(long, requires = "clients", conflicts_with = "names")]
    only_client: bool,
    /// Days that the certificates are valid, but not beyond the CA, which is for ten years.
    #[arg(long, value_name = "N", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
    /// Put new certificates in the place of those that are there; the CA stays.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  noctule cert
  noctule cert broker.example.org '*.iot.example.org' 192.0.2.7
  noctule cert --client alice --client bob
  noctule cert --only-client --client carol
  noctule cert --dir /etc/noctule/certs --days 90 --force broker.example.org

Files:
  ca.crt                  the CA: what clients trust, and the server for its clients
  ca.key                  its key: whoever has it can be anyone
  server.crt, server.key  for the broker
  NAME.crt, NAME.key      for the client NAME, which is its common name

Exit status:
  0  made
  1  it could not be done
  2  wrong use";

/// What a run makes or uses.
struct Made {
    authority: Authority,
    leaves: Vec<(Leaf, Pair)>,
}

impl CertArgs {
    /// Makes the certificates and says how to use them.
    pub(crate) fn run(self) -> ExitCode {
        match self.made() {
            Ok(made) => crate::config::print(&self.told(&made)),
            Err(error) => crate::failed(&format_args!("{error:#}")),
        }
    }

    /// Nothing is written before everything that can be wrong has been looked at.
    fn made(&self) -> Result<Made> {
        self.check_clients()?;
        let lifetime = Lifetime::of_days(self.days);
        let leaves = self.leaves();
        if self.existing() == Existing::Stays {
            refuse_existing(&self.dir, &leaves)?;
        }
        let authority = Authority::of(&self.dir, lifetime.now)?;
        let issue = |leaf: Leaf| {
            let pair = leaf.issue(&authority, &lifetime)?;
            Ok((leaf, pair))
        };
        let leaves = leaves.into_iter().map(issue).collect::<Result<Vec<_>>>()?;
        let made = Made { authority, leaves };
        self.write(&made)?;
        Ok(made)
    }

    fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if !self.only_client {
            leaves.push(Leaf::Server(match self.names.as_slice() {
                [] => name::of_this_machine(),
                names => name::without_repetitions(names),
            }));
        }
        leaves.extend(self.clients.iter().cloned().map(Leaf::Client));
        leaves
    }

    /// Two names may be one file where capitals do not count.
    fn check_clients(&self) -> Result<()> {
        for (at, client) in self.clients.iter().enumerate() {
            if let Some(same) = self.clients[..at].iter().find(|other| other.same_file(client)) {
                bail!(
                    "--client {same} and --client {client} would be the same files: leave one out"
                );
            }
        }
        Ok(())
    }

    fn existing(&self) -> Existing {
        if self.force { Existing::GivesWay } else { Existing::Stays }
    }

    fn write(&self, made: &Made) -> Result<()> {
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot make the directory {}", self.dir.display()))?;
        let mut files = Files::default();
        if let Some(pair) = &made.authority.made {
            files.stage(&self.dir, authority::STEM, pair, Existing::Stays)?;
        }
        for (leaf, pair) in &made.leaves {
            files.stage(&self.dir, leaf.stem(), pair, self.existing())?;
        }
        files.show()
    }

    fn told(&self, made: &Made) -> String {
        let has_server = !self.only_client || leaf::server_file(&self.dir).exists();
        words::Account { dir: &self.dir, made, has_server }.text()
    }
}

/// What is there may be in use.
fn refuse_existing(dir: &Path, leaves: &[Leaf]) -> Result<()> {
    for leaf in leaves {
        for file in files::pair(dir, leaf.stem()) {
            if files::is_there(&file)? {
                let way_out = match leaf {
                    Leaf::Server(_) => "--only-client leaves the server's files as they are",
                    Leaf::Client(_) => "another name leaves this client's files as they are",
                };
                bail!("{} is there already: --force replaces it, {way_out}", file.display());
            }
        }
    }
    Ok(())
}
