//! Every token that is no good, with its exact answer; and every algorithm, by tokens that
//! OpenSSL signed (`fixtures`; the private keys are gone).

use super::key_set::{KeySet, Secrets};
use super::*;
use crate::config::{AuthenticatorKind, Config};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use std::path::PathBuf;

const KEYS: &str = include_str!("fixtures/keys.pem");
const TOKENS: &str = include_str!("fixtures/tokens.txt");

const SECRET: &[u8] = b"a secret of thirty-two bytes ...";

/// In milliseconds.
const NOW: u64 = 1_800_000_000_000;

/// Files that are gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("noctule-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn coded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token signed with the secret, whatever stands in it.
fn signed_text(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", coded(header), coded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", coded(signature))
}

fn signed(claims: &Value) -> String {
    signed_text(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), SECRET)
}

/// Claims that are good, with these among them; a null takes one away.
fn claims(others: &Value) -> Value {
    let mut claims = json!({
        "iss": "joe", "aud": ["other", "mqtt"], "sub": "ann", "exp": NOW / 1000 + 60,
        "roles": "reader writer",
    });
    let map = claims.as_object_mut().unwrap();
    for (name, value) in others.as_object().unwrap() {
        map.insert(name.clone(), value.clone());
    }
    map.retain(|_, value| !value.is_null());
    claims
}

fn asked() -> Asked {
    Asked { client_id: "dev".into(), user_name: Some("ann".into()) }
}

/// Tokens of the tables of a configuration.
fn tokens(tables: &str) -> Tokens {
    let config = Config::parse("f", tables).unwrap();
    Tokens::load(&config.jwt, None).unwrap()
}

fn error(tokens: &Tokens, token: &str) -> Option<TokenError> {
    match tokens.judge(token.as_bytes(), &asked(), NOW) {
        Judged::Good(_) => None,
        Judged::Bad(error) | Judged::LacksKey(_, error) => Some(error),
    }
}

fn identity(tokens: &Tokens, token: &str) -> Identity {
    match tokens.judge(token.as_bytes(), &asked(), NOW) {
        Judged::Good(identity) => identity,
        Judged::Bad(error) | Judged::LacksKey(_, error) => panic!("{error:?}"),
    }
}

/// Tokens that need all that can be asked for.
fn strict(name: &str) -> (Folder, Tokens) {
    let folder = Folder::new(name);
    let secret = folder.file("secret", SECRET);
    let tables = format!(
        "[[jwt]]\nissuer = \"joe\"\naudience = \"mqtt\"\nsecret = {secret:?}\n\
         client_id_claim = \"cid\"\nuser_name_must_match = true\nleeway_secs = 30\n"
    );
    let tokens = tokens(&tables);
    (folder, tokens)
}

/// Signed claims that are good there, with these among them.
fn with(others: Value) -> String {
    let mut claims = claims(&others);
    claims["cid"] = others.get("cid").cloned().unwrap_or("dev".into());
    signed(&claims)
}

#[test]
fn each_bad_claim_gets_its_exact_answer() {
    use TokenError as E;
    let (_folder, tokens) = strict("bad-claims");
    assert_eq!(error(&tokens, &with(json!({}))), None);
    let secs = NOW / 1000;
    for (what, token, expected) in [
        ("expired", with(json!({"exp": secs - 31})), E::Expired),
        ("expired just now", with(json!({"exp": secs - 30})), E::Expired),
        ("expired long ago", with(json!({"exp": 0})), E::Expired),
        ("without expiry", with(json!({"exp": null})), E::NoExpiry),
        ("expiry as text", with(json!({"exp": "2100"})), E::BadClaim),
        ("expiry before 1970", with(json!({"exp": -1})), E::BadClaim),
        ("expiry out of bounds", with(json!({"exp": 1e300})), E::BadClaim),
        ("not yet valid", with(json!({"nbf": secs + 31})), E::NotYetValid),
        ("another audience", with(json!({"aud": "other"})), E::OtherAudience),
        ("several other audiences", with(json!({"aud": ["a", "b"]})), E::OtherAudience),
        ("no audience", with(json!({"aud": null})), E::OtherAudience),
        ("audience of another kind", with(json!({"aud": {"mqtt": 1}})), E::OtherAudience),
        ("another issuer", with(json!({"iss": "jim"})), E::UnknownIssuer),
        ("no issuer", with(json!({"iss": null})), E::UnknownIssuer),
        ("issuer of another kind", with(json!({"iss": ["joe"]})), E::UnknownIssuer),
        ("another user", with(json!({"sub": "bob"})), E::OtherUser),
        ("no user", with(json!({"sub": null})), E::BadClaim),
        ("an empty user", with(json!({"sub": ""})), E::BadClaim),
        ("a user with a line feed", with(json!({"sub": "ann\nroot"})), E::BadClaim),
        ("user of another kind", with(json!({"sub": 7})), E::BadClaim),
        ("another client", with(json!({"cid": "dev2"})), E::OtherClient),
        ("client of another kind", with(json!({"cid": 7})), E::BadClaim),
        ("roles of another kind", with(json!({"roles": {"a": 1}})), E::BadClaim),
        ("permissions of another kind", with(json!({"acl": "a/#"})), E::BadPermissions),
    ] {
        assert_eq!(error(&tokens, &token), Some(expected), "{what}");
    }
    for (what, others) in [
        ("expired within the leeway", json!({"exp": secs - 29})),
        ("valid soon, within the leeway", json!({"nbf": secs + 30})),
        ("fractions", json!({"exp": (secs as f64) + 0.5})),
        ("one audience", json!({"aud": "mqtt"})),
        ("roles as a list", json!({"roles": ["a"]})),
        ("no roles", json!({"roles": null})),
    ] {
        assert_eq!(error(&tokens, &with(others)), None, "{what}");
    }
}

#[test]
fn each_token_of_a_bad_form_gets_its_exact_answer() {
    use TokenError as E;
    let (_folder, tokens) = strict("bad-forms");
    let good = with(json!({}));
    let header =
        |text: &str| signed_text(text, &claims(&json!({"cid": "dev"})).to_string(), SECRET);
    let text = |text: &str| signed_text(r#"{"alg":"HS256"}"#, text, SECRET);
    let (head, _) = good.rsplit_once('.').unwrap();
    let (first, rest) = good.split_once('.').unwrap();
    let deep = format!("{{\"iss\":\"joe\",\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
    for (what, token, expected) in [
        ("alg none", format!("{}.{rest}", coded(r#"{"alg":"none"}"#)), E::UnknownAlgorithm),
        ("alg none, unsigned", header(r#"{"alg":"none"}"#), E::UnknownAlgorithm),
        ("alg nOnE", header(r#"{"alg":"nOnE"}"#), E::UnknownAlgorithm),
        ("alg in small letters", header(r#"{"alg":"hs256"}"#), E::UnknownAlgorithm),
        ("alg of another kind", header(r#"{"alg":1}"#), E::Malformed),
        ("no alg", header(r#"{"typ":"JWT"}"#), E::Malformed),
        ("alg twice", header(r#"{"alg":"none","alg":"HS256"}"#), E::Malformed),
        ("too weak a secret", header(r#"{"alg":"HS512"}"#), E::OtherAlgorithm),
        ("public key asked for", header(r#"{"alg":"RS256"}"#), E::OtherAlgorithm),
        ("critical extension", header(r#"{"alg":"HS256","crit":["exp"]}"#), E::Critical),
        ("key of another kind", header(r#"{"alg":"HS256","kid":1}"#), E::Malformed),
        (
            "another secret",
            signed_text(r#"{"alg":"HS256"}"#, &claims(&json!({})).to_string(), b"x"),
            E::BadSignature,
        ),
        ("no signature", format!("{head}."), E::BadSignature),
        ("signature cut", good[..good.len() - 3].into(), E::BadSignature),
        ("two parts", head.into(), E::Malformed),
        ("four parts", format!("{good}.x"), E::Malformed),
        ("five parts, encrypted", "eyJ9.a.b.c.d".into(), E::Malformed),
        ("empty", String::new(), E::Malformed),
        ("dots", "..".into(), E::Malformed),
        ("header cut", format!("{}.{rest}", &first[..first.len() - 2]), E::Malformed),
        ("claims changed", format!("{first}.{}", rest.replacen('J', "K", 1)), E::Malformed),
        ("padded", format!("{good}="), E::Malformed),
        ("plain base64", good.replacen('e', "+", 1), E::Malformed),
        ("line feed", format!("{good}\n"), E::Malformed),
        ("bits after the end", format!("{}.{rest}", &coded("{}")[..2]), E::Malformed),
        ("claims twice", text(r#"{"iss":"joe","sub":"ann","sub":"root"}"#), E::Malformed),
        ("claims that are no object", text(r#"["joe"]"#), E::Malformed),
        ("claims that are no JSON", text("{\"iss\":"), E::Malformed),
        ("claims too deep", text(&deep), E::Malformed),
        ("huge", with(json!({"x": "x".repeat(20_000)})), E::TooLong),
        ("huge and none", "e".repeat(65_535), E::TooLong),
    ] {
        assert_eq!(error(&tokens, &token), Some(expected), "{what}");
    }
}

#[test]
fn a_token_cannot_make_a_secret_of_a_public_key() {
    let folder = Folder::new("confusion");
    let pem = folder.file("keys.pem", KEYS.as_bytes());
    let tokens = tokens(&format!("[jwt]\npublic_key = {pem:?}\n"));
    let claims = claims(&json!({})).to_string();
    // What a verifier that heeds the token alone would take the key for: its file, or its bytes.
    for secret in [KEYS.as_bytes(), KEYS.trim_end().as_bytes()] {
        for alg in ["HS256", "HS384", "HS512"] {
            let token = signed_text(&format!("{{\"alg\":{alg:?}}}"), &claims, secret);
            assert_eq!(error(&tokens, &token), Some(TokenError::OtherAlgorithm), "{alg}");
        }
    }
    // Nor does one kind of public key pass for another.
    let rsa_only = KEYS.split_inclusive("-----END PUBLIC KEY-----\n").next().unwrap();
    let pem = folder.file("rsa.pem", rsa_only.as_bytes());
    let rsa = self::tokens(&format!("[jwt]\npublic_key = {pem:?}\nalgorithms = \"PS256\"\n"));
    for (token, expected) in TOKENS.lines().zip([
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
        None,
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
        Some(TokenError::OtherAlgorithm),
    ]) {
        assert_eq!(error(&rsa, token), expected, "{token}");
    }
}

#[test]
fn what_openssl_signs_is_good_by_every_algorithm_and_no_bit_of_it_may_change() {
    let folder = Folder::new("openssl");
    let pem = folder.file("keys.pem", KEYS.as_bytes());
    let tokens = tokens(&format!("[jwt]\npublic_key = {pem:?}\n"));
    assert_eq!(TOKENS.lines().count(), 9);
    for token in TOKENS.lines() {
        let found = identity(&tokens, token);
        assert_eq!(found.user_name.as_deref(), Some("ann"));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            let changed = format!("{signed}.{}", coded(&bytes));
            assert_eq!(error(&tokens, &changed), Some(TokenError::BadSignature), "{token}");
            bytes[at] ^= 1;
        }
        let (head, claims) = signed.split_once('.').unwrap();
        let root = coded(r#"{"sub":"root","exp":4102444800}"#);
        assert_ne!(claims, root);
        let other = format!("{head}.{root}.{signature}");
        assert_eq!(error(&tokens, &other), Some(TokenError::BadSignature), "{token}");
    }
}

#[test]
fn a_token_says_who_its_bearer_is_and_what_it_may_do() {
    let folder = Folder::new("claims");
    let secret = folder.file("secret", SECRET);
    let own = "user_claim = \"preferred_username\"\nroles_claim = \"realm_access.roles\"\n\
               acl_claim = \"https://example.com/acl\"\n";
    let own = tokens(&format!("[jwt]\nsecret = {secret:?}\n{own}"));
    let token = signed(&claims(&json!({
        "preferred_username": "Ann",
        "realm_access": {"roles": ["a", "b"]},
        "https://example.com/acl": {"publish": "%u/%c"},
    })));
    let found = identity(&own, &token);
    assert_eq!(found.user_name.as_deref(), Some("Ann"));
    assert_eq!(found.roles.iter().map(|it| &**it).collect::<Vec<_>>(), ["a", "b"]);
    let permissions = found.permissions.unwrap();
    assert_eq!(permissions.iter().map(|it| it.filter.as_str()).collect::<Vec<_>>(), ["Ann/dev"]);
    // The connection lasts as long as the token would be taken.
    assert_eq!(found.expires_millis, Some(NOW + 60_000 + 30_000));
    let open = "user_claim = \"\"\nexpiry_required = false\n";
    let open = tokens(&format!("[jwt]\nsecret = {secret:?}\n{open}"));
    let found = identity(&open, &signed(&claims(&json!({"exp": null, "sub": "bob"}))));
    assert_eq!((found.user_name.as_deref(), found.expires_millis), (Some("ann"), None));
    assert!(found.permissions.is_none(), "nothing was said of permissions");
}

#[test]
fn the_table_of_an_issuer_has_its_keys_and_no_others() {
    let folder = Folder::new("issuers");
    let (a, b) = (folder.file("a", SECRET), folder.file("b", &[b'b'; 32]));
    let both =
        tokens(&format!("[[jwt]]\nissuer = \"a\"\nsecret = {a:?}\n[[jwt]]\nsecret = {b:?}\n"));
    let token = |iss: Value, secret: &[u8]| {
        signed_text(r#"{"alg":"HS256"}"#, &claims(&json!({"iss": iss})).to_string(), secret)
    };
    for (iss, secret, expected) in [
        (json!("a"), SECRET, None),
        (json!("a"), &[b'b'; 32][..], Some(TokenError::BadSignature)),
        (json!("c"), &[b'b'; 32], None),
        (json!("c"), SECRET, Some(TokenError::BadSignature)),
        (json!(null), &[b'b'; 32], None),
    ] {
        assert_eq!(error(&both, &token(iss.clone(), secret)), expected, "{iss}");
    }
    assert!(both.knows("a") && both.knows("") && !both.knows("c"));
}

/// A key pair with a name, and what a key set says of it.
struct Signer {
    name: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(name: &'static str) -> Signer {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pkcs8 = pkcs8.unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Signer { name, pair: pair.unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (coded(&point[1..33]), coded(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.name, "use": "sig"})
    }

    fn sign(&self, name: Option<&str>) -> String {
        let header = json!({"alg": "ES256", "kid": name});
        let mut header = header.as_object().unwrap().clone();
        header.retain(|_, value| !value.is_null());
        let claims = claims(&json!({})).to_string();
        let signed = format!("{}.{}", coded(Value::Object(header).to_string()), coded(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", coded(signature))
    }
}

fn set(keys: &[Value]) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

#[test]
fn a_key_set_is_asked_by_name_and_read_again_when_its_file_changes() {
    let folder = Folder::new("sets");
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let encryption = json!({"kty": "RSA", "use": "enc", "n": "x", "e": "x"});
    let path = folder.file("jwks.json", &set(&[old.jwk(), encryption]));
    let tokens = tokens(&format!("[jwt]\njwks = {path:?}\n"));
    let answers = || {
        [
            error(&tokens, &old.sign(Some("old"))),
            error(&tokens, &new.sign(Some("new"))),
            error(&tokens, &new.sign(Some("old"))),
            error(&tokens, &old.sign(None)),
        ]
    };
    let (unknown, wrong) = (Some(TokenError::UnknownKey), Some(TokenError::BadSignature));
    assert_eq!(answers(), [None, unknown, wrong, None]);
    folder.file("jwks.json", &set(&[new.jwk()]));
    tokens.refresh();
    assert_eq!(answers(), [unknown, None, unknown, wrong]);
    // What is of no use changes nothing.
    folder.file("jwks.json", b"{\"keys\": []}");
    tokens.refresh();
    assert_eq!(answers(), [unknown, None, unknown, wrong]);
    std::fs::remove_file(&path).unwrap();
    tokens.refresh();
    assert_eq!(answers(), [unknown, None, unknown, wrong]);
    folder.file("jwks.json", &set(&[new.jwk(), old.jwk()]));
    tokens.refresh();
    assert_eq!(answers(), [None, None, wrong, None]);
}

#[test]
fn key_sets_that_are_of_no_use_say_why() {
    let key = Signer::new("k").jwk();
    let mut cut = key.clone();
    cut["x"] = "AAAA".into();
    let mut other_use = key.clone();
    other_use["key_ops"] = json!(["sign"]);
    let mut other_algorithm = key.clone();
    other_algorithm["alg"] = "RS256".into();
    let oct = json!({"kty": "oct", "k": coded(SECRET)});
    let nothing = "it has no key for signatures that is of use here";
    for (bytes, why) in [
        (b"[]".to_vec(), "it is no JSON object, or names something twice"),
        (b"{}".to_vec(), "it has no array `keys`: it is no key set (RFC 7517)"),
        (set(&[]), nothing),
        (set(&[json!({"kty": "EC", "crv": "P-521"}), other_use, other_algorithm]), nothing),
        (set(&[json!(1)]), "key 0 is no object"),
        (set(&[cut]), "key 0: its point is not an uncompressed one of its curve"),
        (
            set(&[json!({"kty": "RSA", "n": coded([1]), "e": "AQAB"})]),
            "key 0: its RSA key has less than 2048 bits, or more than 8192",
        ),
        (
            set(&[json!({"kty": "RSA", "e": "AQAB"})]),
            "key 0: one of its parts is missing or not base64url",
        ),
        (set(&[key.clone(), key]), "key 1 has the name of another"),
        (set(&vec![json!({}); 65]), "it has more than 64 keys"),
        (set(std::slice::from_ref(&oct)), nothing),
    ] {
        let found = KeySet::of_jwks(&bytes, Secrets::Refused).map(drop);
        assert_eq!(found, Err(why.to_owned()), "{}", String::from_utf8_lossy(&bytes));
    }
    assert!(KeySet::of_jwks(&set(&[oct]), Secrets::Allowed).is_ok());
}

#[test]
fn files_that_are_of_no_use_say_why() {
    let short = "its secret is too short: HS256 needs 32 bytes, HS384 48, HS512 64";
    for (bytes, why) in [
        (&b"short"[..], short),
        (&[b"base64:c2hvcnQ="[..].to_vec(), vec![b'\n']].concat(), short),
        (b"base64:!", "what follows `base64:` is not base64"),
    ] {
        assert_eq!(KeySet::of_secret(bytes).map(drop), Err(why.to_owned()));
    }
    let none = "there is no public key in it (PEM: BEGIN PUBLIC KEY, or a certificate)";
    assert_eq!(KeySet::of_pem(b"text").map(drop), Err(none.to_owned()));
    let five = KEYS.repeat(2);
    let many = "it has more than 4 keys; a JWKS gives each a name";
    assert_eq!(KeySet::of_pem(five.as_bytes()).map(drop), Err(many.to_owned()));
    let certificate = rcgen::generate_simple_self_signed(["a".into()]).unwrap().cert.pem();
    assert!(KeySet::of_pem(certificate.as_bytes()).is_ok());
    let config = Config::parse("f", "[jwt]\nsecret = \"/nowhere/at/all\"").unwrap();
    let error = Tokens::load(&config.jwt, None).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/at/all: "), "{error}");
    assert_eq!(config.authenticators, AuthenticatorKind::all());
}

#[test]
fn a_reload_with_one_bad_file_changes_nothing_and_keeps_what_others_have() {
    let folder = Folder::new("reload");
    let secret = folder.file("secret", SECRET);
    let table = format!("[jwt]\nsecret = {secret:?}\n");
    let before = tokens(&table);
    folder.file("secret", b"short");
    let config = Config::parse("f", &table).unwrap();
    assert!(Tokens::load(&config.jwt, Some(&before)).is_err());
    assert_eq!(error(&before, &signed(&claims(&json!({})))), None);
    folder.file("secret", &[b'n'; 40]);
    let after = Tokens::load(&config.jwt, Some(&before)).unwrap();
    assert_eq!(error(&after, &signed(&claims(&json!({})))), Some(TokenError::BadSignature));
}

/// Bytes by a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    /// The same bytes, but for a few that are others, gone or twice there.
    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => drop(bytes.drain(at..bytes.len().min(at + 9))),
                _ => {
                    let again = bytes[at..bytes.len().min(at + 9)].to_vec();
                    drop(bytes.splice(at..at, again));
                }
            }
        }
        bytes
    }
}

#[test]
fn spoiled_tokens_and_keys_are_refused_or_mean_what_they_say_and_never_more() {
    let (_folder, tokens) = strict("spoiled");
    let good = with(json!({"acl": {"publish": ["a/%c/#"], "deny": ["b"]}}));
    let (header, body) = (r#"{"alg":"HS256","typ":"JWT"}"#, claims(&json!({"cid": "dev"})));
    let body = body.to_string();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut let_in = 0;
    for _ in 0..20_000 {
        // Whoever has no key cannot change a bit of it.
        let spoiled = dice.spoil(good.as_bytes());
        if spoiled != good.as_bytes() {
            let judged = tokens.judge(&spoiled, &asked(), NOW);
            assert!(!matches!(judged, Judged::Good(_)), "{:?}", String::from_utf8_lossy(&spoiled));
        }
        // Whoever has one may write what he likes, and is nobody else by it.
        let (header, body) = (dice.spoil(header.as_bytes()), dice.spoil(body.as_bytes()));
        let (header, body) = (String::from_utf8_lossy(&header), String::from_utf8_lossy(&body));
        let token = signed_text(&header, &body, SECRET);
        if let Judged::Good(identity) = tokens.judge(token.as_bytes(), &asked(), NOW) {
            let_in += 1;
            assert_eq!(identity.user_name.as_deref(), Some("ann"), "{body}");
        }
    }
    assert!((1..20_000).contains(&let_in), "some spoil what does not matter: {let_in}");
    let set = set(&[Signer::new("k").jwk()]);
    for _ in 0..5000 {
        // An answer or a reason, and no panic.
        let _ = KeySet::of_jwks(&dice.spoil(&set), Secrets::Refused);
        let _ = KeySet::of_pem(&dice.spoil(KEYS.as_bytes()));
    }
}
