//! Which certificates of servers are believed, and which are not.

use crate::certificates::{Ca, Folder, Identity, distinguished, self_signed, self_signed_version1};
use crate::servers::{connect, server, server_below, server_of, talk, tls_echo};
use noctule_client::net::{ConnectError, Tls, TlsError, Warning};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, SanType, date_time_ymd};
use tokio_rustls::rustls::version::{TLS12, TLS13};

const LATER: &str = "491231235959Z";

/// What comes of connecting to a server with this certificate, in both versions of TLS alike.
async fn verdict(
    host: &str,
    identity: impl Fn() -> Identity,
    tls: &Tls,
) -> Result<Vec<Warning>, TlsError> {
    let mut verdicts = Vec::new();
    for version in [&TLS12, &TLS13] {
        let port = tls_echo(server_of(&[version], identity(), None)).await;
        verdicts.push(match connect(host, port, tls).await {
            Ok(mut stream) => {
                talk(&mut stream).await;
                Ok(stream.warnings())
            }
            Err(ConnectError::Tls(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        });
    }
    let new = verdicts.pop().expect("two verdicts");
    let old = verdicts.pop().expect("two verdicts");
    assert_eq!(format!("{old:?}"), format!("{new:?}"));
    new
}

fn trusting(pem: &str) -> Tls {
    Tls::new().ca_pem(pem)
}

#[tokio::test]
async fn names_and_addresses_in_a_certificate_count() {
    let ca = Ca::new("a CA");
    let tls = trusting(&ca.pem);
    for (hosts, host, good) in [
        (&["localhost"][..], "localhost", true),
        (&["other.test", "127.0.0.1"], "127.0.0.1", true),
        (&["127.0.0.1"], "localhost", false),
        (&["localhost"], "127.0.0.1", false),
        (&["*.localhost"], "localhost", false),
    ] {
        match verdict(host, || ca.issue(hosts), &tls).await {
            Ok(warnings) => assert!(good && warnings.is_empty(), "{hosts:?}"),
            Err(TlsError::WrongName { expected, .. }) => assert!(!good && expected == host),
            Err(other) => panic!("{hosts:?}: {other:?}"),
        }
    }
    // The name can be another than the host we connect to.
    let tls = tls.server_name("broker.test");
    verdict("127.0.0.1", || ca.issue(&["broker.test"]), &tls).await.expect("the name fits");
    let error = verdict("127.0.0.1", || ca.issue(&["a.test"]), &tls).await.expect_err("another");
    let text = error.to_string();
    assert!(text.contains("a.test") && text.contains("broker.test"), "{text}");
}

#[tokio::test]
async fn a_ca_that_we_do_not_trust_vouches_for_nobody() {
    let ca = Ca::new("a CA");
    let other = Ca::new("another CA");
    let namesake = Ca::new("a CA");
    for issuer in [&other, &namesake] {
        let tls = trusting(&ca.pem);
        let issued = verdict("localhost", || issuer.issue(&["localhost"]), &tls);
        let error = issued.await.expect_err("a stranger");
        assert!(matches!(error, TlsError::UnknownIssuer | TlsError::BadSignature), "{error:?}");
    }
    // Several can be trusted at once, from whatever source.
    let folder = Folder::new("several");
    let both = Tls::new().ca_pem(ca.pem.as_str()).ca_file(folder.write("ca.crt", &other.pem));
    for issuer in [&ca, &other] {
        verdict("localhost", || issuer.issue(&["localhost"]), &both).await.expect("trusted");
    }
    let bundle = format!("{}\nsome words\n{}", other.pem, ca.pem);
    verdict("localhost", || ca.issue(&["localhost"]), &trusting(&bundle)).await.expect("trusted");
}

#[tokio::test]
async fn dates_are_looked_at() {
    let ca = Ca::new("a CA");
    let tls = trusting(&ca.pem);
    let old = || ca.issue_with(&["localhost"], |p| p.not_after = date_time_ymd(2020, 2, 29));
    let error = verdict("localhost", old, &tls).await.expect_err("expired");
    assert_eq!(error.to_string(), "the server's certificate has expired on 2020-02-29");
    let young = || ca.issue_with(&["localhost"], |p| p.not_before = date_time_ymd(3000, 1, 1));
    let error = verdict("localhost", young, &tls).await.expect_err("from the future");
    assert!(error.to_string().ends_with("but from 3000-01-01"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_clients_is_none_for_servers() {
    let ca = Ca::new("a CA");
    let client = || {
        ca.issue_with(&["localhost"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    };
    let error = verdict("localhost", client, &trusting(&ca.pem)).await.expect_err("a client's");
    assert!(error.to_string().ends_with("it is not for servers"), "{error:?}");
}

#[tokio::test]
async fn a_host_in_the_common_name_counts_if_there_is_no_other() {
    let ca = Ca::new("a CA");
    let tls = trusting(&ca.pem);
    let named = |name: &'static str, hosts: &'static [&'static str]| {
        let ca = &ca;
        move || ca.issue_with(hosts, |params| params.distinguished_name = distinguished(name))
    };
    let warnings = verdict("localhost", named("LocalHost", &[]), &tls).await.expect("it fits");
    assert_eq!(warnings, [Warning::CommonName]);
    let warnings = verdict("127.0.0.1", named("127.0.0.1", &[]), &tls).await.expect("it fits");
    assert_eq!(warnings, [Warning::CommonName]);
    let error = verdict("localhost", named("other.test", &[]), &tls).await.expect_err("another");
    assert!(matches!(error, TlsError::WrongName { presented, .. } if presented == ["other.test"]));
    // Where alternative names list hosts, only they count.
    for hosts in [&["other.test"][..], &["10.0.0.1"]] {
        let error = verdict("localhost", named("localhost", hosts), &tls).await;
        assert!(matches!(error, Err(TlsError::WrongName { .. })), "{error:?}");
    }
    let mail = || {
        ca.issue_with(&[], |params| {
            params.distinguished_name = distinguished("localhost");
            let mail = "admin@localhost".try_into().expect("ASCII");
            params.subject_alt_names = vec![SanType::Rfc822Name(mail)];
        })
    };
    assert_eq!(verdict("localhost", mail, &tls).await.expect("it fits"), [Warning::CommonName]);
}

#[tokio::test]
async fn a_certificate_that_is_itself_trusted_may_be_a_ca() {
    let ca = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let identity = self_signed(ca);
    let tls = trusting(&identity.pem);
    assert!(verdict("localhost", || copy(&identity), &tls).await.expect("trusted").is_empty());
    let error = verdict("127.0.0.1", || copy(&identity), &tls).await.expect_err("another host");
    assert!(matches!(error, TlsError::WrongName { .. }), "{error:?}");
    // Another of the same kind is not it, and neither is one that is almost it.
    let other = self_signed(ca);
    let error = verdict("localhost", || copy(&other), &tls).await.expect_err("a stranger");
    assert!(matches!(error, TlsError::UnknownIssuer | TlsError::CaCertificate), "{error:?}");
    assert!(verdict("localhost", || copy(&identity).forged(), &tls).await.is_err());
    let expired = self_signed(|params| {
        ca(params);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let error = verdict("localhost", || copy(&expired), &trusting(&expired.pem)).await;
    assert!(matches!(error, Err(TlsError::Expired(Some(_)))), "{error:?}");
}

#[tokio::test]
async fn a_ca_that_serves_itself_below_one_we_trust_is_told_what_to_do() {
    let root = Ca::new("a CA");
    let middle = root.issue_ca("localhost");
    let identity = || Identity {
        pem: middle.pem.clone(),
        key_pem: String::new(),
        der: middle.der.clone(),
        key: middle.key.clone_key(),
    };
    let error = verdict("localhost", identity, &trusting(&root.pem)).await.expect_err("a CA");
    assert!(matches!(error, TlsError::CaCertificate), "{error:?}");
    // Trusting it, as the advice says, helps.
    verdict("localhost", identity, &trusting(&middle.pem)).await.expect("trusted");
}

#[tokio::test]
async fn one_that_is_no_ca_vouches_for_itself_alone() {
    let identity = self_signed(|params| params.is_ca = IsCa::ExplicitNoCa);
    let tls = trusting(&identity.pem);
    verdict("localhost", || copy(&identity), &tls).await.expect("trusted");
    // Its owner, who is no CA, makes one for another host.
    let forger = Ca::with("itself", |params| params.is_ca = IsCa::ExplicitNoCa);
    let error = verdict("localhost", || forger.issue(&["localhost"]), &trusting(&forger.pem)).await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
    let old = || forger.issue_version1("localhost", LATER);
    let error = verdict("localhost", old, &trusting(&forger.pem)).await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
}

#[tokio::test]
async fn version_1_is_believed_if_a_trusted_ca_has_issued_it_itself() {
    let ca = Ca::new("a CA");
    let tls = trusting(&ca.pem);
    let good = || ca.issue_version1("localhost", LATER);
    let warnings = verdict("localhost", good, &tls).await.expect("a good signature");
    assert_eq!(warnings, [Warning::Version1, Warning::CommonName]);
    let error = verdict("127.0.0.1", good, &tls).await.expect_err("another host");
    assert!(matches!(error, TlsError::WrongName { .. }), "{error:?}");
    let error = verdict("localhost", || good().forged(), &tls).await.expect_err("forged");
    assert!(matches!(error, TlsError::BadSignature), "{error:?}");
    let namesake = Ca::new("a CA");
    let other = || namesake.issue_version1("localhost", LATER);
    assert!(verdict("localhost", other, &tls).await.is_err(), "a namesake of the CA");
    let other = Ca::new("another CA");
    let error = verdict("localhost", || other.issue_version1("localhost", LATER), &tls).await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
    let old = || ca.issue_version1("localhost", "200101000000Z");
    let error = verdict("localhost", old, &tls).await;
    assert!(matches!(error, Err(TlsError::Expired(Some(_)))), "{error:?}");
    // Below another certificate of a chain, its own says too little.
    let middle = ca.issue_ca("a CA in the middle");
    let below = || middle.issue_version1("localhost", LATER);
    let error = verdict("localhost", below, &tls).await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
    verdict("localhost", below, &trusting(&middle.pem)).await.expect("trusted directly");
}

#[tokio::test]
async fn a_common_name_does_not_slip_past_a_ca_of_few_names() {
    let bound = |params: &mut rcgen::CertificateParams| {
        let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("other.test".to_owned())];
        let excluded_subtrees = Vec::new();
        params.name_constraints =
            Some(rcgen::NameConstraints { permitted_subtrees, excluded_subtrees });
    };
    let named = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name = distinguished("localhost");
    };
    let narrow = Ca::with("a narrow CA", bound);
    let tls = trusting(&narrow.pem);
    verdict("localhost", || narrow.issue(&["localhost"]), &tls).await.expect_err("not permitted");
    let error = verdict("localhost", || narrow.issue_with(&[], named), &tls).await;
    assert!(matches!(error, Err(TlsError::ConstrainedCommonName)), "{error:?}");
    // Nor where the narrow one is sent along by the server.
    let root = Ca::new("a CA");
    let middle = root.issue_ca_with("a narrow CA", bound);
    let tls = trusting(&root.pem);
    let wide = root.issue_ca("a CA in the middle");
    for (between, good) in [(&wide, true), (&middle, false)] {
        let port = tls_echo(server_below(between.issue_with(&[], named), between)).await;
        match connect("localhost", port, &tls).await {
            Ok(stream) => assert!(good && stream.warnings() == [Warning::CommonName]),
            Err(ConnectError::Tls(TlsError::ConstrainedCommonName)) => assert!(!good),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn version_1_below_a_ca_of_few_names_is_not_believed() {
    let narrow = Ca::with("a narrow CA", |params| {
        let permitted = vec![rcgen::GeneralSubtree::DnsName("other.test".to_owned())];
        let excluded_subtrees = Vec::new();
        params.name_constraints =
            Some(rcgen::NameConstraints { permitted_subtrees: permitted, excluded_subtrees });
    });
    let error =
        verdict("localhost", || narrow.issue_version1("localhost", LATER), &trusting(&narrow.pem))
            .await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
}

#[tokio::test]
async fn a_self_signed_certificate_of_version_1_can_be_trusted() {
    let identity = self_signed_version1("localhost");
    let warnings = verdict("localhost", || copy(&identity), &trusting(&identity.pem)).await;
    assert_eq!(warnings.expect("trusted"), [Warning::Version1, Warning::CommonName]);
    let other = self_signed_version1("localhost");
    assert!(verdict("localhost", || copy(&other), &trusting(&identity.pem)).await.is_err());
}

#[tokio::test]
async fn what_is_dangerous_has_to_be_asked_for() {
    let ca = Ca::new("a CA");
    let elsewhere = || ca.issue(&["other.test"]);
    let tls = trusting(&ca.pem).danger_accept_any_host_name();
    let warnings = verdict("localhost", elsewhere, &tls).await.expect("any host");
    assert_eq!(warnings, [Warning::AnyHostName]);
    let stranger = Ca::new("another CA");
    let error = verdict("localhost", || stranger.issue(&["localhost"]), &tls).await;
    assert!(matches!(error, Err(TlsError::UnknownIssuer)), "{error:?}");
    // No CA is needed where nothing is checked.
    let tls = Tls::new().danger_accept_any_certificate();
    for identity in [
        ca.issue(&["other.test"]),
        ca.issue_version1("x", "700101000001Z"),
        ca.issue(&["localhost"]).forged(),
    ] {
        let warnings = verdict("localhost", || copy(&identity), &tls).await.expect("anything");
        assert_eq!(warnings, [Warning::AnyCertificate]);
    }
}

#[tokio::test]
async fn even_unchecked_the_server_must_have_the_key() {
    let ca = Ca::new("a CA");
    for made in [
        ca.issue(&["localhost"]),
        ca.issue_version1("localhost", LATER),
        self_signed_version1("localhost"),
    ] {
        let tls = trusting(&ca.pem).ca_pem(made.pem.as_str());
        let thief = || Identity { key: ca.issue(&["x"]).key, ..copy(&made) };
        for tls in [tls, Tls::new().danger_accept_any_certificate()] {
            let error = verdict("localhost", thief, &tls).await.expect_err("a stolen certificate");
            assert!(matches!(error, TlsError::BadSignature), "{error:?}");
        }
    }
}

#[tokio::test]
async fn the_roots_of_the_system_are_used_without_a_word() {
    // One made for this test is not among them, whatever the system trusts.
    let ca = Ca::new("a CA");
    let port = tls_echo(server(ca.issue(&["localhost"]))).await;
    let error = connect("localhost", port, &Tls::new()).await.expect_err("a stranger");
    let ConnectError::Tls(error) = error else { panic!("{error:?}") };
    assert!(matches!(error, TlsError::UnknownIssuer | TlsError::NoSystemRoots(_)), "{error:?}");
}

#[tokio::test]
async fn no_bytes_of_a_certificate_make_the_client_panic() {
    let ca = Ca::new("a CA");
    let tls = trusting(&ca.pem);
    let whole = ca.issue_version1("localhost", LATER);
    // Each prefix, and each byte turned: all of it is refused, and none of it is fatal.
    let length = whole.der.len();
    for at in (0..length).step_by(7) {
        let mut turned = whole.der.to_vec();
        turned[at] ^= 0x80;
        for der in [whole.der[..at].to_vec(), turned] {
            let identity = Identity { der: der.into(), ..copy(&whole) };
            let port = tls_echo(server(identity)).await;
            connect("localhost", port, &tls).await.expect_err("a broken certificate");
        }
    }
}

fn copy(identity: &Identity) -> Identity {
    Identity {
        pem: identity.pem.clone(),
        key_pem: identity.key_pem.clone(),
        der: identity.der.clone(),
        key: identity.key.clone_key(),
    }
}
