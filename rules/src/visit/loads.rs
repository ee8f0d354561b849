//! Pages that are being loaded, to tell the frames among pages.

use super::Visit;
use crate::host::Host;
use crate::time::UnixMillis;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;

/// For how long a page is taken to be loading, in milliseconds.
const LOADING_MS: i64 = 8_000;

/// Most pages remembered of a client.
const MOST_PAGES: usize = 16;

/// Most clients remembered. A new one beyond them, while all are loading, opens whatever it asks for.
const MOST_CLIENTS: usize = 4_096;

/// The pages that clients asked for in the last seconds. Only those whose browsers do not say themselves what
/// stands in a frame come here.
#[derive(Debug, Default)]
pub struct Loads {
    clients: HashMap<IpAddr, VecDeque<Page>>,
}

/// A page that was asked for.
#[derive(Clone, Copy, Debug)]
struct Page {
    host: u64,
    /// Its registrable domain.
    site: u64,
    at: UnixMillis,
    is_frame: bool,
}

impl Loads {
    /// Whether a page stands by itself or in a frame: it comes from another that this client asked for in the last
    /// seconds, and that is of another site, or stands in a frame itself. Links within a site, and from
    /// where somebody has been for a while, are opened.
    pub fn page(
        &mut self,
        client: IpAddr,
        host: &str,
        referer: Option<&str>,
        at: UnixMillis,
    ) -> Visit {
        if !self.clients.contains_key(&client) && self.clients.len() >= MOST_CLIENTS {
            self.clients.retain(|_, pages| pages.back().is_some_and(|page| is_loading(page, at)));
            if self.clients.len() >= MOST_CLIENTS {
                return Visit::Opened;
            }
        }
        let (host, site) = (hash(host), hash(&site_of(host)));
        let from = referer.and_then(host_of).map(|host| hash(&host));
        let pages = self.clients.entry(client).or_default();
        let holds = |page: &&Page| {
            Some(page.host) == from && is_loading(page, at) && (page.is_frame || page.site != site)
        };
        let is_frame = pages.iter().find(holds).is_some();
        if pages.len() == MOST_PAGES {
            pages.pop_front();
        }
        pages.push_back(Page { host, site, at, is_frame });
        if is_frame { Visit::Frame } else { Visit::Opened }
    }
}

fn is_loading(page: &Page, at: UnixMillis) -> bool {
    (at.0 - page.at.0).abs() < LOADING_MS
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn site_of(host: &str) -> String {
    let parsed = Host::parse(host).ok();
    parsed.as_ref().and_then(Host::registrable).unwrap_or(host).to_owned()
}

/// The host of a URL as requests have it; `None`: it has none.
fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    Host::parse(host).ok().map(|host| host.as_str().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SAM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const KIM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn frames_come_from_a_page_that_is_loading_and_of_another_site() {
        let news = Some("http://www.news.example/today?x=1");
        let ads = Some("http://frame.ads.example:80/f");
        let steps = [
            ("typed", SAM, "www.news.example", None, 0, Visit::Opened),
            ("a frame", SAM, "frame.ads.example", news, 1_000, Visit::Frame),
            ("a frame in it, of one site", SAM, "more.ads.example", ads, 1_500, Visit::Frame),
            ("another's click", KIM, "frame.ads.example", news, 1_600, Visit::Opened),
            ("a link within the site", SAM, "blog.news.example", news, 2_000, Visit::Opened),
            ("typed meanwhile", SAM, "other.example", None, 3_000, Visit::Opened),
            (
                "from where nobody was",
                SAM,
                "x.example",
                Some("http://y.example/"),
                3_100,
                Visit::Opened,
            ),
            ("a link, read for a while", SAM, "z.example", news, 8_000, Visit::Opened),
        ];
        let mut loads = Loads::default();
        for (what, client, host, referer, at, expected) in steps {
            assert_eq!(loads.page(client, host, referer, UnixMillis(at)), expected, "{what}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_passes() {
        let mut loads = Loads::default();
        let client = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        for number in 0..10_000 {
            loads.page(client(number), "a.example", None, UnixMillis(0));
        }
        assert_eq!(loads.clients.len(), MOST_CLIENTS);
        for number in 0..100 {
            loads.page(SAM, &format!("h{number}.example"), None, UnixMillis(LOADING_MS));
        }
        assert_eq!((loads.clients.len(), loads.clients[&SAM].len()), (1, MOST_PAGES));
    }
}
