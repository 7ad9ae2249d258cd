//! One key, and what it may verify. A key knows its family, and a token cannot talk it into
//! another: a public key is never taken for a secret of HMAC.

use super::algorithm::Algorithm;
use super::der;
use noctule_tls::rustls::pki_types::alg_id;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use std::fmt;

/// Bits that a modulus of RSA may have.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key of an issuer.
pub(super) struct Key {
    /// What the issuer calls it.
    pub(super) id: Option<Box<str>>,
    /// The one algorithm that its issuer allows it, if it says so.
    pub(super) only: Option<Algorithm>,
    pub(super) material: Material,
}

/// What a signature is checked with.
pub(super) enum Material {
    /// A secret of HMAC.
    Secret(Box<[u8]>),
    /// RSA: modulus and exponent, big endian, without leading zeros.
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    /// A point of P-256, uncompressed.
    P256(Box<[u8]>),
    /// A point of P-384, uncompressed.
    P384(Box<[u8]>),
    /// A key of Ed25519.
    Ed25519(Box<[u8]>),
}

impl Key {
    /// Whether it may have signed in this way.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm) && self.material.allows(algorithm)
    }

    /// Whether the signature is good. ES384 takes milliseconds, most others a tenth of one.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.allows(algorithm) && self.material.verifies(algorithm, message, signature)
    }
}

impl Material {
    /// From a SubjectPublicKeyInfo.
    pub(super) fn from_spki(spki: &[u8]) -> Result<Material, &'static str> {
        let (algorithm, key) = der::public_key(spki).ok_or("it is no public key")?;
        let material = if algorithm == &*alg_id::RSA_ENCRYPTION {
            let (n, e) = der::rsa_numbers(key).ok_or("its RSA key is broken")?;
            Material::Rsa { n: n.into(), e: e.into() }
        } else if algorithm == &*alg_id::ECDSA_P256 {
            Material::P256(key.into())
        } else if algorithm == &*alg_id::ECDSA_P384 {
            Material::P384(key.into())
        } else if algorithm == &*alg_id::ED25519 {
            Material::Ed25519(key.into())
        } else {
            return Err("its key is of another kind than RSA, P-256, P-384 and Ed25519");
        };
        material.checked()
    }

    /// It, if it can verify anything.
    pub(super) fn checked(self) -> Result<Material, &'static str> {
        let point = |point: &[u8], len| {
            let good = point.len() == len && point[0] == 4;
            if good { Ok(()) } else { Err("its point is not an uncompressed one of its curve") }
        };
        match &self {
            Material::Secret(secret) if secret.len() < 32 => {
                Err("its secret is too short: HS256 needs 32 bytes, HS384 48, HS512 64")
            }
            Material::Secret(_) => Ok(()),
            Material::Rsa { n, .. } => {
                let zeros = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
                match RSA_BITS.contains(&(n.len() * 8 - zeros)) {
                    true => Ok(()),
                    false => Err("its RSA key has less than 2048 bits, or more than 8192"),
                }
            }
            Material::P256(at) => point(at, 65),
            Material::P384(at) => point(at, 97),
            Material::Ed25519(key) if key.len() == 32 => Ok(()),
            Material::Ed25519(_) => Err("its key of Ed25519 does not have 32 bytes"),
        }?;
        Ok(self)
    }

    fn allows(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            // A secret has at least as many bytes as the hash [RFC 7518, 3.2].
            Material::Secret(secret) => match algorithm {
                A::Hs256 => secret.len() >= 32,
                A::Hs384 => secret.len() >= 48,
                A::Hs512 => secret.len() >= 64,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512 => false,
                A::Es256 | A::Es384 | A::EdDsa => false,
            },
            Material::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
        }
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Material::Secret(secret) => {
                let Some(hash) = hmac_of(algorithm) else { return false };
                hmac::verify(&hmac::Key::new(hash, secret), message, signature).is_ok()
            }
            Material::Rsa { n, e } => {
                let Some(how) = rsa_of(algorithm) else { return false };
                RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            Material::P384(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            Material::Ed25519(key) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).is_ok()
            }
        }
    }
}

fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    use Algorithm as A;
    match algorithm {
        A::Hs256 => Some(hmac::HMAC_SHA256),
        A::Hs384 => Some(hmac::HMAC_SHA384),
        A::Hs512 => Some(hmac::HMAC_SHA512),
        A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512 => None,
        A::Es256 | A::Es384 | A::EdDsa => None,
    }
}

fn rsa_of(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    use Algorithm as A;
    match algorithm {
        A::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        A::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        A::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        A::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        A::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        A::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        A::Hs256 | A::Hs384 | A::Hs512 | A::Es256 | A::Es384 | A::EdDsa => None,
    }
}

impl fmt::Debug for Key {
    /// It may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.id)
    }
}
