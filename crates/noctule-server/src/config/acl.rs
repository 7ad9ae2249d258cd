//! Files of rules as mosquitto has them (`acl_file`), with mosquitto's meaning.
//!
//! ```text
//! topic [read|write|readwrite|deny] FILTER      of the user above; before any: of clients without
//! user NAME
//! pattern [read|write|readwrite|deny] FILTER    of everybody; %c and %u fill whole levels
//! ```

use super::Fault;
use noctule_core::grant::{Acl, Actions, List, Pattern, Placeholders, Rule, Source};
use noctule_proto::QoS;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parses the text of a file called `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Acl, Vec<Fault>> {
    let mut reader = Reader { file: name.into(), ..Reader::default() };
    for (at, line) in text.lines().enumerate() {
        if let Err(what) = reader.line(at + 1, line) {
            reader.faults.push(Fault { file: None, line: at + 1, option: None, what });
        }
    }
    match reader.faults.is_empty() {
        true => Ok(reader.finish()),
        false => Err(reader.faults),
    }
}

#[derive(Default)]
struct Reader {
    file: Arc<str>,
    users: BTreeMap<Box<str>, List>,
    anonymous: List,
    patterns: List,
    /// Whom `topic` lines are about by now.
    user: Option<Box<str>>,
    faults: Vec<Fault>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        // Only a # in the first column begins a comment: mosquitto refuses others.
        let text = line.trim_end();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = split(text.trim_start());
        match word {
            "user" if rest.is_empty() => Err("a user name is missing after `user`".into()),
            "user" => {
                self.user = Some(rest.into());
                self.users.entry(rest.into()).or_default();
                Ok(())
            }
            "topic" => {
                let user = self.user.clone();
                let rule = self.rule(number, rest, Placeholders::Literal)?;
                let list = match user {
                    Some(user) => self.users.entry(user).or_default(),
                    None => &mut self.anonymous,
                };
                add(list, rule);
                Ok(())
            }
            "pattern" => {
                let rule = self.rule(number, rest, Placeholders::WholeLevel)?;
                add(&mut self.patterns, rule);
                Ok(())
            }
            word => Err(format!(
                "{word:?} is no line of an ACL file: `user`, `topic` or `pattern` expected, or a \
                 comment with # in the first column"
            )),
        }
    }

    /// The rest of a line that is a rule: `[ACCESS] FILTER`. Without actions it denies.
    fn rule(
        &self,
        line: usize,
        rest: &str,
        placeholders: Placeholders,
    ) -> Result<(Rule, bool), String> {
        let (word, after) = split(rest);
        let (access, filter) = if after.is_empty() { ("readwrite", word) } else { (word, after) };
        let (actions, allows) = match access {
            "read" => (Actions::READ, true),
            "write" => (Actions::PUBLISH, true),
            "readwrite" => (Actions::ALL, true),
            "deny" => (Actions::ALL, false),
            _ => {
                let what = "must be read, write, readwrite or deny";
                return Err(format!("{access:?} {what}, or be left out: it means readwrite"));
            }
        };
        if filter.is_empty() {
            return Err("a topic filter is missing".into());
        }
        let pattern = Pattern::parse(filter, placeholders)
            .map_err(|error| format!("{filter:?} is no topic filter: {error}"))?;
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let source = Source { file: Arc::clone(&self.file), line };
        let (qos_max, retain) = (QoS::ExactlyOnce, true);
        Ok((Rule { actions, pattern, qos_max, retain, source }, allows))
    }

    fn finish(self) -> Acl {
        Acl {
            users: self.users.into_iter().map(|(name, list)| (name, Arc::new(list))).collect(),
            anonymous: Arc::new(self.anonymous),
            patterns: Arc::new(self.patterns),
        }
    }
}

fn add(list: &mut List, (rule, allows): (Rule, bool)) {
    if allows { list.allow.push(rule) } else { list.deny.push(rule) }
}

/// The first word, and what follows.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_core::grant::{Action, Policy, Principal, Who};

    /// What a client may do by a file: any of r and w.
    fn may(file: &str, (user_name, client_id): (Option<&str>, &str), topic: &str) -> String {
        let acl = Some(parse("acl", file).unwrap());
        let policy = Policy { roles: None, acl, strict: false };
        let user = user_name.map(Into::into);
        let rules = policy.rules_of(&Principal { user_name: user, ..Principal::default() });
        let publish = Action::Publish { qos: QoS::ExactlyOnce, retain: true };
        let who = Who { client_id, user_name };
        let allowed = |action| rules.ruling((action, topic), who).is_allowed();
        let word = |action, word: &'static str| if allowed(action) { word } else { "" };
        format!("{}{}", word(Action::Receive, "r"), word(publish, "w"))
    }

    #[test]
    fn lines_mean_what_they_mean_to_mosquitto() {
        let file = "# first\ntopic read public/#\n\nuser ann\ntopic secret\ntopic deny ann/x\n\
                    topic write ann/#\nuser bob smith\ntopic readwrite a b\n\
                    pattern write dev/%c/up\npattern read users/%u/#\npattern deny dev/c9/up\n\
                    topic read later\n";
        let (ann, nobody) = ((Some("ann"), "c1"), (None, "c1"));
        for (who, topic, expected) in [
            (nobody, "public/x", "r"),
            (ann, "public/x", ""),
            (ann, "secret", "rw"),
            (ann, "ann/y", "w"),
            (ann, "ann/x", ""),
            (nobody, "dev/c1/up", "w"),
            (ann, "dev/c2/up", ""),
            (ann, "users/ann/z", "r"),
            (nobody, "users//z", ""),
            ((Some("bob smith"), "c1"), "a b", "rw"),
            // `pattern` lines do not end the lines of a user.
            ((Some("bob smith"), "c1"), "later", "r"),
            ((None, "c9"), "dev/c9/up", ""),
            ((None, "+"), "dev/+/up", ""),
            (ann, "$SYS/broker/uptime", ""),
        ] {
            assert_eq!(may(file, who, topic), expected, "{who:?} {topic}");
        }
    }

    #[test]
    fn a_users_own_lines_have_the_first_say() {
        let file = "user ann\ntopic read a/#\npattern deny a/#\npattern read b\n";
        assert_eq!(may(file, (Some("ann"), "c"), "a/x"), "r");
        assert_eq!(may(file, (Some("bob"), "c"), "a/x"), "");
        assert_eq!(may(file, (Some("ann"), "c"), "b"), "r");
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        let file = "user\ntopic\ntopic both a\ntopic read a/#/b\nfoo bar\n # x\npattern read\n\
                    topic read $share/g/a\n";
        let faults = parse("acl", file).unwrap_err();
        let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
        // `pattern read` is the filter "read", as it is to mosquitto.
        assert_eq!(lines, [1, 2, 3, 4, 5, 6, 8], "{faults:#?}");
        assert!(faults[2].what.contains("readwrite") && faults[4].what.contains("`topic`"));
    }
}
