//! What is asked of a webhook, and what its answer means.

use super::super::Applicant;
use super::super::identity::{Identity, Verdict};
use super::super::token::{TokenError, json_object, read_permissions, roles};
use super::About;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use noctule_proto::text::is_clean;
use noctule_proto::{ReasonCode, Version};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bytes of a reason that a client is told.
const REASON_MAX: usize = 256;

/// Seconds that an answer can be good for: a century.
const EXPIRES_MAX: f64 = 3_200_000_000.0;

/// The question, as JSON. The same client is always the same text.
pub(super) fn question(about: About, applicant: &Applicant) -> String {
    let seen = &applicant.shown.seen;
    let version = seen.version.map(|version| match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    });
    let mut question = json!({
        "ask": about.name(),
        "client_id": applicant.asked.client_id,
        "user_name": applicant.asked.user_name.as_deref(),
        "password": null,
        // Without the port, which is another one each time.
        "peer": seen.remote.map(|it| it.ip().to_canonical().to_string()),
        "listener": seen.listener.map(|it| it.to_string()),
        "version": version,
        "common_name": seen.common_name.as_deref(),
    });
    match applicant.password.as_deref().map(|it| (std::str::from_utf8(it), it)) {
        Some((Ok(text), _)) => question["password"] = text.into(),
        Some((Err(_), bytes)) => question["password_base64"] = STANDARD.encode(bytes).into(),
        None => {}
    }
    question.to_string()
}

/// What an answer means; or what is wrong with it.
pub(super) fn verdict(
    body: &[u8],
    applicant: &Applicant,
    now_millis: u64,
) -> Result<Verdict, &'static str> {
    let answer = json_object(body).ok_or("the answer is no JSON object")?;
    match answer.get("result").and_then(Value::as_str) {
        Some("allow") => allow(&answer, applicant, now_millis),
        Some("deny") => {
            let why = answer.get("reason").and_then(Value::as_str);
            let why = why.filter(|why| why.len() <= REASON_MAX && is_clean(why));
            let why = why.unwrap_or("not authorized").into();
            Ok(Verdict::Deny { reason: ReasonCode::NotAuthorized, why })
        }
        Some("ignore") => Ok(Verdict::NotMine),
        Some(_) | None => Err("the answer's `result` is none of allow, deny and ignore"),
    }
}

fn allow(
    answer: &Map<String, Value>,
    applicant: &Applicant,
    now_millis: u64,
) -> Result<Verdict, &'static str> {
    let asked = &applicant.asked;
    let said = |name: &str| answer.get(name).filter(|it| !it.is_null());
    let user_name: Option<Arc<str>> = match said("user_name") {
        None => asked.user_name.clone(),
        Some(Value::String(name)) if !name.is_empty() && is_clean(name) => {
            Some(name.as_str().into())
        }
        Some(_) => return Err("the answer's `user_name` is no text that can be one"),
    };
    let permissions = match said("acl") {
        None => None,
        Some(acl) => match read_permissions(acl, &asked.client_id, user_name.as_deref()) {
            Ok(permissions) => Some(permissions),
            // It is not the service that errs.
            Err(error @ TokenError::Unnameable) => {
                let (reason, why) = (ReasonCode::NotAuthorized, error.to_string().into());
                return Ok(Verdict::Deny { reason, why });
            }
            Err(_) => return Err("the answer's `acl` cannot be understood"),
        },
    };
    let roles = roles(said("roles")).map_err(|_| "the answer's `roles` are no list of texts")?;
    let expires_millis = match said("expires_in").map(Value::as_f64) {
        None => None,
        Some(Some(secs)) if (0.0..=EXPIRES_MAX).contains(&secs) => {
            // Not negative and far below what 64 bits hold.
            Some(now_millis.saturating_add((secs * 1000.0) as u64))
        }
        Some(_) => return Err("the answer's `expires_in` is no number of seconds"),
    };
    let identity = Identity { user_name, roles, permissions, issuer: None, expires_millis };
    Ok(Verdict::Allow(Box::new(identity)))
}
