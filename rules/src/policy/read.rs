//! Reads the text of a policy: the calendar, levels, `[who]` and the grid. Every fault is noted
//! and reading goes on, so that a school sees all of them at once.

use super::{
    Answer, Calendar, Cell, Exception, LevelRules, Policy, PolicyError, Rule, RuleId, SiteList,
    SiteMap, Who,
};
use crate::access::Role;
use crate::category::{Catalogue, CategoryId, CategorySet};
use crate::document::{Document, Value, nearest, suggest};
use crate::level::{Level, LevelId, Levels, MAX_LEVELS, PageStyle, VideoMode};
use crate::site::Site;
use crate::time::{SchoolClock, WeekTimes};
use ipnet::IpNet;
use std::collections::HashMap;
use toml::de::DeTable;

const KEYS: [&str; 14] = [
    "school",
    "timezone",
    "terms",
    "identify",
    "order",
    "times",
    "levels",
    "who",
    "grid",
    "exception",
    "roles",
    "unblock",
    "keep",
    "test",
];

/// The shipped rows, for cells that a policy does not have.
const BASELINE: &str = include_str!("../../defaults/baseline.toml");

/// Gives the text of a file that the policy names, or why it cannot be read.
type ReadFile<'r> = dyn Fn(&str) -> Result<String, String> + 'r;

/// Cells as written, by level and category, as places in the list of answers.
type Cells = HashMap<(LevelId, CategoryId), u16>;

/// A policy on its way from text to grid.
pub(super) struct Reader<'a> {
    pub(super) document: Document<'a>,
    pub(super) catalogue: Catalogue,
    pub(super) levels: Levels,
    pub(super) clock: Option<SchoolClock>,
    pub(super) calendar: Calendar,
    pub(super) warnings: Vec<(usize, String)>,
    rules: Vec<Rule>,
    answers: Vec<Answer>,
}

pub(super) fn read(
    text: &str,
    file: &str,
    catalogue: Catalogue,
    read_file: &ReadFile<'_>,
) -> Result<Policy, Vec<PolicyError>> {
    let mut document = Document::new(file, text);
    let root = document.parse();
    // What does not even read as TOML hides keys: faults found beyond would mislead.
    if !document.faults.is_empty() {
        return Err(document.into_faults());
    }
    let default = Rule { place: "baseline".to_owned(), text: "no cell: block".to_owned() };
    let answer = Answer { cell: Cell::Block, rule: RuleId(0), words: "block".to_owned() };
    let mut reader = Reader {
        document,
        catalogue,
        levels: Levels::default(),
        clock: None,
        calendar: Calendar::default(),
        warnings: Vec::new(),
        rules: vec![default],
        answers: vec![answer],
    };
    match reader.policy(&root, read_file) {
        Some(policy) if reader.document.faults.is_empty() => Ok(policy),
        _ => Err(reader.document.into_faults()),
    }
}

impl Reader<'_> {
    fn policy(&mut self, root: &DeTable<'_>, read_file: &ReadFile<'_>) -> Option<Policy> {
        self.document.only_keys(root, "the policy", &KEYS);
        let school = self.required_text(root, 0, "the policy", "school", "\"Example Academy\"");
        self.calendar(root);
        self.levels(root);
        let lists = self.lists(root, read_file);
        let who = self.who(root);
        let grid = self.grid(root, lists);
        let exceptions = self.exceptions(root);
        let (roles, holders) = self.roles(root);
        let unblock = self.unblock(root, &roles);
        let keep = self.keep(root);
        let sign_in = self.identify(root);
        let tests = self.tests(root);
        let (opened, closed) = by_site(&exceptions);
        self.warnings.sort();
        let mut files: Vec<String> =
            grid.iter().filter_map(|rules| Some(rules.list.as_ref()?.file.clone())).collect();
        files.sort();
        files.dedup();
        Some(Policy {
            school: school?.to_owned(),
            levels: std::mem::take(&mut self.levels),
            catalogue: self.catalogue.clone(),
            clock: self.clock.take()?,
            calendar: std::mem::take(&mut self.calendar),
            rules: std::mem::take(&mut self.rules),
            answers: std::mem::take(&mut self.answers),
            grid,
            exceptions,
            opened,
            closed,
            who,
            roles,
            holders,
            unblock: unblock?,
            keep,
            sign_in,
            tests,
            files,
            warnings: self.warnings.drain(..).map(|(_, text)| text).collect(),
        })
    }

    // What all parts use.

    /// A text that must be there and not blank.
    pub(super) fn required_text<'v>(
        &mut self,
        table: &'v DeTable<'_>,
        at: usize,
        what: &str,
        key: &str,
        example: &str,
    ) -> Option<&'v str> {
        let value = self.required(table, at, what, key, example)?;
        let text = self.document.string(value, &format!("{key} = {example}"))?;
        if text.trim().is_empty() {
            let fix = format!("write {key} = {example}");
            self.document.fault(value.span().start, format!("{key} is blank"), fix);
            return None;
        }
        Some(text)
    }

    /// A value that must be there.
    pub(super) fn required<'v, 't>(
        &mut self,
        table: &'v DeTable<'t>,
        at: usize,
        what: &str,
        key: &str,
        example: &str,
    ) -> Option<&'v Value<'t>> {
        let value = table.get(key);
        if value.is_none() {
            self.document.fault(
                at,
                format!("{what} has no {key}"),
                format!("add {key} = {example}"),
            );
        }
        value
    }

    /// The level of a name, or a fault.
    pub(super) fn level(&mut self, at: usize, name: &str) -> Option<LevelId> {
        let id = self.levels.id(name);
        if id.is_none() {
            let known = self.levels.levels.iter().map(|level| level.name.as_str());
            let fix = suggest(name, known)
                .unwrap_or_else(|| format!("define {name} in [levels], or use one that is there"));
            self.document.fault(at, format!("no level called \"{name}\""), fix);
        }
        id
    }

    /// The category of a name, or a fault.
    pub(super) fn category(&mut self, at: usize, name: &str) -> Option<CategoryId> {
        let id = self.catalogue.id(name);
        if id.is_none() {
            let fix = match self.catalogue.nearest(name) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "use a shipped category, or one of the machine file's [[lists]]".to_owned(),
            };
            self.document.fault(at, format!("no category called \"{name}\""), fix);
        }
        id
    }

    /// The role of a word, or a fault.
    pub(super) fn role(&mut self, at: usize, word: &str) -> Option<Role> {
        let role = Role::from_word(word);
        if role.is_none() {
            let known = Role::ALL.map(Role::as_str);
            let fix =
                suggest(word, known).unwrap_or_else(|| format!("use one of: {}", known.join(", ")));
            self.document.fault(at, format!("no role called \"{word}\""), fix);
        }
        role
    }

    /// A site, or a fault.
    pub(super) fn site(&mut self, at: usize, text: &str) -> Option<Site> {
        match Site::parse(text) {
            Ok(site) => Some(site),
            Err(error) => {
                self.document.fault(at, error.to_string(), "write it like \"example.org\"");
                None
            }
        }
    }

    /// Numbers a rule. Past the last number a fault is noted, and the number is no longer its own.
    pub(super) fn rule(&mut self, at: usize, place: String, text: String) -> RuleId {
        match u16::try_from(self.rules.len()) {
            Ok(number) => {
                self.rules.push(Rule { place, text });
                RuleId(number)
            }
            Err(_) => {
                self.document.fault(at, "more than 65,535 rules", "use [local] lists for sites");
                RuleId(0)
            }
        }
    }

    /// Notes once what this version does not do.
    pub(super) fn warn_once(&mut self, at: usize, what: &str) {
        if !self.warnings.iter().any(|(_, text)| text.ends_with(what)) {
            self.warnings.push((at, format!("{}: {what}", self.document.place(at))));
        }
    }

    // The parts, in the order of the file.

    fn calendar(&mut self, root: &DeTable<'_>) {
        const TERMS: &str = "terms = [\"2026-09-02/2026-12-18\"]";
        let zone = self.required_text(root, 0, "the policy", "timezone", "\"Europe/London\"");
        let zone_at = root.get("timezone").map_or(0, |value| value.span().start);
        let terms = root.get("terms").map(|value| self.document.strings(value, TERMS));
        for (at, term) in terms.unwrap_or_default() {
            // Each term alone, so that the fault has its line.
            match SchoolClock::new("UTC", &[term.to_owned()]) {
                Ok(_) => self.calendar.terms.push(term.to_owned()),
                Err(error) => {
                    self.document.fault(at, error.to_string(), format!("write it like {TERMS}"));
                }
            }
        }
        if let Some(zone) = zone {
            self.calendar.timezone = zone.to_owned();
            match SchoolClock::new(zone, &self.calendar.terms) {
                Ok(clock) => self.clock = Some(clock),
                Err(error) => self.document.fault(
                    zone_at,
                    error.to_string(),
                    "write it like timezone = \"Europe/London\"",
                ),
            }
        }
        self.times(root);
    }

    fn times(&mut self, root: &DeTable<'_>) {
        const EXAMPLE: &str = "lunch = \"Mon-Fri 12:10-13:10\"";
        let Some(value) = root.get("times") else { return };
        let Some(table) = self.document.table(value, EXAMPLE) else { return };
        for (_, name, value) in Document::rows(table) {
            let Some(text) = self.document.string(value, EXAMPLE) else { continue };
            match WeekTimes::parse(text) {
                Ok(times) => {
                    self.calendar.times.push((name.to_owned(), times, text.to_owned()));
                }
                Err(error) => self.document.fault(
                    value.span().start,
                    error.to_string(),
                    format!("write it like {EXAMPLE}"),
                ),
            }
        }
    }

    fn levels(&mut self, root: &DeTable<'_>) {
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
            let keys = ["parent", "only", "safe_search", "video", "style"];
            self.document.only_keys(table, &format!("level {name}"), &keys);
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
            let (safe_search, video) = (own("safe_search"), own("video"));
            let style_by_name = line.iter().find_map(|id| {
                let explicit = tables.get(id).and_then(|table| table.get("style"));
                let by_name = || style_of(&self.levels.get(*id).name).map(Ok);
                explicit.map(Err).or_else(by_name)
            });
            if let Some(value) = safe_search {
                let truth = self.document.truth(value, "safe_search = true").unwrap_or(false);
                self.levels.levels[place].safe_search = truth;
                if truth {
                    let what = "safe_search is not enforced in this version";
                    self.warn_once(value.span().start, what);
                }
            }
            if let Some(value) = video
                && let Some(mode) = self.word(
                    value,
                    "video mode",
                    VideoMode::from_word,
                    &["open", "moderate", "strict"],
                )
            {
                self.levels.levels[place].video = mode;
                if mode != VideoMode::Open {
                    self.warn_once(value.span().start, "video is not enforced in this version");
                }
            }
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

    /// One of a few words, or a fault.
    pub(super) fn word<T>(
        &mut self,
        value: &Value<'_>,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<T> {
        let text = self.document.string(value, &format!("\"{}\"", words[0]))?;
        let parsed = parse(text);
        if parsed.is_none() {
            let fix = suggest(text, words.iter().copied())
                .unwrap_or_else(|| format!("use one of: {}", words.join(", ")));
            self.document.fault(value.span().start, format!("no {what} called \"{text}\""), fix);
        }
        parsed
    }

    /// `only` of each level, its own or its parent's.
    fn lists(&mut self, root: &DeTable<'_>, read_file: &ReadFile<'_>) -> Vec<Option<SiteList>> {
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

    fn who(&mut self, root: &DeTable<'_>) -> Who {
        const EXAMPLE: &str = "\"group:Year 7\" = \"ks3\"";
        let mut who = Who::default();
        let Some(value) = root.get("who") else { return who };
        let Some(table) = self.document.table(value, EXAMPLE) else { return who };
        for (at, key, value) in Document::rows(table) {
            let level = self.document.string(value, EXAMPLE);
            let level = level.and_then(|name| self.level(value.span().start, name));
            let (kind, name) = key.split_once(':').unwrap_or((key, ""));
            let name = name.trim();
            let is_twice = match kind {
                _ if name.is_empty() => {
                    let what = format!("\"{key}\" names nobody");
                    self.document.fault(at, what, format!("write it like {EXAMPLE}"));
                    continue;
                }
                "user" => {
                    level.and_then(|level| who.users.insert(name.to_lowercase(), level)).is_some()
                }
                "group" => {
                    let name = name.to_lowercase();
                    let is_twice = who.groups.iter().any(|(known, _)| *known == name);
                    who.groups.extend(level.map(|level| (name, level)));
                    is_twice
                }
                "net" => {
                    let network = self.network(at, name);
                    let is_twice = who.networks.iter().any(|(known, _)| Some(*known) == network);
                    who.networks.extend(network.zip(level));
                    is_twice
                }
                _ => {
                    let what = format!("\"{key}\" is no user, group or network");
                    let fix = match nearest(kind, ["user", "group", "net"]) {
                        Some(near) => format!("did you mean \"{near}:{name}\"?"),
                        None => "start it with user:, group: or net:".to_owned(),
                    };
                    self.document.fault(at, what, fix);
                    false
                }
            };
            if is_twice {
                self.document.fault(at, format!("\"{key}\" is there twice"), "remove one");
            }
        }
        who.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        who
    }

    fn network(&mut self, at: usize, text: &str) -> Option<IpNet> {
        let network =
            text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        match network {
            Ok(network) if network.trunc() == network => Some(network),
            Ok(network) => {
                let what = format!("{text} has bits set beyond its prefix");
                self.document.fault(at, what, format!("did you mean \"net:{}\"?", network.trunc()));
                None
            }
            Err(_) => {
                let what = format!("\"{text}\" is no network");
                self.document.fault(at, what, "write it like \"net:10.20.0.0/16\"");
                None
            }
        }
    }

    fn grid(&mut self, root: &DeTable<'_>, lists: Vec<Option<SiteList>>) -> Vec<LevelRules> {
        let shipped = self.baseline();
        let mut written = Cells::new();
        if let Some(value) = root.get("grid")
            && let Some(table) = self.document.table(value, "games = { pupil = \"block\" }")
        {
            for (at, name, value) in Document::rows(table) {
                self.row(at, name, value, &mut written);
            }
        }
        let categories: Vec<CategoryId> = self.catalogue.iter().map(|(id, _)| id).collect();
        let levels: Vec<LevelId> = self.levels.iter().map(|(id, _)| id).collect();
        let mut grid = Vec::new();
        for (level, list) in levels.into_iter().zip(lists) {
            let mut rules = LevelRules {
                answers: Vec::new(),
                allowed: CategorySet::EMPTY,
                conditional: CategorySet::EMPTY,
                list,
            };
            for category in &categories {
                let find = |cells: &Cells| {
                    self.levels
                        .line(level)
                        .find_map(|level| cells.get(&(level, *category)).copied())
                };
                let place = find(&written).or_else(|| find(&shipped)).unwrap_or(0);
                match &self.answers[usize::from(place)].cell {
                    Cell::Allow => rules.allowed.insert(*category),
                    Cell::Block => {}
                    Cell::AllowAt(_) | Cell::AllowFor(_) => rules.conditional.insert(*category),
                }
                rules.answers.push(place);
            }
            grid.push(rules);
        }
        grid
    }

    /// One row of `[grid]`: a category's cells by level.
    fn row(&mut self, at: usize, name: &str, value: &Value<'_>, cells: &mut Cells) {
        let category = self.category(at, name);
        let example = format!("{name} = {{ pupil = \"block\" }}");
        let Some(table) = self.document.table(value, &example) else { return };
        for (level_at, level, value) in Document::rows(table) {
            let level = self.level(level_at, level);
            let Some(words) = self.document.string(value, "\"allow at lunch\"") else { continue };
            let at = value.span().start;
            let Some(cell) = self.cell(at, words) else { continue };
            let Some(category) = category else { continue };
            if self.catalogue.locked().contains(category) && cell != Cell::Block {
                let what = format!("\"{name}\" is locked and cannot be allowed");
                self.document.fault(at, what, "remove the line");
                continue;
            }
            let place = self.document.place(at);
            if let Some(level) = level {
                let answer = self.new_answer(at, place, name, words, cell);
                cells.insert((level, category), answer);
            }
        }
    }

    fn new_answer(&mut self, at: usize, place: String, name: &str, words: &str, cell: Cell) -> u16 {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let rule = self.rule(at, place, format!("{name} = \"{words}\""));
        if rule == RuleId(0) {
            return 0;
        }
        self.answers.push(Answer { cell, rule, words });
        // There are no more answers than rules, which are numbered in 16 bits.
        (self.answers.len() - 1) as u16
    }

    /// `allow | block | allow at TIME | allow for @ROLE`.
    fn cell(&mut self, at: usize, words: &str) -> Option<Cell> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        match parts[..] {
            ["allow"] => Some(Cell::Allow),
            ["block"] => Some(Cell::Block),
            ["allow", "at", ..] => self.time_cell(at, &parts[2..].join(" ")),
            ["allow", "for", role] if role.starts_with('@') => {
                let known = Role::from_word(&role[1..]);
                if known.is_none() {
                    let fix = match nearest(&role[1..], Role::ALL.map(Role::as_str)) {
                        Some(near) => format!("did you mean \"allow for @{near}\"?"),
                        None => format!("use one of: {}", Role::ALL.map(Role::as_str).join(", ")),
                    };
                    self.document.fault(at, format!("no role called \"{}\"", &role[1..]), fix);
                }
                known.map(Cell::AllowFor)
            }
            ["allow", "for", role] => {
                let what = format!("\"{words}\" names no role");
                self.document.fault(at, what, format!("did you mean \"allow for @{role}\"?"));
                None
            }
            _ => {
                let fix = match nearest(words.trim(), ["allow", "block"]) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "write allow, block, allow at TIME, or allow for @ROLE".to_owned(),
                };
                self.document.fault(at, format!("\"{words}\" is no cell of the grid"), fix);
                None
            }
        }
    }

    fn time_cell(&mut self, at: usize, name: &str) -> Option<Cell> {
        let known = self.calendar.times.iter().find(|(known, _, _)| known == name);
        if let Some((_, times, _)) = known {
            return Some(Cell::AllowAt(times.clone()));
        }
        let names = self.calendar.times.iter().map(|(name, _, _)| name.as_str());
        let fix = match nearest(name, names) {
            Some(near) => format!("did you mean \"allow at {near}\"?"),
            None => format!("define it in [times]: {name} = \"Mon-Fri 12:10-13:10\""),
        };
        self.document.fault(at, format!("no time called \"{name}\""), fix);
        None
    }

    /// The shipped rows, for the levels and categories that this policy has.
    fn baseline(&mut self) -> Cells {
        let mut document = Document::new("baseline", BASELINE);
        let root = document.parse();
        let mut cells = Cells::new();
        let rows = root.get("grid").and_then(|value| value.get_ref().as_table());
        for (_, name, value) in rows.map(Document::rows).unwrap_or_default() {
            let table = value.get_ref().as_table();
            for (at, level, value) in table.map(Document::rows).unwrap_or_default() {
                let (Some(level), Some(category), Some(words)) =
                    (self.levels.id(level), self.catalogue.id(name), value.get_ref().as_str())
                else {
                    continue;
                };
                let cell = match words.strip_prefix("allow for @").map(Role::from_word) {
                    Some(Some(role)) => Cell::AllowFor(role),
                    None if words == "allow" => Cell::Allow,
                    // A test holds the shipped file to these forms; anything else is closed.
                    _ => Cell::Block,
                };
                if self.catalogue.locked().contains(category) && cell != Cell::Block {
                    continue;
                }
                let answer = self.new_answer(0, document.place(at), name, words, cell);
                cells.insert((level, category), answer);
            }
        }
        cells
    }
}

/// The style that goes with a level's name.
fn style_of(name: &str) -> Option<PageStyle> {
    match name {
        "ks3" | "ks4" | "ks5" | "guest" => Some(PageStyle::Secondary),
        _ => PageStyle::from_word(name),
    }
}

type BySite = SiteMap<(LevelId, RuleId)>;

/// Exceptions that open, and those that close.
fn by_site(exceptions: &[Exception]) -> (BySite, BySite) {
    let (mut opened, mut closed) = (SiteMap::default(), SiteMap::default());
    for exception in exceptions {
        let sites = if exception.blocks { &mut closed } else { &mut opened };
        sites.insert(exception.site.clone(), (exception.level, exception.rule));
    }
    (opened, closed)
}
