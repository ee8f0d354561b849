//! The weekly report: one page that says whether filtering worked and what needs somebody.

use crate::args::Reader;
use crate::report::blocked::{MOST_PEOPLE, Person};
use crate::report::called::Called;
use crate::report::document::{Document, Section, Table};
use crate::report::https::Https;
use crate::report::running::{Running, running};
use crate::report::themes::Themes;
use crate::report::tries::Tries;
use crate::report::unread::Told;
use rules::change::{ChangeEntry, Changes, UnblockState};
use rules::policy::Policy;
use rules::time::UnixMillis;
use serde::Serialize;

const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
/// Most things that wait, most changes.
pub(super) const MOST_THINGS: usize = 5;
/// Most sites.
const MOST_HOSTS: usize = 10;

/// Blocked requests of one person and category in a range that make a pattern rather than a slip.
pub(crate) const REPEATED: u64 = 5;

/// What the log says of a range. Filled from rollups, never from raw rows.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Requests, each once.
    pub(crate) requests: u64,
    /// Of those, blocked.
    pub(crate) blocked: u64,
    /// Pages that somebody opened, each time, where the filter saw inside.
    pub(crate) visits: u64,
    /// Of those, blocked.
    pub(crate) visits_blocked: u64,
    /// Requests by a person who was proved.
    pub(crate) identified: u64,
    /// Allowed requests by depth in the end: plain http, connections by name only, requests inside
    /// connections that were looked into.
    pub(crate) depths: Vec<(String, u64)>,
    /// Https connections.
    pub(crate) https: Https,
    /// The same by level, in the policy's order; levels without any are left out.
    pub(crate) https_levels: Vec<(String, Https)>,
    /// Requests that a category closed, by its title, most first.
    pub(crate) categories: Vec<(String, u64)>,
    /// Blocked requests by reason word, most first, each once.
    pub(crate) reasons: Vec<(&'static str, u64)>,
    /// Tries to get round the filter.
    pub(crate) tries: Tries,
    /// Proven people with blocked requests, most first.
    #[serde(skip)]
    pub(crate) people: Vec<Person>,
    /// Blocked requests by site, most first.
    pub(crate) hosts: Vec<(String, u64)>,
    /// Bytes to clients.
    pub(crate) bytes_down: u64,
}

/// One list's age.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListAge {
    /// Name.
    pub(crate) name: String,
    /// When its version was taken in; `None`: part of the program.
    pub(crate) taken_in: Option<i64>,
    /// Whether a newer version waits for a person.
    pub(crate) held: bool,
    /// Whether it comes with the program.
    pub(crate) shipped: bool,
    /// The category of its entries.
    pub(crate) category: String,
}

/// Everything the report is made from.
pub(crate) struct Week<'a> {
    /// What people are called.
    pub(crate) called: Called,
    /// Themes and alerts, where the reader may see them.
    pub(crate) themes: Option<Themes>,
    /// The policy in force.
    pub(crate) policy: &'a Policy,
    /// `[from, until)`.
    pub(crate) range: (UnixMillis, UnixMillis),
    /// When the report is made.
    pub(crate) made_at: UnixMillis,
    /// This range.
    pub(crate) figures: Figures,
    /// The range of the same length before.
    pub(crate) before: Figures,
    /// The change log folded.
    pub(crate) changes: &'a Changes,
    /// Its entries.
    pub(crate) entries: &'a [ChangeEntry],
    /// Lists.
    pub(crate) lists: Vec<ListAge>,
    /// Bytes of the log on disk.
    pub(crate) log_bytes: u64,
    /// Whether the filter runs as the report is made.
    pub(crate) running: bool,
    /// Whether the school has a certificate authority as the report is made.
    pub(crate) authority: bool,
    /// Who is told where the lead's report stays unread.
    pub(crate) told: Told,
    /// The last checkpoint, and the line of its signature.
    pub(crate) checkpoint: Option<(String, String)>,
}

/// `sam.p` -> `SP`, `Q. Whitmore` -> `QW`.
pub(crate) fn initials(name: &str) -> String {
    let local = name.split('@').next().unwrap_or(name);
    let letters: String = local
        .split(|c: char| !c.is_alphanumeric())
        .filter_map(|word| word.chars().next())
        .take(3)
        .flat_map(char::to_uppercase)
        .collect();
    if letters.is_empty() { "?".to_owned() } else { letters }
}

/// The middle of some waits, in milliseconds.
fn median(mut waits: Vec<i64>) -> Option<i64> {
    waits.sort_unstable();
    let middle = waits.len() / 2;
    match waits.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(waits[middle]),
        _ => Some(waits[middle - 1].midpoint(waits[middle])),
    }
}

/// `4 min`, `3 h`, `2 days`.
pub(crate) fn span_words(ms: i64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "under a minute".to_owned(),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "no requests".to_owned();
    }
    format!("{:.0} %", part as f64 / whole as f64 * 100.0)
}

/// What waits for a person.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waiting {
    pub(crate) what: String,
    pub(crate) waits_ms: i64,
}

/// How requests for sites went. Those that a standing yes of the policy answers at once are counted apart: nobody
/// waited for them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Requests {
    asked: u64,
    authorised: u64,
    refused: u64,
    median_wait_ms: Option<i64>,
    lessons: u64,
    /// Blocks that somebody who answered a request has found to be wrong.
    wrongly_blocked: u64,
}

impl Week<'_> {
    pub(super) fn holds(&self, at: UnixMillis) -> bool {
        self.range.0 <= at && at < self.range.1
    }

    fn waiting(&self) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = self
            .changes
            .unblocks
            .values()
            .filter(|unblock| {
                self.changes.state(unblock.id, self.made_at) == Some(UnblockState::Asked)
            })
            .map(|unblock| Waiting {
                what: format!(
                    "{}, asked by {} ({})",
                    crate::requests::subject(unblock),
                    unblock.requested_by,
                    unblock.id
                ),
                waits_ms: self.made_at.0 - unblock.asked_at.0,
            })
            .collect();
        waiting.sort_by_key(|item| -item.waits_ms);
        // Somebody may be in danger: before anything else.
        let alerts = self.themes.as_ref().map(|themes| themes.waiting(self.made_at));
        waiting = alerts.unwrap_or_default().into_iter().chain(waiting).collect();
        let held = self.lists.iter().filter(|list| list.held).map(|list| Waiting {
            what: format!("a new version of the list {} waits for a decision", list.name),
            waits_ms: 0,
        });
        waiting.extend(held);
        let over = self.policy.terms_over(self.made_at);
        waiting.extend(over.map(|what| Waiting { what, waits_ms: 0 }));
        waiting.extend(self.overdue().into_iter().map(|what| Waiting { what, waits_ms: 0 }));
        waiting
    }

    /// Standing decisions and changes whose review date has passed.
    pub(super) fn overdue(&self) -> Vec<String> {
        let unblocks = self
            .changes
            .unblocks
            .values()
            .filter(|unblock| {
                self.changes.state(unblock.id, self.made_at) == Some(UnblockState::ReviewDue)
            })
            .map(|unblock| format!("review of {} ({}) is due", unblock.site, unblock.id));
        self.policy.overdue_reviews(self.made_at).into_iter().chain(unblocks).collect()
    }

    fn requests(&self) -> Requests {
        let mut requests = Requests::default();
        let mut waits = Vec::new();
        for unblock in self.changes.unblocks.values().filter(|it| it.kind.is_of_block()) {
            let is_wrong = unblock.wrongly_blocked.as_ref().is_some_and(|(at, _)| self.holds(*at));
            requests.wrongly_blocked += u64::from(is_wrong);
            if unblock.by_standing_yes {
                requests.lessons += u64::from(self.holds(unblock.asked_at));
                continue;
            }
            requests.asked += u64::from(self.holds(unblock.asked_at));
            let yes = unblock.authorised.as_ref().map(|(at, _)| *at).filter(|at| self.holds(*at));
            let no = unblock.refused.as_ref().map(|(at, ..)| *at).filter(|at| self.holds(*at));
            requests.authorised += u64::from(yes.is_some());
            requests.refused += u64::from(no.is_some());
            waits.extend(yes.or(no).map(|at| at.0 - unblock.asked_at.0));
        }
        requests.median_wait_ms = median(waits);
        requests
    }

    /// A week with a change of the clock has an hour more or less.
    pub(super) fn is_a_week(&self) -> bool {
        ((self.range.1.0 - self.range.0.0) - WEEK_MS).abs() <= HOUR_MS
    }

    fn running(&self) -> Running {
        running(self.entries, self.range, self.running, self.made_at)
    }

    /// The one sentence about the filter.
    fn headline(&self) -> String {
        let running = self.running();
        let clock = self.policy.clock();
        let worked = match &running {
            Running { ever: false, .. } => "No filtering is recorded for this time.".to_owned(),
            Running { stops: 0, first_start: Some(start), .. } => {
                let start = clock.show(*start);
                format!("Filtering has worked since the filter first started, {start}.")
            }
            Running { stops: 0, log_stops: 1.., log_stopped_ms, .. } => format!(
                "Filtering stood still for {} because the log could not be written; browsing stops while \
                 it does.",
                span_words(*log_stopped_ms)
            ),
            Running { stops: 0, .. } if self.range.1 > self.made_at => {
                "Filtering has worked so far.".to_owned()
            }
            Running { stops: 0, .. } if self.is_a_week() => "Filtering worked all week.".to_owned(),
            Running { stops: 0, .. } => "Filtering worked all this time.".to_owned(),
            running => {
                let still = running.stood_still(clock).unwrap_or_default();
                format!("{still}; browsing stops while it does.")
            }
        };
        let needs = match self.waiting().len() {
            0 => "Nothing waits for your decision.".to_owned(),
            1 => "1 thing needs you.".to_owned(),
            many => format!("{many} things need you."),
        };
        format!("{worked} {needs}")
    }

    /// The report as a page.
    pub(crate) fn document(&self, reader: Reader) -> Document {
        let clock = self.policy.clock();
        let last = UnixMillis(self.range.1.0 - 1);
        let edition = match reader {
            Reader::Dsl => "For the safeguarding lead",
            Reader::It => "For the technician",
        };
        let mut sections = vec![self.needs_you(), self.working(reader)];
        if let Some(themes) = &self.themes {
            sections.push(themes.section());
            sections.push(themes.pupils_section(&self.called));
        }
        sections.push(self.most_blocked());
        sections.push(self.people());
        sections.push(self.figures.tries.section(&self.before.tries, &self.called));
        sections.push(self.teaching());
        sections.push(self.changed());
        if reader == Reader::It {
            sections.extend(self.technical());
        }
        sections.push(self.reviewed(reader));
        Document {
            title: format!("{}: the week in filtering", self.policy.school()),
            subtitle: format!("{} to {}. {edition}.", clock.day(self.range.0), clock.day(last)),
            headline: self.headline(),
            sections,
            footer: [
                self.counted(),
                "Not measured yet: harmless sites blocked by mistake that nobody asked for; test pages for each network and level."
                    .to_owned(),
                format!("Made {}.", clock.show(self.made_at)),
            ]
            .into_iter()
            .chain(self.chain_head())
            .collect(),
            landscape: false,
            one_page: true,
        }
    }

    /// What the figures count.
    fn counted(&self) -> String {
        let Figures { visits, visits_blocked, .. } = &self.figures;
        format!(
            "Figures are requests, but those of themes and pupils. One page makes many requests, most without \
             anybody's doing: {} pages were opened, {} of them blocked, where the filter saw more than a site's name. \
             A site in several categories counts under each.",
            thousands(*visits),
            thousands(*visits_blocked)
        )
    }

    /// The signed state of the whole log: on paper, out of reach of whoever could change the log.
    fn chain_head(&self) -> Vec<String> {
        match &self.checkpoint {
            None => vec!["Checkpoint of the log: none was signed yet.".to_owned()],
            Some((line, signature)) => {
                vec![format!("Checkpoint of the log: {line}"), signature.clone()]
            }
        }
    }

    /// Hours for which the filter, though it ran, did not state what it was.
    fn statement_gaps(&self) -> Option<String> {
        let runs_until = self.running.then_some(self.made_at);
        let gaps = ledger::evidence::gaps::gaps(self.entries, self.range, runs_until);
        let (from, until) = gaps.first()?;
        let clock = self.policy.clock();
        let first = format!("{} to {}", clock.show(*from), clock.show(*until));
        Some(match gaps.len() {
            1 => format!("Once the filter ran without its hourly record of itself: {first}."),
            many => format!(
                "{many} times the filter ran without its hourly record of itself, first {first}."
            ),
        })
    }

    fn needs_you(&self) -> Section {
        let waiting = self.waiting();
        let mut sentences = Vec::new();
        if waiting.is_empty() {
            sentences.push("Nothing waits for a decision.".to_owned());
        }
        if waiting.len() > MOST_THINGS {
            sentences.push(format!("The first {MOST_THINGS} of {}.", waiting.len()));
        }
        let rows: Vec<Vec<String>> = waiting
            .into_iter()
            .take(MOST_THINGS)
            .map(|item| {
                vec![
                    item.what,
                    if item.waits_ms > 0 { span_words(item.waits_ms) } else { String::new() },
                ]
            })
            .collect();
        let table = (!rows.is_empty()).then(|| Table::new(&["What", "Waiting"], rows));
        Section { heading: "Needs you".to_owned(), sentences, table }
    }

    fn working(&self, reader: Reader) -> Section {
        let figures = &self.figures;
        let mut sentences = vec![format!(
            "{} requests, {} blocked ({}). The week before: {} and {}.",
            thousands(figures.requests),
            thousands(figures.blocked),
            percent(figures.blocked, figures.requests),
            thousands(self.before.requests),
            thousands(self.before.blocked),
        )];
        let running = self.running();
        if running.crashes > 0 {
            sentences
                .push(format!("Times that the filter ended without notice: {}.", running.crashes));
        }
        if running.log_stops > 0 {
            sentences.push(format!(
                "Times that the log could not be written, so that browsing was stopped: {}, {} in all; {} \
                 requests were turned away.",
                running.log_stops,
                span_words(running.log_stopped_ms),
                thousands(running.turned_away)
            ));
        }
        if running.damaged_bytes > 0 || running.days_set_aside > 0 {
            sentences.push(format!(
                "Records are missing: {} bytes on their way and {} day files were damaged; they are kept \
                 beside the log for whoever can read them.",
                thousands(running.damaged_bytes),
                running.days_set_aside
            ));
        }
        sentences.extend(self.statement_gaps());
        sentences.push(match figures.requests {
            0 => "Who was browsing: nothing was recorded.".to_owned(),
            all => format!(
                "Who was browsing was known for {} of requests.",
                percent(figures.identified, all)
            ),
        });
        if figures.requests > 0 {
            let Figures { https, https_levels, .. } = figures;
            sentences.extend(https.sentences(https_levels, self.authority, reader));
        }
        sentences.push(self.list_ages(reader));
        sentences.extend(self.missing_illegal_lists());
        Section { heading: "Is it working?".to_owned(), sentences, table: None }
    }

    /// The slots of illegal content hold a self-test name until the school adds the feed that only
    /// members may have: nobody must take the slot for the list.
    fn missing_illegal_lists(&self) -> Option<String> {
        let missing: Vec<&str> = ["csam", "terrorism"]
            .into_iter()
            .filter(|name| !self.lists.iter().any(|list| !list.shipped && list.category == *name))
            .filter_map(|name| {
                let id = self.policy.catalogue().id(name)?;
                self.policy.catalogue().get(id).map(|category| category.title.as_str())
            })
            .collect();
        (!missing.is_empty()).then(|| {
            format!("No licensed list is loaded for illegal content: {}.", missing.join("; "))
        })
    }

    fn list_ages(&self, reader: Reader) -> String {
        let shipped = self.lists.iter().filter(|list| list.shipped).count();
        let own: Vec<&ListAge> = self.lists.iter().filter(|list| !list.shipped).collect();
        let oldest = own.iter().filter_map(|list| list.taken_in.map(|at| (at, &list.name))).min();
        let lists = |count| match count {
            1 => "1 list of the school's own choice is".to_owned(),
            many => format!("{many} lists of the school's own choice are"),
        };
        let mut words = match (own.len(), oldest) {
            (0, _) => format!(
                "Only the {shipped} small starter lists are in use; they are no substitute for a full list."
            ),
            (count, Some((at, name))) => {
                let age = span_words(self.made_at.0 - at);
                format!("{} in use; the oldest ({name}) was taken in {age} ago.", lists(count))
            }
            (count, None) => format!("{} in use; the age is not known.", lists(count)),
        };
        if reader == Reader::It && shipped > 0 && !own.is_empty() {
            words.push_str(&format!(" Besides, {shipped} starter lists."));
        }
        words
    }

    fn teaching(&self) -> Section {
        let requests = self.requests();
        let wait = requests.median_wait_ms.map_or_else(
            || "no decision was made".to_owned(),
            |ms| format!("the median wait was {}", span_words(ms)),
        );
        let lessons = match requests.lessons {
            0 => String::new(),
            lessons => format!(" {lessons} opened for lessons by a standing yes."),
        };
        Section {
            heading: "Sites asked for".to_owned(),
            sentences: vec![
                format!(
                    "{} asked for, {} authorised, {} refused; {wait}.{lessons}",
                    requests.asked, requests.authorised, requests.refused
                ),
                self.wrongly_blocked(),
            ],
            table: None,
        }
    }

    /// Blocks that were found to be wrong: of requests alone, for nobody else was asked.
    fn wrongly_blocked(&self) -> String {
        let wrong = self
            .changes
            .unblocks
            .values()
            .filter(|it| it.wrongly_blocked.as_ref().is_some_and(|(at, _)| self.holds(*at)));
        let mut sites: Vec<&str> = wrong.map(|it| it.site.as_str()).collect();
        let count = match sites.len() {
            0 => return "Nobody marked a block as wrong.".to_owned(),
            1 => "1 block was wrong, says whoever answered the request".to_owned(),
            many => format!("{many} blocks were wrong, say those who answered the requests"),
        };
        sites.sort_unstable();
        sites.dedup();
        let more = if sites.len() > MOST_THINGS { " and others" } else { "" };
        sites.truncate(MOST_THINGS);
        format!("{count}: {}{more}.", sites.join(", "))
    }

    fn technical(&self) -> Vec<Section> {
        let rows: Vec<Vec<String>> = self
            .figures
            .hosts
            .iter()
            .take(MOST_HOSTS)
            .map(|(host, blocked)| vec![host.clone(), thousands(*blocked)])
            .collect();
        let hosts = Section {
            heading: "Sites most blocked".to_owned(),
            table: (!rows.is_empty()).then(|| Table::new(&["Site", "Blocked requests"], rows)),
            ..Section::default()
        };
        let machine = Section {
            heading: "Machine".to_owned(),
            sentences: vec![
                "Sites that did not answer: not summed yet; see proxy_upstream_errors_total of /metrics, or \
                 what log query --jsonl prints with the end upstream."
                    .to_owned(),
                format!(
                    "{} to clients; the log takes {} on disk.",
                    crate::doctor::size(self.figures.bytes_down),
                    crate::doctor::size(self.log_bytes)
                ),
            ],
            table: None,
        };
        vec![hosts, machine]
    }

    /// The report's figures for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        let clock = self.policy.clock();
        let people: Vec<_> = self
            .figures
            .repeated()
            .take(MOST_PEOPLE)
            .map(|person| {
                let Person { name, blocked, most } = person;
                let person = self.called.pseudonym(name);
                match self.called.name(name) {
                    Some(name) => serde_json::json!({
                        "person": person, "name": name, "blocked": blocked, "most": most,
                    }),
                    None => {
                        serde_json::json!({ "person": person, "blocked": blocked, "most": most })
                    }
                }
            })
            .collect();
        serde_json::json!({
            "school": self.policy.school(),
            "from": clock.rfc3339(self.range.0),
            "until": clock.rfc3339(self.range.1),
            "made_at": clock.rfc3339(self.made_at),
            "headline": self.headline(),
            "needs_you": self.waiting(),
            "running": self.running(),
            "figures": self.figures,
            "week_before": self.before,
            "people_blocked_repeatedly": self.figures.repeated().count(),
            "people": people,
            "people_with_tries": self.figures.tries.people_json(&self.called),
            "themes": self.themes,
            "requests": self.requests(),
            "changes": self.change_counts(),
            "lists": self.lists,
            "overdue_reviews": self.overdue(),
            "one_person_refused": self.one_person_refused(),
            "passwords_set": self.passwords_set(),
            "unread_report_told": self.told,
            // What was done about it is, like themes, no business of the technician.
            "reviewed": self.themes.as_ref().map(|_| self.reviews_json()),
            "log_bytes": self.log_bytes,
            "checkpoint": self.checkpoint.as_ref().map(|(line, _)| line),
            // Searches that were blocked are, and tries by person; not searches in all, nor tries by device.
            "not_measured": [
                "upstream_errors", "searches_in_all", "circumvention_by_device", "overblocking_not_asked_about", "checks",
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_by_initials_alone() {
        assert_eq!(initials("sam.p"), "SP");
        assert_eq!(initials("Q. Whitmore"), "QW");
        assert_eq!(initials("owen.t@example.org"), "OT");
        assert_eq!(initials("..."), "?");
    }

    #[test]
    fn waits_have_a_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5]), Some(5));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![1, 3]), Some(2));
    }

    #[test]
    fn numbers_and_spans_are_read_at_a_glance() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(span_words(30_000), "under a minute");
        assert_eq!(span_words(4 * 60_000), "4 min");
        assert_eq!(span_words(50 * 3_600_000), "2 days");
    }
}
