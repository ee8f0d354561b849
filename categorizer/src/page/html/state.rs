//! Where in a page a reader is, and where in a script.

/// Between two bytes of a page. The names are the standard's (HTML, 13.2.5), save that states which
/// differ in errors alone are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Data,
    TagOpen,
    EndTagOpen,
    TagName,
    BeforeAttribute,
    AttributeName,
    AfterAttributeName,
    BeforeValue,
    /// Within a value; its quote, or 0.
    Value(u8),
    AfterValue,
    SelfClosing,
    /// Behind `<!`; how much of `[CDATA[` came, or [`DASH`].
    Declaration(u8),
    BogusComment,
    CommentStart,
    CommentStartDash,
    Comment,
    CommentDash,
    CommentEnd,
    CommentBang,
    /// In SVG or MathML; how many `]` came just now, at most two.
    Cdata(u8),
    /// Within an element that is text until its end tag.
    Raw,
    RawOpen,
    RawEndName,
    /// Behind `<!` in a script; how many hyphens came.
    ScriptBang(u8),
    /// In a name behind `<` within a comment of a script.
    ScriptName,
    Plaintext,
}

/// Behind `<!-`.
pub(super) const DASH: u8 = 8;

/// Within a script, what comments make of `<script>` and `</script>` (HTML, 13.2.5.15 and on).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Script {
    #[default]
    Plain,
    /// Behind `<!--`; how many hyphens came just now, at most two.
    Escaped(u8),
    /// Behind `<!-- <script>`, where `</script>` is no end.
    DoubleEscaped(u8),
}
