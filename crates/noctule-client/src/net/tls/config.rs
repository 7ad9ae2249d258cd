//! Settings turned into what rustls works with.

use super::key_log::KeyLogFile;
use super::verifier::Verifier;
use super::{Anchors, Check, Settings, TlsError, TlsVersion};
use noctule_tls::{Pem, TlsFileError, certified_key};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion, version};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Reads the files.
pub(super) fn load(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(noctule_tls::provider(&settings.cipher_suites));
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
            let resolver =
                SingleCertAndKey::from(certified_key(&identity.chain, &identity.key, &provider)?);
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.alpn_protocols.clone_from(&settings.alpn);
    if let Some(path) = &settings.key_log {
        let file = KeyLogFile::open(path);
        let file = file.map_err(|error| TlsFileError::of_system(path.display(), &error))?;
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
        for certificate in anchors(source)? {
            match verifier.trust(certificate) {
                Ok(()) => trusted += 1,
                Err(error) => failure = Some(error),
            }
        }
        // A bundle may hold some that nobody can use. But it must hold one that we can.
        if let (Some(error), 0) = (failure, trusted) {
            let Anchors::Pem(file) = source else { return Err(TlsError::of(error)) };
            return Err(TlsFileError::of_file(file, TlsError::of(error)).into());
        }
    }
    Ok(verifier)
}

/// The certificates that are to be trusted; at least one.
fn anchors(from: &Anchors) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match from {
        Anchors::Pem(source) => Ok(source.certificates()?),
        Anchors::Directory(path) => Ok(Pem::certificates_in(path)?),
        Anchors::System => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let why = found.errors.first().map(ToString::to_string);
                return Err(TlsError::NoSystemRoots(why.unwrap_or_default()));
            }
            Ok(found.certs)
        }
    }
}
