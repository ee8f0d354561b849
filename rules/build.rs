//! Lists the starter lists in `defaults/lists/` for `defaults.rs`, so that a list added to the
//! folder is in the program without a table kept by hand.

#![allow(
    clippy::disallowed_methods,
    reason = "a build script reads files; the crate itself does not"
)]

use std::fmt::Write;

fn main() {
    println!("cargo:rerun-if-changed=defaults/lists");
    println!("cargo:rerun-if-changed=build.rs");
    let mut names: Vec<String> = std::fs::read_dir("defaults/lists")
        .expect("defaults/lists is part of the source")
        .filter_map(|entry| entry.expect("the folder can be read").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect();
    names.sort();
    let mut code = String::from("&[\n");
    for name in names {
        writeln!(
            code,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/defaults/lists/{name}.txt\"))),"
        )
        .expect("writing to a String cannot fail");
    }
    code.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(std::path::Path::new(&out).join("lists.rs"), code)
        .expect("OUT_DIR can be written");
}
