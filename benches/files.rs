//! Finding out what files are: `cargo bench --bench files`.
//!
//! Prints microseconds of processor time for beginning a look (names and types alone), and for a megabyte of each
//! kind of body, fed in pieces of 16 KiB: what is no archive, and archives made of it.

use categorizer::file::{Declared, Look};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

/// Bytes of a body.
const BODY: usize = 4 << 20;
/// Bytes of a piece, as the filter reads them.
const PIECE: usize = 16 << 10;
/// How often a figure is taken, and for how long each time at least.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Least, middle and most nanoseconds of one call.
fn measure(mut call: impl FnMut()) -> [f64; 3] {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (before, mut times) = (processor_time(), 0);
            loop {
                call();
                times += 1;
                let taken = processor_time() - before;
                if taken >= ROUND {
                    return taken.as_nanos() as f64 / f64::from(times);
                }
            }
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    [rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]]
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A zip archive without its directory: one entry for each piece of the data.
fn zip(data: &[u8], each: usize, method: u16) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, piece) in data.chunks(each).enumerate() {
        let packed = if method == 8 { deflated(piece) } else { piece.to_vec() };
        let name = format!("folder/{number}.bin");
        body.extend(b"PK\x03\x04\x14\0\0\0");
        body.extend(method.to_le_bytes());
        body.extend([0; 8]);
        body.extend((packed.len() as u32).to_le_bytes());
        body.extend((piece.len() as u32).to_le_bytes());
        body.extend((name.len() as u16).to_le_bytes());
        body.extend([0, 0]);
        body.extend(name.as_bytes());
        body.extend(packed);
    }
    body
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn main() {
    let declared = Declared {
        path: Some("/assets/2026/autumn/letter-to-parents.pdf"),
        disposition: Some(b"attachment; filename=\"letter to parents.pdf\""),
        content_type: Some(b"application/pdf"),
        fetch_dest: Some(b"document"),
    };
    let page = Declared {
        path: Some("/assets/app.4f2c9a.js"),
        disposition: None,
        content_type: Some(b"text/javascript; charset=utf-8"),
        fetch_dest: Some(b"script"),
    };
    println!("one look begun, nanoseconds (least, middle, most)");
    for (what, declared) in [("a download", declared), ("a page's script", page)] {
        let times = measure(|| {
            black_box(Look::begin(black_box(&declared)));
        });
        println!("{what:<28} {:>9.0} {:>9.0} {:>9.0}", times[0], times[1], times[2]);
    }
    let words: Vec<u8> =
        b"The autumn term begins on Wednesday; the gates open at half past eight. "
            .iter()
            .copied()
            .cycle()
            .take(BODY)
            .collect();
    let noise = noise(BODY);
    println!("all of a body of 16 KB, microseconds (least, middle, most)");
    let picture =
        Declared { content_type: Some(b"image/jpeg"), fetch_dest: Some(b"image"), ..page };
    for (what, declared, body) in
        [("a page's script", page, &words), ("a picture", picture, &noise)]
    {
        let times = measure(|| {
            let mut look = Look::begin(black_box(&declared));
            look.feed(&body[..PIECE]);
            black_box(look.finish());
        })
        .map(|time| time / 1e3);
        println!("{what:<28} {:>9.2} {:>9.2} {:>9.2}", times[0], times[1], times[2]);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&noise).expect("a vector takes all");
    let bodies = [
        ("text", words),
        ("a film", noise.clone()),
        ("zip, entries of 100 KB", zip(&noise, 100_000, 8)),
        ("zip, entries of 1 KB", zip(&noise, 1_000, 8)),
        ("zip, stored", zip(&noise, 100_000, 0)),
        ("zip in a zip", zip(&zip(&noise, 100_000, 8), BODY * 2, 8)),
        ("gzip", gzip.finish().expect("a vector takes all")),
    ];
    println!("a megabyte, microseconds (least, middle, most)");
    for (what, body) in bodies {
        let megabytes = body.len() as f64 / 1e6;
        let times = measure(|| {
            let mut look = Look::begin(&Declared::default());
            body.chunks(PIECE).for_each(|piece| {
                look.feed(piece);
            });
            black_box(look.finish());
        })
        .map(|time| time / 1e3 / megabytes);
        println!("{what:<28} {:>9.1} {:>9.1} {:>9.1}", times[0], times[1], times[2]);
    }
}
