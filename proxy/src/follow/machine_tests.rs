//! Tests of following the machine file: its lists are live, what they take away is recorded, and a bad
//! file changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::super::*;
use crate::config::Config;
use rules::host::Host;

/// Longest that a local list may take.
const LIVE_MS: u64 = 2_000;

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["pupil", "staff"]
[levels]
pupil = {}
staff = {}
[grid]
games = { pupil = "block", staff = "allow" }
uncategorised = { pupil = "allow", staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
[[test]]
as = "pupil"
block = ["chess.example"]
"#;

const GAMES: (&str, &str) = ("games", "games");

struct Bench {
    folder: tempfile::TempDir,
    config: Arc<Config>,
    current: Current,
    follower: Option<Follower>,
    machine: String,
}

impl Bench {
    /// A school with the lists games (chess.example) and watch (bad.example, csam).
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        for (name, site) in [("games", "chess.example"), ("watch", "bad.example")] {
            std::fs::write(folder.path().join(format!("{name}.txt")), site).unwrap();
        }
        let machine = String::new();
        let mut bench = Self {
            config: Arc::new(Config::embedded(folder.path()).unwrap()),
            folder,
            current: Arc::new(arc_swap::ArcSwap::from_pointee(nothing())),
            follower: None,
            machine,
        };
        bench.write(&[GAMES, ("watch", "csam")]);
        bench.restart().await;
        bench
    }

    async fn restart(&mut self) {
        self.follower = None;
        let path = self.folder.path().join("schoolgate.toml");
        self.config = Arc::new(Config::load(Some(&path)).unwrap());
        let snapshot = Snapshot::load(&self.config, now()).await.unwrap();
        self.current = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot));
        Serving::remove(&self.config.state);
        let started = Follower::start(Arc::clone(&self.config), Arc::clone(&self.current));
        self.follower = Some(started.unwrap());
        self.wait("the first look", || self.served().is_some()).await;
    }

    /// Writes the machine file: lists as (name, category), each with the file NAME.txt.
    fn write(&self, lists: &[(&str, &str)]) {
        self.write_with("", lists);
    }

    fn write_with(&self, more: &str, lists: &[(&str, &str)]) {
        let mut text = format!("{more}{}", self.machine);
        for (name, category) in lists {
            text.push_str(&format!(
                "[[lists]]\nname = {name:?}\ncategory = {category:?}\npath = \"{name}.txt\"\n"
            ));
        }
        std::fs::write(self.folder.path().join("schoolgate.toml"), text).unwrap();
    }

    fn list(&self, name: &str, site: &str) {
        std::fs::write(self.folder.path().join(format!("{name}.txt")), site).unwrap();
    }

    /// The names of a site's categories now.
    fn categories(&self, site: &str) -> Vec<String> {
        let snapshot = self.current.load_full();
        let host = Host::parse(site).unwrap();
        let catalogue = snapshot.policy.catalogue();
        let set = snapshot.categories(&host, None);
        let named = catalogue.iter().filter(|(id, _)| set.contains(*id));
        named.map(|(_, category)| category.name.clone()).collect()
    }

    async fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            let limit = Duration::from_millis(LIVE_MS);
            assert!(started.elapsed() < limit, "{what}: {:?}", self.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Long enough for a change to have come into force if it could.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }

    fn status(&self) -> FollowStatus {
        self.follower.as_ref().unwrap().status()
    }

    fn problem(&self) -> String {
        self.status().problems.get(&Part::Machine).cloned().unwrap_or_default()
    }

    fn served(&self) -> Option<Serving> {
        Serving::read(&self.config.state)
    }

    /// What the change log says of moved lists: by whom, which, from where, to where.
    async fn moves(&self) -> Vec<(String, String, Option<String>, Option<String>)> {
        let log = ChangeLog::open(&self.config.state).await.unwrap();
        let entries = log.entries_of(&["list_moved"]).await.unwrap();
        let words = entries.into_iter().map(|entry| match entry.event {
            Event::ListMoved { list, from, to } => (entry.actor, list, from, to),
            other => panic!("{other:?}"),
        });
        words.collect()
    }
}

fn nothing() -> Snapshot {
    let catalogue = rules::category::Catalogue::shipped();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
    let file = crate::policy_file::PolicyFile::read(&folder.path().join("policy.toml"), &catalogue);
    let (index, users) = (Arc::new(Index::empty()), Arc::default());
    Snapshot::assemble(file.unwrap(), index, users, rules::change::Changes::default(), now())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_list_is_live_within_two_seconds_with_a_category_of_its_own() {
    let bench = Bench::start().await;
    bench.list("boats", "boat.example");
    bench.list("aboard", "deck.example");
    // A category before another shifts the numbers of those behind it.
    bench.write(&[("aboard", "ships"), ("boats", "boats"), GAMES, ("watch", "csam")]);
    bench.wait("a new list", || bench.categories("boat.example") == ["boats"]).await;
    assert_eq!(bench.categories("deck.example"), ["ships"]);
    assert_eq!(bench.categories("chess.example"), ["games"]);
    assert_eq!(bench.categories("bad.example"), ["csam"]);
    assert_eq!(bench.problem(), "");
    assert_eq!(bench.moves().await, []);
    let config = Config::load(bench.config.file.as_deref()).unwrap();
    bench.wait("the words", || bench.served().unwrap().machine_hash == config.hash).await;

    // The policy may name the new category now.
    let text = POLICY.replace("[grid]\n", "[grid]\nboats = { pupil = \"block\" }\n");
    std::fs::write(&bench.config.policy, &text).unwrap();
    let hash = crate::lists::hex(&<sha2::Sha256 as sha2::Digest>::digest(&text));
    bench.wait("its policy", || *bench.current.load().policy_hash == *hash).await;

    // Then the list cannot go: the policy in force would not be understood.
    bench.write(&[("aboard", "ships"), GAMES, ("watch", "csam")]);
    bench.wait("a refusal", || bench.problem().contains("policy.toml:")).await;
    assert_eq!(bench.categories("boat.example"), ["boats"]);
    // It goes by itself once the policy lets it.
    std::fs::write(&bench.config.policy, POLICY).unwrap();
    bench.wait("the removal", || bench.categories("boat.example") == ["uncategorised"]).await;
    bench.wait("no problem", || bench.problem().is_empty()).await;
    assert_eq!(
        bench.moves().await,
        [("schoolgate.toml".to_owned(), "boats".to_owned(), some("boats"), None)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_names_a_category_to_come_is_read_again_when_it_has_come() {
    let bench = Bench::start().await;
    let text = POLICY.replace("[grid]\n", "[grid]\nboats = { pupil = \"block\" }\n");
    std::fs::write(&bench.config.policy, &text).unwrap();
    bench.wait("a refusal", || bench.status().problems.contains_key(&Part::Policy)).await;
    bench.list("boats", "boat.example");
    bench.write(&[GAMES, ("watch", "csam"), ("boats", "boats")]);
    let hash = crate::lists::hex(&<sha2::Sha256 as sha2::Digest>::digest(&text));
    bench.wait("list and policy", || *bench.current.load().policy_hash == *hash).await;
    assert_eq!(bench.categories("boat.example"), ["boats"]);
    bench.wait("no problem", || bench.status().problems.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_machine_file_keeps_the_last_good_one_and_says_where() {
    let bench = Bench::start().await;
    let before = bench.served().unwrap();
    for (text, says) in [
        ("[[lists]]\nname = \"x\"\n", "schoolgate.toml:1: `category` is missing"),
        ("state = 5\n", "schoolgate.toml:1: "),
        ("\n[limits]\nmax_tunels = 3\n", "schoolgate.toml:3: no key is called `max_tunels`"),
        ("", ""),
    ] {
        if text.is_empty() {
            // Without games, the policy's own test fails.
            bench.write(&[("watch", "csam")]);
            bench.wait("a test", || bench.problem().contains("1 policy tests fail")).await;
        } else {
            std::fs::write(bench.config.file.as_deref().unwrap(), text).unwrap();
            bench.wait(says, || bench.problem().contains(says)).await;
        }
        assert_eq!(bench.categories("chess.example"), ["games"], "{says}");
        assert_eq!(bench.categories("bad.example"), ["csam"], "{says}");
    }
    std::fs::remove_file(bench.config.file.as_deref().unwrap()).unwrap();
    bench.wait("a missing file", || bench.problem().contains("No such file")).await;
    // The file of what is served follows.
    let told = || {
        let served = bench.served();
        served.is_some_and(|served| {
            let problem = served.problems.get("machine file");
            problem.is_some_and(|problem| problem.contains("No such file"))
        })
    };
    bench.wait("the same for others to read", told).await;
    let words = bench.served().unwrap();
    assert_eq!((words.machine_hash, words.lists), (before.machine_hash, before.lists));
    assert_eq!(bench.moves().await, []);
    bench.write(&[GAMES, ("watch", "csam")]);
    bench.wait("a good file", || bench.problem().is_empty()).await;
    // A list whose file comes after its entry.
    bench.write(&[GAMES, ("watch", "csam"), ("late", "games")]);
    bench.wait("no file yet", || bench.problem().contains("late.txt")).await;
    assert_eq!(bench.categories("chess.example"), ["games"]);
    bench.list("late", "go.example");
    // It is looked for every five seconds.
    let begun = std::time::Instant::now();
    while bench.categories("go.example") != ["games"] {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", bench.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_file_takes_away_is_recorded_and_a_locked_list_stays() {
    let mut bench = Bench::start().await;
    bench.list("more", "go.example");
    bench.write(&[GAMES, ("watch", "csam"), ("more", "games")]);
    bench.wait("a list", || bench.categories("go.example") == ["games"]).await;
    // To another category.
    bench.write(&[GAMES, ("watch", "csam"), ("more", "education")]);
    bench.wait("a move", || bench.categories("go.example") == ["education"]).await;
    // Away, with the locked one; which neither leaves nor moves.
    bench.write(&[GAMES]);
    bench.wait("a removal", || bench.categories("go.example") == ["uncategorised"]).await;
    assert_eq!(bench.categories("bad.example"), ["csam"]);
    bench.write(&[GAMES, ("watch", "games")]);
    bench.list("watch", "bad.example\nworse.example");
    // A source is looked at every two seconds, and must have stood still.
    tokio::time::sleep(Duration::from_millis(5_000)).await;
    bench.wait("its new entry", || bench.categories("worse.example") == ["csam"]).await;
    assert_eq!(bench.categories("bad.example"), ["csam"]);
    // Back, and away again.
    bench.write(&[GAMES, ("more", "games")]);
    bench.wait("back", || bench.categories("go.example") == ["games"]).await;
    bench.write(&[GAMES]);
    bench.wait("away", || bench.categories("go.example") == ["uncategorised"]).await;
    let by = |list: &str, from, to| ("schoolgate.toml".to_owned(), list.to_owned(), from, to);
    let mut expected = vec![
        by("more", some("games"), some("education")),
        by("more", some("education"), None),
        by("more", None, some("games")),
        by("more", some("games"), None),
    ];
    assert_eq!(bench.moves().await, expected);
    // A restart records nothing twice, and keeps what is locked.
    bench.restart().await;
    assert_eq!(bench.categories("bad.example"), ["csam"]);
    assert_eq!(bench.categories("worse.example"), ["csam"]);
    assert_eq!(bench.moves().await, expected);
    // Whoever means it removes what is stored. That is recorded too.
    bench.follower = None;
    std::fs::remove_dir_all(bench.config.state.join("lists/watch")).unwrap();
    bench.restart().await;
    assert_eq!(bench.categories("bad.example"), ["uncategorised"]);
    expected.push(by("watch", None, None));
    assert_eq!(bench.moves().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_download_takes_nothing_away_before() {
    let bench = Bench::start().await;
    bench.list("more", "go.example");
    bench.write(&[GAMES, ("watch", "csam"), ("more", "games")]);
    bench.wait("a list", || bench.categories("go.example") == ["games"]).await;
    bench.list("local", "boat.example");
    // Nobody answers there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/games.txt");
    bench.write(&[GAMES, ("watch", "csam"), ("local", "games")]);
    let path = bench.config.file.clone().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let entry = format!("[[lists]]\nname = \"far\"\ncategory = \"games\"\nurl = {url:?}\n");
    std::fs::write(&path, format!("{text}{entry}")).unwrap();
    bench.wait("the local list", || bench.categories("boat.example") == ["games"]).await;
    bench.wait("its problem", || bench.problem().contains("download (far)")).await;
    let far = Part::List("far".to_owned());
    bench.wait("the fault", || bench.status().problems.contains_key(&far)).await;
    bench.rest().await;
    assert_eq!(bench.categories("go.example"), ["games"], "taken away only with the download");
    assert_eq!(bench.moves().await, []);
    // Given up.
    std::fs::write(&path, text).unwrap();
    bench.wait("away", || bench.categories("go.example") == ["uncategorised"]).await;
    assert_eq!(bench.categories("boat.example"), ["games"]);
    bench.wait("no problem", || bench.status().problems.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_need_a_restart_are_named_until_they_are_as_before() {
    let bench = Bench::start().await;
    let lists = [GAMES, ("watch", "csam")];
    let text =
        "policy = \"other.toml\"\n[listen]\nproxy = [\"127.0.0.1:9\"]\n[limits]\nmax_tunnels = 7\n";
    bench.write_with(text, &lists);
    bench.wait("the keys", || !bench.status().restart.is_empty()).await;
    assert_eq!(bench.status().restart, ["limits.max_tunnels", "listen.proxy", "policy"]);
    bench.wait("the words", || bench.served().unwrap().restart.len() == 3).await;
    // Its lists are live all the same, by the policy of the start.
    bench.list("more", "go.example");
    bench.write_with(text, &[GAMES, ("watch", "csam"), ("more", "games")]);
    bench.wait("a list", || bench.categories("go.example") == ["games"]).await;
    assert_eq!(bench.status().restart.len(), 3);
    bench.write(&lists);
    bench.wait("none", || bench.status().restart.is_empty()).await;
    bench.wait("away", || bench.categories("go.example") == ["uncategorised"]).await;
    assert_eq!(bench.problem(), "");
}
