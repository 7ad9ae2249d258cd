//! Files and commands, good and bad ones.

use super::file::{Book, write};
use super::model::Model;
use super::request::{Draft, Users, perform};
use crate::config::DynamicSecurity;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of its own, gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("noctule-dynsec-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn options(&self) -> DynamicSecurity {
        let password_init_file = Some(self.0.join("first"));
        DynamicSecurity { file: self.0.join("dynamic-security.json"), password_init_file }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn read(text: &str) -> Result<Arc<Model>, String> {
    let name = std::thread::current().name().unwrap_or_default().replace(':', "-");
    let folder = Folder::new(&name);
    fs::write(folder.0.join("dynamic-security.json"), text).unwrap();
    Book::open(&folder.options()).map(|book| book.model).map_err(|error| error.to_string())
}

/// What a message is answered, and what it does to a model.
fn say(model: &mut Arc<Model>, payload: &[u8]) -> (Value, Users) {
    let find = |_| Vec::new();
    let (changed, ended) = (false, Users::new());
    let mut draft = Draft { model: Arc::clone(model), changed, ended, find: &find };
    let done = perform(payload, &mut draft, "admin/admin");
    *model = draft.model;
    (serde_json::from_str(&done.text(Ok(()))).unwrap(), draft.ended)
}

fn ask(model: &mut Arc<Model>, command: &Value) -> Value {
    let payload = json!({ "commands": [command] }).to_string();
    say(model, payload.as_bytes()).0["responses"][0].clone()
}

#[test]
fn the_first_file_is_made_once_and_is_for_its_owner_alone() {
    let folder = Folder::new("first");
    let options = folder.options();
    let error = Book::open(&options).err().unwrap().to_string();
    assert!(error.contains("no first password") && !options.file.exists(), "{error}");
    fs::write(folder.0.join("first"), "correct horse\nbattery\n").unwrap();
    let book = Book::open(&options).unwrap();
    let admin = book.model.client("admin").unwrap();
    assert!(admin.secret.as_ref().unwrap().accepts(b"correct horse"));
    assert!(!fs::read_to_string(&options.file).unwrap().contains("correct horse"));
    assert!(Book::open(&options).unwrap().model == book.model);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&options.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Without a password that is said, chance gives two, which stand beside the file.
    fs::remove_file(&options.file).unwrap();
    let book = Book::open(&DynamicSecurity { password_init_file: None, ..options }).unwrap();
    let told = fs::read_to_string(folder.0.join("dynamic-security.json.pw")).unwrap();
    for line in told.lines() {
        let (name, password) = line.split_once(' ').unwrap();
        let client = book.model.client(name).unwrap();
        assert!(
            password.len() == 20 && client.secret.as_ref().unwrap().accepts(password.as_bytes())
        );
    }
    assert_eq!(told.lines().count(), 2);
}

/// Made by mosquitto_passwd.
const SALT: &str =
    "dVZ7YS3UZuqOrb6ts9Rvws+STvlNWTPrrFd+Zig/qMQCY+lPpBAxOwb/dlurZXxcFIJtF4Uq88ynYEr4PqwQgQ==";
const HASH: &str =
    "huFfCiUb9JH2lb34mrRg+Qu+KCzExtEWawFZE/JvRsFyeamYdFKRgy9k7vdFSfzeHQlhwgwZg6O3TfoZPI/PsQ==";

#[test]
fn files_of_mosquitto_2_0_are_read() {
    let text = json!({
        "defaultACLAccess": { "publishClientReceive": true, "unsubscribe": true },
        "clients": [{
            "username": "ann", "password": HASH, "salt": SALT, "iterations": 1000,
            "roles": [{ "rolename": "r", "priority": 7.0 }], "unknown": [1, 2],
        }, { "username": "nobody" }],
        "groups": [{ "groupname": "g", "clients": [{ "username": "ann", "priority": 3 }] }],
        "roles": [{ "rolename": "r", "acls": [
            { "acltype": "publishClientSend", "topic": "a/#", "priority": -200_000, "allow": true },
        ]}],
        "anonymousGroup": "g",
    });
    let model = read(&text.to_string()).unwrap();
    let ann = model.client("ann").unwrap();
    assert!(ann.secret.as_ref().unwrap().accepts(b"secret") && !ann.disabled);
    assert_eq!(ann.roles.get("r"), Some(&7));
    assert_eq!(model.roles["r"].all().next().unwrap().1.priority, -100_000);
    assert!(model.client("nobody").unwrap().secret.is_none());
    assert!(read("").unwrap() == Arc::default(), "an empty file is one that says nothing");
}

#[test]
fn a_file_of_no_use_is_told_of_with_its_place() {
    for (text, told) in [
        ("{\n  \"clients\": [\n", "line 3"),
        ("[]", "line 1"),
        ("{\n\"clients\": [{\"username\":\n3}]}", "line 3"),
        (
            r#"{"roles":[{"rolename":"r","acls":[{"acltype":"x","topic":"a"}]}]}"#,
            "role \"r\": there is no acltype \"x\"",
        ),
        (
            r#"{"roles":[{"rolename":"r","acls":[{"acltype":"publishClientSend","topic":"a#"}]}]}"#,
            "role \"r\": \"a#\" is no topic filter",
        ),
        (
            r#"{"clients":[{"username":"a","roles":[{"rolename":"x"}]}]}"#,
            "client \"a\": there is no role \"x\"",
        ),
        (r#"{"clients":[{"username":"a"},{"username":"a"}]}"#, "client \"a\": is there twice"),
        (r#"{"clients":[{"username":""}]}"#, "client \"\": a name"),
        (
            r#"{"clients":[{"username":"a","encoded_password":"plain"}]}"#,
            "client \"a\": its password: ",
        ),
        (
            r#"{"groups":[{"groupname":"g","clients":[{"username":"x"}]}]}"#,
            "group \"g\": there is no client \"x\"",
        ),
        (r#"{"anonymousGroup":"g"}"#, "anonymousGroup: there is no group \"g\""),
        (&"[".repeat(10_000), "line 1"),
    ] {
        let error = read(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(error.contains(told) && error.contains("dynamic-security.json: "), "{error}");
        assert!(!error.contains("plain\""), "{error}");
    }
}

#[test]
fn messages_of_any_kind_are_answered() {
    let mut model = Arc::default();
    let deep = format!("{{\"commands\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let many = json!({ "commands": vec![json!({ "command": "listClients" }); 10_000] }).to_string();
    for (payload, responses, error) in [
        (&b""[..], 1, "Payload not valid JSON"),
        (b"\xff\x00{", 1, "Payload not valid JSON"),
        (deep.as_bytes(), 1, "Payload not valid JSON"),
        (b"[]", 1, "Invalid/missing commands"),
        (b"{\"commands\":{}}", 1, "Invalid/missing commands"),
        (b"{\"commands\":[[],[]]}", 1, "Command not an object"),
        (b"{\"commands\":[{}, {}]}", 1, "Missing command"),
        (b"{\"commands\":[{\"command\":7}]}", 1, "Missing command"),
        (many.as_bytes(), 10_000, ""),
    ] {
        let (answer, _) = say(&mut model, payload);
        let all = answer["responses"].as_array().unwrap();
        assert_eq!(all.len(), responses);
        assert_eq!(all[0].get("error").and_then(Value::as_str).unwrap_or_default(), error);
    }
}

#[test]
fn an_answer_has_a_bound() {
    let mut model = Arc::default();
    let text = "x".repeat(100_000);
    for number in 0..50 {
        let name = format!("role {number}");
        let command = json!({ "command": "createRole", "rolename": name, "textname": text });
        assert!(ask(&mut model, &command).get("error").is_none());
    }
    let all = json!({ "command": "listRoles", "verbose": true });
    let (answer, _) = say(&mut model, json!({ "commands": vec![all; 100] }).to_string().as_bytes());
    let responses = answer["responses"].as_array().unwrap();
    assert_eq!(responses.len(), 100);
    assert!(responses[0].get("data").is_some() && responses[99].get("data").is_none());
    assert!(answer.to_string().len() < 17 * 1024 * 1024);
}

#[test]
fn what_cannot_be_kept_is_said_to_change_nothing() {
    let find = |_| Vec::new();
    let (changed, ended) = (false, Users::new());
    let mut draft = Draft { model: Arc::default(), changed, ended, find: &find };
    let payload = br#"{"commands":[{"command":"listRoles"},{"command":"createRole","rolename":"r"},
        {"command":"createRole"},{"command":"getRole","rolename":"r"}]}"#;
    let done = perform(payload, &mut draft, "a/b");
    assert!(draft.changed);
    let answer: Value = serde_json::from_str(&done.text(Err("No space left".into()))).unwrap();
    let error = |at: usize| answer["responses"][at]["error"].as_str().unwrap_or_default();
    assert_eq!(error(0), "");
    assert_eq!(error(1), "Nothing is changed: No space left");
    assert_eq!(error(2), "Invalid/missing rolename");
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one() {
    let folder = Folder::new("unwritable");
    let file = folder.0.join("f.json");
    write(&file, &Model::default()).unwrap();
    let before = fs::read(&file).unwrap();
    // A folder stands where the new file would be.
    fs::create_dir_all(folder.0.join("f.json.new").join("x")).unwrap();
    let mut book = Book { file: file.clone(), model: Arc::default() };
    let model = Model { changes: 5, ..Model::default() };
    assert!(book.keep(Arc::new(model)).is_err());
    assert!(book.model.changes == 0 && fs::read(&file).unwrap() == before);
    assert!(write(Path::new("/nowhere/at/all.json"), &Model::default()).is_err());
}

#[test]
fn who_has_to_come_again_is_told() {
    let mut model = Arc::default();
    let mut ended = |command: Value| {
        let payload = json!({ "commands": [command] }).to_string();
        let (answer, ended) = say(&mut model, payload.as_bytes());
        assert!(answer["responses"][0].get("error").is_none(), "{answer}");
        ended.into_iter().map(|it| it.map_or("-".into(), String::from)).collect::<Vec<String>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(ended(json!({"command": "createRole", "rolename": "r"})), none);
    assert_eq!(ended(json!({"command": "createRole", "rolename": "s"})), none);
    for name in ["ann", "bob"] {
        let roles = json!([{ "rolename": "s" }]);
        let command = json!({"command": "createClient", "username": name, "roles": roles});
        assert_eq!(ended(command), none);
    }
    let group = json!({"command": "createGroup", "groupname": "g", "roles": [{"rolename": "r"}]});
    assert_eq!(ended(group), none);
    let join = json!({"command": "addGroupClient", "groupname": "g", "username": "bob"});
    assert_eq!(ended(join), ["bob"]);
    let acl = |role: &str| {
        let kind = "publishClientSend";
        json!({"command": "addRoleACL", "rolename": role, "acltype": kind, "topic": "a"})
    };
    assert_eq!(ended(acl("r")), ["bob"]);
    assert_eq!(ended(acl("s")), ["ann", "bob"]);
    let anonymous = json!({"command": "setAnonymousGroup", "groupname": "g"});
    assert_eq!(ended(anonymous), ["-"]);
    assert_eq!(ended(json!({"command": "deleteRole", "rolename": "r"})), ["-", "bob"]);
    assert_eq!(ended(json!({"command": "disableClient", "username": "ann"})), ["ann"]);
    assert_eq!(ended(json!({"command": "enableClient", "username": "ann"})), none);
    assert_eq!(ended(json!({"command": "deleteClient", "username": "ann"})), ["ann"]);
}

/// Names of commands, and a few that are none.
const COMMANDS: [&str; 33] = [
    "setDefaultACLAccess",
    "getDefaultACLAccess",
    "getDetails",
    "createClient",
    "deleteClient",
    "getClient",
    "listClients",
    "modifyClient",
    "setClientPassword",
    "setClientId",
    "enableClient",
    "disableClient",
    "addClientRole",
    "removeClientRole",
    "addGroupClient",
    "createGroup",
    "deleteGroup",
    "getGroup",
    "listGroups",
    "modifyGroup",
    "removeGroupClient",
    "addGroupRole",
    "removeGroupRole",
    "setAnonymousGroup",
    "getAnonymousGroup",
    "createRole",
    "getRole",
    "listRoles",
    "modifyRole",
    "deleteRole",
    "addRoleACL",
    "removeRoleACL",
    "nonsense",
];

fn value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "a/#", "$share/g/x", "+", "", "\u{7}", "a#"])
            .prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let kinds = ["publishClientSend", "SUBSCRIBEPATTERN", "unsubscribeLiteral", "subscribe"];
    let kind = prop::sample::select(kinds.to_vec());
    let entry = (plain.clone(), kind, plain.clone()).prop_map(|(name, kind, other)| {
        json!({
            "rolename": name, "groupname": name, "username": name, "topic": name,
            "acltype": kind, "priority": other, "allow": true,
        })
    });
    let entries = prop::collection::vec(entry, 0..4).prop_map(Value::from);
    prop_oneof![4 => plain, 1 => entries]
}

fn command() -> impl Strategy<Value = Value> {
    let names = [
        "username",
        "groupname",
        "rolename",
        "acltype",
        "topic",
        "clientid",
        "textname",
        "roles",
        "groups",
        "clients",
        "acls",
        "priority",
        "allow",
        "verbose",
        "count",
        "offset",
        "allowwildcardsubs",
        "correlationData",
    ];
    let fields = prop::collection::vec((prop::sample::select(names.to_vec()), value()), 0..8);
    let valid = prop::sample::select(vec!["a", "b"]);
    (prop::sample::select(COMMANDS.to_vec()), fields, valid).prop_map(|(name, fields, valid)| {
        let mut command = json!({
            "command": name, "username": valid, "groupname": valid, "rolename": valid,
            "acltype": "publishClientSend", "topic": "a/b",
        });
        for (field, value) in fields {
            command[field] = value;
        }
        command
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is asked, there is an answer; one that says that it failed has changed nothing, and
    /// what there is then can be written, and read as the same.
    #[test]
    fn any_commands_leave_a_model_that_can_be_kept(
        commands in prop::collection::vec(command(), 1..30)
    ) {
        let mut model: Arc<Model> = Arc::default();
        for command in &commands {
            let before = Arc::clone(&model);
            let answer = ask(&mut model, command);
            prop_assert!(answer.get("command").is_some());
            if answer.get("error").is_some() {
                prop_assert!(model == before, "{command} {answer}");
            }
        }
        let folder = Folder::new(&format!("any-{:?}", std::thread::current().id()));
        let file = folder.0.join("dynamic-security.json");
        write(&file, &model).unwrap();
        let book = Book::open(&folder.options()).map_err(|it| TestCaseError::fail(it.to_string()))?;
        prop_assert!(book.model == model);
        super::rights::ranked(&model, &file);
    }
}
