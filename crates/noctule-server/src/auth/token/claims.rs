//! What a token says of its bearer, once its signature is known to be good.

use super::{TokenError, permissions};
use crate::auth::identity::{Asked, Identity};
use crate::config::JwtOptions;
use noctule_proto::text::is_clean;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Seconds since 1970 beyond which nobody means an instant: five thousand years from now.
const SECONDS_MAX: f64 = 1e11;

/// Checks the claims, and says who their bearer is.
pub(super) fn check(
    options: &JwtOptions,
    claims: &Map<String, Value>,
    asked: &Asked,
    now_millis: u64,
) -> Result<Identity, TokenError> {
    let leeway = u64::from(options.leeway_secs) * 1000;
    let not_before = instant(claims, "nbf")?;
    if not_before.is_some_and(|at| at > now_millis.saturating_add(leeway)) {
        return Err(TokenError::NotYetValid);
    }
    let expires = instant(claims, "exp")?.map(|at| at.saturating_add(leeway));
    match expires {
        Some(at) if at <= now_millis => return Err(TokenError::Expired),
        None if options.expiry_required => return Err(TokenError::NoExpiry),
        Some(_) | None => {}
    }
    audience(options, claims)?;
    let user_name = match named(claims, &options.user_claim) {
        _ if options.user_claim.is_empty() => asked.user_name.clone(),
        Some(Value::String(name)) if !name.is_empty() && is_clean(name) => {
            Some(name.as_str().into())
        }
        Some(_) | None => return Err(TokenError::BadClaim),
    };
    let other = |name: &Arc<str>| asked.user_name.as_ref().is_some_and(|it| it != name);
    if options.user_name_must_match && user_name.as_ref().is_some_and(other) {
        return Err(TokenError::OtherUser);
    }
    if !options.client_id_claim.is_empty() {
        match named(claims, &options.client_id_claim) {
            Some(Value::String(id)) if **id == *asked.client_id => {}
            Some(Value::String(_)) => return Err(TokenError::OtherClient),
            Some(_) | None => return Err(TokenError::BadClaim),
        }
    }
    let permissions = match named(claims, &options.acl_claim) {
        None => None,
        Some(said) => Some(permissions::read(said, &asked.client_id, user_name.as_deref())?),
    };
    let roles = roles(named(claims, &options.roles_claim))?;
    let issuer = Some(options.issuer.clone());
    Ok(Identity { user_name, roles, permissions, issuer, expires_millis: expires })
}

/// A claim by its name, or by the way to it: `realm_access.roles` is `roles` in `realm_access`.
fn named<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if name.is_empty() {
        return None;
    }
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    named(claims.get(first)?.as_object()?, rest)
}

/// A NumericDate (RFC 7519, section 2) in milliseconds.
fn instant(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let secs = value.as_f64().filter(|it| (0.0..=SECONDS_MAX).contains(it));
    // Not negative and far below what 64 bits hold.
    secs.map(|secs| Some((secs * 1000.0) as u64)).ok_or(TokenError::BadClaim)
}

/// One audience, or several, of which we have to be one.
fn audience(options: &JwtOptions, claims: &Map<String, Value>) -> Result<(), TokenError> {
    if options.audience.is_empty() {
        return Ok(());
    }
    let ours =
        |it: &Value| it.as_str().is_some_and(|it| options.audience.iter().any(|a| **a == *it));
    let good = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if good { Ok(()) } else { Err(TokenError::OtherAudience) }
}

/// Roles: an array of texts, or one text with spaces between them.
pub(in crate::auth) fn roles(said: Option<&Value>) -> Result<Arc<[Box<str>]>, TokenError> {
    match said {
        None | Some(Value::Null) => Ok(Arc::default()),
        Some(Value::String(text)) => Ok(text.split_whitespace().map(Into::into).collect()),
        Some(Value::Array(all)) => {
            let name = |it: &Value| it.as_str().map(Into::into).ok_or(TokenError::BadClaim);
            all.iter().map(name).collect()
        }
        Some(_) => Err(TokenError::BadClaim),
    }
}
