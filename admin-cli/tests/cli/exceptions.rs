//! Standing exceptions: their review date, in the change log and when it has passed.

use crate::school::School;
use crate::{OK, json};

#[test]
fn an_exception_stands_in_the_change_log_with_its_review_and_is_told_when_that_is_overdue() {
    let school = School::new();
    let exception = |review: &str| {
        let line = "[[exception]]\nsite = \"arcade.test\"\nallow_for = [\"ks3\", \"ks4\"]\nreason = \"Coding club\"";
        format!("{}\n{line}\nreview = {review}\n", school.policy())
    };
    let in_five_days = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(5));
    let in_five_days = in_five_days.to_string();
    let (standing, overdue) = (exception(&in_five_days), exception("2020-03-25"));
    let apply = |number: u32, text: &str| {
        school.write("new.toml", text);
        let line = "policy apply new.toml --by j.cho --reason";
        assert_eq!(school.run(line, &["The club asked for it"]).code, OK);
        let line = format!("unblock authorise U-000{number} --by q.whitmore");
        assert_eq!(school.run(&line, &[]).code, OK);
    };
    apply(1, &standing);
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, OK);
    let rows = json(&school.run("report changes --format json", &[]));
    let row = rows.as_array().unwrap().last().unwrap();
    assert_eq!(row["Date for review"], in_five_days, "{row}");
    assert!(row["Authorised by"].as_str().unwrap().starts_with("q.whitmore ("), "{row}");
    let words = "review of arcade.test was due 2020-03-25";
    assert!(!school.run("policy validate", &[]).err.contains("was due"));

    apply(2, &overdue);
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, OK, "it holds on");
    assert!(school.run("policy validate", &[]).err.contains(words));
    let doctor = json(&school.run("doctor --json", &[]));
    let found = doctor.as_array().unwrap().iter().find(|check| check["check"] == "reviews");
    assert_eq!(found.unwrap()["found"], words, "once, though for two levels: {doctor}");
    let week = json(&school.run("report weekly --format json --since", &["this week"]));
    assert_eq!(week["overdue_reviews"], serde_json::json!([words]));
}
