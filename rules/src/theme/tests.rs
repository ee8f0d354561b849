#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;

const PACK: &str = r#"theme = "drugs"
language = "en"
innocent = ["weed killer"]

[sets]
drug = ["weed", "ketamine"]
thing = ["<drug>", "vape"]

[[group]]
weight = 100
any = ["buy~", "sell~"]
with = ["<thing>"]
unless = ["garden"]
near = 3
in_order = true

[[group]]
weight = -40
any = ["essay about <drug>"]
"#;

fn texts(phrases: &[Phrase]) -> Vec<&str> {
    phrases.iter().map(|phrase| phrase.text.as_str()).collect()
}

#[test]
fn a_pack_is_read_with_its_sets_filled_in_and_its_lines() {
    let pack = Pack::parse(PACK, "drugs.toml").unwrap();
    assert_eq!((&*pack.theme, &*pack.language, pack.reviewed), ("drugs", "en", false));
    assert_eq!(texts(&pack.innocent), ["weed killer"]);
    let [buys, essays] = &*pack.groups else { panic!("two groups") };
    assert_eq!((buys.line, buys.weight, buys.near, buys.in_order), (9, 100, 3, true));
    assert_eq!(texts(&buys.any), ["buy~", "sell~"]);
    assert_eq!(texts(&buys.with), ["weed", "ketamine", "vape"]);
    assert_eq!((texts(&buys.unless), buys.unless[0].line), (vec!["garden"], 13));
    assert_eq!(texts(&essays.any), ["essay about weed", "essay about ketamine"]);
    assert_eq!((essays.weight, essays.near), (-40, DEFAULT_NEAR));
}

#[test]
fn every_fault_of_a_pack_is_told_at_its_line() {
    let cases = [
        ("innocent =", "innocnt =", "p.toml:3", "unknown key \"innocnt\" in the pack"),
        ("unless =", "unles =", "p.toml:13", "unknown key \"unles\" in [[group]]"),
        ("theme = \"drugs\"", "", "p.toml:1", "the pack has no theme"),
        ("\"drugs\"", "\"Drugs & more\"", "p.toml:1", "\"Drugs & more\" is no name of a theme"),
        ("weight = 100\n", "", "p.toml:9", "[[group]] has no weight"),
        ("weight = 100", "weight = 400", "p.toml:10", "a weight is from -300 to 300, and not 0"),
        ("<thing>", "<thnig>", "p.toml:12", "no set called \"thnig\" before this"),
        ("<drug>\", \"vape", "<drug\", \"vape", "p.toml:7", "\"<drug\" has a < without a >"),
        ("with =", "also =", "p.toml:9", "[[group]] has also, but no with"),
        ("near = 3", "near = 99", "p.toml:14", "99 is not a whole number from 0 to 24"),
        ("\"weed killer\"", "\" \"", "p.toml:3", "\" \" would be found in every text"),
        ("any = [\"buy~\", \"sell~\"]", "", "p.toml:9", "[[group]] looks for nothing"),
    ];
    for (written, instead, place, what) in cases {
        let faults = Pack::parse(&PACK.replacen(written, instead, 1), "p.toml").unwrap_err();
        let told: Vec<_> = faults.iter().map(|fault| (&*fault.place, &*fault.what)).collect();
        assert!(told.contains(&(place, what)), "{instead}: {told:?}");
    }
}

#[test]
fn sets_that_would_make_too_many_phrases_are_refused() {
    let words: Vec<String> = (0..100).map(|number| format!("\"w{number}\"")).collect();
    let text = format!(
        "theme = \"x\"\nlanguage = \"en\"\n[sets]\na = [{}]\n[[group]]\nweight = 1\nany = [\"<a> <a>\"]\n",
        words.join(", ")
    );
    let faults = Pack::parse(&text, "p.toml").unwrap_err();
    assert_eq!(faults[0].what, "\"<a> <a>\" stands for more than 4000 phrases");
}

#[test]
fn themes_have_a_name_and_a_severity() {
    let text =
        "[[theme]]\nname = \"drugs\"\ntitle = \"Drugs\"\nabout = \"x\"\nseverity = \"hihg\"\n";
    let faults = parse_themes(text, "themes.toml").unwrap_err();
    assert_eq!(
        (&*faults[0].place, &*faults[0].what),
        ("themes.toml:5", "no severity called \"hihg\"")
    );
    assert_eq!(faults[0].fix, "did you mean \"high\"?");
    let twice = text.replace("hihg", "high").repeat(2);
    let faults = parse_themes(&twice, "themes.toml").unwrap_err();
    assert_eq!(faults[0].what, "theme \"drugs\" is there twice");
    let all = text.replace("hihg", "high").replace("\"drugs\"", "\"all\"");
    assert!(parse_themes(&all, "themes.toml").is_err());
}

#[test]
fn a_pack_has_so_many_phrases_in_all_and_no_more() {
    let words: Vec<String> = (0..MAX_EXPANDED).map(|number| format!("\"w{number}\"")).collect();
    let pack = |words: &[String], any: &str| {
        let sets = format!("[sets]\na = [{}]\n", words.join(","));
        let text = format!(
            "theme = \"x\"\nlanguage = \"en\"\n{sets}[[group]]\nweight = 1\nany = [\n{any}]\n"
        );
        Pack::parse(&text, "x.toml")
    };
    // The set itself, and 49 lines of it.
    let fits = MAX_PHRASES / MAX_EXPANDED - 1;
    assert!(pack(&words, &"\"<a>\",\n".repeat(fits)).is_ok());
    let faults = pack(&words, &"\"<a>\",\n".repeat(fits + 1_000)).unwrap_err();
    assert_eq!(faults.len(), 1, "told once");
    assert_eq!(faults[0].place, format!("x.toml:{}", 8 + fits));
    assert!(faults[0].what.contains("more than 200000 phrases"), "{}", faults[0].what);
    // Few words, and long ones.
    let long = vec![format!("\"{}\"", "x".repeat(60_000)); 10];
    let faults = pack(&long, &"\"<a> <a>\",\n".repeat(3)).unwrap_err();
    assert_eq!((faults.len(), &*faults[0].place), (1, "x.toml:9"));
}

#[test]
fn the_shipped_packs_name_shipped_themes_and_their_files_say_what_they_hold() {
    let themes = shipped_themes();
    assert_eq!(themes.len(), 12);
    let packs = shipped_packs().collect::<Vec<_>>();
    for pack in &packs {
        // Such as `drugs.en.toml`, or `drugs.told.en.toml` where a theme has more than one.
        let names: Vec<&str> = pack.file.split('.').collect();
        let (theme, language) = (names[0], names[names.len() - 2]);
        assert_eq!((theme, language), (pack.theme.as_str(), pack.language.as_str()));
        assert!((3..=4).contains(&names.len()) && names.last() == Some(&"toml"), "{}", pack.file);
        assert!(pack.theme == ALL || themes.iter().any(|theme| theme.name == pack.theme));
    }
    for theme in &themes {
        let has_english = |pack: &Pack| pack.theme == theme.name && pack.language == "en";
        assert!(packs.iter().any(has_english), "{}", theme.name);
        assert!(!theme.help.is_empty(), "{}", theme.name);
    }
}
