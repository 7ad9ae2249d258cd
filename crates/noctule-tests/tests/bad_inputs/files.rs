//! Files of passwords and rules whose lines are wrong: the broker does not start, and says where.

use crate::programs::text;
use anyhow::{Result, ensure};
use noctule_tests::process::{self, target_directory};
use std::process::Command;

/// 64 bytes of nothing.
const HASH: &str =
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

/// What `noctule config check` says of a file under an option.
fn said(option: &str, contents: &str) -> Result<String> {
    let folder = target_directory().join("tmp").join(format!("bad-inputs-{option}"));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("file"), contents)?;
    std::fs::write(folder.join("noctule.toml"), format!("{option} = \"file\"\n"))?;
    let mut command = Command::new(process::binary()?);
    command.args(["config", "check", "noctule.toml"]).current_dir(&folder);
    let output = command.output()?;
    Ok(format!("{} {}", output.status.code().unwrap_or(-1), text(&output)))
}

/// It is refused for this, in its second line or in the one that is named.
fn refuses(option: &str, line: &str, why: &str) -> Result<()> {
    let said = said(option, &format!("# first\n{line}\n"))?;
    ensure!(said.starts_with("1 ") && said.ends_with(why), "{line:?}: {said}, not {why}");
    Ok(())
}

#[test]
fn of_passwords() -> Result<()> {
    let no_hash = "file:2: no hash that noctule knows: $argon2id$, $7$, $6$ or SCRAM-SHA-256$ (is \
                   it a plain password? noctule passwd -U FILE hashes those)";
    let cut_short = "file:2: the hash is cut short, or no base64: make it anew with noctule passwd";
    let bad_salt = "file:2: the salt is no base64, or not of 8 to 256 bytes: make the hash anew \
                    with noctule passwd";
    let rounds = "file:2: the rounds between $7$ and the salt must be a number from 1 to 10000000";
    let costs = "file:2: the costs of $argon2id$ must be m=8 to 1048576 (KiB, 8 a lane or more), \
                 t=1 to 100, p=1 to 64";
    let salt = "AAAAAAAAAAAAAAAA";
    for (line, why) in [
        (
            "ann",
            "file:2: a user name, a colon and a hash expected, or a comment that begins with #",
        ),
        (&*format!(":$6${salt}${HASH}"), "file:2: the user name is missing before the colon"),
        ("ann:", no_hash),
        ("ann:secret", no_hash),
        ("ann:$5$AAAA$AAAA", no_hash),
        ("ann:$7$", cut_short),
        (&format!("ann:$7$1000${salt}$"), cut_short),
        (&format!("ann:$7$1000${salt}${}", &HASH[..40]), cut_short),
        (&format!("ann:$7$1000${salt}${}", &HASH[..84]), cut_short),
        (&format!("ann:$7$1000${salt}${HASH}!"), cut_short),
        (&format!("ann:$7$0${salt}${HASH}"), rounds),
        (&format!("ann:$7$99999999999${salt}${HASH}"), rounds),
        (&format!("ann:$6$AA${HASH}"), bad_salt),
        (&format!("ann:$6${salt}${}", &HASH[..84]), cut_short),
        ("ann:$argon2id$v=19$m=47104,t=1,p=1$AAAA", cut_short),
        (&format!("ann:$argon2id$v=19$m=99999999,t=1,p=1${salt}${HASH}"), costs),
        ("ann:SCRAM-SHA-256$4096:AAAA", cut_short),
        (
            &format!("ann:$6${salt}${HASH}\nann:$6${salt}${HASH}"),
            "file:3: this user has a line already",
        ),
    ] {
        refuses("password_file", line, why)?;
    }
    Ok(())
}

#[test]
fn of_rules() -> Result<()> {
    let no_line = "is no line of an ACL file: `user`, `topic` or `pattern` expected, or a comment \
                   with # in the first column";
    for (line, why) in [
        ("topic", "file:2: a topic filter is missing"),
        ("pattern", "file:2: a topic filter is missing"),
        (
            "topic reed a",
            "file:2: \"reed\" must be read, write, readwrite or deny, or be left out: it means \
             readwrite",
        ),
        (
            "topic read a/#/b",
            "file:2: \"a/#/b\" is no topic filter: has a # that is not the whole last level",
        ),
        ("topic a+", "file:2: \"a+\" is no topic filter: has a + that is not a whole level"),
        ("user", "file:2: a user name is missing after `user`"),
        ("users ann", &format!("file:2: \"users\" {no_line}")),
        ("deny a", &format!("file:2: \"deny\" {no_line}")),
        (
            "topic read \u{1}",
            "file:2: \"\\u{1}\" is no topic filter: holds a control or non-character",
        ),
    ] {
        refuses("acl_file", line, why)?;
    }
    Ok(())
}
