//! Tests of the life of list versions: taken in, held, accepted, rolled back, compiled, and what a
//! crash at each step leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::policy_file::PolicyFile;
use rules::category::CategoryId;
use rules::change::Event;
use std::path::PathBuf;
use std::sync::Arc;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// A state folder, a folder of list files, and the machine file's text.
struct Bench {
    folder: tempfile::TempDir,
    config: Config,
    log: ChangeLog,
}

impl Bench {
    /// Lists as `(name, category)`; each is the file `NAME.txt`.
    async fn new(lists: &[(&str, &str)]) -> Self {
        Self::with(lists, "").await
    }

    async fn with(lists: &[(&str, &str)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = more.to_owned();
        for (name, category) in lists {
            text.push_str(&format!(
                "\n[[lists]]\nname = {name:?}\ncategory = {category:?}\npath = \"{name}.txt\"\n"
            ));
        }
        let config = Config::parse_own_lists(&text, "schoolgate.toml", folder.path()).unwrap();
        let log = ChangeLog::open(&config.state).await.unwrap();
        Self { folder, config, log }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.txt"))
    }

    fn write(&self, name: &str, sites: &[&str]) {
        std::fs::write(self.file(name), sites.join("\n")).unwrap();
    }

    fn lists(&self) -> Lists<'_> {
        Lists::new(&self.config, &self.log)
    }

    async fn accept(&self, name: &str, gate: &Gate) -> Result<Outcome, ListError> {
        let plan = self.lists().plan_accept(name, NOW, gate).await?;
        self.lists().put_in_force(plan, "q.whitmore", NOW).await
    }

    async fn rollback(&self, name: &str) -> Result<Outcome, ListError> {
        let plan = self.lists().plan_rollback(name, &Gate::default()).await?;
        self.lists().put_in_force(plan, "j.cho", NOW).await
    }

    async fn index(&self) -> Index {
        self.lists().index(&catalogue(&self.config).unwrap(), NOW).await.unwrap()
    }

    async fn update(&self, gate: &Gate) -> Result<Outcome, ListError> {
        let mut done = self.lists().update(&[], "j.cho", NOW, gate).await.unwrap();
        assert_eq!(done.len(), 1);
        done.remove(0).1
    }

    async fn events(&self) -> Vec<Event> {
        let entries = self.log.entries_of(&LIST_EVENTS).await.unwrap();
        entries.into_iter().map(|entry| entry.event).collect()
    }

    /// A gate of the starter-like policy below and the index in force.
    async fn gate(&self, policy: &str, seen: &[(&str, u64)]) -> Gate {
        let path = self.folder.path().join("policy.toml");
        std::fs::write(&path, policy).unwrap();
        let file = PolicyFile::read(&path, &catalogue(&self.config).unwrap()).unwrap();
        let seen = seen.iter().map(|(site, count)| ((*site).to_owned(), *count)).collect();
        let current = Some((Arc::new(file.policy), Arc::new(self.index().await)));
        Gate { current, seen, by_hand: false }
    }
}

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["pupil", "staff"]
[levels]
pupil = {}
staff = {}
[grid]
games = { pupil = "block", staff = "allow" }
education = { pupil = "allow", staff = "allow" }
uncategorised = { pupil = "allow", staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
[[test]]
as = "pupil"
allow = ["childline.org.uk"]
"#;

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn sites(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("site{number:03}.example")).collect()
}

fn names(sites: &[String]) -> Vec<&str> {
    sites.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn the_first_version_takes_effect_at_once_and_is_recorded() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example", "chess.example", "# a comment", "play.example"]);
    let index = bench.index().await;
    let games = catalogue(&bench.config).unwrap().id("games").unwrap();
    assert!(index.categories(&host("www.chess.example"), None).contains(games));
    assert!(index.categories(&host("other.example"), None).contains(CategoryId::UNCATEGORISED));
    let events = bench.events().await;
    let [Event::ListAccepted { list, entries: 2, added: 2, removed: 0, version }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(list, "games");
    let hits = index.hits(&host("chess.example"), None);
    assert_eq!(hits[0].list.version, *version, "check shows the version that the log has");
}

#[tokio::test]
async fn an_unchanged_source_is_not_read_again_and_an_index_not_compiled_again() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let first = bench.index().await.version().to_owned();
    let index_file =
        std::fs::read_dir(bench.config.state.join("index")).unwrap().next().unwrap().unwrap();
    let made = index_file.metadata().unwrap().modified().unwrap();
    // With the source gone, only what was stored can answer.
    std::fs::remove_file(bench.file("games")).unwrap();
    std::fs::remove_file(Shelf::new(&bench.config.state, "games").entries_path(
        bench.lists().status().await.unwrap()[0].lineage.accepted.as_deref().unwrap(),
    ))
    .unwrap();
    assert_eq!(bench.index().await.version(), first);
    assert_eq!(index_file.metadata().unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn a_new_version_takes_effect_and_is_compiled_under_its_own_name() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let first = bench.index().await.version().to_owned();
    assert_eq!(bench.lists().due_mark(NOW), None);
    bench.write("games", &["chess.example", "go.example"]);
    assert!(bench.lists().due_mark(NOW).is_some());
    let outcome = bench.update(&Gate::default()).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Accepted { entries: 2, added: 1, removed: 0, .. }),
        "{outcome:?}"
    );
    assert_ne!(bench.index().await.version(), first);
    assert!(matches!(bench.update(&Gate::default()).await.unwrap(), Outcome::Unchanged { .. }));
    assert_eq!(bench.events().await.len(), 2);
}

#[tokio::test]
async fn a_list_that_loses_over_a_fifth_is_held_until_accepted() {
    let bench = Bench::new(&[("games", "games")]).await;
    let all = sites(100);
    bench.write("games", &names(&all));
    bench.index().await;
    bench.write("games", &names(&all[..80]));
    assert!(matches!(
        bench.update(&Gate::default()).await.unwrap(),
        Outcome::Accepted { removed: 20, .. }
    ));
    bench.write("games", &names(&all[..63]));
    let Outcome::Held { version, why } = bench.update(&Gate::default()).await.unwrap() else {
        panic!()
    };
    assert_eq!(why, "would lose more than 20 % of its entries, 17 of 80 (it would have 63)");
    let index = bench.index().await;
    let games = catalogue(&bench.config).unwrap().id("games").unwrap();
    assert!(index.categories(&host("site079.example"), None).contains(games), "still in force");

    // Looked at again, it is held still, and recorded once.
    assert!(matches!(bench.update(&Gate::default()).await.unwrap(), Outcome::Held { .. }));
    std::fs::File::open(bench.file("games"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    assert!(matches!(bench.update(&Gate::default()).await.unwrap(), Outcome::Held { .. }));
    assert_eq!(
        bench.events().await.iter().filter(|event| matches!(event, Event::ListHeld { .. })).count(),
        1
    );

    let (old, new, difference) = bench.lists().diff("games", 2).await.unwrap();
    assert_ne!(old, new);
    assert_eq!((new, difference.added, difference.removed), (version.clone(), 0, 17));
    assert_eq!(difference.removed_sample, ["site063.example", "site064.example"]);

    let accepted = bench.accept("games", &Gate::default()).await.unwrap();
    assert_eq!(accepted, Outcome::Accepted { version, entries: 63, added: 0, removed: 17 });
    assert!(!bench.index().await.categories(&host("site079.example"), None).contains(games));
    let nothing = bench.accept("games", &Gate::default()).await;
    assert!(matches!(nothing, Err(ListError::NothingHeld { .. })));
}

#[tokio::test]
async fn a_list_that_loses_its_entries_is_held_whatever_it_gains() {
    let bench = Bench::new(&[("games", "games")]).await;
    let all = sites(10);
    bench.write("games", &names(&all));
    bench.index().await;
    let others: Vec<String> = (0..500).map(|number| format!("other{number}.example")).collect();
    bench.write("games", &[&names(&all[2..])[..], &names(&others)].concat());
    let within = bench.update(&Gate::default()).await.unwrap();
    assert!(matches!(within, Outcome::Accepted { added: 500, removed: 2, .. }), "{within:?}");
    bench.write("games", &names(&sites(900)));
    let Outcome::Held { why, .. } = bench.update(&Gate::default()).await.unwrap() else { panic!() };
    assert_eq!(why, "would lose more than 20 % of its entries, 500 of 508 (it would have 900)");
    let lineage = bench.lists().status().await.unwrap().remove(0).lineage;
    assert!(lineage.held.is_some() && lineage.accepted.is_some());
}

#[tokio::test]
async fn a_file_that_turns_into_something_else_is_held() {
    let bench = Bench::new(&[("games", "games")]).await;
    let all = sites(5);
    bench.write("games", &names(&all));
    bench.index().await;
    // All that was listed is still there, in a page that is no list.
    let junk =
        ["<p>this is", "no list at all", "but a page", "of some kind", "or other", "it says"];
    let page: Vec<&str> = junk.iter().copied().chain(names(&all)).collect();
    bench.write("games", &[&page[..], &["# a comment", ""], &["extra.example"]].concat());
    let even = bench.update(&Gate::default()).await.unwrap();
    assert!(
        matches!(even, Outcome::Accepted { added: 1, removed: 0, .. }),
        "half is not more: {even:?}"
    );
    bench.write(
        "games",
        &[&page[..], &["and goes on", "and on", "extra.example", "b.example"]].concat(),
    );
    let Outcome::Held { why, .. } = bench.update(&Gate::default()).await.unwrap() else { panic!() };
    assert_eq!(why, "more than half of its lines are no entries");
}

#[tokio::test]
async fn a_list_that_was_mostly_other_rules_from_the_start_is_not_held_for_that() {
    let mut bench = Bench::new(&[("games", "games")]).await;
    bench.config.lists[0].format = Some(categorizer::list::Format::Adblock);
    let rules = ["||chess.example^", "example.com##.banner", "example.com##.box", "/path/*$script"];
    bench.write("games", &rules);
    bench.index().await;
    bench.write("games", &[&rules[..], &["||go.example^", "x.example##.y"]].concat());
    let outcome = bench.update(&Gate::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted { added: 1, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_locked_list_that_leaves_the_machine_file_is_told() {
    let bench = Bench::new(&[("watch", "csam"), ("games", "games")]).await;
    bench.write("watch", &["bad.example"]);
    bench.write("games", &["chess.example"]);
    bench.index().await;
    assert_eq!(bench.lists().taken_out().await.unwrap(), []);
    let told = [("watch".to_owned(), "csam".to_owned())];
    // Gone, or under another category: either way its sites are no longer locked.
    let mut config = bench.config.clone();
    config.lists.clear();
    assert_eq!(Lists::new(&config, &bench.log).taken_out().await.unwrap(), told);
    let mut config = bench.config.clone();
    config.lists[0].category = "games".to_owned();
    assert_eq!(Lists::new(&config, &bench.log).taken_out().await.unwrap(), told);
    // Who means it says so by removing what is stored.
    std::fs::remove_dir_all(bench.config.state.join("lists/watch")).unwrap();
    assert_eq!(Lists::new(&config, &bench.log).taken_out().await.unwrap(), []);
}

#[tokio::test]
async fn lists_that_the_machine_file_lost_are_told_before_and_after_that_is_recorded() {
    let bench = Bench::new(&[("games", "games"), ("more", "games"), ("chat", "chat")]).await;
    for name in ["games", "more", "chat"] {
        bench.write(name, &["a.example"]);
    }
    bench.index().await;
    assert_eq!(bench.lists().displaced().await.unwrap(), []);
    let mut config = bench.config.clone();
    config.lists.retain(|list| list.name == "more");
    let lists = Lists::new(&config, &bench.log);
    let told: Vec<_> = lists.displaced().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["chat (chat)", "games (games)"]);
    assert_eq!(lists.uncovered().await.unwrap(), [], "nothing is recorded yet");
    lists.record_moves("schoolgate.toml", NOW).await.unwrap();
    assert_eq!(lists.displaced().await.unwrap(), []);
    let chat = [("chat".to_owned(), "chat".to_owned())];
    assert_eq!(lists.uncovered().await.unwrap(), chat, "of games another list is left");
    assert_eq!(bench.lists().uncovered().await.unwrap(), [], "it is back");
    let kept = bench.config.state.join("lists/chat");
    for file in std::fs::read_dir(&kept).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            std::fs::write(path, "{").unwrap();
        }
    }
    let unknown = [("chat".to_owned(), "its category cannot be read".to_owned())];
    assert_eq!(lists.uncovered().await.unwrap(), unknown, "nobody knows what it blocked");
    std::fs::remove_dir_all(kept).unwrap();
    assert_eq!(lists.uncovered().await.unwrap(), [], "it is meant");
}

#[tokio::test]
async fn a_list_that_would_close_sites_used_last_week_is_held() {
    let bench = Bench::new(&[("games", "games"), ("good", "education")]).await;
    bench.write("games", &["chess.example"]);
    bench.write("good", &["museum.example"]);
    let gate = bench
        .gate(POLICY, &[("www.library.example", 5), ("chess.example", 9), ("x.example", 1)])
        .await;
    bench.write("games", &["chess.example", "library.example"]);
    bench.write("good", &["museum.example", "library.example"]);
    let done = bench.lists().update(&[], "j.cho", NOW, &gate).await.unwrap();
    let outcome = |name: &str| &done.iter().find(|(list, _)| list == name).unwrap().1;
    let Ok(Outcome::Held { why, .. }) = outcome("games") else { panic!("{done:?}") };
    assert_eq!(why, "would newly block 1 site used last week (www.library.example)");
    // What no level blocks closes nothing.
    assert!(matches!(outcome("good"), Ok(Outcome::Accepted { added: 1, .. })), "{done:?}");
}

#[tokio::test]
async fn a_list_may_be_told_not_to_wait_for_sites_that_were_used() {
    let bench = Bench::with(&[("games", "games")], "").await;
    let mut config = bench.config.clone();
    config.lists[0].hold_if_seen = false;
    let bench = Bench { config, ..bench };
    bench.write("games", &["chess.example"]);
    let gate = bench.gate(POLICY, &[("library.example", 5)]).await;
    bench.write("games", &["chess.example", "library.example"]);
    assert!(matches!(bench.update(&gate).await.unwrap(), Outcome::Accepted { added: 1, .. }));
}

#[tokio::test]
async fn a_list_that_would_fail_a_policy_test_is_held_and_cannot_be_accepted() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let gate = bench.gate(POLICY, &[]).await;
    bench.write("games", &["chess.example", "childline.org.uk"]);
    let Outcome::Held { why, .. } = bench.update(&gate).await.unwrap() else { panic!() };
    assert!(why.contains("1 policy tests would fail") && why.contains("childline.org.uk"), "{why}");
    let refused = bench.accept("games", &gate).await;
    assert!(matches!(refused, Err(ListError::Tests { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_locked_list_closes_at_once_and_opens_nothing_without_a_person() {
    let bench = Bench::new(&[("illegal", "terrorism")]).await;
    let all = sites(100);
    bench.write("illegal", &names(&all[..99]));
    let gate = bench.gate(POLICY, &[("site099.example", 1_000)]).await;
    bench.write("illegal", &names(&all));
    assert!(matches!(bench.update(&gate).await.unwrap(), Outcome::Accepted { added: 1, .. }));
    bench.write("illegal", &names(&all[1..]));
    let Outcome::Held { why, .. } = bench.update(&gate).await.unwrap() else { panic!() };
    assert_eq!(why, "would open 1 entry in a locked category");
}

#[tokio::test]
async fn a_list_that_the_machine_file_moves_is_judged_by_the_category_in_force() {
    let mut bench = Bench::new(&[("illegal", "terrorism")]).await;
    let all = sites(100);
    bench.write("illegal", &names(&all));
    let gate = bench.gate(POLICY, &[]).await;
    // Education is open to everybody: by it nothing would open.
    bench.config.lists[0].category = "education".to_owned();
    bench.write("illegal", &names(&all[1..]));
    let Outcome::Held { why, .. } = bench.update(&gate).await.unwrap() else { panic!() };
    assert_eq!(why, "would open 1 entry in a locked category");
    let plan = bench.lists().plan_accept("illegal", NOW, &gate).await.unwrap();
    assert!(plan.opening.is_some(), "one person would open it: {plan:?}");
    drop(plan);
    bench.write("illegal", &names(&[all.clone(), vec!["more.example".to_owned()]].concat()));
    assert!(matches!(bench.update(&gate).await.unwrap(), Outcome::Accepted { added: 1, .. }));
    let plan = bench.lists().plan_rollback("illegal", &gate).await.unwrap();
    assert!(plan.opening.is_some(), "one person would take one back: {plan:?}");
}

#[tokio::test]
async fn a_list_never_becomes_empty_and_a_locked_one_never_starts_so() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    bench.index().await;
    bench.write("games", &["# moved"]);
    assert!(matches!(bench.update(&Gate::default()).await, Err(ListError::Empty { .. })));
    let status = bench.lists().status().await.unwrap();
    assert!(status[0].error.as_deref().unwrap().contains("holds no entries"), "{status:?}");
    assert_eq!(status[0].info.as_ref().unwrap().entries, 1);

    let bench = Bench::new(&[("illegal", "terrorism")]).await;
    bench.write("illegal", &[""]);
    let refused = bench.lists().index(&catalogue(&bench.config).unwrap(), NOW).await;
    assert!(matches!(refused, Err(ListError::Empty { .. })));
}

#[tokio::test]
async fn a_rollback_brings_the_version_before_and_keeps_the_other_away() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let first = bench.index().await.version().to_owned();
    assert!(matches!(bench.rollback("games").await, Err(ListError::NothingEarlier { .. })));
    bench.write("games", &["chess.example", "wrong.example"]);
    bench.update(&Gate::default()).await.unwrap();
    bench.index().await;
    bench.rollback("games").await.unwrap();
    assert_eq!(bench.index().await.version(), first);
    // The source still gives the version that was rolled back, later under a newer date.
    assert!(matches!(bench.update(&Gate::default()).await.unwrap(), Outcome::Unchanged { .. }));
    std::fs::File::open(bench.file("games"))
        .unwrap()
        .set_modified(std::time::SystemTime::now() + Duration::from_secs(3 * 86_400))
        .unwrap();
    let again = bench.update(&Gate::default()).await.unwrap();
    assert!(
        matches!(&again, Outcome::Held { why, .. } if why.starts_with("was rolled back")),
        "{again:?}"
    );
    bench.accept("games", &Gate::default()).await.unwrap();
    assert_ne!(bench.index().await.version(), first);
}

#[tokio::test]
async fn a_fault_of_one_list_keeps_no_other_back() {
    let bench = Bench::new(&[("games", "games"), ("gone", "adult")]).await;
    bench.write("games", &["chess.example"]);
    bench.write("gone", &["a.example"]);
    bench.index().await;
    std::fs::remove_file(bench.file("gone")).unwrap();
    bench.write("games", &["chess.example", "go.example"]);
    let done = bench.lists().update(&[], "j.cho", NOW, &Gate::default()).await.unwrap();
    assert!(
        done.iter()
            .any(|(name, outcome)| name == "games"
                && matches!(outcome, Ok(Outcome::Accepted { .. })))
    );
    assert!(done.iter().any(|(name, outcome)| name == "gone" && outcome.is_err()));
    bench.index().await;
}

#[tokio::test]
async fn junk_lines_are_counted_with_their_place() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example", "co.uk", "not a host at all", "go.example"]);
    bench.index().await;
    let status = bench.lists().status().await.unwrap();
    let file = &status[0].info.as_ref().unwrap().files[0];
    assert_eq!((file.entries, file.skipped), (2, 2), "{file:?}");
    assert!(file.examples[0].starts_with("games.txt:2: "), "{file:?}");
    assert!(file.examples[1].starts_with("games.txt:3: "), "{file:?}");
}

#[tokio::test]
async fn an_import_takes_a_file_in_place_of_the_source_under_the_same_rules() {
    let bench = Bench::new(&[("games", "games")]).await;
    let all = sites(10);
    bench.write("games", &names(&all));
    bench.index().await;
    let other = bench.folder.path().join("other.txt");
    std::fs::write(&other, "extra.example\n".to_owned() + &all.join("\n")).unwrap();
    let outcome =
        bench.lists().import("games", &other, "j.cho", NOW, &Gate::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted { added: 1, .. }), "{outcome:?}");
    std::fs::write(&other, "extra.example\n").unwrap();
    let outcome =
        bench.lists().import("games", &other, "j.cho", NOW, &Gate::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
    let unknown = bench.lists().import("gmaes", &other, "j.cho", NOW, &Gate::default()).await;
    assert!(matches!(unknown, Err(ListError::Unknown { .. })));
}

#[tokio::test]
async fn a_first_version_that_a_person_brings_waits_for_another_where_it_opens_or_is_hardly_a_list()
{
    let other = Bench::new(&[("other", "games")]).await;
    other.write("other", &["go.example"]);
    let gate = other.gate(POLICY, &[]).await;
    let bench = Bench::new(&[
        ("bank", "banking"),
        ("games", "games"),
        ("letter", "games"),
        ("illegal", "csam"),
    ])
    .await;
    let path = bench.folder.path().join("own.txt");
    let import = async |name: &str, text: &str| {
        std::fs::write(&path, text).unwrap();
        bench.lists().import(name, &path, "j.cho", NOW, &gate).await
    };
    let held = async |name: &str, text: &str| match import(name, text).await.unwrap() {
        Outcome::Held { why, .. } => why,
        other => panic!("{name}: {other:?}"),
    };
    let opens = held("bank", "bank.example\nproxies.example\n").await;
    assert_eq!(
        opens,
        "comes from a file of its own and may have the filter see or refuse less of sites"
    );
    let letter = "Dear all\nthe list of the week\nis this one\nhelp.example\nand no other\n";
    for name in ["letter", "illegal"] {
        assert_eq!(held(name, letter).await, "more than half of its lines are no entries");
        let plan = bench.lists().plan_accept(name, NOW, &gate).await.unwrap();
        let words = "is hardly a list: more than half of its lines are no entries";
        assert_eq!(plan.opening.as_deref(), Some(words), "one person is not enough");
    }
    let plan = bench.lists().plan_accept("bank", NOW, &gate).await.unwrap();
    assert!(plan.opening.is_some());
    drop(plan);
    for text in ["", "# none\n", "Dear all\nthere is none\n"] {
        let empty = import("games", text).await;
        assert!(matches!(empty, Err(ListError::Empty { .. })), "{empty:?}");
    }
    let page = import("games", "<html>\n<p>Not found\nchess.example\n</html>\n").await;
    assert!(matches!(page, Err(ListError::NoList { .. })), "{page:?}");
    let closes = import("games", "chess.example\n").await.unwrap();
    assert!(matches!(closes, Outcome::Accepted { added: 1, .. }), "{closes:?}");
    // A failing test is told beside what holds it already.
    std::fs::write(bench.folder.path().join("policy.toml"), POLICY).unwrap();
    let both = held("letter", &letter.replace("help.example", "childline.org.uk")).await;
    assert!(
        both.starts_with("more than half of its lines are no entries; 1 policy tests would fail: "),
        "{both}"
    );
}

#[tokio::test]
async fn a_crash_before_the_change_log_entry_leaves_the_old_version_in_force() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let first = bench.index().await.version().to_owned();
    // What a crash between storing and recording leaves: a whole version nobody knows of, and halves.
    let shelf = Shelf::new(&bench.config.state, "games");
    let mut collector = entries::Collector::default();
    collector.push(&categorizer::list::Entry::Domain("go.example".into()));
    let stray = collector.finish().unwrap();
    let folder = bench.config.state.join("lists/games");
    let accepted = bench.lists().status().await.unwrap()[0].lineage.accepted.clone().unwrap();
    let info = VersionInfo {
        version: "2026-01-01-0badcafe".to_owned(),
        hash: stray.hash(),
        entries: 1,
        ..shelf.info(&accepted).unwrap()
    };
    shelf.store(&info, &stray).unwrap();
    std::fs::write(folder.join(".half.list.gz.1.tmp"), b"half").unwrap();
    std::fs::write(folder.join("state.json"), b"{\"fing").unwrap();
    assert_eq!(bench.index().await.version(), first);
    // The next update reads the source again and clears what is left.
    bench.write("games", &["chess.example", "go.example"]);
    bench.update(&Gate::default()).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // Two versions of two files, what compiling needs of the one in force, and state.json.
    assert_eq!(left.len(), 6, "{left:?}");
    assert!(
        !left.iter().any(|name| name.contains("0badcafe") || name.contains("half")),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_damaged_version_or_index_is_noticed_never_used() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let version = bench.index().await.version().to_owned();
    // A damaged index is compiled again from the stored version.
    let index_path = bench.config.state.join("index").join(format!("{version}.sgx"));
    std::fs::write(&index_path, b"SGX?").unwrap();
    assert_eq!(bench.index().await.version(), version);
    // So is one of which any part, however small, is not what was compiled.
    let whole = std::fs::read(&index_path).unwrap();
    let games = catalogue(&bench.config).unwrap().id("games").unwrap();
    for start in (0..whole.len()).step_by(16) {
        let mut zeroed = whole.clone();
        let end = whole.len().min(start + 16);
        zeroed[start..end].fill(0);
        std::fs::remove_file(&index_path).unwrap();
        std::fs::write(&index_path, zeroed).unwrap();
        let index = bench.index().await;
        assert!(index.categories(&host("chess.example"), None).contains(games), "from {start}");
        assert_eq!(std::fs::read(&index_path).unwrap(), whole, "compiled again, from {start}");
    }
    // What compiling needs of a version is checked too, and made again from its entries.
    let accepted = bench.lists().status().await.unwrap()[0].lineage.accepted.clone().unwrap();
    let shelf = Shelf::new(&bench.config.state, "games");
    let prepared_path = shelf.prepared_path(&accepted);
    let prepared = std::fs::read(&prepared_path).unwrap();
    for place in 0..prepared.len() {
        let mut changed = prepared.clone();
        changed[place] ^= 0x10;
        std::fs::write(&prepared_path, changed).unwrap();
        std::fs::remove_file(&index_path).unwrap();
        bench.index().await;
        assert_eq!(std::fs::read(&index_path).unwrap(), whole, "byte {place}");
        assert_eq!(std::fs::read(&prepared_path).unwrap(), prepared, "byte {place}");
    }
    // A damaged version cannot be compiled; its source can be taken in again.
    std::fs::remove_file(&prepared_path).unwrap();
    let path = shelf.entries_path(&accepted);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(&index_path).unwrap();
    let error = bench.lists().index(&catalogue(&bench.config).unwrap(), NOW).await.err().unwrap();
    assert!(matches!(error, ListError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_version_that_an_older_program_packed_compiles_and_is_compared_with_the_next() {
    let bench = Bench::new(&[("games", "games")]).await;
    let all = sites(10);
    bench.write("games", &names(&all));
    let version = bench.index().await.version().to_owned();
    let accepted = bench.lists().status().await.unwrap()[0].lineage.accepted.clone().unwrap();
    let shelf = Shelf::new(&bench.config.state, "games");
    let path = shelf.entries_path(&accepted);
    let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let gzip = std::fs::File::create(path.with_extension("gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &text).unwrap();
    gzip.finish().unwrap();
    let index_path = bench.config.state.join("index").join(format!("{version}.sgx"));
    for made in [&path, &shelf.prepared_path(&accepted), &index_path] {
        std::fs::remove_file(made).unwrap();
    }
    assert!(shelf.has(&accepted));
    assert_eq!(bench.index().await.version(), version);
    let more = [names(&all), vec!["extra.example"]].concat();
    bench.write("games", &more);
    let outcome = bench.update(&Gate::default()).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted { added: 1, removed: 0, .. }), "{outcome:?}");
    assert!(path.with_extension("gz").is_file(), "the version before is kept for a rollback");
    assert!(matches!(bench.rollback("games").await.unwrap(), Outcome::Accepted { .. }));
    assert_eq!(bench.index().await.version(), version);
}

#[tokio::test]
async fn entries_put_in_the_place_of_a_version_with_a_hash_to_match_are_not_used() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let version = bench.index().await.version().to_owned();
    let accepted = bench.lists().status().await.unwrap()[0].lineage.accepted.clone().unwrap();
    let shelf = Shelf::new(&bench.config.state, "games");
    let mut collector = entries::Collector::default();
    collector.push(&categorizer::list::Entry::Domain("other.example".into()));
    let other = collector.finish().unwrap();
    let info = VersionInfo { hash: other.hash(), ..shelf.info(&accepted).unwrap() };
    shelf.store(&info, &other).unwrap();
    std::fs::remove_file(bench.config.state.join("index").join(format!("{version}.sgx"))).unwrap();
    let error = bench.lists().index(&catalogue(&bench.config).unwrap(), NOW).await.err().unwrap();
    assert!(matches!(error, ListError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn starter_lists_are_taken_in_together_in_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::embedded(folder.path()).unwrap();
    let log = ChangeLog::open(&config.state).await.unwrap();
    let index = Lists::new(&config, &log).index(&catalogue(&config).unwrap(), NOW).await.unwrap();
    assert_eq!(log.size().await.unwrap(), config.lists.len() as u64);
    assert_eq!(index.lists().len(), config.lists.len());
    let games = catalogue(&config).unwrap().id("games").unwrap();
    assert!(index.categories(&host("arcade.test"), None).contains(games));
}

#[tokio::test]
async fn two_processes_that_take_in_the_same_list_record_it_once() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write("games", &["chess.example"]);
    let other = ChangeLog::open(&bench.config.state).await.unwrap();
    let catalogue = catalogue(&bench.config).unwrap();
    let (here, there) = (bench.lists(), Lists::new(&bench.config, &other));
    let (here, there) = tokio::join!(here.index(&catalogue, NOW), there.index(&catalogue, NOW));
    assert_eq!(here.unwrap().version(), there.unwrap().version());
    assert_eq!(bench.events().await.len(), 1);
}

/// Every folder of real lists, as a school would name them; nothing where they are not there.
fn real_lists() -> Option<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("SCHOOLGATE_SHARED").map_or(beside, PathBuf::from);
    // Some name the folder with `data`, some that one itself.
    let data = Some(shared.join("data")).filter(|data| data.is_dir());
    let shared = data.unwrap_or(shared);
    let mut text = String::new();
    for publisher in ["ut1", "shadowwhisperer", "blocklistproject", "ut1-cbuijs"] {
        for entry in std::fs::read_dir(shared.join("lists").join(publisher)).ok()? {
            let folder = entry.unwrap().path();
            let holds = |name: &str| {
                [folder.join(name), folder.join(format!("{name}.gz"))]
                    .into_iter()
                    .find(|path| path.is_file())
            };
            let path = match (holds("domains"), holds("urls"), holds("ips"), holds("domains.top-n"))
            {
                (Some(_), ..) | (_, Some(_), ..) => folder.clone(),
                (_, _, Some(ips), _) => ips,
                (_, _, _, Some(top)) => top,
                _ => continue,
            };
            let name = folder.file_name().unwrap().to_str().unwrap().replace('_', "-");
            text.push_str(&format!(
                "[[lists]]\nname = \"{publisher}-{name}\"\ncategory = \"{name}\"\npath = {path:?}\n"
            ));
        }
    }
    Some(text)
}

#[tokio::test]
async fn real_lists_are_taken_in_whole_and_opened_in_no_time() {
    let Some(text) = real_lists() else {
        return eprintln!(
            "skipped: no real lists; set SCHOOLGATE_SHARED to the folder that has lists/"
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse_own_lists(&text, "schoolgate.toml", folder.path()).unwrap();
    let log = ChangeLog::open(&config.state).await.unwrap();
    let catalogue = catalogue(&config).unwrap();
    let started = std::time::Instant::now();
    let index = Lists::new(&config, &log).index(&catalogue, NOW).await.unwrap();
    let taken_in = started.elapsed();
    let entries: u64 = index.lists().iter().map(|(_, count)| count).sum();
    let started = std::time::Instant::now();
    let again = Lists::new(&config, &log).index(&catalogue, NOW).await.unwrap();
    let opened = started.elapsed();
    eprintln!(
        "{} lists, {entries} entries: taken in {taken_in:?}, opened {opened:?}",
        config.lists.len()
    );
    assert!(config.lists.len() > 60 && entries > 1_200_000, "{} {entries}", config.lists.len());
    assert_eq!(again.version(), index.version());
    assert!(opened < std::time::Duration::from_millis(500), "{opened:?}");
    assert_eq!(Lists::new(&config, &log).due_mark(NOW), None, "every source was read once");
}

/// The names of the lists of an index.
fn in_force(index: &Index) -> Vec<String> {
    index.lists().into_iter().map(|(list, _)| list.name).collect()
}

impl Bench {
    fn write_policy(&self, policy: &str) {
        std::fs::write(&self.config.policy, policy).unwrap();
    }

    async fn held(&self, list: &str) -> Option<String> {
        let status = self.lists().status().await.unwrap();
        let list = status.into_iter().find(|status| status.source.name == list).unwrap();
        list.lineage.held.map(|(_, why)| why)
    }
}

#[tokio::test]
async fn a_new_list_that_would_fail_a_policy_test_is_held_and_the_others_serve() {
    let bench = Bench::new(&[("good", "education"), ("fresh", "games")]).await;
    bench.write_policy(POLICY);
    bench.write("good", &["museum.example"]);
    bench.write("fresh", &["chess.example", "childline.org.uk"]);
    let mut config = bench.config.clone();
    config.lists.truncate(1);
    Lists::new(&config, &bench.log).index(&catalogue(&config).unwrap(), NOW).await.unwrap();

    assert_eq!(in_force(&bench.index().await), ["good"]);
    let why = bench.held("fresh").await.unwrap();
    assert!(why.starts_with("1 policy tests would fail: pupil: childline.org.uk"), "{why}");
    assert_eq!(in_force(&bench.index().await), ["good"], "again, and recorded once");
    assert_eq!(bench.events().await.len(), 2);
    assert_eq!(bench.lists().due_mark(NOW), None, "its source was read");
    let gate = bench.gate(POLICY, &[]).await;
    let refused = bench.accept("fresh", &gate).await;
    assert!(matches!(refused, Err(ListError::Tests { .. })), "{refused:?}");
    assert_eq!(bench.lists().diff("fresh", 9).await.unwrap().2.added, 2);

    // The same entries under a newer date wait still; without the site the list takes effect.
    bench.write("fresh", &["childline.org.uk", "chess.example", "# again"]);
    bench.lists().update(&[], "j.cho", NOW, &gate).await.unwrap();
    assert_eq!((in_force(&bench.index().await).len(), bench.events().await.len()), (1, 2));
    bench.write("fresh", &["chess.example"]);
    bench.lists().update_due(NOW, &gate).await.unwrap();
    assert_eq!(in_force(&bench.index().await), ["good", "fresh"]);
}

#[tokio::test]
async fn a_very_first_start_holds_the_lists_at_fault_and_no_other() {
    let lists = [("one", "games"), ("good", "education"), ("two", "games"), ("fine", "games")];
    let bench = Bench::new(&lists).await;
    // Only the good list opens the museum to pupils; a test that nothing mends blames no list.
    let policy = POLICY
        .replace("uncategorised = { pupil = \"allow\"", "uncategorised = { pupil = \"block\"")
        .replace("\"childline.org.uk\"", "\"museum.example\", \"nobody.example\"");
    bench.write_policy(&policy);
    bench.write("one", &["museum.example"]);
    bench.write("good", &["museum.example"]);
    bench.write("two", &["museum.example", "go.example"]);
    bench.write("fine", &["chess.example"]);
    assert_eq!(in_force(&bench.index().await), ["good", "fine"]);
    assert!(bench.held("one").await.is_some() && bench.held("two").await.is_some());
}

#[tokio::test]
async fn a_new_list_of_a_locked_category_takes_effect_whatever_the_tests_say() {
    let bench = Bench::new(&[("illegal", "terrorism"), ("good", "education")]).await;
    bench.write_policy(POLICY);
    bench.write("illegal", &["childline.org.uk"]);
    bench.write("good", &["museum.example"]);
    assert_eq!(in_force(&bench.index().await), ["illegal", "good"]);
}

#[tokio::test]
async fn a_test_that_failed_before_holds_no_new_list() {
    let bench = Bench::new(&[("games", "games")]).await;
    bench.write_policy(&POLICY.replace("allow = [\"child", "block = [\"child"));
    bench.write("games", &["chess.example"]);
    assert_eq!(in_force(&bench.index().await), ["games"]);
}

#[tokio::test]
async fn a_held_new_list_that_becomes_a_locked_one_waits_no_longer() {
    let mut bench = Bench::new(&[("fresh", "games"), ("good", "education")]).await;
    bench.write_policy(POLICY);
    bench.write("fresh", &["childline.org.uk"]);
    bench.write("good", &["museum.example"]);
    assert_eq!(in_force(&bench.index().await), ["good"]);
    bench.config.lists[0].category = "csam".to_owned();
    assert_eq!(in_force(&bench.index().await), ["fresh", "good"]);
}

#[tokio::test]
async fn a_plan_says_whether_a_version_may_open_anything() {
    let bench = Bench::new(&[("games", "games"), ("school", "education")]).await;
    bench.write("games", &["chess.example", "go.example"]);
    bench.write("school", &["library.example"]);
    let gate = bench.gate(POLICY, &[]).await;
    let opens = |category: &str, added, removed| {
        let (policy, _) = gate.current.as_ref().unwrap();
        gate::opening(policy, category, added, removed).is_some()
    };
    assert!(opens("games", 0, 1), "a site that is no game any more");
    assert!(!opens("games", 5, 0), "more games are more that is closed");
    assert!(opens("no such category", 0, 0), "what is not known may");
    let held = Gate { by_hand: true, ..gate.clone() };
    let path = bench.folder.path().join("own.txt");
    std::fs::write(&path, "chess.example\n").unwrap();
    let Outcome::Held { why, .. } =
        bench.lists().import("games", &path, "j.cho", NOW, &held).await.unwrap()
    else {
        panic!("a file by hand took a site out")
    };
    assert!(why.contains("may open sites"), "{why}");
    let plan = bench.lists().plan_accept("games", NOW, &gate).await.unwrap();
    assert_eq!(plan.opening.as_deref(), Some("may open sites"), "{plan:?}");
    assert!(plan.what.removed == 1 && !plan.what.rollback, "{plan:?}");
    assert!(matches!(plan.event(), Event::ListAccepted { removed: 1, .. }));
}

#[tokio::test]
async fn what_comes_into_a_category_that_is_seen_less_waits_where_a_person_brings_it_in() {
    let bench = Bench::new(&[("bank", "banking")]).await;
    bench.write("bank", &["bank.example"]);
    // All of these are plainly allowed to everybody: by the grid alone nothing opens.
    let seen_less = ["banking", "health", "health-help", "identity", "social", "chat", "updates"];
    let rows: String = seen_less
        .iter()
        .chain(&["news", "reference"])
        .map(|name| format!("{name} = {{ pupil = \"allow\", staff = \"allow\" }}\n"))
        .collect();
    let policy = POLICY.replace("[grid]\n", &format!("[grid]\n{rows}")).replace(
        "[roles]\n",
        "[inspect]\nsocial = \"name\"\nchat = \"never\"\nnews = \"page\"\n\
         [files]\nunchecked = [\"updates\"]\n[roles]\n",
    );
    let gate = bench.gate(&policy, &[]).await;
    let opening = |category: &str, added, removed| {
        let (policy, _) = gate.current.as_ref().unwrap();
        gate::opening(policy, category, added, removed)
    };
    for category in seen_less {
        let words = opening(category, 1, 0);
        let expected = Some("may have the filter see or refuse less of sites");
        assert_eq!(words.as_deref(), expected, "{category}");
        assert_eq!(opening(category, 0, 0), None, "{category}");
    }
    for category in ["news", "reference"] {
        assert_eq!(opening(category, 1, 1), None, "{category} is looked into as anything else");
    }
    let private = opening("banking", 0, 1);
    assert_eq!(private.as_deref(), Some("may have the filter look into what was private"));
    assert_eq!(opening("updates", 0, 1), None, "more is seen, and nothing private");

    let path = bench.folder.path().join("own.txt");
    std::fs::write(&path, "bank.example\nproxies.example\n").unwrap();
    let Outcome::Held { why, .. } =
        bench.lists().import("bank", &path, "j.cho", NOW, &gate).await.unwrap()
    else {
        panic!("a file by hand put a site out of sight")
    };
    assert!(why.contains("may have the filter see or refuse less of sites"), "{why}");
    let plan = bench.lists().plan_accept("bank", NOW, &gate).await.unwrap();
    assert!(plan.opening.is_some(), "{plan:?}");
    drop(plan);
    // What the list's own source says takes effect as before.
    bench.write("bank", &["bank.example", "other-bank.example"]);
    let update = bench.update(&gate).await.unwrap();
    assert!(matches!(update, Outcome::Accepted { added: 1, removed: 0, .. }), "{update:?}");
}

#[test]
fn last_week_has_today_and_seven_days_though_the_clock_was_changed() {
    let clock = SchoolClock::new("Europe/London", &[]).unwrap();
    for (now, expected) in [
        ("2026-10-25T00:30:00+01:00", "2026-10-18 to 2026-10-26"),
        ("2026-10-25T23:30:00Z", "2026-10-18 to 2026-10-26"),
        ("2026-03-28T23:30:00Z", "2026-03-21 to 2026-03-29"),
        ("2026-03-30T00:30:00+01:00", "2026-03-23 to 2026-03-31"),
    ] {
        let at: jiff::Timestamp = now.parse().unwrap();
        let (first, after) = last_week(&clock, UnixMillis(at.as_millisecond()));
        assert_eq!(format!("{first} to {after}"), expected, "{now}");
    }
}
