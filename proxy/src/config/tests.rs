//! Tests of the machine file: every fault at its line, with what to do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;

const SAMPLE: &str = r#"
state = "state"
policy = "policy.toml"
[listen]
proxy = ["127.0.0.1:3128", "[::1]:3128"]
ops = "127.0.0.1:3190"
[upstream]
hosts = { "origin.test" = "127.0.0.1", "both.test" = ["127.0.0.1", "::1"] }
allow_private = ["Origin.Test."]
ca_files = ["ca/school.pem"]
connect_ports = [443, 8443, "1024-2048"]
[limits]
max_tunnels = 7
[log]
squid = "access.log"
squid_ext = "access-ext.log"
[[lists]]
name = "ut1-games"
category = "games"
path = "lists/ut1/games"
licence = "CC BY-SA 4.0"
[[lists]]
name = "fetched"
category = "adult"
url = "https://lists.example.org/all.tar.gz"
member = "adult"
format = "plain"
refresh_hours = 6
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "schoolgate.toml", Path::new("/etc/schoolgate"))
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

#[test]
fn a_shipped_list_of_a_locked_category_is_not_had_under_another() {
    let text = "[[lists]]\nname = \"x\"\ncategory = \"games\"\npath = \"builtin:csam\"\n";
    let lists = parse(text).unwrap().lists;
    let csam = |list: &&ListSource| list.category == "csam";
    assert_eq!(lists.iter().find(csam).unwrap().origin, ListOrigin::Builtin("csam".to_owned()));
    let taken = "[[lists]]\nname = \"always-csam\"\ncategory = \"csam\"\npath = \"x\"\n";
    let error = parse(taken).unwrap_err().to_string();
    assert!(error.starts_with("schoolgate.toml:2: \"always-csam\" is the name"), "{error}");
    // What `config show` prints is a machine file.
    parse(&parse("").unwrap().show()).unwrap();
}

#[test]
fn differences_are_named_by_their_keys_and_lists_are_none() {
    let same = parse(SAMPLE).unwrap();
    assert_eq!(same.differences(&same), <Vec<String>>::new());
    let cases: [(&str, &str, &[&str]); 9] = [
        ("state = \"state\"", "state = \"other\"", &["state"]),
        ("127.0.0.1:3128", "127.0.0.1:3129", &["listen.proxy"]),
        ("ops = \"127.0.0.1:3190\"", "", &["listen.ops"]),
        ("[limits]", "[limits]\nmax_headers = 99", &["limits.max_headers"]),
        (
            "\"both.test\" = [\"127.0.0.1\", \"::1\"]",
            "\"both.test\" = \"::1\"",
            &["upstream.hosts"],
        ),
        ("[log]", "[ca]\npassphrase_file = \"key\"\n[log]", &["ca.passphrase_file"]),
        ("squid = \"access.log\"", "sync_interval_ms = 5", &["log.squid", "log.sync_interval_ms"]),
        ("squid_ext = \"access-ext.log\"", "", &["log.squid_ext"]),
        ("refresh_hours = 6", "", &[]),
    ];
    for (from, to, keys) in cases {
        let other = parse(&SAMPLE.replacen(from, to, 1)).unwrap();
        assert_eq!(same.differences(&other), keys, "{from} -> {to}");
        assert_ne!(same.hash, other.hash);
    }
}

#[test]
fn a_file_says_what_it_says_and_the_rest_has_defaults() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.state, Path::new("/etc/schoolgate/state"));
    assert_eq!(config.policy, Path::new("/etc/schoolgate/policy.toml"));
    assert_eq!(config.text, Path::new("/etc/schoolgate/text"));
    assert_eq!(config.listen.proxy.len(), 2);
    assert_eq!(config.listen.name, "schoolgate");
    assert_eq!(config.upstream.hosts[&host("origin.test")].len(), 1);
    assert_eq!(config.upstream.hosts[&host("both.test")].len(), 2);
    assert_eq!(config.upstream.allow_private, [host("origin.test")]);
    assert_eq!(config.upstream.ca_files, [Path::new("/etc/schoolgate/ca/school.pem")]);
    for (port, allowed) in
        [(443, true), (8443, true), (1024, true), (2048, true), (2049, false), (80, false)]
    {
        assert_eq!(config.upstream.connect_ports.contains(port), allowed, "{port}");
    }
    assert_eq!(config.limits.max_tunnels, 7);
    assert_eq!(config.limits.max_headers, Limits::default().max_headers);
    assert_eq!(config.log.sync_interval_ms, 1_000);
    assert_eq!(config.lists[0].origin, ListOrigin::Path("/etc/schoolgate/lists/ut1/games".into()));
    assert_eq!(config.lists[0].refresh_hours, 24);
    assert!(config.lists[0].hold_if_seen);
    assert_eq!(config.lists[1].refresh_hours, 6);
    assert!(!config.demo);
}

#[test]
fn an_empty_file_listens_to_this_computer_alone() {
    let config = parse("").unwrap();
    assert_eq!(config.listen.proxy, ["127.0.0.1:3128".parse().unwrap()]);
    assert!(config.upstream.allow_private.is_empty());
    assert!(
        config.upstream.connect_ports.contains(443) && !config.upstream.connect_ports.contains(80)
    );
}

#[test]
fn every_fault_is_told_at_its_line_with_what_to_do() {
    let list = "[[lists]]\nname = \"a\"\ncategory = \"games\"\n";
    #[rustfmt::skip]
    let cases = [
        ("stat = \"x\"", 1, "no key is called `stat`", "did you mean `state`?"),
        ("\n[listen]\nporxy = []", 3, "no key is called `porxy`", "did you mean `proxy`?"),
        ("[zebra]", 1, "no key is called `zebra`", "known here are state"),
        ("[listen]\nproxy = []", 2, "listens on nothing", "127.0.0.1:3128"),
        ("[listen]\nproxy = [\n \"127.0.0.1:1\",\n \"3128\"\n]", 4, "\"3128\" is no address and port", "write it like"),
        ("[listen]\nproxy = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", 2, "stands twice", "remove one"),
        ("[listen]\nproxy = [\"127.0.0.1:1\"]\nops = \"127.0.0.1:1\"", 3, "the proxy's own address", "another port"),
        ("[listen]\nname = \"a b\"", 2, "cannot be this proxy's name", "letters"),
        ("[listen]\nworkers = 0", 2, "workers lies between 1 and 1024, and is 0 here", "leave it out"),
        ("[limits]\nmax_headers = 5", 2, "max_headers lies between 16 and 4096, and is 5 here", "the usual 128"),
        ("[limits]\nmax_heders = 5", 2, "no key is called `max_heders`", "did you mean `max_headers`?"),
        ("[limits]\nmax_headers = \"5\"", 2, "invalid type", "give "),
        ("[limits]\nmax_headers = -1", 2, "invalid value", "give "),
        ("[log]\nsync_interval_ms = 60001", 2, "lies between 0 and 60000", "leave it out"),
        ("[log]\nsquid = \"a\"\nsquid_ext = \"a\"", 3, "are one file", "a file of its own"),
        ("[upstream]\nconnect_ports = [443, 0]", 2, "0 is no port", "1 to 65535"),
        ("[upstream]\nconnect_ports = [\"9-8\"]", 2, "\"9-8\" is no port", "8000-8100"),
        ("[upstream]\nconnect_ports = [\"+1-8\"]", 2, "\"+1-8\" is no port", "8000-8100"),
        ("[upstream]\nconnect_ports = [70000]", 2, "70000 is no port", "1 to 65535"),
        ("[upstream]\nconnect_ports = [true]", 2, "expected a port", "give a port"),
        ("[upstream]\nhosts = { \"a.test\" = \"b.test\" }", 2, "\"b.test\" is no IP address", "127.0.0.1"),
        ("[upstream]\nhosts = { \"a.test\" = [] }", 2, "a.test has no address", "give one"),
        ("[upstream]\nhosts = { \"10.0.0.1\" = \"10.0.0.2\" }", 2, "is an address already", "give a name"),
        ("[upstream.hosts]\n\"a.test\" = \"::1\"\n\"A.TEST.\" = \"::1\"", 0, "stands twice", "one array"),
        ("[upstream]\nallow_private = [\"http://x\"]", 2, "is no host", "without scheme"),
        ("[[lists]]\nname = \"a\"", 1, "`category` is missing", "add `category`"),
        (list, 2, "neither a path nor a url", "add path"),
        (&format!("{list}path = \"x\"\nurl = \"https://x.test/\""), 5, "a path and a url", "keep one"),
        (&format!("{list}url = \"http://x.test/\""), 4, "over https alone", "https://"),
        (&format!("{list}url = \"ftp://x.test/\""), 4, "over https alone", "https://"),
        (&format!("{list}url = \"https://me:pw@x.test/\""), 4, "user name or password", "https://"),
        (&format!("{list}url = \"lists\""), 4, "is no URL", "https://"),
        (&format!("{list}path = \"x\"\n{list}path = \"x\""), 6, "stands on line 2 already", "a name of its own"),
        (&format!("{list}path = \"x\"\nformat = \"wildcrad\""), 5, "no list format", "did you mean \"wildcard\"?"),
        (&format!("{list}path = \"x\"\nmember = \"../etc\""), 5, "leads out", "such as \"games\""),
        (&format!("{list}path = \"builtin:gamse\""), 4, "no starter list is called \"gamse\"", "did you mean \"builtin:games\"?"),
        ("[[lists]]\nname = \"../x\"\ncategory = \"games\"\npath = \"x\"", 2, "cannot be a list's name", "letters"),
        ("[[lists]]\nname = \"a\"\ncategory = \"Games!\"\npath = \"x\"", 3, "cannot be a category", "lower-case"),
        ("state = 'x", 1, "invalid literal string", "give `'`"),
        ("state = \"a\"\nstate = \"b\"", 2, "duplicate key", "TOML"),
    ];
    let count = cases.len();
    for (text, line, what, fix) in cases {
        let error = parse(text).unwrap_err();
        let fault = error.faults().remove(0);
        if line > 0 {
            assert_eq!(fault.place, format!("schoolgate.toml:{line}"), "{text}: {fault}");
        }
        assert!(fault.what.contains(what), "{text}: {fault}");
        assert!(fault.fix.contains(fix), "{text}: {fault}");
    }
    assert_eq!(count, 40, "every case ran");
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_their_lines() {
    let text = "[limits]\nmax_headers = 1\nmax_tunnels = 0\n[listen]\nproxy = [\"x\"]";
    let places: Vec<_> =
        parse(text).unwrap_err().faults().into_iter().map(|fault| fault.place).collect();
    assert_eq!(places, ["schoolgate.toml:2", "schoolgate.toml:3", "schoolgate.toml:5"]);
    let shown = parse("stat = 1").unwrap_err().to_string();
    assert_eq!(shown, "schoolgate.toml:1: no key is called `stat`\n  fix: did you mean `state`?");
}

#[test]
fn plain_http_is_for_names_inside_alone() {
    let list = "[[lists]]\nname = \"a\"\ncategory = \"games\"\nurl = ";
    let inside = "[upstream]\nallow_private = [\"lists.test\"]\n";
    for (url, fits) in [
        ("http://127.0.0.1:81/a", true),
        ("http://[::1]/a", true),
        ("http://lists.test/a", true),
        ("http://sub.lists.test/a", true),
        ("http://otherlists.test/a", false),
        ("http://10.0.0.1/a", false),
        ("https://anywhere.test/a", true),
    ] {
        assert_eq!(parse(&format!("{inside}{list}\"{url}\"")).is_ok(), fits, "{url}");
    }
}

#[test]
fn what_config_show_prints_means_the_same() {
    let mut config = parse(SAMPLE).unwrap();
    let shown = config.show();
    let mut again = Config::parse(&shown, "shown", Path::new("/elsewhere")).unwrap();
    assert_eq!(again.show(), shown);
    assert_eq!(again.lists, config.lists);
    assert_eq!(again.limits, config.limits);
    (config.lists, again.lists) = (Vec::new(), Vec::new());
    assert_eq!(
        format!("{:?} {:?}", config.upstream.connect_ports, config.upstream.http_ports),
        format!("{:?} {:?}", again.upstream.connect_ports, again.upstream.http_ports)
    );
    let embedded = Config::embedded(Path::new("")).unwrap();
    Config::parse(&embedded.show(), "shown", Path::new("")).unwrap();
}

#[test]
fn the_embedded_file_is_without_fault_and_listens_to_this_computer_alone() {
    let config = Config::embedded(Path::new("")).unwrap();
    assert!(config.demo && config.file.is_none());
    assert!(config.listen.proxy.iter().all(|address| address.ip().is_loopback()));
    assert!(config.listen.ops.is_some_and(|address| address.ip().is_loopback()));
    assert!(config.lists.len() > 10, "{}", config.lists.len());
    assert_eq!(config.state, Path::new("state"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/schoolgate.toml"))).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/schoolgate.toml: "), "{error}");
    assert!(error.faults()[0].fix.contains("--config"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_values_make_the_reader_panic(port in -9i64..99_999, range in "[0-9+-]{0,12}", address in "[0-9a-f.:\\[\\]]{0,24}") {
        let text = format!(
            "[listen]\nproxy = [\"{address}\"]\n[upstream]\nconnect_ports = [{port}, \"{range}\"]\nhosts = {{ \"a.test\" = \"{address}\" }}"
        );
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(!error.faults().is_empty());
        }
    }
}

#[test]
fn the_locked_categories_and_help_sites_have_their_starter_lists_whatever_the_file_says() {
    let named = "[[lists]]\nname = \"mine\"\ncategory = \"csam\"\npath = \"builtin:csam\"\n";
    let cases = [
        ("", &["always-csam", "always-terrorism", "always-illegal", "always-health-help"][..]),
        (named, &["mine", "always-terrorism", "always-illegal", "always-health-help"]),
    ];
    for (text, expected) in cases {
        let config = Config::parse(text, "schoolgate.toml", Path::new("/etc/schoolgate")).unwrap();
        let names: Vec<&str> = config.lists.iter().map(|list| list.name.as_str()).collect();
        assert_eq!(names, expected, "{text}");
    }
}

#[test]
fn plain_http_reaches_web_servers_and_no_mail_server_unless_told() {
    let ports =
        |text| Config::parse(text, "schoolgate.toml", Path::new("/")).unwrap().upstream.http_ports;
    let usual = ports("");
    for (port, allowed) in [
        (80, true),
        (443, true),
        (1024, true),
        (65_535, true),
        (25, false),
        (22, false),
        (53, false),
    ] {
        assert_eq!(usual.contains(port), allowed, "{port}");
    }
    let told = ports("[upstream]\nhttp_ports = [81]\n");
    assert!(told.contains(81) && !told.contains(80));
}

#[test]
fn sessions_of_administrators_have_bounds() {
    let read = |text: &str| Config::parse(text, "schoolgate.toml", Path::new("/"));
    assert_eq!(read("").unwrap().accounts, AccountSettings::default());
    let most = read("[accounts]\nsession_idle_minutes = 60\nsession_max_hours = 12\n").unwrap();
    assert_eq!(most.accounts, AccountSettings { session_idle_minutes: 60, session_max_hours: 12 });
    for (text, place) in [
        ("[accounts]\nsession_idle_minutes = 0\n", "schoolgate.toml:2"),
        ("[accounts]\nsession_idle_minutes = 61\n", "schoolgate.toml:2"),
        ("[accounts]\n\nsession_max_hours = 13\n", "schoolgate.toml:3"),
        ("[accounts]\nsession_max_hour = 1\n", "schoolgate.toml:2"),
    ] {
        let faults = read(text).unwrap_err().faults();
        assert_eq!(faults[0].place, place, "{text}: {faults:?}");
    }
}

#[test]
fn a_virus_scanner_is_in_one_place_near_by() {
    let with = |table: &str| parse(&format!("{SAMPLE}\n[virus_scan]\n{table}"));
    let socket = with("socket = \"/run/clamav/clamd.ctl\"\nmax_scans = 3").unwrap();
    let scanner = socket.scanner.clone().unwrap();
    assert_eq!(scanner.place, ScannerPlace::Socket("/run/clamav/clamd.ctl".into()));
    assert_eq!((scanner.max_scans, scanner.max_file_bytes), (3, 25 << 20));
    assert_eq!((scanner.connect_timeout_ms, scanner.scan_timeout_ms), (2_000, 120_000));
    assert_eq!(scanner.trickle_after_ms, 10_000);
    let shown = Config::parse(&socket.show(), "shown", Path::new("/")).unwrap();
    assert_eq!(shown.scanner, Some(scanner));
    for address in ["127.0.0.1:3310", "[::1]:3310", "10.0.0.9:3310"] {
        let config = with(&format!("address = \"{address}\"")).unwrap();
        assert_eq!(config.scanner.unwrap().place, ScannerPlace::Address(address.parse().unwrap()));
    }
    let faults = [
        ("", "does not say where clamd is"),
        ("socket = \"/a\"\naddress = \"127.0.0.1:1\"", "in two places"),
        ("address = \"localhost\"", "is no address and port"),
        ("address = \"93.184.216.34:3310\"", "is not in the school's own network"),
        ("address = \"0.0.0.0:3310\"", "is not in the school's own network"),
        ("socket = \"/a\"\nmax_scans = 0", "max_scans is 1 to 1024, not 0"),
        ("socket = \"/a\"\nmax_file_bytes = 4294967296", "max_file_bytes is 1 to 4294967295"),
        ("socket = \"/a\"\nscan_timeout = 3", "no key is called `scan_timeout`"),
    ];
    for (table, what) in faults {
        let found = with(table).unwrap_err();
        assert!(found.faults()[0].what.contains(what), "{table}: {found}");
    }
}

#[test]
fn mail_goes_over_tls_and_with_a_name_and_a_password_or_neither() {
    let with = |mail: &str| parse(&format!("{SAMPLE}\n[mail]\n{mail}"));
    let good =
        with("server = \"smtp.school.example\"\nfrom = \"Filter <filter@school.example>\"\n")
            .unwrap();
    let mail = good.mail.unwrap();
    assert_eq!(
        (mail.host.as_str(), mail.port, mail.tls),
        ("smtp.school.example", 587, MailTls::StartTls)
    );
    let implicit = "server = \"[::1]\"\ntls = \"implicit\"\nfrom = \"a@b.example\"\n\
                    user = \"u\"\npassword_file = \"p\"\n";
    let mail = with(implicit).unwrap().mail.unwrap();
    assert_eq!((mail.host.as_str(), mail.port), ("::1", 465));
    assert_eq!(mail.account, Some(("u".to_owned(), Path::new("/etc/schoolgate/p").to_owned())));
    let from = "from = \"a@b.example\"";
    let faults = [
        (format!("server = \"smtp.school.example:0\"\n{from}"), "is no mail server"),
        (format!("server = \"smtp school\"\n{from}"), "is no mail server"),
        ("server = \"smtp.school.example\"\nfrom = \"nobody\"".to_owned(), "is no mail address"),
        (format!("server = \"smtp.school.example\"\ntls = \"maybe\"\n{from}"), "is not known"),
        (format!("server = \"smtp.school.example\"\ntls = \"none\"\n{from}"), "over TLS alone"),
        (
            format!("server = \"smtp.school.example\"\nuser = \"u\"\n{from}"),
            "is a name and a password",
        ),
        (
            format!(
                "server = \"127.0.0.1\"\ntls = \"none\"\nuser = \"u\"\npassword_file = \"p\"\n{from}"
            ),
            "is not sent without TLS",
        ),
    ];
    for (mail, what) in faults {
        let found = with(&mail).unwrap_err();
        assert!(found.faults().iter().any(|fault| fault.what.contains(what)), "{what}: {found:#?}");
    }
    let alone = parse(&format!("{SAMPLE}\n[audit]\nmail_to = [\"a@b.example\"]\n")).unwrap_err();
    assert!(
        alone.faults().iter().any(|fault| fault.what.contains("no server to send mail by")),
        "{alone:#?}"
    );
}
