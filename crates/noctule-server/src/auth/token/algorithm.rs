//! The algorithms of signatures (RFC 7518, section 3; RFC 8037).

use std::fmt;

/// How a token is signed. There is no `none`: what is not signed is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1, with SHA-256.
    Rs256,
    /// RSA, PKCS #1, with SHA-384.
    Rs384,
    /// RSA, PKCS #1, with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// RSA, PSS, with SHA-384.
    Ps384,
    /// RSA, PSS, with SHA-512.
    Ps512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All, each with its name.
    pub(crate) const NAMES: [(&str, Algorithm); 12] = [
        ("HS256", Algorithm::Hs256),
        ("HS384", Algorithm::Hs384),
        ("HS512", Algorithm::Hs512),
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("PS256", Algorithm::Ps256),
        ("PS384", Algorithm::Ps384),
        ("PS512", Algorithm::Ps512),
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("EdDSA", Algorithm::EdDsa),
    ];

    /// The one of this name, which has to be spelled as the standard does.
    pub(crate) fn by_name(name: &str) -> Option<Algorithm> {
        // RFC 9864 gives the one curve of EdDSA that we know a name of its own.
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Algorithm::NAMES.iter().find(|(it, _)| *it == name).map(|(_, it)| *it)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        let mut names = Algorithm::NAMES.iter();
        names.find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
