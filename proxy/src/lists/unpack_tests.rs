//! Tests of unpacking, on what publishers send and on what an attacker would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::config::ListOrigin;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn list(member: Option<&str>, max_unpacked_bytes: u64) -> ListSource {
    ListSource {
        name: "games".to_owned(),
        category: "games".to_owned(),
        origin: ListOrigin::Path("unused".into()),
        licence: None,
        format: None,
        allow_public_suffixes: false,
        member: member.map(str::to_owned),
        refresh_hours: 24,
        max_download_bytes: 1 << 20,
        max_unpacked_bytes,
        hold_if_seen: true,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A tar file; names and link targets go in as they are, however hostile.
fn tar_of(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            gnu.linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let body = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
        header.set_entry_type(*kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        out.append(&header, body).unwrap();
    }
    out.into_inner().unwrap()
}

fn read(bytes: &[u8], list: &ListSource) -> Result<Vec<ListFile>, ListError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.bin");
    std::fs::write(&path, bytes).unwrap();
    read_path(&path, list)
}

fn names(files: &[ListFile]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|file| (file.name.as_str(), std::str::from_utf8(&file.bytes).unwrap()))
        .collect()
}

#[test]
fn a_squidguard_folder_gives_its_files_plain_or_gz() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("domains.gz"), gzip(b"a.example\n")).unwrap();
    std::fs::write(folder.path().join("urls"), "a.example/x\n").unwrap();
    std::fs::write(folder.path().join("usage"), "black\n").unwrap();
    let files = read_path(folder.path(), &list(None, 1 << 20)).unwrap();
    assert_eq!(names(&files), [("domains.gz", "a.example\n"), ("urls", "a.example/x\n")]);
    assert_eq!(files[1].format, Some(Format::Urls));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(read_path(empty.path(), &list(None, 1)), Err(ListError::NoFiles { .. })));
}

#[test]
fn files_are_read_plain_gzip_and_in_several_gzip_parts() {
    let mut parts = gzip(b"a.example\n");
    parts.extend(gzip(b"b.example\n"));
    for (bytes, text) in [
        (b"a.example\n".to_vec(), "a.example\n"),
        (gzip(b"a.example\n"), "a.example\n"),
        (parts, "a.example\nb.example\n"),
        (Vec::new(), ""),
    ] {
        assert_eq!(names(&read(&bytes, &list(None, 1 << 20)).unwrap()), [("list.bin", text)]);
    }
}

#[test]
fn a_tar_file_gives_the_one_folder_or_the_named_one_through_links() {
    let entries = [
        ("blacklists/porn", EntryType::Symlink, "adult"),
        ("blacklists/adult/", EntryType::Directory, ""),
        ("blacklists/adult/domains", EntryType::Regular, "a.example\n"),
        ("blacklists/adult/usage", EntryType::Regular, "black\n"),
        ("blacklists/games/domains", EntryType::Regular, "g.example\n"),
    ];
    for bytes in [tar_of(&entries), gzip(&tar_of(&entries))] {
        let adult = read(&bytes, &list(Some("porn"), 1 << 20)).unwrap();
        assert_eq!(names(&adult), [("blacklists/adult/domains", "a.example\n")]);
        let games = read(&bytes, &list(Some("blacklists/games/"), 1 << 20)).unwrap();
        assert_eq!(names(&games), [("blacklists/games/domains", "g.example\n")]);
        assert!(matches!(read(&bytes, &list(None, 1 << 20)), Err(ListError::ManyFolders { .. })));
        assert!(matches!(
            read(&bytes, &list(Some("gam"), 1 << 20)),
            Err(ListError::NoMember { .. })
        ));
    }
    let one = gzip(&tar_of(&[("games/domains", EntryType::Regular, "g.example\n")]));
    assert_eq!(read(&one, &list(None, 1 << 20)).unwrap().len(), 1);
}

#[test]
fn names_and_links_that_lead_out_of_a_tar_file_are_passed_over() {
    let bytes = tar_of(&[
        ("../../games/domains", EntryType::Regular, "evil1.example\n"),
        ("/games/domains", EntryType::Regular, "evil2.example\n"),
        ("a/../../games/domains", EntryType::Regular, "evil3.example\n"),
        ("x/link", EntryType::Symlink, "../../etc"),
        ("abs", EntryType::Symlink, "/etc"),
        ("hard", EntryType::Link, "../secret"),
        ("games/domains", EntryType::Regular, "good.example\n"),
        ("games/urls", EntryType::Symlink, "/etc/passwd"),
    ]);
    let files = read(&bytes, &list(Some("games"), 1 << 20)).unwrap();
    assert_eq!(names(&files), [("games/domains", "good.example\n")]);
    for member in ["link", "abs", "hard"] {
        assert!(
            matches!(read(&bytes, &list(Some(member), 1 << 20)), Err(ListError::NoMember { .. })),
            "{member}"
        );
    }
}

#[test]
fn links_in_a_circle_end() {
    let bytes = tar_of(&[
        ("a", EntryType::Symlink, "b"),
        ("b", EntryType::Symlink, "a"),
        ("self", EntryType::Symlink, "self"),
        ("games/domains", EntryType::Regular, "g.example\n"),
    ]);
    for member in ["a", "self"] {
        assert!(
            matches!(read(&bytes, &list(Some(member), 1 << 20)), Err(ListError::NoMember { .. })),
            "{member}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let circle = folder.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    assert!(matches!(read_path(&circle, &list(None, 1)), Err(ListError::Read { .. })));
}

#[test]
fn bombs_are_stopped_by_size_and_by_ratio() {
    let blank = vec![b'\n'; 64 << 20];
    let bomb = gzip(&blank);
    assert!(bomb.len() < 100_000, "64 MiB packed into {} bytes", bomb.len());
    // Within the size limit, but packed absurdly tight.
    assert!(matches!(read(&bomb, &list(None, 1 << 30)), Err(ListError::TooBig { .. })));
    // Over the size limit, plain.
    assert!(matches!(read(&vec![b'a'; 4_096], &list(None, 4_095)), Err(ListError::TooBig { .. })));
    assert!(read(&vec![b'a'; 4_096], &list(None, 4_096)).is_ok());
    // A bomb inside a tar file, and a tar file that is one.
    let mut inner = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_path("games/domains.gz").unwrap();
    header.set_size(bomb.len() as u64);
    header.set_cksum();
    inner.append(&header, &bomb[..]).unwrap();
    let inner = inner.into_inner().unwrap();
    assert!(read(&inner, &list(None, 1 << 30)).is_err());
    let mut outer = tar::Builder::new(Vec::new());
    header.set_path("games/domains").unwrap();
    header.set_size(blank.len() as u64);
    header.set_cksum();
    outer.append(&header, &blank[..]).unwrap();
    let outer = gzip(&outer.into_inner().unwrap());
    assert!(matches!(read(&outer, &list(None, 1 << 30)), Err(ListError::TooBig { .. })));
}

#[test]
fn what_is_no_list_is_refused() {
    for (bytes, what) in [
        (&b"<!DOCTYPE html><title>404</title>"[..], "a web page"),
        (b"\xef\xbb\xbf \n<HTML>", "a web page with a mark before it"),
        (b"<?xml version=\"1.0\"?>", "XML"),
        (b"\x00\x01\x02games", "binary"),
        (b"\x7fELF\x02\x01\x01\x00", "a program"),
    ] {
        assert!(
            matches!(read(bytes, &list(None, 1 << 20)), Err(ListError::NoList { .. })),
            "{what}"
        );
        assert!(
            matches!(read(&gzip(bytes), &list(None, 1 << 20)), Err(ListError::NoList { .. })),
            "{what}"
        );
    }
    let page = tar_of(&[("games/domains", EntryType::Regular, "<html>")]);
    assert!(matches!(read(&page, &list(None, 1 << 20)), Err(ListError::NoList { .. })));
}

#[test]
fn cut_off_archives_and_devices_are_refused_without_hanging() {
    let whole = gzip(&tar_of(&[("games/domains", EntryType::Regular, &"a.example\n".repeat(500))]));
    for length in [2, 10, whole.len() / 2, whole.len() - 1] {
        assert!(
            read(&whole[..length], &list(Some("games"), 1 << 20)).is_err(),
            "cut at {length} of {}",
            whole.len()
        );
    }
    assert!(read_path(Path::new("/dev/zero"), &list(None, 1 << 20)).is_err());
    let folder = tempfile::tempdir().unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("domains"), rustix::fs::Mode::RUSR)
        .unwrap();
    assert!(read_path(folder.path(), &list(None, 1 << 20)).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000), gzipped: bool) {
        let bytes = if gzipped { gzip(&bytes) } else { bytes };
        let _ = read(&bytes, &list(Some("games"), 1 << 20));
    }

    #[test]
    fn a_name_is_inside_or_nothing(base in "([a-z]{1,3}(/[a-z]{1,3}){0,2})?", path in "[a-z/.\\\\]{0,24}") {
        if let Some(name) = inside(&base, &path) {
            proptest::prop_assert!(!name.starts_with('/') && name.split('/').all(|part| part != ".."));
        }
    }
}
