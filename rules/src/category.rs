//! Categories: what a site is, as small integers and a bit set.

use crate::document::{Document, nearest};
use std::collections::HashMap;
use thiserror::Error;

/// Most categories one installation may know, shipped and its own together.
pub const MAX_CATEGORIES: usize = 256;

/// A category's place in the [`Catalogue`]. Meaningful only beside the catalogue that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategoryId(u8);

impl CategoryId {
    /// `uncategorised`: the category of a site that no list names. Always the first.
    pub const UNCATEGORISED: CategoryId = CategoryId(0);

    /// The place as an index, 0 to [`MAX_CATEGORIES`] - 1.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The category at a place; the caller knows its catalogue is that long.
    #[must_use]
    pub fn from_index(index: u8) -> CategoryId {
        CategoryId(index)
    }
}

/// A set of categories, one bit each: 32 bytes, copied freely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CategorySet([u64; 4]);

impl CategorySet {
    /// The set of nothing.
    pub const EMPTY: CategorySet = CategorySet([0; 4]);

    /// The set of one category.
    #[must_use]
    pub fn of(id: CategoryId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(id);
        set
    }

    /// Adds one category.
    pub fn insert(&mut self, id: CategoryId) {
        self.0[id.index() >> 6] |= 1 << (id.index() & 63);
    }

    /// Takes one category out.
    pub fn remove(&mut self, id: CategoryId) {
        self.0[id.index() >> 6] &= !(1 << (id.index() & 63));
    }

    /// Whether the set holds a category.
    #[must_use]
    pub fn contains(&self, id: CategoryId) -> bool {
        self.0[id.index() >> 6] & (1 << (id.index() & 63)) != 0
    }

    /// Everything in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Everything in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// Everything in `self` that is not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// Whether the set holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// How many categories the set holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The categories in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CategoryId> + '_ {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                // Clears the lowest bit that is set; none left: 64 trailing zeros.
                rest &= rest.wrapping_sub(1);
                (bit < 64).then_some(CategoryId((i << 6) as u8 | bit as u8))
            })
        })
    }

    /// The four words, lowest categories first: how the log stores a set.
    #[must_use]
    pub fn words(&self) -> [u64; 4] {
        self.0
    }

    /// A set from its stored words.
    #[must_use]
    pub fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }
}

impl FromIterator<CategoryId> for CategorySet {
    fn from_iter<T: IntoIterator<Item = CategoryId>>(ids: T) -> Self {
        let mut set = Self::EMPTY;
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

/// One category as the shipped file or a school's list describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Short name used in policy and lists: lower case, digits, hyphens; at most 40 bytes.
    pub name: String,
    /// Name for people, e.g. "Gambling".
    pub title: String,
    /// Why a school filter has this category; printed by `explain`.
    pub rationale: String,
    /// Illegal content: no setting, role or code opens it.
    pub locked: bool,
    /// Private matters: the filter never looks into these sites, unless an authorised change says so.
    pub privacy: bool,
}

/// All categories of an installation: the shipped ones, then those that its lists name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    categories: Vec<Category>,
    by_name: HashMap<String, CategoryId>,
    locked: CategorySet,
    privacy: CategorySet,
}

/// Why a category cannot be added or a catalogue not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CategoryError {
    /// A name with other than lower-case letters, digits and hyphens, or over 40 bytes.
    #[error(
        "\"{0}\" is no category name; use lower-case letters, digits and hyphens, 1 to 40 long"
    )]
    BadName(String),
    /// The catalogue is full.
    #[error("more than {MAX_CATEGORIES} categories; \"{0}\" does not fit")]
    Full(String),
    /// The shipped or given catalogue file does not parse.
    #[error("{0}")]
    Parse(String),
}

impl Catalogue {
    /// The categories shipped in `rules/defaults/categories.toml`.
    ///
    /// # Panics
    /// Never in a build that passed its tests: the file is part of the program.
    #[must_use]
    pub fn shipped() -> Self {
        match Self::parse(include_str!("../defaults/categories.toml"), "categories.toml") {
            Ok(catalogue) => catalogue,
            Err(error) => panic!("the shipped categories do not parse: {error}"),
        }
    }

    /// Reads a catalogue file. The first category is always `uncategorised`.
    ///
    /// # Errors
    /// [`CategoryError`] with the file's line.
    pub fn parse(text: &str, file: &str) -> Result<Self, CategoryError> {
        let mut document = Document::new(file, text);
        let catalogue = Self::read(&mut document);
        match document.into_faults().into_iter().next() {
            Some(fault) => Err(CategoryError::Parse(format!("{fault}; {}", fault.fix))),
            None => Ok(catalogue),
        }
    }

    fn read(document: &mut Document<'_>) -> Self {
        const EXAMPLE: &str =
            "[[category]] name = \"games\", title = \"Games\", rationale = \"...\"";
        let mut catalogue = Self {
            categories: Vec::new(),
            by_name: HashMap::new(),
            locked: CategorySet::EMPTY,
            privacy: CategorySet::EMPTY,
        };
        let root = document.parse();
        document.only_keys(&root, "the file", &["category"]);
        let tables = root.get("category").map(|value| document.tables(value, EXAMPLE));
        for (at, table) in tables.unwrap_or_default() {
            let keys = ["name", "title", "rationale", "locked", "privacy"];
            document.only_keys(table, "[[category]]", &keys);
            let mut text = |key: &str| match table.get(key) {
                Some(value) => document.string(value, EXAMPLE).map(str::to_owned),
                None => {
                    document.fault(
                        at,
                        format!("a [[category]] without {key}"),
                        format!("add {key} = \"...\""),
                    );
                    None
                }
            };
            let (name, title, rationale) = (text("name"), text("title"), text("rationale"));
            let locked = table.get("locked").map(|value| document.truth(value, "locked = true"));
            let privacy = table.get("privacy").map(|value| document.truth(value, "privacy = true"));
            if let (Some(name), Some(title), Some(rationale)) = (name, title, rationale) {
                let locked = locked.flatten().unwrap_or(false);
                let privacy = privacy.flatten().unwrap_or(false);
                if let Err((what, fix)) =
                    catalogue.push(Category { name, title, rationale, locked, privacy })
                {
                    document.fault(at, what, fix);
                }
            }
        }
        let is_sound = catalogue.id("uncategorised") == Some(CategoryId::UNCATEGORISED)
            && !catalogue.locked.contains(CategoryId::UNCATEGORISED);
        if !is_sound && document.faults.is_empty() {
            document.fault(
                0,
                "the first category is not \"uncategorised\", unlocked",
                "put it first",
            );
        }
        catalogue
    }

    fn push(&mut self, category: Category) -> Result<CategoryId, (String, &'static str)> {
        if let Err(error) = check_name(&category.name) {
            return Err((error.to_string(), "choose another name"));
        }
        if self.by_name.contains_key(&category.name) {
            return Err((format!("a second category \"{}\"", category.name), "remove one"));
        }
        match u8::try_from(self.categories.len()) {
            Ok(place) => {
                let id = CategoryId(place);
                if category.locked {
                    self.locked.insert(id);
                }
                if category.privacy {
                    self.privacy.insert(id);
                }
                self.by_name.insert(category.name.clone(), id);
                self.categories.push(category);
                Ok(id)
            }
            Err(_) => {
                Err((CategoryError::Full(category.name).to_string(), "merge some categories"))
            }
        }
    }

    /// The category of this name, added (unlocked, titled by its name) if unknown.
    ///
    /// # Errors
    /// [`CategoryError::BadName`], [`CategoryError::Full`].
    pub fn add(&mut self, name: &str) -> Result<CategoryId, CategoryError> {
        if let Some(id) = self.id(name) {
            return Ok(id);
        }
        check_name(name)?;
        let category = Category {
            name: name.to_owned(),
            title: title_of(name),
            rationale: "Named by one of this school's own lists.".to_owned(),
            locked: false,
            privacy: false,
        };
        self.push(category).map_err(|_| CategoryError::Full(name.to_owned()))
    }

    /// The known name nearest to a mistyped one.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.categories.iter().map(|category| category.name.as_str()))
    }

    /// The category of this name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<CategoryId> {
        self.by_name.get(name).copied()
    }

    /// The category at a place.
    #[must_use]
    pub fn get(&self, id: CategoryId) -> Option<&Category> {
        self.categories.get(id.index())
    }

    /// The name at a place; `?` for a place that this catalogue does not have.
    #[must_use]
    pub fn name(&self, id: CategoryId) -> &str {
        self.get(id).map_or("?", |category| &category.name)
    }

    /// All categories in order.
    pub fn iter(&self) -> impl Iterator<Item = (CategoryId, &Category)> {
        self.categories.iter().enumerate().map(|(i, category)| (CategoryId(i as u8), category))
    }

    /// The locked categories.
    #[must_use]
    pub fn locked(&self) -> CategorySet {
        self.locked
    }

    /// The private categories, which the filter does not look into.
    #[must_use]
    pub fn privacy(&self) -> CategorySet {
        self.privacy
    }

    /// The names of a set's categories, in order.
    #[must_use]
    pub fn names(&self, set: CategorySet) -> Vec<&str> {
        set.iter().map(|id| self.name(id)).collect()
    }
}

/// `social-media` as people read it: `Social media`.
fn title_of(name: &str) -> String {
    let mut title = name.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

fn check_name(name: &str) -> Result<(), CategoryError> {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=40).contains(&name.len()) && name.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(CategoryError::BadName(name.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_shipped_categories_parse_and_lock_the_illegal_ones() {
        let catalogue = Catalogue::shipped();
        assert_eq!(catalogue.id("uncategorised"), Some(CategoryId::UNCATEGORISED));
        assert!(!catalogue.locked().is_empty());
        for (id, category) in catalogue.iter() {
            assert_eq!(catalogue.id(&category.name), Some(id));
            assert_eq!(catalogue.locked().contains(id), category.locked);
        }
    }

    #[test]
    fn an_unknown_name_is_added_once_and_unlocked() {
        let mut catalogue = Catalogue::shipped();
        let id = catalogue.add("school-made-up").unwrap();
        assert_eq!(catalogue.add("school-made-up"), Ok(id));
        assert_eq!(catalogue.get(id).unwrap().title, "School made up");
        assert!(!catalogue.locked().contains(id));
        for name in ["", "Games", "a b", "é", &"x".repeat(41)] {
            assert!(matches!(catalogue.add(name), Err(CategoryError::BadName(_))), "{name}");
        }
    }

    #[test]
    fn no_more_than_256_categories_fit() {
        let mut catalogue = Catalogue::shipped();
        let full = (0..MAX_CATEGORIES).find_map(|i| catalogue.add(&format!("extra-{i}")).err());
        assert!(matches!(full, Some(CategoryError::Full(_))));
        assert_eq!(catalogue.iter().count(), MAX_CATEGORIES);
        let last = CategoryId::from_index(255);
        assert_eq!(catalogue.id(catalogue.name(last)), Some(last));
    }

    #[test]
    fn faults_in_a_catalogue_have_their_line() {
        let one = "[[category]]\nname = \"uncategorised\"\ntitle = \"T\"\nrationale = \"R\"\n";
        let cases = [
            ("", "c.toml:1: the first category"),
            ("[[category]]\nname = \"games\"\ntitle=\"T\"\nrationale=\"R\"", "c.toml:1: the first"),
            (&format!("{one}{one}"), "c.toml:5: a second category"),
            (&format!("{one}lokced = true"), "c.toml:5: unknown key \"lokced\""),
            (
                &format!("{one}[[category]]\nname = \"games\"\ntitle=\"T\""),
                "c.toml:5: a [[category]] without rationale",
            ),
            (&one.replace("\"T\"", "7"), "c.toml:3: 7 is not a text"),
            (&format!("{one}locked = true"), "c.toml:1: the first category"),
        ];
        for (text, message) in cases {
            let error = Catalogue::parse(text, "c.toml").unwrap_err().to_string();
            assert!(error.starts_with(message), "{error} is not {message}");
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in(ids in proptest::collection::btree_set(0_u8..=255, 0..40)) {
            let set: CategorySet = ids.iter().copied().map(CategoryId::from_index).collect();
            let back: Vec<u8> = set.iter().map(|id| id.index() as u8).collect();
            prop_assert_eq!(back, ids.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), ids.len());
            prop_assert_eq!(CategorySet::from_words(set.words()), set);
            prop_assert!(set.difference(set).is_empty());
        }
    }
}
