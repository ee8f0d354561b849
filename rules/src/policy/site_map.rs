//! Sites by host: which of many sites cover an access, found by walking up the host's labels.

use crate::host::Host;
use crate::site::Site;
use std::collections::HashMap;

/// Sites, each with what it stands for.
#[derive(Clone, Debug)]
pub(super) struct SiteMap<T> {
    by_host: HashMap<Box<str>, Vec<(Site, T)>>,
}

impl<T> Default for SiteMap<T> {
    fn default() -> Self {
        Self { by_host: HashMap::new() }
    }
}

impl<T> SiteMap<T> {
    pub(super) fn insert(&mut self, site: Site, value: T) {
        self.by_host.entry(site.host().as_str().into()).or_default().push((site, value));
    }

    /// What the sites that cover an access stand for, the narrowest host first.
    pub(super) fn covering<'m>(
        &'m self,
        host: &'m Host,
        path: Option<&'m str>,
    ) -> impl Iterator<Item = &'m T> {
        // Most policies have no standing block: no hashing then.
        let suffixes = (!self.by_host.is_empty()).then(|| host.suffixes()).into_iter().flatten();
        suffixes
            .filter_map(|suffix| self.by_host.get(suffix))
            .flatten()
            .filter(move |(site, _)| site.covers(host, path))
            .map(|(_, value)| value)
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = &Site> {
        self.by_host.values().flatten().map(|(site, _)| site)
    }
}
