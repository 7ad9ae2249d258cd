//! From flags to TLS, and what is wrong with them.

use super::option_file::as_os;
use super::settings::{Security, Settings};
use super::trouble::{Fault, Trouble, io_words};
use noctule_client::net::{Pem, Tls, TlsVersion};

/// The port of MQTT over TLS.
pub(super) const MQTTS_PORT: u16 = 8883;

/// TLS, if anything asks for it.
pub(super) fn tls(settings: &Settings) -> Result<Option<Tls>, Trouble> {
    let security = &settings.security;
    if security.off {
        return Ok(None);
    }
    let own_roots = security.ca_file.is_some() || security.ca_path.is_some();
    if own_roots {
        check_files(security)?;
    }
    if security.shared_key.is_some() {
        return Err(Trouble::plain(
            "Error: Problem setting TLS-PSK options: this program has no pre-shared keys; use a \
             certificate (--cafile).",
        ));
    }
    check_engine(security)?;
    let system = security.system_roots
        || !own_roots && settings.connection.port == Some(i32::from(MQTTS_PORT));
    let tls = with_version(security)?;
    if !own_roots && !system {
        return Ok(None);
    }
    let tls = with_ciphers(tls, security)?;
    Ok(Some(with_files(tls, security, system)))
}

fn check_files(security: &Security) -> Result<(), Trouble> {
    let files = [&security.ca_file, &security.certificate, &security.key];
    for file in files.into_iter().flatten() {
        if let Err(error) = std::fs::File::open(as_os(file)) {
            let file = String::from_utf8_lossy(file);
            let own = format!("{file}: {}", io_words(&error));
            let words = "Error: Problem setting TLS options: File not found.";
            return Err(Trouble::plain(words).own(own));
        }
    }
    Ok(())
}

fn check_engine(security: &Security) -> Result<(), Trouble> {
    if let Some(engine) = &security.engine {
        let engine = String::from_utf8_lossy(engine);
        let words = format!("Error: Problem setting TLS engine, is {engine} a valid engine?");
        return Err(Trouble::plain(words));
    }
    match &security.key_form {
        Some(form) if !form.eq_ignore_ascii_case(b"pem") => Err(Trouble::plain(
            "Error: Problem setting key form, it must be one of 'pem' or 'engine'.",
        )),
        Some(_) | None => Ok(()),
    }
}

const WRONG_OPTIONS: &str = "Error: Problem setting TLS options, check the options are valid.";

fn with_version(security: &Security) -> Result<Tls, Trouble> {
    let Some(version) = &security.version else { return Ok(Tls::new()) };
    match version.to_ascii_lowercase().as_slice() {
        b"tlsv1.2" => Ok(Tls::new().minimum_version(TlsVersion::V12)),
        b"tlsv1.3" => Ok(Tls::new().minimum_version(TlsVersion::V13)),
        _ => Err(Trouble::plain(WRONG_OPTIONS)),
    }
}

fn with_ciphers(tls: Tls, security: &Security) -> Result<Tls, Trouble> {
    let Some(ciphers) = &security.ciphers else { return Ok(tls) };
    let names = String::from_utf8_lossy(ciphers);
    let names = names.split([':', ',']).filter(|name| !name.is_empty());
    tls.cipher_suites(names).map_err(|error| Trouble::unable(Fault::Tls).own(error.to_string()))
}

fn with_files(mut tls: Tls, security: &Security, system: bool) -> Tls {
    if let Some(file) = &security.ca_file {
        tls = tls.ca_file(as_os(file));
    }
    if let Some(folder) = &security.ca_path {
        tls = tls.ca_directory(as_os(folder));
    }
    if system {
        tls = tls.system_roots();
    }
    if let (Some(certificate), Some(key)) = (&security.certificate, &security.key) {
        let file = |name: &[u8]| Pem::File(as_os(name).into());
        tls = tls.client_certificate(file(certificate), file(key));
    }
    if let Some(protocol) = &security.alpn {
        tls = tls.alpn([protocol.clone()]);
    }
    if let Some(file) = &security.key_log {
        tls = tls.key_log(as_os(file));
    }
    if security.insecure {
        tls = tls.danger_accept_any_host_name();
    }
    tls
}
