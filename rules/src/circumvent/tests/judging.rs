//! What comes of a finding: by level, category, unblock, exception, ban and lock.

use super::*;
use crate::access::{Access, Identity};
use crate::category::{Catalogue, CategoryId, CategorySet};
use crate::decide::Verdict;
use crate::policy::Policy;
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, SiteBlock};

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["ks1", "pupil", "sixth", "guest", "staff"]
[levels]
pupil = {}
ks1 = { parent = "pupil", only = "ks1.txt" }
sixth = { parent = "pupil", circumvention = "grid" }
guest = {}
staff = {}
[grid]
uncategorised = { pupil = "allow", guest = "allow", staff = "allow" }
translation = { pupil = "allow", guest = "allow", staff = "allow" }
web-archive = { pupil = "allow", guest = "allow", staff = "allow" }
games = { pupil = "block", guest = "block", staff = "allow" }
proxy = { pupil = "block", guest = "block", staff = "block" }
vpn = { pupil = "block", sixth = "allow", guest = "block", staff = "allow for @it" }
remote-access = { pupil = "allow", guest = "allow", staff = "allow" }
[[exception]]
site = "weather.example"
allow_for = "pupil"
reason = "its pages look like a web proxy's"
review = 2027-03-25
[[exception]]
site = "closed.example"
block_for = "pupil"
reason = "a test of closing a site"
review = 2027-03-25
[roles]
dsl = ["q.whitmore"]
it = ["j.cho"]
[unblock]
authorise = ["dsl"]
never = ["proxy"]
"#;

fn policy() -> Policy {
    let list = |_: &str| Ok("listed.example\n".to_owned());
    Policy::parse(POLICY, "policy.toml", Catalogue::shipped(), &list).unwrap()
}

/// What the made-up lists say of a host.
fn categories(policy: &Policy, host: &str) -> CategorySet {
    let name = match host {
        _ if host.contains("games") => "games",
        _ if host.contains("illegal") => "illegal",
        _ if host.contains("nordvpn") => "vpn",
        _ if host.contains("translate") => "translation",
        _ => return CategorySet::of(CategoryId::UNCATEGORISED),
    };
    CategorySet::of(policy.catalogue().id(name).unwrap())
}

/// The reason for a level, and the categories of the record.
fn judged_by(
    policy: &Policy,
    level: &str,
    url: &str,
    blocks: &[SiteBlock],
) -> (Verdict, String, String) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Tunnel };
    let cut = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(cut);
    let host = Host::parse(host).unwrap();
    let path_and_query = (scheme == Scheme::Https).then_some(path);
    let found =
        Pack::shipped().find(&Seen { scheme, host: &host, port: 443, path_and_query, head: None });
    let level = policy.levels().id(level).unwrap();
    let who = Identity { level, ..policy.identify(None, [127, 0, 0, 1].into()) };
    let seen = path_and_query.map(crate::target::seen_path);
    let access = Access {
        who: &who,
        scheme,
        host: &host,
        port: 443,
        path: seen.as_deref(),
        categories: categories(policy, host.as_str()),
    };
    let of = |host: &Host, _: &str| categories(policy, host.as_str());
    let judged = judge(policy, (&[], blocks), &access, found.as_ref(), &of, UnixMillis(0));
    let names = policy.catalogue().names(judged.categories).join(" ");
    (judged.decision.verdict, judged.code.as_str().to_owned(), names)
}

#[test]
fn the_level_says_what_becomes_of_it_and_the_stricter_verdict_stands() {
    let policy = policy();
    let shape = "https://math.example/browse.php?u=https%3A%2F%2Fnews.example%2F&b=4";
    let translated =
        |site: &str| format!("https://translate.google.com/translate?u=https://{site}/");
    let blocked = |code: &'static str| (Verdict::Block, code);
    let allowed = |code: &'static str| (Verdict::Allow, code);
    let cases = [
        ("pupil", shape.to_owned(), blocked("web_proxy"), "proxy"),
        ("guest", shape.to_owned(), blocked("web_proxy"), "proxy"),
        ("sixth", shape.to_owned(), blocked("web_proxy"), "proxy"),
        ("staff", shape.to_owned(), blocked("web_proxy"), "proxy"),
        ("ks1", shape.to_owned(), blocked("web_proxy"), "proxy"),
        // By the grid: not for want of the technique.
        ("pupil", "tunnel://a.anydesk.com".to_owned(), blocked("remote_desktop"), "remote-access"),
        ("sixth", "tunnel://a.anydesk.com".to_owned(), allowed("allowed"), "remote-access"),
        ("staff", "tunnel://a.anydesk.com".to_owned(), allowed("allowed"), "remote-access"),
        ("pupil", "tunnel://mask.icloud.com".to_owned(), blocked("private_relay"), "vpn"),
        ("sixth", "tunnel://mask.icloud.com".to_owned(), allowed("allowed"), "vpn"),
        ("staff", "tunnel://mask.icloud.com".to_owned(), blocked("not_nominated"), "vpn"),
        ("pupil", "tunnel://8.8.4.5".to_owned(), blocked("raw_address"), "uncategorised"),
        // Refused by the row of its category, and recorded as what it is.
        ("staff", "tunnel://a.onion".to_owned(), blocked("tor"), "proxy"),
        ("staff", "tunnel://cloudflare-ech.com".to_owned(), blocked("hidden_name"), "proxy"),
        ("staff", "tunnel://8.8.4.5".to_owned(), allowed("allowed"), "uncategorised"),
        // Listed, and in no pack.
        ("guest", "tunnel://new-nordvpn.example".to_owned(), blocked("vpn"), "vpn"),
        ("staff", "tunnel://new-nordvpn.example".to_owned(), blocked("not_nominated"), "vpn"),
        // What stands within.
        ("pupil", translated("news.example"), allowed("allowed"), "translation"),
        ("pupil", translated("games.example.com"), blocked("translated_copy"), "translation games"),
        ("staff", translated("games.example.com"), allowed("allowed"), "translation"),
        ("staff", translated("illegal.example.com"), blocked("locked"), "illegal translation"),
        ("ks1", translated("listed.example"), blocked("not_on_list"), "translation"),
        (
            "pupil",
            "https://web.archive.org/web/2026/https://games.example.com/".to_owned(),
            blocked("stored_copy"),
            "web-archive games",
        ),
        (
            "pupil",
            "https://www.google.com/amp/s/games.example.com/".to_owned(),
            blocked("url_inside"),
            "games",
        ),
        (
            "pupil",
            "https://img.example/x/https://games.example.com/".to_owned(),
            blocked("url_inside"),
            "games",
        ),
        (
            "pupil",
            "https://img.example/x/https://news.example.com/".to_owned(),
            allowed("allowed"),
            "uncategorised",
        ),
        (
            "ks1",
            "https://listed.example/x/https://news.example.com/".to_owned(),
            allowed("on_list"),
            "uncategorised",
        ),
        (
            "staff",
            "https://img.example/x/https://illegal.example.com/".to_owned(),
            blocked("locked"),
            "illegal",
        ),
        // An exception opens a shape, and nothing behind it.
        (
            "pupil",
            "https://weather.example/main/https://news.example.com/".to_owned(),
            allowed("exception"),
            "proxy",
        ),
        (
            "pupil",
            "https://weather.example/main/https://games.example.com/".to_owned(),
            blocked("web_proxy"),
            "proxy games",
        ),
        (
            "guest",
            "https://weather.example/main/https://news.example.com/".to_owned(),
            blocked("web_proxy"),
            "proxy",
        ),
        (
            "pupil",
            "https://closed.example/main/https://news.example.com/".to_owned(),
            blocked("site_blocked"),
            "proxy",
        ),
        // Locked first.
        (
            "pupil",
            "https://illegal.example/main/https://news.example.com/".to_owned(),
            blocked("locked"),
            "illegal proxy",
        ),
    ];
    for (level, url, (verdict, code), names) in cases {
        let expected = (verdict, code.to_owned(), names.to_owned());
        assert_eq!(judged_by(&policy, level, &url, &[]), expected, "{level} {url}");
    }
}

#[test]
fn the_school_s_own_block_comes_before_a_technique() {
    let policy = policy();
    let closed = SiteBlock {
        id: BlockId(1),
        site: crate::site::Site::parse("math.example").unwrap(),
        scope: Scope::Level("pupil".to_owned()),
        at: UnixMillis(0),
        reason: "a test of blocking".into(),
        sequence: 1,
    };
    let url = "https://math.example/main/https://games.example.com/";
    assert_eq!(judged_by(&policy, "pupil", url, &[closed]).1, "site_blocked");
}

#[test]
fn levels_take_their_parent_s_word_and_loosening_is_told() {
    let policy = policy();
    let of = |name: &str| policy.levels().get(policy.levels().id(name).unwrap()).circumvention;
    use crate::level::Circumvention::{Block, Grid};
    let found = ["ks1", "pupil", "sixth", "guest", "staff"].map(of);
    assert_eq!(found, [Block, Block, Grid, Block, Grid]);
    let list = |_: &str| Ok("listed.example\n".to_owned());
    let read = |text: &str| Policy::parse(text, "policy.toml", Catalogue::shipped(), &list);
    let tighter =
        read(&POLICY.replace("circumvention = \"grid\"", "circumvention = \"block\"")).unwrap();
    let beside = crate::policy::LevelChanges::default();
    let diff = policy.diff(&tighter, &beside);
    assert_eq!(
        (diff.lines, diff.loosens),
        (vec!["circumvention for sixth: grid -> block".to_owned()], false)
    );
    assert!(tighter.diff(&policy, &beside).loosens);
    let wrong = read(&POLICY.replace("circumvention = \"grid\"", "circumvention = \"allow\""));
    let faults = format!("{:?}", wrong.err().unwrap());
    assert!(faults.contains("allow") && faults.contains("grid"), "{faults}");
}
