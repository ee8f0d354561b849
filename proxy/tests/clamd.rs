//! The client of clamd: with Debian's clamd and a signature of the test's own, and with servers that do what clamd
//! does only when it is ill.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod scanner;

use proxy::clamd::{Scanned, Scanner, Unavailable};
use proxy::config::{ScannerPlace, ScannerSettings};
use scanner::{Clamd, MARKER, VIRUS};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// Whose files are scanned.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 20, 0, 1));

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

fn settings(place: ScannerPlace) -> ScannerSettings {
    ScannerSettings {
        place,
        connect_timeout_ms: 5_000,
        scan_timeout_ms: 60_000,
        max_file_bytes: 8 << 20,
        max_scans: 4,
        trickle_after_ms: 10_000,
    }
}

fn scanner_of(clamd: &Clamd) -> Scanner {
    Scanner::new(settings(ScannerPlace::Socket(clamd.socket())))
}

/// Scans a file that comes in these pieces.
async fn scan(scanner: &Scanner, pieces: impl IntoIterator<Item = &[u8]>) -> Scanned {
    let mut scan = match scanner.begin(CLIENT).await {
        Ok(scan) => scan,
        Err(why) => return Scanned::Unavailable(why),
    };
    for piece in pieces {
        if scan.feed(piece).await.is_some() {
            break;
        }
    }
    scan.finish().await
}

#[test]
fn a_real_clamd_answers_whatever_pieces_a_file_comes_in() {
    let clamd = Clamd::start();
    let scanner = scanner_of(&clamd);
    let virus = Scanned::Virus(VIRUS.to_owned());
    let clean = vec![b'x'; 300_000];
    let mut marked = clean.clone();
    marked[200_000..200_000 + MARKER.len()].copy_from_slice(MARKER);
    run(async {
        assert_eq!(scan(&scanner, [&clean[..]]).await, Scanned::Clean);
        assert_eq!(scan(&scanner, []).await, Scanned::Clean);
        assert_eq!(scan(&scanner, [&[][..], MARKER, &[]]).await, virus);
        assert_eq!(scan(&scanner, marked.chunks(1_000)).await, virus);
        // The marker lies across the border, wherever the border is.
        for cut in 200_000..=200_000 + MARKER.len() {
            let (one, other) = marked.split_at(cut);
            assert_eq!(scan(&scanner, [one, other]).await, virus, "cut at {cut}");
        }
        let bytes = MARKER.chunks(1);
        assert_eq!(scan(&scanner, bytes).await, virus);
        let over_tcp = Scanner::new(settings(ScannerPlace::Address(clamd.tcp)));
        assert_eq!(scan(&over_tcp, marked.chunks(70_000)).await, virus);
        assert_eq!(scan(&over_tcp, clean.chunks(7)).await, Scanned::Clean);
    });
}

#[test]
fn a_real_clamd_that_takes_no_more_says_so_and_so_do_we() {
    let clamd = Clamd::start();
    let piece = vec![b'x'; 100_000];
    run(async {
        let over_tcp = Scanner::new(settings(ScannerPlace::Address(clamd.tcp)));
        for scanner in [scanner_of(&clamd), over_tcp] {
            // Above its StreamMaxLength, below our cap.
            let pieces = std::iter::repeat_n(&piece[..], 70);
            let begun = scan(&scanner, pieces).await;
            assert_eq!(begun, Scanned::TooLarge);
            // And one that comes in one piece.
            let whole = vec![b'x'; 7_000_000];
            assert_eq!(scan(&scanner, [&whole[..]]).await, Scanned::TooLarge);
        }
        let mut small = settings(ScannerPlace::Socket(clamd.socket()));
        small.max_file_bytes = 250_000;
        let scanner = Scanner::new(small);
        let pieces = std::iter::repeat_n(&piece[..], 3);
        assert_eq!(scan(&scanner, pieces).await, Scanned::TooLarge);
        let pieces = std::iter::repeat_n(&piece[..], 2);
        assert_eq!(scan(&scanner, pieces).await, Scanned::Clean);
    });
}

#[test]
fn scans_at_once_each_get_their_own_answer() {
    let clamd = Clamd::start();
    let scanner = scanner_of(&clamd);
    run(async {
        let tasks: Vec<_> = (0..24)
            .map(|number| {
                let scanner = scanner.clone();
                tokio::spawn(async move {
                    let mut file = vec![b'x'; 20_000];
                    if number % 3 == 0 {
                        file.extend_from_slice(MARKER);
                    }
                    (number, scan(&scanner, file.chunks(999)).await)
                })
            })
            .collect();
        for task in tasks {
            let (number, scanned) = task.await.unwrap();
            assert_eq!(matches!(scanned, Scanned::Virus(_)), number % 3 == 0, "{scanned:?}");
            assert!(number % 3 == 0 || scanned == Scanned::Clean, "{scanned:?}");
        }
    });
}

#[test]
fn a_clamd_that_is_killed_in_a_scan_is_gone_and_then_refuses() {
    let mut clamd = Clamd::start();
    let scanner = scanner_of(&clamd);
    run(async {
        let mut half = scanner.begin(CLIENT).await.unwrap();
        assert_eq!(half.feed(&[b'x'; 50_000]).await, None);
        let waiting = scanner.begin(IpAddr::from([10, 20, 0, 2])).await.unwrap();
        clamd.kill();
        // Over one that was sending, and one that only waits for its answer.
        let mut fed = None;
        for _ in 0..20 {
            fed = half.feed(&[b'x'; 50_000]).await.cloned();
        }
        assert_eq!(fed, Some(Scanned::Unavailable(Unavailable::Gone)));
        assert_eq!(half.finish().await, Scanned::Unavailable(Unavailable::Gone));
        assert_eq!(waiting.finish().await, Scanned::Unavailable(Unavailable::Gone));
        let refused = Scanned::Unavailable(Unavailable::Refused);
        assert_eq!(scan(&scanner, [MARKER]).await, refused);
        let nowhere = ScannerPlace::Socket(clamd.socket().with_file_name("none.ctl"));
        assert_eq!(scan(&Scanner::new(settings(nowhere)), [MARKER]).await, refused);
        assert_eq!(scanner.ping().await, Err(Unavailable::Refused));
    });
}

/// A server that reads so many bytes, answers with this, and closes or goes on reading.
async fn pretended(folder: &Path, reads: usize, answer: &'static [u8], closes: bool) -> Scanner {
    let socket = folder.join("pretended.ctl");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; reads];
                let _ = connection.read_exact(&mut bytes).await;
                let _ = connection.write_all(answer).await;
                while !closes && connection.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    let mut settings = settings(ScannerPlace::Socket(socket));
    settings.scan_timeout_ms = 400;
    settings.connect_timeout_ms = 300;
    settings.max_scans = 1;
    Scanner::new(settings)
}

#[test]
fn an_ill_server_is_a_value_each() {
    let folder = tempfile::tempdir().unwrap();
    // What is sent in all: the command, the length and the bytes, the end.
    let whole = 10 + 4 + MARKER.len() + 4;
    let endless: &[u8] = vec![b'x'; 100_000].leak();
    let gone = Scanned::Unavailable(Unavailable::Gone);
    let fault = Scanned::Unavailable(Unavailable::Fault);
    let slow = Scanned::Unavailable(Unavailable::Slow);
    let cases: [(&str, usize, &[u8], bool, Scanned); 11] = [
        ("well", whole, b"stream: OK\0", true, Scanned::Clean),
        ("well, and goes on", whole, b"stream: OK\0", false, Scanned::Clean),
        ("nothing", whole, b"", true, gone.clone()),
        ("nothing, for long", whole, b"", false, slow.clone()),
        ("closes at once", 1, b"", true, gone),
        ("half an answer", whole, b"stream: O", true, fault.clone()),
        ("half an answer, for long", whole, b"stream: O", false, slow),
        ("another language", whole, b"HTTP/1.1 400 Bad Request\r\n\r\n\0", true, fault.clone()),
        ("too much", whole, endless, false, fault.clone()),
        ("a fault of its own", whole, b"stream: Can't open file or directory ERROR\0", true, fault),
        (
            "a virus at once",
            whole,
            b"stream: Bad.Thing FOUND\0",
            true,
            Scanned::Virus("Bad.Thing".into()),
        ),
    ];
    for (what, reads, answer, closes, scanned) in cases {
        run(async {
            let scanner = pretended(folder.path(), reads, answer, closes).await;
            let begun = Instant::now();
            assert_eq!(scan(&scanner, [MARKER]).await, scanned, "{what}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
        });
    }
}

#[test]
fn an_answer_before_the_end_is_no_all_clear() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let scanner = pretended(folder.path(), 100, b"stream: OK\0", false).await;
        let mut scan = scanner.begin(CLIENT).await.unwrap();
        let mut told = None;
        for _ in 0..50 {
            told = scan.feed(&[b'x'; 1_000]).await.cloned();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(told, Some(Scanned::Unavailable(Unavailable::Fault)));
        assert_eq!(scan.finish().await, Scanned::Unavailable(Unavailable::Fault));
    });
}

#[test]
fn a_server_that_reads_no_more_holds_nobody_for_longer_than_a_scan_may_take() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        // It answers nothing and reads only the command: its socket fills up.
        let socket = folder.path().join("full.ctl");
        let listener = UnixListener::bind(&socket).unwrap();
        let held = tokio::spawn(async move {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(connection);
        });
        let mut settings = settings(ScannerPlace::Socket(socket));
        settings.scan_timeout_ms = 300;
        let scanner = Scanner::new(settings);
        let begun = Instant::now();
        let piece = vec![b'x'; 1 << 20];
        let pieces = std::iter::repeat_n(&piece[..], 7);
        assert_eq!(scan(&scanner, pieces).await, Scanned::Unavailable(Unavailable::Slow));
        assert!(begun.elapsed() < Duration::from_secs(5));
        held.abort();
    });
}

#[test]
fn more_scans_than_may_run_wait_and_are_then_told() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let scanner = pretended(folder.path(), 10, b"", false).await;
        let running = scanner.begin(CLIENT).await.unwrap();
        let begun = Instant::now();
        assert!(matches!(scanner.begin(CLIENT).await, Err(Unavailable::Busy)));
        assert!(begun.elapsed() >= Duration::from_millis(290));
        // A scan that is given up makes room at once.
        drop(running);
        assert!(scanner.begin(CLIENT).await.is_ok());
    });
}
