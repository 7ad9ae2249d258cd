//! Whom to believe that it is the server.
//!
//! webpki, the verifier of rustls, decides wherever it can. Three kinds of certificates it always
//! refuses, though mosquitto's clients take them. Each has its own rule here:
//!
//! * *One that is itself trusted.* It is compared byte for byte with what the user named; there is
//!   nothing to derive. So a CA's own certificate can serve, as self-signed ones are often made.
//! * *X.509 version 1*, which old scripts around `openssl x509 -req` make. Such a certificate has
//!   no extensions; left are its dates and one signature, which must be that of a CA we trust
//!   (and not one of a chain). Algorithms and keys are checked by the code that webpki uses.
//! * *A host only in the common name.* It counts if the certificate lists neither DNS names nor
//!   addresses [RFC 6125, 6.4.4], and no CA above it is bound to some names: webpki holds only
//!   alternative names against those.

use super::certificate::{Age, Certificate, key_of, key_of_info};
use super::{Check, TlsError};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};

const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// Decides about servers' certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    roots: RootCertStore,
    /// All that the user trusts, whole.
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(check: Check, algorithms: WebPkiSupportedAlgorithms) -> Verifier {
        Verifier { check, roots: RootCertStore::empty(), trusted: Vec::new(), algorithms }
    }

    /// Trusts this certificate, and unless it says that it is no CA's, those it has issued.
    pub(super) fn trust(&mut self, certificate: CertificateDer<'static>) -> Result<(), Error> {
        let is_ca = Certificate::parse(&certificate).and_then(|parsed| parsed.is_ca());
        if is_ca != Some(false) {
            self.roots.add(certificate.clone())?;
        }
        self.trusted.push(certificate);
        Ok(())
    }

    /// Whether somebody we trust has issued it, and for now.
    fn check_issuer(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trusted.iter().any(|trusted| trusted == der) {
            return check_dates(certificate, now);
        }
        if certificate.is_version1() {
            check_dates(certificate, now)?;
            return self.check_signature(certificate);
        }
        let parsed = ParsedCertificate::try_from(der)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, between, now, algorithms)
            .map_err(|error| match error {
                Error::InvalidCertificate(CertificateError::Other(_))
                    if certificate.is_ca() == Some(true) =>
                {
                    other(TlsError::CaCertificate)
                }
                error => error,
            })
    }

    /// Whether a CA that we trust has signed a certificate without extensions.
    fn check_signature(&self, certificate: &Certificate<'_>) -> Result<(), Error> {
        let mut why = CertificateError::UnknownIssuer;
        for anchor in &self.roots.roots {
            // A CA that may only issue for some names is beyond this rule.
            if *anchor.subject != *certificate.issuer || anchor.name_constraints.is_some() {
                continue;
            }
            let Some((kind, key)) = key_of(&anchor.subject_public_key_info) else { continue };
            let fitting = self.algorithms.all.iter().filter(|algorithm| {
                *algorithm.public_key_alg_id() == *kind
                    && *algorithm.signature_alg_id() == *certificate.algorithm
            });
            let mut known = false;
            for algorithm in fitting {
                known = true;
                let checked =
                    algorithm.verify_signature(key, certificate.signed, certificate.signature);
                if checked.is_ok() {
                    return Ok(());
                }
            }
            if !known {
                return Err(other(TlsError::WeakSignature));
            }
            why = CertificateError::BadSignature;
        }
        Err(why.into())
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
        self.roots.roots.iter().any(|anchor| {
            anchor.name_constraints.is_some() && issuers.contains(&anchor.subject.as_ref())
        })
    }

    /// Whether the owner of a key has signed a message, where the key's certificate is of version
    /// 1 and rustls does not look into it.
    fn is_signed_by(
        &self,
        public_key: &[u8],
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let unasked = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
        let (kind, key) = key_of_info(public_key).ok_or(CertificateError::BadEncoding)?;
        let mut offered = self.algorithms.mapping.iter();
        let (_, algorithms) =
            offered.find(|(scheme, _)| *scheme == signed.scheme).ok_or(Error::from(unasked))?;
        let mut fitting =
            algorithms.iter().filter(|algorithm| *algorithm.public_key_alg_id() == *kind);
        let good = fitting
            .any(|algorithm| algorithm.verify_signature(key, message, signed.signature()).is_ok());
        if good {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(CertificateError::BadSignature.into())
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
        let certificate = Certificate::parse(cert).ok_or(CertificateError::BadEncoding)?;
        if certificate.is_version1() {
            return self.is_signed_by(certificate.public_key, message, dss);
        }
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::parse(cert).ok_or(CertificateError::BadEncoding)?;
        if certificate.is_version1() {
            let key = SubjectPublicKeyInfoDer::from(certificate.public_key);
            return verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms);
        }
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// An error of ours, on its way through rustls.
fn other(error: TlsError) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

fn check_dates(certificate: &Certificate<'_>, time: UnixTime) -> Result<(), Error> {
    let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
    match certificate.age(time) {
        Age::Valid => Ok(()),
        Age::TooYoung { from } => {
            let not_before = at(from);
            Err(CertificateError::NotValidYetContext { time, not_before }.into())
        }
        Age::TooOld { until } => {
            let not_after = at(until);
            Err(CertificateError::ExpiredContext { time, not_after }.into())
        }
    }
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
