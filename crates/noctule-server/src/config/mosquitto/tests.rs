//! What is translated to what, and that whatever mosquitto takes says the same on both ways.

use super::options::{Fate, Kind, OPTIONS, Scope};
use super::*;
use crate::config::{Class, LogTo, LogType, LogTypes, TlsVersion, UserNameFrom, show};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("noctule-mosquitto-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn around(&self) -> Surroundings {
        Surroundings { folder: self.0.clone(), ..Surroundings::default() }
    }

    fn read(&self, text: &str) -> Result<Translation, ConfigError> {
        Translation::read(Some(&self.write("mosquitto.conf", text)), &self.around())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn config(text: &str) -> Config {
    Folder::new().read(text).and_then(|it| it.config()).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong, without the folder.
fn faults(text: &str) -> String {
    let folder = Folder::new();
    let error = folder.read(text).and_then(|it| it.config()).expect_err(text).to_string();
    error.replace(&format!("{}/", folder.0.display()), "")
}

fn addresses(config: &Config) -> Vec<SocketAddr> {
    config.listeners.iter().map(|it| it.address).collect()
}

#[test]
fn without_a_listener_this_machine_alone_is_let_in() {
    let mut around = Surroundings::default();
    let of =
        |around: &Surroundings| Translation::read(None, around).and_then(|it| it.config()).unwrap();
    let plain = of(&around);
    let wanted: Vec<SocketAddr> =
        ["127.0.0.1:1883", "[::1]:1883"].map(|it| it.parse().unwrap()).into();
    assert_eq!(addresses(&plain), wanted);
    assert!(plain.listeners.iter().all(|it| it.allow_anonymous));
    around.ports = vec![1884, 1885];
    let ports: Vec<u16> = addresses(&of(&around)).iter().map(SocketAddr::port).collect();
    assert_eq!(ports, [1884, 1884, 1885, 1885]);
}

#[test]
fn mosquittos_defaults_hold() {
    let config = config("listener 1883\n");
    assert_eq!(addresses(&config).len(), 2);
    assert!(config.listeners.iter().all(|it| !it.allow_anonymous));
    let limits = &config.limits;
    assert_eq!((limits.inflight_max, limits.receive_maximum), (20, 20));
    assert_eq!((limits.topic_alias_max, limits.topic_alias_out_max), (10, 10));
    assert_eq!((limits.queue.messages_max, limits.packet_size_max), (1000, 2_000_000));
    assert_eq!((limits.keep_alive_secs_max, &*limits.assigned_id_prefix), (0, "auto-"));
    assert_eq!(config.durability.class, Class::Memory);
    assert_eq!((config.sys_interval_secs, &*config.user), (10, "mosquitto"));
    assert!(!config.admin.enabled, "no other port is opened");
    let usual = [LogType::Error, LogType::Warning, LogType::Notice, LogType::Information];
    assert_eq!(config.log.types_in_force(), LogTypes::of(&usual));
}

#[test]
fn what_is_said_is_meant() {
    let config = config(
        "persistence true\npersistence_location kept\nmax_inflight_messages 0\n\
         max_queued_messages 0\nmax_keepalive 0x64\npersistent_client_expiration 2w\n\
         log_dest stdout\nlog_dest syslog\nlog_dest file a log\nlog_type error\n\
         log_type subscribe\n\
         connection_messages 0\npid_file run/pid\nuser root\nglobal_max_connections 50\n\
         allow_anonymous true\nauto_id_prefix x-\n\
         listener 1884 127.0.0.1\nmax_topic_alias 30\nmax_qos 1\nmount_point a/\n\
         accept_protocol_versions 3,5\nmax_connections 7\nlistener_auto_id_prefix y-\n\
         listener 1885 ::1\nlistener_allow_anonymous false\n",
    );
    assert_eq!(config.durability.class, Class::Fsync);
    let data = config.durability.data.unwrap();
    assert!(data.is_absolute() && data.ends_with("kept"), "{data:?}");
    let limits = &config.limits;
    assert_eq!((limits.inflight_max, limits.receive_maximum), (65_535, 65_535));
    assert_eq!((limits.queue.messages_max, limits.keep_alive_secs_max), (u32::MAX, 100));
    assert!(limits.refusals_as_mosquitto && !limits.reason_strings);
    let expiry = (limits.session_expiry_secs_max, limits.session_expiry_secs_v3);
    assert_eq!(expiry, (1_209_600, 1_209_600));
    assert_eq!((limits.connections_max, config.shards.unwrap().get()), (50, 1));
    assert_eq!((limits.topic_alias_max, &*limits.assigned_id_prefix), (30, "x-"));
    assert_eq!(config.log.to, [LogTo::Stdout, LogTo::Syslog]);
    assert!(config.log.file.unwrap().ends_with("a log"));
    assert_eq!(config.log.types, Some(LogTypes::of(&[LogType::Error, LogType::Subscribe])));
    assert!(!config.log.connection_messages && config.user.is_empty());
    assert!(config.pid_file.unwrap().ends_with("run/pid"));
    let [one, two] = config.listeners.as_slice() else { panic!("two listeners") };
    assert!(one.allow_anonymous && !two.allow_anonymous);
    assert_eq!((one.connections_max, &*one.limits.mount_point), (7, "a/"));
    assert_eq!((one.limits.topic_alias_max, two.limits.topic_alias_max), (30, 10));
    assert_eq!(one.limits.assigned_id_prefix.as_deref(), Some("y-"));
    assert_eq!(two.limits.assigned_id_prefix, None);
}

#[test]
fn tls_is_translated_as_mosquitto_means_it() {
    let config = config(
        "listener 8883 127.0.0.1\ncafile ca\ncertfile c\nkeyfile k\ncrlfile r\n\
         listener 8884 127.0.0.1\ncafile ca\ncertfile c\nkeyfile k\ncrlfile r\n\
         require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\n",
    );
    let tls: Vec<_> = config.listeners.iter().map(|it| it.tls.as_ref().unwrap()).collect();
    assert_eq!((&tls[0].client_ca, &tls[0].crl), (&None, &None), "clients show no certificate");
    assert!(tls[1].client_ca.as_ref().unwrap().ends_with("ca") && tls[1].crl.is_some());
    assert_eq!(tls[1].user_name_from, UserNameFrom::CommonName);
    assert_eq!(tls[1].minimum_version, TlsVersion::V13);
}

#[test]
fn included_files_stand_where_they_are_included() {
    let folder = Folder::new();
    folder.write("d/b.conf", "allow_anonymous false\n");
    folder.write("d/B.conf", "allow_anonymous true\nlistener 1884 127.0.0.1\n");
    folder.write("d/no.txt", "foo\n");
    let include = format!("include_dir {}/d\n", folder.0.display());
    let both = folder.read(&include).and_then(|it| it.config()).unwrap();
    assert!(!both.listeners[0].allow_anonymous, "B before b, and the last one holds");
    let text = format!("listener 1885 127.0.0.1\n{include}max_qos 0\n");
    let config = folder.read(&text).and_then(|it| it.config()).unwrap();
    let qos = config.listeners.iter().map(|it| it.limits.qos_max as u8);
    assert_eq!(qos.collect::<Vec<_>>(), [0, 2], "each file has a last listener of its own");
    folder.write("d/c.conf", "listener 1886\n\nfoo\n");
    let error = folder.read(&include).unwrap_err().to_string();
    assert!(error.ends_with("d/c.conf:3: foo: is no option of mosquitto.conf"), "{error}");
}

#[test]
fn the_plugin_of_dynamic_security_is_an_option() {
    let plugin = "/usr/lib/mosquitto_dynamic_security.so";
    let text = format!(
        "global_plugin {plugin}\nplugin_opt_config_file ds.json\n\
         plugin_opt_password_init_file first\nlistener 1\n"
    );
    let options = config(&text).dynamic_security.unwrap();
    assert!(options.file.is_absolute() && options.file.ends_with("ds.json"));
    assert!(options.password_init_file.is_some_and(|it| it.ends_with("first")));
    for (text, told) in [
        (format!("plugin {plugin}\n"), "mosquitto.conf:1: plugin: needs `plugin_opt_config_file`"),
        (
            format!("plugin {plugin}\nplugin_opt_config_file a\nplugin_opt_x b\n"),
            "mosquitto.conf:3: plugin_opt_x: `plugin_opt_config_file` and ",
        ),
        (
            format!(
                "per_listener_settings true\nlistener 1\nplugin {plugin}\n\
                 plugin_opt_config_file a\n"
            ),
            "mosquitto.conf:3: plugin: is for all listeners here",
        ),
    ] {
        let faults = faults(&text);
        assert!(faults.starts_with(told), "{text}: {faults}");
    }
}

#[test]
fn mistakes_are_told_with_the_line_and_option_of_mosquitto() {
    for (text, told) in [
        ("listener 1\nmax_packet_size 50\n", "mosquitto.conf:2: max_packet_size: 50 is wrong"),
        ("listener 1\nmount_point a\n", "mosquitto.conf:2: mount_point: \"a\" is wrong: must end"),
        ("# x\naddress b\n", "mosquitto.conf:2: address: is about a bridge: write it below a"),
        ("psk_file x\n", "mosquitto.conf:1: psk_file: there is no TLS-PSK: use certificates"),
        ("plugin /x/dynsec.so\n", "mosquitto.conf:1: plugin: \"/x/dynsec.so\" cannot be loaded"),
        (
            "plugin /x/mosquitto_persist_sqlite.so\n",
            "mosquitto.conf:1: plugin: \"/x/mosquitto_persist_sqlite.so\": write `persistence",
        ),
        (
            "listener 1\nprotocol http_api\ncertfile c\nkeyfile k\n",
            "mosquitto.conf:1: listener: is not for protocol = \"http_api\": put a proxy",
        ),
        ("retained_persistence yes\n", "mosquitto.conf:1: retained_persistence: \"yes\" must be"),
        ("listener 1\n\ncertfile x\n", "mosquitto.conf:3: certfile: needs both"),
        ("listener 1 256.0.0.1.x\n", "mosquitto.conf:1: listener: \"256.0.0.1.x\" is no address"),
        ("log_timestamp_format %Q%\n", "mosquitto.conf:1: log_timestamp_format: "),
    ] {
        let faults = faults(text);
        assert!(faults.starts_with(told), "{text}: {faults}");
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }
}

#[test]
fn what_has_no_effect_is_noted() {
    let folder = Folder::new();
    let translation = folder.read("set_tcp_nodelay true\nmax_connections 5\n").unwrap();
    let notes: Vec<String> = translation.notes().iter().map(ToString::to_string).collect();
    assert!(notes[0].contains("mosquitto.conf:1: set_tcp_nodelay: TCP_NODELAY is"), "{notes:?}");
    assert!(notes[1].contains("mosquitto.conf:2: max_connections: has no effect"), "{notes:?}");
    assert!(notes.iter().all(|note| translation.text().contains(note.as_str())));
}

#[test]
fn the_manual_has_the_table_of_options() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mosquitto.md");
    let manual = std::fs::read_to_string(path).unwrap();
    for row in table().lines() {
        let found = manual.lines().any(|line| line == row);
        assert!(found, "write what `noctule config convert --options` prints: {row}");
    }
}

#[test]
fn an_option_stands_in_the_table_once() {
    let names: Vec<&str> = OPTIONS.iter().flat_map(|known| known.names).copied().collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name}");
    }
    assert!(names.len() > 140, "{}", names.len());
}

/// A value that an option takes.
fn value(name: &'static str, kind: &'static Kind) -> BoxedStrategy<String> {
    let plain = "[a-z]{1,8}( [a-z]{1,4})?";
    match (name, kind) {
        ("mount_point", _) => "[a-z]{1,5}/".boxed(),
        ("bind_interface", _) => "[a-z]{2,5}[0-9]".boxed(),
        ("listener_auto_id_prefix" | "auto_id_prefix", _) => "[a-z]{1,20}-".boxed(),
        ("ciphers" | "ciphers_tls1.3", _) => Just("TLS_AES_128_GCM_SHA256".into()).boxed(),
        ("log_timestamp_format", _) => Just("%F %T".into()).boxed(),
        ("max_packet_size", _) => (128..300_000_000_u32).prop_map(|it| it.to_string()).boxed(),
        ("memory_limit", _) => (1_u64 << 24..1 << 40).prop_map(|it| it.to_string()).boxed(),
        (_, Kind::Flag) => {
            prop::sample::select(vec!["true", "false", "1", "0"]).prop_map(str::to_owned).boxed()
        }
        // The third one, http_api, is not for all that else is said of listeners.
        ("protocol", _) => {
            prop::sample::select(vec!["mqtt", "websockets"]).prop_map(str::to_owned).boxed()
        }
        (_, Kind::Number(range)) => {
            (*range.start()..=*range.end()).prop_map(|it| it.to_string()).boxed()
        }
        (_, Kind::Word(words)) => prop::sample::select(*words).prop_map(str::to_owned).boxed(),
        (_, Kind::Text | Kind::LastText | Kind::Anything | Kind::Own) => plain.boxed(),
    }
}

/// A line with an option of a scope that does what it does for mosquitto, or is taken anyway.
fn line(scopes: &'static [Scope]) -> impl Strategy<Value = (&'static str, String)> {
    // These need others beside them, files that are there, or what is not there yet.
    const LEFT_OUT: [&str; 10] = [
        "cafile",
        "capath",
        "certfile",
        "keyfile",
        "crlfile",
        "tls_version",
        "password_file",
        "acl_file",
        "socket_domain",
        "bind_interface",
    ];
    let all: Vec<_> = OPTIONS
        .iter()
        .filter(|known| scopes.contains(&known.scope) && !matches!(known.kind, Kind::Own))
        .filter(|known| !LEFT_OUT.contains(&known.name()))
        .filter(|known| !matches!(known.fate, Fate::Refused(_)))
        .collect();
    prop::sample::select(all).prop_flat_map(|known| {
        let value = match known.fate {
            Fate::Only(value, _) => Just(value.to_owned()).boxed(),
            Fate::Becomes(_) | Fate::Noted(_) | Fate::Refused(_) => {
                value(known.name(), &known.kind)
            }
        };
        let name = prop::sample::select(known.names);
        (name, value).prop_map(move |(name, value)| (known.name(), format!("{name} {value}")))
    })
}

/// Lines of which none says again what another one has said.
fn once(lines: Vec<(&'static str, String)>) -> String {
    let mut said = Vec::new();
    let mut text = String::new();
    for (name, line) in lines {
        if !said.contains(&name) && name != "auth_plugin_deny_special_chars" {
            said.push(name);
            text += &format!("{line}\n");
        }
    }
    text
}

fn file() -> impl Strategy<Value = String> {
    let own = prop::sample::subsequence(
        vec![
            "log_type all",
            "log_dest stderr",
            "log_dest file a/b",
            "log_dest none",
            "persistent_client_expiration 3d",
            "# a comment",
            "",
            "per_listener_settings false",
        ],
        0..8,
    );
    let global = prop::collection::vec(line(&[Scope::Global, Scope::Security]), 0..20);
    let listener = prop::collection::vec(line(&[Scope::Listener, Scope::AnyListener]), 0..8);
    let versions = prop::sample::select(vec!["", "accept_protocol_versions 3, 4\n"]);
    let listeners = prop::collection::vec((listener, versions), 0..4);
    (own, global, listeners).prop_map(|(own, global, listeners)| {
        let mut text = format!("{}\n{}", own.join("\n"), once(global));
        for (at, (lines, versions)) in listeners.into_iter().enumerate() {
            text += &format!("listener {} 127.0.0.1\n{versions}{}", 20_000 + at, once(lines));
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_file_and_what_it_is_converted_to_say_the_same(text in file()) {
        let folder = Folder::new();
        let translation = folder.read(&text).map_err(|it| TestCaseError::fail(it.to_string()))?;
        let direct = translation.config();
        let direct = direct.map_err(|it| TestCaseError::fail(format!("{it}\n{text}")))?;
        // In a file of its own, in another folder.
        let path = folder.write("else/where/noctule.toml", translation.text());
        prop_assert_eq!(&Config::load(&path).unwrap(), &direct);
        let path = folder.write("noctule.toml", &show(&direct));
        let mut again = Config::load(&path).unwrap();
        // What listeners do not say is shown as what holds.
        for (again, direct) in again.listeners.iter_mut().zip(&direct.listeners) {
            again.durability = direct.durability;
        }
        prop_assert_eq!(again, direct);
    }
}
