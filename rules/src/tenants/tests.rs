#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::*;

const GUID: &str = "01234567-89ab-cdef-0123-456789ABCDEF";

fn restriction(service: &str, values: &[(&str, &[&str])]) -> Restriction {
    let owned = |(key, values): &(&str, &[&str])| {
        ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
    };
    Restriction { service: service.to_owned(), values: values.iter().map(owned).collect() }
}

fn sent(tenants: &Tenants, host: &str) -> Vec<(String, String)> {
    let host = Host::parse(host).unwrap();
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    tenants.headers(&host).map(owned).collect()
}

#[test]
fn each_host_gets_the_headers_of_its_services_and_no_other_host_does() {
    let tenants = Tenants::new(vec![
        restriction("google", &[("domains", &["a.example", "b.example"])]),
        restriction("microsoft", &[("tenants", &["a.example"]), ("directory", &[GUID])]),
        restriction("microsoft-personal", &[]),
    ]);
    let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let google = vec![one("X-GoogApps-Allowed-Domains", "a.example,b.example")];
    for host in ["google.com", "mail.google.com", "a.b.google.com", "lh3.googleusercontent.com"] {
        assert_eq!(sent(&tenants, host), google, "{host}");
    }
    let microsoft =
        [one("Restrict-Access-To-Tenants", "a.example"), one("Restrict-Access-Context", GUID)];
    assert_eq!(sent(&tenants, "login.microsoftonline.com"), microsoft);
    let personal = [one("sec-Restrict-Tenant-Access-Policy", "restrict-msa")];
    assert_eq!(sent(&tenants, "login.live.com"), personal);
    for host in ["notgoogle.com", "google.com.evil.example", "googleusercontent.com", "a.example"] {
        assert_eq!(sent(&tenants, host), [], "{host}");
    }
    assert_eq!(sent(&Tenants::default(), "google.com"), []);
}

#[test]
fn every_service_fills_its_headers_with_nothing_left_over() {
    for service in services() {
        let example = |kind: ValueKind| match kind {
            ValueKind::Domain => "a.example",
            ValueKind::Guid | ValueKind::DomainOrGuid => GUID,
            ValueKind::Id | ValueKind::Label => "T01",
        };
        let values =
            service.values.iter().map(|it| (it.key.clone(), vec![example(it.kind).to_owned()]));
        let tenants = Tenants::new(vec![Restriction {
            service: service.name.clone(),
            values: values.collect(),
        }]);
        let host = service.hosts[0].replace("*.", "www.");
        let headers = sent(&tenants, &host);
        assert_eq!(headers.len(), service.headers.len(), "{}", service.name);
        for (name, value) in headers {
            assert!(!value.is_empty() && !value.contains(['{', '}', ' ']), "{name}: {value}");
        }
        assert!(service.source.len() > 20, "{}", service.name);
    }
}

#[test]
fn a_value_can_end_no_header_and_add_no_other() {
    let long = "a".repeat(64);
    let kinds = [
        (
            ValueKind::Domain,
            &["school.example", "a.b.sch.uk"][..],
            &["School.example", "co.uk", "a", "10.0.0.1", "a b.example"][..],
        ),
        (
            ValueKind::Guid,
            &[GUID],
            &["0123", "01234567-89ab-cdef-0123-456789ABCDEG", "0123456789abcdef0123456789abcdef"],
        ),
        (ValueKind::DomainOrGuid, &["school.example", GUID], &["T01"]),
        (ValueKind::Id, &["T0123", "a-b_c", &long], &["", "a b", "a:b", "é"]),
        (ValueKind::Label, &["abc:1/2"], &["", "a b", "a;b", "a\\b"]),
    ];
    for (kind, fitting, unfit) in kinds {
        for text in fitting {
            assert!(kind.fits(text), "{kind:?} {text}");
            assert!(!kind.fits(&format!("{text}{text}{long}{long}{long}")), "{kind:?} {text}");
            for bad in ["\r\nX-Evil: 1", "\n", "\0", ",", "\u{85}", "\""] {
                assert!(!kind.fits(&format!("{text}{bad}")), "{kind:?} {bad:?}");
            }
        }
        for text in unfit {
            assert!(!kind.fits(text), "{kind:?} {text}");
        }
    }
}

#[test]
fn faults_in_the_file_are_found() {
    let service = |more: &str| {
        format!("[[service]]\nname='a'\ntitle='A'\nsource='s'\nhosts=['a.example']\n{more}\n")
    };
    let header = "headers=[{ name='X-A', value='{k}' }]\nvalues=[{ key='k', kind='id' }]";
    assert!(parse(&service(header)).is_ok());
    for more in [
        "headers=[]",
        "headers=[{ name='X A', value='v' }]",
        "headers=[{ name='X-A', value='{k}' }]",
        "headers=[{ name='X-A', value='v w' }]",
        "headers=[{ name='X-A', value='v' }]\nvalues=[{ key='k', kind='id' }]",
        "headers=[{ name='X-A', value='v' }]\nvalues=[{ key='k', kind='colour' }]",
        "headers=[{ name='X-A', value='v', extra=1 }]",
    ] {
        assert!(parse(&service(more)).is_err(), "{more}");
    }
    assert!(parse(&format!("{0}{0}", service(header))).is_err());
    assert!(parse(&service(header).replace("a.example", "*.com")).is_err());
}
