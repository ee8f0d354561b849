use super::*;
use crate::host::Host;

fn with(sites: &str) -> Result<Policy, Vec<PolicyError>> {
    parse(&format!("assistants = [{sites}]\n{SAMPLE}"))
}

#[test]
fn sites_that_a_school_names_are_assistants_and_what_is_below_them() {
    let policy = with("\"tutor.example\", \"school.example/helper\"").unwrap();
    let is = |host: &str, path| policy.is_assistant(&Host::parse(host).unwrap(), path);
    assert!(is("tutor.example", Some("/any")) && is("api.tutor.example", None));
    assert!(is("school.example", Some("/helper/chat")));
    assert!(!is("school.example", Some("/news")) && !is("school.example", None));
    assert!(!is("other.example", Some("/helper")));
    assert!(policy.names_assistants() && !parse(SAMPLE).unwrap().names_assistants());
}

#[test]
fn one_that_is_known_already_is_told_and_stays_as_it_is_known() {
    for site in ["chatgpt.com", "www.google.com/x"] {
        let policy = with(&format!("\"{site}\"")).unwrap();
        let what = format!("assistants: {site} is known already");
        assert!(policy.warnings().iter().any(|it| it.contains(&what)), "{:?}", policy.warnings());
        assert!(!policy.names_assistants(), "{site}");
    }
}

#[test]
fn what_is_no_site_is_a_fault() {
    for (sites, what) in [("\"co.uk\"", "public suffix"), ("1", "text")] {
        let faults = with(sites).unwrap_err();
        let text: String = faults.iter().map(|fault| format!("{}; ", fault.what)).collect();
        assert!(text.contains(what), "{sites}: {text}");
    }
}

#[test]
fn one_fewer_is_loosening_and_one_more_reads_what_was_not_read() {
    let (one, two) =
        (with("\"a.example\"").unwrap(), with("\"a.example\", \"b.example\"").unwrap());
    let more = one.diff(&two, &LevelChanges::default());
    assert_eq!(more.lines, ["added: assistant b.example"]);
    assert_eq!((more.loosens, more.intrudes), (false, true));
    let fewer = two.diff(&one, &LevelChanges::default());
    assert_eq!((fewer.lines.len(), fewer.loosens, fewer.intrudes), (1, true, false));
}
