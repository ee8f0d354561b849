//! Reads the text of a policy: its parts in turn, the calendar and `[who]`. Every fault is noted and
//! reading goes on, so that a school sees all of them at once.

use super::{Answer, Calendar, Cell, Exception, Policy, PolicyError, Rule, RuleId, SiteMap, Who};
use crate::access::Role;
use crate::category::{Catalogue, CategoryId};
use crate::document::{Document, Value, nearest, suggest};
use crate::level::{LevelId, Levels};
use crate::site::Site;
use crate::time::{SchoolClock, WeekTimes};
use ipnet::IpNet;
use toml::de::DeTable;

const KEYS: [&str; 26] = [
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
    "inspect",
    "inspect_site",
    "tls",
    "tenants",
    "themes",
    "theme_thresholds",
    "theme_words",
    "phrase_list",
    "assistants",
    "files",
    "roles",
    "unblock",
    "alerts",
    "reports",
    "keep",
    "test",
];

/// Gives the text of a file that the policy names, or why it cannot be read.
pub(super) type ReadFile<'r> = dyn Fn(&str) -> Result<String, String> + 'r;

/// A policy on its way from text to grid.
pub(super) struct Reader<'a> {
    pub(super) document: Document<'a>,
    pub(super) catalogue: Catalogue,
    pub(super) levels: Levels,
    pub(super) clock: Option<SchoolClock>,
    pub(super) calendar: Calendar,
    pub(super) warnings: Vec<(usize, String)>,
    pub(super) rules: Vec<Rule>,
    pub(super) answers: Vec<Answer>,
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
        let inspect = self.inspect(root);
        let tls = self.tls(root);
        let tenants = self.tenants(root, &inspect);
        let (themes, word_files) = self.themes(root, read_file);
        let phrase_lists = self.phrase_lists(root);
        let assistants = self.assistants(root);
        let (file_rules, scan_rule, unchecked_files) = self.files(root);
        let (roles, holders) = self.roles(root);
        let unblock = self.unblock(root, &roles);
        let alerts = self.alerts(root, &holders);
        let reports = self.reports(root, &holders);
        let keep = self.keep(root);
        let sign_in = self.identify(root);
        let tests = self.tests(root);
        let (opened, closed) = by_site(&exceptions);
        self.warnings.sort();
        let mut files: Vec<String> =
            grid.iter().filter_map(|rules| Some(rules.list.as_ref()?.file.clone())).collect();
        files.extend(word_files);
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
            alerts,
            reports,
            keep,
            inspect,
            tls,
            tenants,
            themes,
            phrase_lists,
            phrase_folders: Vec::new(),
            phrase_weights: Default::default(),
            assistants,
            file_rules,
            scan_rule,
            unchecked_files,
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
                self.document.fault(
                    at,
                    "more than 65,535 rules",
                    "keep sites in a list, and name the list in the machine file",
                );
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
