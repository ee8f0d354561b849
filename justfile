# Each recipe is plain cargo lines, to be run by hand as well.

# Formatting, lints and documentation, without warnings.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Every test; `bash tests/run` first installs what they need.
test:
    cargo test --workspace --locked

# Measurements; claims of speed in the documents come from these.
bench:
    cargo bench --workspace --locked

# Licences, bans and sources of dependencies; advisories too: `just deny advisories`.
deny *what="bans licenses sources":
    cargo deny --workspace check {{what}}
    cargo deny --manifest-path rules/Cargo.toml --config rules/deny.toml check bans

# All but the measurements.
ci: check test deny
