//! What both brokers are asked: every command, good and bad; and clients with every kind of rule.

use super::client::{Client, Manager, Told, Who, command as c};
use anyhow::Result;
use noctule_proto::Version;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// Messages of commands.
pub(crate) fn commands() -> Vec<Vec<Value>> {
    [beginnings(), members(), changes(), ends()].concat()
}

/// What the others are about is made.
fn beginnings() -> Vec<Vec<Value>> {
    let acls = json!([
        {"acltype": "publishClientSend", "topic": "a/#", "priority": 3, "allow": true},
        {"acltype": "subscribePattern", "topic": "a/#", "allow": true},
        {"acltype": "SubscribeLiteral", "topic": "x/+", "priority": 1, "allow": true},
        {"nonsense": 1}, 5,
    ]);
    vec![
        vec![c("createRole", json!({"rolename": "r1", "textname": "t", "acls": acls}))],
        vec![
            role("createRole", "r1"),
            plain("createRole"),
            role("createRole", ""),
            c("createRole", json!({"rolename": "r2", "allowwildcardsubs": false})),
            c("createRole", json!({"rolename": "r3", "allowwildcardsubs": 3})),
        ],
        vec![c(
            "createClient",
            json!({"username": "ann", "password": "p", "textname": "A",
                   "roles": [{"rolename": "r1", "priority": 7}, {"rolename": "r2"}]}),
        )],
        vec![
            user("createClient", "ann"),
            plain("createClient"),
            user("createClient", ""),
            c("createClient", json!({"username": 3})),
            c("createClient", json!({"username": "b", "roles": [{"rolename": "nope"}]})),
            c("createClient", json!({"username": "b", "roles": 3})),
            c("createClient", json!({"username": "b", "roles": [{}]})),
            c("createClient", json!({"username": "b", "groups": [{"groupname": "no"}]})),
            c("createClient", json!({"username": "b", "password": 3})),
            c("createClient", json!({"username": "b\u{7}"})),
        ],
        vec![
            c("createGroup", json!({"groupname": "g", "roles": [{"rolename": "r1"}]})),
            group("createGroup", "g"),
            plain("createGroup"),
            group("createGroup", ""),
            c("createGroup", json!({"groupname": "h", "roles": [{"rolename": "no"}]})),
            c("createGroup", json!({"groupname": "h", "roles": 1})),
        ],
        vec![c(
            "createClient",
            json!({"username": "b", "password": "q", "clientid": "bid",
                   "groups": [{"groupname": "g", "priority": 2}]}),
        )],
        vec![user("getClient", "b"), user("getClient", "no"), plain("getClient")],
        vec![
            plain("listClients"),
            c("listClients", json!({"count": 1, "offset": 1})),
            c("listClients", json!({"count": 0})),
            c("listClients", json!({"offset": -5, "count": "x"})),
        ],
    ]
}

/// It is looked at, joined and taken apart.
fn members() -> Vec<Vec<Value>> {
    vec![
        vec![plain("listGroups"), wordy("listGroups"), group("getGroup", "g")],
        vec![plain("listRoles"), wordy("listRoles"), role("getRole", "r1"), role("getRole", "n")],
        vec![
            c("addGroupClient", json!({"groupname": "g", "username": "ann", "priority": 9e9})),
            in_group("addGroupClient", "g", "ann"),
            in_group("addGroupClient", "n", "ann"),
            in_group("addGroupClient", "g", "n"),
            group("addGroupClient", "g"),
            user("getClient", "ann"),
            in_group("removeGroupClient", "g", "ann"),
            in_group("removeGroupClient", "g", "ann"),
            in_group("removeGroupClient", "n", "ann"),
        ],
        vec![
            of_group("addGroupRole", "g", "r2"),
            of_group("addGroupRole", "g", "r2"),
            of_group("addGroupRole", "g", "no"),
            of_group("addGroupRole", "no", "r2"),
            group("getGroup", "g"),
            of_group("removeGroupRole", "g", "r2"),
            of_group("removeGroupRole", "g", "r2"),
        ],
        vec![
            of_client("addClientRole", "ann", "r1"),
            of_client("removeClientRole", "ann", "r2"),
            of_client("removeClientRole", "ann", "r2"),
            of_client("addClientRole", "ann", "r2"),
            of_client("addClientRole", "n", "r1"),
            of_client("addClientRole", "ann", "n"),
            user("addClientRole", "ann"),
            user("getClient", "ann"),
        ],
        vec![
            acl("addRoleACL", "r2", "unsubscribeLiteral", "u"),
            acl("addRoleACL", "r2", "unsubscribeLiteral", "u"),
            acl("addRoleACL", "r2", "bad", "u"),
            acl("addRoleACL", "r2", "unsubscribeLiteral", "a#"),
            acl("addRoleACL", "n", "unsubscribeLiteral", "u"),
            acl("addRoleACL", "r2", "subscribePattern", "$share/g/a/#"),
            role("addRoleACL", "r2"),
            role("getRole", "r2"),
            acl("removeRoleACL", "r2", "unsubscribeLiteral", "u"),
            acl("removeRoleACL", "r2", "unsubscribeLiteral", "u"),
        ],
    ]
}

/// It is changed.
fn changes() -> Vec<Vec<Value>> {
    vec![
        vec![
            c(
                "modifyRole",
                json!({"rolename": "r2", "textname": "new", "allowwildcardsubs": true, "acls": [
                    {"acltype": "publishClientReceive", "topic": "z", "priority": 1},
                    {"acltype": "publishClientReceive", "topic": "y", "priority": 5},
                    {"acltype": "publishClientReceive", "topic": "w", "priority": 1},
                ]}),
            ),
            role("modifyRole", "no"),
            role("getRole", "r2"),
        ],
        vec![
            c(
                "modifyClient",
                json!({"username": "ann", "textdescription": "d", "clientid": "cc",
                       "groups": [{"groupname": "g"}], "roles": []}),
            ),
            user("modifyClient", "no"),
            c("modifyClient", json!({"username": "ann", "groups": [{"groupname": "no"}]})),
            c("modifyClient", json!({"username": "ann", "groups": [{}]})),
            c("modifyClient", json!({"username": "ann", "roles": [{"rolename": "no"}]})),
            user("getClient", "ann"),
        ],
        vec![
            c(
                "modifyGroup",
                json!({"groupname": "g", "clients": [{"username": "b"}], "textname": "n2",
                       "roles": [{"rolename": "r2", "priority": 4}]}),
            ),
            group("modifyGroup", "no"),
            c("modifyGroup", json!({"groupname": "g", "clients": [{"username": "no"}]})),
            c("modifyGroup", json!({"groupname": "g", "clients": [{}]})),
            group("getGroup", "g"),
        ],
        vec![
            c("setClientId", json!({"username": "ann", "clientid": "i"})),
            user("setClientId", "ann"),
            c("setClientId", json!({"username": "ann", "clientid": 3})),
            c("setClientId", json!({"username": "n", "clientid": "i"})),
            c("setClientPassword", json!({"username": "ann", "password": "n"})),
            c("setClientPassword", json!({"username": "ann", "password": ""})),
            user("setClientPassword", "ann"),
            c("setClientPassword", json!({"username": "n", "password": "x"})),
            user("disableClient", "ann"),
            user("getClient", "ann"),
            user("enableClient", "ann"),
            user("enableClient", "no"),
            plain("disableClient"),
        ],
    ]
}

/// What holds for all is changed, and what there is goes.
fn ends() -> Vec<Vec<Value>> {
    vec![
        vec![
            plain("getDefaultACLAccess"),
            c(
                "setDefaultACLAccess",
                json!({"acls": [{"acltype": "SUBSCRIBE", "allow": true},
                                {"acltype": "x", "allow": true}, {}]}),
            ),
            plain("setDefaultACLAccess"),
            c("getDefaultACLAccess", json!({"correlationData": "cd"})),
        ],
        vec![
            plain("getAnonymousGroup"),
            group("setAnonymousGroup", "g"),
            group("setAnonymousGroup", "no"),
            group("deleteGroup", "g"),
            group("setAnonymousGroup", "unauthenticated"),
            group("deleteGroup", "g"),
            group("deleteGroup", "g"),
        ],
        vec![
            c("nonsense", json!({"correlationData": "z"})),
            c("GETCLIENT", json!({"username": "ann", "correlationData": "q"})),
            user("DELETECLIENT", "ann"),
            user("deleteClient", "ann"),
            role("deleteRole", "r2"),
            role("deleteRole", "r2"),
            plain("getDetails"),
        ],
        vec![json!(3), plain("getDetails")],
        vec![json!({}), plain("getDetails")],
        vec![c("getDetails", json!({"correlationData": 3})), plain("getDetails")],
    ]
}

fn in_group(name: &str, group: &str, user: &str) -> Value {
    c(name, json!({"groupname": group, "username": user}))
}

fn of_group(name: &str, group: &str, role: &str) -> Value {
    c(name, json!({"groupname": group, "rolename": role, "priority": 5}))
}

fn of_client(name: &str, user: &str, role: &str) -> Value {
    c(name, json!({"username": user, "rolename": role, "priority": -3}))
}

fn acl(name: &str, role: &str, kind: &str, topic: &str) -> Value {
    c(name, json!({"rolename": role, "acltype": kind, "topic": topic, "allow": true}))
}

fn role(name: &str, role: &str) -> Value {
    c(name, json!({"rolename": role}))
}

fn user(name: &str, user: &str) -> Value {
    c(name, json!({"username": user}))
}

fn group(name: &str, group: &str) -> Value {
    c(name, json!({"groupname": group}))
}

fn plain(name: &str) -> Value {
    c(name, json!({}))
}

fn wordy(name: &str) -> Value {
    c(name, json!({"verbose": true}))
}

/// Messages that are none, or hardly.
pub(crate) const ODD: [&str; 9] = [
    "",
    "{",
    "[]",
    "nonsense",
    "{\"commands\":3}",
    "{\"Commands\":[]}",
    "{\"commands\":[]} trailing",
    "{\"commands\":[{\"command\":\"getRole\",\"RoleName\":\"r1\"}]}",
    "{\"commands\":[{\"command\":null}]}",
];

const PUBLISHED: [&str; 14] = [
    "s/1",
    "s/deny/x",
    "s/deny/by-b",
    "c1/up/u1",
    "c2/up/u1",
    "dev-c1",
    "dev-%c",
    "b/x",
    "b/y",
    "gg/1",
    "other",
    "p/1",
    "an/x",
    "$SYS/x",
];
const SUBSCRIBED: [&str; 30] = [
    "l/+/x",
    "l/a/x",
    "l/#",
    "p/no",
    "p/a",
    "p/#",
    "p/+",
    "p/deep/a",
    "p/deep/#",
    "p/deep/+",
    "u1/x",
    "u1/#",
    "u2/#",
    "plus/+",
    "plus/a",
    "plus/#",
    "w/a",
    "w/#",
    "w/+",
    "gg/#",
    "gg/1",
    "#",
    "+",
    "$SYS/#",
    "$CONTROL/#",
    "$share/g/p/a",
    "$share/g/sh",
    "$share/g/w/a",
    "shr",
    "%u/x",
];
const LEFT: [&str; 9] =
    ["p/a", "p/keep", "p/k/x", "p/k/#", "other", "p/#", "$CONTROL/x", "$share/g/sh", "$share/g/no"];

/// Roles, groups and clients for [`matrix`].
pub(crate) fn furnish(manager: &mut Manager) -> Result<()> {
    let acl = |kind: &str, topic: &str, priority: i32, allow: bool| {
        let mut acl = json!({"acltype": kind, "topic": topic});
        (acl["priority"], acl["allow"]) = (priority.into(), allow.into());
        acl
    };
    let role = |name: &str, acls: Value| c("createRole", json!({"rolename": name, "acls": acls}));
    let mut narrow = role(
        "rb",
        json!([
            acl("subscribePattern", "w/#", 0, true),
            acl("publishClientSend", "s/deny/by-b", 99, true),
            acl("publishClientSend", "b/#", 0, true),
            acl("subscribePattern", "shr", 0, true),
        ]),
    );
    narrow["allowwildcardsubs"] = false.into();
    let client = |name: &str, ra: i32, rb: i32, groups: Value| {
        let roles = json!([{"rolename": "ra", "priority": ra}, {"rolename": "rb", "priority": rb}]);
        let fields = json!({"username": name, "password": "p", "roles": roles, "groups": groups});
        c("createClient", fields)
    };
    manager.have(&[
        role(
            "ra",
            json!([
                acl("publishClientSend", "s/deny/#", 10, false),
                acl("publishClientSend", "s/#", 1, true),
                acl("publishClientSend", "%c/up/%u", 1, true),
                acl("publishClientSend", "dev-%c", 5, true),
                acl("subscribeLiteral", "l/+/x", 0, true),
                acl("subscribeLiteral", "p/no", 0, false),
                acl("subscribePattern", "p/#", 5, true),
                acl("subscribePattern", "p/deep/#", 9, false),
                acl("subscribePattern", "%u/#", 0, true),
                acl("subscribePattern", "plus/+", 0, true),
                acl("subscribePattern", "$share/+/sh/#", 0, true),
                acl("publishClientReceive", "p/secret/#", 3, false),
                acl("unsubscribeLiteral", "p/keep", 0, false),
                acl("unsubscribePattern", "p/k/#", 0, false),
                acl("unsubscribePattern", "$share/g/no", 0, false),
            ]),
        ),
        narrow,
        role(
            "rg",
            json!([
                acl("publishClientSend", "b/x", 0, false),
                acl("publishClientSend", "gg/#", 0, true),
                acl("subscribePattern", "gg/#", 0, true),
            ]),
        ),
        c("createGroup", json!({"groupname": "grp", "roles": [{"rolename": "rg"}]})),
        client("u1", 10, 1, json!([{"groupname": "grp"}])),
        client("u2", 1, 10, json!([])),
        role("anon", json!([acl("publishClientSend", "an/#", 0, true)])),
        c("createGroup", json!({"groupname": "ag", "roles": [{"rolename": "anon"}]})),
        c("setAnonymousGroup", json!({"groupname": "ag"})),
    ])?;
    Ok(())
}

/// What clients may do: a line for each try.
pub(crate) fn matrix(address: SocketAddr) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for version in [Version::V5, Version::V311] {
        for (name, client_id) in [(Some("u1"), "c1"), (Some("u2"), "c2"), (None, "c3")] {
            let who = Who { login: name.map(|name| (name, "p")), client_id, version };
            let mut client = Client::connect(address, &who)?;
            let mut add = |what: &str, topic: &str, told: Told| {
                // Whether anybody subscribes is no matter of rights.
                let told = if told == Told::Code(0x10) { Told::Code(0) } else { told };
                lines.push(format!("{who:?} {what} {topic}: {told:?}"));
            };
            for filter in SUBSCRIBED {
                add("subscribes to", filter, client.subscribe(filter)?);
            }
            for filter in LEFT {
                add("leaves", filter, client.unsubscribe(filter)?);
            }
            for topic in PUBLISHED {
                add("publishes to", topic, client.publish(topic, b"m")?);
            }
        }
    }
    Ok(lines)
}

/// Topics of which a client is given messages, of those that another one publishes.
pub(crate) fn received(address: SocketAddr) -> Result<Vec<String>> {
    let mut reader = Client::connect(address, &Who::user("u1", "p", "c1"))?;
    for filter in ["p/+", "p/secret/x"] {
        reader.subscribe(filter)?;
    }
    let mut writer = Client::connect(address, &Who::user("writer", "p", "w"))?;
    for topic in ["p/1", "p/secret", "p/secret/x", "p/2"] {
        writer.publish(topic, b"m")?;
    }
    reader.wait(Duration::from_millis(700))?;
    let mut topics = Vec::new();
    while let Some((topic, _)) = reader.message()? {
        topics.push(topic);
    }
    Ok(topics)
}
