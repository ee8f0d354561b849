//! The episodes of one school day, made of its records in the order in which they are stored.

use super::news::{Further, Known, News, Tells};
use super::person::{Devices, Person};
use super::sign::{Sign, Source};
use super::theme::{BY_DEVICES, CIRCUMVENTION, SITE_POINTS, is_of_device, is_of_tool};
use super::visit::{is_embedded, may_be_opened};
use super::{BURST_MS, GAP_MS, REPEAT_MS};
use crate::notes::WordsKind;
use crate::query::AccessRow;
use jiff::civil::Date;
use rules::alert::Severity;
use rules::code::RequestId;
use rules::decide::ReasonCode;
use rules::time::UnixMillis;
use rules::visit::Visit;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// Most records that an episode names; it counts the others.
pub const MAX_RECORDS: usize = 200;

/// Most episodes of a day: what a device makes that invents addresses must not fill the memory. Beyond,
/// only what is urgent begins one.
const MAX_EPISODES: usize = 50_000;

/// Most pages remembered to tell repeats by, for one person and theme.
const MAX_PAGES: usize = 64;

/// Most signs whose times are kept: the largest threshold that a policy may set.
pub const MAX_TIMES: usize = 100;

/// What makes an episode the same one whenever it is made again: the record that began it, and the
/// theme.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeKey {
    /// The access that began it.
    pub first: RequestId,
    /// The theme's short name.
    pub theme: String,
}

/// When an episode becomes an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// So many signs that are high, within 30 minutes.
    pub high: u32,
    /// So many signs of any kind of one person and theme, in a school day.
    pub routine: u32,
    /// So many signs of what devices do by themselves, of one person, in a school day; `None`: never.
    pub devices: Option<u32>,
}

impl Default for Thresholds {
    /// 2, 5 and never.
    fn default() -> Self {
        Self { high: 2, routine: 5, devices: None }
    }
}

/// One person, one theme, less than 30 minutes between two signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// What it is known by.
    pub key: EpisodeKey,
    /// The school day.
    pub day: Date,
    /// Who.
    pub person: Person,
    /// The level of its first record.
    pub level: String,
    /// The highest of its signs'.
    pub severity: Severity,
    /// When the first record was read.
    pub first: UnixMillis,
    /// When the last was.
    pub last: UnixMillis,
    /// Signs that count: repeats and what pages fetched by themselves left out.
    pub signs: u32,
    /// All records that carry a sign of it.
    pub requests: u32,
    /// Points of the signs that count.
    pub points: u32,
    /// What tells most among what signs were found in.
    pub strongest: Source,
    /// The records that make it, at most [`MAX_RECORDS`]: their places in the day, and which they are.
    pub records: Vec<(i64, RequestId)>,
    /// Signs of the person and theme on this day until now, those of earlier episodes too.
    of_day: u32,
    /// When signs that are high counted, the last ones.
    high: VecDeque<UnixMillis>,
    /// What may be told again.
    news: News,
}

impl Episode {
    /// As what it is to be alerted of by now, if at all.
    #[must_use]
    pub fn due(&self, thresholds: Thresholds) -> Option<Severity> {
        if self.is_of_devices() {
            let after = thresholds.devices?;
            return (self.of_day >= after).then_some(Severity::Routine);
        }
        if self.severity == Severity::Urgent {
            return Some(Severity::Urgent);
        }
        let latest = self.high.iter().max().map_or(i64::MIN, |at| at.0);
        let recent = self.high.iter().filter(|at| at.0.saturating_add(GAP_MS) > latest).count();
        if recent > 0 && recent >= thresholds.high as usize {
            Some(Severity::High)
        } else if self.of_day >= thresholds.routine {
            Some(Severity::Routine)
        } else {
            None
        }
    }

    /// What came since somebody knew of it, where that is to be told again: anything urgent, of what is typed a repeat
    /// too, a sign that is high, or as many of any kind as make a routine alert.
    #[must_use]
    pub fn further(&self, known: Known, thresholds: Thresholds) -> Option<Further> {
        if self.is_of_devices() {
            let routine = thresholds.devices?;
            return self.news.since(known, Thresholds { routine, ..thresholds });
        }
        self.news.since(known, thresholds)
    }

    /// Whether it is of what a device did by itself all day.
    fn is_of_devices(&self) -> bool {
        self.key.theme == BY_DEVICES
    }

    /// How many signs came since that are told to nobody as it was a false alarm; at most [`MAX_TIMES`].
    #[must_use]
    pub fn silenced(&self, known: Known) -> usize {
        self.news.silenced(known)
    }

    fn counts(&mut self, row: &AccessRow, sign: &Sign) {
        let at = row.at;
        self.signs += 1;
        self.points = self.points.saturating_add(u32::from(sign.points));
        if sign.severity >= Severity::High {
            if self.high.len() == MAX_TIMES {
                self.high.pop_front();
            }
            self.high.push_back(at);
        }
    }
}

/// One person's day with one theme.
#[derive(Debug, Default)]
struct Track {
    /// Place of the episode that may go on.
    open: Option<usize>,
    /// Signs that counted.
    signs: u32,
    /// When a sign last counted.
    counted: Option<UnixMillis>,
    /// What counted lately, with when.
    pages: VecDeque<(u64, UnixMillis)>,
    /// What was last taken for a frame by its time alone, with when.
    framed: Option<(u64, UnixMillis)>,
    /// What devices do by themselves that counted: each once a day.
    habits: Vec<ReasonCode>,
}

impl Track {
    /// Whether what is taken for a frame is the second within an episode's time, and neither the same nor of one page
    /// with the first. Pages rarely have two such, and who goes from one refused site to the next has.
    fn is_second_frame(&mut self, page: u64, at: UnixMillis) -> bool {
        let first = self.framed.replace((page, at));
        first.is_some_and(|(known, then)| {
            let passed = (at.0 - then.0).abs();
            known != page && (BURST_MS..GAP_MS).contains(&passed)
        })
    }

    /// Whether a sign tells of something new, and not of the same page again.
    fn is_new(&mut self, page: Option<u64>, sign: &Sign, at: UnixMillis) -> bool {
        let within = |then: UnixMillis, span: i64| (at.0 - then.0).abs() < span;
        // Several sites at once are one page: nobody opens two within two seconds.
        let is_burst =
            sign.source == Source::Site && self.counted.is_some_and(|then| within(then, BURST_MS));
        let Some(page) = page else { return !is_burst };
        if is_burst
            || self.pages.iter().any(|(known, then)| *known == page && within(*then, REPEAT_MS))
        {
            return false;
        }
        if self.pages.len() == MAX_PAGES {
            self.pages.pop_front();
        }
        self.pages.push_back((page, at));
        true
    }
}

/// The episodes of one school day as far as its records were taken.
#[derive(Debug)]
pub struct EpisodeDay {
    day: Date,
    episodes: Vec<Episode>,
    tracks: HashMap<(Person, String), Track>,
    devices: Devices,
    with_devices: bool,
    left_out: u64,
}

impl EpisodeDay {
    /// A day without records.
    #[must_use]
    pub fn new(day: Date) -> Self {
        let (episodes, tracks, devices) = (Vec::new(), HashMap::new(), Devices::default());
        Self { day, episodes, tracks, devices, with_devices: false, left_out: 0 }
    }

    /// The same, where what devices do by themselves to get round the filter makes episodes too: one of each person in a
    /// day, of a theme of its own.
    #[must_use]
    pub fn with_devices(day: Date) -> Self {
        Self { with_devices: true, ..Self::new(day) }
    }

    /// The school day.
    #[must_use]
    pub fn day(&self) -> Date {
        self.day
    }

    /// All, in the order in which they began.
    #[must_use]
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// Signs that began no episode because there were too many.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes the next record of the day, with its signs, and gives the places of the episodes that it
    /// began or that it counts in.
    pub fn take(&mut self, row: &AccessRow, signs: &[Sign]) -> Vec<usize> {
        if signs.is_empty() {
            return Vec::new();
        }
        // While somebody types, each letter asks anew: only what is sent in the end counts.
        let is_draft = row.words.as_ref().is_some_and(|words| words.kind == WordsKind::Suggest);
        let mut changed = Vec::new();
        let judged: Vec<(Sign, bool)> = signs.iter().map(|sign| judged(row, sign)).collect();
        for (place, (sign, is_widget)) in judged.iter().enumerate() {
            // Of several signs of one theme the strongest stands for all.
            let strength = |sign: &Sign| (sign.severity, sign.source, sign.points);
            let is_weaker = judged.iter().enumerate().any(|(other, (it, _))| {
                let is_stronger = strength(it) > strength(sign);
                it.theme == sign.theme
                    && (is_stronger || strength(it) == strength(sign) && other < place)
            });
            if !is_weaker {
                changed.extend(self.take_sign(
                    row,
                    sign,
                    is_draft
                        || *is_widget
                        || !sign.source.is_typed()
                            && is_embedded(row, sign.source)
                            && !is_kept(row, sign),
                ));
            }
        }
        // What came to be known later than the record itself is nothing that a device did.
        let is_by_site = |it: &Sign| it.theme == CIRCUMVENTION && it.source == Source::Site;
        if self.with_devices && is_of_device(row) && signs.iter().any(is_by_site) {
            changed.extend(self.take_habit(row));
        }
        changed
    }

    /// Takes what a device did by itself into its episode of the day, where it is not the same again within five minutes.
    fn take_habit(&mut self, row: &AccessRow) -> Option<usize> {
        let (theme, severity, source) = (BY_DEVICES.to_owned(), Severity::Routine, Source::Site);
        let sign = &Sign { theme, severity, source, points: SITE_POINTS };
        let person = self.devices.person(row, BY_DEVICES);
        let is_full = self.episodes.len() >= MAX_EPISODES / 2;
        let key = (person.clone(), sign.theme.clone());
        if is_full && !self.tracks.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        let track = self.tracks.entry(key).or_default();
        if !track.is_new(page_of(row, sign), sign, row.at) {
            return None;
        }
        track.signs += 1;
        let (known, of_day) = (track.open, track.signs);
        let place = *track.open.get_or_insert(self.episodes.len());
        if known.is_none() {
            self.begin(row, sign, person);
        }
        self.add(place, row, sign, (true, of_day));
        Some(place)
    }

    fn take_sign(&mut self, row: &AccessRow, sign: &Sign, is_noise: bool) -> Option<usize> {
        let person = self.devices.person(row, &sign.theme);
        let key = (person.clone(), sign.theme.clone());
        let is_known = self.tracks.contains_key(&key);
        let may_be_opened = may_be_opened(row, sign.source);
        // A device asks all day long: it tells something only of somebody who tries other ways too, and once.
        let is_habit =
            sign.theme == CIRCUMVENTION && sign.source == Source::Site && is_of_device(row);
        let is_idle = is_noise && !may_be_opened && sign.severity < Severity::Urgent;
        if !is_known && (is_idle || is_habit) {
            return None;
        }
        let track = self.tracks.entry(key).or_default();
        let page = page_of(row, sign);
        let is_second = may_be_opened
            && !is_habit
            && sign.severity < Severity::Urgent
            && page.is_some_and(|page| track.is_second_frame(page, row.at));
        let is_noise = is_noise && !is_second;
        let open = track.open.filter(|place| {
            let episode = &self.episodes[*place];
            row.at.0 < episode.last.0.saturating_add(GAP_MS)
                && row.at.0 > episode.first.0.saturating_sub(GAP_MS)
        });
        let begins = open.is_none();
        if is_habit && (begins || is_noise || track.habits.contains(&row.reason)) {
            return None;
        }
        if begins && sign.severity < Severity::Urgent {
            if is_noise {
                return None;
            }
            if self.episodes.len() >= MAX_EPISODES {
                self.left_out += 1;
                return None;
            }
        }
        // The one urgent sign must count, whatever it is.
        let counts = (!is_noise && track.is_new(page, sign, row.at)) || begins;
        if is_habit {
            if !counts {
                return None;
            }
            track.habits.push(row.reason);
        } else if counts {
            track.counted = Some(row.at);
        }
        track.signs += u32::from(counts);
        let place = open.unwrap_or(self.episodes.len());
        track.open = Some(place);
        let of_day = track.signs;
        if begins {
            self.begin(row, sign, person);
        }
        let is_worse = sign.severity > self.episodes[place].severity;
        let last = self.episodes[place].last;
        let tells = self.add(place, row, sign, (counts, of_day));
        if is_habit {
            // It makes none last longer.
            self.episodes[place].last = last;
        }
        let is_urgent = sign.severity == Severity::Urgent;
        (tells.is_some() || is_worse || is_urgent).then_some(place)
    }

    /// Begins an episode with a record.
    fn begin(&mut self, row: &AccessRow, sign: &Sign, person: Person) {
        self.devices.begin(row, &sign.theme);
        self.episodes.push(Episode {
            key: EpisodeKey { first: row.id, theme: sign.theme.clone() },
            day: self.day,
            person,
            level: row.level.clone(),
            severity: sign.severity,
            first: row.at,
            last: row.at,
            signs: 0,
            requests: 0,
            points: 0,
            strongest: sign.source,
            records: Vec::new(),
            of_day: 0,
            high: VecDeque::new(),
            news: News::default(),
        });
    }

    /// Adds a record to an episode: whether its sign counts, and how many of the day have by now.
    fn add(
        &mut self,
        place: usize,
        row: &AccessRow,
        sign: &Sign,
        (counts, of_day): (bool, u32),
    ) -> Option<Tells> {
        let episode = &mut self.episodes[place];
        episode.severity = episode.severity.max(sign.severity);
        episode.first = episode.first.min(row.at);
        episode.last = episode.last.max(row.at);
        episode.requests = episode.requests.saturating_add(1);
        episode.strongest = episode.strongest.max(sign.source);
        episode.of_day = of_day;
        if episode.records.len() < MAX_RECORDS {
            episode.records.push((row.cursor.sequence, row.id));
        }
        if counts {
            episode.counts(row, sign);
        }
        let tells = Tells::of(row, sign, counts);
        episode.news.take(row, sign, known_at(row, sign), tells);
        tells
    }
}

/// A sign as it weighs, and whether it is of no account by itself. That somebody's browser asked for a site says
/// little where a page had it ask: what of an ordinary page is refused, a widget or a picture, is never urgent and
/// begins nothing. But pages are built of illegal pictures too, and lists name these alone: what is locked counts as
/// high, so that one is not told at once and a second is. What is taken for a frame by its time alone is routine, where
/// it is not urgent.
fn judged(row: &AccessRow, sign: &Sign) -> (Sign, bool) {
    if may_be_opened(row, sign.source) && sign.severity < Severity::Urgent {
        return (Sign { severity: Severity::Routine, ..sign.clone() }, false);
    }
    if row.visit != Visit::Part || !matches!(sign.source, Source::Site | Source::Url) {
        return (sign.clone(), false);
    }
    let most = if is_kept(row, sign) { Severity::High } else { Severity::Routine };
    (Sign { severity: sign.severity.min(most), ..sign.clone() }, !is_kept(row, sign))
}

/// Whether a sign counts though a page asked for what it is of.
fn is_kept(row: &AccessRow, sign: &Sign) -> bool {
    let is_locked = row.reason == ReasonCode::Locked && row.visit == Visit::Part;
    sign.source == Source::Site
        && (is_locked
            || sign.theme == CIRCUMVENTION && row.visit != Visit::Frame && is_of_tool(row))
}

/// When a sign came to be known: what a page or an assistant says, as the last of it was read, which may be long after
/// it was asked for.
fn known_at(row: &AccessRow, sign: &Sign) -> UnixMillis {
    let took =
        row.ended.filter(|_| sign.source.is_read()).map_or(0, |ended| ended.duration_us / 1_000);
    UnixMillis(row.at.0.saturating_add(i64::try_from(took).unwrap_or(i64::MAX)))
}

/// What tells a repeat by: the page, or the words that somebody typed; of a way round by what it fetches, the site.
/// `None`: these are not known, and not told by the address.
fn page_of(row: &AccessRow, sign: &Sign) -> Option<u64> {
    let words = row.words.as_ref().map(|words| words.text.trim().to_lowercase());
    let typed = words.filter(|_| sign.source.is_typed());
    if sign.source.is_typed() && typed.is_none() {
        return None;
    }
    use std::hash::{Hash as _, Hasher as _};
    // Not that of a `HashMap`, which differs from one process to the next.
    let mut hasher = std::hash::DefaultHasher::new();
    match typed {
        Some(words) => words.hash(&mut hasher),
        None if sign.theme == CIRCUMVENTION && is_of_tool(row) && is_embedded(row, sign.source) => {
            row.host.hash(&mut hasher);
        }
        None => (&row.host, &row.path).hash(&mut hasher),
    }
    Some(hasher.finish())
}
