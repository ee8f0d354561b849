//! The letters: which there are, how wide they are, and how they stand beside each other.

use crate::PaperError;
use krilla::text::{GlyphId, KrillaGlyph};
use rustybuzz::{Direction, Face, UnicodeBuffer};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Most different characters that are told to be missing.
const MOST_TOLD: usize = 30;

/// How thick letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

impl Weight {
    /// The font's file.
    pub(crate) fn data(self) -> &'static [u8] {
        match self {
            Weight::Regular => dejavu::sans::regular(),
            Weight::Bold => dejavu::sans::bold(),
        }
    }
}

/// The fonts, and what they were found to lack.
pub(crate) struct Letters {
    regular: Face<'static>,
    bold: Face<'static>,
    missing: RefCell<BTreeSet<char>>,
}

impl Letters {
    pub(crate) fn new() -> Result<Self, PaperError> {
        let face = |weight: Weight| Face::from_slice(weight.data(), 0).ok_or(PaperError::Fonts);
        let (regular, bold) = (face(Weight::Regular)?, face(Weight::Bold)?);
        Ok(Self { regular, bold, missing: RefCell::default() })
    }

    fn face(&self, weight: Weight) -> &Face<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// The text in letters that both fonts have. What they lack, and what shows nothing or turns text round,
    /// stands as its code, as `[U+0915]`.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\n' => out.push('\n'),
                c if c.is_whitespace() => out.push(' '),
                c if shows(c) && self.has(c) => out.push(c),
                c => {
                    let mut missing = self.missing.borrow_mut();
                    if missing.len() < MOST_TOLD {
                        missing.insert(c);
                    }
                    let _ = write!(out, "[U+{:04X}]", u32::from(c));
                }
            }
        }
        out
    }

    /// Whether any character had to be written as its code.
    pub(crate) fn lacks_any(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    fn has(&self, c: char) -> bool {
        [&self.regular, &self.bold]
            .iter()
            .all(|face| face.glyph_index(c).is_some_and(|it| it.0 != 0))
    }

    /// Width of a character by itself, in parts of the size.
    pub(crate) fn advance(&self, weight: Weight, c: char) -> f32 {
        let face = self.face(weight);
        let width = face.glyph_index(c).and_then(|glyph| face.glyph_hor_advance(glyph));
        f32::from(width.unwrap_or(0)) / face.units_per_em() as f32
    }

    /// Width of a text, in parts of the size: that of its characters, beside which joined letters are narrower
    /// if anything.
    pub(crate) fn width(&self, weight: Weight, text: &str) -> f32 {
        text.chars().map(|c| self.advance(weight, c)).sum()
    }

    /// The glyphs of a run of one direction, from left to right.
    pub(crate) fn shape(&self, weight: Weight, text: &str, rtl: bool) -> Vec<KrillaGlyph> {
        let face = self.face(weight);
        let em = face.units_per_em() as f32;
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        buffer.set_direction(if rtl { Direction::RightToLeft } else { Direction::LeftToRight });
        let shaped = rustybuzz::shape(face, &[], buffer);
        let infos = shaped.glyph_infos();
        // A glyph stands for the text up to where the next cluster begins.
        let mut starts: Vec<usize> = infos.iter().map(|info| info.cluster as usize).collect();
        starts.push(text.len());
        starts.sort_unstable();
        starts.dedup();
        let glyphs = infos.iter().zip(shaped.glyph_positions()).map(|(info, position)| {
            let start = info.cluster as usize;
            let next = starts.partition_point(|it| *it <= start);
            let end = starts.get(next).copied().unwrap_or(text.len());
            KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                position.x_advance as f32 / em,
                position.x_offset as f32 / em,
                position.y_offset as f32 / em,
                position.y_advance as f32 / em,
                start..end,
                None,
            )
        });
        glyphs.collect()
    }
}

/// Whether a character is one to be seen: no control or direction character, no mark of an invisible kind, and
/// none whose meaning nobody has agreed on.
fn shows(c: char) -> bool {
    let code = u32::from(c);
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
        || code & 0xfffe == 0xfffe)
}
