//! What elements do to the text of a page.

/// What is to be known of an element, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    /// Its ends part words: blocks, cells, fields, pictures. All others stand within a word.
    pub(super) parts: bool,
    /// It ends what is drawn with SVG or MathML, wherever it stands (HTML, 13.2.6.5).
    pub(super) breaks_out: bool,
}

/// How what stands within is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Plain,
    /// Text until its end tag, which nobody sees.
    Hidden,
    /// The same, with the rules for comments in scripts.
    Script,
    Style,
    /// Text until its end tag, with character references.
    Title,
    TextArea,
    /// Text until its end tag, as it is.
    Xmp,
    /// Text until the end of the page.
    Plaintext,
    /// Mark-up that is not shown.
    Template,
    /// SVG or MathML.
    Foreign,
    Meta,
    Input,
    IFrame,
}

/// The element of a name in lower case. Unknown ones are as browsers show them: within a word.
pub(super) fn element(name: &[u8]) -> Element {
    const INLINE: Element = Element { kind: Kind::Plain, parts: false, breaks_out: false };
    const BLOCK: Element = Element { parts: true, ..INLINE };
    const BREAKING: Element = Element { breaks_out: true, ..BLOCK };
    const BREAKING_INLINE: Element = Element { breaks_out: true, ..INLINE };
    let of = |kind| Element { kind, ..BLOCK };
    // Nothing is in its place: words go on behind it.
    let unseen = |kind| Element { kind, ..INLINE };
    match name {
        b"a" | b"label" | b"font" | b"abbr" | b"cite" | b"bdi" | b"bdo" | b"q" | b"tspan" => INLINE,
        b"b" | b"big" | b"code" | b"em" | b"i" | b"nobr" | b"ruby" | b"s" | b"small" | b"span"
        | b"strike" | b"strong" | b"sub" | b"sup" | b"tt" | b"u" | b"var" => BREAKING_INLINE,
        b"div" | b"p" | b"li" | b"ul" | b"ol" | b"br" | b"img" | b"h1" | b"h2" | b"h3" | b"h4"
        | b"h5" | b"h6" | b"table" | b"dl" | b"dt" | b"dd" | b"hr" | b"pre" | b"listing"
        | b"center" | b"blockquote" | b"body" | b"head" | b"menu" | b"embed" => BREAKING,
        b"meta" => Element { kind: Kind::Meta, ..BREAKING_INLINE },
        b"tr" | b"td" | b"th" | b"thead" | b"tbody" | b"tfoot" | b"caption" | b"col"
        | b"colgroup" | b"article" | b"aside" | b"address" | b"section" | b"nav" | b"main"
        | b"header" | b"footer" | b"hgroup" | b"search" | b"figure" | b"figcaption" | b"form"
        | b"fieldset" | b"legend" | b"details" | b"summary" | b"dialog" | b"dir" | b"html"
        | b"button" | b"select" | b"option" | b"optgroup" | b"datalist" | b"video" | b"audio"
        | b"canvas" | b"object" | b"picture" | b"frame" | b"frameset" | b"rt" | b"rp"
        | b"marquee" | b"text" | b"desc" => BLOCK,
        b"script" => unseen(Kind::Script),
        b"style" => unseen(Kind::Style),
        b"noscript" | b"noembed" | b"noframes" => unseen(Kind::Hidden),
        b"iframe" => of(Kind::IFrame),
        b"title" => of(Kind::Title),
        b"textarea" => of(Kind::TextArea),
        b"xmp" => of(Kind::Xmp),
        b"plaintext" => of(Kind::Plaintext),
        b"template" => unseen(Kind::Template),
        b"svg" | b"math" => of(Kind::Foreign),
        b"input" => of(Kind::Input),
        _ => INLINE,
    }
}

/// What an attribute is to the text of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// People see it. Numbered, as one that is there twice counts once.
    Seen(u8),
    /// People may see it, as other attributes of the tag say.
    Content,
    Value,
    /// `name` of a `meta`.
    MetaName,
    /// `property` of a `meta`, which is read alike.
    MetaProperty,
    /// `type` of a field.
    FieldType,
    /// Makes a template one that is shown.
    ShadowRoot,
    Other,
}

impl Attribute {
    /// A bit for each.
    pub(super) fn bit(self) -> u16 {
        match self {
            Self::Seen(number) => 1 << number,
            Self::Content => 1 << 8,
            Self::Value => 1 << 9,
            Self::MetaName => 1 << 10,
            Self::MetaProperty => 1 << 11,
            Self::FieldType => 1 << 12,
            Self::ShadowRoot => 1 << 13,
            Self::Other => 0,
        }
    }
}

/// What an attribute of an element is, by its name in lower case.
pub(super) fn attribute(kind: Kind, name: &[u8]) -> Attribute {
    match (name, kind) {
        (b"title", _) => Attribute::Seen(0),
        (b"alt", _) => Attribute::Seen(1),
        (b"placeholder", _) => Attribute::Seen(2),
        (b"aria-label", _) => Attribute::Seen(3),
        (b"label", _) => Attribute::Seen(4),
        (b"srcdoc", Kind::IFrame) => Attribute::Seen(5),
        (b"content", Kind::Meta) => Attribute::Content,
        (b"name", Kind::Meta) => Attribute::MetaName,
        (b"property", Kind::Meta) => Attribute::MetaProperty,
        (b"value", Kind::Input) => Attribute::Value,
        (b"type", Kind::Input) => Attribute::FieldType,
        (b"shadowrootmode", Kind::Template) => Attribute::ShadowRoot,
        _ => Attribute::Other,
    }
}

/// Longest name of a `meta`, a type of a field, or an attribute that is looked at.
pub(super) const MAX_NAME_BYTES: usize = 24;

/// Whether a `meta` of this name, in lower case, tells what the page is about.
pub(super) fn is_description(name: &[u8]) -> bool {
    matches!(
        name,
        b"description"
            | b"keywords"
            | b"og:title"
            | b"og:description"
            | b"twitter:title"
            | b"twitter:description"
    )
}

/// Whether the value of a field of this type, in lower case, is shown; none is a field for text.
pub(super) fn shows_value(kind: &[u8]) -> bool {
    !matches!(
        kind,
        b"hidden" | b"password" | b"checkbox" | b"radio" | b"file" | b"image" | b"color" | b"range"
    )
}
