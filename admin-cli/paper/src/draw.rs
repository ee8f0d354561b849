//! The file: lines drawn on pages, and the tree that a screen reader reads.

use crate::layout::{LaidOut, Line, Measure, Part};
use crate::letters::{Letters, Weight};
use crate::{Paper, PaperError};
use krilla::configure::{Accessibility, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, TableHeaderScope, Tag, TagGroup,
    TagTree,
};
use krilla::text::{Font, Glyph as _};
use krilla::{Document, SerializeSettings};
use std::num::NonZeroU16;
use unicode_bidi::BidiInfo;

/// The language that the sentences are in.
const LANGUAGE: &str = "en-GB";

/// The fonts as they go into the file: only the letters that are used.
struct Fonts {
    regular: Font,
    bold: Font,
}

impl Fonts {
    fn new() -> Result<Self, PaperError> {
        let font = |weight: Weight| Font::new(weight.data().into(), 0).ok_or(PaperError::Fonts);
        Ok(Self { regular: font(Weight::Regular)?, bold: font(Weight::Bold)? })
    }

    fn get(&self, weight: Weight) -> Font {
        match weight {
            Weight::Regular => self.regular.clone(),
            Weight::Bold => self.bold.clone(),
        }
    }
}

/// Makes the file.
pub(crate) fn draw(
    paper: &Paper,
    laid_out: &LaidOut,
    letters: &Letters,
) -> Result<Vec<u8>, PaperError> {
    let fonts = Fonts::new()?;
    let configuration = ConfigurationBuilder::new()
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|error| PaperError::Pdf(format!("{error:?}")))?;
    let mut document =
        Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    let mut leaves: Vec<Vec<Identifier>> = vec![Vec::new(); laid_out.leaves];
    for (number, page) in laid_out.pages.iter().enumerate() {
        let settings = PageSettings::from_wh(laid_out.width, laid_out.height)
            .ok_or_else(|| PaperError::Pdf("a page without a size".to_owned()))?;
        let mut drawn = document.start_page_with(settings);
        let mut surface = drawn.surface();
        let layout = Artifact::with_kind(ArtifactType::Layout);
        for stroke in &page.strokes {
            surface.start_tagged(ContentTag::Artifact(layout));
            let margin = laid_out.measure.margin;
            let wide = laid_out.width - 2.0 * margin;
            let mut path = PathBuilder::new();
            if let Some(rect) = Rect::from_xywh(margin, stroke.y, wide, stroke.thick) {
                path.push_rect(rect);
            }
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
            surface.end_tagged();
        }
        for line in &page.lines {
            let identifier = put(&mut surface, line, letters, &fonts);
            if let Some(leaf) = line.leaf {
                leaves[leaf].push(identifier);
            }
        }
        foot(&mut surface, laid_out, (number + 1, laid_out.pages.len()), letters, &fonts);
        surface.finish();
        drawn.finish();
    }
    document.set_metadata(
        Metadata::new()
            .title(letters.clean(&paper.title).replace('\n', " "))
            .language(LANGUAGE.to_owned())
            .creator("Schoolgate".to_owned()),
    );
    document.set_outline(outline(laid_out));
    document.set_tag_tree(tree(laid_out, leaves));
    document.finish().map_err(|error| PaperError::Pdf(format!("{error:?}")))
}

/// Draws a line, each run of one direction where it belongs.
fn put(surface: &mut Surface<'_>, line: &Line, letters: &Letters, fonts: &Fonts) -> Identifier {
    let Line { x, y, size, weight, ref text, leaf } = *line;
    let bidi = BidiInfo::new(text, Some(unicode_bidi::Level::ltr()));
    let turned = bidi.has_rtl();
    let tag = match leaf {
        Some(_) => ContentTag::Span(SpanTag::empty()),
        None => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
    };
    let identifier = surface.start_tagged(tag);
    let mut x = x;
    let mut run = |surface: &mut Surface<'_>, part: &str, rtl: bool| {
        let glyphs = letters.shape(weight, part, rtl);
        surface.draw_glyphs(Point::from_xy(x, y), &glyphs, fonts.get(weight), part, size, false);
        x += glyphs.iter().map(|glyph| glyph.x_advance(size)).sum::<f32>();
    };
    match bidi.paragraphs.first().filter(|_| turned) {
        None => run(surface, text, false),
        Some(paragraph) => {
            let (levels, runs) = bidi.visual_runs(paragraph, 0..text.len());
            for range in runs {
                let rtl = levels.get(range.start).is_some_and(unicode_bidi::Level::is_rtl);
                run(surface, &text[range], rtl);
            }
        }
    }
    surface.end_tagged();
    identifier
}

fn foot(
    surface: &mut Surface<'_>,
    laid_out: &LaidOut,
    (number, of): (usize, usize),
    letters: &Letters,
    fonts: &Fonts,
) {
    let page = format!("Page {number} of {of}");
    let Measure { margin, small, .. } = laid_out.measure;
    let first = laid_out.height - margin - small;
    let right = laid_out.width - margin - letters.width(Weight::Regular, &page) * small;
    let lines = laid_out.foot.iter().enumerate();
    let lines =
        lines.map(|(place, text)| (margin, first + place as f32 * small * 1.3, text.as_str()));
    for (x, y, text) in lines.chain([(right, first, page.as_str())]) {
        let (size, weight) = (small, Weight::Regular);
        let line = Line { x, y, size, weight, text: text.to_owned(), leaf: None };
        if !line.text.is_empty() {
            put(surface, &line, letters, fonts);
        }
    }
}

fn outline(laid_out: &LaidOut) -> Outline {
    let mut outline = Outline::new();
    for part in &laid_out.parts {
        if let Part::Heading { text, page, y, .. } = part {
            let there = XyzDestination::new(*page, Point::from_xy(laid_out.measure.margin, *y));
            outline.push_child(OutlineNode::new(text.replace('\n', " "), there));
        }
    }
    outline
}

fn tree(laid_out: &LaidOut, leaves: Vec<Vec<Identifier>>) -> TagTree {
    let mut leaves: Vec<Vec<Node>> =
        leaves.into_iter().map(|ids| ids.into_iter().map(Node::Leaf).collect()).collect();
    let mut take = |leaf: usize| leaves.get_mut(leaf).map(std::mem::take).unwrap_or_default();
    let mut tree = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for part in &laid_out.parts {
        let group = match part {
            Part::Heading { level, text, leaf, .. } => {
                let level = NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN);
                TagGroup::with_children(Tag::Hn(level, Some(text.replace('\n', " "))), take(*leaf))
            }
            Part::Text(leaf) => TagGroup::with_children(Tag::P, take(*leaf)),
            Part::Table(rows) => {
                let mut table = TagGroup::new(Tag::Table);
                for row in rows {
                    let mut group = TagGroup::new(Tag::TR);
                    for (place, leaf) in row.cells.iter().enumerate() {
                        let cell = take(*leaf);
                        group.push(match (row.is_head, row.is_named && place == 0) {
                            (true, _) => {
                                TagGroup::with_children(Tag::TH(TableHeaderScope::Column), cell)
                            }
                            (_, true) => {
                                TagGroup::with_children(Tag::TH(TableHeaderScope::Row), cell)
                            }
                            _ => TagGroup::with_children(Tag::TD, cell),
                        });
                    }
                    table.push(group);
                }
                table
            }
        };
        tree.push(group);
    }
    tree
}
