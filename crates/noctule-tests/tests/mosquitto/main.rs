//! mosquitto.conf: noctule, started by the name of mosquitto, beside mosquitto with the same files.

#[cfg(unix)]
mod behaviour;
#[cfg(unix)]
mod clients;
#[cfg(unix)]
mod control;
#[cfg(unix)]
mod http_api;
#[cfg(unix)]
mod script;
#[cfg(unix)]
mod side;
#[cfg(unix)]
mod talk;

#[cfg(unix)]
mod tests {
    use crate::script::{self, Connect, PLAIN};
    use crate::side::{Running, Side, ours};
    use anyhow::{Context, Result, ensure};
    use noctule_tests::driver::Needs;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use std::process::Command;
    use std::time::{Duration, Instant};

    /// Both sides, with users and rules; `None` if mosquitto is not here.
    fn sides() -> Result<Option<[Side; 2]>> {
        let Some(theirs) = Needs::MosquittoPeers.program() else { return Ok(None) };
        let sides = [Side::new(&theirs)?, Side::new(&ours()?)?];
        for side in &sides {
            users(side)?;
        }
        Ok(Some(sides))
    }

    fn users(side: &Side) -> Result<()> {
        side.write_users("passwords", &["ann"])?;
        side.write("acl", "user ann\ntopic readwrite #\n")?;
        Ok(())
    }

    /// What clients of both are told, each time the same.
    fn compare(file: &str) -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        compare_at(&sides, file, 2)
    }

    fn compare_at(sides: &[Side; 2], file: &str, listeners: usize) -> Result<()> {
        let mut running = [sides[0].start(file)?, sides[1].start(file)?];
        let mut differ = String::new();
        for listener in 0..listeners {
            for (side, running) in sides.iter().zip(&mut running) {
                side.await_listening(running, listener)?;
            }
            for connect in script::all() {
                let [theirs, ours] = [&sides[0], &sides[1]].map(|side| {
                    connect.answer(side.address(listener)).unwrap_or_else(|error| error.to_string())
                });
                if theirs != ours {
                    differ += &format!("{connect:?} at {listener}\n  {theirs}\n  {ours}\n");
                }
            }
        }
        ensure!(differ.is_empty(), "{file}:\n{differ}\n{}", running[1].log());
        for running in running {
            let status = running.end()?;
            ensure!(status.success(), "{file}: ends with {status}");
        }
        Ok(())
    }

    #[test]
    fn debians_default_with_a_folder_of_files() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        compare_at(&sides, "debian.conf", 1)?;
        for side in &sides {
            let log = std::fs::read_to_string(side.folder.join("mosquitto.log"))?;
            ensure!(log.contains("New client connected from 127.0.0.1:"), "{log}");
        }
        Ok(())
    }

    #[test]
    fn a_home_assistant_add_on() -> Result<()> {
        compare("home-assistant.conf")
    }

    #[test]
    fn a_container() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        compare_at(&sides, "container.conf", 1)
    }

    #[test]
    fn counts_and_listeners_over_http() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::http_api::compare(&sides))
    }

    #[test]
    fn questions_about_the_broker() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::control::compare(&sides))
    }

    #[test]
    fn all_that_paho_sees() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::clients::compare(&sides))
    }

    #[test]
    fn queues_of_clients_that_are_away() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::behaviour::queues(&sides))
    }

    #[test]
    fn rules_of_an_acl_file() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::behaviour::rules(&sides))
    }

    #[test]
    fn what_a_restart_keeps() -> Result<()> {
        sides()?.map_or(Ok(()), |sides| crate::behaviour::restarts(&sides))
    }

    #[test]
    fn client_ids_that_begin_with_something() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        for more in ["clientid_prefixes ab\n", "clientid_prefixes k\nauto_id_prefix kept-\n"] {
            let file = format!(
                "user root\nlistener @PORT1@ 127.0.0.1\nallow_anonymous true\n\
                 password_file @DIR@/passwords\n{more}"
            );
            for side in &sides {
                side.write("this.conf", &file)?;
            }
            compare_at(&sides, "this.conf", 1)?;
        }
        Ok(())
    }

    #[test]
    fn settings_of_each_listener() -> Result<()> {
        compare("per-listener.conf")
    }

    /// mosquitto's own plugins are not where the file says they are: noctule needs no such file.
    #[test]
    fn plugins_of_mosquitto_for_one_listener() -> Result<()> {
        let side = Side::new(&ours()?)?;
        users(&side)?;
        let running = side.start("plugins.conf")?;
        let login = Some(("ann", "secret"));
        let wrong = Some(("ann", "wrong"));
        for (at, login, taken) in
            [(0, login, true), (0, wrong, false), (0, None, false), (1, None, true)]
        {
            let answer = Connect { login, ..PLAIN }.answer(side.address(at))?;
            ensure!(answer.ends_with("closed") != taken, "{at} {login:?}: {answer}");
        }
        let answer = Connect { id: "", login, ..PLAIN }.answer(side.address(0))?;
        let prefix = format!("{:02x?}", b"named-");
        ensure!(answer.contains(prefix.trim_matches(['[', ']'])), "{answer}");
        drop(running);
        Ok(())
    }

    #[test]
    fn tls() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "the CA of a test");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let (key, of_client) = (KeyPair::generate()?, KeyPair::generate()?);
        let names = vec!["localhost".into(), "127.0.0.1".into()];
        let server = CertificateParams::new(names)?.signed_by(&key, &ca)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "device-1");
        let client = params.signed_by(&of_client, &ca)?;
        let publisher = sides[0].program.with_file_name("mosquitto_pub");
        for side in &sides {
            side.write("ca.crt", &ca.pem())?;
            side.write("server.crt", &server.pem())?;
            side.write("server.key", &key.serialize_pem())?;
            side.write("client.crt", &client.pem())?;
            side.write("client.key", &of_client.serialize_pem())?;
            let running = side.start("tls.conf")?;
            let publish = |at: usize, more: &[&str]| -> Result<bool> {
                let status = Command::new(&publisher)
                    .args(["-p", &side.ports[at].to_string(), "-t", "a", "-m", "b", "-q", "1"])
                    .args(["-i", "tester", "-h", "localhost", "--cafile", "ca.crt"])
                    .args(more)
                    .current_dir(&side.folder)
                    .output()?;
                Ok(status.status.success())
            };
            let shown = ["--cert", "client.crt", "--key", "client.key"];
            for (at, more, wanted) in
                [(0, &[][..], true), (0, &shown, true), (1, &[], false), (1, &shown, true)]
            {
                ensure!(publish(at, more)? == wanted, "{at} {more:?}:\n{}", running.log());
            }
            ensure!(running.log().contains("u'device-1'"), "{}", running.log());
        }
        Ok(())
    }

    #[test]
    fn a_file_with_nothing_in_it_is_for_this_machine() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        for side in &sides {
            let port = side.ports[0].to_string();
            let mut child = Command::new(&side.program)
                .args(["-c", "local.conf", "-p", &port])
                .current_dir(&side.folder)
                .env("HOME", &side.folder)
                .output_to_nowhere()?;
            let answer = until(|| PLAIN.answer(side.address(0)).ok());
            drop(child.kill());
            drop(child.wait());
            let answer = answer.context("it listens")?;
            let wanted = "[20, 0e, 00, 00, 0b, 22, 00, 0a, 27, 00, 1e, 84, 80, 21, 00, 14] []";
            ensure!(answer == wanted, "{answer}");
        }
        Ok(())
    }

    #[test]
    fn both_end_with_the_same_code() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        let port = "listener @PORT1@ 127.0.0.1\nuser root\n";
        for (text, more) in [
            ("", &["--test-config"][..]),
            ("allow_anonymous true  more words\n", &["--test-config"]),
            ("max_inflight_messages 0x10\n", &["--test-config"]),
            ("retry_interval\nset_tcp_nodelay 1\n", &["--test-config"]),
            ("foo\n", &[]),
            ("foo\n", &["--test-config"]),
            (" # no comment\n", &[]),
            ("allow_anonymous maybe\n", &[]),
            ("allow_anonymous True\n", &[]),
            ("allow_anonymous\ttrue\n", &[]),
            ("max_packet_size 19\n", &[]),
            ("max_packet_size many\n", &[]),
            ("persistence_location /a\npersistence_location /b\n", &[]),
            ("mount_point a/#\n", &[]),
            ("max_qos 3\n", &[]),
            ("protocol coap\n", &[]),
            ("log_type loud\n", &[]),
            ("log_dest moon\n", &[]),
            ("certfile only\n", &[]),
            ("password_file\n", &[]),
            ("persistent_client_expiration 5\n", &[]),
            ("per_listener_settings true\nbind_address\n", &[]),
            ("password_file @DIR@/passwords\nper_listener_settings true\n", &[]),
            ("include_dir @DIR@/nowhere\n", &[]),
            ("auto_id_prefix 012345678901234567890123456789012345678901234567890\n", &[]),
            ("plugin_opt_x y\n", &[]),
            ("bridge_cafile x\n", &[]),
            ("listener 70000\n", &[]),
            ("listener 0\n", &[]),
            ("user nobody-of-this-name\n", &[]),
        ] {
            let mut codes = Vec::new();
            for side in &sides {
                side.write("this.conf", &format!("{port}{text}"))?;
                codes.push(side.outcome(&[&["-c", "this.conf"], more].concat())?);
            }
            ensure!(codes[0].0 == codes[1].0, "{text:?} {more:?}: {codes:#?}");
        }
        for words in [&["-h"][..], &["--version"], &["--moon"], &["-c"], &["-p", "0"], &["-p"]] {
            let [theirs, ours] = [&sides[0], &sides[1]].map(|side| side.outcome(words));
            let (theirs, ours) = (theirs?, ours?);
            ensure!(theirs.0 == ours.0, "{words:?}: {theirs:?} {ours:?}");
        }
        Ok(())
    }

    #[test]
    fn a_port_that_is_taken_ends_both_with_1() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        for side in &sides {
            let taken = std::net::TcpListener::bind(side.address(0))?;
            side.write("this.conf", "user root\nlistener @PORT1@ 127.0.0.1\n")?;
            let (code, text) = side.outcome(&["-c", "this.conf"])?;
            ensure!(code == Some(1), "{code:?}: {text}");
            drop(taken);
        }
        Ok(())
    }

    /// Lines that programs look for, without times and ports of clients.
    fn lines(running: &Running) -> Vec<String> {
        let mut lines = Vec::new();
        for line in running.log().lines() {
            let words = line.split_once(": ").map_or(line, |(_, words)| words);
            let looked_for = words.starts_with("New c")
                || words.starts_with("Client ")
                || words.starts_with("Opening ");
            if looked_for {
                lines.push(words.to_owned());
            }
        }
        lines
    }

    /// Digits behind the address of this machine are of no interest.
    fn without_ports(line: &str, side: &Side) -> String {
        let mut pieces = line.split("127.0.0.1:");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            text += "127.0.0.1:?";
            text += piece.trim_start_matches(|char: char| char.is_ascii_digit());
        }
        text.replace(&side.ports[0].to_string(), "PORT")
    }

    #[test]
    fn the_log_says_it_in_the_same_words() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        let mut logs = Vec::new();
        for side in &sides {
            side.write(
                "this.conf",
                "user root\nlistener @PORT1@ 127.0.0.1\npassword_file @DIR@/passwords\n",
            )?;
            let running = side.start("this.conf")?;
            // The connection by which it was found out that it listens.
            until(|| running.log().contains("disconnected").then_some(()));
            let login = Some(("ann", "secret"));
            for connect in [
                Connect { login, ..PLAIN },
                Connect { login, level: 4, clean: false, ..PLAIN },
                Connect { login: Some(("ann", "wrong")), level: 4, ..PLAIN },
                PLAIN,
            ] {
                let before = lines(&running).len();
                connect.answer(side.address(0))?;
                let whole = || (lines(&running).len() > before + 1).then_some(());
                until(whole).with_context(|| running.log())?;
            }
            let told = lines(&running);
            // Whoever does not say its name is told of by mosquitto alone.
            let named = told.iter().filter(|line| !line.starts_with("Client 127.0.0.1 "));
            logs.push(named.map(|line| without_ports(line, side)).collect::<Vec<_>>());
            ensure!(running.end()?.success(), "ends well");
        }
        ensure!(logs[0] == logs[1], "{logs:#?}");
        Ok(())
    }

    #[test]
    fn the_log_is_published_where_it_is_asked_for() -> Result<()> {
        let Some(sides) = sides()? else { return Ok(()) };
        let mut told = Vec::new();
        for side in &sides {
            let file = "user root\nlog_dest stderr\nlog_dest topic\nlog_timestamp false\n\
                        listener @PORT1@ 127.0.0.1\nallow_anonymous true\n";
            side.write("this.conf", file)?;
            let running = side.start("this.conf")?;
            let reader = script::LogReader::begin(side.address(0))?;
            PLAIN.answer(side.address(0))?;
            let line = reader.until(" as abc (")?;
            told.push(without_ports(&line, side));
            ensure!(running.end()?.success(), "ends well");
        }
        ensure!(told[0].starts_with("$SYS/broker/log/N"), "{told:?}");
        ensure!(told[0] == told[1], "{told:?}");
        Ok(())
    }

    #[test]
    fn signals_are_mosquittos() -> Result<()> {
        let side = Side::new(&ours()?)?;
        let file = "log_dest file @DIR@/log\nuser root\npid_file @DIR@/pid\n\
                    listener @PORT1@ 127.0.0.1\n";
        side.write("this.conf", file)?;
        let running = side.start("this.conf")?;
        let log = side.folder.join("log");
        let says = |text: &str| std::fs::read_to_string(&log).is_ok_and(|it| it.contains(text));
        until(|| says(" running").then_some(())).context("it says that it runs")?;
        let pid = std::fs::read_to_string(side.folder.join("pid"))?;
        ensure!(pid.trim().parse::<u32>().is_ok(), "{pid}");
        for (signal, words) in [("USR1", "nothing to save"), ("USR2", "are not printed")] {
            running.signal(signal)?;
            until(|| says(words).then_some(())).with_context(|| signal.to_owned())?;
        }
        for (signal, words) in [("HUP", "Reloading config."), ("RTMIN", "opened anew")] {
            std::fs::rename(&log, side.folder.join("log.1"))?;
            running.signal(signal)?;
            until(|| says(words).then_some(())).with_context(|| format!("{signal}: {words}"))?;
        }
        // A file that is wrong by now changes nothing.
        side.write("this.conf", &format!("{file}foo\n"))?;
        running.signal("HUP")?;
        until(|| says("stays as it was").then_some(())).context("it says so")?;
        PLAIN.answer(side.address(0))?;
        ensure!(running.end()?.code() == Some(0), "ends with 0");
        ensure!(!side.folder.join("pid").exists(), "the pid file is gone");
        Ok(())
    }

    #[test]
    fn in_the_background_it_is_found_by_its_pid_file() -> Result<()> {
        let side = Side::new(&ours()?)?;
        let file = "log_dest file @DIR@/log\nuser root\npid_file pid\nlistener @PORT1@ 127.0.0.1\n";
        side.write("this.conf", file)?;
        let (code, text) = side.outcome(&["-d", "-c", "this.conf"])?;
        ensure!(code == Some(0), "{code:?} {text}");
        until(|| PLAIN.answer(side.address(0)).ok()).context("it listens")?;
        // A relative path begins where it was started.
        let pid = std::fs::read_to_string(side.folder.join("pid"))?;
        let status = Command::new("kill").arg(pid.trim()).status()?;
        ensure!(status.success(), "kill {pid}");
        let gone = || (!side.folder.join("pid").exists()).then_some(());
        until(gone).context("it ends, and its pid file with it")
    }

    /// Looks until there is something, for as long as anybody would wait.
    fn until<T>(look: impl Fn() -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match look() {
                Some(found) => return Some(found),
                None if Instant::now() > deadline => return None,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// A process whose output nobody reads.
    trait Silent {
        fn output_to_nowhere(&mut self) -> std::io::Result<std::process::Child>;
    }

    impl Silent for Command {
        fn output_to_nowhere(&mut self) -> std::io::Result<std::process::Child> {
            use std::process::Stdio;
            self.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        }
    }
}
