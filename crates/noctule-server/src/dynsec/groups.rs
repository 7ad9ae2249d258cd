//! The commands about groups.

use super::clients::{describe, held, roles_of, show};
use super::model::{About, ENTRIES_MAX, Group, Held, Name};
use super::request::{Answer, Draft, page};
use super::said::{Said, Told, clean};
use serde_json::{Value, json};

const NOT_FOUND: Told = "Group not found";
const ROLE_NOT_FOUND: Told = "Role not found";

pub(super) fn create(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = said.text("groupname", "Invalid/missing groupname")?;
    if name.is_empty() {
        return Err("Empty groupname");
    }
    clean(name, "Group name not valid UTF-8")?;
    let (text_name, description) = said.words()?;
    if draft.model.groups.contains_key(name) {
        return Err("Group already exists");
    }
    if draft.model.groups.len() >= ENTRIES_MAX {
        return Err("Too many groups");
    }
    let roles = match roles_of(&draft.model, said) {
        Ok(roles) => roles.unwrap_or_default(),
        Err(error) if error == ROLE_NOT_FOUND => return Err(error),
        // That is what mosquitto says here.
        Err(_) => return Err("Internal error"),
    };
    let about = About { name: text_name, description };
    let group = Group { about, roles, clients: Held::new() };
    draft.edit().groups.insert(name.into(), group);
    Ok(None)
}

pub(super) fn delete(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    if draft.model.anonymous.as_deref() == Some(name) {
        return Err("Deleting the anonymous group is forbidden");
    }
    end_all(draft, name);
    draft.edit().groups.remove(name);
    Ok(None)
}

pub(super) fn modify(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    let roles = roles_of(&draft.model, said)?;
    let clients = match said.list("clients") {
        None => None,
        Some(list) => {
            let mut clients = Held::new();
            for client in list {
                let named = client.loose("username");
                let client_name =
                    named.ok_or("'clients' contains an object with an invalid 'username'")?;
                if !draft.model.clients.contains_key(client_name) {
                    return Err(
                        "'clients' contains an object with a 'username' that does not exist",
                    );
                }
                clients.entry(client_name.into()).or_insert(client.priority());
            }
            Some(clients)
        }
    };
    end_all(draft, name);
    let group = edit(draft, name)?;
    if let Some(clients) = clients {
        group.clients = clients;
    }
    if let Some(roles) = roles {
        group.roles = roles;
    }
    describe(&mut group.about, said);
    end_all(draft, name);
    Ok(None)
}

pub(super) fn get(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    let group = draft.model.groups.get(name).ok_or(NOT_FOUND)?;
    Ok(Some(json!({ "group": verbose(name, group) })))
}

pub(super) fn list(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let groups = &draft.model.groups;
    let wordy = said.flag("verbose").unwrap_or(false);
    let one = |(name, group): (&Name, &Group)| match wordy {
        true => verbose(name, group),
        false => Value::from(&**name),
    };
    let some: Value = page(said, groups).map(one).collect();
    Ok(Some(json!({ "totalCount": groups.len(), "groups": some })))
}

pub(super) fn add_client(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (client, name) = (said.user_name()?, said.group_name()?);
    if !draft.model.clients.contains_key(client) {
        return Err("Client not found");
    }
    let group = draft.model.groups.get(name).ok_or(NOT_FOUND)?;
    if group.clients.contains_key(client) {
        return Err("Client is already in this group");
    }
    edit(draft, name)?.clients.insert(client.into(), said.priority());
    draft.end(client);
    Ok(None)
}

pub(super) fn remove_client(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (client, name) = (said.user_name()?, said.group_name()?);
    if !draft.model.clients.contains_key(client) {
        return Err("Client not found");
    }
    known(draft, said)?;
    edit(draft, name)?.clients.remove(client);
    draft.end(client);
    Ok(None)
}

pub(super) fn add_role(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (name, role) = (said.group_name()?, said.role_name()?);
    let group = draft.model.groups.get(name).ok_or(NOT_FOUND)?;
    if !draft.model.roles.contains_key(role) {
        return Err(ROLE_NOT_FOUND);
    }
    if group.roles.contains_key(role) {
        return Err("Group is already in this role");
    }
    edit(draft, name)?.roles.insert(role.into(), said.priority());
    end_all(draft, name);
    Ok(None)
}

pub(super) fn remove_role(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let (name, role) = (said.group_name()?, said.role_name()?);
    known(draft, said)?;
    if !draft.model.roles.contains_key(role) {
        return Err(ROLE_NOT_FOUND);
    }
    edit(draft, name)?.roles.remove(role);
    end_all(draft, name);
    Ok(None)
}

pub(super) fn set_anonymous(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let name = known(draft, said)?;
    draft.edit().anonymous = Some(name.into());
    draft.ended.insert(None);
    Ok(None)
}

pub(super) fn get_anonymous(draft: &mut Draft<'_>, _: Said<'_>) -> Answer {
    let name = draft.model.anonymous.as_deref().unwrap_or_default();
    Ok(Some(json!({ "group": { "groupname": name } })))
}

fn verbose(name: &str, group: &Group) -> Value {
    let clients = group.clients.keys().map(|client| json!({ "username": &**client }));
    let mut said = json!({
        "groupname": name,
        "clients": Value::from_iter(clients),
        "roles": held("rolename", &group.roles),
    });
    show(&group.about, &mut said);
    said
}

/// The name of a group that there is.
fn known<'a>(draft: &Draft<'_>, said: Said<'a>) -> Result<&'a str, Told> {
    let name = said.group_name()?;
    if draft.model.groups.contains_key(name) { Ok(name) } else { Err(NOT_FOUND) }
}

fn edit<'d>(draft: &'d mut Draft<'_>, name: &str) -> Result<&'d mut Group, Told> {
    draft.edit().groups.get_mut(name).ok_or(NOT_FOUND)
}

/// The connections of all its clients end.
pub(super) fn end_all(draft: &mut Draft<'_>, name: &str) {
    if draft.model.anonymous.as_deref() == Some(name) {
        draft.ended.insert(None);
    }
    let clients = draft.model.groups.get(name).into_iter().flat_map(|group| group.clients.keys());
    draft.ended.extend(clients.cloned().map(Some));
}
