//! Levels: pupil, staff, guest, and their children such as ks2.

use std::collections::HashMap;

/// Most levels one policy may define.
pub const MAX_LEVELS: usize = 64;

/// A level's place in its policy. Meaningful only beside that policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LevelId(pub(crate) u8);

impl LevelId {
    /// The place as an index, 0 to [`MAX_LEVELS`] - 1.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How the block page speaks to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStyle {
    /// Key stage 1: a picture and five words.
    Ks1,
    /// Key stage 2: short words.
    Ks2,
    /// Secondary pupils and guests.
    Secondary,
    /// Staff: category, list, authoriser.
    Staff,
}

/// One level of a policy.
#[derive(Clone, Debug)]
pub struct Level {
    /// Name in `[levels]`.
    pub name: String,
    /// The level whose rules it takes where it has none of its own.
    pub parent: Option<LevelId>,
    /// Place in `order`, 0 the strictest; levels not named there stand where their parent does.
    pub strictness: u8,
    /// How its block page speaks.
    pub style: PageStyle,
    /// Whether searches must be safe; enforced once searches are seen.
    pub safe_search: bool,
}

/// The levels of a policy by name and place.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    pub(crate) levels: Vec<Level>,
    pub(crate) by_name: HashMap<String, LevelId>,
}

impl Levels {
    /// The level of this name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<LevelId> {
        self.by_name.get(name).copied()
    }

    /// The level at a place of the same policy.
    #[must_use]
    pub fn get(&self, id: LevelId) -> &Level {
        &self.levels[id.index()]
    }

    /// All levels, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (LevelId, &Level)> {
        self.levels.iter().enumerate().map(|(i, level)| (LevelId(i as u8), level))
    }

    /// The level for nobody known: the strictest.
    #[must_use]
    pub fn strictest(&self) -> LevelId {
        self.iter().min_by_key(|(id, level)| (level.strictness, id.0)).map_or(LevelId(0), |(id, _)| id)
    }

    /// Whether `level` is `ancestor` or below it: a rule for pupil holds for ks2.
    #[must_use]
    pub fn within(&self, level: LevelId, ancestor: LevelId) -> bool {
        let mut here = Some(level);
        while let Some(id) = here {
            if id == ancestor {
                return true;
            }
            here = self.get(id).parent;
        }
        false
    }
}
