//! What a model permits, as core has it: mosquitto asks the rules of a client's roles one after the
//! other, each by its priority, then those of its groups, and the first that is about it decides.

use super::model::{AclType, Held, Model, Role, in_order};
use noctule_core::grant::{
    Actions, List, Otherwise, Pattern, PatternError, Placeholders, Ranked, RankedLists, Rule,
    Source,
};
use noctule_proto::QoS;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Lists of a role, in the order in which they have a say.
type Lists = Vec<Arc<List>>;

/// All of it.
pub(super) fn ranked(model: &Model, file: &Path) -> Ranked {
    let roles: BTreeMap<&str, Lists> =
        model.roles.iter().map(|(name, role)| (&**name, lists(role, name, file))).collect();
    let of = |held: &Held| -> Lists {
        let names = in_order(held).into_iter();
        names.filter_map(|(name, _)| roles.get(&**name)).flatten().cloned().collect()
    };
    let of_groups: BTreeMap<&str, Lists> =
        model.groups.iter().map(|(name, group)| (&**name, of(&group.roles))).collect();
    let groups = model.memberships();
    let users = model.clients.iter().map(|(name, client)| {
        let mut all = of(&client.roles);
        for (group, _) in groups.get(&**name).map(in_order).unwrap_or_default() {
            all.extend(of_groups.get(&**group).into_iter().flatten().cloned());
        }
        (name.clone(), RankedLists::from(all))
    });
    let anonymous = model.anonymous.as_ref().and_then(|name| of_groups.get(&**name));
    let anonymous = anonymous.cloned().unwrap_or_default().into();
    Ranked { users: users.collect(), anonymous, otherwise: otherwise(model) }
}

/// What controls the broker has to be allowed by a rule.
fn otherwise(model: &Model) -> Otherwise {
    let access = model.access;
    let all = [
        (access.publish_client_send, Actions::PUBLISH),
        (access.publish_client_receive, Actions::RECEIVE),
        (access.subscribe, Actions::SUBSCRIBE),
        (access.unsubscribe, Actions::UNSUBSCRIBE),
    ];
    let plain = all.into_iter().filter(|(allowed, _)| *allowed);
    let plain = plain.fold(Actions::default(), |some, (_, more)| some.and(more));
    Otherwise { plain, control: Actions::default() }
}

/// What a rule is about. Shares are a part of what it says, as mosquitto has it.
pub(super) fn pattern(kind: AclType, topic: &str) -> Result<Pattern, PatternError> {
    let parsed = Pattern::parse_whole(topic, Placeholders::WholeLevel)?;
    match kind {
        AclType::SubscribeLiteral | AclType::UnsubscribeLiteral => Ok(Pattern::spelled(topic)),
        AclType::PublishClientSend
        | AclType::PublishClientReceive
        | AclType::SubscribePattern
        | AclType::UnsubscribePattern => Ok(parsed),
    }
}

fn actions(kind: AclType) -> Actions {
    match kind {
        AclType::PublishClientSend => Actions::PUBLISH,
        AclType::PublishClientReceive => Actions::RECEIVE,
        AclType::SubscribeLiteral | AclType::SubscribePattern => Actions::SUBSCRIBE,
        AclType::UnsubscribeLiteral | AclType::UnsubscribePattern => Actions::UNSUBSCRIBE,
    }
}

/// The rules of one role. Those that follow each other and say the same of one action are one list,
/// and actions do not mind each other: so most roles are one list, however many rules they have.
fn lists(role: &Role, name: &str, file: &Path) -> Lists {
    let file: Arc<str> = format!("{}: role {name:?}", file.display()).into();
    let rule = |actions, pattern| Rule {
        actions,
        pattern,
        qos_max: QoS::ExactlyOnce,
        retain: true,
        source: Source { file: Arc::clone(&file), line: 0 },
    };
    let mut all: Vec<List> = Vec::new();
    let kinds: [&[AclType]; 4] = [
        &[AclType::PublishClientSend],
        &[AclType::PublishClientReceive],
        &[AclType::SubscribeLiteral, AclType::SubscribePattern],
        &[AclType::UnsubscribeLiteral, AclType::UnsubscribePattern],
    ];
    for kinds in kinds {
        let (mut at, mut last) = (0, None);
        let mut add = |allow: bool, rule: Rule| {
            at += usize::from(last.is_some_and(|last| last != allow));
            last = Some(allow);
            if all.len() <= at {
                all.resize_with(at + 1, List::default);
            }
            let list = &mut all[at];
            if allow { list.allow.push(rule) } else { list.deny.push(rule) }
        };
        if !role.allow_wildcard_subs && kinds.contains(&AclType::SubscribePattern) {
            add(false, rule(Actions::SUBSCRIBE, Pattern::wild()));
        }
        for kind in kinds {
            for acl in role.of(*kind) {
                // It was looked at before it came into the model.
                if let Ok(pattern) = pattern(*kind, &acl.topic) {
                    add(acl.allow, rule(actions(*kind), pattern));
                }
            }
        }
    }
    all.into_iter().map(Arc::new).collect()
}
