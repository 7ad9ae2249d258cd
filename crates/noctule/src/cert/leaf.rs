//! Certificates by the CA: of the server, and of clients.

use super::authority::Authority;
use super::files;
use super::name::{COMMON_NAME_LENGTH_MAX, ClientName, ServerName};
use anyhow::{Context, Result, bail};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use x509_parser::parse_x509_certificate;

/// Stem of the server's files.
pub(super) const SERVER_STEM: &str = "server";

/// The clock of another machine may be behind: what is made today is valid since yesterday.
pub(super) const BACKDATED: Duration = Duration::days(1);

/// When a certificate is made, and for how long.
pub(super) struct Lifetime {
    pub(super) now: OffsetDateTime,
    days: u16,
}

impl Lifetime {
    /// From now on, for so many days.
    pub(super) fn of_days(days: u16) -> Lifetime {
        Lifetime { now: OffsetDateTime::now_utc(), days }
    }

    fn end(&self) -> OffsetDateTime {
        self.now.saturating_add(Duration::days(self.days.into()))
    }
}

/// A certificate and its key, as they stand in files.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) until: OffsetDateTime,
}

/// Whose certificate it is.
#[derive(Debug)]
pub(super) enum Leaf {
    Server(Vec<ServerName>),
    Client(ClientName),
}

impl Leaf {
    /// Stem of its files.
    pub(super) fn stem(&self) -> &str {
        match self {
            Leaf::Server(_) => SERVER_STEM,
            Leaf::Client(name) => name.as_str(),
        }
    }

    /// A certificate with a new key.
    pub(super) fn issue(&self, authority: &Authority, lifetime: &Lifetime) -> Result<Pair> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let mut params = self.params()?;
        params.not_before = lifetime.now.saturating_sub(BACKDATED);
        // Beyond its CA it would be worth nothing.
        params.not_after = lifetime.end().min(authority.until);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        // Keys of ECDSA sign and do nothing else.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let signed = params.signed_by(&key, &authority.issuer);
        let certificate = signed.with_context(|| format!("cannot certify {}", self.stem()))?;
        check_issuer(certificate.der(), authority)?;
        let until = params.not_after;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem(), until })
    }

    fn params(&self) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let (common_name, usage) = match self {
            Leaf::Server(names) => {
                let alternatives = names.iter().map(alternative);
                params.subject_alt_names = alternatives.collect::<Result<_>>()?;
                let name = names.first().map(ToString::to_string).unwrap_or_default();
                (name, ExtendedKeyUsagePurpose::ServerAuth)
            }
            Leaf::Client(name) => (name.to_string(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        // A host name may be too long for it; it is among the alternative names anyway.
        if common_name.chars().count() <= COMMON_NAME_LENGTH_MAX {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        params.extended_key_usages = vec![usage];
        Ok(params)
    }
}

fn alternative(name: &ServerName) -> Result<SanType> {
    match name {
        ServerName::Host(host) => {
            let host = host.as_str().try_into();
            Ok(SanType::DnsName(host.context("a host name beyond ASCII")?))
        }
        ServerName::Address(address) => Ok(SanType::IpAddress(*address)),
    }
}

/// A certificate leads to its CA by a name that is the same to the byte.
fn check_issuer(certificate: &[u8], authority: &Authority) -> Result<()> {
    let parsed = parse_x509_certificate(certificate);
    let (_, certificate) = parsed.context("a certificate that was just made cannot be read")?;
    if certificate.issuer().as_raw() != authority.subject {
        bail!(
            "the name of the CA is too special to be repeated in other certificates: \
             take another CA, or let one be made in another directory (--dir)"
        );
    }
    Ok(())
}

/// The certificate of the server.
pub(super) fn server_file(dir: &Path) -> PathBuf {
    let [certificate, _] = files::pair(dir, SERVER_STEM);
    certificate
}
