//! What lists of a category name below a site: whoever closes the site closes that too.

use super::version::Shelf;
use super::{ListError, Lists};
use categorizer::list::Entry;
use rules::host::Host;
use rules::site::Site;

impl Lists<'_> {
    /// The hosts that lists in force of this category name within a site, sorted: of URLs too.
    /// Expressions and keywords name no host and are not looked at.
    ///
    /// # Errors
    /// [`ListError`], if a version in force cannot be read.
    pub async fn below(&self, site: &Site, category: &str) -> Result<Vec<String>, ListError> {
        let mut lineages = self.lineages().await?;
        let mut hosts = Vec::new();
        for list in self.config.lists.iter().filter(|list| list.category == category) {
            let Some(version) = lineages.remove(&list.name).and_then(|lineage| lineage.accepted)
            else {
                continue;
            };
            let entries = Shelf::new(&self.config.state, &list.name).entries(&version)?;
            hosts.extend(entries.iter().filter_map(|entry| host_within(&entry, site)));
        }
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }
}

fn host_within(entry: &Entry<'_>, site: &Site) -> Option<String> {
    let (host, path) = match entry {
        Entry::Domain(name) => (Host::parse(name).ok()?, None),
        Entry::Url(url) => {
            let listed = Site::parse(url.split(['?', '#']).next().unwrap_or(url)).ok()?;
            (listed.host().clone(), listed.path().map(str::to_owned))
        }
        Entry::Expression(_) | Entry::Keyword(_) => return None,
    };
    // A listed host has all paths, so a site with a path closes a part of it.
    let is_closed = match (site.path(), path.as_deref()) {
        (Some(_), None) => host == *site.host(),
        (_, path) => site.covers(&host, path),
    };
    is_closed.then(|| host.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_site_closes_what_lists_name_at_or_below_it() {
        let cases = [
            ("charity.example", Entry::Domain("help.charity.example".into()), true),
            ("charity.example", Entry::Domain("charity.example".into()), true),
            ("charity.example", Entry::Domain("othercharity.example".into()), false),
            ("www.charity.example", Entry::Domain("help.charity.example".into()), false),
            ("charity.example/talk", Entry::Domain("charity.example".into()), true),
            ("charity.example/talk", Entry::Domain("help.charity.example".into()), false),
            ("charity.example", Entry::Url("help.charity.example/talk".into()), true),
            ("charity.example/talk", Entry::Url("charity.example/talk/now".into()), true),
            ("charity.example/talk", Entry::Url("charity.example/shop".into()), false),
            ("charity.example", Entry::Keyword("charity".into()), false),
        ];
        for (site, entry, closed) in cases {
            let site = Site::parse(site).unwrap();
            assert_eq!(host_within(&entry, &site).is_some(), closed, "{site} {entry:?}");
        }
    }
}
