//! The published lists of the shared folder and the shipped starter lists, compiled as the product compiles
//! them.
//!
//! The product leaves it to a school which category a downloaded list is given; the table here gives each
//! published list the shipped category that its publisher's description fits.

use super::Fault;
use super::report::Report;
use super::shared::Shared;
use categorizer::index::{Builder, Index, ListInfo};
use categorizer::list::{self, Format, Options};
use rules::category::Catalogue;
use serde_json::json;

/// Publisher's folder, list, our category. Lists that tell of no category of sites are left out: ut1's
/// exam lists (`examen_pix`, `tricheur_pix`), `global_usage`, `reaffected` and `special`, and
/// blocklistproject's `adobe`.
pub(crate) const LISTS: [(&str, &str, &str); 88] = [
    ("shadowwhisperer", "adult", "adult"),
    ("ut1-cbuijs", "malware", "malware"),
    ("ut1-cbuijs", "phishing", "phishing"),
    ("blocklistproject", "abuse", "scam"),
    ("blocklistproject", "basic", "advertising"),
    ("blocklistproject", "crypto", "cryptojacking"),
    ("blocklistproject", "drugs", "drugs"),
    ("blocklistproject", "facebook", "social"),
    ("blocklistproject", "fortnite", "games"),
    ("blocklistproject", "malware", "malware"),
    ("blocklistproject", "phishing", "phishing"),
    ("blocklistproject", "piracy", "piracy"),
    ("blocklistproject", "ransomware", "malware"),
    ("blocklistproject", "redirect", "advertising"),
    ("blocklistproject", "scam", "scam"),
    ("blocklistproject", "smart-tv", "trackers"),
    ("blocklistproject", "tiktok", "social"),
    ("blocklistproject", "torrent", "peer-to-peer"),
    ("blocklistproject", "tracking", "trackers"),
    ("blocklistproject", "twitter", "social"),
    ("blocklistproject", "vaping", "tobacco-vaping"),
    ("blocklistproject", "whatsapp", "chat"),
    ("blocklistproject", "youtube", "video"),
    ("ut1", "adult", "adult"),
    ("ut1", "agressif", "hate"),
    ("ut1", "ai", "ai"),
    ("ut1", "arjel", "gambling"),
    ("ut1", "associations_religieuses", "religion"),
    ("ut1", "astrology", "astrology"),
    ("ut1", "audio-video", "video"),
    ("ut1", "bank", "banking"),
    ("ut1", "bitcoin", "crypto"),
    ("ut1", "blog", "blog"),
    ("ut1", "celebrity", "celebrity"),
    ("ut1", "chat", "chat"),
    ("ut1", "child", "childrens"),
    ("ut1", "cleaning", "software"),
    ("ut1", "cooking", "food"),
    ("ut1", "cryptojacking", "cryptojacking"),
    ("ut1", "dangerous_material", "dangerous-acts"),
    ("ut1", "dating", "dating"),
    ("ut1", "ddos", "ddos"),
    ("ut1", "dialer", "scam"),
    ("ut1", "doh", "doh"),
    ("ut1", "download", "software"),
    ("ut1", "drogue", "drugs"),
    ("ut1", "dynamic-dns", "dynamic-dns"),
    ("ut1", "educational_games", "educational-games"),
    ("ut1", "exceptions_liste_bu", "reference"),
    ("ut1", "fakenews", "misinformation"),
    ("ut1", "filehosting", "file-sharing"),
    ("ut1", "financial", "finance"),
    ("ut1", "forums", "forums"),
    ("ut1", "gambling", "gambling"),
    ("ut1", "games", "games"),
    ("ut1", "hacking", "hacking"),
    ("ut1", "jobsearch", "jobs"),
    ("ut1", "lingerie", "lingerie"),
    ("ut1", "liste_blanche", "education"),
    ("ut1", "liste_bu", "reference"),
    ("ut1", "malware", "malware"),
    ("ut1", "manga", "anime"),
    ("ut1", "marketingware", "advertising"),
    ("ut1", "mixed_adult", "mature"),
    ("ut1", "mobile-phone", "mobile-apps"),
    ("ut1", "phishing", "phishing"),
    ("ut1", "press", "news"),
    ("ut1", "publicite", "advertising"),
    ("ut1", "radio", "radio"),
    ("ut1", "redirector", "proxy"),
    ("ut1", "remote-control", "remote-access"),
    ("ut1", "residential-proxies", "proxy"),
    ("ut1", "sect", "cults"),
    ("ut1", "sexual_education", "sex-education"),
    ("ut1", "shopping", "shopping"),
    ("ut1", "shortener", "shortener"),
    ("ut1", "social_networks", "social"),
    ("ut1", "sports", "sport"),
    ("ut1", "stalkerware", "stalkerware"),
    ("ut1", "strict_redirector", "proxy"),
    ("ut1", "strong_redirector", "proxy"),
    ("ut1", "translation", "translation"),
    ("ut1", "tricheur", "cheating"),
    ("ut1", "update", "updates"),
    ("ut1", "vpn", "vpn"),
    ("ut1", "warez", "piracy"),
    ("ut1", "webhosting", "webhosting"),
    ("ut1", "webmail", "webmail"),
];

/// Files of a list, and their syntax.
const FILES: [(&str, Format); 5] = [
    ("domains", Format::Plain),
    ("domains.top-n", Format::Plain),
    ("ips", Format::Plain),
    ("urls", Format::Urls),
    ("expressions", Format::Expressions),
];

/// All lists, compiled.
pub(crate) struct Lists {
    /// What they say of a host.
    pub index: Index,
    lists: usize,
    entries: u64,
    starters: usize,
}

/// The category of a published list.
pub(crate) fn category_of(source: &str, list: &str) -> Option<&'static str> {
    LISTS.iter().find(|(from, name, _)| (*from, *name) == (source, list)).map(|found| found.2)
}

impl Lists {
    /// Reads and compiles all lists.
    ///
    /// # Errors
    /// One of the table is not there.
    pub(crate) fn compile(shared: &Shared) -> Result<Self, Fault> {
        let mut builder = Builder::new();
        let mut entries = 0;
        for (source, list, category) in LISTS {
            builder.begin(info(&format!("{source}-{list}"), category));
            let before = entries;
            for (file, format) in FILES {
                let path = format!("lists/{source}/{list}/{file}");
                let Some(bytes) = shared.bytes(&path)? else { continue };
                let options = Options { format: Some(format), allow_public_suffixes: true };
                entries += list::read(&bytes, options, &mut |entry| builder.add(entry)).entries;
            }
            // One is published empty.
            if before == entries && list != "exceptions_liste_bu" {
                eprintln!("  lists/{source}/{list}: nothing in it");
            }
        }
        let starters = rules::defaults::LISTS;
        for (category, text) in starters {
            builder.begin(info(&format!("starter-{category}"), category));
            let options = Options { format: Some(Format::Plain), allow_public_suffixes: true };
            list::read(text.as_bytes(), options, &mut |entry| builder.add(entry));
        }
        let bytes = builder.finish("quality")?;
        let index = Index::open(Box::new(bytes), &Catalogue::shipped())?;
        Ok(Self { index, lists: LISTS.len(), entries, starters: starters.len() })
    }

    /// Says what was compiled.
    pub(crate) fn describe(&self, report: &mut Report) {
        let Self { lists, entries, starters, .. } = self;
        report.fact(
            "lists",
            format!("{lists} published lists with {entries} entries, and {starters} starter lists"),
            json!({ "published": lists, "entries": entries, "starters": starters }),
        );
    }
}

fn info(name: &str, category: &str) -> ListInfo {
    ListInfo { name: name.to_owned(), category: category.to_owned(), version: "1".to_owned() }
}
