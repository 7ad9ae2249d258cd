//! Walks the `[[role]]` and `[[group]]` tables of a file.

use super::super::parse::Walk;
use super::{self as roles, GroupDraft, RoleDraft, RuleDraft};
use noctule_core::grant::{Roles, Source};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

impl Walk<'_> {
    /// The roles of a file, if it has any.
    pub(in crate::config) fn roles(&mut self, root: &DeTable<'_>) -> Option<Roles> {
        let before = self.faults.len();
        let mut groups: Vec<GroupDraft> = Vec::new();
        for entry in self.entries_of(root, "group") {
            let mut draft = GroupDraft::default();
            self.table("group.", entry, roles::GROUP, &mut draft);
            let twice = groups.iter().any(|other| other.name == draft.name);
            self.named("group", (&draft.name, twice), &entry.span());
            groups.push(draft);
        }
        let (mut all, mut spans) = (Vec::new(), Vec::new());
        for entry in self.entries_of(root, "role") {
            let draft = self.role(entry);
            let twice = all.iter().any(|other: &RoleDraft| other.name == draft.name);
            self.named("role", (&draft.name, twice), &entry.span());
            spans.push((draft.name.clone(), entry.span()));
            all.push(draft);
        }
        if (all.is_empty() && groups.is_empty()) || self.faults.len() > before {
            return None;
        }
        match roles::finish(all, groups) {
            Ok(roles) => Some(roles),
            Err(unknown) => {
                for roles::NoSuchGroup { role, group } in unknown {
                    let span = spans.iter().find(|(name, _)| *name == role);
                    let span = span.map_or(0..0, |(_, span)| span.clone());
                    self.fault(&span, "role.groups", format!("there is no group {group:?}"));
                }
                None
            }
        }
    }

    fn entries_of<'v, 'i>(
        &mut self,
        root: &'v DeTable<'i>,
        name: &str,
    ) -> Vec<&'v Spanned<DeValue<'i>>> {
        let value = root.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
        value.map(|value| self.entries(name, value)).unwrap_or_default()
    }

    /// What a table is called: it has to be something, and nothing that is there already.
    fn named(&mut self, table: &str, (name, twice): (&str, bool), span: &Range<usize>) {
        let what = match (name.is_empty(), twice) {
            (true, _) => "is missing in this entry".into(),
            (false, true) => format!("{name:?} has an entry already"),
            (false, false) => return,
        };
        self.fault(span, &format!("{table}.name"), what);
    }

    /// One entry of `[[role]]`, with its rules.
    fn role(&mut self, entry: &Spanned<DeValue<'_>>) -> RoleDraft {
        let mut draft = RoleDraft::default();
        let Some(table) = entry.get_ref().as_table() else {
            self.table("role.", entry, roles::ROLE, &mut draft);
            return draft;
        };
        let (rules, others): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, _)| key.get_ref() == "rule");
        self.options("role.", others.into_iter(), roles::ROLE, &mut draft);
        for (_, rules) in rules {
            for entry in self.entries("role.rule", rules) {
                self.rule(entry, &mut draft);
            }
        }
        draft
    }

    fn rule(&mut self, entry: &Spanned<DeValue<'_>>, role: &mut RoleDraft) {
        let before = self.faults.len();
        let mut rule = RuleDraft::default();
        self.table("role.rule.", entry, roles::RULE, &mut rule);
        let line = u32::try_from(self.line(&entry.span())).unwrap_or(u32::MAX);
        let source = Source { file: self.file.into(), line };
        // What is wrong with one option is not said again of another.
        if self.faults.len() == before
            && let Err((option, why)) = rule.finish(&source, &mut role.rules)
        {
            self.fault(&entry.span(), &format!("role.rule.{option}"), why.into());
        }
    }
}
