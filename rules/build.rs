//! Lists the starter lists in `defaults/lists/` and the packs in `defaults/themes/` for `defaults.rs`,
//! so that a file added to the folder is in the program without a table kept by hand.

#![allow(
    clippy::disallowed_methods,
    reason = "a build script reads files; the crate itself does not"
)]

use std::fmt::Write;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let stem = |name: &str| name.strip_suffix(".txt").map(str::to_owned);
    table("lists", "lists.rs", stem);
    // `themes.toml` itself is no pack.
    let pack = |name: &str| (name.split('.').count() > 2).then(|| name.to_owned());
    table("themes", "theme_packs.rs", pack);
}

/// Writes a table of the files of a folder that have a name in it, each with its text.
fn table(folder: &str, code_file: &str, name_of: impl Fn(&str) -> Option<String>) {
    println!("cargo:rerun-if-changed=defaults/{folder}");
    let mut files: Vec<(String, String)> = std::fs::read_dir(format!("defaults/{folder}"))
        .expect("the folder is part of the source")
        .filter_map(|entry| entry.expect("the folder can be read").file_name().into_string().ok())
        .filter_map(|file| name_of(&file).map(|name| (name, file)))
        .collect();
    files.sort();
    let mut code = String::from("&[\n");
    for (name, file) in files {
        writeln!(
            code,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/defaults/{folder}/{file}\"))),"
        )
        .expect("writing to a String cannot fail");
    }
    code.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(std::path::Path::new(&out).join(code_file), code)
        .expect("OUT_DIR can be written");
}
