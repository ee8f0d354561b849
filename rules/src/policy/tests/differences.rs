use super::*;
use crate::access::UserFacts;
use crate::decide::{Verdict, decide};
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, SiteBlock, Unblock, UnblockId};

fn diff(old: &str, new: &str) -> PolicyDiff {
    parse(old).unwrap().diff(&parse(new).unwrap(), &LevelChanges::default())
}

#[test]
fn a_policy_does_not_differ_from_itself() {
    assert_eq!(diff(SAMPLE, SAMPLE), PolicyDiff::default());
    let comments = SAMPLE.replace('\n', " # comment\n");
    assert_eq!(diff(SAMPLE, &comments), PolicyDiff::default());
}

#[test]
fn each_difference_is_a_line_and_loosening_is_seen() {
    // What is replaced, by what, the line, whether it loosens, and whether the way back does.
    let cases = [
        (
            "ks3 = \"allow at lunch\"",
            "ks3 = \"allow\"",
            "games for ks3: allow at lunch -> allow",
            true,
            false,
        ),
        (
            "ks3 = \"allow at lunch\"",
            "ks3 = \"block\"",
            "games for ks3: allow at lunch -> block",
            false,
            true,
        ),
        (
            "games = { pupil = \"block\"",
            "games = { pupil = \"allow\"",
            "games for pupil: block -> allow",
            true,
            false,
        ),
        (
            "staff = \"allow for @dsl\"",
            "staff = \"allow for @it\"",
            "self-harm for staff: allow for @dsl -> allow for @it",
            true,
            true,
        ),
        (
            "Mon-Fri 12:10-13:10",
            "Mon-Fri 12:10-13:00",
            "time lunch: Mon-Fri 12:10-13:10 -> Mon-Fri 12:10-13:00",
            false,
            true,
        ),
        ("Europe/London", "Europe/Dublin", "timezone: Europe/London -> Europe/Dublin", true, true),
        (
            "2025-12-19",
            "2025-12-18",
            "terms: 2025-09-03/2025-12-19 -> 2025-09-03/2025-12-18",
            true,
            true,
        ),
        (
            "guest = { safe_search = true }",
            "guest = {}",
            "level guest: on its own, safe search, secondary pages -> on its own, secondary pages",
            true,
            false,
        ),
        (
            "video = \"moderate\"",
            "video = \"strict\"",
            "level ks3: under pupil, safe search, moderate video, secondary pages -> under pupil, safe search, strict video, secondary pages",
            false,
            true,
        ),
        (
            ", only = \"local/ks1.txt\"",
            "",
            "ks1: no longer only the sites of local/ks1.txt",
            true,
            true,
        ),
        (
            "\"user:sam.p\" = \"ks2\"",
            "\"user:sam.p\" = \"staff\"",
            "who user:sam.p: ks2 -> staff",
            true,
            true,
        ),
        (
            "\"group:Year 7\" = \"ks3\"",
            "\"group:Year 7\" = \"ks2\"",
            "who group:year 7: ks3 -> ks2",
            // Fewer games, but not the moderate mode of video sites.
            true,
            true,
        ),
        ("\"group:Staff\" = \"staff\"\n", "", "who group:staff: staff -> none", true, true),
        (
            "allow_for = \"pupil\"",
            "allow_for = \"ks3\"",
            "added: exception: audionetwork.com allowed for ks3 (Music library; review 2026-03-27)",
            true,
            true,
        ),
        (
            "allow_for = \"pupil\"",
            "block_for = \"pupil\"",
            "removed: exception: audionetwork.com allowed for pupil (Music library; review 2026-03-27)",
            false,
            true,
        ),
        (
            "it = [\"j.cho\"]",
            "it = [\"j.cho\", \"k.lane\"]",
            "added: role it for k.lane",
            true,
            false,
        ),
        (
            "dsl = [\"q.whitmore\"]",
            "dsl = [\"q.whitmore\", \"d.deputy\"]",
            "added: role dsl for d.deputy",
            true,
            // Fewer watch over the filter.
            true,
        ),
        (
            "it = [\"j.cho\"]",
            "it = [\"j.cho\"]\nhead = [\"h.ford\"]",
            "added: role head for h.ford",
            true,
            true,
        ),
        (
            "it = [\"j.cho\"]",
            "it = [\"j.cho\"]\nteacher = [\"t.obi\"]",
            "added: role teacher for t.obi",
            true,
            false,
        ),
        (
            "authorise = [\"dsl\"]",
            "authorise = [\"dsl\", \"it\"]",
            "unblock authorise: dsl -> dsl, it",
            true,
            false,
        ),
        ("apply = \"automatic\"", "apply = \"it\"", "unblock apply: automatic -> it", false, true),
        (
            "confirm = [\"it\", \"head\"]",
            "confirm = [\"it\"]",
            "unblock confirm: it, head -> it",
            true,
            true,
        ),
        ("max_days = 90", "max_days = 91", "unblock max_days: 90 days -> 91 days", true, false),
        (
            "max_days = 90",
            "order = [\"authorise\", \"confirm\", \"apply\"]\nmax_days = 90",
            "unblock order: authorise, apply, confirm -> authorise, confirm, apply",
            false,
            true,
        ),
        (
            "never = [\"adult\"]",
            "never = [\"adult\", \"gambling\"]",
            "added: gambling in unblock never",
            false,
            true,
        ),
        (
            "max_minutes = 60",
            "max_minutes = 61",
            "added: standing yes: teacher may open games for a class for 61 minutes (Q. Whitmore (DSL) 2025-09-01; review 2026-01-05)",
            true,
            true,
        ),
        (
            "blocked = \"12 months\"",
            "blocked = \"6 months\"",
            "keep blocked: 366 days -> 183 days",
            true,
            false,
        ),
        (
            "\"kerberos\", ",
            "",
            "identify: kerberos, chromebook, portal -> chromebook, portal",
            true,
            true,
        ),
        (
            "block = [\"category:games\"]",
            "block = []",
            "removed: test: ks2, Tue 10:00: category:games must be blocked",
            true,
            false,
        ),
        (
            "\"ks1\", \"ks2\", \"ks3\", \"guest\"",
            "\"ks2\", \"ks1\", \"ks3\", \"guest\"",
            "order: ks1, ks2, ks3, guest, staff -> ks2, ks1, ks3, guest, staff",
            true,
            true,
        ),
        (
            "Example Academy",
            "Sample Academy",
            "school: Example Academy -> Sample Academy",
            false,
            false,
        ),
    ];
    for (old, new, line, loosens, back) in cases {
        let changed = SAMPLE.replacen(old, new, 1);
        assert_ne!(changed, SAMPLE, "the sample has no {old}");
        let found = diff(SAMPLE, &changed);
        assert!(found.lines.iter().any(|found| found == line), "{line} is not in {found:#?}");
        assert_eq!(found.loosens, loosens, "{line}: {found:#?}");
        assert_eq!(diff(&changed, SAMPLE).loosens, back, "back from {line}");
    }
}

#[test]
fn a_line_about_a_parent_is_not_repeated_for_its_children() {
    let changed = SAMPLE.replace("adult = { pupil = \"block\"", "adult = { pupil = \"allow\"");
    assert_eq!(diff(SAMPLE, &changed).lines, ["adult for pupil: block -> allow"]);
}

#[test]
fn a_new_site_on_a_list_loosens_and_one_fewer_does_not() {
    let with = |sites: &str| {
        let sites = sites.to_owned();
        Policy::parse(SAMPLE, "policy.toml", Catalogue::shipped(), &move |_| Ok(sites.clone()))
            .unwrap()
    };
    let (fewer, more) = (with("a.example"), with("a.example\nb.example"));
    let added = fewer.diff(&more, &LevelChanges::default());
    assert_eq!(
        (added.lines, added.loosens),
        (vec!["added: b.example to the only sites of ks1".to_owned()], true)
    );
    assert!(!more.diff(&fewer, &LevelChanges::default()).loosens);
}

/// A small policy made of choices: everything about it that can decide something for Sam.
#[derive(Clone, Debug)]
struct Made {
    parent: Option<&'static str>,
    strict_first: bool,
    cells: [&'static str; 4],
    safe: [bool; 4],
    video: [&'static str; 4],
    images: [&'static str; 4],
    child: [bool; 4],
    inspect: [&'static str; 4],
    exceptions: Vec<(bool, usize, &'static str)>,
    user: Option<usize>,
    group: Option<usize>,
    network: Option<usize>,
    /// How far is looked into categories and sites, where the policy says.
    said: [&'static str; 2],
    lines: [&'static str; 2],
    /// Of drugs, by level; empty where nothing is said.
    themes: [&'static str; 4],
    /// From how many points they are found, likewise.
    thresholds: [&'static str; 4],
    /// Whether each of [`WATCHERS`] has the role.
    watchers: [bool; 4],
}

/// Who may watch over the filter, beside the one lead who always does.
const WATCHERS: [(&str, &str); 4] =
    [("dsl", "d.deputy"), ("head", "h.ford"), ("governor", "g.ray"), ("auditor", "a.lim")];

const NAMES: [&str; 4] = ["pupil", "ks3", "guest", "staff"];
const HOSTS: [&str; 3] = ["play.example", "www.play.example", "read.example"];

impl Made {
    fn policy(&self) -> Policy {
        let order = if self.strict_first { NAMES } else { ["staff", "guest", "ks3", "pupil"] };
        let mut text = "school = \"Example Academy\"\ntimezone = \"Europe/London\"\n".to_owned();
        text += &format!("order = {order:?}\n[levels]\n");
        for (place, name) in NAMES.iter().enumerate() {
            let parent = self.parent.filter(|_| place == 1);
            let parent = parent.map(|it| format!("parent = \"{it}\", ")).unwrap_or_default();
            let (safe, video, inspect) = (self.safe[place], self.video[place], self.inspect[place]);
            let (images, child) = (self.images[place], self.child[place]);
            // Neither of the two that it comes from says by itself what it is.
            let around = if safe != child { "grid" } else { "block" };
            text += &format!(
                "{name} = {{ {parent}safe_search = {safe}, video = \"{video}\", images = \"{images}\", child_engines = {child}, circumvention = \"{around}\", inspect = \"{inspect}\" }}\n"
            );
        }
        text += "[who]\n";
        let who =
            [("user:sam.p", self.user), ("group:9C", self.group), ("net:10.0.0.0/8", self.network)];
        for (entry, level) in who {
            if let Some(level) = level {
                text += &format!("\"{entry}\" = \"{}\"\n", NAMES[level]);
            }
        }
        let deputy = if self.watchers[0] { ", \"d.deputy\"" } else { "" };
        text += &format!("[roles]\ndsl = [\"q.whitmore\"{deputy}]\nit = [\"j.cho\"]\n");
        for ((role, name), _) in WATCHERS.iter().zip(self.watchers).skip(1).filter(|(_, has)| *has)
        {
            text += &format!("{role} = [\"{name}\"]\n");
        }
        text += "[unblock]\nauthorise = [\"dsl\"]\nconfirm = [\"it\"]\n[inspect]\n";
        for (category, mode) in ["games", "uncategorised"].iter().zip(self.said) {
            if !mode.is_empty() {
                text += &format!("{category} = \"{mode}\"\n");
            }
        }
        for (site, mode) in ["play.example", "www.play.example"].iter().zip(self.lines) {
            if !mode.is_empty() {
                text += &format!(
                    "[[inspect_site]]\nsite = \"{site}\"\ninspect = \"{mode}\"\nreason = \"For the test\"\nreview = 2099-01-01\n"
                );
            }
        }
        text += "[themes]\ndrugs = { ";
        let cells = NAMES.iter().zip(self.themes).filter(|(_, cell)| !cell.is_empty());
        text += &cells
            .map(|(name, cell)| format!("{name} = \"{cell}\""))
            .collect::<Vec<_>>()
            .join(", ");
        text += " }\n[theme_thresholds]\ndrugs = { ";
        let cells = NAMES.iter().zip(self.thresholds).filter(|(_, points)| !points.is_empty());
        text += &cells
            .map(|(name, points)| format!("{name} = {points}"))
            .collect::<Vec<_>>()
            .join(", ");
        text += " }\n";
        text += "[grid]\ngames = { ";
        let cells = NAMES.iter().zip(self.cells).filter(|(_, cell)| !cell.is_empty());
        text += &cells
            .map(|(name, cell)| format!("{name} = \"{cell}\""))
            .collect::<Vec<_>>()
            .join(", ");
        text += " }\n";
        for (blocks, level, site) in &self.exceptions {
            let key = if *blocks { "block_for" } else { "allow_for" };
            let level = NAMES[*level];
            text += &format!(
                "[[exception]]\nsite = \"{site}\"\n{key} = \"{level}\"\nreason = \"For the test\"\nreview = 2099-01-01\n"
            );
        }
        parse(&text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
    }
}

fn made() -> impl Strategy<Value = Made> {
    let cell = || prop::sample::select(vec!["", "block", "allow", "allow for @dsl"]);
    let video = || prop::sample::select(vec!["off", "moderate", "strict"]);
    let images = || prop::sample::select(vec!["any", "safe", "block"]);
    let inspect = || prop::sample::select(vec!["page", "name", "never"]);
    let action = || prop::sample::select(vec!["", "off", "watch", "block"]);
    let points = || prop::sample::select(vec!["", "60", "100", "200"]);
    let line = || prop::sample::select(vec!["", "page", "name", "never"]);
    let exception = (any::<bool>(), 0..4_usize, prop::sample::select(HOSTS.to_vec()));
    (
        prop::sample::select(vec![None, Some("pupil"), Some("staff")]),
        any::<bool>(),
        prop::array::uniform4(cell()),
        (any::<[bool; 4]>(), any::<[bool; 4]>(), prop::array::uniform4(images())),
        prop::array::uniform4(video()),
        prop::array::uniform4(inspect()),
        prop::collection::btree_map(
            (0..4_usize, prop::sample::select(HOSTS.to_vec())),
            exception,
            0..3,
        ),
        prop::option::of(0..4_usize),
        prop::option::of(0..4_usize),
        prop::option::of(0..4_usize),
        (prop::array::uniform2(line()), prop::array::uniform2(line())),
        (any::<[bool; 4]>(), prop::array::uniform4(action()), prop::array::uniform4(points())),
    )
        .prop_map(
            |(
                parent,
                strict_first,
                cells,
                (safe, child, images),
                video,
                inspect,
                exceptions,
                user,
                group,
                network,
                (said, lines),
                (watchers, themes, thresholds),
            )| Made {
                parent,
                strict_first,
                cells,
                safe,
                video,
                images,
                child,
                inspect,
                // One for each level and site: two would contradict one another.
                exceptions: exceptions
                    .into_iter()
                    .map(|((level, site), (blocks, ..))| (blocks, level, site))
                    .collect(),
                user,
                group,
                network,
                said,
                lines,
                themes,
                thresholds,
                watchers,
            },
        )
}

/// A policy, and one that differs from it in a part.
fn two() -> impl Strategy<Value = (Made, Made)> {
    (made(), made(), any::<[bool; 13]>()).prop_map(|(old, other, taken)| {
        let mut new = old.clone();
        if taken[0] {
            new.parent = other.parent;
        }
        if taken[1] {
            new.cells = other.cells;
        }
        if taken[2] {
            new.user = other.user;
        }
        if taken[3] {
            (new.group, new.network) = (other.group, other.network);
        }
        if taken[4] {
            new.exceptions = other.exceptions;
        }
        if taken[5] {
            (new.safe, new.video) = (other.safe, other.video);
            (new.images, new.child) = (other.images, other.child);
        }
        if taken[6] {
            new.inspect = other.inspect;
        }
        if taken[7] {
            new.strict_first = other.strict_first;
        }
        if taken[8] {
            new.said = other.said;
        }
        if taken[9] {
            new.lines = other.lines;
        }
        if taken[10] {
            new.watchers = other.watchers;
        }
        if taken[11] {
            new.themes = other.themes;
        }
        if taken[12] {
            new.thresholds = other.thresholds;
        }
        (old, new)
    })
}

fn at_level(name: &str) -> Scope {
    Scope::Level(name.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever opens for anybody, is seen or enforced less for anybody, or is watched by fewer, is told as
    /// loosening, beside any block and any unblock of the school's for a level.
    #[test]
    fn whatever_opens_anything_for_anybody_loosens(
        (old, new) in two(),
        block in prop::option::of(0..4_usize),
        unblock in prop::option::of(0..4_usize),
    ) {
        let (old, new) = (old.policy(), new.policy());
        let site = Site::parse("play.example").unwrap();
        let blocks: Vec<SiteBlock> = block
            .map(|level| SiteBlock {
                id: BlockId(1),
                site: site.clone(),
                scope: at_level(NAMES[level]),
                sequence: 1,
                at: UnixMillis(0),
                reason: "For the test".to_owned(),
            })
            .into_iter()
            .collect();
        let unblocks: Vec<Unblock> = unblock
            .map(|level| Unblock {
                id: UnblockId(1),
                site,
                scope: at_level(NAMES[level]),
                within: None,
                authorised_sequence: 2,
                from: UnixMillis(0),
                until: UnixMillis(i64::MAX),
            })
            .into_iter()
            .collect();
        let named = |level: Option<usize>| level.map(|it| NAMES[it].to_owned()).into_iter().collect();
        let beside = LevelChanges { blocked: named(block), opened: named(unblock) };
        let loosens = old.diff(&new, &beside).loosens;
        let games = CategorySet::from_iter([old.catalogue().id("games").unwrap()]);
        let none = CategorySet::from_iter([crate::category::CategoryId::UNCATEGORISED]);
        let facts = |name: &str, groups: &[&str]| UserFacts {
            name: Arc::from(name),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..UserFacts::default()
        };
        let people = [
            Some(facts("sam.p", &[])),
            Some(facts("sam.p", &["9C"])),
            Some(facts("kit.r", &["9C"])),
            Some(facts("alex.t", &[])),
            None,
        ];
        for (_, name) in WATCHERS {
            let [had, has] = [&old, &new].map(|policy| policy.roles(name));
            prop_assert!(had == has || loosens, "{name}: {:#?}", old.diff(&new, &beside));
        }
        for person in &people {
            for client in [[10, 0, 0, 1], [192, 0, 2, 1]] {
                let who = [&old, &new].map(|policy| policy.identify(person.as_ref(), client.into()));
                let [was, is] = [0, 1].map(|side| [&old, &new][side].levels().get(who[side].level));
                let mut opens = (was.safe_search && !is.safe_search)
                    || (was.child_engines && !is.child_engines)
                    || (was.circumvention != is.circumvention
                        && is.circumvention == crate::level::Circumvention::Grid)
                    || is.video < was.video
                    || is.images < was.images;
                let [did, does] = [(&old, &who[0]), (&new, &who[1])]
                    .map(|(policy, who)| policy.theme_action(who.level, "drugs"));
                opens |= does < did;
                let [found, finds] = [(&old, &who[0]), (&new, &who[1])]
                    .map(|(policy, who)| policy.theme_threshold(who.level, "drugs"));
                opens |= did != ThemeAction::Off && finds > found;
                for host in HOSTS {
                    let host = Host::parse(host).unwrap();
                    for categories in [games, none] {
                        let decided = [(&old, &who[0]), (&new, &who[1])].map(|(policy, who)| {
                            let access = crate::access::Access {
                                who,
                                scheme: Scheme::Https,
                                host: &host,
                                port: 443,
                                path: Some("/"),
                                categories,
                            };
                            let verdict = decide(policy, &unblocks, &blocks, &access, UnixMillis(1)).verdict;
                            (verdict, policy.inspection(&access).mode)
                        });
                        let [(was, saw), (is, sees)] = decided;
                        opens |= was == Verdict::Block && is == Verdict::Allow;
                        opens |= sees > saw;
                    }
                }
                prop_assert!(!opens || loosens, "{person:?} from {client:?}: {:#?}", old.diff(&new, &beside));
            }
        }
    }
}

#[test]
fn a_move_that_only_tightens_needs_nobody() {
    let changed = SAMPLE.replace("\"group:Staff\" = \"staff\"", "\"group:Staff\" = \"guest\"");
    let (old, new) = (sample(), parse(&changed).unwrap());
    assert!(!old.diff(&new, &LevelChanges::default()).loosens);
    let blocked = LevelChanges { blocked: ["staff".to_owned()].into(), ..LevelChanges::default() };
    assert!(old.diff(&new, &blocked).loosens, "a block for staff is left behind");
    let opened = LevelChanges { opened: ["guest".to_owned()].into(), ..LevelChanges::default() };
    assert!(old.diff(&new, &opened).loosens, "an unblock for guests is come to");
}
