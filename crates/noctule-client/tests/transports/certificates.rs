//! Certificates made for one test.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, PublicKeyData, SigningKey,
};
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    name: &'static str,
}

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Ca {
    pub(crate) fn new(name: &'static str) -> Ca {
        Ca::with(name, |_| {})
    }

    pub(crate) fn with(name: &'static str, change: impl FnOnce(&mut CertificateParams)) -> Ca {
        let key = KeyPair::generate().expect("entropy");
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let certificate = params.self_signed(&key).expect("good parameters");
        let secret = secret(&key);
        Ca {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: secret,
            issuer: Issuer::new(params, key),
            name,
        }
    }

    /// A certificate for these hosts.
    pub(crate) fn issue(&self, hosts: &[&str]) -> Identity {
        self.issue_with(hosts, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().expect("entropy");
        let mut params = named("a server", hosts);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("good parameters");
        Identity {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: secret(&key),
        }
    }

    /// A certificate for a client.
    pub(crate) fn issue_for_client(&self) -> Identity {
        self.issue_with(&[], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A certificate for the owner of this key.
    pub(crate) fn issue_key(&self, key: KeyPair) -> Identity {
        let params = named("a client", &[]);
        let certificate = params.signed_by(&key, &self.issuer).expect("good parameters");
        Identity {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: secret(&key),
        }
    }

    /// A certificate authority below this one.
    pub(crate) fn issue_ca(&self, name: &'static str) -> Ca {
        self.issue_ca_with(name, |_| {})
    }

    pub(crate) fn issue_ca_with(
        &self,
        name: &'static str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Ca {
        let key = KeyPair::generate().expect("entropy");
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("good parameters");
        let secret = secret(&key);
        Ca {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: secret,
            issuer: Issuer::new(params, key),
            name,
        }
    }

    /// A certificate of X.509 version 1, as old scripts around `openssl x509 -req` make it.
    pub(crate) fn issue_version1(&self, host: &str, until: &str) -> Identity {
        let key = KeyPair::generate().expect("entropy");
        let body = version1_body(self.name, host, until, &key.subject_public_key_info());
        let signature = self.issuer.key().sign(&body).expect("a good key");
        let der = signed(body, &signature);
        Identity {
            pem: to_pem("CERTIFICATE", &der),
            key_pem: key.serialize_pem(),
            der: der.into(),
            key: secret(&key),
        }
    }
}

/// A certificate that vouches for itself.
pub(crate) fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let key = KeyPair::generate().expect("entropy");
    let mut params = named("itself", &["localhost"]);
    change(&mut params);
    let certificate = params.self_signed(&key).expect("good parameters");
    Identity {
        pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        der: certificate.der().clone(),
        key: secret(&key),
    }
}

/// A self-signed certificate of X.509 version 1.
pub(crate) fn self_signed_version1(host: &str) -> Identity {
    let key = KeyPair::generate().expect("entropy");
    let body = version1_body(host, host, "491231235959Z", &key.subject_public_key_info());
    let signature = key.sign(&body).expect("a good key");
    let der = signed(body, &signature);
    Identity {
        pem: to_pem("CERTIFICATE", &der),
        key_pem: key.serialize_pem(),
        der: der.into(),
        key: secret(&key),
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("good names");
    params.distinguished_name = distinguished(name);
    params
}

pub(crate) fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn secret(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

impl Identity {
    /// The same with bits of the signature turned.
    pub(crate) fn forged(mut self) -> Identity {
        let mut der = self.der.to_vec();
        *der.last_mut().expect("a certificate has bytes") ^= 1;
        self.pem = to_pem("CERTIFICATE", &der);
        self.der = der.into();
        self
    }

    /// The key as OpenSSL wrote elliptic ones before PKCS #8: it is what PKCS #8 wraps.
    pub(crate) fn sec1_pem(&self) -> String {
        let PrivateKeyDer::Pkcs8(key) = &self.key else { panic!("rcgen writes PKCS #8") };
        to_pem("EC PRIVATE KEY", inner_key(key.secret_pkcs8_der()))
    }
}

/// The key inside of PKCS #8: the first octet string.
pub(crate) fn inner_key(pkcs8: &[u8]) -> &[u8] {
    let content = |der: &[u8]| if der[1] < 0x80 { 2 } else { 2 + usize::from(der[1] & 0x7f) };
    let mut rest = &pkcs8[content(pkcs8)..];
    rest = &rest[3..]; // version
    rest = &rest[2 + usize::from(rest[1])..]; // algorithm
    assert_eq!(rest[0], 4, "an octet string");
    let start = content(rest);
    let length = match rest[1] {
        length @ 0..=0x7f => usize::from(length),
        _ => rest[2..start].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    &rest[start..start + length]
}

/// Base64 between two lines.
pub(crate) fn to_pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

fn version1_body(issuer: &str, subject: &str, until: &str, public_key: &[u8]) -> Vec<u8> {
    let name = |name: &str| {
        let id = value(6, &[&[0x55, 4, 3]]);
        let attribute = value(0x30, &[&id, &value(12, &[name.as_bytes()])]);
        value(0x30, &[&value(0x31, &[&attribute])])
    };
    let from = value(0x17, &[b"700101000000Z"]);
    let validity = value(0x30, &[&from, &value(0x17, &[until.as_bytes()])]);
    let serial = value(2, &[&[7]]);
    let fields = [&serial, &algorithm(), &name(issuer), &validity, &name(subject), public_key];
    value(0x30, &fields)
}

fn signed(body: Vec<u8>, signature: &[u8]) -> Vec<u8> {
    value(0x30, &[&body, &algorithm(), &value(3, &[&[0], signature])])
}

/// ECDSA with SHA-256.
fn algorithm() -> Vec<u8> {
    value(0x30, &[&value(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])])
}

/// A value in DER.
fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut der = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..=0x7f) => der.push(length),
        Ok(length) => der.extend_from_slice(&[0x81, length]),
        Err(_) => {
            let length = u16::try_from(content.len()).expect("short");
            der.push(0x82);
            der.extend_from_slice(&length.to_be_bytes());
        }
    }
    der.extend_from_slice(&content);
    der
}

/// A folder for the files of one test, which goes with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("noctule-net-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a writable temporary folder");
        Folder(path)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a writable temporary folder");
        path
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
