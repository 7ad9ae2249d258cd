//! A broker that speaks TLS.

use crate::pki::Pki;
use anyhow::{Context, Result};
use noctule_tests::process::BrokerProcess;
use std::net::SocketAddr;

/// The process, and where it speaks TLS.
pub(crate) struct Broker {
    pub(crate) process: BrokerProcess,
    pub(crate) address: SocketAddr,
}

impl Broker {
    /// One that shows the certificate of this name, with these options of `[listener.tls]` beside
    /// certificate and key.
    pub(crate) fn start(pki: &Pki, name: &str, options: &str) -> Result<Broker> {
        let file = |end: &str| pki.path(&format!("{name}.{end}"));
        let config = format!(
            "\n[[listener]]\nport = 0\nallow_anonymous = true\n[listener.tls]\n\
             certificate = {:?}\nkey = {:?}\n{options}\n",
            file("crt"),
            file("key")
        );
        let process = BrokerProcess::start_with(&config)?;
        // It listens before it says so.
        process.await_log("listening on", 2)?;
        let address = secure_address(&process.log()).context("it says where it speaks TLS")?;
        Ok(Broker { process, address })
    }

    pub(crate) fn await_log(&self, text: &str, times: usize) -> Result<()> {
        self.process.await_log(text, times)
    }
}

fn secure_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.lines().find(|line| line.contains("(TLS)"))?.split_once("listening on ")?;
    rest.split(' ').next()?.parse().ok()
}
