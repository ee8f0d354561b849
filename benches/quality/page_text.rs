//! The text of an HTML page, as the product reads it.

use categorizer::page::charset::Telling;
use categorizer::page::{Charset, Extractor, Format, Text};

/// The text of a page that came without a header's word on its letters.
pub(crate) fn text_of(html: &[u8]) -> String {
    let mut charset = Charset::new(Telling::Page, None, None);
    let (mut extractor, mut text) = (Extractor::new(Format::Html), Text::default());
    charset.push(html, &mut |bytes| extractor.push(bytes, &mut text));
    charset.end(&mut |bytes| extractor.push(bytes, &mut text));
    extractor.end(&mut text);
    let mut read = String::new();
    text.read_last(&mut |part| read.push_str(part));
    read
}
