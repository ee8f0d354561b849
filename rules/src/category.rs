//! Categories: what a site is, as small integers and a bit set.

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
        (0..MAX_CATEGORIES)
            .filter(|i| self.0[i >> 6] & (1 << (i & 63)) != 0)
            .map(|i| CategoryId(i as u8))
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
}

/// All categories of an installation: the shipped ones, then those that its lists name.
#[derive(Clone, Debug)]
pub struct Catalogue {
    categories: Vec<Category>,
    by_name: HashMap<String, CategoryId>,
    locked: CategorySet,
}

/// Why a category cannot be added or a catalogue not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CategoryError {
    /// A name with other than lower-case letters, digits and hyphens, or over 40 bytes.
    #[error("\"{0}\" is no category name; use lower-case letters, digits and hyphens, 1 to 40 long")]
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
    #[must_use]
    pub fn shipped() -> Self {
        todo!()
    }

    /// Reads a catalogue file. The first category is always `uncategorised`.
    ///
    /// # Errors
    /// [`CategoryError`] with the file's line.
    pub fn parse(text: &str, file: &str) -> Result<Self, CategoryError> {
        let _ = (text, file);
        todo!()
    }

    /// The category of this name, added (unlocked, titled by its name) if unknown.
    ///
    /// # Errors
    /// [`CategoryError::BadName`], [`CategoryError::Full`].
    pub fn add(&mut self, name: &str) -> Result<CategoryId, CategoryError> {
        let _ = name;
        todo!()
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

    /// The names of a set's categories, in order.
    #[must_use]
    pub fn names(&self, set: CategorySet) -> Vec<&str> {
        set.iter().map(|id| self.name(id)).collect()
    }
}
