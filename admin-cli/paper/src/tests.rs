//! PDFs made, and read back by another program.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use super::*;
use proptest::prelude::*;
use std::process::Command;

/// What a tool of poppler-utils says of a PDF; `None`, and a word, where it is not installed.
fn tool(name: &str, options: &[&str], pdf: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paper.pdf");
    std::fs::write(&path, pdf).unwrap();
    let stdout = if name == "pdftotext" { &["-"][..] } else { &[] };
    let run = Command::new(name).args(options).arg(&path).args(stdout).output();
    match run {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("passed over: {name} (poppler-utils) is not installed");
            None
        }
        Err(error) => panic!("{name}: {error}"),
        Ok(out) => {
            assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
            // PDF/UA-1 has `Suspects` as a boolean; older versions of poppler take only a dictionary's kind.
            let said = String::from_utf8_lossy(&out.stderr);
            let wrong = said.lines().filter(|line| !line.is_empty() && !line.contains("Suspects"));
            assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&str>::new(), "{name}");
            Some(String::from_utf8(out.stdout).unwrap())
        }
    }
}

fn words(pdf: &[u8]) -> Option<String> {
    Some(tool("pdftotext", &["-layout"], pdf)?.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn case(blocks: Vec<Block>) -> Paper {
    Paper {
        title: "Example Academy: safeguarding record".to_owned(),
        subtitle: "Made 12 Nov 2026 by q.whitmore".to_owned(),
        blocks,
        foot: "Evidence 0123456789abcdef".to_owned(),
        landscape: false,
        one_page: false,
    }
}

fn table(rows: Vec<Vec<String>>) -> Block {
    let headings = ["When", "Code", "Address"].map(str::to_owned).to_vec();
    Block::Table(Table { headings, rows })
}

fn pages(pdf: &[u8]) -> Option<usize> {
    let said = tool("pdfinfo", &[], pdf)?;
    said.lines().find_map(|line| line.strip_prefix("Pages:")?.trim().parse().ok())
}

#[test]
fn what_was_put_in_is_read_back_and_the_file_is_tagged_with_its_own_fonts() {
    let facts = vec![("Person".to_owned(), "sam (signed in)".to_owned())];
    let row = ["10:02", "K7Q2-9M4X", "forum.test/thread"].map(str::to_owned).to_vec();
    let blocks = vec![Block::Heading("A-0001".to_owned()), Block::Facts(facts), table(vec![row])];
    let made = pdf(&case(blocks)).unwrap();
    assert!(made.starts_with(b"%PDF-1.7"));
    let Some(text) = words(&made) else { return };
    for part in [
        "Example Academy: safeguarding record",
        "Person sam (signed in)",
        "When Code Address",
        "10:02 K7Q2-9M4X forum.test/thread",
        "Evidence 0123456789abcdef",
        "Page 1 of 1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let info = tool("pdfinfo", &[], &made).unwrap();
    for part in ["Tagged:          yes", "JavaScript:      no", "A4", "Example Academy"] {
        assert!(info.contains(part), "{part}: {info}");
    }
    let fonts = tool("pdffonts", &[], &made).unwrap();
    let fonts: Vec<&str> = fonts.lines().skip(2).collect();
    assert_eq!(fonts.len(), 2, "{fonts:?}");
    // Embedded, a subset, and with the letters that its glyphs stand for.
    assert!(fonts.iter().all(|font| font.contains("DejaVuSans") && font.contains("yes yes yes")));
    let structure = tool("pdfinfo", &["-struct-text"], &made).unwrap();
    for part in ["H1", "H2", "Table", "TH", "TD", "\"sam (signed in)\""] {
        assert!(structure.contains(part), "{part}: {structure}");
    }
    assert!(made.len() < 60_000, "{} bytes", made.len());
}

#[test]
fn long_cases_flow_over_pages_with_their_headings_again_and_long_addresses_wrap() {
    let path = |number: usize| format!("forum.test/{}end{number}", "part-of-a-path/".repeat(130));
    let mut rows: Vec<Vec<String>> = (0..120)
        .map(|number| {
            vec!["10:02:31".to_owned(), format!("CODE-{number:04}"), "a.test/b".to_owned()]
        })
        .collect();
    rows[60][2] = path(60);
    // Longer than a page.
    rows[61][2] = path(61).repeat(6);
    rows[62][2] = "x".repeat(4_000);
    let made = pdf(&case(vec![table(rows)])).unwrap();
    let Some(text) = words(&made) else { return };
    let count = pages(&made).unwrap();
    assert!(count > 5, "{count} pages");
    assert!(text.contains(&format!("Page {count} of {count}")) && text.contains("Page 1 of "));
    for number in 0..120 {
        assert_eq!(text.matches(&format!("CODE-{number:04}")).count(), 1, "row {number}");
    }
    assert_eq!(text.matches("When Code Address").count(), count, "headings on each page");
    let joined: String = text.split_whitespace().collect();
    assert!(
        joined.contains("end60") && joined.contains("end61"),
        "the end of what was wrapped is there"
    );
    assert!(
        joined.matches("part-of-a-path/").count() + 7 * 3 >= 7 * 130,
        "{}",
        joined.matches("part-of-a-path/").count()
    );
    // Nothing stands outside the margins.
    let boxes = tool("pdftotext", &["-bbox"], &made).unwrap();
    let right = boxes
        .split("xMax=\"")
        .skip(1)
        .map(|it| it.split('"').next().unwrap().parse::<f32>().unwrap());
    let most = right.fold(0.0, f32::max);
    assert!(most <= 595.28 - layout::USUAL.margin + 1.0, "{most}");
}

#[test]
fn names_in_scripts_of_the_font_are_letters_and_others_are_told() {
    let names = ["Zoë Müller-Şahin", "Αλέξανδρος", "Юлия Щукина", "Աննա", "ნინო"];
    let facts = names.iter().map(|name| ("Person".to_owned(), (*name).to_owned())).collect();
    let made = pdf(&case(vec![Block::Facts(facts)])).unwrap();
    let Some(text) = words(&made) else { return };
    for name in names {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!text.contains("[U+"), "{text}");
    // Each word as it is read; in which order a tool gives those that run from right to left is its own affair.
    let turned = ["שירה לוי", "محمد علي"];
    let facts = turned.iter().map(|name| ("Person".to_owned(), (*name).to_owned())).collect();
    let text = words(&pdf(&case(vec![Block::Facts(facts)])).unwrap()).unwrap();
    for word in turned.iter().flat_map(|name| name.split(' ')) {
        assert!(text.contains(word), "{word}: {text}");
    }
    let others = vec![("Person".to_owned(), "आरव 王伟 \u{1f9ea}".to_owned())];
    let text = words(&pdf(&case(vec![Block::Facts(others)])).unwrap()).unwrap();
    for part in ["[U+0906]", "[U+738B]", "[U+1F9EA]", "stand as their codes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn hostile_texts_are_letters_and_nothing_else() {
    let hostile = "(a) Tj ET endstream endobj << /JS (app.alert(1)) >> \u{202e}gpj.exe \u{0}\u{1b}[31m \u{feff}\u{fffe} \
                   <script>alert(1)</script> \u{300}\u{300} https://evil.test/?a=<b>";
    let block = || hostile.to_owned();
    let paper = Paper {
        title: block(),
        subtitle: block(),
        foot: block(),
        landscape: true,
        one_page: false,
        blocks: vec![
            Block::Heading(block()),
            Block::Strong(block()),
            Block::Text(block()),
            Block::Small(block()),
            Block::Facts(vec![(block(), block())]),
            table(vec![vec![block(), block(), block()]]),
        ],
    };
    let made = pdf(&paper).unwrap();
    let Some(info) = tool("pdfinfo", &[], &made) else { return };
    assert!(info.contains("JavaScript:      no") && info.contains("Pages:           1"), "{info}");
    let text = words(&made).unwrap();
    for part in ["endstream endobj", "[U+202E]gpj.exe", "[U+0000]", "[U+001B]", "<script>"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        !tool("pdfinfo", &["-url"], &made).unwrap().contains("evil"),
        "no link is made of a text"
    );
}

#[test]
fn what_belongs_on_one_page_is_set_closer_for_it_as_far_as_it_can_be_read() {
    let row = |_| ["Self-harm", "12", "a line as they are in a report"].map(str::to_owned).to_vec();
    let laid_out = |rows: usize, one_page: bool| {
        let blocks = vec![Block::Heading("Themes".to_owned()), table((0..rows).map(row).collect())];
        let letters = letters::Letters::new().unwrap();
        layout::lay_out(&Paper { one_page, ..case(blocks) }, &letters)
    };
    let cases = [(40, 1, 1, 9.0), (55, 2, 1, 8.0), (70, 2, 1, 7.25), (90, 3, 2, 8.0)];
    for (rows, usual, fitted, size) in cases {
        assert_eq!(laid_out(rows, false).pages.len(), usual, "{rows} rows as usual");
        let page = laid_out(rows, true);
        assert_eq!(page.pages.len(), fitted, "{rows} rows");
        let sizes = page.pages.iter().flat_map(|page| &page.lines).map(|line| line.size);
        assert!(sizes.clone().any(|it| it == size), "{rows} rows: {:?}", sizes.collect::<Vec<_>>());
        // Nothing runs into the foot.
        let foot = page.height - page.measure.margin - 2.0 * page.measure.small;
        let lowest = page.pages.iter().flat_map(|page| &page.lines).map(|line| line.y);
        assert!(lowest.fold(0.0, f32::max) < foot, "{rows} rows");
    }
}

#[test]
fn an_empty_report_is_a_page() {
    let made = pdf(&Paper { title: "T".to_owned(), ..Paper::default() }).unwrap();
    assert!(pages(&made).is_none_or(|pages| pages == 1));
    let empty = table(vec![vec![String::new(), String::new(), String::new()]]);
    pdf(&case(vec![empty, Block::Table(Table::default()), Block::Facts(Vec::new())])).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_text_makes_the_file_fail(texts in prop::collection::vec("\\PC{0,40}|[\\x00-\\u{10ffff}]{0,30}|[\u{590}-\u{6ff} \u{300}-\u{36f}a-z]{0,30}", 6)) {
        let [one, two, three, four, five, six] = &texts[..] else { unreachable!() };
        let paper = Paper {
            title: format!("T{one}"),
            subtitle: two.clone(),
            foot: three.clone(),
            landscape: false,
            one_page: false,
            blocks: vec![
                Block::Heading(four.clone()),
                Block::Facts(vec![(five.clone(), six.clone())]),
                table(vec![vec![one.clone(), two.clone(), three.clone()]]),
            ],
        };
        let made = pdf(&paper);
        prop_assert!(made.is_ok(), "{:?}", made.err());
    }
}
