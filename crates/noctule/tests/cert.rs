//! `noctule cert`: what it makes holds for those who verify it, and what is there stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// A directory of one test, where the command runs.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cert-{name}"));
        // It is not there the first time.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Place(folder)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
        command.arg("cert").args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What it prints when all goes well.
    fn made(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        text(&output.stdout).to_owned()
    }

    /// What it says when it does nothing.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let before = self.files();
        let output = self.run(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(self.files(), before, "{arguments:?}");
        text(&output.stderr).to_owned()
    }

    /// A broker would take these lines, and the files that they name.
    fn is_configuration(&self, lines: &str) {
        let file = self.0.join("noctule.toml");
        std::fs::write(&file, lines).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
        let output = command.args(["config", "check"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{lines}\n{}", text(&output.stderr));
    }

    fn certs(&self) -> PathBuf {
        self.0.join("certs")
    }

    fn certificate(&self, stem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.certs().join(format!("{stem}.crt"))).unwrap()
    }

    /// Names and contents of all files, in order.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.certs()) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let named = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        };
        let mut files: Vec<_> = paths.map(named).collect();
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }

    /// Whether rustls would take the certificate for this use.
    fn is_valid(&self, stem: &str, usage: KeyUsage) -> bool {
        let (authority, certificate) = (self.certificate("ca"), self.certificate(stem));
        let anchors = [anchor_from_trusted_cert(&authority).unwrap()];
        let leaf = EndEntityCert::try_from(&certificate).unwrap();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(algorithms, &anchors, &[], UnixTime::now(), usage, None, None).is_ok()
    }

    fn is_for(&self, name: &str) -> bool {
        let certificate = self.certificate("server");
        let leaf = EndEntityCert::try_from(&certificate).unwrap();
        let name = ServerName::try_from(name).unwrap();
        leaf.verify_is_valid_for_subject_name(&name).is_ok()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Runs openssl where a test wants it; if it is not installed, that is said where the whole run
/// hears it, and fails where nothing may be left out.
#[expect(clippy::print_stderr, reason = "it is to be seen")]
fn openssl(place: &Path, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(place).stdin(Stdio::null());
    match command.output() {
        Ok(output) => return Some(output),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
    let required = std::env::var_os("NOCTULE_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "nothing may be left out here: openssl is not installed");
    eprintln!("left out: openssl is not installed");
    if let Some(file) = std::env::var_os("NOCTULE_LEFT_OUT") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "openssl is not installed").unwrap();
    }
    None
}

#[test]
fn one_command_makes_what_a_server_and_its_clients_need() {
    let place = Place::new("whole");
    let told = place.made(&["--client", "alice", "--client", "Sensor 7"]);
    let names = ["Sensor 7.crt", "Sensor 7.key", "alice.crt", "alice.key"];
    assert_eq!(
        place.names(),
        [&names[..], &["ca.crt", "ca.key", "server.crt", "server.key"]].concat()
    );
    for (name, _) in place.files() {
        assert!(told.contains(&format!("certs/{name} ")), "{told}");
        let mode = mode(&place.certs().join(&name));
        if name.ends_with(".key") {
            assert_eq!(mode, 0o600, "{name}");
        } else {
            assert!(mode & 0o600 == 0o600 && mode & 0o133 == 0, "{name}: {mode:o}");
        }
    }
    for (stem, server, client) in [("server", true, false), ("alice", false, true)] {
        assert_eq!(place.is_valid(stem, KeyUsage::server_auth()), server, "{stem}");
        assert_eq!(place.is_valid(stem, KeyUsage::client_auth()), client, "{stem}");
    }
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(place.is_for(name), "{name}");
    }
    assert!(!place.is_for("other.example") && !place.is_for("127.0.0.2"));
}

#[test]
fn openssl_finds_each_certificate_good_for_its_purpose_only() {
    let place = Place::new("openssl");
    place.made(&["a.example", "*.b.example", "192.0.2.7", "2001:db8::7", "--client", "alice"]);
    let verify = ["verify", "-x509_strict", "-CAfile", "certs/ca.crt", "-purpose"];
    for (purpose, good, other) in
        [("sslserver", "server", "alice"), ("sslclient", "alice", "server")]
    {
        let file = |stem: &str| format!("certs/{stem}.crt");
        let Some(output) = openssl(&place.0, &[&verify[..], &[purpose, &file(good)]].concat())
        else {
            return;
        };
        assert!(output.status.success(), "{}", text(&output.stderr));
        let output = openssl(&place.0, &[&verify[..], &[purpose, &file(other)]].concat()).unwrap();
        assert!(!output.status.success(), "{other} is no {purpose}");
    }
    let show = |stem: &str| {
        let file = format!("certs/{stem}.crt");
        let shown = openssl(&place.0, &["x509", "-noout", "-text", "-in", &file]).unwrap();
        text(&shown.stdout).to_owned()
    };
    let (ca, server, client) = (show("ca"), show("server"), show("alice"));
    for (shown, lines) in [
        (&ca, &["Basic Constraints: critical\n", "CA:TRUE, pathlen:0\n", "Certificate Sign"][..]),
        (
            &server,
            &[
                "DNS:a.example, DNS:*.b.example, IP Address:192.0.2.7, \
                 IP Address:2001:DB8:0:0:0:0:0:7\n",
                "Key Usage: critical\n                Digital Signature\n",
                "TLS Web Server Authentication\n",
                "Subject Key Identifier",
                "Authority Key Identifier",
                "NIST CURVE: P-256",
            ],
        ),
        (&client, &["CN = alice\n", "TLS Web Client Authentication\n", "CA:FALSE\n"]),
    ] {
        for line in lines {
            // Versions of openssl differ in blanks around the sign.
            let bare = |text: &str| text.replace(" = ", "=");
            assert!(bare(shown).contains(&bare(line)), "{line}: {shown}");
        }
    }
}

#[test]
fn the_names_given_are_those_of_the_server_and_no_others() {
    let place = Place::new("names");
    let told = place.made(&["*.b.example", "A.example.", "192.0.2.7", "a.example", "2001:db8::7"]);
    assert!(told.contains(" *.b.example, a.example, 192.0.2.7, 2001:db8::7; until "), "{told}");
    for name in ["x.b.example", "a.example", "192.0.2.7", "2001:db8::7"] {
        assert!(place.is_for(name), "{name}");
    }
    for name in ["localhost", "127.0.0.1", "b.example", "y.x.b.example"] {
        assert!(!place.is_for(name), "{name}");
    }
    assert!(told.contains(" -h a.example -p 8883 "), "{told}");

    let long = [["a"; 40].join("."), "example".to_owned()].join(".");
    place.made(&["--force", &long]);
    assert!(place.is_for(&long) && place.is_valid("server", KeyUsage::server_auth()));
}

#[test]
fn what_is_there_stays_unless_it_is_told_to_go() {
    let place = Place::new("stays");
    place.made(&["--client", "alice"]);
    let told = place.refused(&[], 1);
    assert!(told.starts_with("noctule: certs/server.crt is there already: --force"), "{told}");
    assert!(told.contains("--only-client"), "{told}");
    let told = place.refused(&["--only-client", "--client", "bob", "--client", "alice"], 1);
    assert!(told.starts_with("noctule: certs/alice.crt is there already: --force"), "{told}");

    let before = place.files();
    place.made(&["--force"]);
    let changed = place.files().into_iter().filter(|file| !before.contains(file));
    assert_eq!(changed.map(|(name, _)| name).collect::<Vec<_>>(), ["server.crt", "server.key"]);
    assert_eq!(mode(&place.certs().join("server.key")), 0o600);
    assert!(place.is_valid("server", KeyUsage::server_auth()));

    // A key without its certificate is not replaced either.
    std::fs::remove_file(place.certs().join("alice.crt")).unwrap();
    let told = place.refused(&["--only-client", "--client", "alice"], 1);
    assert!(told.starts_with("noctule: certs/alice.key is there already"), "{told}");
}

#[test]
fn clients_that_come_later_are_of_the_same_ca() {
    let place = Place::new("later");
    place.made(&[]);
    let before = place.files();
    let told = place.made(&["--only-client", "--client", "bob"]);
    assert!(before.iter().all(|file| place.files().contains(file)));
    assert_eq!(place.names().len(), before.len() + 2);
    assert!(place.is_valid("bob", KeyUsage::client_auth()));
    assert!(told.contains("certs/ca.crt   CA, until ") && told.contains("is used"), "{told}");
    assert!(told.contains(" -h HOST "), "{told}");
}

#[test]
fn what_it_prints_can_be_copied() {
    let place = Place::new("it's copied");
    let told = place.made(&["--client", "alice", "--client", "bob"]);
    let folder = place.certs();
    let folder = folder.to_str().unwrap();
    let expected = format!(
        "[[listener]]\nport = 8883\n\n[listener.tls]\n\
         certificate = \"{folder}/server.crt\"\nkey = \"{folder}/server.key\"\n\
         client_ca = \"{folder}/ca.crt\"\nclient_certificates = \"required\"\n"
    );
    assert!(told.contains(&expected), "{told}");
    place.is_configuration(&expected);
    let quoted = |name: &str| format!("'{}/{name}'", folder.replace('\'', r"'\''"));
    let expected = format!(
        "\nnoctule sub --cafile {} --cert {} --key {} -h localhost -p 8883 -t '#' -v\n",
        quoted("ca.crt"),
        quoted("alice.crt"),
        quoted("alice.key")
    );
    assert!(told.contains(&expected), "{told}");

    let told = place.made(&["--force"]);
    assert!(told.contains("client_certificates = \"none\"\n") && !told.contains("client_ca"));
    let (_, rest) = told.split_once("[[listener]]").unwrap();
    let (lines, _) = rest.split_once("\n#").unwrap();
    place.is_configuration(&format!("[[listener]]{lines}"));
}

#[test]
fn wrong_use_is_told_before_anything_is_made() {
    let place = Place::new("wrong");
    for (arguments, told) in [
        (&["host:8883"][..], "'host:8883'"),
        (&["*.local"], "'*.local'"),
        (&["--client", "a/b"], "'a/b'"),
        (&["--client", ""], "it is empty"),
        (&["--client", ".a"], "'.a'"),
        (&["--client", "a\nb"], "control characters"),
        (&["--client", "CA"], "another name"),
        (&["--client", "server"], "another name"),
        (&["--days", "0"], "--days"),
        (&["--only-client"], "--client"),
        (&["--only-client", "--client", "a", "b.example"], "--only-client"),
    ] {
        let error = place.refused(arguments, 2);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    let told = place.refused(&["--client", "a", "--client", "A"], 1);
    assert!(told.contains("--client a and --client A"), "{told}");
    assert!(!place.certs().exists());
    std::fs::write(place.certs(), "a file").unwrap();
    assert!(text(&place.run(&[]).stderr).contains("certs"));
}

#[test]
fn no_certificate_is_valid_for_longer_than_its_ca() {
    let place = Place::new("days");
    let told = place.made(&["--days", "65535"]);
    assert_eq!(told.matches(", as its CA\n").count(), 1, "{told}");
    assert!(place.is_valid("server", KeyUsage::server_auth()));
    assert!(!place.made(&["--force", "--days", "1"]).contains(", as its CA\n"));
}

#[test]
fn a_ca_of_another_program_is_used_if_its_name_can_be_repeated() {
    let place = Place::new("foreign");
    let certs = place.certs();
    std::fs::create_dir(&certs).unwrap();
    for (subject, used) in [
        ("/C=DE/O=An Office/CN=Test CA", true),
        ("/CN=Test CA/emailAddress=a@b.example", true),
        ("/DC=org/DC=example/CN=Test CA", false),
        ("/CN=Test CA/UID=someone", false),
    ] {
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"];
        let files = ["-keyout", "ca.key", "-out", "ca.crt", "-subj", subject];
        let Some(output) = openssl(&certs, &[&request[..], &files].concat()) else { return };
        assert!(output.status.success(), "{}", text(&output.stderr));
        if used {
            place.made(&["--force"]);
            assert!(place.is_valid("server", KeyUsage::server_auth()), "{subject}");
        } else {
            let told = place.refused(&["--force"], 1);
            assert!(told.contains("certs/ca.crt is of no use: its name"), "{told}");
        }
    }
}
