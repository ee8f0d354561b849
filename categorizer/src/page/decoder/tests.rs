#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;

use super::*;

fn deflated(bytes: &[u8], zlib: bool) -> Vec<u8> {
    let level = flate2::Compression::default();
    if zlib {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    } else {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}

fn packed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let builder = flate2::GzBuilder::new().filename("a").comment("b").extra([1, 2, 3]);
            let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => deflated(bytes, true),
        "br" => {
            let mut packed = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
            encoder.write_all(bytes).unwrap();
            drop(encoder);
            packed
        }
        "zstd" => zstd::encode_all(bytes, 3).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// Decodes in pieces of a size; gives the bytes and both states.
fn decode(
    codings: &str,
    bytes: &[u8],
    size: usize,
    limits: DecodeLimits,
) -> (Vec<u8>, DecodeState) {
    let mut decoder = Decoder::new(Codings::parse(codings).unwrap(), limits);
    let mut decoded = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece, &mut |part| {
            assert!(!part.is_empty() && part.len() <= PIECE_BYTES);
            decoded.extend_from_slice(part);
        });
    }
    let state = decoder.end();
    assert_eq!(decoder.decoded_bytes(), decoded.len() as u64);
    (decoded, state)
}

fn page() -> Vec<u8> {
    let lines = (0..3000).map(|line| format!("<p>line {line} of {}</p>\n", line * 7919 % 3001));
    lines.collect::<String>().into_bytes()
}

#[test]
fn every_coding_is_taken_off_in_any_pieces() {
    let page = page();
    for codings in
        ["", "identity", "gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "br, deflate"]
    {
        let sent = codings.split(", ").fold(page.clone(), |bytes, coding| packed(coding, &bytes));
        for size in [1, 13, 4096, usize::MAX] {
            let (decoded, state) = decode(codings, &sent, size, DecodeLimits::default());
            assert_eq!(state, DecodeState::Clean, "{codings}, {size}");
            assert!(decoded == page, "{codings}, {size}");
        }
        // An empty body has no coding, whatever the header says.
        assert_eq!(decode(codings, &[], 1, DecodeLimits::default()).1, DecodeState::Clean);
    }
}

#[test]
fn what_browsers_accept_is_accepted() {
    let page = page();
    let (one, two) = page.split_at(1000);
    let cases: Vec<(&str, &str, Vec<u8>, &[u8])> = vec![
        ("deflate without a frame", "deflate", deflated(&page, false), &page),
        (
            "members one after another",
            "gzip",
            [packed("gzip", one), packed("gzip", two)].concat(),
            &page,
        ),
        (
            "frames one after another",
            "zstd",
            [packed("zstd", one), packed("zstd", two)].concat(),
            &page,
        ),
        ("rubbish behind gzip", "gzip", [&packed("gzip", &page)[..], b"rubbish"].concat(), &page),
        (
            "rubbish behind deflate",
            "deflate",
            [&packed("deflate", &page)[..], b"rubbish"].concat(),
            &page,
        ),
        ("rubbish behind br", "br", [&packed("br", &page)[..], b"rubbish"].concat(), &page),
        ("rubbish behind zstd", "zstd", [&packed("zstd", &page)[..], b"rubbish"].concat(), &page),
        (
            "a member without its checksum",
            "gzip",
            {
                let mut sent = packed("gzip", &page);
                sent.truncate(sent.len() - 8);
                sent
            },
            &page,
        ),
    ];
    for (what, coding, sent, expected) in cases {
        for size in [1, 50, usize::MAX] {
            let (decoded, state) = decode(coding, &sent, size, DecodeLimits::default());
            assert_eq!(state, DecodeState::Clean, "{what}, {size}");
            assert!(decoded == expected, "{what}, {size}");
        }
    }
}

#[test]
fn deflate_that_only_looks_framed_is_read_without_a_frame() {
    // A stored block whose unused bits make the first two bytes a frame's: 0x78, and a length that
    // ends in 0x9c.
    let text = [b'a'; 0x019c];
    let mut sent = vec![0x78, 0x9c, 0x01, 0x63, 0xfe];
    sent.extend_from_slice(&text);
    sent.extend_from_slice(&deflated(b"b", false));
    for size in [1, 2, 3, usize::MAX] {
        let (decoded, state) = decode("deflate", &sent, size, DecodeLimits::default());
        assert_eq!(state, DecodeState::Clean, "{size}");
        assert_eq!(decoded, [&text[..], b"b"].concat(), "{size}");
    }
}

#[test]
fn bombs_of_every_coding_are_told_and_stop_early() {
    let blank = vec![b' '; 16 << 20];
    let limits = DecodeLimits::default();
    for codings in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "br, gzip", "zstd, br"] {
        let sent = codings.split(", ").fold(blank.clone(), |bytes, coding| packed(coding, &bytes));
        for size in [sent.len(), 1000] {
            let mut decoder = Decoder::new(Codings::parse(codings).unwrap(), limits);
            let mut state = DecodeState::Clean;
            for piece in sent.chunks(size) {
                state = decoder.push(piece, &mut |part| assert!(part.len() <= PIECE_BYTES));
            }
            assert_eq!(state, DecodeState::Bomb, "{codings}");
            assert_eq!(decoder.push(b"x", &mut |_| panic!("it has ended")), DecodeState::Bomb);
            assert!(decoder.decoded_bytes() <= 32 << 20, "{codings}");
        }
    }
}

#[test]
fn the_layer_between_is_bounded_too() {
    // What the outer coding gives is large, and the inner one makes little of it: stored blocks of
    // nothing.
    let nothing: Vec<u8> = [0, 0, 0, 0xff, 0xff].repeat(4 << 20);
    let sent = packed("gzip", &nothing);
    let limits = DecodeLimits { ratio: 50, ..DecodeLimits::default() };
    let (decoded, state) = decode("deflate, gzip", &sent, 4096, limits);
    assert!(decoded.is_empty());
    assert_eq!(state, DecodeState::Bomb);
    // Alone it gives nothing at all, and the work is bounded.
    let limits = DecodeLimits { work_bytes: 1 << 20, ..DecodeLimits::default() };
    assert_eq!(decode("deflate", &nothing, 4096, limits).1, DecodeState::TooLarge);
}

#[test]
fn large_is_not_a_bomb() {
    let limits = DecodeLimits { output_bytes: 10_000, ..DecodeLimits::default() };
    for coding in ["identity", "gzip", "deflate", "br", "zstd"] {
        let (decoded, state) = decode(coding, &packed(coding, &page()), 100, limits);
        assert_eq!(state, DecodeState::TooLarge, "{coding}");
        assert!(decoded.len() <= 10_000);
        assert_eq!(decoded, page()[..decoded.len()]);
    }
}

#[test]
fn broken_and_cut_are_told_apart() {
    let page = page();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let sent = packed(coding, &page);
        let limits = DecodeLimits::default();
        let (decoded, state) = decode(coding, &sent[..sent.len() * 2 / 3], 100, limits);
        assert_eq!(state, DecodeState::Cut, "{coding}");
        assert_eq!(decoded, page[..decoded.len()], "{coding}");
        let (decoded, state) =
            decode(coding, b"<html>this is no coding at all</html>", 100, limits);
        assert!(decoded.is_empty() && state != DecodeState::Clean, "{coding} {state:?}");
    }
}

#[test]
fn any_bytes_are_decoded_or_told() {
    let mut state = 1_u64;
    for round in 0..400 {
        let coding = ["gzip", "deflate", "br", "zstd"][round % 4];
        let mut sent = packed(coding, &page()[..2000]);
        for _ in 0..3 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (state >> 33) as usize % sent.len();
            sent[at] ^= 1 << (state >> 20 & 7);
        }
        let whole = decode(coding, &sent, usize::MAX, DecodeLimits::default());
        let pieces = decode(coding, &sent, 7, DecodeLimits::default());
        // How far a library comes before it tells a fault is its own matter.
        let shared = whole.0.len().min(pieces.0.len());
        assert_eq!(whole.0[..shared], pieces.0[..shared], "{coding}");
        assert_eq!(whole.1, pieces.1, "{coding}");
    }
}

#[test]
fn a_window_fills_with_what_is_made_and_no_further() {
    for (codings, most) in [("", 0), ("gzip", 64 << 10), ("zstd", 8 << 20), ("br", 16 << 20)] {
        let mut decoder = Decoder::new(Codings::parse(codings).unwrap(), DecodeLimits::default());
        let text: Vec<u8> =
            (0..20 << 20).map(|at: u32| (at.wrapping_mul(at) >> 13) as u8).collect();
        let mut made = 0;
        for piece in packed(codings, &text).chunks(4_000) {
            decoder.push(piece, &mut |part| made += part.len() as u64);
            let expected = made.min(most)..=(made + PIECE_BYTES as u64).min(most);
            assert!(expected.contains(&decoder.window_bytes()), "{codings}: {made}");
        }
        assert_eq!(decoder.window_bytes(), most, "{codings}");
    }
    // Two codings have two windows.
    let twice = packed("gzip", &packed("gzip", &[7; 30_000]));
    let mut decoder = Decoder::new(Codings::parse("gzip, gzip").unwrap(), DecodeLimits::default());
    decoder.push(&twice, &mut |_| {});
    let once = packed("gzip", &[7; 30_000]).len() as u64;
    assert_eq!(decoder.window_bytes(), 30_000 + once);
}
