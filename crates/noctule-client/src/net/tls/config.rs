//! Settings turned into what rustls works with.

use super::certificate::Certificate;
use super::key_log::KeyLogFile;
use super::verifier::Verifier;
use super::{Anchors, Check, Identity, Pem, Settings, TlsError, TlsVersion, pem, suites};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion, version};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Reads the files.
pub(super) fn load(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let cipher_suites = suites::offered(&settings.cipher_suites);
    let provider = Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() });
    let versions = match settings.minimum_version {
        TlsVersion::V12 => BOTH,
        TlsVersion::V13 => NEW,
    };
    let verifier = verifier(settings, &provider)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("each version has suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = SingleCertAndKey::from(certified_key(identity, &provider)?);
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.alpn_protocols.clone_from(&settings.alpn);
    if let Some(path) = &settings.key_log {
        let file = KeyLogFile::open(path);
        let file = file.map_err(|error| TlsError::file(&Pem::file(path), error))?;
        config.key_log = Arc::new(file);
    }
    Ok(config)
}

fn verifier(settings: &Settings, provider: &CryptoProvider) -> Result<Verifier, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let mut verifier = Verifier::new(settings.check, algorithms);
    if settings.check == Check::Nothing {
        return Ok(verifier);
    }
    let system = [Anchors::System];
    let sources = if settings.anchors.is_empty() { &system[..] } else { &settings.anchors };
    for source in sources {
        let mut failure = None;
        let mut trusted = 0;
        for certificate in pem::anchors(source)? {
            match verifier.trust(certificate) {
                Ok(()) => trusted += 1,
                Err(error) => failure = Some(error),
            }
        }
        // A bundle may hold some that nobody can use. But it must hold one that we can.
        if let (Some(error), 0) = (failure, trusted) {
            let Anchors::Pem(file) = source else { return Err(TlsError::of(error)) };
            return Err(TlsError::file(file, TlsError::of(error)));
        }
    }
    Ok(verifier)
}

/// The certificate to show, with its key.
///
/// rustls has a check that both belong together, but it takes no certificate of X.509 version 1.
fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = pem::certificates(&identity.chain)?;
    let key = pem::private_key(&identity.key)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| TlsError::file(&identity.key, error))?;
    let first = chain.first().expect("there is at least one");
    let certificate = Certificate::parse(first);
    let certificate = certificate
        .ok_or_else(|| TlsError::file(&identity.chain, "the certificate cannot be understood"))?;
    if key.public_key().is_some_and(|public| public.as_ref() != certificate.public_key) {
        return Err(TlsError::KeyMismatch {
            certificate: identity.chain.to_string(),
            key: identity.key.to_string(),
        });
    }
    Ok(CertifiedKey::new(chain, key))
}
