//! The sample against the defaults, every kind of value, and the exact text of errors.

use super::*;
use noctule_core::limits::{Overflow, QueueLimits, QueueRule};
use noctule_proto::QoS;

fn faults(text: &str) -> String {
    Config::parse("noctule.toml", text).expect_err("the text is wrong").to_string()
}

#[test]
fn the_sample_says_what_is_the_case_without_a_file() {
    assert_eq!(Config::parse("sample", &sample()).unwrap(), Config::default());
    assert_eq!(Config::parse("empty", "").unwrap(), Config::default());
}

#[test]
fn the_sample_names_every_option_with_a_comment() {
    let sample = sample();
    let limits = options::LIMITS.iter().map(|opt| opt.name);
    let limits = limits.chain(memory::MEMORY.iter().map(|opt| opt.name));
    let others = options::TOP.iter().map(|opt| opt.name);
    let listener = options::LISTENER.iter().map(|opt| opt.name);
    let rest = options::LOG.iter().map(|opt| opt.name).chain(
        options::ADMIN.iter().map(|opt| opt.name).chain(options::USER.iter().map(|opt| opt.name)),
    );
    let durability = options::DURABILITY.iter().map(|opt| opt.name);
    let kept = durability.chain(options::TOPIC.iter().map(|opt| opt.name));
    let kept = kept.chain(options::QUEUE.iter().map(|opt| opt.name));
    let kept = kept.chain(options::JWT.iter().map(|opt| opt.name));
    let kept = kept.chain(options::WEBHOOK.iter().map(|opt| opt.name));
    let rates = rates::CLIENT.iter().map(|opt| opt.name);
    let kept = kept.chain(rates).chain(rates::ADDRESS.iter().map(|opt| opt.name));
    for name in limits.chain(others).chain(listener).chain(rest).chain(kept) {
        let found = sample.lines().zip(sample.lines().skip(1)).any(|(above, line)| {
            line.trim_start_matches("# ").starts_with(&format!("{name} = "))
                && above.starts_with("# ")
        });
        assert!(found, "{name} is not in the sample, or not commented");
    }
    assert!(sample.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn every_field_of_the_limits_is_an_option() {
    fn names(fields: &str) -> impl Iterator<Item = &str> {
        let own = fields.lines().filter_map(|line| line.strip_prefix("    "));
        own.filter(|line| !line.starts_with([' ', '}'])).filter_map(|line| line.split(':').next())
    }
    let fields = format!("{:#?}", Limits::default());
    // What is said of durability and of queues has tables of its own.
    for name in names(&fields).filter(|name| !name.starts_with("durability")) {
        let known = options::LIMITS.iter().any(|opt| opt.name == name)
            || options::TOP.iter().any(|opt| opt.name == name);
        // Each of these has a table.
        let table = ["queue", "queue_rules", "client", "listeners"].contains(&name);
        assert!(known || table, "{name} cannot be configured");
    }
    let fields = format!("{:#?}", Limits::default().client);
    for name in names(&fields) {
        let known = rates::CLIENT.iter().any(|opt| opt.name == name);
        assert!(known, "{name} cannot be configured");
    }
    let fields = format!("{:#?}", QueueLimits::default());
    for name in names(&fields) {
        let named = |option: &str| option.trim_start_matches("queue_") == name;
        assert!(options::LIMITS.iter().any(|opt| named(opt.name)), "{name} cannot be configured");
        assert!(options::QUEUE.iter().any(|opt| named(opt.name)), "{name} not for some clients");
    }
}

#[test]
fn values_of_every_kind_are_taken() {
    let config = Config::parse(
        "f",
        r#"
shards = 3
sys_interval_secs = 0
[[listener]]
bind = "0.0.0.0"
port = 2883
tenant = 7
connections_max = 10
[log]
format = "json"
level = "debug"
[admin]
enabled = false
bind = "[::1]:9"
[limits]
packet_size_max = "64 KiB"
queue_bytes_max = 4_000
queue_age_secs_max = 86_400
queues_bytes_max = "64 GiB"
queues_messages_max = 1_000_000
session_expiry_secs_max = 60
session_expiry_secs_v3 = "never"
overflow = "drop_oldest"
qos_max = 1
retain_available = false
assigned_id_prefix = "x-"
"#,
    )
    .unwrap();
    assert_eq!(config.shard_count(), 3);
    assert_eq!(config.sys_interval_secs, 0);
    assert_eq!(config.listeners.len(), 1);
    let listener = &config.listeners[0];
    assert_eq!(listener.address, "0.0.0.0:2883".parse().unwrap());
    assert_eq!(listener.tenant, Tenant(7));
    assert!(!listener.allow_anonymous, "a public address lets nobody in unless told so");
    assert_eq!(listener.connections_max, 10);
    assert_eq!((config.log.format, config.log.level), (LogFormat::Json, LogLevel::Debug));
    assert!(!config.admin.enabled);
    assert_eq!(config.limits.packet_size_max, 65_536);
    assert_eq!(config.limits.queue.bytes_max, 4000);
    assert_eq!(config.limits.queue.age_secs_max, 86_400);
    assert_eq!(config.limits.queues_bytes_max, 64 << 30);
    assert_eq!(config.limits.queues_messages_max, 1_000_000);
    assert_eq!(config.limits.session_expiry_secs_max, 60);
    assert_eq!(config.limits.session_expiry_secs_v3, u32::MAX);
    assert_eq!(config.limits.queue.overflow, Overflow::DropOldest);
    assert_eq!(config.limits.qos_max, QoS::AtLeastOnce);
    assert!(!config.limits.retain_available);
    assert_eq!(&*config.limits.assigned_id_prefix, "x-");
}

#[test]
fn durability_is_for_broker_listener_and_topic() {
    let config = Config::parse(
        "f",
        r#"
[[listener]]
port = 1
durability = "os"
[[listener]]
port = 2
[durability]
class = "fsync"
data = "/srv/noctule"
[[durability.topics]]
filter = "sensors/é/#"
class = "memory"
[[durability.topics]]
filter = "+/bills"
class = "fsync"
"#,
    )
    .unwrap();
    let classes: Vec<_> = config.listeners.iter().map(|it| it.durability).collect();
    assert_eq!(classes, [Some(Class::Os), None]);
    assert_eq!(config.durability.class, Class::Fsync);
    assert_eq!(config.durability.data, Some("/srv/noctule".into()));
    let rules: Vec<_> =
        config.durability.topics.iter().map(|it| (it.filter(), it.class())).collect();
    assert_eq!(rules, [("sensors/é/#", Class::Memory), ("+/bills", Class::Fsync)]);
    let silent = Config::parse("f", "").unwrap().durability;
    assert_eq!(silent, Durability { class: Class::Fsync, data: None, topics: Vec::new() });
}

#[test]
fn errors_of_durability_say_what_would_be_right() {
    assert_eq!(
        faults(
            r#"[[listener]]
durability = "disk"
[durability]
class = true
data = "here"
topic = 1
fsync = true
[[durability.topics]]
filter = "a/#/b"
class = "os"
[[durability.topics]]
filter = "$share/g/a"
class = "os"
[[durability.topics]]
class = "os"
[[durability.topics]]
filter = "b"
"#
        ),
        "\
noctule.toml:2: listener.durability: \"disk\" is wrong: must be \"fsync\", \"os\" or \"memory\"
noctule.toml:4: durability.class: true is wrong: must be \"fsync\", \"os\" or \"memory\"
noctule.toml:5: durability.data: \"here\" is wrong: a directory expected, from the root on, like \
\"/var/lib/noctule\"
noctule.toml:6: durability.topic: unknown option; `noctule config sample` lists them all
noctule.toml:7: durability.fsync: unknown option; `noctule config sample` lists them all
noctule.toml:9: durability.topics.filter: \"a/#/b\" is wrong: has a # that is not the whole last \
level
noctule.toml:12: durability.topics.filter: \"$share/g/a\" is wrong: a filter without $share expected
noctule.toml:14: durability.topics.filter: is missing in this entry
noctule.toml:16: durability.topics.class: is missing in this entry"
    );
    assert_eq!(
        faults("durability = \"os\"\nclass = \"os\"\n"),
        "\
noctule.toml:1: durability: write it as a table: [durability]
noctule.toml:2: class: unknown option here; did you mean `durability.class`?"
    );
    let topics = faults("[durability]\ntopics = 3\n");
    let expected = "noctule.toml:2: durability.topics: write each as a table of its own: \
                    [[durability.topics]]";
    assert_eq!(topics, expected);
}

#[test]
fn a_topic_rule_that_can_never_decide_is_wrong() {
    let rules = |filters: &[&str]| {
        let rule =
            |it: &&str| format!("[[durability.topics]]\nfilter = \"{it}\"\nclass = \"os\"\n");
        filters.iter().map(rule).collect::<String>()
    };
    assert_eq!(
        faults(&rules(&["a/#", "b", "a/+/c", "b"])),
        "\
noctule.toml:7: durability.topics.filter: never has a say, because \"a/#\" above matches all \
of it: write it first
noctule.toml:10: durability.topics.filter: \"b\" has an entry already"
    );
    assert!(Config::parse("f", &rules(&["a/b", "a/#", "#"])).is_ok());
}

#[test]
fn what_is_shown_says_the_same_as_what_was_read() {
    let text = r#"
shards = 2
[[listener]]
bind = "::"
tenant = 3
durability = "memory"
[durability]
class = "os"
data = "/srv/it's \"here\""
[[durability.topics]]
filter = "a/\u0301/é"
class = "fsync"
[log]
format = "json"
[limits]
session_expiry_secs_max = 5
"#;
    let mut config = Config::parse("f", text).unwrap();
    let shown = show(&config);
    // What was left to be chosen is said now.
    config.listeners[0].allow_anonymous = false;
    assert_eq!(Config::parse("shown", &shown).expect(&shown), config);
    assert!(shown.starts_with("# noctule keeps what it acknowledges in /srv/it's \"here\" (os, "));
    let plain = show(&Config::parse("f", "[[listener]]\n").unwrap());
    assert!(
        plain.contains("\nallow_anonymous = true\n")
            && plain.contains("\ndurability = \"fsync\"\n")
    );
}

#[test]
fn listeners_and_rates_say_what_they_allow() {
    let text = r#"
[[listener]]
interface = "eth0"
allow = ["10.0.0.0/8", "::1"]
deny = ["10.1.0.0/16"]
versions = ["3.1.1", "5"]
qos_max = 1
retain_available = false
packet_size_max = "64 KiB"
mount_point = "site/1/"
[[listener]]
interface = "eth1"
[limits.client]
connects_per_min = 6
publish_bytes_per_sec = "1 MiB"
over_rate = "refuse"
[limits.address]
connections_max = 100
half_open_max = "no bound"
"#;
    if !cfg!(target_os = "linux") {
        assert!(faults(text).contains("listener.interface: \"eth0\" is wrong: is for Linux alone"));
        return;
    }
    let config = Config::parse("f", text).unwrap();
    let [first, second] = config.listeners.as_slice() else { panic!("there are two") };
    assert_eq!(first.interface.as_deref(), Some("eth0"));
    assert!(first.admission.admits("10.2.0.1".parse().unwrap()));
    assert!(!first.admission.admits("10.1.0.1".parse().unwrap()));
    let limits = &first.limits;
    assert_eq!((limits.qos_max, limits.packet_size_max), (QoS::AtLeastOnce, 65_536));
    assert!(!limits.retain_available && &*limits.mount_point == "site/1/");
    assert!(!limits.versions.contains(noctule_proto::Version::V31));
    assert_eq!(second.limits, ListenerLimits::default());
    let client = config.limits.client;
    assert_eq!((client.connects_per_min, client.publish_bytes_per_sec), (6, 1 << 20));
    assert_eq!(client.over_rate, noctule_core::limits::OverRate::Refuse);
    let address = AddressLimits { connections_max: 100, ..AddressLimits::default() };
    assert_eq!(config.address_limits, address);
    let shown = show(&config);
    let mut again = Config::parse("shown", &shown).expect(&shown);
    // What was left to be chosen is said now.
    again.listeners.iter_mut().for_each(|it| it.durability = None);
    again.durability.data.clone_from(&config.durability.data);
    assert_eq!(again, config, "{shown}");
}

#[test]
fn errors_of_listeners_and_rates_say_what_would_be_right() {
    assert_eq!(
        faults(
            r##"[[listener]]
allow = "10.0.0.0/8"
deny = ["10.0.0.1/8"]
versions = ["4"]
qos_max = 3
mount_point = "site"
[[listener]]
port = 1
mount_point = "a/#/"
[[listener]]
port = 2
mount_point = "$SYS/"
interface = "a name that is too long"
[limits.client]
over_rate = "stop"
publishes = 1
[limits]
connects_per_min = 1
"##
        ),
        "\
noctule.toml:2: listener.allow: \"10.0.0.0/8\" is wrong: a list of networks expected, like \
[\"10.0.0.0/8\", \"::1\"]
noctule.toml:3: listener.deny: [\"10.0.0.1/8\"] is wrong: \"10.0.0.1/8\" begins in its middle: \
write \"10.0.0.0/8\"
noctule.toml:4: listener.versions: [\"4\"] is wrong: a list of \"3.1\", \"3.1.1\" and \"5.0\" \
expected
noctule.toml:5: listener.qos_max: 3 is wrong: must be 0, 1 or 2
noctule.toml:6: listener.mount_point: \"site\" is wrong: must end with /, as \"site/\": a filter \
like # goes behind it
noctule.toml:9: listener.mount_point: \"a/#/\" is wrong: holds a wildcard; the beginning of a \
topic name expected, like \"site/\"
noctule.toml:12: listener.mount_point: \"$SYS/\" is wrong: must not lie under $SYS/ or $share/, \
which mean something already
noctule.toml:13: listener.interface: \"a name that is too long\" is wrong: the name of a network \
interface expected, like \"eth0\"
noctule.toml:15: limits.client.over_rate: \"stop\" is wrong: must be \"wait\", \"refuse\" or \
\"disconnect\"
noctule.toml:16: limits.client.publishes: unknown option; `noctule config sample` lists them all
noctule.toml:18: limits.connects_per_min: unknown option here; did you mean \
`limits.client.connects_per_min`?"
    );
}

#[test]
fn what_is_shown_holds_no_verifier() {
    let verifier =
        crate::auth::Verifier::from_password("pw", 4096, b"0123456789abcdef").to_string();
    let text = format!("[[users]]\nname = \"a\"\nverifier = \"{verifier}\"\n");
    let shown = show(&Config::parse("f", &text).unwrap());
    assert!(shown.contains("\n# 1 user\n") && !shown.contains("SCRAM"), "{shown}");
}

#[test]
fn anonymous_clients_are_for_loopback_unless_said_otherwise() {
    let config = |text: &str| Config::parse("f", text).unwrap().listeners[0].allow_anonymous;
    assert!(config("[[listener]]\nbind = \"127.0.0.1\""));
    assert!(config("[[listener]]\nbind = \"::1\""));
    assert!(!config("[[listener]]\nbind = \"::\""));
    assert!(config("[[listener]]\nbind = \"::\"\nallow_anonymous = true"));
    assert!(!config("[[listener]]\nallow_anonymous = false"));
}

#[test]
fn errors_name_file_line_option_and_what_would_be_right() {
    assert_eq!(
        faults(
            r#"sys_intervall_secs = 3
shards = 1000
packet_size_max = 5
wholly_strange = 1

[limits]
qos_max = 3
packet_size_max = "64 KB"
receive_maximum = 0
overflow = "drop"
queue_qos0 = "yes"
session_expiry_secs_max = -1
log = 3
"#
        ),
        "\
noctule.toml:1: sys_intervall_secs: unknown option; did you mean `sys_interval_secs`?
noctule.toml:2: shards: 1000 is wrong: must be 0 (as many as cores) or lie between 1 and 256
noctule.toml:3: packet_size_max: unknown option here; did you mean `limits.packet_size_max`?
noctule.toml:4: wholly_strange: unknown option; `noctule config sample` lists them all
noctule.toml:7: limits.qos_max: 3 is wrong: must be 0, 1 or 2
noctule.toml:8: limits.packet_size_max: \"64 KB\" is wrong: a number of bytes, like 65536 or \
\"64 KiB\", expected
noctule.toml:9: limits.receive_maximum: 0 is wrong: must lie between 1 and 65535
noctule.toml:10: limits.overflow: \"drop\" is wrong: must be \"drop_newest\" or \"drop_oldest\"
noctule.toml:11: limits.queue_qos0: \"yes\" is wrong: true or false expected, without quotes
noctule.toml:12: limits.session_expiry_secs_max: -1 is wrong: must lie between 0 and 4294967295
noctule.toml:13: limits.log: unknown option; `noctule config sample` lists them all"
    );
}

#[test]
fn errors_of_tables_and_lists_say_how_to_write_them() {
    assert_eq!(
        faults("listener = 3\nlog = true\n[users]\nname = \"x\"\n"),
        "\
noctule.toml:1: listener: write each as a table of its own: [[listener]]
noctule.toml:2: log: write it as a table: [log]
noctule.toml:3: users: write each as a table of its own: [[users]]"
    );
    assert_eq!(
        faults("[[listener]]\nbind = \"localhost\"\n[[listener]]\nport = 70000\n"),
        "\
noctule.toml:2: listener.bind: \"localhost\" is wrong: an IP address expected, like \
\"127.0.0.1\", \"::1\" or \"0.0.0.0\" (all)
noctule.toml:3: listener: another listener is at 127.0.0.1:1883 already
noctule.toml:4: listener.port: 70000 is wrong: must lie between 0 and 65535"
    );
    assert!(faults("shards = \n").starts_with("noctule.toml:1: "));
    assert!(faults("[log]\nlevel = \"a\"\nlevel = \"b\"\n").starts_with("noctule.toml:3: "));
}

#[test]
fn users_need_a_name_and_a_verifier_and_secrets_are_not_repeated() {
    let good = crate::auth::Verifier::from_password("pw", 4096, b"0123456789abcdef").to_string();
    let text = format!("[[users]]\nname = \"a\"\nverifier = \"{good}\"\n");
    assert_eq!(Config::parse("f", &text).unwrap().users.len(), 1);
    assert_eq!(
        faults(&format!("{text}{text}[[users]]\nname = \"b\"\n[[users]]\nverifier = \"secret\"")),
        "\
noctule.toml:4: users.name: \"a\" has an entry already
noctule.toml:7: users.verifier: is missing in this entry
noctule.toml:10: users.verifier: a verifier expected, as `noctule passwd NAME` prints it"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("/nonexistent/noctule.toml")).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/noctule.toml: cannot be read: "));
}

#[test]
fn a_file_without_any_listener_is_wrong() {
    let text = faults("shards = 1\nlistener = []\n");
    assert!(text.starts_with("noctule.toml:2: listener: a broker without a listener"), "{text}");
}

#[test]
fn texts_that_go_into_packets_hold_no_control_characters() {
    for option in ["assigned_id_prefix", "response_information"] {
        let text = faults(&format!("[limits]\n{option} = \"a\\u0007b\"\n"));
        assert!(text.starts_with(&format!("noctule.toml:2: limits.{option}: ")), "{text}");
        assert!(text.contains("control characters"), "{text}");
    }
}

#[test]
fn assigned_client_ids_have_to_be_short_enough() {
    let text = faults("[limits]\nassigned_id_prefix = \"x-\"\nclient_id_len_max = 37\n");
    assert!(text.starts_with("noctule.toml:3: limits.client_id_len_max: "), "{text}");
    assert!(text.contains("38 bytes"), "{text}");
    for fine in [
        "client_id_len_max = 41",
        "client_id_len_max = 23\nassign_client_ids = false",
        "client_id_len_max = 38\nassigned_id_prefix = \"x-\"",
    ] {
        assert!(Config::parse("f", &format!("[limits]\n{fine}\n")).is_ok(), "{fine}");
    }
}

#[test]
fn user_names_are_prepared_and_impossible_ones_named() {
    let good = crate::auth::Verifier::from_password("pw", 4096, b"0123456789abcdef").to_string();
    let user = |name: &str| format!("[[users]]\nname = \"{name}\"\nverifier = \"{good}\"\n");
    let text = faults(&user("a\\u0007b"));
    assert!(text.starts_with("noctule.toml:1: users.name: holds characters"), "{text}");
    let text = faults(&(user("a b") + &user("a\u{a0}b")));
    assert!(text.starts_with("noctule.toml:4: users.name: ") && text.contains("already"), "{text}");
}

#[test]
fn some_clients_have_queues_of_their_own() {
    let text = r#"
[[queue]]
clients = "meter-*"
queue_messages_max = 10
overflow = "drop_oldest"
[[queue]]
clients = "*"
queue_age_secs_max = 60
queue_qos0 = true
[limits]
queue_bytes_max = 5_000
"#;
    let config = Config::parse("f", text).unwrap();
    let [meters, others] = &*config.limits.queue_rules else { panic!("{config:?}") };
    let of_all = QueueLimits { bytes_max: 5000, ..QueueLimits::default() };
    let queue = QueueLimits { messages_max: 10, overflow: Overflow::DropOldest, ..of_all };
    assert_eq!(*meters, QueueRule { clients: "meter-*".into(), queue });
    let queue = QueueLimits { age_secs_max: 60, qos0: true, ..of_all };
    assert_eq!(*others, QueueRule { clients: "*".into(), queue });
    assert_eq!(Config::parse("shown", &show(&config)).unwrap().limits, config.limits);
}

#[test]
fn mistakes_in_queues_are_named() {
    let text = r#"
[[queue]]
clients = "meter-*"
messages_max = 10
[[queue]]
overflow = "drop_oldest"
[[queue]]
clients = ""
[[queue]]
clients = "a?"
[[queue]]
clients = "a*"
[[queue]]
clients = "ab*c"
"#;
    assert_eq!(
        faults(text),
        "\
noctule.toml:4: queue.messages_max: unknown option; `noctule config sample` lists them all
noctule.toml:5: queue.clients: is missing in this entry
noctule.toml:8: queue.clients: \"\" is wrong: a client id, with * and ? for what varies, expected
noctule.toml:13: queue.clients: \"ab*c\" never has a say, because \"a*\" above is for all of them: \
write it first"
    );
}

#[test]
fn issuers_of_tokens_are_tables_and_what_is_wrong_with_one_is_said() {
    let text = "[jwt]\njwks = \"https://id.example/keys\"\nissuer = \"a\"\naudience = [\"b\", \"c\"]\n\
                algorithms = [\"ES256\", \"EdDSA\"]\nuser_claim = \"\"\nleeway_secs = 0\n";
    let config = Config::parse("f", text).unwrap();
    assert_eq!(config.jwt[0].keys, JwtKeys::JwksUrl("https://id.example/keys".into()));
    assert_eq!(Config::parse("shown", &show(&config)).unwrap().jwt, config.jwt);
    let text = "authenticators = [\"password\", \"jwt\"]\n[[jwt]]\nissuer = \"a\"\nsecret = \"s\"\n\
                [[jwt]]\npublic_key = \"p\"\n";
    let config = Config::parse("f", text).unwrap();
    assert_eq!(config.authenticators, [AuthenticatorKind::Password, AuthenticatorKind::Jwt]);
    let shown = Config::parse("shown", &show(&config)).unwrap();
    assert_eq!((shown.authenticators, shown.jwt), (config.authenticators, config.jwt));
    assert_eq!(
        faults(
            "authenticators = [\"password\", \"password\"]\n\
             [[jwt]]\n\
             [[jwt]]\nsecret = \"a\"\npublic_key = \"b\"\n\
             [[jwt]]\nsecret = \"a\"\n\
             [[jwt]]\njwks = \"https://u:p@h/\"\n\
             [[jwt]]\nsecret = \"a\"\njwks_ca = \"c\"\n\
             [[jwt]]\nalgorithms = \"none\"\nmethod = \"SCRAM-SHA-256\"\nexpiry = 1\n\
             [[jwt]]\nsecret = \"b\"\n"
        ),
        "\
noctule.toml:1: authenticators: [\"password\", \"password\"] is wrong: a list of \"certificate\", \
\"jwt\", \"dynamic_security\", \"password\" and \"webhook\" expected, each once at most, in the \
order in which they are asked
noctule.toml:2: jwt.public_key: is missing: name what signatures are checked with, one of \
`public_key`, `secret` and `jwks`
noctule.toml:3: jwt.public_key: only one of `public_key`, `secret` and `jwks` can be given: each \
issuer has a table of its own
noctule.toml:8: jwt.jwks: a URL without a user name and password expected
noctule.toml:10: jwt.jwks_ca: needs a `jwks` that is a URL with https
noctule.toml:14: jwt.algorithms: \"none\" is wrong: each has to be one of HS256, HS384, HS512, \
RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
noctule.toml:15: jwt.method: \"SCRAM-SHA-256\" is wrong: is the method of passwords: choose another
noctule.toml:16: jwt.expiry: unknown option; `noctule config sample` lists them all
noctule.toml:17: jwt.issuer: is missing in more than one entry: tokens are told apart by it"
    );
    assert_eq!(
        faults("authenticators = [\"password\"]\n[jwt]\nsecret = \"a\"\n"),
        "noctule.toml:2: jwt: is never asked, because `authenticators` leaves it out"
    );
}

#[test]
fn a_webhook_is_a_table_and_what_is_wrong_with_it_is_said() {
    let text = "[webhook]\nurl = \"https://a.example/auth\"\nca = \"ca.pem\"\nbearer = \"token\"\n\
                timeout_millis = 5\nfail = \"ignore\"\ncache_deny_secs = 0\n";
    let config = Config::parse("f", text).unwrap();
    let webhook = config.webhook.as_ref().unwrap();
    assert_eq!((webhook.timeout_millis, webhook.fail), (5, WebhookFailure::Ignore));
    assert_eq!(Config::parse("shown", &show(&config)).unwrap().webhook, config.webhook);
    for (text, fault) in [
        ("[webhook]\n", "1: webhook.url: is missing: where the service is"),
        ("[webhook]\nurl = \"a\"\n", "1: webhook.url: a URL expected, like \"https://host/path\""),
        ("[webhook]\nurl = \"http://a\"\nca = \"b\"\n", "1: webhook.ca: needs a `url` with https"),
        (
            "[webhook]\nfail = \"often\"\n",
            "2: webhook.fail: \"often\" is wrong: must be \"closed\", \"open\" or \"ignore\"",
        ),
        (
            "authenticators = [\"jwt\"]\n[webhook]\nurl = \"http://a\"\n",
            "2: webhook: is never asked, because `authenticators` leaves it out",
        ),
    ] {
        assert_eq!(faults(text), format!("noctule.toml:{fault}"));
    }
}

#[test]
fn a_listener_has_authenticators_and_users_of_its_own() {
    let folder = std::env::temp_dir().join(format!("noctule-own-users-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secret = crate::auth::Verifier::from_password("x", 4096, b"salty salt");
    std::fs::write(folder.join("all"), format!("ann:{secret}\n")).unwrap();
    std::fs::write(folder.join("own"), format!("bob:{secret}\n")).unwrap();
    let file = folder.join("noctule.toml");
    let text = "password_file = \"all\"\n[[listener]]\nport = 1\n[[listener]]\nport = 2\n\
                password_file = \"own\"\nauthenticators = [\"password\"]\n\
                [[listener]]\nport = 3\nauthenticators = []\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    let known = |at: usize, name: &str| config.users_of(&config.listeners[at]).find(name).is_some();
    assert!(known(0, "ann") && !known(0, "bob") && !known(1, "ann") && known(1, "bob"));
    let asked = |at: usize| config.authenticators_of(&config.listeners[at]).len();
    assert_eq!([asked(0), asked(1), asked(2)], [5, 1, 0]);
    std::fs::write(&file, show(&config)).unwrap();
    let own = |it: &Config| (it.listeners[1].users.clone(), it.listeners[1].authenticators.clone());
    assert_eq!(own(&Config::load(&file).unwrap()), own(&config));
    std::fs::write(folder.join("own"), "bob\n:x\n").unwrap();
    let fault = Config::load(&file).unwrap_err().to_string();
    assert!(fault.starts_with(&format!("{}:1: ", folder.join("own").display())), "{fault}");
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        faults(
            "[[listener]]\nport = 1\n[[listener]]\npassword_file = \"a\"\n\
             authenticators = [\"jwt\"]\n"
        ),
        "noctule.toml:3: listener.password_file: is never read, because `authenticators` leaves \
         \"password\" out"
    );
}
