#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use proptest::prelude::*;
use rules::theme::{Pack, Severity, Theme};

use super::*;

fn theme(name: &str) -> Theme {
    let (name, title, about) = (name.to_owned(), String::new(), String::new());
    Theme { name, title, about, severity: Severity::Routine, help: Vec::new() }
}

/// The themes `a` and `b`, by packs without their heads.
fn compiled(packs: &[(&str, &str)]) -> Themes {
    let mut builder = ThemesBuilder::new(vec![theme("a"), theme("b")]);
    for (theme, text) in packs {
        let text = format!("theme = \"{theme}\"\nlanguage = \"en\"\n{text}");
        builder.add(&Pack::parse(&text, &format!("{theme}.en.toml")).unwrap()).unwrap();
    }
    builder.finish()
}

fn points(themes: &Themes, text: &str) -> [i64; 2] {
    let mut scratch = Scratch::default();
    let found = themes.score_page(text, &mut scratch);
    [0, 1].map(|theme| found.score(theme).points)
}

fn typed(themes: &Themes, text: &str) -> [i64; 2] {
    let mut scratch = Scratch::default();
    let found = themes.score_typed(text, &mut scratch);
    [0, 1].map(|theme| found.score(theme).points)
}

const GROUPS: &str = r#"
innocent = ["kill time", "weed killer"]
[[group]]
weight = 100
any = ["kill~", "hang~"]
with = ["myself", "my self"]
near = 2
[[group]]
weight = 40
any = ["weed", "buy weed", "grass"]
unless = ["garden"]
[[group]]
weight = 10
any = ["one"]
with = ["two"]
also = ["three"]
near = 1
in_order = true
[[group]]
weight = -30
any = ["lesson", "homework"]
"#;

#[test]
fn groups_count_what_they_say_and_nothing_else() {
    let themes = compiled(&[("a", GROUPS)]);
    for (text, expected) in [
        ("kill myself", 100),
        ("myself, killing", 100),
        ("kills a b my self", 100),
        ("kill a b c myself", 0),
        ("killer myself", 0),
        ("kill time myself", 0),
        ("kill time, kill myself", 100),
        ("hang and kill myself", 200),
        ("kill myself kill myself", 100),
        ("weed", 40),
        ("weeds buy weed", 40 + 40),
        ("weed and grass", 80),
        ("weed killer", 0),
        ("weed in the garden", 0),
        ("garden a a a a a a a a a a a weed", 0),
        ("garden a a a a a a a a a a a a weed", 40),
        ("one two three", 10),
        ("one x two x three", 0),
        ("one two x three", 10),
        ("two one three", 0),
        ("weed lesson", 10),
        ("lesson homework", -60),
        ("", 0),
    ] {
        assert_eq!(points(&themes, text)[0], expected, "{text}");
    }
}

#[test]
fn what_speaks_against_takes_off_at_most_twice_what_is_needed() {
    let against = "[[group]]\nweight = -90\nany = [\"x\", \"y\", \"z\"]\n[[group]]\nweight = 250\nany = [\"bad\"]\n";
    let themes = compiled(&[("a", against)]);
    assert_eq!(points(&themes, "bad x")[0], 160);
    assert_eq!(points(&themes, "bad x y z")[0], 100, "250 is excused by nothing");
    let excused = against.replace("250", "240");
    assert_eq!(points(&compiled(&[("a", &excused)]), "bad x y z")[0], 40);
}

#[test]
fn helplines_take_no_more_than_one_off_what_somebody_in_danger_types() {
    let mut builder = ThemesBuilder::new(vec![theme("suicide"), theme("drugs")]);
    for (theme, text) in [
        ("suicide", "[[group]]\nweight = 220\nany = [\"bad\"]\n"),
        ("drugs", "[[group]]\nweight = 220\nany = [\"bad\"]\n"),
        ("all", "[[group]]\nweight = -120\nany = [\"x\", \"y\"]\n"),
    ] {
        let text = format!("theme = \"{theme}\"\nlanguage = \"en\"\n{text}");
        builder.add(&Pack::parse(&text, &format!("{theme}.en.toml")).unwrap()).unwrap();
    }
    let themes = builder.finish();
    assert_eq!(typed(&themes, "bad x y"), [100, 20]);
    assert_eq!(points(&themes, "bad x y"), [20, 20], "a page may be a lesson's");
}

#[test]
fn who_asks_for_somebody_else_is_excused_in_a_short_text_but_not_what_nothing_excuses() {
    let pack = "[[group]]\nweight = 150\nany = [\"die\", \"end\"]\n\
        [[group]]\nweight = -300\nany = [\"friend\"]\nunless = [\"myself\"]\n\
        [[group]]\nweight = 250\nany = [\"bad\"]\n";
    let mut builder = ThemesBuilder::new(vec![theme("suicide"), theme("b")]);
    let text = format!("theme = \"suicide\"\nlanguage = \"en\"\n{pack}");
    builder.add(&Pack::parse(&text, "suicide.en.toml").unwrap()).unwrap();
    let themes = builder.finish();
    assert_eq!(typed(&themes, "die end")[0], 300);
    assert_eq!(typed(&themes, "die end friend")[0], 50, "250 are taken off, and no more");
    assert_eq!(typed(&themes, "die end friend myself")[0], 300, "of oneself too");
    assert_eq!(typed(&themes, "die end bad friend")[0], 430, "one look for help is taken off");
    let long = |words: usize| format!("die end friend{}", " word".repeat(words - 3));
    assert_eq!(typed(&themes, &long(48))[0], 0, "of what a text of so many words needs");
    assert_eq!(typed(&themes, &long(49))[0], 120, "a longer text has room for two matters");
    let all =
        "[[group]]\nweight = 150\nany = [\"die\"]\n[[group]]\nweight = -300\nany = [\"friend\"]\n";
    let mut builder = ThemesBuilder::new(vec![theme("suicide"), theme("b")]);
    let text = format!("theme = \"all\"\nlanguage = \"en\"\n{all}");
    builder.add(&Pack::parse(&text, "all.en.toml").unwrap()).unwrap();
    let themes = builder.finish();
    assert_eq!(typed(&themes, "die friend"), [30, -50], "nothing of all themes excuses so much");
}

#[test]
fn groups_of_all_themes_count_for_each_and_innocent_phrases_for_their_own() {
    let themes = compiled(&[
        ("a", "innocent = [\"bad luck\"]\n[[group]]\nweight = 50\nany = [\"bad\"]\n"),
        ("b", "[[group]]\nweight = 60\nany = [\"bad\"]\n"),
        ("all", "innocent = [\"not bad\"]\n[[group]]\nweight = -20\nany = [\"lesson\"]\n"),
    ]);
    assert_eq!(points(&themes, "bad"), [50, 60]);
    assert_eq!(points(&themes, "bad luck"), [0, 60]);
    assert_eq!(points(&themes, "not bad"), [0, 0]);
    assert_eq!(points(&themes, "bad lesson"), [30, 40]);
}

#[test]
fn disguises_are_seen_through_in_what_was_typed_and_nowhere_else() {
    let pack = "ordinary = [\"how\", \"heroine\"]\n[[group]]\nweight = 100\n\
                any = [\"porn\", \"suicide\", \"kill myself\", \"heroin\", \"kys\", \"die\"]\n";
    let themes = compiled(&[("a", pack)]);
    for text in [
        "p0rn",
        "P0RN!",
        "*porn*",
        "pоrn",
        "рorn",
        "рогn",
        "ｐｏｒｎ",
        "p\u{301}o\u{301}rn",
        "pooorn",
        "ppppoooorrrrnn",
        "p o r n",
        "p.o.r.n",
        "p-o-r-n",
        "p_o_r_n",
        "p 0 r n",
        "🅿🅾🆁🅽",
        "su1c1de",
        "suic!de",
        "$uicide",
        "s*icide",
        "su|cide",
        "sucide",
        "suicdie",
        "suiside",
        "SUIIICIDE",
        "k1ll myself",
        "killmyself",
        "k i l l m y s e l f",
        "how kill mys3lf",
        "heron heroin",
        "herion",
        "k.y.s",
        "d1e",
        "howkillmyself",
        "p\u{ad}o\u{200b}r\u{2060}n",
    ] {
        assert_eq!(typed(&themes, text)[0], 100, "{text}");
    }
    for text in [
        "heroine",
        "pr0",
        "p r n",
        "0 0 7",
        "1337",
        "рот",
        "это рот",
        "killmyselfie",
        "hero in",
        "kil",
        "d e i",
        "a b c d e",
        "!!! ???",
        "***",
        "skills",
        "portn",
    ] {
        assert_eq!(typed(&themes, text)[0], 0, "{text}");
    }
    assert_eq!(
        points(&themes, "p0rn sucide p o r n killmyself")[0],
        0,
        "pages are read as they are"
    );
}

#[test]
fn words_are_known_as_they_sound_as_digits_are_spoken_and_as_they_are_typed() {
    let pack = "[[group]]\nweight = 100\nany = [\"knife\", \"hate\", \"hide from everyone\", \
                \"want to stab you\", \"i am sad\", \"🔪\"]\n";
    let themes = compiled(&[("a", pack)]);
    for text in
        ["nife", "h8", "hide from every1", "want 2 stab u", "wanna stabb you", "im sad", "my🔪"]
    {
        assert_eq!(typed(&themes, text)[0], 100, "{text}");
    }
    let pack =
        "[[group]]\nweight = 100\nany = [\"cutting\", \"dealer\", \"things\", \"without mum\"]\n";
    let spoken = compiled(&[("a", pack)]);
    for text in ["cuttin", "deala", "dealah", "fings", "wivout mum", "cuttign"] {
        assert_eq!(typed(&spoken, text)[0], 100, "{text}");
    }
    for text in ["cutin", "dela", "ins", "without"] {
        assert_eq!(typed(&spoken, text)[0], 0, "{text}");
    }
    for text in ["nive", "8", "h8h8", "18", "k9", "💐", "2 4 8"] {
        assert_eq!(typed(&themes, text)[0], 0, "{text}");
    }
    assert_eq!(points(&themes, "nife h8")[0], 0, "pages are read as they are");
    assert_eq!(typed(&themes, "im sad 🔪")[0], 200);
    assert_eq!(points(&themes, "i am sad 🔪, im sad")[0], 200);
    assert_eq!(
        points(&themes, "wanna stab you, 2 hide from every1")[0],
        0,
        "pages are read as they are"
    );
}

#[test]
fn words_run_together_count_only_for_what_stands_wholly_in_them() {
    let pack = "ordinary = [\"the\"]\n[[group]]\nweight = 100\nany = [\"rapist\", \"to get her\", \"buy weed\"]\n\
                [[group]]\nweight = 70\nany = [\"buy\"]\nwith = [\"now\"]\n";
    let themes = compiled(&[("a", pack)]);
    assert_eq!(typed(&themes, "therapist")[0], 0);
    assert_eq!(typed(&themes, "buyweed")[0], 100);
    assert_eq!(
        typed(&themes, "together")[0],
        100,
        "it is known to nobody here, and made of known words"
    );
    assert_eq!(typed(&themes, "buyweed now")[0], 100, "not of one part in it and one outside");
    let themes = compiled(&[("a", &pack.replace("[\"the\"]", "[\"the\", \"together\"]"))]);
    assert_eq!(typed(&themes, "together")[0], 0);
}

#[test]
fn an_address_is_scored_by_its_words_as_they_stand() {
    let pack = GROUPS.replace("weight = 100", "weight = 200");
    let themes = compiled(&[("a", &pack)]);
    let mut scratch = Scratch::default();
    let mut percent =
        |host: &str, path: &str| themes.score_address(host, path, &mut scratch).score(0).percent;
    for (host, path) in [
        ("example.org", "/how-to-kill-myself"),
        ("kill-myself.example", "/"),
        ("example.org", "/?q=kill+myself"),
        ("example.org", "/%6bill%20my%73elf"),
        ("example.org", "/KillMyself.html"),
        ("example.org", "/kill_myself"),
    ] {
        assert_eq!(percent(host, path), 100, "{host}{path}");
    }
    for (host, path) in [
        ("skillmyselfie.example", "/"),
        ("killmyself.example", "/k1ll-mys3lf"),
        ("example.org", "/kil-myself?id=kill+myself"),
        ("example.org", "/p/kill-myself-9b1f00d2c4e8a7b6c5d4e3f2a1b0c9d8"),
    ] {
        assert_eq!(percent(host, path), 0, "{host}{path}");
    }
}

#[test]
fn an_address_needs_more_than_a_search_and_a_host_of_help_has_no_words() {
    let mut helped = theme("a");
    helped.help = vec!["help.example".to_owned()];
    let mut builder = ThemesBuilder::new(vec![helped]);
    let text = format!("theme = \"a\"\nlanguage = \"en\"\n{GROUPS}");
    builder.add(&Pack::parse(&text, "a.en.toml").unwrap()).unwrap();
    let themes = builder.finish();
    let mut scratch = Scratch::default();
    let mut score = |host: &str| themes.score_address(host, "/kill-myself", &mut scratch).score(0);
    assert_eq!((score("example.org").points, score("example.org").percent), (100, 50));
    assert_eq!(score("nohelp.example").percent, 50);
    assert_eq!(score("help.example").points, 0);
    assert_eq!(score("www.help.example").points, 0);
    assert!(!themes.is_help("") && !themes.is_help("example"));
}

#[test]
fn a_finding_says_where_it_stands_and_which_line_it_is() {
    let themes = compiled(&[("a", GROUPS)]);
    let mut scratch = Scratch::default();
    let text = "«Kıll»? Weed: é killing myself!";
    let found = themes.score_typed(text, &mut scratch);
    let told: Vec<_> = found
        .findings()
        .map(|one| {
            (&text[one.start as usize..one.end as usize], one.line, one.weight, one.disguised)
        })
        .collect();
    assert_eq!(told, [("Weed", 12, 40, false), ("killing myself", 7, 100, false)]);
    let found = themes.score_typed("k1ll mys3lf", &mut scratch);
    let told: Vec<_> = found.findings().map(|one| (one.start, one.end, one.disguised)).collect();
    assert_eq!(told, [(0, 11, true)]);
    assert_eq!(found.findings().next().unwrap().file, "a.en.toml");
}

#[test]
fn a_long_page_needs_more_than_a_search_and_its_worst_passage_counts() {
    assert_eq!(
        [0, 1, 16, 48, 100, 400, 2_500, 1_000_000].map(needed),
        [100, 100, 100, 150, 150, 200, 500, 10_000]
    );
    let words: Vec<String> =
        (b'a'..=b'z').map(|letter| format!("bad{}", char::from(letter))).collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let themes =
        compiled(&[("a", &format!("[[group]]\nweight = 40\nany = [{}]\n", quoted.join(", ")))]);
    let mut scratch = Scratch::default();
    let filler = "word ".repeat(3_000);
    let twice = format!("{filler} bada {filler} badb");
    let found = themes.score_page(&twice, &mut scratch);
    assert_eq!(found.score(0).points, 80);
    assert!(found.score(0).percent < 15, "{:?}", found.score(0));
    assert_eq!(found.themes_from(100).count(), 0);
    // All in one place, in the middle of much else.
    let dense = format!("{filler} {} {filler}", words.join(" "));
    assert!(themes.score_page(&dense, &mut scratch).score(0).percent >= 300);
    // And in the few words that are left for a last passage, which are no short text.
    let tail = format!("{} bada badb badc", "word ".repeat(1_024));
    assert!(themes.score_page(&tail, &mut scratch).score(0).percent < 100);
}

#[test]
fn packs_that_cannot_be_compiled_are_told_and_the_rest_is_taken() {
    let mut builder = ThemesBuilder::new(vec![theme("a")]);
    let text = "theme = \"a\"\nlanguage = \"en\"\n[[group]]\nweight = 100\nany = [\"good\", \"bo*\", \"b~d\"]\n";
    let errors = builder.add(&Pack::parse(text, "a.en.toml").unwrap()).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told[0], "a.en.toml:5: \"bo*\": before a * stand at least four letters");
    assert_eq!(told.len(), 2);
    let elsewhere = text.replace("\"a\"", "\"c\"");
    let errors = builder.add(&Pack::parse(&elsewhere, "c.en.toml").unwrap()).unwrap_err();
    assert!(errors[0].to_string().contains("there is no theme \"c\""));
    let themes = builder.finish();
    assert_eq!(points(&themes, "good")[0], 100);
}

#[test]
fn a_scratch_serves_different_sets_one_after_the_other() {
    let small = compiled(&[("a", "[[group]]\nweight = 1\nany = [\"one\"]\n")]);
    let large = compiled(&[("a", GROUPS)]);
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        assert_eq!(small.score_typed("one one", &mut scratch).score(0).points, 1);
        assert_eq!(large.score_typed("kill myself", &mut scratch).score(0).points, 100);
        assert_eq!(large.score_page("nothing", &mut scratch).score(0).points, 0);
        // One that is given up leaves nothing behind.
        large.start(&mut scratch).feed("kill myself");
    }
}

#[test]
fn texts_made_to_be_slow_take_time_in_proportion() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    let made: [(&str, &str); 7] = [
        ("phrases", "how to kill myself buy weed porn send nudes "),
        ("marks", "\u{301}\u{336}"),
        ("one word", "kill "),
        ("one letter", "a"),
        ("letters apart", "p o r n . "),
        ("signs", "!*@$1*!"),
        ("beginnings", "suicidx paedophilx "),
    ];
    for (what, piece) in made {
        let mut took = [0.0_f64; 2];
        for (took, kilobytes) in took.iter_mut().zip([64, 1024]) {
            let text = piece.repeat((kilobytes << 10) / piece.len());
            // The least of some, as other work runs beside.
            let times = (0..3).map(|_| {
                #[allow(clippy::disallowed_methods, reason = "this measures")]
                let start = std::time::Instant::now();
                let found = themes.score_typed(&text, &mut scratch);
                assert!(found.score(0).percent < u32::MAX);
                start.elapsed().as_secs_f64()
            });
            *took = times.fold(f64::MAX, f64::min);
        }
        assert!(took[1] < took[0] * 16.0 * 4.0 + 0.01, "{what}: {took:?}");
    }
}

/// Groups of a few words, so that they meet often.
fn any_groups() -> impl Strategy<Value = Vec<String>> {
    let phrases = || prop::collection::vec("\"[abc]{1,2}( [abc]{1,2})?\"", 1..4);
    let optional = || prop::collection::vec("\"[abc]{1,2}\"", 0..3);
    let group = (-100..100_i32, phrases(), optional(), optional(), 0..4_u16, any::<bool>());
    let group = group.prop_map(|(weight, any, with, unless, near, in_order)| {
        let weight = if weight == 0 { 1 } else { weight };
        format!(
            "[[group]]\nweight = {weight}\nany = [{}]\nwith = [{}]\nunless = [{}]\nnear = {near}\nin_order = {in_order}\n",
            any.join(", "),
            with.join(", "),
            unless.join(", "),
        )
    });
    prop::collection::vec(group, 1..6)
}

proptest! {
    #[test]
    fn the_order_of_groups_and_packs_changes_nothing(
        groups in any_groups(), text in "([abc]{1,2}[ .]){0,30}", turn in 0_usize..6
    ) {
        let mut turned = groups.clone();
        turned.rotate_left(turn % groups.len());
        let one = compiled(&[("a", &groups.concat())]);
        let other = compiled(&[("a", &turned.concat())]);
        let apart: Vec<(&str, &str)> = turned.iter().rev().map(|group| ("a", group.as_str())).collect();
        let apart = compiled(&apart);
        let expected = points(&one, &text);
        prop_assert_eq!(points(&other, &text), expected);
        prop_assert_eq!(points(&apart, &text), expected);
    }

    #[test]
    fn however_a_page_is_cut_its_score_is_the_same(
        groups in any_groups(), text in "([abc]{1,2}[ .é]){0,40}", repeat in 1_usize..60, cut in 0_usize..3000
    ) {
        let themes = compiled(&[("a", &groups.concat())]);
        let text = text.repeat(repeat);
        let cut = text.floor_char_boundary(cut);
        let mut scratch = Scratch::default();
        let whole = themes.score_page(&text, &mut scratch).score(0);
        let mut scan = themes.start(&mut scratch);
        scan.feed(&text[..cut]);
        scan.feed(&text[cut..]);
        prop_assert_eq!(scan.finish().score(0), whole);
    }

    #[test]
    fn a_page_of_many_passages_holds_what_a_plain_look_finds(
        text in prop::collection::vec("[abc]", 1000..2500)
    ) {
        // A word counts wherever it stands; passages overlap, and nothing counts twice.
        let pack = "[[group]]\nweight = 3\nany = [\"a b c a\", \"c c c b\"]\n[[group]]\nweight = 100\n\
                    any = [\"a a a\"]\nwith = [\"b b b\"]\nnear = 0\n";
        let themes = compiled(&[("a", pack)]);
        let text = text.join(" ");
        let has = |phrase: &str| i64::from(text.contains(phrase));
        let near = has("a a a b b b").max(has("b b b a a a"));
        let expected = 3 * (has("a b c a") + has("c c c b")) + 100 * near;
        prop_assert_eq!(points(&themes, &text)[0], expected);
    }

    #[test]
    fn any_text_is_scored_and_findings_lie_in_it(text in r"\PC{0,200}|([a-z0-9@$!* .-]{1,8} ?){0,30}") {
        thread_local! {
            static THEMES: Themes = Themes::shipped();
        }
        THEMES.with(|themes| {
            let mut scratch = Scratch::default();
            let found = themes.score_typed(&text, &mut scratch);
            for one in found.findings() {
                assert!(one.start < one.end && one.end <= text.len() as u64);
                assert!(text.get(one.start as usize..one.end as usize).is_some());
            }
            let _ = themes.score_address(&text, &text, &mut scratch).scores().count();
        });
    }
}
