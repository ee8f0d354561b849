//! A made-up web: sites by popularity, each with pages, and the files that a page loads from its own
//! hosts and from those that many pages share.
//!
//! Names are those of a real list of popular sites where one is at hand, and the paths of real pages
//! then give their forms; the letters and digits in them are always made up.

use crate::chance::{Chance, Zipf, mix2};
use rules::category::{CategoryId, CategorySet};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

/// Sites beyond the list, each seldom asked for.
const SITES: usize = 40_000;

/// Hosts that pages of many sites load from.
const SHARED_HOSTS: usize = 90;

/// How often a popular site is asked for beside a less popular one.
const EXPONENT: f64 = 0.95;

/// Category names; the places in [`CategorySet`]s are places here.
pub(crate) const CATEGORIES: [&str; 14] = [
    "uncategorised",
    "education",
    "reference",
    "news",
    "games",
    "social",
    "video",
    "shopping",
    "adverts",
    "adult",
    "gambling",
    "sports",
    "music",
    "health-help",
];

/// Those that pupils may not see.
const BLOCKED: [usize; 5] = [4, 5, 8, 9, 10];

/// How far the filter sees at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// http.
    Plain,
    /// https, looked into.
    Inside,
    /// https, by name alone.
    Name,
}

/// One host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) categories: CategorySet,
    pub(crate) sight: Sight,
    category: usize,
}

impl Host {
    /// The category for which pupils do not get it.
    pub(crate) fn blocked(&self) -> Option<&'static str> {
        BLOCKED.contains(&self.category).then(|| CATEGORIES[self.category])
    }
}

/// One file of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource {
    pub(crate) host: u32,
    /// Decides the path and the size; the same for every visit, or made for one.
    pub(crate) seed: u64,
    /// Fetched once and then kept by the browser.
    pub(crate) kept: bool,
}

/// All sites.
#[derive(Debug)]
pub(crate) struct Web {
    /// A site's own, then its hosts for files, then those shared by all.
    pub(crate) hosts: Vec<Host>,
    sites: usize,
    popularity: Zipf,
    shared: Zipf,
    forms: Vec<String>,
}

impl Web {
    /// Makes the web; `shared` is the folder of public data, if it is at hand.
    pub(crate) fn new(shared: Option<&Path>) -> Self {
        let names = shared
            .and_then(|folder| lines(&folder.join("data/top-domains/opendns-top-domains.txt.gz")));
        let mut names = names.unwrap_or_default();
        let mut made_up = 0_u64;
        let known: BTreeSet<String> = names.iter().cloned().collect();
        while names.len() < SITES {
            let name = format!("{}-{}.example", word(mix2(7, made_up)), word(mix2(8, made_up)));
            let name = if made_up < 200 { name } else { format!("{made_up}.{name}") };
            if !known.contains(&name) {
                names.push(name);
            }
            made_up += 1;
        }
        let forms = shared.and_then(|folder| {
            lines(&folder.join("data/traces/har_requests.tsv.gz")).map(|lines| path_forms(&lines))
        });
        let forms = forms.filter(|forms| !forms.is_empty());
        let forms = forms.unwrap_or_else(|| FORMS.map(str::to_owned).to_vec());
        let sites = names.len();
        let host = |name: String, seed: u64, category: usize| Host {
            categories: CategorySet::of(CategoryId::from_index(category as u8)),
            sight: match mix2(seed, 3) % 100 {
                0..4 => Sight::Plain,
                4..72 => Sight::Inside,
                _ => Sight::Name,
            },
            name,
            category,
        };
        // What most of a school's traffic is for comes first.
        let category = |site: usize| match mix2(site as u64, 1) % 100 {
            0..30 => 0,
            30..52 => 1,
            52..62 => 2,
            62..69 => 3,
            69..72 => 4,
            72..74 => 5,
            74..80 => 6,
            80..87 => 7,
            87..88 => 9,
            88..89 => 10,
            89..94 => 11,
            94..99 => 12,
            _ => 13,
        };
        let own = names.iter().enumerate();
        let mut hosts: Vec<Host> = own
            .map(|(site, name)| host(format!("www.{name}"), site as u64, category(site)))
            .collect();
        let files = names.iter().enumerate().map(|(site, name)| {
            let prefix = ["static", "cdn", "images", "assets"][mix2(site as u64, 2) as usize % 4];
            host(format!("{prefix}.{name}"), site as u64, category(site))
        });
        hosts.extend(files.collect::<Vec<_>>());
        hosts.extend((0..SHARED_HOSTS).map(|place| {
            let seed = 1_000_000 + place as u64;
            let kind = ["fonts", "metrics", "ads", "tags", "player", "api"][place % 6];
            let category = if place % 6 == 2 { 8 } else { 0 };
            host(format!("{kind}{place}.{}-shared.example", word(seed)), seed, category)
        }));
        Self {
            hosts,
            sites,
            popularity: Zipf::new(sites, EXPONENT),
            shared: Zipf::new(SHARED_HOSTS, 1.0),
            forms,
        }
    }

    /// A site as people choose them.
    pub(crate) fn site(&self, chance: &mut Chance) -> u32 {
        self.popularity.pick(chance) as u32
    }

    /// A site that lessons are held with.
    pub(crate) fn lesson_site(&self, chance: &mut Chance) -> u32 {
        (0..200)
            .map(|_| self.site(chance))
            .find(|site| matches!(self.hosts[*site as usize].category, 1 | 2))
            .unwrap_or(0)
    }

    /// Fills in the files of a page; `visit` makes those that differ from visit to visit.
    pub(crate) fn page(&self, site: u32, page: u64, visit: u64, into: &mut Vec<Resource>) {
        into.clear();
        let seed = mix2(u64::from(site), page);
        let mut fixed = Chance::new(seed);
        let count = 3 + fixed.below(36);
        into.push(Resource { host: site, seed, kept: false });
        for place in 1..count as u64 {
            let host = match fixed.below(100) {
                0..42 => site,
                42..65 => site + self.sites as u32,
                _ => (2 * self.sites + self.shared.pick(&mut fixed)) as u32,
            };
            // Half of what a site's pages load they have in common.
            let common = fixed.is(0.5);
            let fresh = !common && fixed.is(0.4);
            let of = if common { u64::from(host) << 20 } else { seed };
            let seed = mix2(of, if common { fixed.next() % 24 } else { place });
            let seed = if fresh { mix2(seed, visit) } else { seed };
            into.push(Resource { host, seed, kept: !fresh });
        }
    }

    /// The path of a file.
    pub(crate) fn path(&self, resource: &Resource, path: &mut String) {
        path.clear();
        let mut chance = Chance::new(resource.seed);
        let form = &self.forms[chance.below(self.forms.len())];
        for character in form.chars() {
            match character {
                '#' => path.push(char::from(b'0' + chance.below(10) as u8)),
                '~' => path.push(char::from(b"0123456789abcdef"[chance.below(16)])),
                '^' => {
                    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
                    path.push(char::from(letters[chance.below(letters.len())]));
                }
                '*' => path.push_str(&word(chance.next())),
                other => path.push(other),
            }
        }
    }

    /// Bytes of a file.
    pub(crate) fn bytes(&self, resource: &Resource) -> u64 {
        Chance::new(resource.seed ^ 0x5eed).skewed(2_500.0, 8.0) as u64
    }
}

/// Lines of a text, gzip or not; `None` where there is no such file.
fn lines(path: &Path) -> Option<Vec<String>> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

/// The forms of the paths in a table of requests: runs of digits and what looks like a hash become
/// places for made-up characters.
fn path_forms(lines: &[String]) -> Vec<String> {
    let mut forms = Vec::new();
    let mut known = BTreeSet::new();
    for line in lines.iter().skip(1) {
        let Some(url) = line.split('\t').nth(5) else { continue };
        let Some((_, rest)) = url.split_once("://") else { continue };
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let path = path.split(['?', '#']).next().unwrap_or("/");
        if path.len() > 300 || !path.is_ascii() || path.contains(['~', '^', '*']) {
            continue;
        }
        // The same path of one page asked twice says nothing more; of many pages, it does.
        if known.insert((url.to_owned(), line.split('\t').next().map(str::to_owned))) {
            forms.push(form_of(path));
        }
    }
    forms
}

fn form_of(path: &str) -> String {
    let mut form = String::with_capacity(path.len());
    let is_part = |character: char| character.is_ascii_alphanumeric();
    let mut rest = path;
    while !rest.is_empty() {
        let length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(length.max(1));
        rest = after;
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mark = match part.len() {
            _ if digits == part.len() && digits >= 3 => '#',
            8.. if hex && digits > 0 => '~',
            10.. if digits > 1 => '^',
            _ => {
                form.push_str(part);
                continue;
            }
        };
        form.extend(std::iter::repeat_n(mark, part.len()));
    }
    form
}

/// The forms where no real pages are at hand.
const FORMS: [&str; 24] = [
    "/",
    "/*/*",
    "/*/*-*-*",
    "/assets/css/main.css",
    "/assets/js/*.min.js",
    "/assets/js/app.~~~~~~~~.chunk.js",
    "/static/fonts/*-bold.woff2",
    "/images/*/*-*.jpg",
    "/images/####/##/*-*-######.jpg",
    "/wp-content/uploads/20##/##/*-###x###.png",
    "/wp-content/plugins/*/js/*.js",
    "/s/*/v##/^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^.woff2",
    "/api/v#/*/########",
    "/api/v#/*/*",
    "/media/~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~.jpg",
    "/thumb/~~~~~~~~~~~~~~~~~~~~~~~~.jpg",
    "/collect",
    "/pixel/^^^^^^^^^^^^.gif",
    "/lesson/####/page-##.html",
    "/topics/*/articles/^^^^^^^",
    "/favicon.ico",
    "/embed/^^^^^^^^^^^",
    "/vi/^^^^^^^^^^^/hqdefault.jpg",
    "/*.svg",
];

/// A made-up word.
pub(crate) fn word(seed: u64) -> String {
    const PARTS: [&str; 32] = [
        "ba", "co", "di", "fa", "go", "hi", "ja", "ke", "lu", "ma", "no", "pe", "qui", "ra", "se",
        "ti", "un", "ve", "wi", "xo", "ya", "ze", "sto", "cla", "bri", "dro", "fle", "gru", "pla",
        "sni", "tre", "cha",
    ];
    let mut word = String::new();
    for place in 0..2 + seed % 3 {
        let _ = write!(word, "{}", PARTS[(seed >> (8 + 5 * place)) as usize % PARTS.len()]);
    }
    word
}
