//! The options of those who say who a client is.

use super::super::dynsec::DynsecDraft;
use super::super::jwt::JwtDraft;
use super::super::value::{Choice, Text, Texts};
use super::super::webhook::{WebhookDraft, WebhookFailure};
use super::{Opt, U16, UserDraft, plain, text};
use crate::auth::Algorithm;
use noctule_proto::text::is_clean;

/// Options of `[[jwt]]`.
pub(in crate::config) const JWT: &[Opt<JwtDraft>] = &[
    opt!(
        "public_key",
        "What signatures are checked with: a file (PEM) of public keys, or of certificates.",
        |j| text(&mut j.public_key)
    ),
    opt!(
        "secret",
        "Or a file that is the secret of HS256, HS384 and HS512: 32, 48 or 64 bytes at least; in \
         base64 if it begins with `base64:`.",
        |j| text(&mut j.secret)
    ),
    opt!("jwks", "Or a JSON Web Key Set: a file, or a URL.", |j| text(&mut j.jwks)),
    opt!(
        "jwks_refresh_secs",
        "Seconds between two fetches from the URL. A token that names an unknown key has it \
         fetched at once, every 10 seconds at most. Keys stay while it cannot be reached.",
        |j| plain(&mut j.jwks_refresh_secs, 1, 86_400)
    ),
    opt!("jwks_ca", "CAs (PEM) of the URL. Empty: those that the system trusts.", |j| text(
        &mut j.jwks_ca
    )),
    opt!(
        "issuer",
        "What the claim `iss` has to be. Empty: anything, which one table at most can say.",
        |j| text(&mut j.issuer)
    ),
    opt!(
        "audience",
        "One of these has to be in the claim `aud`. Without any, `aud` is not looked at.",
        |j| Box::new(Texts { slot: &mut j.audience, check: |_| Ok(()) })
    ),
    opt!(
        "algorithms",
        "Algorithms that are taken, like [\"ES256\"]. Without any: all that the keys are for.",
        |j| Box::new(Texts { slot: &mut j.algorithms, check: check_algorithm })
    ),
    opt!(
        "leeway_secs",
        "Seconds that the issuer's clock and this one may differ: so much longer a token is good.",
        |j| plain(&mut j.leeway_secs, 0, 3600)
    ),
    opt!(
        "expiry_required",
        "Refuse tokens that have no expiry time (`exp`): they would be good for ever.",
        |j| Box::new(&mut j.expiry_required)
    ),
    opt!(
        "user_claim",
        "The claim that is the user name. Empty: it is what the client says.",
        |j| text(&mut j.user_claim)
    ),
    opt!(
        "user_name_must_match",
        "Refuse a client that gives another user name in CONNECT than its token.",
        |j| Box::new(&mut j.user_name_must_match)
    ),
    opt!("client_id_claim", "The claim that the client id has to be. Empty: none.", |j| text(
        &mut j.client_id_claim
    )),
    opt!(
        "roles_claim",
        "The claim that names roles: a list, or a text with spaces. `a.b` is `b` in `a`.",
        |j| text(&mut j.roles_claim)
    ),
    opt!("acl_claim", "The claim that holds topic permissions.", |j| text(&mut j.acl_claim)),
    opt!(
        "method",
        "The Authentication Method by which MQTT 5 clients send tokens, and new ones while they \
         are connected. They may always come as the password.",
        |j| Box::new(Text {
            slot: &mut j.method,
            check: |text| match text {
                "" => Err("must not be empty".into()),
                "SCRAM-SHA-256" => Err("is the method of passwords: choose another".into()),
                _ if !is_clean(text) => Err("text without control characters expected".into()),
                _ => Ok(()),
            },
        })
    ),
];

fn check_algorithm(name: &str) -> Result<(), String> {
    if Algorithm::by_name(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = Algorithm::NAMES.iter().map(|(name, _)| *name).collect();
    Err(format!("each has to be one of {}", names.join(", ")))
}

/// Options of `[webhook]`.
pub(in crate::config) const WEBHOOK: &[Opt<WebhookDraft>] = &[
    opt!(
        "url",
        "Where the service is. It is asked by POST about each client, in JSON, and answers \
         {\"result\": \"allow\"}, \"deny\" or \"ignore\".",
        |w| text(&mut w.url)
    ),
    opt!("ca", "CAs (PEM) of the URL. Empty: those that the system trusts.", |w| text(&mut w.ca)),
    opt!(
        "bearer",
        "A file with the token that the service wants to see (Authorization: Bearer). Empty: none.",
        |w| text(&mut w.bearer)
    ),
    opt!("timeout_millis", "Milliseconds that an answer may take.", |w| plain(
        &mut w.timeout_millis,
        1,
        60_000
    )),
    opt!("in_flight_max", "Questions on their way at a time; more wait.", |w| plain(
        &mut w.in_flight_max,
        1,
        4096
    )),
    opt!(
        "failures_max",
        "Failures in a row after which the service is not asked for `retry_secs`.",
        |w| plain(&mut w.failures_max, 1, U16)
    ),
    opt!("retry_secs", "Seconds until a service that failed is tried again.", |w| plain(
        &mut w.retry_secs,
        1,
        3600
    )),
    opt!(
        "cache_allow_secs",
        "Seconds for which the service is not asked again about a client that it let in, if all \
         that it would be told is the same. 0: it always is.",
        |w| plain(&mut w.cache_allow_secs, 0, 86_400)
    ),
    opt!("cache_deny_secs", "The same for a client that it refused.", |w| plain(
        &mut w.cache_deny_secs,
        0,
        86_400
    )),
    opt!(
        "fail",
        "What holds while it fails: \"closed\" (nobody gets in by it), \"open\" (everybody does), \
         or \"ignore\" (the next authenticator is asked).",
        |w| Box::new(Choice {
            slot: &mut w.fail,
            words: &[
                ("closed", WebhookFailure::Closed),
                ("open", WebhookFailure::Open),
                ("ignore", WebhookFailure::Ignore),
            ],
        })
    ),
    opt!(
        "permissions",
        "Whether the service is also asked what clients may do whom others let in.",
        |w| Box::new(&mut w.permissions)
    ),
    opt!(
        "permissions_secs",
        "Seconds until it is asked again what a connected client may do. 0: it is not.",
        |w| plain(&mut w.permissions_secs, 0, 86_400)
    ),
];

/// Options of `[dynamic_security]`.
pub(in crate::config) const DYNSEC: &[Opt<DynsecDraft>] = &[
    opt!(
        "file",
        "A file (JSON) of clients, groups and roles, as mosquitto's dynamic security plugin has \
         it. Messages to $CONTROL/dynamic-security/v1 change it. If it is not there, it is made, \
         and FILE.pw holds the first passwords.",
        |d| text(&mut d.file)
    ),
    opt!(
        "password_init_file",
        "A file whose first line is the password of `admin` when `file` is made. Empty: \
         $MOSQUITTO_DYNSEC_PASSWORD, else one by chance.",
        |d| text(&mut d.password_init_file)
    ),
];

/// Options of `[[users]]`.
pub(in crate::config) const USER: &[Opt<UserDraft>] = &[
    opt!("name", "User name.", |u| Box::new(Text {
        slot: &mut u.name,
        check: |name| match name {
            "" => Err("must not be empty".into()),
            _ => Ok(()),
        },
    })),
    opt!(
        "verifier",
        "What its password is checked against, as printed by `noctule passwd NAME`. Serves user \
         name and password as well as SCRAM-SHA-256.",
        |u| Box::new(Text {
            slot: &mut u.verifier,
            check: |text| match text.parse::<crate::auth::Secret>() {
                Ok(_) => Ok(()),
                // What files may hold besides is not what is written here as a rule.
                Err(_) => Err("a verifier expected, as `noctule passwd NAME` prints it".into()),
            },
        })
    ),
];
