//! `lists`: which lines were skipped, and what of illegal content is shown to nobody by accident.

use crate::school::School;
use crate::{NOT_FOUND, OK, json};

#[test]
fn skipped_lines_are_told_with_their_place_and_their_reason() {
    let school = School::new();
    school.write("lists/games.txt", "arcade.test\nco.uk\nno host at all\n");
    school.run("lists update", &[]);
    let named = school.run("lists status own-games", &[]);
    assert_eq!(named.code, OK, "{named:?}");
    assert!(named.out.contains("own-games: 2 lines skipped\n"), "{named:?}");
    assert!(
        named.out.contains("\n  games.txt:2: ") && named.out.contains(": co.uk\n"),
        "{named:?}"
    );
    assert!(named.out.contains("\n  games.txt:3: "), "{named:?}");
    assert!(!named.out.contains("own-education"), "{named:?}");
    let row = &json(&school.run("lists status own-games --json", &[]))[0];
    assert_eq!(row["skipped"], 2, "{row}");
    assert_eq!(row["skipped_lines"].as_array().unwrap().len(), 2, "{row}");
    let none = school.run("lists status own-education", &[]);
    assert!(none.out.ends_with("own-education: no line was skipped\n"), "{none:?}");
    assert!(!school.run("lists status", &[]).out.contains("games.txt"), "the table stays a table");
    assert_eq!(school.run("lists status own-gmaes", &[]).code, NOT_FOUND);
}

#[test]
fn what_a_list_of_illegal_content_holds_is_shown_to_nobody_by_accident() {
    let school = School::new();
    school.write("lists/illegal.txt", "sealed.test\nworst of all\n");
    school.run("lists update", &[]);
    let status = school.run("lists status own-illegal", &[]);
    assert!(status.out.contains("illegal.txt:2: ") && !status.out.contains("worst"), "{status:?}");
    school.write("lists/illegal.txt", "other-sealed.test\n");
    school.run("lists update", &[]);
    for format in ["", "--json", "--csv"] {
        let diff = school.run(&format!("lists diff own-illegal {format}"), &[]);
        assert_eq!(diff.code, OK, "{diff:?}");
        assert!(diff.out.contains("hidden-") && !diff.out.contains("sealed.test"), "{diff:?}");
    }
    let shown = school.run("lists diff own-illegal --show-locked", &[]);
    assert!(shown.out.contains("other-sealed.test"), "{shown:?}");
}
