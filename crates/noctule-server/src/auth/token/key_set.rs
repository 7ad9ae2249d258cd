//! The keys of one issuer, from any of the forms in which they are written.

use super::algorithm::Algorithm;
use super::json;
use super::key::{Key, Material};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use noctule_tls::rustls::pki_types::pem::PemObject;
use noctule_tls::rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde_json::{Map, Value};

/// Keys of one issuer at most.
const KEYS_MAX: usize = 64;

/// Keys that are tried for a token that does not name its key.
const TRIED_MAX: usize = 4;

/// Keys, at least one.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

/// Why a token's key is not found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoKey {
    /// No key has the name that the token gives.
    UnknownName,
    /// There is one, but not for this algorithm.
    OtherAlgorithm,
}

/// Whether secrets may be among the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Secrets {
    Allowed,
    /// What everybody can ask for is no secret.
    Refused,
}

impl KeySet {
    /// A secret of HMAC: what a file holds, but for a line feed at its end; in base64 behind
    /// `base64:`.
    pub(super) fn of_secret(bytes: &[u8]) -> Result<KeySet, String> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let secret = match bytes.strip_prefix(b"base64:") {
            Some(coded) => {
                STANDARD.decode(coded).map_err(|_| "what follows `base64:` is not base64")?
            }
            None => bytes.to_vec(),
        };
        let material = Material::Secret(secret.into()).checked()?;
        Ok(KeySet(vec![Key { id: None, only: None, material }]))
    }

    /// Public keys, or certificates that hold some.
    pub(super) fn of_pem(bytes: &[u8]) -> Result<KeySet, String> {
        let wrong = |error| format!("its PEM is broken: {error:?}");
        let mut keys = Vec::new();
        let mut add = |spki: &[u8]| -> Result<(), String> {
            keys.push(Key { id: None, only: None, material: Material::from_spki(spki)? });
            Ok(())
        };
        for spki in SubjectPublicKeyInfoDer::pem_slice_iter(bytes) {
            add(&spki.map_err(wrong)?)?;
        }
        for certificate in CertificateDer::pem_slice_iter(bytes) {
            let certificate = certificate.map_err(wrong)?;
            let parsed = noctule_tls::rustls::server::ParsedCertificate::try_from(&certificate);
            let parsed = parsed.map_err(|error| format!("its certificate is broken: {error}"))?;
            add(&parsed.subject_public_key_info())?;
        }
        match keys.len() {
            0 => {
                Err("there is no public key in it (PEM: BEGIN PUBLIC KEY, or a certificate)".into())
            }
            1..=TRIED_MAX => Ok(KeySet(keys)),
            _ => Err(format!("it has more than {TRIED_MAX} keys; a JWKS gives each a name")),
        }
    }

    /// A JSON Web Key Set (RFC 7517). Keys that are not for signatures, or of a kind that we do
    /// not know, are left out.
    pub(super) fn of_jwks(bytes: &[u8], secrets: Secrets) -> Result<KeySet, String> {
        let set = json::object(bytes).ok_or("it is no JSON object, or names something twice")?;
        let listed = set.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or("it has no array `keys`: it is no key set (RFC 7517)")?;
        if listed.len() > KEYS_MAX {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        for (at, jwk) in listed.iter().enumerate() {
            let jwk = jwk.as_object().ok_or_else(|| format!("key {at} is no object"))?;
            let Some(key) = key(jwk, secrets).map_err(|why| format!("key {at}: {why}"))? else {
                continue;
            };
            if key.id.is_some() && keys.iter().any(|it| it.id == key.id && it.only == key.only) {
                return Err(format!("key {at} has the name of another"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err("it has no key for signatures that is of use here".into());
        }
        Ok(KeySet(keys))
    }

    /// Whether a good signature of this kind can be among its keys.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|key| key.allows(algorithm))
    }

    /// The keys to try for a token that names this key, or none.
    pub(super) fn find(
        &self,
        name: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &Key>, NoKey> {
        // Names are of use only where the keys have any.
        let name = name.filter(|_| self.0.iter().any(|key| key.id.is_some()));
        let named = move |key: &&Key| name.is_none() || key.id.as_deref() == name;
        if !self.0.iter().any(|key| named(&key)) {
            return Err(NoKey::UnknownName);
        }
        let fits = move |key: &&Key| named(key) && key.allows(algorithm);
        if !self.0.iter().any(|key| fits(&key)) {
            return Err(NoKey::OtherAlgorithm);
        }
        Ok(self.0.iter().filter(fits).take(TRIED_MAX))
    }
}

/// A key of a set; `None` if it is for something else.
fn key(jwk: &Map<String, Value>, secrets: Secrets) -> Result<Option<Key>, &'static str> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let for_others = |use_: &str| use_ != "sig";
    let operations = jwk.get("key_ops").and_then(Value::as_array);
    let no_verify = |ops: &Vec<Value>| !ops.iter().any(|op| op == "verify");
    if text("use").is_some_and(for_others) || operations.is_some_and(no_verify) {
        return Ok(None);
    }
    let only = match text("alg").map(Algorithm::by_name) {
        Some(None) => return Ok(None),
        Some(Some(only)) => Some(only),
        None => None,
    };
    let bytes = |name: &str| {
        let decoded = text(name).and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
        decoded.ok_or("one of its parts is missing or not base64url")
    };
    let point = || -> Result<Box<[u8]>, &'static str> {
        Ok([&[4][..], &bytes("x")?, &bytes("y")?].concat().into())
    };
    let number = |name| Ok::<_, &'static str>(super::der::positive(&bytes(name)?).into());
    let material = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => Material::Rsa { n: number("n")?, e: number("e")? },
        (Some("EC"), Some("P-256")) => Material::P256(point()?),
        (Some("EC"), Some("P-384")) => Material::P384(point()?),
        (Some("OKP"), Some("Ed25519")) => Material::Ed25519(bytes("x")?.into()),
        (Some("oct"), _) if secrets == Secrets::Allowed => Material::Secret(bytes("k")?.into()),
        _ => return Ok(None),
    };
    let material = material.checked()?;
    let key = Key { id: text("kid").map(Into::into), only, material };
    // An algorithm that is not of its kind is of nobody's use.
    Ok(key.only.is_none_or(|only| key.allows(only)).then_some(key))
}
