//! Debian's e2guardian with the same phrases, asked for the real pages: whether our reading of its scoring
//! agrees with it.
//!
//! It gets each page twice: its text alone, which is what we score, and the page as published, of which it
//! reads the mark-up too (`phrasefiltermode = 2`).

use super::Fault;
use super::child::{Started, free_address};
use super::debian::{self, Package};
use super::e2guardian_log::{self, Told};
use super::e2guardian_settings::{self, PROGRAM};
use super::pages::Page;
use super::phrase_lists::{self, Choice, PhraseFile, Scorer};
use super::report::{Cell, Report, Share, Table};
use super::shared::Shared;
use categorizer::phrase;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// The limit that it runs with.
const LIMIT: i32 = 50;

/// Compares weights page by page, with the phrases that are installed.
///
/// # Errors
/// It cannot be fetched or does not run.
pub(crate) fn compare(
    pages: &[Page],
    shared: &Shared,
    peers: &Path,
    report: &mut Report,
) -> Result<(), Fault> {
    let package = debian::package(peers, "e2guardian", PROGRAM, &[])?;
    let mut table = Table::new(
        "e2guardian_run",
        &format!("e2guardian {} itself, limit {LIMIT}", package.version),
        "Texts of pages that it blocks, and that we block by its phrases; on how many its weight is ours, and its \
         verdict is; and what it blocks of the pages as published, of which it reads the mark-up too.",
        &[
            "phrases",
            "blocks texts",
            "by our reading",
            "same weight",
            "same verdict",
            "blocks pages",
            "at 100",
            "at 160",
        ],
    );
    for choice in Choice::ALL {
        let files = phrase_lists::files(shared, choice)?;
        let texts = pages.iter().map(|page| as_html(&page.text));
        let whole = pages.iter().map(|page| page.html.clone());
        let bodies: Vec<Vec<u8>> = texts.chain(whole).collect();
        let weights = weights(&package, &files, bodies)?;
        let (of_texts, of_pages) = weights.split_at(pages.len());
        let scorer = Scorer::new(&files, LIMIT)?;
        let mut scratch = phrase::Scratch::default();
        let [mut theirs, mut ours, mut same_weight, mut same_verdict] = [Share::default(); 4];
        let mut whole = [Share::default(); 3];
        let mut differences = Vec::new();
        for ((page, told), told_whole) in pages.iter().zip(of_texts).zip(of_pages) {
            let weight = scorer.weight(&page.text, &mut scratch);
            let blocks = scorer.blocks(&page.text, &mut scratch);
            theirs.add(told.is_blocked);
            ours.add(blocks);
            for (share, limit) in whole.iter_mut().zip([LIMIT, 100, 160]) {
                // No weight of these lists is in percent of the limit, so that one run serves for all.
                let is_over = |weight: i64| weight > i64::from(limit);
                share.add(told_whole.is_blocked && told_whole.weight.is_none_or(is_over));
            }
            same_verdict.add(told.is_blocked == blocks);
            // Of a page that a phrase bans or excuses it tells no weight.
            if let Some(their_weight) = told.weight {
                same_weight.add(their_weight == weight);
                if their_weight != weight {
                    differences.push(
                        json!({ "page": page.number, "theirs": their_weight, "ours": weight }),
                    );
                }
            }
        }
        table.row(vec![
            Cell::from(choice.name()),
            Cell::Of(theirs),
            Cell::Of(ours),
            Cell::Of(same_weight),
            Cell::Of(same_verdict),
            Cell::Of(whole[0]),
            Cell::Of(whole[1]),
            Cell::Of(whole[2]),
        ]);
        report.fact(
            &format!("e2guardian_differences {}", choice.name()),
            format!(
                "e2guardian {}: {} texts have another weight",
                choice.name(),
                differences.len()
            ),
            json!(differences),
        );
    }
    report.table(table);
    Ok(())
}

/// A text as a page without any mark-up that could be scored.
fn as_html(text: &str) -> Vec<u8> {
    let text = text.replace(['&', '<', '>'], " ");
    format!("<html><body>\n{text}\n</body></html>").into_bytes()
}

/// Starts it, asks for each body, and reads its log.
fn weights(
    package: &Package,
    files: &[PhraseFile],
    bodies: Vec<Vec<u8>>,
) -> Result<Vec<Told>, Fault> {
    let count = bodies.len();
    // It reads names of files that lists include as if they had no capitals.
    let name = format!("quality-e2guardian-{}", std::process::id());
    let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir()?;
    let root = folder.path();
    let address = free_address()?;
    // A log of its own old form: words parted by tabs, with the weight.
    let further = [("logfileformat", "4".to_owned())];
    e2guardian_settings::prepare(package, root, address, &further)?;
    phrases(root, files)?;
    let (said, conf) = (root.join("said.log"), root.join("e2guardian.conf"));
    let mut command = package.command(PROGRAM);
    command.args(["-N", "-c"]).arg(&conf).current_dir(root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&said)?);
    let mut process = Started::new(&mut command, &[], &[])?;
    process.wait_listening("e2guardian", address, Duration::from_secs(120), &said)?;
    let origin = serve(bodies)?;
    for number in 0..count {
        ask(address, &format!("http://localhost:{}/{number}", origin.port()))?;
    }
    // Its log is written by a thread of its own.
    let log = root.join("access.log");
    let mut told = BTreeMap::new();
    for _ in 0..100 {
        told = e2guardian_log::read(&std::fs::read(&log).unwrap_or_default());
        if told.len() >= count {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    process.stop(Duration::from_secs(5));
    if told.len() < count {
        return Err(format!("e2guardian logged {} of {count} pages", told.len()).into());
    }
    Ok((0..count).map(|number| told.get(&number).copied().unwrap_or_default()).collect())
}

/// Has it read these phrases and no others.
fn phrases(root: &Path, files: &[PhraseFile]) -> Result<(), Fault> {
    let folder = root.join("phrases");
    std::fs::create_dir_all(&folder)?;
    let mut includes: BTreeMap<&str, String> = BTreeMap::new();
    for setting in ["weightedphraselist", "bannedphraselist", "exceptionphraselist"] {
        includes.insert(setting, String::new());
    }
    for file in files {
        let path = folder.join(file.path.replace('/', "-"));
        std::fs::write(&path, &file.bytes)?;
        let text = includes.entry(phrase_lists::setting_of(file.kind)).or_default();
        text.push_str(&format!(".Include<{}>\n", path.display()));
    }
    for (setting, text) in includes {
        std::fs::write(root.join("lists").join(setting), text)?;
    }
    Ok(())
}

/// Serves bodies by their number, until the program ends.
fn serve(bodies: Vec<Vec<u8>>) -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let bodies = Arc::new(bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bodies = Arc::clone(&bodies);
            std::thread::spawn(move || answer(stream, &bodies));
        }
    });
    Ok(address)
}

/// Answers one request; who asks oddly gets nothing.
fn answer(mut stream: TcpStream, bodies: &[Vec<u8>]) -> Option<()> {
    let head = read_head(&mut stream)?;
    let number: usize = head.split(' ').nth(1)?.rsplit('/').next()?.parse().ok()?;
    let body = bodies.get(number)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn ask(proxy: SocketAddr, url: &str) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|error| format!("e2guardian: {url}: {error}"))?;
    Ok(())
}
