//! Header blocks (RFC 7541): read as they come from the proxy, and written without a table.

/// Fields in their order.
pub(super) type Fields = Vec<(String, String)>;

/// RFC 7541, A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The printable characters of each length of code, in order. The code is a canonical one (RFC 7541,
/// 5.2), so that the lengths say it all; longer codes stand for bytes that no test reads.
const LENGTHS: [(u32, &str); 10] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

/// What one end needs to read the other's blocks.
#[derive(Default)]
pub(super) struct Reader {
    /// The newest first. Never so full that one would have to go.
    table: Fields,
}

impl Reader {
    /// The fields of a block.
    pub(super) fn read(&mut self, block: &[u8]) -> Fields {
        let mut fields = Fields::new();
        let mut at = 0;
        while at < block.len() {
            let first = block[at];
            if first & 0x80 != 0 {
                fields.push(self.entry(integer(block, &mut at, 7)));
            } else if first & 0xe0 == 0x20 {
                // A size of the table: the tests' blocks are far below any.
                integer(block, &mut at, 5);
            } else {
                let kept = first & 0x40 != 0;
                let index = integer(block, &mut at, if kept { 6 } else { 4 });
                let name = match index {
                    0 => text(block, &mut at),
                    known => self.entry(known).0,
                };
                let field = (name, text(block, &mut at));
                if kept {
                    self.table.insert(0, field.clone());
                }
                fields.push(field);
            }
        }
        fields
    }

    fn entry(&self, index: usize) -> (String, String) {
        match STATIC.get(index - 1) {
            Some((name, value)) => ((*name).to_owned(), (*value).to_owned()),
            None => self.table[index - 1 - STATIC.len()].clone(),
        }
    }
}

/// RFC 7541, 5.1.
fn integer(block: &[u8], at: &mut usize, prefix: u32) -> usize {
    let most = (1 << prefix) - 1;
    let mut value = usize::from(block[*at]) & most;
    *at += 1;
    if value == most {
        for shift in (0..).step_by(7) {
            let byte = block[*at];
            *at += 1;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    value
}

/// RFC 7541, 5.2.
fn text(block: &[u8], at: &mut usize) -> String {
    let coded = block[*at] & 0x80 != 0;
    let length = integer(block, at, 7);
    let bytes = &block[*at..*at + length];
    *at += length;
    if coded { decoded(bytes) } else { String::from_utf8_lossy(bytes).into_owned() }
}

fn decoded(bytes: &[u8]) -> String {
    let mut bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
    let mut text = String::new();
    'characters: loop {
        let (mut code, mut length, mut first) = (0, 0, 0);
        for (of, characters) in LENGTHS {
            while length < of {
                // What is left is padding.
                let Some(bit) = bits.next() else { break 'characters };
                (code, length, first) = (code << 1 | bit, length + 1, first << 1);
            }
            let count = characters.chars().count() as u32;
            if let Some(place) = code.checked_sub(first).filter(|place| *place < count) {
                text.extend(characters.chars().nth(place as usize));
                continue 'characters;
            }
            first += count;
        }
        panic!("a byte that no test reads, in {bytes:?} after {text:?}");
    }
    text
}

/// A literal field that is not put into the table (RFC 7541, 6.2.2).
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        // With a length of two bytes where one does not do.
        match text.len() {
            length @ 0..127 => block.push(length as u8),
            length => {
                let rest = length - 127;
                assert!(rest < 128 * 128);
                block.extend([127, (rest % 128) as u8 | 0x80, (rest / 128) as u8]);
            }
        }
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// The block of some fields.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The value of a field; empty where there is none.
pub(super) fn value<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

#[test]
fn blocks_of_the_rfc_are_read() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    // RFC 7541, C.4.1 to C.4.3: three requests, Huffman coded, with a table between them.
    let mut reader = Reader::default();
    let first = reader.read(&hex("828684418cf1e3c2e5f23a6ba0ab90f4ff"));
    assert_eq!(value(&first, ":authority"), "www.example.com");
    let second = reader.read(&hex("828684be5886a8eb10649cbf"));
    assert_eq!(value(&second, ":authority"), "www.example.com");
    assert_eq!(value(&second, "cache-control"), "no-cache");
    let third = reader.read(&hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"));
    assert_eq!(value(&third, "custom-key"), "custom-value");
    assert_eq!(value(&third, ":path"), "/index.html");
    assert_eq!(Reader::default().read(&block(&[("a", "b")])), [("a".into(), "b".into())]);
}
