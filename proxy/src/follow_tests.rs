//! Tests of following: what changes is live within a second, what is bad changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::policy_file::{PolicyFile, placed};
use ledger::users::{NewUser, Password};
use rules::change::{Changes, RequestKind, UnblockHistory, UnblockState, authorise_unblock};
use rules::host::Host;
use rules::unblock::{BlockId, Scope, UnblockId};

/// Longest that a change may take: the contract with users.
const LIVE_MS: u64 = 1_000;

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["pupil", "staff"]
[levels]
pupil = { only = "local/pupil.txt" }
staff = {}
[grid]
games = { staff = "allow" }
uncategorised = { staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
[[test]]
as = "staff"
allow = ["library.example"]
"#;

struct Bench {
    folder: tempfile::TempDir,
    config: Arc<Config>,
    current: Current,
    follower: Follower,
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("local")).unwrap();
        std::fs::write(folder.path().join("local/pupil.txt"), "library.example\n").unwrap();
        std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        std::fs::write(folder.path().join("games.txt"), "chess.example\n").unwrap();
        let text = "[[lists]]\nname = \"games\"\ncategory = \"games\"\npath = \"games.txt\"\n";
        let config =
            Arc::new(Config::parse_own_lists(text, "schoolgate.toml", folder.path()).unwrap());
        let snapshot = Snapshot::load(&config, now()).await.unwrap();
        snapshot.themes.make_ready();
        let current: Current = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot));
        let follower = Follower::start(Arc::clone(&config), Arc::clone(&current)).unwrap();
        let bench = Self { folder, config, current, follower };
        // The first look records the policy; what follows is measured from rest.
        let log = bench.log().await;
        bench
            .wait_ms(5_000, "the first policy", async |_| {
                log.changes().await.unwrap().policy.is_some()
            })
            .await;
        bench
    }

    async fn log(&self) -> ChangeLog {
        ChangeLog::open(&self.config.state).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn wait(&self, what: &str, done: impl AsyncFn(&Snapshot) -> bool) {
        self.wait_ms(LIVE_MS, what, done).await;
    }

    async fn wait_ms(&self, limit_ms: u64, what: &str, done: impl AsyncFn(&Snapshot) -> bool) {
        let started = Instant::now();
        while !done(&self.current.load()).await {
            let waited = started.elapsed();
            assert!(
                waited < Duration::from_millis(limit_ms),
                "{what}: not within {limit_ms} ms; {:?}",
                self.follower.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn problem(&self, part: &Part) -> Option<String> {
        self.follower.status().problems.get(part).cloned()
    }
}

fn blocked(number: u32, site: &str) -> Event {
    Event::SiteBlocked {
        id: BlockId(number),
        site: site.to_owned(),
        scope: Scope::Level("staff".to_owned()),
        reason: "used in lessons".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_another_process_is_live_within_a_second_and_ticks() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let mut ticks = bench.follower.ticks();
    ticks.mark_unchanged();
    let index = Arc::as_ptr(&bench.current.load().index);
    let policy = Arc::as_ptr(&bench.current.load().policy);
    log.append(now(), "j.cho", blocked(1, "chess.example")).await.unwrap();
    bench.wait("a block", async |snapshot| snapshot.blocks.len() == 1).await;
    tokio::time::timeout(Duration::from_millis(LIVE_MS), ticks.changed()).await.unwrap().unwrap();

    let user = NewUser {
        name: "sam.p".to_owned(),
        level: None,
        groups: Vec::new(),
        password: Some(Password::new("correct horse").unwrap()),
    };
    log.users().add("j.cho", now(), user).await.unwrap();
    bench.wait("a user", async |snapshot| snapshot.users.find("sam.p").is_some()).await;
    log.users().ban("j.cho", now(), "sam.p", UnixMillis(i64::MAX), "misuse").await.unwrap();
    bench
        .wait("a ban", async |snapshot| {
            snapshot.users.find("sam.p").unwrap().facts.banned_until.is_some()
        })
        .await;
    log.users().remove("j.cho", now(), "sam.p").await.unwrap();
    bench.wait("a removal", async |snapshot| snapshot.users.is_empty()).await;
    let snapshot = bench.current.load_full();
    assert_eq!(Arc::as_ptr(&snapshot.index), index, "a small change shares the index");
    assert_eq!(Arc::as_ptr(&snapshot.policy), policy, "and the policy");
    assert!(bench.follower.status().following);
    assert_eq!(bench.follower.status().problems, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_policy_is_live_within_a_second_recorded_and_kept() {
    let bench = Bench::start().await;
    let first = bench.current.load().policy_hash.clone();
    let changed = POLICY.replace("Example Academy", "Sample School");
    std::fs::write(bench.path("policy.toml"), &changed).unwrap();
    bench.wait("a policy", async |snapshot| snapshot.policy.school() == "Sample School").await;
    let hash = bench.current.load().policy_hash.clone();
    assert_ne!(hash, first);
    assert!(bench.current.load().themes.is_ready(), "no request waits for the words of themes");
    let entries = bench.log().await.entries_of(&["policy_applied"]).await.unwrap();
    assert_eq!(entries.len(), 2, "{entries:?}");
    let Event::PolicyApplied { hash: recorded, reason, .. } = &entries[1].event else { panic!() };
    assert_eq!((recorded.as_str(), reason.as_str()), (&*hash, "file changed"));
    let kept = bench.config.state.join("policy").join(format!("{hash}.toml"));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), changed);
    assert!(bench.config.state.join("policy").join(format!("{first}.toml")).is_file());

    // A file that the policy names is part of it.
    std::fs::write(bench.path("local/pupil.txt"), "").unwrap();
    bench.wait("a named file", async |snapshot| snapshot.policy_hash != hash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_alarm_counts_is_counted_while_the_filter_runs() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let (action, why) = ("unblock authorise U-0001".to_owned(), "one person".to_owned());
    log.append(now(), "j.cho", Event::OnePersonRefused { action, why }).await.unwrap();
    bench.wait("a refusal", async |snapshot| snapshot.changes.one_person_refusals == 1).await;
    let wrong = log.accounts().log_in_break_glass("machine:root", now(), "0000-0000").await;
    assert!(wrong.is_err());
    bench.wait("a wrong code", async |snapshot| snapshot.changes.break_glass.wrong == 1).await;
}

/// What the file asks for, as the change log has it.
async fn requests(log: &ChangeLog) -> Vec<UnblockHistory> {
    log.changes().await.unwrap().unblocks.into_values().collect()
}

fn looser() -> String {
    POLICY.replace("games = { staff", "games = { pupil = \"allow\", staff")
}

/// Signs a request off as `policy` says, and puts the text into place as a command does.
async fn authorise(bench: &Bench, log: &ChangeLog, id: UnblockId, by: &str) {
    let policy = bench.current.load().policy.clone();
    let yes = |changes: &Changes| authorise_unblock(changes, &policy, id, by, now());
    log.append_with(now(), yes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_opens_more_waits_and_takes_effect_when_it_is_signed_off() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let first = bench.current.load().policy_hash.clone();
    std::fs::write(bench.path("policy.toml"), looser()).unwrap();
    let waits = async |_: &Snapshot| {
        bench.problem(&Part::PolicyFile).is_some_and(|why| why.contains("U-0001"))
    };
    bench.wait("a request", waits).await;
    let why = bench.problem(&Part::PolicyFile).unwrap();
    assert!(why.contains("games for pupil: block -> allow"), "{why}");
    assert_eq!(bench.current.load().policy_hash, first);
    // Looked at again, and read again after a restart of the follower, it is one request.
    bench.follower.reload_now();
    tokio::time::sleep(Duration::from_millis(POLL_MS * 2)).await;
    let asked = requests(&log).await;
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(
        (request.requested_by.as_str(), request.reason.as_str()),
        ("schoolgate", "file changed")
    );
    let RequestKind::Policy(what) = &request.kind else { panic!("{request:?}") };
    assert_eq!(what.base, *first);
    let kept = bench.config.state.join("policy").join(format!("{}.toml", what.hash));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), looser());

    authorise(&bench, &log, UnblockId(1), "q.whitmore").await;
    bench.wait("the policy", async |snapshot| *snapshot.policy_hash == what.hash).await;
    bench.wait("no problem", async |_| bench.problem(&Part::PolicyFile).is_none()).await;
    assert_eq!(placed(&bench.config.state), Some(what.hash.clone()));
    let applied = log.entries_of(&["policy_applied"]).await.unwrap();
    assert!(matches!(
        &applied[1].event,
        Event::PolicyApplied { request: Some(UnblockId(1)), hash, .. } if *hash == what.hash
    ));
    assert_eq!(applied.len(), 2, "{applied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_changed_back_withdraws_what_it_asked_for() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    for number in 1..3 {
        let id = UnblockId(number);
        std::fs::write(bench.path("policy.toml"), looser()).unwrap();
        let waits = async |_: &Snapshot| bench.problem(&Part::PolicyFile).is_some();
        bench.wait("a request", waits).await;
        assert_eq!(log.changes().await.unwrap().state(id, now()), Some(UnblockState::Asked));
        std::fs::write(bench.path("policy.toml"), POLICY).unwrap();
        bench.wait("withdrawn", async |_| bench.problem(&Part::PolicyFile).is_none()).await;
        assert_eq!(log.changes().await.unwrap().state(id, now()), Some(UnblockState::Refused));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applied_policy_that_was_not_put_into_the_file_is_put_there_and_an_edit_is_no_such_file()
{
    let bench = Bench::start().await;
    let log = bench.log().await;
    bench.wait("placed", async |_| placed(&bench.config.state).is_some()).await;
    // The command died between the record and the file.
    let draft = bench.path("draft.toml");
    std::fs::write(
        &draft,
        POLICY.replace("games = { staff = \"allow\" }", "games = { staff = \"block\" }"),
    )
    .unwrap();
    let catalogue = bench.current.load().policy.catalogue().clone();
    let file = PolicyFile::read_beside(&draft, bench.folder.path(), &catalogue).unwrap();
    file.keep(&bench.config.state).unwrap();
    let (hash, summary) = (file.hash.clone(), Vec::new());
    let applied = Event::PolicyApplied {
        hash,
        reason: "fewer games".into(),
        summary,
        request: None,
        replayed: None,
    };
    log.append(now(), "j.cho", applied).await.unwrap();
    bench.wait("in force", async |snapshot| *snapshot.policy_hash == file.hash).await;
    let text = || std::fs::read_to_string(bench.path("policy.toml")).unwrap();
    bench.wait("in place", async |_| text() == file.text).await;
    // The very text of before, put back by hand, opens games again: it waits.
    bench.wait("noted", async |_| placed(&bench.config.state).as_ref() == Some(&file.hash)).await;
    std::fs::write(bench.path("policy.toml"), POLICY).unwrap();
    bench.wait("held", async |_| bench.problem(&Part::PolicyFile).is_some()).await;
    assert_eq!(*bench.current.load().policy_hash, *file.hash);
    assert_eq!(text(), POLICY, "the file is left as it was saved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_changed_while_the_filter_is_off_is_held_at_the_next_start() {
    let bench = Bench::start().await;
    let first = bench.current.load().policy_hash.clone();
    let Bench { folder, config, follower, .. } = bench;
    drop(follower);
    std::fs::write(folder.path().join("policy.toml"), looser()).unwrap();
    let log = ChangeLog::open(&config.state).await.unwrap();
    let snapshot = Snapshot::load_to_serve(&config, &log, now()).await.unwrap();
    assert_eq!(snapshot.policy_hash, first, "what was in force is in force");
    let current: Current = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot));
    let follower = Follower::start(Arc::clone(&config), Arc::clone(&current)).unwrap();
    let bench = Bench { folder, config, current, follower };
    bench.wait("held", async |_| bench.problem(&Part::PolicyFile).is_some()).await;
    assert_eq!(bench.current.load().policy_hash, first);
    assert_eq!(requests(&log).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_saved_while_another_is_being_read_is_read_next() {
    let Bench { folder, config, current, follower } = Bench::start().await;
    drop(follower);
    let shared = Arc::new(Shared {
        status: Mutex::default(),
        looked: Mutex::new(Instant::now()),
        reload: Notify::new(),
        stop: AtomicBool::new(false),
    });
    let (ticks, _) = watch::channel(0);
    let mut follow = Follow::new(&config, &current, &shared, &ticks).await.unwrap();
    let save = |school: &str| {
        let text = POLICY.replace("Example Academy", school);
        std::fs::write(folder.path().join("policy.toml"), text).unwrap();
    };
    // Schools of one length: neither the size nor, within a tick, the time of the file tells.
    save("First School");
    while !follow.policy_is_due(false) {}
    let snapshot = current.load_full();
    let read = follow.read_policy(&snapshot);
    save("Other School");
    follow.take_policy(&snapshot, read).await.unwrap();
    assert_eq!(current.load().policy.school(), "First School");
    for _ in 0..3 {
        follow.follow_policy(false).await.unwrap();
    }
    assert_eq!(current.load().policy.school(), "Other School");

    // A named file that is new to the policy has no mark of before the reading.
    std::fs::write(folder.path().join("local/new.txt"), "library.example\n").unwrap();
    let text = POLICY.replace("local/pupil.txt", "local/new.txt");
    std::fs::write(folder.path().join("policy.toml"), text).unwrap();
    while !follow.policy_is_due(false) {}
    let snapshot = current.load_full();
    let read = follow.read_policy(&snapshot);
    std::fs::write(folder.path().join("local/new.txt"), "# none at all\n#\n").unwrap();
    follow.take_policy(&snapshot, read).await.unwrap();
    let hash = current.load().policy_hash.clone();
    for _ in 0..3 {
        follow.follow_policy(false).await.unwrap();
    }
    assert_ne!(current.load().policy_hash, hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_applied_by_a_person_is_recorded_once_under_their_name() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let draft = bench.path("draft.toml");
    std::fs::write(&draft, POLICY.replace("Example Academy", "Sample School")).unwrap();
    let catalogue = bench.current.load().policy.catalogue().clone();
    let file = PolicyFile::read_beside(&draft, bench.folder.path(), &catalogue).unwrap();
    file.keep(&bench.config.state).unwrap();
    let (hash, summary) = (file.hash.clone(), Vec::new());
    let applied = Event::PolicyApplied {
        hash,
        reason: "new name".into(),
        summary,
        request: None,
        replayed: None,
    };
    log.append(now(), "j.cho", applied).await.unwrap();
    file.put_in_place(&bench.config).unwrap();
    bench.wait("an applied policy", async |snapshot| *snapshot.policy_hash == file.hash).await;
    let entries = log.entries_of(&["policy_applied"]).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>(),
        ["schoolgate", "j.cho"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_policy_keeps_the_last_good_one_and_says_why_once() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let first = bench.current.load().policy_hash.clone();
    let cases = [
        ("broken", "school = ".to_owned(), "policy.toml:1"),
        ("unknown key", POLICY.replace("timezone", "timzone"), "timzone"),
        (
            "failing test",
            POLICY.replace("allow = [\"library.example\"]", "block = [\"library.example\"]"),
            "tests failed",
        ),
        ("missing file", POLICY.replace("pupil.txt", "gone.txt"), "gone.txt"),
    ];
    for (number, (what, text, says)) in cases.into_iter().enumerate() {
        std::fs::write(bench.path("policy.toml"), text).unwrap();
        bench
            .wait(what, async |_| {
                bench.problem(&Part::Policy).is_some_and(|why| why.contains(says))
            })
            .await;
        // Read again unchanged, it is no new fault.
        bench.follower.reload_now();
        tokio::time::sleep(Duration::from_millis(POLL_MS * 2)).await;
        assert_eq!(bench.current.load().policy_hash, first, "{what}");
        let refused = log.entries_of(&["action_refused"]).await.unwrap();
        assert_eq!(refused.len(), number + 1, "{what}: {refused:?}");
    }
    std::fs::remove_file(bench.path("policy.toml")).unwrap();
    bench
        .wait("no file", async |_| {
            bench.problem(&Part::Policy).is_some_and(|why| why.contains("No such file"))
        })
        .await;
    assert_eq!(bench.current.load().policy_hash, first);
    // Good again: the fault is gone, and so is the problem.
    std::fs::write(bench.path("policy.toml"), POLICY).unwrap();
    bench.wait("good again", async |_| bench.problem(&Part::Policy).is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_list_comes_into_force_and_a_rollback_takes_it_out() {
    let bench = Bench::start().await;
    let games = bench.current.load().policy.catalogue().id("games").unwrap();
    let listed = |site: &str| {
        let host = Host::parse(site).unwrap();
        async move |snapshot: &Snapshot| snapshot.categories(&host, None).contains(games)
    };
    std::fs::write(bench.path("games.txt"), "chess.example\ngo.example\n").unwrap();
    // A list has time: its source is looked at every two seconds, and must have stood still.
    bench.wait_ms(10_000, "a list", listed("go.example")).await;
    let version = bench.current.load().context.list_version.clone();
    assert_eq!(version, bench.current.load().index.version());

    let log = bench.log().await;
    let lists = Lists::new(&bench.config, &log);
    let plan = lists.plan_rollback("games", &Gate::default()).await.unwrap();
    lists.put_in_force(plan, "j.cho", now()).await.unwrap();
    bench
        .wait_ms(3_000, "a rollback", async |snapshot| !listed("go.example")(snapshot).await)
        .await;
    assert_ne!(bench.current.load().context.list_version, version);
    let ages = bench.follower.status().lists;
    assert!(ages.len() == 1 && ages[0].1.is_some(), "{ages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_would_fail_a_test_is_held_and_one_that_vanished_is_told() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let version = bench.current.load().context.list_version.clone();
    let strict = POLICY.replace("games = { staff = \"allow\" }", "games = { staff = \"block\" }");
    std::fs::write(bench.path("policy.toml"), strict).unwrap();
    let first = bench.current.load().policy_hash.clone();
    bench.wait("a strict policy", async |snapshot| snapshot.policy_hash != first).await;
    std::fs::write(bench.path("games.txt"), "chess.example\nlibrary.example\n").unwrap();
    bench
        .wait_ms(10_000, "held", async |_| {
            !log.entries_of(&["list_held"]).await.unwrap().is_empty()
        })
        .await;
    assert_eq!(bench.current.load().context.list_version, version);
    std::fs::remove_file(bench.path("games.txt")).unwrap();
    bench
        .wait_ms(10_000, "vanished", async |_| {
            bench
                .problem(&Part::List("games".to_owned()))
                .is_some_and(|why| why.contains("games.txt"))
        })
        .await;
    assert_eq!(bench.current.load().context.list_version, version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_reads_page_words_again() {
    let bench = Bench::start().await;
    assert!(bench.current.load().texts.is_empty());
    std::fs::create_dir(bench.path("text")).unwrap();
    std::fs::write(bench.path("text/cy.toml"), "# words").unwrap();
    bench.follower.reload_now();
    bench.wait("page words", async |snapshot| snapshot.texts.contains_key("cy")).await;
}

#[tokio::test]
async fn a_first_start_with_a_failing_test_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("local")).unwrap();
    std::fs::write(folder.path().join("local/pupil.txt"), "library.example\n").unwrap();
    std::fs::write(
        folder.path().join("policy.toml"),
        POLICY.replace("allow = [\"lib", "block = [\"lib"),
    )
    .unwrap();
    let config = Config::parse_own_lists("", "schoolgate.toml", folder.path()).unwrap();
    let error = Snapshot::load(&config, now()).await.err().unwrap();
    assert!(error.to_string().contains("1 of 1 policy tests failed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_start_serves_the_policy_that_took_effect_last_whatever_the_file_says() {
    let bench = Bench::start().await;
    let log = bench.log().await;
    let first = bench.current.load().policy_hash.clone();
    let kept = bench.config.state.join("policy").join(format!("{first}.toml"));
    bench.wait("the kept policy", async |_| kept.is_file()).await;
    let Bench { folder: _folder, config, .. } = bench;
    let opens =
        POLICY.replace("uncategorised = { staff", "uncategorised = { pupil = \"allow\", staff");
    for other in ["school = ".to_owned(), POLICY.replace("allow = [\"lib", "block = [\"lib"), opens]
    {
        std::fs::write(&config.policy, other).unwrap();
        let snapshot = Snapshot::load_to_serve(&config, &log, now()).await.unwrap();
        assert_eq!(snapshot.policy_hash, first);
        assert!(snapshot.policy.only(snapshot.policy.levels().id("pupil").unwrap()).is_some());
    }
    // What was kept is believed only as it was kept, and nothing else takes its place: neither a file
    // that is good, nor none.
    std::fs::write(&kept, POLICY.replace("games = { staff = \"allow\" }", "")).unwrap();
    let lost = Snapshot::load_to_serve(&config, &log, now()).await.err().unwrap().to_string();
    assert!(lost.contains("cannot be read") && lost.contains("backup"), "{lost}");
    std::fs::remove_file(&kept).unwrap();
    assert!(Snapshot::load_to_serve(&config, &log, now()).await.is_err());
    std::fs::write(&config.policy, POLICY).unwrap();
    let snapshot = Snapshot::load_to_serve(&config, &log, now()).await.unwrap();
    assert_eq!(snapshot.policy_hash, first, "its own text is as good in the file");
}

#[tokio::test]
async fn the_program_alone_makes_a_whole_state() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::embedded(folder.path()).unwrap();
    let snapshot = Snapshot::load(&config, now()).await.unwrap();
    let log = ChangeLog::open(&config.state).await.unwrap();
    let names = crate::demo::add_users(&config, &log, now()).await.unwrap();
    assert_eq!(names, ["pupil", "staff", "guest"]);
    assert_eq!(
        crate::demo::add_users(&config, &log, now()).await.unwrap().len(),
        3,
        "again: as before"
    );
    let users = log.users().load_all().await.unwrap();
    for (name, level) in crate::demo::USERS {
        let user = users.find(name).unwrap();
        assert!(ledger::users::verify_password(
            user.phc.as_deref().unwrap(),
            crate::demo::PASSWORD
        ));
        assert!(snapshot.policy.levels().id(level).is_some(), "{level}");
    }
    assert!(snapshot.policy.test_count() > 0);
    // What a person changed is not written over.
    std::fs::write(&config.policy, "mine").unwrap();
    assert!(Snapshot::load(&config, now()).await.is_err());
    assert_eq!(std::fs::read_to_string(&config.policy).unwrap(), "mine");
}
