//! Certificates and keys out of files.

use crate::{Certificate, TlsFileError};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Text in PEM form.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In this file.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Pem {
    /// Text in the file at this path.
    pub fn file(path: impl Into<PathBuf>) -> Pem {
        Pem::File(path.into())
    }

    /// Text that is at hand.
    pub fn bytes(text: impl Into<Vec<u8>>) -> Pem {
        Pem::Bytes(text.into())
    }

    /// The certificates in it; at least one.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let text = self.read()?;
        let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| TlsFileError::of_file(self, error))?;
        if all.is_empty() {
            return Err(TlsFileError::of_file(self, "there is no certificate in it (PEM)"));
        }
        Ok(all)
    }

    /// The private key in it: PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// It cannot be read, holds none, or one that is encrypted.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsFileError> {
        let text = self.read()?;
        if is_encrypted(&text) {
            return Err(TlsFileError::EncryptedKey(self.to_string()));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                TlsFileError::of_file(self, "there is no private key in it (PEM)")
            }
            error => TlsFileError::of_file(self, error),
        })
    }

    /// The certificate revocation lists in it; at least one.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub fn revocation_lists(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
        let text = self.read()?;
        let all =
            CertificateRevocationListDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| TlsFileError::of_file(self, error))?;
        if all.is_empty() {
            let why = "there is no certificate revocation list in it (PEM)";
            return Err(TlsFileError::of_file(self, why));
        }
        Ok(all)
    }

    /// The certificates in the files of a folder (`*.pem`, `*.crt`, `*.cer`, and the names that
    /// `openssl rehash` gives, such as `12ab34cd.0`); at least one.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read, or there is none.
    pub fn certificates_in(folder: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        let refuse = |error| TlsFileError::of_system(folder.display(), &error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(refuse)? {
            let file = entry.map_err(refuse)?.path();
            if may_be_certificate(&file) && file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        let mut all = Vec::new();
        for file in files.into_iter().map(Pem::File) {
            // Keys may lie beside the certificates.
            let text = file.read()?;
            let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
            all.extend(found.map_err(|error| TlsFileError::of_file(&file, error))?);
        }
        if all.is_empty() {
            let why = "there is no certificate in its files (*.pem, *.crt, *.cer, 12ab34cd.0)";
            return Err(TlsFileError::of_file(folder.display(), why));
        }
        Ok(all)
    }

    fn read(&self) -> Result<Vec<u8>, TlsFileError> {
        match self {
            Pem::File(path) => {
                std::fs::read(path).map_err(|error| TlsFileError::of_system(self, &error))
            }
            Pem::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// A certificate chain to show, with its key.
///
/// rustls has a check that both belong together, but it takes no certificate of X.509 version 1.
///
/// # Errors
/// A file is of no use, or they do not belong together.
pub fn certified_key(
    chain: &Pem,
    key: &Pem,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFileError> {
    let certificates = chain.certificates()?;
    let private = provider.key_provider.load_private_key(key.private_key()?);
    let private = private.map_err(|error| TlsFileError::of_file(key, error))?;
    let first = certificates.first().expect("there is at least one");
    let certificate = Certificate::parse(first);
    let certificate = certificate
        .ok_or_else(|| TlsFileError::of_file(chain, "the certificate cannot be understood"))?;
    if private.public_key().is_some_and(|public| public.as_ref() != certificate.public_key) {
        let (certificate, key) = (chain.to_string(), key.to_string());
        return Err(TlsFileError::KeyMismatch { certificate, key });
    }
    Ok(CertifiedKey::new(certificates, private))
}

/// Whether the key needs a pass phrase, in PKCS #8 or in the older form of OpenSSL.
fn is_encrypted(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
            || (line.starts_with(b"Proc-Type:") && line.ends_with(b",ENCRYPTED"))
    })
}

/// Judged by the name: an ending for certificates, or the hash of a subject with a number.
fn may_be_certificate(path: &Path) -> bool {
    let Some(ending) = path.extension().and_then(OsStr::to_str) else { return false };
    let stem = path.file_stem().unwrap_or_default().as_encoded_bytes();
    let hash = stem.len() == 8 && stem.iter().all(u8::is_ascii_hexdigit);
    ["pem", "crt", "cer"].iter().any(|known| ending.eq_ignore_ascii_case(known))
        || (hash && ending.bytes().all(|byte| byte.is_ascii_digit()))
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

/// Without the text, which may be a secret.
impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pem::File(path) => write!(f, "File({path:?})"),
            Pem::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
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
            let error = Pem::bytes(text).private_key().expect_err("encrypted");
            assert!(matches!(error, TlsFileError::EncryptedKey(_)), "{error}");
        }
        let error = Pem::bytes("nothing").private_key().expect_err("no key");
        assert_eq!(error.to_string(), "the PEM text: there is no private key in it (PEM)");
        let half = "-----BEGIN PRIVATE KEY-----\nAA==\n";
        assert!(Pem::bytes(half).private_key().is_err());
        assert!(Pem::bytes("-----BEGIN CERTIFICATE-----\n!\n").certificates().is_err());
        assert!(Pem::bytes("").certificates().is_err());
    }
}
