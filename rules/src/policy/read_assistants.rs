//! Reads `assistants`: sites that answer what is written to them, beside those that the filter knows.

use super::SiteMap;
use super::read::Reader;
use crate::search::Search;
use toml::de::DeTable;

impl Reader<'_> {
    /// The sites of `assistants`. One that is known already needs no line, and could not be told from it.
    pub(super) fn assistants(&mut self, root: &DeTable<'_>) -> SiteMap<()> {
        const EXAMPLE: &str = "assistants = [\"tutor.example\", \"school.example/helper\"]";
        let mut sites = SiteMap::default();
        let Some(value) = root.get("assistants") else { return sites };
        for (at, text) in self.document.strings(value, EXAMPLE) {
            let Some(site) = self.site(at, text) else { continue };
            if Search::shipped().site(site.host()).is_some() {
                // No fault: a later version may know what a school has named, and its policy has to be read all the same.
                let what = format!(
                    "assistants: {site} is known already; docs/themes.md says how it is read"
                );
                self.warn_once(at, &what);
            } else {
                sites.insert(site, ());
            }
        }
        sites
    }
}
