//! Reads the levels of a policy: parents, order, settings, and the lists that `only` names.

use super::read::{ReadFile, Reader};
use super::{PolicyError, SiteList, SiteMap};
use crate::document::{Document, Value};
use crate::level::{Circumvention, ImageMode, Level, LevelId, MAX_LEVELS, PageStyle, VideoMode};
use crate::site::Site;
use std::collections::HashMap;
use toml::de::DeTable;

/// What a level may say of itself.
const KEYS: [&str; 9] = [
    "parent",
    "only",
    "safe_search",
    "video",
    "images",
    "child_engines",
    "circumvention",
    "style",
    "inspect",
];

impl Reader<'_> {
    pub(super) fn levels(&mut self, root: &DeTable<'_>) {
        const EXAMPLE: &str = "ks2 = { parent = \"pupil\" }";
        let Some(value) = self.required(root, 0, "the policy", "levels", EXAMPLE) else { return };
        let Some(table) = self.document.table(value, EXAMPLE) else { return };
        let rows = Document::rows(table);
        if rows.is_empty() {
            self.document.fault(value.span().start, "[levels] is empty", format!("add {EXAMPLE}"));
        }
        for (at, name, _) in &rows {
            self.new_level(*at, name);
        }
        for (at, name, value) in &rows {
            let (Some(id), Some(table)) =
                (self.levels.id(name), self.document.table(value, EXAMPLE))
            else {
                continue;
            };
            self.document.only_keys(table, &format!("level {name}"), &KEYS);
            if let Some(parent) = table.get("parent") {
                let text = self.document.string(parent, EXAMPLE);
                let parent = text.and_then(|text| self.level(parent.span().start, text));
                if parent.is_some_and(|parent| self.levels.within(parent, id)) {
                    let what = format!("{name} is its own parent");
                    self.document.fault(*at, what, "give it another parent, or none");
                } else {
                    self.levels.levels[id.index()].parent = parent;
                }
            }
        }
        self.order(root);
        self.settings(&rows);
    }

    fn new_level(&mut self, at: usize, name: &str) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(is_plain) {
            let what = format!("\"{name}\" is no name for a level");
            self.document.fault(at, what, "use letters, digits and hyphens, 1 to 40 long");
            return;
        }
        if self.levels.levels.len() == MAX_LEVELS {
            let what = format!("more than {MAX_LEVELS} levels");
            self.document.fault(at, what, "merge some levels");
            return;
        }
        let id = LevelId(self.levels.levels.len() as u8);
        self.levels.by_name.insert(name.to_owned(), id);
        self.levels.levels.push(Level {
            name: name.to_owned(),
            parent: None,
            strictness: 0,
            style: PageStyle::Secondary,
            safe_search: false,
            video: VideoMode::Open,
            images: ImageMode::Any,
            child_engines: false,
            circumvention: Circumvention::Block,
            inspect: None,
        });
    }

    fn order(&mut self, root: &DeTable<'_>) {
        const EXAMPLE: &str = "order = [\"ks1\", \"ks2\", \"staff\"]";
        let example = "[\"pupil\", \"guest\", \"staff\"], strictest first";
        let Some(value) = self.required(root, 0, "the policy", "order", example) else { return };
        for (at, name) in self.document.strings(value, EXAMPLE) {
            let Some(id) = self.level(at, name) else { continue };
            if self.levels.order.contains(&id) {
                self.document.fault(at, format!("{name} is in the order twice"), "remove one");
            } else {
                self.levels.order.push(id);
            }
        }
        if self.levels.order.is_empty() {
            let what = "order names no level";
            self.document.fault(value.span().start, what, format!("write it like {EXAMPLE}"));
        }
        let place = |id: LevelId| self.levels.order.iter().position(|named| *named == id);
        let mut strictness = Vec::new();
        let mut unnamed = Vec::new();
        for (id, level) in self.levels.iter() {
            let above = self.levels.line(id).find_map(place);
            let below = || {
                let children = self.levels.order.iter().rposition(|it| self.levels.within(*it, id));
                children.or_else(|| {
                    unnamed.push(level.name.clone());
                    None
                })
            };
            strictness.push(above.or_else(below).unwrap_or(0) as u8);
        }
        for (level, place) in self.levels.levels.iter_mut().zip(strictness) {
            level.strictness = place;
        }
        for name in unnamed {
            let what = format!("order does not say how strict {name} is");
            self.document.fault(
                value.span().start,
                what,
                format!("put \"{name}\" in its place there"),
            );
        }
    }

    /// The settings of levels, which children take from their parents.
    fn settings(&mut self, rows: &[(usize, &str, &Value<'_>)]) {
        let tables: HashMap<LevelId, &DeTable<'_>> = rows
            .iter()
            .filter_map(|(_, name, value)| {
                Some((self.levels.id(name)?, value.get_ref().as_table()?))
            })
            .collect();
        for place in 0..self.levels.levels.len() {
            let line: Vec<LevelId> = self.levels.line(LevelId(place as u8)).collect();
            let own = |key: &str| line.iter().find_map(|id| tables.get(id)?.get(key));
            let searches = ["safe_search", "video", "images", "child_engines"].map(own);
            let inspect = own("inspect");
            let circumvention = own("circumvention");
            let is_staff = line.iter().any(|id| self.levels.get(*id).name == "staff");
            let style_by_name = line.iter().find_map(|id| {
                let explicit = tables.get(id).and_then(|table| table.get("style"));
                let by_name = || style_of(&self.levels.get(*id).name).map(Ok);
                explicit.map(Err).or_else(by_name)
            });
            self.searches(place, searches);
            self.levels.levels[place].inspect = inspect.and_then(|value| self.mode(value));
            let said = circumvention.and_then(|value| {
                let words = ["block", "grid"];
                self.word(value, "answer", Circumvention::from_word, &words)
            });
            let unsaid = if is_staff { Circumvention::Grid } else { Circumvention::Block };
            self.levels.levels[place].circumvention = said.unwrap_or(unsaid);
            let style = match style_by_name {
                Some(Ok(style)) => Some(style),
                Some(Err(value)) => self.word(
                    value,
                    "style",
                    PageStyle::from_word,
                    &["ks1", "ks2", "secondary", "staff"],
                ),
                None => None,
            };
            self.levels.levels[place].style = style.unwrap_or(PageStyle::Secondary);
        }
    }

    /// What a level says about searches.
    fn searches(
        &mut self,
        place: usize,
        [safe_search, video, images, child_engines]: [Option<&Value<'_>>; 4],
    ) {
        if let Some(value) = safe_search {
            let truth = self.document.truth(value, "safe_search = true").unwrap_or(false);
            self.levels.levels[place].safe_search = truth;
        }
        let modes = ["off", "moderate", "strict"];
        if let Some(value) = video
            && let Some(mode) = self.word(value, "video mode", VideoMode::from_word, &modes)
        {
            self.levels.levels[place].video = mode;
        }
        let modes = ["any", "safe", "block"];
        if let Some(value) = images
            && let Some(mode) = self.word(value, "image mode", ImageMode::from_word, &modes)
        {
            self.levels.levels[place].images = mode;
        }
        if let Some(value) = child_engines {
            let truth = self.document.truth(value, "child_engines = true").unwrap_or(false);
            self.levels.levels[place].child_engines = truth;
        }
    }

    /// `only` of each level, its own or its parent's.
    pub(super) fn lists(
        &mut self,
        root: &DeTable<'_>,
        read_file: &ReadFile<'_>,
    ) -> Vec<Option<SiteList>> {
        let mut own: Vec<Option<SiteList>> = vec![None; self.levels.levels.len()];
        let table = root.get("levels").and_then(|value| value.get_ref().as_table());
        for (_, name, value) in table.map(Document::rows).unwrap_or_default() {
            let only = value.get_ref().as_table().and_then(|table| table.get("only"));
            if let (Some(id), Some(value)) = (self.levels.id(name), only)
                && let Some(file) = self.document.string(value, "only = \"local/ks1.txt\"")
            {
                own[id.index()] = self.list(value.span().start, name, file, read_file);
            }
        }
        let inherited = |(id, _): (LevelId, &Level)| {
            self.levels.line(id).find_map(|id| own[id.index()].clone())
        };
        self.levels.iter().map(inherited).collect()
    }

    fn list(
        &mut self,
        at: usize,
        level: &str,
        file: &str,
        read_file: &ReadFile<'_>,
    ) -> Option<SiteList> {
        let text = match read_file(file) {
            Ok(text) => text,
            Err(why) => {
                let what = format!("cannot read {file}: {why}");
                self.document.fault(at, what, "correct the name, or make the file: a site a line");
                return None;
            }
        };
        let place = self.document.place(at);
        let rule = self.rule(at, place, format!("{level} only = \"{file}\""));
        let mut sites = SiteMap::default();
        for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            match Site::parse(line) {
                Ok(site) => sites.insert(site, ()),
                Err(error) => {
                    let (place, what) = (format!("{file}:{}", i + 1), error.to_string());
                    let fix = "write one site a line, like example.org".to_owned();
                    self.document.fault_elsewhere(at, PolicyError { place, what, fix });
                }
            }
        }
        Some(SiteList { rule, file: file.to_owned(), sites })
    }
}

/// The style that goes with a level's name.
fn style_of(name: &str) -> Option<PageStyle> {
    match name {
        "ks3" | "ks4" | "ks5" | "guest" => Some(PageStyle::Secondary),
        _ => PageStyle::from_word(name),
    }
}
