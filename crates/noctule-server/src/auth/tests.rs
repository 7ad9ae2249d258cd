//! Authentication as a shard sees it, with a client's side of SCRAM written for the purpose.

use super::token::Tokens;
use super::trust::Chain;
use super::*;
use crate::shard::Command;
use crate::shard::tests_only::mailbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CONN: ConnId = ConnId(7);

struct Fixture {
    auth: Authenticator,
    pool: PasswordPool,
    tokens: TokenPool,
    inbox: std::sync::mpsc::Receiver<Command>,
}

fn fixture(users: &[(&str, &str)]) -> Fixture {
    let mut list = Users::default();
    for (name, password) in users {
        assert!(
            list.insert((*name).into(), Verifier::from_password(password, 4096, b"salty salt"))
        );
    }
    believing(Trust { otherwise: all_asked(list), ..Trust::default() })
}

fn believing(trust: Trust) -> Fixture {
    let (pool, tokens) = (PasswordPool::start(1).unwrap(), TokenPool::start(1).unwrap());
    let (mailbox, inbox) = mailbox();
    let checks = Checks {
        passwords: pool.asker(mailbox.clone()),
        tokens: tokens.asker(mailbox.clone()),
        headcount: Headcount::default(),
        answers: mailbox,
    };
    let auth = Authenticator::new(Arc::new(trust), checks, Clock::start()).unwrap();
    Fixture { auth, pool, tokens, inbox }
}

fn all_asked(users: Users) -> Arc<Chain> {
    Arc::new(Chain { order: AuthenticatorKind::all(), users, ..Chain::default() })
}

/// Others than before may log in with passwords.
fn with_users(users: Users) -> Arc<Trust> {
    Arc::new(Trust { otherwise: all_asked(users), ..Trust::default() })
}

impl Fixture {
    fn plain(&mut self, anonymous: bool, name: Option<&str>, password: Option<&str>) -> AuthAnswer {
        self.plain_at(Shown { anonymous, ..Shown::default() }, name, password)
    }

    fn plain_at(&mut self, shown: Shown, name: Option<&str>, password: Option<&str>) -> AuthAnswer {
        let request = AuthRequest::Connect {
            client_id: "c".into(),
            user_name: name.map(Into::into),
            password: password.map(|it| it.as_bytes().into()),
            method: None,
            data: None,
        };
        if let Some(answer) = self.auth.step(CONN, shown, request) {
            return answer;
        }
        let answer = match self.inbox.recv() {
            Ok(Command::PasswordChecked { conn, ticket, accepted }) => {
                self.auth.checked(conn, ticket, accepted)
            }
            Ok(Command::Identified { conn, ticket, verdict }) => {
                match self.auth.identified(conn, ticket, verdict) {
                    Some(Outcome::Answer(answer)) => Some(answer),
                    Some(Outcome::Changed(_) | Outcome::Lost(..)) | None => None,
                }
            }
            other => panic!("{other:?}"),
        };
        answer.expect("it is the answer that is waited for")
    }

    fn scram(&mut self, user_name: Option<&str>, method: &str, data: &str) -> AuthAnswer {
        let request = AuthRequest::Connect {
            client_id: "c".into(),
            user_name: user_name.map(Into::into),
            password: None,
            method: Some(method.into()),
            data: Some(data.as_bytes().into()),
        };
        self.auth
            .step(CONN, Shown::default(), request)
            .expect("enhanced authentication answers at once")
    }

    fn step(&mut self, data: &str) -> AuthAnswer {
        let request = AuthRequest::Step { data: Some(data.as_bytes().into()) };
        self.auth
            .step(CONN, Shown::default(), request)
            .expect("enhanced authentication answers at once")
    }

    fn again(&mut self, data: &str) -> AuthAnswer {
        let request = AuthRequest::Again {
            client_id: "c".into(),
            method: "SCRAM-SHA-256".into(),
            data: Some(data.as_bytes().into()),
        };
        self.auth
            .step(CONN, Shown::default(), request)
            .expect("enhanced authentication answers at once")
    }
}

fn reason(answer: &AuthAnswer) -> Option<ReasonCode> {
    match answer {
        AuthAnswer::Deny { reason, .. } => Some(*reason),
        AuthAnswer::Allow { .. } | AuthAnswer::Continue { .. } => None,
    }
}

/// The client's side, independent of `scram.rs` but for HMAC.
fn client_final(challenge: &AuthAnswer, first_bare: &str, password: &str) -> String {
    let AuthAnswer::Continue { data } = challenge else { panic!("{challenge:?}") };
    let server_first = std::str::from_utf8(data).unwrap();
    let mut parts = server_first.split(',').map(|part| &part[2..]);
    let (nonce, salt, rounds) =
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let mut salted = [0; 32];
    let salt = STANDARD.decode(salt).unwrap();
    let rounds = rounds.parse().unwrap();
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), &salt, rounds, &mut salted);
    let client_key = verifier::hmac(&salted, b"Client Key");
    let stored: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(client_key).into();
    let bare = format!("c=biws,r={nonce}");
    let signed = verifier::hmac(&stored, format!("{first_bare},{server_first},{bare}").as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signed).map(|(a, b)| a ^ b).collect();
    format!("{bare},p={}", STANDARD.encode(proof))
}

#[test]
fn the_listener_decides_about_clients_without_a_name() {
    let mut it = fixture(&[("a", "x")]);
    assert_eq!(reason(&it.plain(true, None, None)), None);
    assert_eq!(reason(&it.plain(false, None, None)), Some(ReasonCode::NotAuthorized));
    assert_eq!(reason(&it.plain(true, None, Some("x"))), Some(ReasonCode::BadUserNameOrPassword));
}

#[test]
fn without_users_an_open_listener_takes_any_name_and_a_closed_one_none() {
    let mut it = fixture(&[]);
    assert_eq!(reason(&it.plain(true, Some("anyone"), Some("x"))), None);
    let closed = it.plain(false, Some("anyone"), Some("x"));
    assert_eq!(reason(&closed), Some(ReasonCode::BadUserNameOrPassword));
}

#[test]
fn passwords_are_checked_on_open_listeners_too() {
    let mut it = fixture(&[("a", "right")]);
    assert_eq!(reason(&it.plain(true, Some("a"), Some("right"))), None);
    for (name, password) in [("a", Some("wrong")), ("a", None), ("b", Some("right")), ("", None)] {
        let answer = it.plain(true, Some(name), password);
        assert_eq!(reason(&answer), Some(ReasonCode::BadUserNameOrPassword), "{name}");
    }
}

#[test]
fn an_answer_for_an_earlier_connection_is_dropped() {
    let mut it = fixture(&[("a", "x")]);
    it.auth
        .running
        .insert(CONN, Running::Password { ticket: 5, by: Voucher::Own(ListenerId(0)), user: None });
    assert!(it.auth.checked(CONN, 4, true).is_none());
    assert!(it.auth.checked(ConnId(8), 5, true).is_none());
    it.auth.forget(CONN);
    assert!(it.auth.checked(CONN, 5, true).is_none());
}

#[test]
fn scram_lets_the_right_password_in_and_again() {
    let mut it = fixture(&[("a", "right")]);
    let challenge = it.scram(None, "SCRAM-SHA-256", "n,,n=a,r=abc");
    let proof = client_final(&challenge, "n=a,r=abc", "right");
    let AuthAnswer::Allow { data: Some(data), .. } = it.step(&proof) else { panic!("refused") };
    assert!(data.starts_with(b"v="));
    let challenge = it.again("n,,n=a,r=def");
    let proof = client_final(&challenge, "n=a,r=def", "right");
    assert!(matches!(it.step(&proof), AuthAnswer::Allow { .. }));
    assert_eq!(reason(&it.again("n,,n=b,r=def")), Some(ReasonCode::NotAuthorized));
}

#[test]
fn scram_keeps_everybody_else_out() {
    let mut it = fixture(&[("a", "right")]);
    for (name, password) in [("a", "wrong"), ("stranger", "right")] {
        let bare = format!("n={name},r=abc");
        let challenge = it.scram(None, "SCRAM-SHA-256", &format!("n,,{bare}"));
        let proof = client_final(&challenge, &bare, password);
        assert_eq!(reason(&it.step(&proof)), Some(ReasonCode::NotAuthorized), "{name}");
        let second = it.step(&proof);
        assert_eq!(reason(&second), Some(ReasonCode::NotAuthorized), "an exchange ends once");
    }
    let other = it.scram(Some("b"), "SCRAM-SHA-256", "n,,n=a,r=abc");
    assert_eq!(reason(&other), Some(ReasonCode::NotAuthorized));
    let method = it.scram(None, "SCRAM-SHA-1", "n,,n=a,r=abc");
    assert_eq!(reason(&method), Some(ReasonCode::BadAuthenticationMethod));
}

#[test]
fn an_unknown_user_is_challenged_like_a_known_one() {
    let mut it = fixture(&[("a", "right")]);
    let salt = |answer: AuthAnswer| {
        let AuthAnswer::Continue { data } = answer else { panic!("{answer:?}") };
        let text = String::from_utf8(data.to_vec()).unwrap();
        text.split(',').nth(1).unwrap().to_owned()
    };
    let first = salt(it.scram(None, "SCRAM-SHA-256", "n,,n=stranger,r=abc"));
    let second = salt(it.scram(None, "SCRAM-SHA-256", "n,,n=stranger,r=def"));
    assert_eq!(first, second);
}

#[test]
fn the_threads_end_with_the_last_asker() {
    let it = fixture(&[]);
    drop(it.auth);
    it.pool.join(std::time::Instant::now() + std::time::Duration::from_secs(20));
    it.tokens.join();
}

#[test]
fn a_reload_names_who_is_logged_in_as_a_user_that_is_gone_or_changed() {
    let mut it = fixture(&["stays", "goes", "changes"].map(|name| (name, name)));
    for (conn, name) in (0..).zip(["stays", "goes", "changes"]) {
        let request = AuthRequest::Connect {
            client_id: "c".into(),
            user_name: Some(name.into()),
            password: Some(name.as_bytes().into()),
            method: None,
            data: None,
        };
        assert!(it.auth.step(ConnId(conn), Shown::default(), request).is_none());
        let Ok(Command::PasswordChecked { conn, ticket, accepted }) = it.inbox.recv() else {
            panic!("the pool answers")
        };
        assert!(matches!(it.auth.checked(conn, ticket, accepted), Some(AuthAnswer::Allow { .. })));
    }
    // The same user, still proving who it is.
    let _ = it.scram(None, "SCRAM-SHA-256", "n,,n=goes,r=abc");
    let mut users = Users::default();
    let verifier = |password| Verifier::from_password(password, 4096, b"salty salt");
    assert!(users.insert("stays".into(), verifier("stays")));
    assert!(users.insert("changes".into(), verifier("other")));
    assert_eq!(it.auth.reconfigure(with_users(users)), [ConnId(1), ConnId(2), CONN]);
}

#[test]
fn a_password_that_was_right_a_moment_ago_waits_for_nobody() {
    let mut it = fixture(&[("ann", "right")]);
    assert_eq!(reason(&it.plain(false, Some("ann"), Some("right"))), None);
    let mut again = |password: &str| {
        let request = AuthRequest::Connect {
            client_id: "c".into(),
            user_name: Some("ann".into()),
            password: Some(password.as_bytes().into()),
            method: None,
            data: None,
        };
        it.auth.step(CONN, Shown::default(), request)
    };
    assert!(again("wrong").is_none(), "it has to be checked");
    assert!(matches!(again("right"), Some(AuthAnswer::Allow { .. })));
}

#[test]
fn a_certificate_that_gives_a_name_is_proof_enough_and_one_that_gives_none_is_not() {
    let mut it = fixture(&[("ann", "secret")]);
    let mut connect = |user_name: Option<&str>, password: Option<&str>| {
        let user_name = Some(user_name.map(Into::into));
        let shown = Shown { anonymous: true, user_name, ..Shown::default() };
        let request = AuthRequest::Connect {
            client_id: "c".into(),
            user_name: Some("bob".into()),
            password: password.map(|it| it.as_bytes().into()),
            method: None,
            data: None,
        };
        it.auth.step(CONN, shown, request).expect("no password is checked")
    };
    assert_eq!(reason(&connect(Some("meter-7"), Some("wrong"))), None);
    assert_eq!(reason(&connect(None, Some("secret"))), Some(ReasonCode::BadUserNameOrPassword));
}

#[test]
fn a_user_whose_hash_is_not_for_scram_is_challenged_and_not_let_in() {
    let mut it = fixture(&[]);
    let mut users = Users::default();
    assert!(users.insert("ann".into(), HashKind::Sha512.hash(b"right").unwrap()));
    it.auth.reconfigure(with_users(users));
    let challenge = it.scram(None, "SCRAM-SHA-256", "n,,n=ann,r=abc");
    let proof = client_final(&challenge, "n=ann,r=abc", "right");
    assert_eq!(reason(&it.step(&proof)), Some(ReasonCode::NotAuthorized));
}

#[test]
fn each_authenticator_has_its_turn_and_leaves_alone_what_is_not_its_own() {
    use AuthenticatorKind::{Jwt, Password, Webhook};
    let path = std::env::temp_dir().join(format!("noctule-chain-{}", std::process::id()));
    std::fs::write(&path, [7; 32]).unwrap();
    let config = crate::config::Config::parse("f", &format!("[jwt]\nsecret = {path:?}\n"));
    let tokens = Arc::new(Tokens::load(&config.unwrap().jwt, None).unwrap());
    std::fs::remove_file(&path).unwrap();
    let mut users = Users::default();
    let verifier = |password| Verifier::from_password(password, 4096, b"salty salt");
    assert!(users.insert("ann".into(), verifier("right")));
    assert!(users.insert("bob".into(), verifier("eyJhbGciOiJIUzI1NiJ9.e30.x")));
    let trust = |order: &[AuthenticatorKind]| {
        let (users, tokens) = (users.clone(), Arc::clone(&tokens));
        let otherwise = Arc::new(Chain { order: order.to_vec(), users, ..Chain::default() });
        Trust { otherwise, tokens, ..Trust::default() }
    };
    let why = |answer: AuthAnswer| match answer {
        AuthAnswer::Deny { why, .. } => why.into_string(),
        AuthAnswer::Allow { .. } => "let in".into(),
        AuthAnswer::Continue { .. } => "asked for more".into(),
    };
    let (token, wrong) = ("eyJhbGciOiJIUzI1NiJ9.e30.x", "bad user name or password");
    let malformed = "the token is malformed";
    for (order, name, password, expected) in [
        (&[Jwt, Password][..], Some("ann"), Some("right"), "let in"),
        (&[Jwt, Password], Some("ann"), Some(token), malformed),
        (&[Jwt, Password], Some("bob"), Some(token), malformed),
        (&[Jwt, Password], Some("eve"), Some("x"), wrong),
        (&[Jwt, Password], None, Some(token), malformed),
        (&[Jwt, Password], None, None, "let in"),
        (&[Password, Jwt], Some("bob"), Some(token), "let in"),
        (&[Password, Jwt], Some("ann"), Some(token), wrong),
        (&[Password, Jwt], Some("eve"), Some(token), malformed),
        (&[Jwt, Webhook], Some("ann"), Some("right"), wrong),
        (&[Password], Some("eve"), Some(token), wrong),
        (&[], Some("ann"), Some("right"), wrong),
        (&[], None, None, "let in"),
    ] {
        let mut it = believing(trust(order));
        let said = why(it.plain(true, name, password));
        assert_eq!(said, expected, "{order:?} {name:?} {password:?}");
    }
    let methods = |order: &[AuthenticatorKind]| why(believing(trust(order)).scram(None, "K5", ""));
    let both = "the authentication methods of this server are SCRAM-SHA-256, JWT";
    assert_eq!(methods(&[Jwt, Password]), both);
    assert_eq!(methods(&[Password]), "the authentication method of this server is SCRAM-SHA-256");
    assert_eq!(methods(&[Jwt]), "the authentication method of this server is JWT");
    assert_eq!(methods(&[]), "this server has no authentication method");
    assert_eq!(
        why(believing(trust(&[Jwt])).scram(None, "SCRAM-SHA-256", "n,,n=a,r=abc")),
        "the authentication method of this server is JWT"
    );
}

#[test]
fn a_verdict_for_an_earlier_connection_is_dropped() {
    let mut it = fixture(&[]);
    it.auth.running.insert(CONN, Running::Token { ticket: 5, again: false });
    let deny = || Verdict::Deny { reason: ReasonCode::NotAuthorized, why: "no".into() };
    assert!(it.auth.identified(CONN, 4, deny()).is_none());
    assert!(it.auth.identified(ConnId(8), 5, deny()).is_none());
    assert!(it.auth.checked(CONN, 5, true).is_none(), "no password was asked for");
    assert!(it.auth.identified(CONN, 5, deny()).is_some());
    assert!(it.auth.identified(CONN, 5, deny()).is_none());
}

#[test]
fn each_listener_asks_its_own_chain_and_a_reload_ends_whom_its_own_file_no_longer_knows() {
    let users = |name: &str| {
        let mut users = Users::default();
        assert!(users.insert(name.into(), Verifier::from_password("x", 4096, b"salty salt")));
        users
    };
    let trust = |second: Chain| Trust {
        otherwise: all_asked(users("ann")),
        by_listener: vec![
            all_asked(users("ann")),
            Arc::new(second),
            Arc::new(Chain {
                order: Vec::new(),
                users: users("ann"),
                unasked: true,
                inside: false,
            }),
        ],
        ..Trust::default()
    };
    let of = |users| Chain { order: AuthenticatorKind::all(), users, ..Chain::default() };
    let mut it = believing(trust(of(users("bob"))));
    let mut login = |listener, name: &str, password: &str| {
        let place = (ListenerId(listener), Tenant(0));
        it.plain_at(
            Shown { anonymous: true, place, ..Shown::default() },
            Some(name),
            Some(password),
        )
    };
    let wrong = Some(ReasonCode::BadUserNameOrPassword);
    for (listener, name, password, expected) in [
        (0, "ann", "x", None),
        (0, "bob", "x", wrong),
        (1, "ann", "x", wrong),
        // It is asked about nobody, so names are believed.
        (2, "eve", "y", None),
        // One that came with a reload, until a restart.
        (7, "ann", "x", None),
        (1, "bob", "x", None),
    ] {
        assert_eq!(reason(&login(listener, name, password)), expected, "{listener} {name}");
    }
    assert_eq!(it.auth.reconfigure(Arc::new(trust(of(users("bob"))))), []);
    assert_eq!(it.auth.reconfigure(Arc::new(trust(of(users("cid"))))), [CONN]);
}
