# Each recipe is plain cargo lines, to be run by hand as well.

# Formatting, lints and documentation, without warnings.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Every test; `bash tests/run` first installs what they need.
test:
    cargo test --workspace --locked

# The whole filter beside its peers, which are fetched and not installed, and recorded traffic beside Squid: about half an
# hour. `just bench --quick` has short rounds, to see that all of it works.
bench *options:
    cargo bench --locked --no-fail-fast --bench compare --bench replay -- {{options}}

# Instructions of each step of a request, against what was recorded: `just instructions --record` records.
instructions *options:
    cargo build --locked --profile instructions --workspace --bins --bench instructions
    cargo bench --locked --profile instructions --workspace --bench instructions -- {{options}}

# What the filter finds and what it wrongly finds; `SCHOOLGATE_SHARED` names real data (docs/quality.md).
quality *options:
    cargo bench --locked --bench quality -- {{options}}

# Learns what words weigh from the lines in rules/defaults/lines (docs/themes.md); `just learn --try-on FILE` says what is
# found of a file that was left out.
learn *options:
    cargo bench --locked --bench learn -- {{options}}

# Every measurement; claims of speed in the documents come from these. The soak alone takes ten minutes.
bench-all:
    cargo bench --workspace --locked

# Licences, bans and sources of dependencies; advisories too: `just deny advisories`.
deny *what="bans licenses sources":
    cargo deny --workspace check {{what}}
    cargo deny --manifest-path rules/Cargo.toml --config rules/deny.toml check bans

# Every parser of bytes from outside, each for some seconds: `just fuzz 600 "list_import"`.
# Needs `cargo install cargo-fuzz`; see docs/testing.md.
fuzz seconds="60" targets="request_target policy_file machine_file list_import log_reader response_framing request_framing client_hello phrase_list phrase_scan search_request file_look page_text page_decode page_scan request_text way_round":
    for target in {{targets}}; do \
        mkdir -p fuzz/corpus/$target && \
        RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer address $target fuzz/corpus/$target fuzz/seeds/$target -- \
            -max_total_time={{seconds}} -max_len=8192 -timeout=10 -rss_limit_mb=1024 || exit 1; \
    done

# All but the measurements.
ci: check test deny
