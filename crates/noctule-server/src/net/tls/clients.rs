//! Whose certificates clients may show.
//!
//! webpki decides about chains and revocation lists; [`Issuers`] has two rules for what it always
//! refuses. A certificate that is named whole is taken whatever a list says: who does not want it
//! any more takes it out of the file.

use crate::config::{ClientCertificates, TlsOptions};
use noctule_tls::rustls::client::danger::HandshakeSignatureValid;
use noctule_tls::rustls::crypto::CryptoProvider;
use noctule_tls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use noctule_tls::rustls::server::WebPkiClientVerifier;
use noctule_tls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use noctule_tls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
};
use noctule_tls::{Certificate, Issuers, Pem, Revoked, TlsFileError};
use std::path::Path;
use std::sync::Arc;

/// Decides about clients' certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    issuers: Issuers,
    chains: Arc<dyn ClientCertVerifier>,
    revoked: Revoked,
    required: bool,
}

impl ClientVerifier {
    /// Trusts what this file, or the files of this folder, hold.
    pub(super) fn load(
        ca: &Path,
        options: &TlsOptions,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ClientVerifier, TlsFileError> {
        let certificates = match ca.is_dir() {
            true => Pem::certificates_in(ca)?,
            false => Pem::file(ca).certificates()?,
        };
        let mut issuers = Issuers::new(provider.signature_verification_algorithms);
        for certificate in certificates {
            // A bundle may hold some that nobody can use; below, it must hold one that we can.
            drop(issuers.trust(certificate));
        }
        let lists = revocation_lists(options)?;
        let revoked = Revoked::of(&lists)
            .map_err(|error| TlsFileError::of_file("certificate revocation list", error))?;
        let roots = Arc::clone(issuers.roots());
        let chains = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(lists)
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| TlsFileError::of_file(ca.display(), error))?;
        let required = options.client_certificates == ClientCertificates::Required;
        Ok(ClientVerifier { issuers, chains, revoked, required })
    }
}

fn revocation_lists(
    options: &TlsOptions,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
    match &options.crl {
        Some(path) => Pem::file(path).revocation_lists(),
        None => Ok(Vec::new()),
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = Certificate::parse(end_entity).ok_or(CertificateError::BadEncoding)?;
        match self.issuers.check(end_entity, &certificate, now) {
            Some(checked) => checked?,
            None => return self.chains.verify_client_cert(end_entity, intermediates, now),
        }
        // webpki has not seen it, and neither have the lists.
        if certificate.is_version1() && self.revoked.holds(&certificate) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(ClientCertVerified::assertion())
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
