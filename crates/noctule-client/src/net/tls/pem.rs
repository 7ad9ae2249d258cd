//! Certificates and keys out of files.

use super::{Anchors, Pem, TlsError};
use std::ffi::OsStr;
use std::path::Path;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// The certificates in a text; at least one.
pub(super) fn certificates(source: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(source)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| TlsError::file(source, error))?;
    if all.is_empty() {
        return Err(TlsError::file(source, "there is no certificate in it (PEM)"));
    }
    Ok(all)
}

/// The private key in a text.
pub(super) fn private_key(source: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(source)?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey(source.to_string()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::file(source, "there is no private key in it (PEM)"),
        error => TlsError::file(source, error),
    })
}

/// Whether the key needs a pass phrase, in PKCS #8 or in the older form of OpenSSL.
fn is_encrypted(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b",ENCRYPTED"))
    })
}

/// The certificates that are to be trusted; at least one.
pub(super) fn anchors(from: &Anchors) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match from {
        Anchors::Pem(source) => certificates(source),
        Anchors::Directory(path) => in_directory(path),
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

fn in_directory(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let here = Pem::file(path);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| TlsError::file(&here, error))? {
        let file = entry.map_err(|error| TlsError::file(&here, error))?.path();
        if may_be_certificate(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        // Keys may lie beside the certificates.
        let text = read(&Pem::File(file.clone()))?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        all.extend(found.map_err(|error| TlsError::file(&Pem::File(file), error))?);
    }
    if all.is_empty() {
        let why = "there is no certificate in its files (*.pem, *.crt, *.cer, 12ab34cd.0)";
        return Err(TlsError::file(&here, why));
    }
    Ok(all)
}

/// Judged by the name: an ending for certificates, or the hash of a subject with a number.
fn may_be_certificate(path: &Path) -> bool {
    let Some(ending) = path.extension().and_then(OsStr::to_str) else { return false };
    let stem = path.file_stem().unwrap_or_default().as_encoded_bytes();
    let hash = stem.len() == 8 && stem.iter().all(u8::is_ascii_hexdigit);
    ["pem", "crt", "cer"].iter().any(|known| ending.eq_ignore_ascii_case(known))
        || (hash && ending.bytes().all(|byte| byte.is_ascii_digit()))
}

fn read(source: &Pem) -> Result<Vec<u8>, TlsError> {
    match source {
        Pem::File(path) => std::fs::read(path).map_err(|error| TlsError::file(source, error)),
        Pem::Bytes(bytes) => Ok(bytes.clone()),
    }
}

/// What to call it in an error.
impl std::fmt::Display for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pem::File(path) => path.display().fmt(f),
            Pem::Bytes(_) => f.write_str("the PEM text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_are_chosen_by_name() {
        for (name, chosen) in [
            ("ca.pem", true),
            ("CA.CRT", true),
            ("12ab34cd.0", true),
            ("12ab34cd.12", true),
            ("12ab34cd.r0", false),
            ("12ab34c.0", false),
            ("ca.key", false),
            ("README", false),
        ] {
            assert_eq!(may_be_certificate(Path::new(name)), chosen, "{name}");
        }
    }

    #[test]
    fn encrypted_keys_are_told_from_broken_ones() {
        let new = "x\n-----BEGIN ENCRYPTED PRIVATE KEY-----\r\nAA==\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n";
        for text in [new, old] {
            let error = private_key(&Pem::bytes(text)).expect_err("encrypted");
            assert!(matches!(error, TlsError::EncryptedKey(_)), "{error}");
        }
        let error = private_key(&Pem::bytes("nothing")).expect_err("no key");
        assert_eq!(error.to_string(), "the PEM text: there is no private key in it (PEM)");
        let half = "-----BEGIN PRIVATE KEY-----\nAA==\n";
        assert!(private_key(&Pem::bytes(half)).is_err());
        assert!(certificates(&Pem::bytes("-----BEGIN CERTIFICATE-----\n!\n")).is_err());
        assert!(certificates(&Pem::bytes("")).is_err());
    }
}
