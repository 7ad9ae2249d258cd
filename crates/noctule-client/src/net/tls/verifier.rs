//! Whom to believe that it is the server.
//!
//! Who has issued a certificate is judged by webpki and the rules of [`Issuers`]. One more rule is
//! for names:
//!
//! * *A host only in the common name.* It counts if the certificate lists neither DNS names nor
//!   addresses [RFC 6125, 6.4.4], and no CA above it is bound to some names: webpki holds only
//!   alternative names against those.

use super::{Check, TlsError};
use noctule_tls::{Certificate, Issuers, Refusal};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};

const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// Decides about servers' certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    issuers: Issuers,
}

impl Verifier {
    pub(super) fn new(check: Check, algorithms: WebPkiSupportedAlgorithms) -> Verifier {
        Verifier { check, issuers: Issuers::new(algorithms) }
    }

    /// Trusts this certificate, and unless it says that it is no CA's, those it has issued.
    pub(super) fn trust(&mut self, certificate: CertificateDer<'static>) -> Result<(), Error> {
        self.issuers.trust(certificate)
    }

    /// Whether somebody we trust has issued it, and for now.
    fn check_issuer(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if let Some(checked) = self.issuers.check(der, certificate, now) {
            return checked;
        }
        let parsed = ParsedCertificate::try_from(der)?;
        let (roots, algorithms) = (self.issuers.roots(), self.issuers.algorithms().all);
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, algorithms).map_err(
            |error| match error {
                Error::InvalidCertificate(CertificateError::Other(_))
                    if certificate.is_ca() == Some(true) =>
                {
                    Refusal::CaCertificate.into()
                }
                error => error,
            },
        )
    }

    /// Whether it stands for this host.
    fn check_name(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        if names_hosts(certificate) {
            return verify_server_name(&ParsedCertificate::try_from(der)?, name);
        }
        if matches_common_name(certificate, name) {
            if self.is_below_constraints(certificate, between) {
                return Err(other(TlsError::ConstrainedCommonName));
            }
            return Ok(());
        }
        let presented = certificate.common_names().into_iter().map(str::to_owned).collect();
        let expected = name.to_owned();
        Err(CertificateError::NotValidForNameContext { expected, presented }.into())
    }

    /// Whether a CA that may issue for some names only could stand above a certificate: one that
    /// the server sent, or one we trust that could have issued any of these.
    fn is_below_constraints(
        &self,
        certificate: &Certificate<'_>,
        between: &[CertificateDer<'_>],
    ) -> bool {
        let between: Vec<_> = between.iter().map(|der| Certificate::parse(der)).collect();
        let mut issuers = vec![certificate.issuer];
        for sent in between {
            // webpki may understand what we do not.
            let Some(sent) = sent else { return true };
            if sent.has_name_constraints() {
                return true;
            }
            issuers.push(sent.issuer);
        }
        self.issuers.roots().roots.iter().any(|anchor| {
            anchor.name_constraints.is_some() && issuers.contains(&anchor.subject.as_ref())
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = Certificate::parse(end_entity).ok_or(CertificateError::BadEncoding)?;
        match self.check {
            Check::All => {
                self.check_issuer(end_entity, &certificate, intermediates, now)?;
                self.check_name(end_entity, &certificate, intermediates, server_name)?;
            }
            Check::Issuer => self.check_issuer(end_entity, &certificate, intermediates, now)?,
            Check::Nothing => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issuers.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issuers.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issuers.schemes()
    }
}

/// An error of ours, on its way through rustls.
fn other(error: TlsError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// Whether a certificate lists DNS names or addresses: then only they count.
pub(super) fn names_hosts(certificate: &Certificate<'_>) -> bool {
    certificate.alternative_names().iter().any(|(tag, _)| matches!(*tag, DNS_NAME | IP_ADDRESS))
}

/// Whether a common name is that of the server.
pub(super) fn matches_common_name(certificate: &Certificate<'_>, server: &ServerName<'_>) -> bool {
    certificate.common_names().into_iter().any(|name| matches(name, server))
}

fn matches(common_name: &str, server: &ServerName<'_>) -> bool {
    match server {
        ServerName::DnsName(host) => {
            let host = host.as_ref();
            let host = host.strip_suffix('.').unwrap_or(host);
            match common_name.strip_prefix("*.") {
                // A star stands for one label, and not for that of a whole top-level domain.
                Some(domain) => host.split_once('.').is_some_and(|(_, rest)| {
                    domain.contains('.') && rest.eq_ignore_ascii_case(domain)
                }),
                None => host.eq_ignore_ascii_case(common_name),
            }
        }
        ServerName::IpAddress(address) => {
            let address = IpAddr::from(*address);
            common_name.parse::<IpAddr>().is_ok_and(|named| named == address)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_match_whole_hosts_and_one_label_by_a_star() {
        let server = |name: &str| ServerName::try_from(name.to_owned()).expect("a name");
        for (name, host, same) in [
            ("Broker.example.com", "broker.EXAMPLE.com", true),
            ("broker.example.com", "broker.example.com.", true),
            ("*.example.com", "broker.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("b*.example.com", "broker.example.com", false),
            ("example.com", "broker.example.com", false),
            ("", "broker.example.com", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("0:0::1", "::1", true),
            ("*", "127.0.0.1", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.2", "127.0.0.1", false),
        ] {
            assert_eq!(matches(name, &server(host)), same, "{name} for {host}");
        }
    }
}
