//! The files shipped inside the program: what `serve` runs with when it is given nothing else.

/// The machine file used without `--config`.
pub const MACHINE: &str = include_str!("../defaults/schoolgate.toml");
/// The starter policy for a school.
pub const POLICY: &str = include_str!("../defaults/policy.toml");
/// The shipped categories.
pub const CATEGORIES: &str = include_str!("../defaults/categories.toml");
/// The rows that hold where a policy has none.
pub const BASELINE: &str = include_str!("../defaults/baseline.toml");
/// Hosts whose HTTPS is never opened, by group.
pub const DO_NOT_INSPECT: &str = include_str!("../defaults/do_not_inspect.toml");
/// Search engines and video sites, and how each is kept to its safe mode.
pub const SEARCH_ENGINES: &str = include_str!("../defaults/search_engines.toml");
/// Where the words of a search stand in a URL.
pub const SEARCH_TERMS: &str = include_str!("../defaults/search_terms.toml");
/// Ways round the filter, and what each is known by.
pub const CIRCUMVENTION: &str = include_str!("../defaults/circumvention.toml");
/// Services that can be kept to a school's own accounts, and the headers that do it.
pub const TENANT_RESTRICTIONS: &str = include_str!("../defaults/tenant_restrictions.toml");
/// The words of pages: language and text of its file.
pub const TEXTS: &[(&str, &str)] = &[
    ("en", include_str!("../defaults/text/en.toml")),
    ("cy", include_str!("../defaults/text/cy.toml")),
];
/// Files that the starter policy names, by their path beside it.
pub const POLICY_FILES: &[(&str, &str)] =
    &[("local/ks1.txt", include_str!("../defaults/local/ks1.txt"))];
/// The starter lists by category, in the order of their names: a site a line.
pub const LISTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lists.rs"));
/// What the themes are.
pub const THEMES: &str = include_str!("../defaults/themes/themes.toml");
/// The theme packs by the names of their files, in the order of the names.
pub const THEME_PACKS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/theme_packs.rs"));

/// The starter list of a category.
#[must_use]
pub fn list(category: &str) -> Option<&'static str> {
    LISTS.iter().find(|(name, _)| *name == category).map(|(_, text)| *text)
}
