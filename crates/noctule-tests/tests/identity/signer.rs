//! Who signs tokens.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use std::time::{SystemTime, UNIX_EPOCH};

/// A key pair of ES256 with a name.
pub(crate) struct Signer {
    name: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Result<Signer> {
        let random = SystemRandom::new();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(how, &random).map_err(|it| anyhow!("{it}"))?;
        let pair = EcdsaKeyPair::from_pkcs8(how, key.as_ref(), &random);
        Ok(Signer { name: name.into(), pair: pair.map_err(|it| anyhow!("{it}"))? })
    }

    /// The public key, as it is.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// As a key set says it.
    pub(crate) fn jwk(&self) -> String {
        let point = self.public_key();
        let (x, y) = (coded(&point[1..33]), coded(&point[33..]));
        let name = &self.name;
        format!(r#"{{"kty":"EC","crv":"P-256","kid":"{name}","x":"{x}","y":"{y}"}}"#)
    }

    /// A token.
    pub(crate) fn sign(&self, claims: &str) -> Result<String> {
        let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.name);
        let signed = format!("{}.{}", coded(header), coded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        Ok(format!("{signed}.{}", coded(signature.map_err(|it| anyhow!("{it}"))?)))
    }
}

/// A key set.
pub(crate) fn key_set(signers: &[&Signer]) -> String {
    let keys: Vec<String> = signers.iter().map(|it| it.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A token of HS256, with any header.
pub(crate) fn with_secret(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", coded(header), coded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", coded(signature))
}

/// Base64url.
pub(crate) fn coded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// So many seconds from now, in seconds since 1970.
pub(crate) fn in_secs(secs: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() as i64 + secs
}
