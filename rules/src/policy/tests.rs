#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::host::Host;
use crate::level::{PageStyle, VideoMode};
use crate::target::Scheme;
use std::sync::Arc;

/// The sample of the user guide, with every key that a policy may have.
const SAMPLE: &str = include_str!("fixtures/sample.toml");

fn read_file(name: &str) -> Result<String, String> {
    match name {
        "local/ks1.txt" => Ok("# reading\nphonics.example\nbbc.co.uk/cbeebies # clips\n".to_owned()),
        _ => Err("no such file".to_owned()),
    }
}

fn parse(text: &str) -> Result<Policy, Vec<PolicyError>> {
    Policy::parse(text, "policy.toml", Catalogue::shipped(), &read_file)
}

fn sample() -> Policy {
    parse(SAMPLE).unwrap()
}

/// `place: what; fix` of every fault.
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}; {}", fault.fix)).collect(),
    }
}

#[test]
fn the_sample_policy_parses_as_it_stands() {
    let policy = sample();
    assert_eq!(policy.school(), "Example Academy");
    assert_eq!(policy.files(), ["local/ks1.txt"]);
    assert_eq!(policy.levels().get(policy.levels().strictest()).name, "ks1");
}
