//! The commands about roles.

use super::clients::{describe, show};
use super::groups;
use super::model::{About, Acl, AclType, ENTRIES_MAX, Name, Role, within};
use super::request::{Answer, Draft, page};
use super::rights::pattern;
use super::said::{Said, Told, clean};
use serde_json::{Value, json};

const NOT_FOUND: Told = "Role not found";
const BAD_TOPIC: Told = "Invalid ACL topic";

/// Rules of a role of one type, at most: a message can bring many at once.
const ACLS_MAX: usize = 10_000;

pub(super) fn create(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.text("rolename", "Invalid/missing rolename")?;
    if name.is_empty() {
        return Err("Empty rolename");
    }
    clean(name, "Role name not valid UTF-8")?;
    let (text_name, description) = said.words()?;
    let wild = match said.get("allowwildcardsubs") {
        None => true,
        Some(said) => said.as_bool().ok_or("Invalid allowwildcardsubs")?,
    };
    if draft.model.roles.contains_key(name) {
        return Err("Role already exists");
    }
    if draft.model.roles.len() >= ENTRIES_MAX {
        return Err("Too many roles");
    }
    let mut role = rules(said)?.unwrap_or_default();
    role.about = About { name: text_name, description };
    role.allow_wildcard_subs = wild;
    draft.edit().roles.insert(name.into(), role);
    Ok(None)
}

pub(super) fn delete(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said, NOT_FOUND)?;
    end_all(draft, name);
    let model = draft.edit();
    model.roles.remove(name);
    let of_clients = model.clients.values_mut().map(|client| &mut client.roles);
    let of_groups = model.groups.values_mut().map(|group| &mut group.roles);
    for roles in of_clients.chain(of_groups) {
        roles.remove(name);
    }
    Ok(None)
}

pub(super) fn modify(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said, "Role does not exist")?;
    let (wild, new) = (said.flag("allowwildcardsubs"), rules(said)?);
    let before = draft.model.roles.get(name).map(|role| role.allow_wildcard_subs);
    if new.is_some() || wild.is_some() && wild != before {
        end_all(draft, name);
    }
    let role = edit(draft, name)?;
    describe(&mut role.about, said);
    if let Some(wild) = wild {
        role.allow_wildcard_subs = wild;
    }
    if let Some(new) = new {
        role.take_rules(new);
    }
    Ok(None)
}

pub(super) fn add_acl(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said, NOT_FOUND)?;
    let (kind, topic) = acl_of(said)?;
    let role = draft.model.roles.get(name).ok_or(NOT_FOUND)?;
    if role.of(kind).iter().any(|it| *it.topic == *topic) {
        return Err("ACL with this topic already exists");
    }
    if role.of(kind).len() >= ACLS_MAX {
        return Err("Too many ACLs");
    }
    edit(draft, name)?.add(kind, acl(topic, said));
    end_all(draft, name);
    Ok(None)
}

pub(super) fn remove_acl(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said, NOT_FOUND)?;
    let (kind, topic) = acl_of(said)?;
    let role = draft.model.roles.get(name).ok_or(NOT_FOUND)?;
    if !role.of(kind).iter().any(|it| *it.topic == *topic) {
        return Err("ACL not found");
    }
    edit(draft, name)?.remove(kind, topic);
    end_all(draft, name);
    Ok(None)
}

pub(super) fn get(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said, NOT_FOUND)?;
    let role = draft.model.roles.get(name).ok_or(NOT_FOUND)?;
    Ok(Some(json!({ "role": verbose(name, role) })))
}

pub(super) fn list(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let roles = &draft.model.roles;
    let wordy = said.flag("verbose").unwrap_or(false);
    let one = |(name, role): (&Name, &Role)| match wordy {
        true => verbose(name, role),
        false => Value::from(&**name),
    };
    let some: Value = page(said, roles).map(one).collect();
    Ok(Some(json!({ "totalCount": roles.len(), "roles": some })))
}

fn verbose(name: &str, role: &Role) -> Value {
    let acls = role.all().map(|(kind, acl)| {
        json!({
            "acltype": kind.name(),
            "topic": &*acl.topic,
            "priority": acl.priority,
            "allow": acl.allow,
        })
    });
    let mut said = json!({
        "rolename": name,
        "allowwildcardsubs": role.allow_wildcard_subs,
        "acls": Value::from_iter(acls),
    });
    show(&role.about, &mut said);
    said
}

/// The rules that a command gives; `None`: it says nothing of rules. What is no rule at all is not
/// minded, as with mosquitto; a rule about what can be no topic is.
fn rules(said: Said<'_>) -> Result<Option<Role>, Told> {
    let Some(list) = said.list("acls") else { return Ok(None) };
    let mut role = Role::default();
    for rule in list {
        let kind = rule.loose("acltype").and_then(AclType::parse);
        let topic = rule.loose("topic").filter(|topic| !topic.is_empty());
        let (Some(kind), Some(topic)) = (kind, topic) else { continue };
        pattern(kind, topic).map_err(|_| BAD_TOPIC)?;
        if role.of(kind).len() >= ACLS_MAX {
            return Err("Too many ACLs");
        }
        role.add(kind, acl(topic, rule));
    }
    Ok(Some(role))
}

fn acl(topic: &str, said: Said<'_>) -> Acl {
    let priority = within(said.number("priority").unwrap_or(0));
    Acl { topic: topic.into(), priority, allow: said.flag("allow").unwrap_or(false) }
}

fn acl_of(said: Said<'_>) -> Result<(AclType, &str), Told> {
    let kind = said.text("acltype", "Invalid/missing acltype")?;
    let kind = AclType::parse(kind).ok_or("Unknown acltype")?;
    let topic = said.text("topic", "Invalid/missing topic")?;
    clean(topic, "Topic not valid UTF-8")?;
    pattern(kind, topic).map_err(|_| BAD_TOPIC)?;
    Ok((kind, topic))
}

/// The name of a role that there is.
fn known<'a>(draft: &Draft<'_>, said: Said<'a>, missing: Told) -> Result<&'a str, Told> {
    let name = said.role_name()?;
    if draft.model.roles.contains_key(name) { Ok(name) } else { Err(missing) }
}

fn edit<'d>(draft: &'d mut Draft<'_>, name: &str) -> Result<&'d mut Role, Told> {
    draft.edit().roles.get_mut(name).ok_or(NOT_FOUND)
}

/// The connections of all who have it end.
fn end_all(draft: &mut Draft<'_>, name: &str) {
    let model = std::sync::Arc::clone(&draft.model);
    let holders = model.clients.iter().filter(|(_, client)| client.roles.contains_key(name));
    draft.ended.extend(holders.map(|(user, _)| Some(user.clone())));
    for (group, _) in model.groups.iter().filter(|(_, group)| group.roles.contains_key(name)) {
        groups::end_all(draft, group);
    }
}
