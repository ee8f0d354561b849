//! Archives, honest, odd and hostile.

use super::made::*;
use super::*;
use proptest::prelude::*;

/// The first bytes of a program of Windows.
const PROGRAM: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";

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

#[test]
fn entries_of_zip_archives_tell_by_name_and_by_bytes() {
    let text = b"Dear parents, ".repeat(500);
    let program = [PROGRAM, &noise(30_000)].concat();
    let deep = zip(&[entry("setup.exe", PROGRAM)]);
    let deeper = zip(&[entry("deep.zip", &deep)]);
    let behind = |one: Entry| Entry { lengths: Lengths::Behind, ..one };
    let zip64 = |one: Entry| Entry { lengths: Lengths::Zip64, ..one };
    let locked = |one: Entry| Entry { flags: 1, ..one };
    let cases: [(&str, Vec<Entry>, &[FileKind]); 27] = [
        ("harmless", vec![entry("letter.txt", &text), entry("b/", b"")], &[Archive]),
        (
            "a program",
            vec![entry("letter.txt", &text), entry("a/setup.EXE", &text)],
            &[Executable, Archive],
        ),
        ("named otherwise", vec![entry("letter.txt", &program)], &[Executable, Archive]),
        ("and stored", vec![stored("letter.txt", &program)], &[Executable, Archive]),
        (
            "second of two",
            vec![stored("a.txt", &text), entry("b.txt", &program)],
            &[Executable, Archive],
        ),
        (
            "lengths behind",
            vec![behind(entry("a.txt", &text)), behind(entry("b.txt", &program))],
            &[Executable, Archive],
        ),
        (
            "stored, lengths behind",
            vec![behind(stored("a.txt", &text)), behind(stored("b.txt", &program))],
            &[Executable, Archive],
        ),
        (
            "zip64",
            vec![zip64(stored("a.txt", &text)), zip64(stored("b.txt", &program))],
            &[Executable, Archive],
        ),
        ("encrypted", vec![locked(stored("a.txt", &noise(500)))], &[Archive, EncryptedArchive]),
        (
            "a program, encrypted",
            vec![locked(stored("a.scr", &noise(500)))],
            &[Executable, Archive, EncryptedArchive],
        ),
        (
            "packed some other way",
            vec![Entry { method: 14, ..stored("a.txt", &text) }],
            &[Archive, UnreadableArchive],
        ),
        (
            "damaged",
            vec![
                Entry { method: 8, data: text.clone(), ..stored("a.txt", &text) },
                entry("b.txt", &text),
            ],
            &[Archive],
        ),
        (
            "an app",
            vec![entry("AndroidManifest.xml", b"\x03\0"), entry("classes.dex", b"dex\n")],
            &[MobileApp, Archive],
        ),
        (
            "an app of Apple's",
            vec![entry("Payload/Game.app/Info.plist", b"x")],
            &[MobileApp, Archive],
        ),
        (
            "a program of Java",
            vec![
                entry("META-INF/MANIFEST.MF", b"x"),
                entry("A.class", b"\xca\xfe\xba\xbe\0\0\0\x34"),
            ],
            &[Executable, Archive],
        ),
        ("a package of Windows", vec![entry("AppxManifest.xml", b"x")], &[Installer, Archive]),
        (
            "a document",
            vec![entry("[Content_Types].xml", b"x"), entry("word/document.xml", b"x")],
            &[],
        ),
        (
            "a document with macros",
            vec![entry("[Content_Types].xml", b"x"), entry("word/vbaProject.bin", b"x")],
            &[MacroDocument],
        ),
        (
            "older macros",
            vec![entry("[Content_Types].xml", b"x"), entry("xl/macrosheets/sheet1.xml", b"x")],
            &[MacroDocument],
        ),
        (
            "a book",
            vec![
                stored("mimetype", b"application/epub+zip"),
                entry("OEBPS/a.js", b"x"),
                entry("a.xhtml", b"x"),
                entry("b.css", b"x"),
            ],
            &[],
        ),
        ("a script alone", vec![entry("invoice.js", b"x")], &[Script, Archive]),
        (
            "a web project",
            vec![entry("site/app.js", b"x"), entry("site/index.html", b"x")],
            &[Archive],
        ),
        (
            "a worse script in one",
            vec![entry("site/index.html", b"x"), entry("site/run.vbs", b"x")],
            &[Script, Archive],
        ),
        ("in an archive within", vec![entry("inner.zip", &deep)], &[Executable, Archive]),
        ("stored within", vec![stored("inner.zip", &deep)], &[Executable, Archive]),
        ("two within", vec![entry("inner.zip", &deeper)], &[Executable, Archive]),
        (
            "a tape within",
            vec![stored("a.tar", &tar(&[(b'0', "a.txt", &program)]))],
            &[Executable, Archive],
        ),
    ];
    for (what, entries, kinds) in cases {
        let mut kinds = kinds.to_vec();
        if what == "damaged" {
            kinds = kinds_of(&zip(&entries));
            assert!(kinds.contains(&UnreadableArchive) || kinds == [Archive], "{kinds:?}");
            continue;
        }
        assert_eq!(kinds_of(&zip(&entries)), kinds, "{what}");
    }
}

#[test]
fn archives_nested_deeper_than_the_bound_cannot_be_read() {
    let mut body = zip(&[entry("setup.exe", PROGRAM)]);
    for depth in 1..6 {
        // Packed hard, so that no search from outside sees the names.
        body = zip(&[entry(&format!("{depth}.zip"), &body)]);
        let kinds = kinds_of(&body);
        assert_eq!(
            kinds.contains(&UnreadableArchive),
            depth > usize::from(MAX_NESTING),
            "{depth}: {kinds:?}"
        );
    }
}

#[test]
fn what_the_directory_and_the_entries_say_counts_both_ways() {
    let lie = |local: &str, central: &str, data: &[u8]| {
        zip(&[Entry { central: Some(central.into()), ..entry(local, data) }])
    };
    assert_eq!(kinds_of(&lie("a.txt", "a.exe", b"x")), [Executable, Archive, UnreadableArchive]);
    assert_eq!(kinds_of(&lie("a.exe", "a.txt", b"x")), [Executable, Archive, UnreadableArchive]);
    assert_eq!(kinds_of(&lie("a.txt", "b.txt", b"x")), [Archive, UnreadableArchive]);
    // A directory that leads to nothing.
    let whole = zip(&[entry("a.exe", b"x")]);
    let at = memchr::memmem::find(&whole, b"PK\x01\x02").unwrap();
    assert_eq!(kinds_of(&whole[at..]), [Executable]);
    // A header whose name has the real directory in it.
    let mut decoy =
        b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\x10\0\0\0\xff\x0f\0\0".to_vec();
    decoy.extend(&whole);
    decoy.resize(5_000, 0);
    assert!(kinds_of(&decoy).contains(&Executable));
    // A header within the extra field of another, to have its bytes not looked into.
    let real = zip(&[entry("b.txt", &[PROGRAM, &noise(9_000)].concat())]);
    let mut within = real[..30].to_vec();
    let mut extra =
        b"\xfe\xca\x24\0PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0"
            .to_vec();
    extra.extend(b"c.txt!");
    within[28] = extra.len() as u8;
    within.extend(b"b.txt");
    within.extend(&extra);
    within.extend(&real[35..]);
    let kinds = kinds_of(&within);
    assert!(kinds.contains(&UnreadableArchive), "{kinds:?}");
    // An entry that claims to hold all that comes after it.
    let mut swallowing = zip(&[stored("a.txt", b"some text")]);
    swallowing[18..22].copy_from_slice(&0x7fff_0000_u32.to_le_bytes());
    swallowing.extend(zip(&[entry("b.txt", &[PROGRAM, &noise(9_000)].concat())]));
    assert_eq!(kinds_of(&swallowing), [Executable, Archive, UnreadableArchive]);
}

#[test]
fn an_archive_behind_something_else_is_found() {
    let archive =
        zip(&[entry("a/setup.exe", PROGRAM), entry("b.txt", &[PROGRAM, &noise(99)].concat())]);
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    picture.extend(noise(20_000));
    picture.extend(&archive);
    assert_eq!(kinds_of(&picture), [Executable]);
    let page = [b"GIF89a<!-- ", &archive[..], b" -->"].concat();
    assert_eq!(kinds_of(&page), [Executable]);
}

/// Deflate that lets bytes stand as they are, in blocks of this length.
fn standing(data: &[u8], block: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let blocks = data.chunks(block);
    let last = blocks.len() - 1;
    for (number, piece) in blocks.enumerate() {
        packed.push(u8::from(number == last));
        packed.extend((piece.len() as u16).to_le_bytes());
        packed.extend((!(piece.len() as u16)).to_le_bytes());
        packed.extend(piece);
    }
    packed
}

#[test]
fn archives_that_stand_in_packed_bytes_in_pieces_are_read_where_they_are_whole() {
    // What is packed already is not packed again, and the heads of blocks cut the headers in it: from outside they
    // look damaged, encrypted or made up, and are not.
    for (first, kinds) in [(&b"text, "[..], &[Archive][..]), (PROGRAM, &[Executable, Archive])] {
        let entries = (0..60).map(|n| entry(&format!("{n}.dat"), &[first, &noise(99)].concat()));
        let inner = zip(&entries.collect::<Vec<_>>());
        for block in [29, 64, 100, 333, 65_535] {
            let packed = standing(&inner, block);
            let mut body = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
            body.extend((packed.len() as u32).to_le_bytes());
            body.extend((inner.len() as u32).to_le_bytes());
            body.extend(b"\x09\0\0\0inner.zip");
            body.extend(&packed);
            assert_eq!(kinds_of(&body), kinds, "a zip, blocks of {block}");
            let mut body = b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec();
            body.extend(&packed);
            assert_eq!(kinds_of(&body), kinds, "gzip, blocks of {block}");
        }
    }
}

#[test]
fn bombs_are_told_and_cost_no_more_than_the_bound() {
    let zeros = vec![0; 80 << 20];
    // One file of zeros within an archive: not unpacked beyond its head, but what it claims is far too much.
    let flat = zip(&(0..30)
        .map(|n| Entry { claimed: 1 << 30, ..entry(&format!("{n}"), &zeros[..1 << 20]) })
        .collect::<Vec<_>>());
    assert_eq!(kinds_of(&flat), [Archive, UnreadableArchive]);
    // In gzip there is no directory: what it holds is unpacked, up to a bound.
    let bomb = gzip(&tar(&[(b'0', "zeros.bin", &zeros)]));
    assert_eq!(kinds_of(&bomb), [Archive, UnreadableArchive]);
    let nested =
        zip(&[entry("a.zip", &zip(&[entry("zeros", &zeros[..1 << 20]), entry("b.zip", &flat)]))]);
    assert!(kinds_of(&nested).contains(&UnreadableArchive));
    // More than may be unpacked, at an honest ratio.
    let large =
        gzip(&[&tar_header("a.bin", b'0', 68 << 20)[..], &noise(1 << 16).repeat(1_088)].concat());
    assert!(look(&Declared::default(), &large, 1 << 16).kinds.contains(UnreadableArchive));
}

#[test]
fn more_entries_than_the_bound_cannot_be_read() {
    let names =
        |count: usize| (0..count).map(|n| stored(&format!("{n}.txt"), b"")).collect::<Vec<_>>();
    let kinds = |count| look(&Declared::default(), &zip(&names(count)), 1 << 16).kinds;
    assert!(!kinds(MAX_ENTRIES as usize).contains(UnreadableArchive));
    assert!(kinds(MAX_ENTRIES as usize + 1).contains(UnreadableArchive));
}

#[test]
fn tapes_are_read_in_every_dialect() {
    let program = [PROGRAM, &noise(3_000)].concat();
    let long = format!("{}/setup.exe", "folder/".repeat(20));
    let record = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let length = (rest.len() + 2).to_string().len() + rest.len();
        format!("{length}{rest}").into_bytes()
    };
    let path = record("path", &long);
    let split = record("path", "a.txt\n99 path=b.exe");
    let sizes = [record("size", "3016"), record("path", "b.txt")].concat();
    let mut sized = tar(&[(b'x', "h", &sizes)]);
    sized.truncate(1_024);
    sized.extend(tar_header("a.txt", b'0', 0));
    sized.extend(&program);
    sized.resize(sized.len().next_multiple_of(512), 0);
    let cases: [(&str, Vec<u8>, &[FileKind]); 11] = [
        ("harmless", tar(&[(b'0', "a.txt", b"text"), (b'5', "folder.exe/", b"")]), &[Archive]),
        (
            "by name",
            tar(&[(b'0', "a.txt", b"text"), (b'0', "b/run.bat", b"text")]),
            &[Script, Archive],
        ),
        (
            "by bytes",
            tar(&[(b'0', "a.txt", b"text"), (0, "b.txt", &program)]),
            &[Executable, Archive],
        ),
        (
            "a long name of GNU's",
            tar(&[(b'L', "././@LongLink", long.as_bytes()), (b'0', "cut", b"x")]),
            &[Executable, Archive],
        ),
        (
            "a long name of POSIX",
            tar(&[(b'x', "PaxHeaders/a", &path), (b'0', "cut", b"x")]),
            &[Executable, Archive],
        ),
        (
            "a line feed in a name",
            tar(&[(b'x', "h", &split), (b'0', "cut", b"x")]),
            &[Executable, Archive],
        ),
        ("the size is in a record", sized, &[Executable, Archive]),
        (
            "a zip within",
            tar(&[(b'0', "a.dat", &zip(&[entry("a.exe", b"x")]))]),
            &[Executable, Archive],
        ),
        ("gzip within", tar(&[(b'0', "a.dat", &gzip(&program))]), &[Executable, Archive]),
        (
            "damaged",
            [tar(&[(b'0', "a.txt", b"text")])[..1_024].to_vec(), noise(600)].concat(),
            &[Archive, UnreadableArchive],
        ),
        (
            "rubbish behind the end",
            [tar(&[(b'0', "a.txt", b"text")]), noise(600)].concat(),
            &[Archive],
        ),
    ];
    for (what, body, kinds) in cases {
        assert_eq!(kinds_of(&body), kinds, "{what}");
        assert_eq!(kinds_of(&gzip(&body)), kinds, "{what}, packed");
    }
}

#[test]
fn gzip_is_followed_through_all_its_members() {
    let program = [PROGRAM, &noise(3_000)].concat();
    let tape = tar(&[(b'0', "a.txt", b"text"), (b'0', "b.txt", &program)]);
    let halves = [gzip(&tape[..700]), gzip(&tape[700..])].concat();
    assert_eq!(kinds_of(&halves), [Executable, Archive]);
    assert_eq!(kinds_of(&[gzip(b"text"), b"rubbish behind it".to_vec()].concat()), [Archive]);
    // Every part that a header may have.
    let mut header =
        b"\x1f\x8b\x08\x1e\0\0\0\0\0\0\x05\0extrasetup.exe\0a comment\0\x12\x34".to_vec();
    header.extend(deflated(b"text"));
    assert_eq!(kinds_of(&header), [Executable, Archive]);
    assert_eq!(
        kinds_of(b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff\xff"),
        [Archive, UnreadableArchive]
    );
}

#[test]
fn sizes_that_no_file_has_do_no_harm() {
    for size in [
        b"77777777777\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut block = tar_header("a.txt", b'0', 0);
        block[124..136].copy_from_slice(size);
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block.extend(noise(2_000));
        let kinds = kinds_of(&block);
        assert!(kinds.contains(&Archive), "{kinds:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However an archive is made, laid into others and cut, the same is found; and a program in it is.
    #[test]
    fn any_cutting_finds_the_same(
        entries in prop::collection::vec((0_u8..3, 0_usize..9_000, any::<bool>(), 0_u8..3), 1..6),
        wrap in 0_u8..4,
        size in 1_usize..6_000,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let made: Vec<Entry> = entries.iter().enumerate().map(|(n, (method, length, is_program, lengths))| {
            let mut data = if *is_program { PROGRAM.to_vec() } else { b"text, ".to_vec() };
            data.extend(noise(*length));
            let method = if *method == 0 { 0 } else { 8 };
            let lengths = [Lengths::Before, Lengths::Behind, Lengths::Zip64][usize::from(*lengths)];
            Entry { method, lengths, ..entry(&format!("{n}.bin"), &data) }
        }).collect();
        let inner = zip(&made);
        let mut body = match wrap {
            0 => inner,
            1 => gzip(&inner),
            2 => zip(&[entry("a.txt", b"x"), entry("inner.zip", &inner)]),
            _ => gzip(&tar(&[(b'0', "inner.zip", &inner)])),
        };
        let flipped = flips.iter().any(|(_, bits)| *bits != 0);
        for (at, bits) in &flips {
            let at = at.index(body.len());
            body[at] ^= bits;
        }
        let whole = look(&Declared::default(), &body, body.len());
        prop_assert_eq!(&look(&Declared::default(), &body, size), &whole);
        if !flipped {
            let has_program = entries.iter().any(|(_, _, is_program, _)| *is_program);
            prop_assert_eq!(whole.kinds.contains(Executable), has_program);
            prop_assert!(!whole.kinds.contains(UnreadableArchive));
        }
    }
}
