//! Dynamic security: beside mosquitto with its plugin, and what mosquitto does not promise.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod script;

#[cfg(unix)]
mod tests {
    use crate::client::{Client, Manager, TOPIC, Told, Who, command as c};
    use crate::script;
    use anyhow::{Context, Result, ensure};
    use noctule_tests::driver::Needs;
    use noctule_tests::ports;
    use noctule_tests::process::{BrokerProcess, signal, target_directory};
    use serde_json::{Value, json};
    use std::fs;
    use std::net::{SocketAddr, TcpStream};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    const PASSWORD: &str = "correct horse battery";

    /// A folder whose `first` is the first password, and the text of a noctule.toml.
    fn setting() -> Result<(TempDir, String)> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("first"), PASSWORD)?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "[dynamic_security]\nfile = {:?}\npassword_init_file = {:?}\n[admin]\n\
             enabled = false\n",
            path("ds.json"),
            path("first")
        );
        Ok((folder, config))
    }

    fn start() -> Result<(TempDir, BrokerProcess, Manager)> {
        let (folder, config) = setting()?;
        let broker = BrokerProcess::start_with(&config)?;
        let manager = Manager::connect(broker.address(), PASSWORD)?;
        Ok((folder, broker, manager))
    }

    /// mosquitto with its plugin.
    struct Mosquitto {
        child: Child,
        address: SocketAddr,
        _folder: TempDir,
    }

    impl Mosquitto {
        fn start(program: &Path) -> Result<Mosquitto> {
            let folder = tempfile::tempdir()?;
            let port = ports::free();
            let plugin = target_directory().join(
                "peers/mosquitto/tree/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
            );
            let at = folder.path().display();
            fs::write(folder.path().join("first"), PASSWORD)?;
            let config = format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n\
                 plugin {}\nplugin_opt_config_file {at}/ds.json\n\
                 plugin_opt_password_init_file {at}/first\n",
                fs::canonicalize(&plugin).context(plugin.display().to_string())?.display()
            );
            let file = folder.path().join("mosquitto.conf");
            fs::write(&file, config)?;
            let mut command = Command::new(program);
            let child = command.arg("-c").arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
            let child = child.spawn()?;
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let running = Mosquitto { child, address, _folder: folder };
            let deadline = Instant::now() + Duration::from_secs(20);
            while TcpStream::connect(address).is_err() {
                ensure!(Instant::now() < deadline, "mosquitto does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(running)
        }
    }

    impl Drop for Mosquitto {
        fn drop(&mut self) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }

    fn program() -> Option<PathBuf> {
        Needs::MosquittoPeers.program()
    }

    #[test]
    fn every_command_is_answered_as_mosquitto_answers_it() -> Result<()> {
        let Some(program) = program() else { return Ok(()) };
        let theirs = Mosquitto::start(&program)?;
        let (_folder, broker, mut ours) = start()?;
        let mut other = Manager::connect(theirs.address, PASSWORD)?;
        for message in script::commands() {
            let (expected, said) = (other.ask(&message)?, ours.ask(&message)?);
            ensure!(expected.len() == said.len(), "{message:?}\n{expected:?}\n{said:?}");
            for ((command, expected), said) in message.iter().zip(expected).zip(said) {
                ensure!(expected == said, "{command}\n  {expected}\n  {said}");
            }
        }
        for payload in script::ODD {
            let (expected, said) = (other.say(payload.as_bytes())?, ours.say(payload.as_bytes())?);
            ensure!(expected == said, "{payload:?}\n  {expected}\n  {said}");
        }
        ensure!(broker.stop()?.success());
        Ok(())
    }

    #[test]
    fn every_kind_of_rule_decides_as_with_mosquitto() -> Result<()> {
        let Some(program) = program() else { return Ok(()) };
        let theirs = Mosquitto::start(&program)?;
        let (_folder, broker, ours) = start()?;
        let mut sides = [
            (theirs.address, Manager::connect(theirs.address, PASSWORD)?),
            (broker.address(), ours),
        ];
        let writer = [
            c(
                "createRole",
                json!({"rolename": "writer", "acls": [
                    {"acltype": "publishClientSend", "topic": "#", "allow": true},
                ]}),
            ),
            c(
                "createClient",
                json!({"username": "writer", "password": "p", "roles": [{"rolename": "writer"}]}),
            ),
        ];
        let other_defaults = c(
            "setDefaultACLAccess",
            json!({"acls": [
                {"acltype": "publishClientSend", "allow": true},
                {"acltype": "publishClientReceive", "allow": false},
                {"acltype": "subscribe", "allow": true},
                {"acltype": "unsubscribe", "allow": false},
            ]}),
        );
        for (_, manager) in &mut sides {
            script::furnish(manager)?;
            manager.have(&writer)?;
        }
        for round in 0..2 {
            let mut lines = Vec::new();
            for (address, _) in &sides {
                let mut of_one = script::matrix(*address)?;
                of_one.push(format!("{:?}", script::received(*address)?));
                lines.push(of_one);
            }
            ensure!(lines[0].len() > 300 && lines[0].len() == lines[1].len());
            for (expected, said) in lines[0].iter().zip(&lines[1]) {
                ensure!(expected == said, "round {round}:\n  {expected}\n  {said}");
            }
            for (_, manager) in &mut sides {
                manager.have(std::slice::from_ref(&other_defaults))?;
            }
        }
        Ok(())
    }

    #[test]
    fn mosquitto_ctrl_manages_it() -> Result<()> {
        let Some(program) = program() else { return Ok(()) };
        // As the wrappers of the others do it.
        let wrapper =
            fs::read_to_string(program)?.replace("sbin/mosquitto'", "bin/mosquitto_ctrl'");
        let (folder, broker, _) = start()?;
        let ctrl = folder.path().join("ctrl.sh");
        fs::write(&ctrl, wrapper)?;
        let run = |words: &[&str]| -> Result<String> {
            let output = Command::new("sh")
                .arg(&ctrl)
                .args(["-h", "127.0.0.1", "-p", &broker.address().port().to_string()])
                .args(["-u", "admin", "-P", PASSWORD, "dynsec"])
                .args(words)
                .output()?;
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(output.status.success(), "{words:?}: {told}");
            Ok(told)
        };
        run(&["createClient", "ann", "-p", "secret"])?;
        run(&["createRole", "r"])?;
        run(&["addRoleACL", "r", "publishClientSend", "a/#", "allow", "5"])?;
        run(&["addClientRole", "ann", "r", "3"])?;
        ensure!(run(&["getClient", "ann"])?.contains("r (priority: 3)"));
        ensure!(run(&["listClients"])?.contains("ann"));
        ensure!(
            run(&["getRole", "r"])?.contains("publishClientSend    : allow : a/# (priority: 5)")
        );
        let mut ann = Client::connect(broker.address(), &Who::user("ann", "secret", "a"))?;
        ensure!(ann.publish("a/b", b"")? != Told::Code(0x87));
        ensure!(ann.publish("b", b"")? == Told::Code(0x87));
        Ok(())
    }

    /// Role and client with these rules, and the client.
    fn with_rules(manager: &mut Manager, acls: Value) -> Result<()> {
        manager.have(&[
            c("createRole", json!({"rolename": "r", "acls": acls})),
            c(
                "createClient",
                json!({"username": "ann", "password": "p", "roles": [{"rolename": "r"}]}),
            ),
        ])?;
        Ok(())
    }

    fn send(topic: &str) -> Value {
        json!({"acltype": "publishClientSend", "topic": topic, "allow": true})
    }

    #[test]
    fn what_was_answered_survives_a_kill_at_once() -> Result<()> {
        let (_folder, config) = setting()?;
        for number in 0..8 {
            let broker = BrokerProcess::start_with(&config)?;
            let mut manager = Manager::connect(broker.address(), PASSWORD)?;
            let listed = manager.have(&[c("listClients", json!({}))])?;
            ensure!(listed[0]["data"]["totalCount"] == json!(number + 1), "{listed:?}");
            let name = format!("client {number}");
            manager.have(&[c("createClient", json!({"username": name, "password": "p"}))])?;
            broker.kill()?;
            let broker = BrokerProcess::start_with(&config)?;
            Client::connect(broker.address(), &Who::user(&name, "p", "x"))?;
        }
        Ok(())
    }

    #[test]
    fn a_change_holds_when_it_is_answered_on_every_shard() -> Result<()> {
        let (_folder, config) = setting()?;
        let broker = BrokerProcess::start_with(&format!("shards = 4\n{config}"))?;
        let mut manager = Manager::connect(broker.address(), PASSWORD)?;
        with_rules(&mut manager, json!([]))?;
        for number in 0..20 {
            let topic = format!("t{number}");
            let add = json!({"rolename": "r", "acltype": "publishClientSend", "topic": topic,
                             "allow": true});
            manager.have(&[c("addRoleACL", add)])?;
            let id = format!("c{number}");
            let mut ann = Client::connect(broker.address(), &Who::user("ann", "p", &id))?;
            ensure!(ann.publish(&topic, b"")? != Told::Code(0x87), "{topic}");
        }
        Ok(())
    }

    #[test]
    fn who_is_changed_has_to_come_again_and_others_stay() -> Result<()> {
        let (_folder, broker, mut manager) = start()?;
        with_rules(&mut manager, json!([send("a")]))?;
        manager.have(&[c("createClient", json!({"username": "bob", "password": "p"}))])?;
        let address = broker.address();
        let ann = Who::user("ann", "p", "a");
        let mut bob = Client::connect(address, &Who::user("bob", "p", "b"))?;
        for (command, back) in [
            (
                c(
                    "addRoleACL",
                    json!({"rolename": "r", "acltype": "publishClientSend", "topic": "b"}),
                ),
                true,
            ),
            (c("setClientPassword", json!({"username": "ann", "password": "p"})), true),
            (c("disableClient", json!({"username": "ann"})), false),
            (c("enableClient", json!({"username": "ann"})), true),
            (c("setClientId", json!({"username": "ann", "clientid": "another"})), false),
            (c("setClientId", json!({"username": "ann"})), true),
            (c("deleteClient", json!({"username": "ann"})), false),
        ] {
            let before = Client::hello(address, &ann)?;
            let was_in = before.1 == Told::Code(0);
            manager.have(std::slice::from_ref(&command))?;
            if was_in {
                let (mut client, _) = before;
                let told = client.told()?;
                ensure!(told == Told::Gone(0x98), "{command}: {told:?}");
            }
            let (_, told) = Client::hello(address, &ann)?;
            ensure!((told == Told::Code(0)) == back, "{command}: {told:?}");
        }
        ensure!(bob.subscribe("x")? == Told::Code(0x87), "it has stayed");
        // Who changes itself hears of it first.
        let own = c("modifyClient", json!({"username": "admin", "textname": "me"}));
        manager.have(&[own])?;
        ensure!(manager.0.told()? == Told::Gone(0x98));
        Ok(())
    }

    #[test]
    fn messages_are_for_those_who_may_and_of_any_quality_of_service() -> Result<()> {
        let (_folder, broker, mut manager) = start()?;
        with_rules(&mut manager, json!([send("#")]))?;
        let mut ann = Client::connect(broker.address(), &Who::user("ann", "p", "a"))?;
        let payload = br#"{"commands":[{"command":"deleteClient","username":"ann"}]}"#;
        ensure!(ann.publish(TOPIC, payload)? == Told::Code(0x87));
        ensure!(ann.subscribe("$CONTROL/#")? == Told::Code(0x87));
        let ask = br#"{"commands":[{"command":"getDetails"}]}"#;
        manager.0.publish_qos_0(TOPIC, ask)?;
        ensure!(manager.response()?["responses"][0]["data"]["clientCount"] == json!(2));
        ensure!(manager.0.publish_qos_2(TOPIC, ask)? == Told::Code(0));
        ensure!(manager.response()?["responses"][0]["data"]["clientCount"] == json!(2));
        // Another one of these topics, of which nobody knows here.
        ensure!(manager.0.subscribe("$CONTROL/#")? == Told::Code(1));
        ensure!(manager.0.publish("$CONTROL/other/v1", b"{}")? == Told::Code(0));
        let (topic, payload) = manager.0.message()?.context("no response")?;
        ensure!(topic == "$CONTROL/other/v1/response" && payload.starts_with(b"{\"error\""));
        // No passwords in the log.
        ensure!(!broker.log().contains(PASSWORD));
        Ok(())
    }

    #[test]
    fn who_is_connected_is_told() -> Result<()> {
        let (_folder, broker, mut manager) = start()?;
        with_rules(&mut manager, json!([]))?;
        let connections = |manager: &mut Manager| -> Result<Value> {
            let said = manager.have(&[c("getClient", json!({"username": "ann"}))])?;
            Ok(said[0]["data"]["client"]["connections"].clone())
        };
        ensure!(connections(&mut manager)? == json!([]));
        let _one = Client::connect(broker.address(), &Who::user("ann", "p", "a"))?;
        let _two = Client::connect(broker.address(), &Who::user("ann", "p", "b"))?;
        let told = connections(&mut manager)?;
        ensure!(told == json!([{"address": "127.0.0.1"}, {"address": "127.0.0.1"}]), "{told}");
        let all = manager.have(&[c("listClients", json!({"verbose": true}))])?;
        let all = all[0]["data"]["clients"].as_array().context("clients")?.clone();
        let counts: Vec<usize> =
            all.iter().map(|client| client["connections"].as_array().map_or(0, Vec::len)).collect();
        ensure!(counts == [1, 2], "admin and ann: {counts:?}");
        Ok(())
    }

    #[test]
    fn a_file_that_was_changed_by_hand_is_read_on_reload() -> Result<()> {
        let (folder, broker, mut manager) = start()?;
        with_rules(&mut manager, json!([send("a")]))?;
        let address = broker.address();
        let mut ann = Client::connect(address, &Who::user("ann", "p", "a"))?;
        ensure!(ann.publish("b", b"")? == Told::Code(0x87));
        let file = folder.path().join("ds.json");
        let text = fs::read_to_string(&file)?;
        let pid = broker.pid().context("a process")?;
        // One that is wrong changes nothing.
        fs::write(&file, text.replace("\"publishClientSend\",", "\"nonsense\","))?;
        signal("HUP", pid)?;
        broker.await_log("there is no acltype \"nonsense\"", 1)?;
        ensure!(ann.publish("a", b"")? != Told::Code(0x87));
        // Rights change for those who are connected.
        fs::write(&file, text.replace("\"topic\": \"a\"", "\"topic\": \"b\""))?;
        signal("HUP", pid)?;
        broker.await_log("is read again", 1)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while ann.publish("b", b"")? == Told::Code(0x87) {
            ensure!(Instant::now() < deadline, "the rights have not changed");
        }
        ensure!(ann.publish("a", b"")? == Told::Code(0x87));
        // Whoever may not be here any more is not.
        let ann_gone = text.replace("\"username\": \"ann\"", "\"username\": \"eve\"");
        fs::write(&file, ann_gone)?;
        signal("HUP", pid)?;
        let told = ann.told()?;
        ensure!(told == Told::Gone(0x98), "{told:?}");
        Ok(())
    }

    #[test]
    fn a_file_of_no_use_stops_the_start() -> Result<()> {
        let (folder, config) = setting()?;
        fs::write(folder.path().join("ds.json"), "{\n  \"clients\": 3\n}\n")?;
        let error = BrokerProcess::start_with(&config).err().context("it starts")?;
        let told = format!("{error:#}");
        ensure!(told.contains("ds.json: ") && told.contains("at line 2"), "{told}");
        Ok(())
    }

    #[test]
    fn what_cannot_be_kept_changes_nothing_and_is_said() -> Result<()> {
        let (folder, broker, mut manager) = start()?;
        // A folder stands where the new file would be.
        fs::create_dir_all(folder.path().join("ds.json.new/x"))?;
        let create = c("createClient", json!({"username": "ann", "password": "p"}));
        let said = manager.ask(std::slice::from_ref(&create))?;
        let error = said[0]["error"].as_str().unwrap_or_default().to_owned();
        ensure!(error.starts_with("Nothing is changed: "), "{said:?}");
        let (_, told) = Client::hello(broker.address(), &Who::user("ann", "p", "a"))?;
        ensure!(told != Told::Code(0), "{told:?}");
        fs::remove_dir_all(folder.path().join("ds.json.new"))?;
        manager.have(&[create])?;
        Client::connect(broker.address(), &Who::user("ann", "p", "a"))?;
        Ok(())
    }

    #[test]
    fn hostile_messages_are_answered_and_nobody_else_waits() -> Result<()> {
        let (_folder, broker, mut manager) = start()?;
        let deep = format!("{{\"commands\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let one = json!({"command": "listRoles", "verbose": true});
        let many = json!({"commands": vec![one; 10_000]}).to_string();
        let large = format!("{{\"commands\":[{{\"command\":\"{}\"}}]}}", "x".repeat(500_000));
        let said = manager.say(deep.as_bytes())?;
        ensure!(said["responses"][0]["error"] == "Payload not valid JSON", "{said}");
        let said = manager.say(large.as_bytes())?;
        ensure!(said["responses"][0]["error"] == "Unknown command");
        // More than a client takes, perhaps, but the broker lives.
        let told = manager.0.publish(TOPIC, many.as_bytes())?;
        ensure!(told == Told::Code(0), "{told:?}");
        let mut other = Manager::connect(broker.address(), PASSWORD)?;
        other.have(&[c("getDetails", json!({}))])?;
        ensure!(broker.stop()?.success());
        Ok(())
    }
}
