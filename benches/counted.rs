//! The parts whose instructions are counted, each in a process of its own that does nothing else.

use categorizer::index::{Builder, Index, ListInfo};
use categorizer::list::{self, Format, Options as ListOptions};
use categorizer::theme::{Scratch, Themes};
use ledger::ingest::recover;
use ledger::journal::{Journal, JournalSettings, Shared};
use ledger::record::{Context, Decided, Depth, End};
use rules::access::Access;
use rules::category::{Catalogue, CategorySet};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict, decide};
use rules::host::Host;
use rules::policy::Policy;
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

type Fault = Box<dyn Error + Send + Sync>;

/// A Wednesday in term, 12:40 in London.
const LUNCH: UnixMillis = UnixMillis(1_795_610_400_000);

/// Names on the made-up list.
const NAMES: usize = 50_000;

/// Does a part so many times.
///
/// # Errors
/// The part is not known, or failed.
pub(crate) fn play(name: &str, times: u64) -> Result<(), Fault> {
    match name {
        "decide" => decisions(times),
        "look-up" => look_ups(times),
        "search" => searches(times),
        "record" => records(tempfile::tempdir()?.path(), times),
        "store" => stored(times),
        other => Err(format!("no part is called {other}").into()),
    }
}

fn decisions(times: u64) -> Result<(), Fault> {
    let read = |name: &str| {
        let files = rules::defaults::POLICY_FILES;
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let policy = Policy::parse(rules::defaults::POLICY, "policy.toml", Catalogue::shipped(), &read)
        .map_err(|faults| format!("the starter policy: {faults:?}"))?;
    let who = policy.identify(None, "192.0.2.1".parse()?);
    let host = Host::parse("www.somewhere-or-other.co.uk")?;
    let access = |category: &str| {
        let category = policy.catalogue().id(category).ok_or("the catalogue lacks a category")?;
        Ok::<_, Fault>(Access {
            who: &who,
            scheme: Scheme::Http,
            host: &host,
            port: 80,
            path: Some("/news/uk-12345678"),
            categories: CategorySet::of(category),
        })
    };
    // One in four is blocked: more than in a school, so that it shows.
    let asked = [access("news")?, access("news")?, access("news")?, access("adult")?];
    for access in asked.iter().cycle().take(usize::try_from(times)?) {
        black_box(decide(&policy, &[], &[], black_box(access), LUNCH));
    }
    Ok(())
}

fn look_ups(times: u64) -> Result<(), Fault> {
    let index = index()?;
    let hosts: Vec<Host> = (0..1_000)
        .map(|number| match number % 4 {
            0 => Host::parse(&format!("www.name{number}.example")),
            _ => Host::parse(&format!("static{number}.unlisted.co.uk")),
        })
        .collect::<Result<_, _>>()?;
    for host in hosts.iter().cycle().take(usize::try_from(times)?) {
        black_box(index.categories(black_box(host), Some("/a/page")));
    }
    Ok(())
}

/// Scores what is typed, plainly and through its disguises.
fn searches(times: u64) -> Result<(), Fault> {
    let typed = [
        "how to make a poster about the water cycle",
        "football results premier league",
        "macbeth key quotes act 1 scene 7 analysis",
        "su1c1de ways that dont hurt",
    ];
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    for text in typed.iter().cycle().take(usize::try_from(times)?) {
        black_box(themes.score_typed(black_box(text), &mut scratch).score(0));
    }
    Ok(())
}

fn index() -> Result<Index, Fault> {
    let text: String = (0..NAMES).map(|number| format!("name{number}.example\n")).collect();
    let mut builder = Builder::new();
    let (name, category, version) = ("made-up".into(), "games".into(), "1".into());
    builder.begin(ListInfo { name, category, version });
    let options = ListOptions { format: Some(Format::Plain), allow_public_suffixes: false };
    list::read(text.as_bytes(), options, &mut |entry| builder.add(entry));
    Ok(Index::open(Box::new(builder.finish("count")?), &Catalogue::shipped())?)
}

/// Writes decisions and their ends to the journal.
fn records(state: &Path, times: u64) -> Result<(), Fault> {
    let folder = state.join("journal");
    // No sync by the clock: how many there would be hangs on how fast the machine is.
    let settings = JournalSettings {
        max_backlog_bytes: u64::MAX,
        sync_interval_ms: 60_000,
        ..JournalSettings::default()
    };
    let shared = Shared::open(&folder, settings, RequestId(0))?;
    let journal = Journal::open(&folder, 0, &shared)?;
    let context = Arc::new(Context {
        policy_hash: "0a".repeat(32),
        list_version: "2025-11-26".into(),
        categories: (0..60).map(|number| format!("category-{number}")).collect(),
        levels: ["pupil", "staff"].map(String::from).to_vec(),
        locked: CategorySet::EMPTY,
        zone: "Europe/London".into(),
    });
    for number in 0..times {
        let user = format!("pupil{:04}", number * 7 % 300);
        let host = format!("www.site-{}.example.test", number * 31 % 1_000);
        let path = format!("/assets/lesson-page-{}.html", number % 4_096);
        let decided = Decided {
            id: journal.next_id(LUNCH),
            at: LUNCH,
            context: &context,
            user: Some(&user),
            level: 0,
            client: [10, 20, 0, 1].into(),
            method: "GET",
            scheme: Scheme::Http,
            host: &host,
            port: 80,
            path: Some(&path),
            categories: CategorySet::EMPTY,
            verdict: Verdict::Allow,
            reason: ReasonCode::Allowed,
            rule: None,
            unblock: None,
            depth: Depth::Plain,
            visit: rules::visit::Visit::Unknown,
            words: None,
            signs: &[],
        };
        let pending = journal.decide(&decided).map_err(std::io::Error::other)?;
        pending.count_down(14_000);
        pending.finish(End::Complete);
    }
    journal.flush();
    Ok(())
}

/// The same, and then puts them into the day's file, with all that proves them.
fn stored(times: u64) -> Result<(), Fault> {
    let state = tempfile::tempdir()?;
    records(state.path(), times)?;
    let recovered = recover(state.path())?.ok_or("another process holds the state folder")?;
    match recovered.decisions == times {
        true => Ok(()),
        false => Err(format!("{} of {times} records stored", recovered.decisions).into()),
    }
}
