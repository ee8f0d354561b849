//! Packs what words weigh (`src/theme/weights/words.tsv`) into the table that is part of the program.

#[path = "src/theme/weights/table.rs"]
mod table;

#[allow(
    clippy::disallowed_methods,
    reason = "a build script reads files; the crate itself does not"
)]
fn main() {
    const SOURCE: &str = "src/theme/weights/words.tsv";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=src/theme/weights/table.rs");
    println!("cargo:rerun-if-changed=build.rs");
    let text = std::fs::read_to_string(SOURCE).expect("the file is part of the source");
    let packed = table::pack(&text).unwrap_or_else(|error| panic!("{SOURCE}: {error}"));
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(std::path::Path::new(&out).join(name), bytes)
            .expect("OUT_DIR can be written");
    };
    write("weights.starts", &packed.starts);
    write("weights.hashes", &packed.hashes);
    write("weights.rows", &packed.rows);
    let head = format!("({:?}, {:?})", packed.unit, packed.themes.as_slice());
    write("weights.rs", head.replace('[', "&[").as_bytes());
}
