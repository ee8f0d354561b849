//! What differs in what a policy says about files.

use super::{PolicyDiff, is_looser_cell};
use crate::decide::Verdict;
use crate::file::FileKind;
use crate::level::LevelId;
use crate::policy::{Answer, Policy};
use std::collections::BTreeSet;

impl Policy {
    /// More kinds or larger files open more; so does a file that is no longer scanned, or goes through unscanned.
    pub(super) fn diff_files(&self, newer: &Policy, diff: &mut PolicyDiff) {
        for (new_id, level) in newer.levels.iter() {
            let Some(id) = self.levels.id(&level.name) else { continue };
            diff.loosens |= self.loosens_files(id, newer, new_id);
            let said =
                |kind: Option<FileKind>| self.is_file_said_of_parent(id, newer, new_id, kind);
            for kind in FileKind::all() {
                let (old, new) = (self.file_answer(id, kind), newer.file_answer(new_id, kind));
                if !said(Some(kind)) {
                    let what = format!("files: {} for {}", kind.as_str(), level.name);
                    let loosens = is_looser_cell(&old.cell, &new.cell);
                    diff.change(&what, &old.words, &new.words, loosens);
                }
            }
            if !said(None) {
                let megabytes = |policy: &Policy, id| match policy.largest_file(id) {
                    Some(most) => format!("{} MB", most / crate::file::MEGABYTE),
                    None => "any size".to_owned(),
                };
                let what = format!("files: largest for {}", level.name);
                let loosens = self.is_larger(id, newer, new_id);
                diff.change(&what, &megabytes(self, id), &megabytes(newer, new_id), loosens);
                let scan = |policy: &Policy, id: LevelId| match policy.file_rules[id.index()].scan {
                    true => "on",
                    false => "off",
                };
                let (old, new) = (scan(self, id), scan(newer, new_id));
                let what = format!("files: virus scan for {}", level.name);
                diff.change(&what, old, new, new == "off");
            }
        }
        let named = |policy: &Policy| -> BTreeSet<String> {
            let names = policy.catalogue.names(policy.unchecked_files);
            names.into_iter().map(|name| format!("{name} in files unchecked")).collect()
        };
        diff.sets(&named(self), &named(newer), true, false);
        let (old, new) = (&self.scan_rule, &newer.scan_rule);
        let parts = [
            ("if_unavailable", old.if_unavailable, new.if_unavailable),
            ("if_too_large", old.if_too_large, new.if_too_large),
        ];
        for (key, old, new) in parts {
            let what = format!("files: virus scan {key}");
            diff.change(&what, old.as_str(), new.as_str(), new == Verdict::Allow);
        }
    }

    /// Whether somebody of one level may fetch more as one of the other; what the scan rule says apart.
    pub(super) fn loosens_files(&self, level: LevelId, newer: &Policy, new_level: LevelId) -> bool {
        let (was, is) = (&self.file_rules[level.index()], &newer.file_rules[new_level.index()]);
        let is_looser = |kind| {
            let old = self.file_answer(level, kind);
            is_looser_cell(&old.cell, &newer.file_answer(new_level, kind).cell)
        };
        was.scan && !is.scan
            || self.is_larger(level, newer, new_level)
            || FileKind::all().any(is_looser)
    }

    fn is_larger(&self, level: LevelId, newer: &Policy, new_level: LevelId) -> bool {
        match (self.largest_file(level), newer.largest_file(new_level)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new > old,
        }
    }

    fn file_answer(&self, level: LevelId, kind: FileKind) -> &Answer {
        &self.answers[usize::from(self.file_rules[level.index()].answers[kind as usize])]
    }

    /// Whether the line about a level's parent covers the level: in both policies it says what its parent says,
    /// of a kind or (`None`) of sizes and scans.
    fn is_file_said_of_parent(
        &self,
        id: LevelId,
        newer: &Policy,
        new_id: LevelId,
        kind: Option<FileKind>,
    ) -> bool {
        let (old, new) = (self.levels.get(id).parent, newer.levels.get(new_id).parent);
        let (Some(old), Some(new)) = (old, new) else { return false };
        let same = |policy: &Policy, id: LevelId, parent: LevelId| {
            let (own, above) = (&policy.file_rules[id.index()], &policy.file_rules[parent.index()]);
            match kind {
                Some(kind) => own.answers[kind as usize] == above.answers[kind as usize],
                None => {
                    own.scan == above.scan
                        && own.largest.map(|it| it.0) == above.largest.map(|it| it.0)
                }
            }
        };
        self.levels.get(old).name == newer.levels.get(new).name
            && same(self, id, old)
            && same(newer, new_id, new)
    }
}
