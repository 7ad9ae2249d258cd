//! The commands about clients.

use super::model::{About, Client, ENTRIES_MAX, Held, Model, Name, in_order, within};
use super::request::{Answer, Draft, page};
use super::said::{Said, Told, clean};
use super::{Connected, model};
use crate::auth::{HashKind, ITERATIONS, Secret};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const NOT_FOUND: Told = "Client not found";
const ROLE_NOT_FOUND: Told = "Role not found";
const INTERNAL: Told = "Internal error";

pub(super) fn create(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.text("username", "Invalid/missing username")?;
    if name.is_empty() {
        return Err("Empty username");
    }
    clean(name, "Username not valid UTF-8")?;
    let password = said.optional("password", "Invalid/missing password")?;
    let client_id = said.optional("clientid", "Invalid/missing client id")?;
    client_id.map(|id| clean(id, "Client ID not valid UTF-8")).transpose()?;
    let (text_name, description) = said.words()?;
    let model = &draft.model;
    if model.clients.contains_key(name) {
        return Err("Client already exists");
    }
    if model.clients.len() >= ENTRIES_MAX {
        return Err("Too many clients");
    }
    let roles = roles_of(model, said)?.unwrap_or_default();
    let mut groups = Vec::new();
    for group in said.list("groups").into_iter().flatten() {
        let Some(group_name) = group.loose("groupname") else { continue };
        if !model.groups.contains_key(group_name) {
            return Err("Group not found");
        }
        if groups.iter().any(|(it, _)| *it == group_name) {
            return Err(INTERNAL);
        }
        groups.push((group_name, group.priority()));
    }
    let client = Client {
        about: About { name: text_name, description },
        client_id: client_id.filter(|id| !id.is_empty()).map(Into::into),
        disabled: false,
        secret: password.map(hash).transpose()?,
        roles,
    };
    let model = draft.edit();
    model.clients.insert(name.into(), client);
    join(model, name, &groups);
    Ok(None)
}

pub(super) fn delete(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.text("username", "Invalid/missing username")?;
    if !draft.model.clients.contains_key(name) {
        return Err(NOT_FOUND);
    }
    let model = draft.edit();
    model.clients.remove(name);
    leave_all(model, name);
    draft.end(name);
    Ok(None)
}

pub(super) fn modify(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    let model = &draft.model;
    let client_id = said.loose("clientid");
    client_id.map(|id| clean(id, "Client ID not valid UTF-8")).transpose()?;
    let password = said.loose("password").filter(|password| !password.is_empty());
    let roles = roles_of(model, said)?;
    let groups = match said.list("groups") {
        None => None,
        Some(list) => {
            let mut groups = Vec::new();
            for group in list {
                let named = group.loose("groupname");
                let group_name =
                    named.ok_or("'groups' contains an object with an invalid 'groupname'")?;
                if !model.groups.contains_key(group_name) {
                    return Err(
                        "'groups' contains an object with a 'groupname' that does not exist",
                    );
                }
                groups.push((group_name, group.priority()));
            }
            Some(groups)
        }
    };
    let secret = password.map(hash).transpose()?;
    let model = draft.edit();
    if let Some(groups) = groups {
        leave_all(model, name);
        join(model, name, &groups);
    }
    let client = model.clients.get_mut(name).ok_or(NOT_FOUND)?;
    if let Some(id) = client_id {
        client.client_id = Some(id).filter(|id| !id.is_empty()).map(Into::into);
    }
    if let Some(secret) = secret {
        client.secret = Some(secret);
    }
    if let Some(roles) = roles {
        client.roles = roles;
    }
    describe(&mut client.about, said);
    draft.end(name);
    Ok(None)
}

pub(super) fn enable(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    edit(draft, name)?.disabled = false;
    Ok(None)
}

pub(super) fn disable(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    edit(draft, name)?.disabled = true;
    draft.end(name);
    Ok(None)
}

pub(super) fn set_id(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.user_name()?;
    let id = said.optional("clientid", "Invalid/missing client ID")?;
    id.map(|id| clean(id, "Client ID not valid UTF-8")).transpose()?;
    let name = known(draft, said).map(|_| name)?;
    edit(draft, name)?.client_id = id.filter(|id| !id.is_empty()).map(Into::into);
    draft.end(name);
    Ok(None)
}

pub(super) fn set_password(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.user_name()?;
    let password = said.text("password", "Invalid/missing password")?;
    if password.is_empty() {
        return Err("Empty password is not allowed");
    }
    known(draft, said)?;
    let secret = hash(password)?;
    edit(draft, name)?.secret = Some(secret);
    draft.end(name);
    Ok(None)
}

pub(super) fn add_role(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (name, role) = (said.user_name()?, said.role_name()?);
    let client = draft.model.clients.get(name).ok_or(NOT_FOUND)?;
    if !draft.model.roles.contains_key(role) {
        return Err(ROLE_NOT_FOUND);
    }
    if client.roles.contains_key(role) {
        // That is what mosquitto says.
        return Err(INTERNAL);
    }
    edit(draft, name)?.roles.insert(role.into(), said.priority());
    draft.end(name);
    Ok(None)
}

pub(super) fn remove_role(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (name, role) = (said.user_name()?, said.role_name()?);
    if !draft.model.clients.contains_key(name) {
        return Err(NOT_FOUND);
    }
    if !draft.model.roles.contains_key(role) {
        return Err(ROLE_NOT_FOUND);
    }
    edit(draft, name)?.roles.remove(role);
    draft.end(name);
    Ok(None)
}

pub(super) fn get(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    let client = draft.model.clients.get(name).ok_or(NOT_FOUND)?;
    let connected = (draft.find)(BTreeSet::from([name.into()]));
    let groups = draft.model.groups_of(name);
    Ok(Some(json!({ "client": verbose((name, client), &groups, &connected) })))
}

pub(super) fn list(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let model = &draft.model;
    let total = model.clients.len();
    let names: Vec<&Name> = page(said, &model.clients).map(|(name, _)| name).collect();
    let clients: Value = if said.flag("verbose").unwrap_or(false) {
        let groups = model.memberships();
        let mut connected = (draft.find)(names.into_iter().cloned().collect());
        connected.sort_by(|one, other| one.user_name.cmp(&other.user_name));
        let none = Held::new();
        let one = |(name, client): (&Name, &Client)| {
            let first = connected.partition_point(|it| it.user_name < *name);
            let own = connected[first..].partition_point(|it| it.user_name == *name);
            let groups = groups.get(&**name).unwrap_or(&none);
            verbose((name, client), groups, &connected[first..first + own])
        };
        page(said, &model.clients).map(one).collect()
    } else {
        names.into_iter().map(|name| Value::from(&**name)).collect()
    };
    Ok(Some(json!({ "totalCount": total, "clients": clients })))
}

fn verbose((name, client): (&str, &Client), groups: &Held, connected: &[Connected]) -> Value {
    let mut said = json!({
        "username": name,
        "roles": held("rolename", &client.roles),
        "groups": held("groupname", groups),
    });
    let own = connected
        .iter()
        .filter(|it| client.client_id.as_ref().is_none_or(|id| *id == it.client_id));
    said["connections"] = own
        .map(|it| match &it.address {
            Some(address) => json!({ "address": address }),
            None => json!({}),
        })
        .collect();
    if let Some(id) = &client.client_id {
        said["clientid"] = (&**id).into();
    }
    if client.disabled {
        said["disabled"] = true.into();
    }
    show(&client.about, &mut said);
    said
}

/// What is held, each under this name, with its priority.
pub(super) fn held(under: &str, all: &Held) -> Value {
    let one = |(name, priority): (&Name, i32)| {
        let mut said = json!({ under: &**name });
        if priority != model::UNSAID {
            said["priority"] = priority.into();
        }
        said
    };
    in_order(all).into_iter().map(one).collect()
}

/// Words for people, where there are any.
pub(super) fn show(about: &About, said: &mut Value) {
    for (name, words) in [("textname", &about.name), ("textdescription", &about.description)] {
        if let Some(words) = words {
            said[name] = (&**words).into();
        }
    }
}

/// Takes words for people over, where there are any.
pub(super) fn describe(about: &mut About, said: Said<'_>) {
    for (name, slot) in [("textname", &mut about.name), ("textdescription", &mut about.description)]
    {
        if let Some(words) = said.loose(name) {
            *slot = Some(words.into());
        }
    }
}

/// The roles that a command gives; `None`: it says nothing of roles.
pub(super) fn roles_of(model: &Model, said: Said<'_>) -> Result<Option<Held>, Told> {
    const WRONG: Told = "'roles' not an array or missing/invalid rolename";
    let Some(list) = said.get("roles") else { return Ok(None) };
    let mut roles = Held::new();
    for role in list.as_array().ok_or(WRONG)? {
        let role = Said(role.as_object().ok_or(WRONG)?);
        let name = role.text("rolename", WRONG)?;
        if !model.roles.contains_key(name) {
            return Err(ROLE_NOT_FOUND);
        }
        roles.entry(name.into()).or_insert(role.priority());
    }
    Ok(Some(roles))
}

/// The user name of a client that there is.
fn known<'a>(draft: &Draft<'_>, said: Said<'a>) -> Result<&'a str, Told> {
    let name = said.user_name()?;
    if draft.model.clients.contains_key(name) { Ok(name) } else { Err(NOT_FOUND) }
}

/// A client, to be changed.
fn edit<'d>(draft: &'d mut Draft<'_>, name: &str) -> Result<&'d mut Client, Told> {
    draft.edit().clients.get_mut(name).ok_or(NOT_FOUND)
}

fn join(model: &mut Model, client: &str, groups: &[(&str, i32)]) {
    for (group, priority) in groups {
        if let Some(group) = model.groups.get_mut(*group) {
            group.clients.entry(client.into()).or_insert(within(*priority));
        }
    }
}

fn leave_all(model: &mut Model, client: &str) {
    for group in model.groups.values_mut() {
        group.clients.remove(client);
    }
}

/// A hash that every mosquitto 2.1 can read, whatever it was built with.
pub(super) fn hash(password: &str) -> Result<Arc<Secret>, Told> {
    let kind = HashKind::Pbkdf2 { rounds: ITERATIONS };
    kind.hash(password.as_bytes()).map(Arc::new).map_err(|_| INTERNAL)
}
