#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::phrase::Weight;

fn items(kind: Kind, bytes: &[u8]) -> (Vec<String>, Report) {
    let mut found = Vec::new();
    let report = read(bytes, Options { kind, encoding: None }, &mut |item| {
        found.push(match item {
            Item::Entry(Entry { line, category, effect, parts }) => {
                let effect = match effect {
                    Effect::Ban => "ban".to_owned(),
                    Effect::Except => "except".to_owned(),
                    Effect::Weigh(Weight::Points(points)) => points.to_string(),
                    Effect::Weigh(Weight::Percent(percent)) => format!("{percent}%"),
                };
                format!("{line} {category}: {} {effect}", parts.join("|"))
            }
            Item::Include { line, path, category } => format!("{line} {category}: file {path}"),
        });
    });
    (found, report)
}

#[test]
fn one_entry_of_each_form_is_read_as_its_users_mean_it() {
    use Kind::{Banned, Exception, Weighted};
    let cases = [
        (Weighted, "< roulette ><30>", " roulette  30"),
        (Weighted, "<good odds><-10>", "good odds -10"),
        (Weighted, "<sure win><10%>", "sure win 10%"),
        (Weighted, "<free spins>,<jackpot><50>", "free spins|jackpot 50"),
        (Weighted, "  <a b>, <c> ,< d > <5>  # remark", "a b|c| d  5"),
        (Weighted, "<x>,<18>,<y><+80>", "x|18|y 80"),
        (Weighted, "<少女><50>", "少女 50"),
        (Banned, "<never anywhere>", "never anywhere ban"),
        (Banned, "<never>,<anywhere>", "never|anywhere ban"),
        (Exception, "<school board> # ours", "school board except"),
    ];
    for (kind, line, expected) in cases {
        let (found, report) = items(kind, line.as_bytes());
        assert_eq!(found, [format!("1 : {expected}")], "{line}");
        assert_eq!((report.entries, report.skipped, report.odd), (1, 0, 0), "{line}");
    }
}

/// The slips that published lists have: e2guardian bans a page for the phrase before some of them, and finds nothing by
/// others.
#[test]
fn an_entry_with_a_slip_is_read_as_it_is_meant_and_told() {
    let cases = [
        ("< goats,< hay >,< barn><50>", " goats| hay | barn 50", "> behind a phrase"),
        ("<goats , <hay>, <barn><50>", "goats |hay|barn 50", "> behind a phrase"),
        ("< goats >,< hay,<barn><-50>", " goats | hay|barn -50", "> behind a phrase"),
        ("<hay barn<20>", "hay barn 20", "> behind a phrase"),
        ("<hay>,<barn<20%>", "hay|barn 20%", "> behind a phrase"),
        ("<hay stack><barn><70>", "hay stack|barn 70", "a comma"),
        ("< 100% hay><barn><80> # straw", " 100% hay|barn 80", "a comma"),
        ("<hay>,<barn><goats><18>", "hay|barn|goats 18", "a comma"),
        ("< hay to sell><50", " hay to sell 50", "> behind the weight"),
        ("<hay><25i>", "hay 25", "letters behind"),
    ];
    for (line, expected, told) in cases {
        let (found, report) = items(Kind::Weighted, line.as_bytes());
        assert_eq!(found, [format!("1 : {expected}")], "{line}");
        assert_eq!((report.entries, report.skipped, report.odd), (1, 0, 1), "{line}");
        assert!(report.odd_examples[0].why.contains(told), "{line}: {:?}", report.odd_examples);
    }
}

#[test]
fn lines_that_are_no_entry_are_told_with_the_reason() {
    let long = format!("<{}><1>", "a".repeat(300));
    let many = "<a>,".repeat(40) + "<b><1>";
    let longer = "x".repeat(9000);
    let cases = [
        ("<ga", "not closed"),
        ("<i <3 jam><50>", "inside a phrase"),
        ("<a <b>,<c><50>", "inside a phrase"),
        ("<a,<b", "not closed"),
        ("<a><5x0", "not closed"),
        ("<a>", "no weight"),
        ("<a><b>", "a comma is missing"),
        ("<a><i25>", "no number"),
        ("<a><0><50>", "weight of 0"),
        ("<a><>", "no number"),
        ("<a><0>", "weight of 0"),
        ("<a><99999999999>", "more than a million"),
        ("<a><-2147483648>", "more than a million"),
        ("<a><-2147483648%>", "more than a million"),
        ("<a><5><6>", "more than one weight"),
        ("<a>,<5", "not closed"),
        ("<a>,", "after a comma"),
        ("<a>,b<5>", "after a comma"),
        ("<><5>", "empty phrase"),
        ("< ><5>", "letter or digit"),
        ("<.-!><5>", "letter or digit"),
        ("word", "does not begin with <"),
        (".Exclude<a>", "no .Include"),
        (".Include<a", "no >"),
        (".Include<>", "names no file"),
        (&long, "256 bytes"),
        (&many, "32 parts"),
        (&longer, "too long"),
    ];
    for (line, expected) in cases {
        let text = format!("# remark\n{line}\n<word><1>");
        let (found, report) = items(Kind::Weighted, text.as_bytes());
        assert_eq!(found, ["3 : word 1"], "{line}");
        assert_eq!((report.lines, report.skipped), (2, 1), "{line}");
        assert_eq!(report.examples[0].line, 2);
        assert!(report.examples[0].why.contains(expected), "{line}: {}", report.examples[0].why);
    }
}

#[test]
fn categories_and_other_files_are_handed_on_with_their_lines() {
    let text = "\u{feff}#listcategory: \"Gambling (Online)\"\r\n<a><1>\r\n\r\n.Include</etc/more>\r\n\
                #ListCategory:\"Chat\"\r\n.include<x y> # remark\r\n<b><2>";
    let (found, report) = items(Kind::Weighted, text.as_bytes());
    let expected = [
        "2 Gambling (Online): a 1",
        "4 Gambling (Online): file /etc/more",
        "6 Chat: file x y",
        "7 Chat: b 2",
    ];
    assert_eq!(found, expected);
    assert_eq!((report.lines, report.entries, report.includes, report.odd), (4, 2, 2, 0));
}

#[test]
fn what_is_not_heeded_is_told() {
    let cases = [
        (Kind::Weighted, "<a><5> breast", "words after it"),
        (Kind::Weighted, "#listcategory: \"Polish", "without quotation marks"),
        (Kind::Weighted, "#noconvert", "case"),
        (Kind::Weighted, "#time: 9 0 17 0 01234", "hours"),
        (Kind::Banned, "<a><5>", "taken as weighted"),
        (Kind::Exception, "<a><5>", "taken as weighted"),
    ];
    for (kind, line, expected) in cases {
        let (_, report) = items(kind, line.as_bytes());
        assert_eq!((report.skipped, report.odd), (0, 1), "{line}");
        assert!(report.odd_examples[0].why.contains(expected), "{line}");
    }
}

#[test]
fn a_list_in_an_old_encoding_is_read_where_it_can_be() {
    let text = "#listcategory: \"Садоводство\"\n<морковь><5> # carrot\n<капуста>,<грядка><7>\n";
    let (bytes, _, _) = encoding_rs::WINDOWS_1251.encode(text);
    let (found, report) = items(Kind::Weighted, &bytes);
    assert_eq!(found, ["2 Садоводство: морковь 5", "3 Садоводство: капуста|грядка 7"]);
    assert_eq!(report.encodings, ["windows-1251"]);

    let mut found = 0;
    let told = Options { kind: Kind::Weighted, encoding: Some(encoding_rs::SHIFT_JIS) };
    let report = read(b"<\x83\xff><5>\n<\x83\x49><5>\n", told, &mut |_| found += 1);
    assert_eq!((found, report.skipped), (1, 1));
    assert!(report.examples[0].why.contains("no text"));
}

#[test]
fn a_category_that_cannot_be_read_is_not_taken_for_the_one_before() {
    let list =
        b"#listcategory: \"Games\"\n<chess><5>\n#ListCategory: \"\x83\xff\"\n<draughts><5>\n";
    let told = Options { kind: Kind::Weighted, encoding: Some(encoding_rs::SHIFT_JIS) };
    let mut categories = Vec::new();
    let report = read(list, told, &mut |item| {
        if let Item::Entry(entry) = item {
            categories.push(entry.category.to_owned());
        }
    });
    assert_eq!(categories, ["Games", ""]);
    assert_eq!((report.odd, report.odd_examples[0].line), (1, 3));
}

#[test]
fn broken_utf16_is_told() {
    let mut bytes: Vec<u8> =
        "<lawn mower><5>\n<hedge".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.extend(0xd800_u16.to_le_bytes());
    bytes.extend("><5>\n".encode_utf16().flat_map(u16::to_le_bytes));
    let (found, report) = items(Kind::Weighted, &bytes);
    assert_eq!((found.len(), report.skipped), (1, 1), "without a mark, too");
    assert!(report.examples[0].why.contains("cannot be read"));
}
