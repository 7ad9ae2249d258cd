//! `noctule passwd` with the flags of mosquitto_passwd: what becomes of the file, and who gets in
//! with it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use noctule_server::config::Config;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder with a password file.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("passwd-{name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    /// Runs the command here; `words` are split at spaces.
    fn passwd(&self, words: &str, stdin: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noctule"))
            .arg("passwd")
            .args(words.split(' '))
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without having read.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.join("pw")).unwrap()
    }

    /// What a broker makes of it.
    fn config(&self) -> Result<Config, String> {
        let path = self.0.join("noctule.toml");
        std::fs::write(&path, "password_file = \"pw\"\n").unwrap();
        Config::load(&path).map_err(|error| error.to_string())
    }

    fn accepts(&self, user: &str, password: &str) -> bool {
        self.config().unwrap().users.find(user).unwrap().accepts(password.as_bytes())
    }
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn users_come_change_and_go_and_the_rest_stays_as_it_is() {
    let place = Place::new("users");
    assert!(place.passwd("-c -H sha512-pbkdf2 pw ann", "secret\n").status.success());
    let mode = std::fs::metadata(place.0.join("pw")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(place.text().starts_with("ann:$7$1000$"));
    let again = error(&place.passwd("-c pw bob", "x\n"));
    assert!(again.contains("cannot write pw") && again.contains("exists"), "{again}");

    std::fs::write(place.0.join("pw"), format!("# ours\n\n{}", place.text())).unwrap();
    std::fs::set_permissions(place.0.join("pw"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.passwd("-b -H sha512 pw bob swordfish", "").status.success());
    assert!(place.passwd("-H scram-sha-256 pw carol", "pencil\n").status.success());
    assert!(place.passwd("-H sha512 pw ann", "other\n").status.success());
    for (line, begins) in
        place.text().lines().zip(["# ours", "", "ann:$6$", "bob:$6$", "carol:SCRAM-"])
    {
        assert!(line.starts_with(begins), "{line}");
    }
    let mode = std::fs::metadata(place.0.join("pw")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "a file keeps its mode");
    assert!(place.accepts("ann", "other") && !place.accepts("ann", "secret"));
    assert!(place.accepts("bob", "swordfish") && place.accepts("carol", "pencil"));

    assert!(place.passwd("-D pw bob", "").status.success());
    assert!(error(&place.passwd("-D pw bob", "")).contains("there is no user \"bob\""));
    assert!(place.config().unwrap().users.find("bob").is_none());
    assert!(place.text().starts_with("# ours\n\n"));
}

#[test]
fn a_file_of_plain_passwords_is_hashed_once() {
    let place = Place::new("plain");
    std::fs::write(place.0.join("pw"), "# ours\nann:secret\nbob:sword:fish\n").unwrap();
    let told = place.config().unwrap_err();
    assert!(told.contains("pw:2: no hash that noctule knows"), "{told}");
    assert!(place.passwd("-H sha512 -U pw", "").status.success());
    assert!(place.accepts("ann", "secret") && place.accepts("bob", "sword:fish"));
    assert!(place.text().starts_with("# ours\n") && !place.text().contains("secret"));
    let before = place.text();
    assert!(error(&place.passwd("-U pw", "")).contains("pw:2: the password of ann is hashed"));
    assert_eq!(place.text(), before);
}

#[test]
fn wrong_use_is_explained_and_changes_nothing() {
    let place = Place::new("wrong");
    assert!(error(&place.passwd("pw ann", "x\n")).contains("-c makes a new file"));
    assert!(error(&place.passwd("-c pw a:b", "x\n")).contains("colon"));
    assert!(error(&place.passwd("-c pw #a", "x\n")).contains("begin with #"));
    assert!(error(&place.passwd("-b pw ann", "")).contains("usage"));
    assert!(error(&place.passwd("-U pw ann", "")).contains("usage"));
    assert!(error(&place.passwd("-H md5 -c pw ann", "x\n")).contains("argon2id"));
    assert!(error(&place.passwd("-I 0 -c pw ann", "x\n")).contains("1..=10000000"));
    assert!(error(&place.passwd("-c pw ann", "\n")).contains("no password"));
    assert!(!place.0.join("pw").exists());
    let line = place.passwd("-c -b -H sha512 - ann secret", "");
    assert!(String::from_utf8_lossy(&line.stdout).starts_with("ann:$6$"));
}

#[test]
fn a_broken_file_stops_the_start_and_names_its_lines() {
    let place = Place::new("broken");
    let good = place.passwd("-c -b -H sha512 - ann secret", "").stdout;
    let good = String::from_utf8(good).unwrap();
    std::fs::write(place.0.join("pw"), format!("{good}{good}:x\nbob:$7$x$y$z\n")).unwrap();
    let told = place.config().unwrap_err();
    for part in ["pw:2: this user has a line already", "pw:3: ", "pw:4: the rounds between"] {
        assert!(told.contains(part), "{told}");
    }
    std::fs::remove_file(place.0.join("pw")).unwrap();
    assert!(place.config().unwrap_err().contains("pw: cannot be read"));
}

#[test]
fn by_the_name_of_mosquittos_program_it_is_about_files_alone() {
    let place = Place::new("name");
    let name = place.0.join("mosquitto_passwd");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_noctule"), &name).unwrap();
    let run = |words: &str| {
        Command::new(&name)
            .args(words.split(' '))
            .current_dir(&place.0)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    assert!(run("-c -b pw ann secret").status.success());
    assert!(place.accepts("ann", "secret"));
    assert!(error(&run("pw")).contains("these words do not fit"));
    assert!(run("-D pw ann").status.success());
    assert_eq!(place.text(), "");
}
