//! A downloaded list, from its packing to the index: see [`crate::fuzzing`].

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use super::entries::Collector;
use super::unpack;
use crate::config::{ListOrigin, ListSource};
use crate::fuzzing::SHIPPED;
use categorizer::index::{Builder, Index, ListInfo, Prepared};
use categorizer::list::{Entry, Format, Options, read};
use rules::host::Host;
use rustix::fs::{MemfdFlags, memfd_create};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Most entries that are indexed: enough for every kind beside every other.
const MAX_ENTRIES: usize = 200;
/// Most that an input may unpack to.
const MAX_UNPACKED_BYTES: u64 = 4 << 20;

const FORMATS: [Option<Format>; 10] = [
    None,
    Some(Format::Plain),
    Some(Format::Hosts),
    Some(Format::Wildcard),
    Some(Format::Adblock),
    Some(Format::Dnsmasq),
    Some(Format::Unbound),
    Some(Format::Urls),
    Some(Format::Expressions),
    Some(Format::Keywords),
];

/// The first byte chooses the syntax, the others are the file in any packing. What is unpacked stays
/// within its bound; every name that is taken in is canonical, and is found in the index, which is the same
/// whether the list was kept on the way or not.
pub fn list_import(bytes: &[u8]) {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let told = FORMATS[usize::from(choice) % FORMATS.len()];
    let mut file = std::fs::File::from(memfd_create("list", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(bytes).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let source = ListSource {
        name: "games".to_owned(),
        category: "games".to_owned(),
        origin: ListOrigin::Path("games".into()),
        licence: None,
        format: told,
        allow_public_suffixes: false,
        member: (choice >= 128).then(|| "games".to_owned()),
        refresh_hours: 0,
        max_download_bytes: MAX_UNPACKED_BYTES,
        max_unpacked_bytes: MAX_UNPACKED_BYTES,
        hold_if_seen: false,
    };
    let Ok(files) = unpack::read_file_as(Path::new(&path), "games.txt", &source) else { return };
    assert!(files.iter().map(|file| file.bytes.len() as u64).sum::<u64>() <= MAX_UNPACKED_BYTES);
    for file in files {
        let format = told.or(file.format);
        index(&file.bytes, Options { format, allow_public_suffixes: false });
    }
}

fn index(bytes: &[u8], options: Options) {
    let list = ListInfo {
        name: "games".to_owned(),
        category: "games".to_owned(),
        version: "1".to_owned(),
    };
    let (mut builder, mut collector) = (Builder::new(), Collector::default());
    builder.begin(list.clone());
    let (mut names, mut taken) = (Vec::new(), 0_usize);
    let report = read(bytes, options, &mut |entry| {
        taken += 1;
        if taken > MAX_ENTRIES {
            return;
        }
        if let Entry::Domain(name) = &entry {
            names.push(name.to_string());
        }
        collector.push(&entry);
        builder.add(entry);
    });
    assert_eq!(report.entries, taken as u64);
    assert!(report.skipped <= report.lines);
    let index = builder.finish("1").unwrap();
    // The same by the way that lists go: sorted, prepared, kept and read again.
    let kept = collector.finish().unwrap().prepared().to_bytes("key");
    let mut builder = Builder::new();
    builder.add_list(list, Prepared::from_bytes(&kept, "key").unwrap());
    assert!(builder.finish("1").unwrap() == index, "prepared, it compiles to other bytes");
    let catalogue = &*SHIPPED;
    let index = Index::open(Box::new(index), catalogue).unwrap();
    let games = catalogue.id("games").unwrap();
    for name in names {
        let spelled = if name.contains(':') { format!("[{name}]") } else { name };
        let host = Host::parse(&spelled).unwrap_or_else(|error| panic!("{spelled}: {error}"));
        assert_eq!(host.as_str(), spelled.trim_matches(['[', ']']));
        assert!(index.categories(&host, None).contains(games), "{host} is not found");
    }
}
