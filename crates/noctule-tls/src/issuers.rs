//! Whom to believe that somebody is who a certificate says.
//!
//! webpki, the verifier of rustls, decides wherever it can. Two kinds of certificates it always
//! refuses, though mosquitto takes them. Each has its own rule here:
//!
//! * *One that is itself trusted.* It is compared byte for byte with what the user named; there is
//!   nothing to derive. So a CA's own certificate can serve, as self-signed ones are often made.
//! * *X.509 version 1*, which old scripts around `openssl x509 -req` make. Such a certificate has
//!   no extensions; left are its dates and one signature, which must be that of a CA we trust
//!   (and not one of a chain). Algorithms and keys are checked by the code that webpki uses.

use crate::certificate::{Age, Certificate, key_of, key_of_info};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a certificate is refused, where rustls has no word for it. It is inside of a
/// [`CertificateError::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// It is that of a CA, and not itself among those we trust.
    CaCertificate,
    /// It is signed by an algorithm that is too weak, or unknown.
    WeakSignature,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::CaCertificate => "it is a CA's",
            Refusal::WeakSignature => "it is signed by an algorithm that is weak or unknown",
        })
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

impl Refusal {
    /// The refusal inside of an error of rustls.
    #[must_use]
    pub fn inside(error: &CertificateError) -> Option<Refusal> {
        match error {
            CertificateError::Other(other) => other.0.downcast_ref().copied(),
            _ => None,
        }
    }
}

/// Those we trust.
#[derive(Debug)]
pub struct Issuers {
    roots: Arc<RootCertStore>,
    /// All that the user trusts, whole.
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Issuers {
    /// Nobody is trusted yet.
    #[must_use]
    pub fn new(algorithms: WebPkiSupportedAlgorithms) -> Issuers {
        Issuers { roots: Arc::new(RootCertStore::empty()), trusted: Vec::new(), algorithms }
    }

    /// Trusts this certificate, and unless it says that it is no CA's, those it has issued.
    ///
    /// # Errors
    /// It is none.
    pub fn trust(&mut self, certificate: CertificateDer<'static>) -> Result<(), Error> {
        let is_ca = Certificate::parse(&certificate).and_then(|parsed| parsed.is_ca());
        if is_ca != Some(false) {
            Arc::make_mut(&mut self.roots).add(certificate.clone())?;
        }
        self.trusted.push(certificate);
        Ok(())
    }

    /// CAs we trust.
    #[must_use]
    pub fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// The algorithms by which signatures are checked.
    #[must_use]
    pub fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// Whether a certificate is believed by one of the two rules. `None`: neither is for it, ask
    /// webpki.
    pub fn check(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate<'_>,
        now: UnixTime,
    ) -> Option<Result<(), Error>> {
        if self.trusted.iter().any(|trusted| trusted == der) {
            return Some(check_dates(certificate, now));
        }
        certificate.is_version1().then(|| {
            check_dates(certificate, now)?;
            self.check_signature(certificate)
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
                return Err(Refusal::WeakSignature.into());
            }
            why = CertificateError::BadSignature;
        }
        Err(why.into())
    }

    /// Whether the owner of a certificate has signed a message of TLS 1.2.
    ///
    /// # Errors
    /// No.
    pub fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::parse(der).ok_or(CertificateError::BadEncoding)?;
        if certificate.is_version1() {
            return self.is_signed_by(certificate.public_key, message, signed);
        }
        verify_tls12_signature(message, der, signed, &self.algorithms)
    }

    /// Whether the owner of a certificate has signed a message of TLS 1.3.
    ///
    /// # Errors
    /// No.
    pub fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::parse(der).ok_or(CertificateError::BadEncoding)?;
        if certificate.is_version1() {
            let key = SubjectPublicKeyInfoDer::from(certificate.public_key);
            return verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms);
        }
        verify_tls13_signature(message, der, signed, &self.algorithms)
    }

    /// The signatures that can be checked.
    #[must_use]
    pub fn schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
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

/// Whether a certificate is valid at that time.
///
/// # Errors
/// Not yet, or not any more.
pub fn check_dates(certificate: &Certificate<'_>, time: UnixTime) -> Result<(), Error> {
    let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
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
