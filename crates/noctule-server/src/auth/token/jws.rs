//! The compact form of a signed token (RFC 7515): header, claims and signature, by dots.

use super::TokenError;
use super::algorithm::Algorithm;
use super::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A longer one is not looked at. What carries groups and permissions stays well below.
const LEN_MAX: usize = 16 * 1024;

/// A token, taken apart. Nothing of it is to be believed before its signature was checked.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_name: Option<Box<str>>,
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// Whether these bytes want to be a token: they begin as JSON does in base64, and have a dot.
pub(crate) fn wants_to_be_token(bytes: &[u8]) -> bool {
    (bytes.starts_with(b"ey") || bytes.starts_with(b"ew")) && bytes.contains(&b'.')
}

impl Jws<'_> {
    /// Takes a token apart.
    pub(super) fn parse(token: &[u8]) -> Result<Jws<'_>, TokenError> {
        if token.len() > LEN_MAX {
            return Err(TokenError::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let bytes = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let object = |part| json::object(&bytes(part)?).ok_or(TokenError::Malformed);
        let (header, claims, signature) = (object(header)?, object(claims)?, bytes(signature)?);
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(TokenError::Malformed)?;
        let algorithm = Algorithm::by_name(algorithm).ok_or(TokenError::UnknownAlgorithm)?;
        let key_name = match header.get("kid") {
            None => None,
            Some(Value::String(name)) => Some(name.as_str().into()),
            Some(_) => return Err(TokenError::Malformed),
        };
        Ok(Jws { algorithm, key_name, claims, signed, signature })
    }
}
