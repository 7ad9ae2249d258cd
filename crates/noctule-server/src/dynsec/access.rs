//! The commands about what holds where no rule is, and about the whole.

use super::model::Access;
use super::request::{Answer, Draft};
use super::said::Said;
use serde_json::{Value, json};

pub(super) fn set(draft: &mut Draft<'_>, said: Said<'_>) -> Answer {
    let actions = said.list("acls").ok_or("Missing/invalid actions array")?;
    let access = &mut draft.edit().access;
    for action in actions {
        let (Some(kind), Some(allow)) = (action.loose("acltype"), action.flag("allow")) else {
            continue;
        };
        for (name, slot) in access.all() {
            if name.eq_ignore_ascii_case(kind) {
                *slot = allow;
            }
        }
    }
    Ok(None)
}

pub(super) fn get(draft: &mut Draft<'_>, _: Said<'_>) -> Answer {
    let mut access: Access = draft.model.access;
    let acls = access.all().map(|(name, allow)| json!({ "acltype": name, "allow": *allow }));
    Ok(Some(json!({ "acls": Value::from_iter(acls) })))
}

pub(super) fn details(draft: &mut Draft<'_>, _: Said<'_>) -> Answer {
    let model = &draft.model;
    Ok(Some(json!({
        "clientCount": model.clients.len(),
        "groupCount": model.groups.len(),
        "roleCount": model.roles.len(),
        "changeIndex": model.changes,
    })))
}
