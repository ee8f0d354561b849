#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archives;
mod made;

use super::fuzzing::look;
use super::*;
use FileKind::{
    Archive, BrowserExtension, DiskImage, EncryptedArchive, Executable, Installer, MacroDocument,
    MobileApp, Script, UnreadableArchive,
};

/// What is found in a body that nothing is said of: as a program saves it.
fn kinds_of(body: &[u8]) -> Vec<FileKind> {
    let found = look(&Declared::default(), body, body.len().max(1));
    for size in [1, 3, 511, 4_096, 5_000] {
        if body.len() / size < 100_000 {
            assert_eq!(look(&Declared::default(), body, size), found, "pieces of {size}");
        }
    }
    found.kinds.iter().collect()
}

/// What the heads alone say.
fn said(path: &str, disposition: &str, content_type: &str, dest: &str) -> Vec<FileKind> {
    fn some(text: &str) -> Option<&[u8]> {
        (!text.is_empty()).then_some(text.as_bytes())
    }
    let declared = Declared {
        path: Some(path),
        disposition: some(disposition),
        content_type: some(content_type),
        fetch_dest: some(dest),
    };
    Look::begin(&declared).found().kinds.iter().collect()
}

#[test]
fn the_last_part_of_a_path_tells() {
    let cases: [(&str, &[FileKind]); 24] = [
        ("/files/setup.exe", &[Executable]),
        ("/files/SETUP.EXE", &[Executable]),
        ("/files/setup%2Eexe", &[Executable]),
        ("/report.pdf.exe", &[Executable]),
        ("/report.pdf%20%20%20%20.exe", &[Executable]),
        ("/report.exe.", &[Executable]),
        ("/report.exe%20", &[Executable]),
        ("/report.exe...%20.", &[Executable]),
        ("/annexe%E2%80%AEfdp.exe", &[Executable]),
        ("/a.e%E2%80%8Bxe", &[Executable]),
        ("/a.exe%00.pdf", &[Executable]),
        ("/a.exe;.pdf", &[Executable]),
        ("/a.exe;jsessionid=12.node1", &[Executable]),
        ("/a.exe::$DATA", &[Executable]),
        ("/a.exe?x=y", &[Executable]),
        ("/dir.exe/", &[]),
        ("/dir.exe/page", &[]),
        ("/exe", &[]),
        ("/.exe", &[Executable]),
        ("/report.pdf", &[]),
        ("/lesson.py", &[]),
        ("/a.zip", &[Archive]),
        ("/a.part1.r00", &[Archive]),
        ("", &[]),
    ];
    for (path, kinds) in cases {
        assert_eq!(said(path, "", "application/octet-stream", "document"), kinds, "{path}");
        assert_eq!(said(path, "", "", ""), kinds, "{path}, by a program");
    }
}

#[test]
fn every_name_of_a_content_disposition_counts() {
    let cases: [(&str, &[FileKind]); 26] = [
        ("attachment; filename=\"a.exe\"", &[Executable]),
        ("attachment; filename=a.exe", &[Executable]),
        ("attachment;filename = \"a.exe\"", &[Executable]),
        ("ATTACHMENT; FILENAME=\"A.EXE\"", &[Executable]),
        ("attachment; filename*=UTF-8''a%2Eexe", &[Executable]),
        ("attachment; filename*=UTF-8'en'%e2%82%ac%20rates.exe", &[Executable]),
        ("attachment; filename*=iso-8859-1''%A3.exe", &[Executable]),
        ("attachment; filename*=a.exe", &[Executable]),
        ("attachment; filename=\"a.pdf\"; filename*=UTF-8''a.exe", &[Executable]),
        ("attachment; filename*=UTF-8''a.pdf; filename=\"a.exe\"", &[Executable]),
        ("attachment; filename=\"a.pdf\"; filename=\"a.exe\"", &[Executable]),
        ("attachment; filename*0=\"a.e\"; filename*1=\"xe\"", &[Executable]),
        ("attachment; filename*1*=xe; filename*0*=UTF-8''a.e", &[Executable]),
        ("attachment; filename=\"=?UTF-8?B?YS5leGU=?=\"", &[Executable]),
        ("attachment; filename=\"=?utf-8?q?a=2Eexe?=\"", &[Executable]),
        ("attachment; filename=\"a\\.exe\"", &[Executable]),
        ("attachment; filename=\"..\\\\..\\\\a.exe\"", &[Executable]),
        ("attachment; filename=\"a.pdf\\\".exe\"", &[Executable]),
        ("attachment; filename=\"a.exe", &[Executable]),
        ("attachment; filename=\"a.exe .\"", &[Executable]),
        ("attachment; filename=\"run.ps1\"", &[Script]),
        ("inline; filename=\"a.exe\"", &[Executable]),
        ("filename=\"a.exe\"", &[Executable]),
        ("attachment; filename=\"exe\"", &[]),
        ("attachment; filename=report.pdf; size=1", &[]),
        ("attachment", &[]),
    ];
    for (field, kinds) in cases {
        assert_eq!(said("/get", field, "text/html", "document"), kinds, "{field}");
    }
}

#[test]
fn types_tell_whatever_the_name_says() {
    let cases: [(&str, &[FileKind]); 14] = [
        ("application/x-msdownload", &[Executable]),
        ("Application/X-MSDownload; charset=binary", &[Executable]),
        ("application/vnd.microsoft.portable-executable", &[Executable]),
        ("application/java-archive", &[Executable]),
        ("application/hta", &[Script]),
        ("application/x-sh", &[Script]),
        ("application/x-msi", &[Installer]),
        ("application/vnd.android.package-archive", &[MobileApp]),
        ("application/x-chrome-extension", &[BrowserExtension]),
        ("application/vnd.ms-word.document.macroEnabled.12", &[MacroDocument]),
        ("application/x-iso9660-image", &[DiskImage]),
        ("application/zip", &[Archive]),
        ("application/pdf", &[]),
        ("nonsense", &[]),
    ];
    for (media, kinds) in cases {
        assert_eq!(said("/report.pdf", "", media, "document"), kinds, "{media}");
    }
}

#[test]
fn what_a_page_shows_or_uses_is_no_download() {
    let cases: [(&str, &str, &str, &str, &[FileKind]); 21] = [
        ("a script of a page", "/app.js", "text/javascript", "script", &[]),
        ("of an old browser", "/app.js", "application/javascript", "", &[]),
        ("of a careless site", "/app.js", "application/octet-stream", "script", &[]),
        ("of a site that says no type", "/app.js", "", "", &[]),
        ("shown as text", "/app.js", "text/javascript", "document", &[]),
        ("saved", "/app.js", "application/octet-stream", "document", &[Script]),
        ("a worker", "/sw.js", "text/javascript", "serviceworker", &[]),
        ("an article", "/wiki/setup.exe", "text/html; charset=utf-8", "document", &[]),
        ("a page about a site", "/about/example.com", "text/html", "document", &[]),
        ("an answer about one", "/v1/example.com", "application/json", "empty", &[]),
        ("a picture of one", "/logo/example.com", "image/png", "image", &[]),
        ("for a program", "/logo/example.com", "image/png", "", &[]),
        ("source that is shown", "/install.sh", "text/plain", "document", &[]),
        ("source that is run", "/install.sh", "text/plain", "", &[Script]),
        ("its type says so", "/install", "text/x-shellscript", "document", &[Script]),
        ("a program, used", "/a.exe", "application/x-msdownload", "empty", &[Executable]),
        ("by name alone, used", "/data.exe", "application/octet-stream", "empty", &[]),
        ("a font", "/a.woff2", "font/woff2", "font", &[]),
        ("a level of a game", "/level1.bin", "application/octet-stream", "empty", &[]),
        ("in a frame", "/a.bat", "application/octet-stream", "iframe", &[Script]),
        ("unknown destination", "/a.bat", "application/octet-stream", "teapot", &[Script]),
    ];
    for (what, path, media, dest, kinds) in cases {
        assert_eq!(said(path, "", media, dest), kinds, "{what}");
    }
    let saved = said("/app", "attachment; filename=app.js", "text/javascript", "script");
    assert_eq!(saved, [Script]);
}

#[test]
fn first_bytes_tell() {
    let mut pe = b"MZ\x90\0\x03\0\0\0".to_vec();
    pe.resize(600, 0);
    let mut iso = vec![0; 0x8001];
    iso.extend_from_slice(b"CD001\x01");
    let mut dmg = vec![7; 9_000];
    dmg.extend_from_slice(b"koly\0\0\0\x04");
    dmg.resize(9_512, 0);
    let mut vhd = vec![7; 9_000];
    vhd.extend_from_slice(b"conectix");
    vhd.resize(9_512, 0);
    let cases: [(&str, &[u8], &[FileKind]); 41] = [
        ("nothing", b"", &[]),
        ("Windows", &pe, &[Executable]),
        ("Linux", b"\x7fELF\x02\x01\x01", &[Executable]),
        ("macOS", b"\xcf\xfa\xed\xfe\x0c\0\0\x01", &[Executable]),
        ("macOS, several", b"\xca\xfe\xba\xbe\0\0\0\x02", &[Executable]),
        ("Java", b"\xca\xfe\xba\xbe\0\0\0\x34", &[Executable]),
        ("Android code", b"dex\n035\0", &[MobileApp]),
        ("shortcut", b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0", &[Script]),
        ("compiled help", b"ITSF\x03\0\0\0", &[Script]),
        ("shell", b"#!/bin/sh\nexit\n", &[Script]),
        ("shell, by env", b"#! /usr/bin/env bash\n", &[Script]),
        ("a lesson's Python", b"#!/usr/bin/env python3\nprint(1)\n", &[]),
        ("batch", b"@ECHO OFF\r\nformat c:\r\n", &[Script]),
        ("batch with a mark", b"\xef\xbb\xbf@echo off\r\n", &[Script]),
        ("registry", b"Windows Registry Editor Version 5.00\r\n", &[Script]),
        ("registry in UTF-16", b"\xff\xfeR\0E\0G\0E\0D\0I\0T\x004\0", &[Script]),
        ("Internet shortcut", b"[InternetShortcut]\r\nURL=file:///x\r\n", &[Script]),
        ("HTML application", b"<html><HTA:APPLICATION ID=a>", &[Script]),
        ("VBScript", b"Dim a\r\nSet a = CreateObject(\"WScript.Shell\")\r\n", &[Script]),
        ("JScript", b"var a = new ActiveXObject('x')", &[Script]),
        ("PowerShell", b"$a = 1\nInvoke-Expression $b", &[Script]),
        ("deb", b"!<arch>\ndebian-binary   1", &[Installer]),
        ("rpm", b"\xed\xab\xee\xdb\x03\0", &[Installer]),
        ("macOS package", b"xar!\0\x1c\0\x01", &[Installer]),
        ("extension", b"Cr24\x03\0\0\0", &[BrowserExtension]),
        ("disk image", &iso, &[DiskImage]),
        ("Apple disk image", &dmg, &[DiskImage]),
        ("Windows disk image", &vhd, &[DiskImage]),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04", &[Archive, UnreadableArchive]),
        ("RAR", b"Rar!\x1a\x07\x01\0", &[Archive, UnreadableArchive]),
        ("CAB", b"MSCF\0\0\0\0\x2c", &[Archive, UnreadableArchive]),
        ("bzip2", b"BZh91AY&SY", &[Archive, UnreadableArchive]),
        ("xz", b"\xfd7zXZ\0\0\x04", &[Archive, UnreadableArchive]),
        ("Zstandard", b"\x28\xb5\x2f\xfd\x04", &[Archive, UnreadableArchive]),
        ("LHA", b"\x21\x00-lh5-", &[Archive, UnreadableArchive]),
        ("text that starts MZ", b"MZ is the state code of Mizoram.", &[]),
        ("text that starts BZh", b"BZhang wrote this.", &[]),
        ("a page", b"<!doctype html><script>alert(1)</script>", &[]),
        ("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &[]),
        ("a document", b"%PDF-1.7\n", &[]),
        ("a little of anything", b"P", &[]),
    ];
    for (what, body, kinds) in cases {
        assert_eq!(kinds_of(body), kinds, "{what}");
    }
}

#[test]
fn old_office_files_tell_their_macros_and_packages() {
    let ole = |mark: &[u8]| {
        let mut body = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        body.resize(9_000, 0x20);
        body.extend_from_slice(mark);
        body.resize(12_000, 0x20);
        body
    };
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    assert_eq!(kinds_of(&ole(b"")), []);
    assert_eq!(kinds_of(&ole(&wide("_VBA_PROJECT"))), [MacroDocument]);
    assert_eq!(kinds_of(&ole(&wide("EncryptedPackage"))), [EncryptedArchive]);
    assert_eq!(kinds_of(&ole(&wide("\u{1}Ole10Native"))), [Executable]);
    let msi = b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46";
    assert_eq!(kinds_of(&ole(msi)), [Installer]);
}

#[test]
fn a_text_that_shows_a_script_is_none() {
    let body = b"Set a = CreateObject(\"WScript.Shell\")";
    let named = |name: &'static str| Declared { path: Some(name), ..Declared::default() };
    assert!(look(&named("/notes.txt"), body, 99).kinds.is_empty());
    assert!(look(&named("/notes"), body, 99).kinds.contains(Script));
    let page = Declared { content_type: Some(b"text/html"), ..Declared::default() };
    assert!(look(&page, body, 99).kinds.is_empty());
}

#[test]
fn a_finding_says_how_and_shows_a_name_that_is_safe_to_print() {
    let declared = Declared {
        disposition: Some(b"attachment; filename*=UTF-8''%1B[31m%E2%80%AEfdp.exe"),
        content_type: Some(b"application/zip"),
        ..Declared::default()
    };
    let look = Look::begin(&declared);
    assert_eq!(look.purpose(), Purpose::Download);
    let name = Some("[31mfdp.exe".to_owned());
    let wanted = [
        Finding { kind: Executable, by: By::Name, name },
        Finding { kind: Archive, by: By::Type, name: None },
    ];
    assert_eq!(look.found().findings, wanted);
}
