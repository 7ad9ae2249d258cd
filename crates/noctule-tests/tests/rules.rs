//! Rules of a real broker process: an ACL file of mosquitto with mosquitto's own clients, a reload,
//! a file that is wrong; and what `noctule acl` says of the same files.

use anyhow::{Context, Result, ensure};
use noctule_tests::driver::{Needs, Terminal};
use noctule_tests::process::{self, BrokerProcess};
use std::path::PathBuf;
use std::process::{Command, Output};

const ACL: &str = "\
# the room
topic read room/#
user ann
topic readwrite room/#
topic deny room/secret
user bob
topic write room/temperature
pattern readwrite own/%u/%c/#
";

/// A folder with files of rules, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Folder> {
        let path = process::target_directory().join(format!("rules-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().context("a path that is text")?.to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the target directory, where it does no harm.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A client of mosquitto.
fn mosquitto(program: &str, broker: &BrokerProcess, user: &str) -> Command {
    let mut command = Command::new(program);
    let address = broker.address();
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(["-V", "5", "-i", &format!("client-{user}"), "-u", user, "-q", "1"]);
    command
}

#[test]
fn mosquittos_file_means_to_its_clients_what_it_meant() -> Result<()> {
    let folder = Folder::new("mosquitto")?;
    let acl = folder.write("acl", ACL)?;
    let config = format!("acl_file = {acl:?}\n[log]\nlevel = \"debug\"\n");
    let broker = BrokerProcess::start_with(&config)?;
    if Needs::MosquittoClients.program().is_none() {
        return Ok(());
    }
    let mut listening = mosquitto("mosquitto_sub", &broker, "ann");
    listening.args(["-t", "#", "-F", "%t %p"]);
    let mut ann = Terminal::open("mosquitto_sub", &mut listening)?;
    broker.await_log("subscribed", 1)?;
    let publish = |topic: &str, payload: &str| -> Result<Output> {
        let mut command = mosquitto("mosquitto_pub", &broker, "bob");
        Ok(command.args(["-d", "-t", topic, "-m", payload]).output()?)
    };
    publish("room/door", "denied: it may write the temperature alone")?;
    publish("own/bob/client-bob/x", "allowed, but not for ann")?;
    publish("room/temperature", "21")?;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|line| line != "room/temperature 21") {
        let line = ann.next_line()?;
        seen.extend((line.starts_with("room/") || line.starts_with("own/")).then_some(line));
    }
    ensure!(seen == ["room/temperature 21"], "{seen:?}");
    broker.await_log("not authorized", 1)?;
    // A file that is wrong changes nothing; one that is right holds at once.
    let pid = broker.pid().context("a process of ours")?;
    folder.write("acl", "topic both a\n")?;
    process::signal("HUP", pid)?;
    broker.await_log("\"both\" must be read, write, readwrite or deny", 1)?;
    publish("room/temperature", "22")?;
    folder.write("acl", &ACL.replace("write room/temperature", "write room/door"))?;
    process::signal("HUP", pid)?;
    broker.await_log("configuration reloaded", 1)?;
    publish("room/temperature", "23")?;
    publish("room/door", "open")?;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|line| line != "room/door open") {
        let line = ann.next_line()?;
        seen.extend(line.starts_with("room/").then_some(line));
    }
    ensure!(seen == ["room/temperature 22", "room/door open"], "{seen:?}");
    drop(ann.kill());
    Ok(())
}

/// Exit status and output of `noctule acl`.
fn acl(words: &[&str]) -> Result<(i32, String)> {
    let output = Command::new(process::binary()?).arg("acl").args(words).output()?;
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().context("it ended by itself")?;
    Ok((code, String::from_utf8(text)?))
}

#[test]
fn the_command_line_says_who_may_do_what_and_why() -> Result<()> {
    let folder = Folder::new("command")?;
    let file = folder.write("acl", ACL)?;
    let check = |user: &str, action: &str, topic: &str| {
        acl(&["check", "--acl-file", &file, "--user", user, "--client", "c", action, topic])
    };
    for (user, action, topic, code, expected) in [
        (
            "ann",
            "publish",
            "room/x",
            0,
            "allowed by {}:4: allow publish, subscribe, receive room/#",
        ),
        (
            "ann",
            "receive",
            "room/secret",
            1,
            "denied by {}:5: deny publish, subscribe, receive room/secret",
        ),
        ("bob", "publish", "room/x", 1, "denied: no rule allows it"),
        (
            "bob",
            "publish",
            "own/bob/c/x",
            0,
            "allowed by {}:8: allow publish, subscribe, receive own/%u/%c/#",
        ),
        (
            "bob",
            "publish",
            "$SYS/x",
            1,
            "denied: topics under $SYS are the broker's own to publish",
        ),
        ("ann", "publish", "room/#", 2, "noctule: \"room/#\" is no topic name"),
    ] {
        let expected = expected.replace("{}", &file);
        let (found, text) = check(user, action, topic)?;
        ensure!(found == code && text.starts_with(&expected), "{user} {topic}: {found} {text}");
    }
    let (code, text) = check("bob", "subscribe", "room/#")?;
    ensure!(code == 1 && text.contains("strict_subscribe is off"), "{code} {text}");
    let (code, text) = acl(&["lint", "--acl-file", &file])?;
    ensure!(code == 1 && text.contains("any client may say that it is \"ann\""), "{text}");
    let new = folder.write("new", &ACL.replace("topic deny room/secret\n", ""))?;
    let (code, text) = acl(&["diff", &file, &new])?;
    ensure!(code == 1 && text.contains("user \"ann\" gains receive on room/secret"), "{text}");
    ensure!(acl(&["diff", &file, &file])? == (0, String::new()), "a difference to itself");
    let broken = folder.write("broken", "topic both a\nnonsense\n")?;
    let (code, text) = acl(&["lint", "--acl-file", &broken])?;
    ensure!(code == 2 && text.contains("broken:1: \"both\" must be"), "{code} {text}");
    ensure!(text.contains("broken:2: \"nonsense\" is no line of an ACL file"), "{text}");
    Ok(())
}

#[test]
fn the_command_line_knows_dynamic_security() -> Result<()> {
    let folder = Folder::new("dynamic")?;
    let acl = |kind: &str, topic: &str, allow: bool| {
        format!(r#"{{"acltype":"{kind}","topic":"{topic}","allow":{allow}}}"#)
    };
    let acls = [
        acl("publishClientSend", "room/#", true),
        acl("subscribeLiteral", "room/+", true),
        acl("subscribePattern", "own/%u/#", true),
    ];
    let file = folder.write(
        "dynamic.json",
        &format!(
            r#"{{"defaultACLAccess":{{"publishClientReceive":true}},
                "roles":[{{"rolename":"maker","acls":[{}]}}],
                "clients":[{{"username":"ann","roles":[{{"rolename":"maker"}}]}}]}}"#,
            acls.join(",")
        ),
    )?;
    let config = folder.write("noctule.toml", &format!("dynamic_security.file = {file:?}\n"))?;
    let maker = format!("allowed by {file}: role \"maker\": ");
    let default = "allowed: no rule is about it, and that is the default";
    for (user, action, topic, code, expected) in [
        ("ann", "publish", "room/x", 0, format!("{maker}allow publish room/#")),
        ("ann", "publish", "x", 1, "denied: no rule allows it".into()),
        ("ann", "subscribe", "room/+", 0, format!("{maker}allow subscribe room/+")),
        ("ann", "subscribe", "room/x", 1, "denied: no rule allows it\n".into()),
        ("ann", "subscribe", "own/ann/+", 0, maker),
        ("ann", "subscribe", "$share/g/own/ann/+", 1, "denied".into()),
        ("ann", "receive", "x", 0, default.into()),
        // Who is no client of dynamic security is under the other rules alone: there are none.
        ("bob", "publish", "x", 1, "denied: no rule allows it".into()),
    ] {
        let (found, text) = self::acl(&["check", "-c", &config, "--user", user, action, topic])?;
        ensure!(found == code && text.starts_with(&expected), "{user} {topic}: {found} {text}");
    }
    folder.write("dynamic.json", r#"{"clients":[{"username":""}]}"#)?;
    let (code, text) = self::acl(&["check", "-c", &config, "--user", "ann", "publish", "x"])?;
    ensure!(code == 2 && text.contains("dynamic.json: client"), "{code} {text}");
    Ok(())
}
