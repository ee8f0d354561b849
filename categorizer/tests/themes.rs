//! The shipped packs on searches made up for this: those that the packs were made with.
//!
//! How well they do with others is measured by `tests/theme_quality.rs` of the workspace.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::collections::BTreeMap;
use std::path::Path;

use categorizer::theme::{Scratch, Themes};

/// Of some 3,280 searches. None was wrong by the packs of loose combinations that had been made with them, 39 by the first
/// weights, and 71, 74 and 75 by those learned from ever more lines, which are less often wrong of searches that nothing was made
/// with (ADR 23). No more than these may become so.
const MOST_WRONG: usize = 75;

fn cases() -> Vec<(Vec<String>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/themes/searches.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let (themes, text) = line.split_once('\t').unwrap();
        let mut themes: Vec<String> =
            themes.split(',').filter(|name| *name != "-").map(String::from).collect();
        themes.sort();
        (themes, text.to_owned())
    };
    lines.map(case).collect()
}

#[test]
fn searches_are_of_their_themes_and_lessons_of_none() {
    // Many hold no phrase that is left: what words weigh finds them, and may take a few of them wrongly.
    let by_phrases = wrong_by(&Themes::shipped().without_weights());
    let by_both = wrong_by(&Themes::shipped());
    println!("wrong by phrases: {by_phrases}, by both: {by_both}");
    assert!(by_both < by_phrases && by_both <= MOST_WRONG, "{by_both}, by phrases {by_phrases}");
}

fn wrong_by(themes: &Themes) -> usize {
    let mut scratch = Scratch::default();
    let cases = cases();
    assert!(cases.len() >= 1_300, "{}", cases.len());
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (wanted, text) in &cases {
        let found = themes.score_typed(text, &mut scratch);
        let mut got: Vec<&str> = found.themes_from(100).collect();
        got.sort_unstable();
        // A further theme of what is of one is no fault; any of what is of none is.
        let is_found = wanted.iter().all(|theme| got.contains(&theme.as_str()));
        if !is_found || wanted.is_empty() && !got.is_empty() {
            wrong.push(format!("{text}: {got:?}, not {wanted:?}"));
        }
        for name in wanted {
            *counts.entry(name.clone()).or_default() += 1;
        }
    }
    for theme in themes.themes() {
        assert!(counts[&theme.name] >= 50, "{}: {counts:?}", theme.name);
    }
    println!("{}", wrong.join("\n"));
    wrong.len()
}

#[test]
fn no_host_of_help_is_of_a_theme() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    for theme in themes.themes() {
        for host in &theme.help {
            let found = themes.score_address(&format!("www.{host}"), "/suicide/", &mut scratch);
            assert_eq!(found.themes_from(100).collect::<Vec<_>>(), Vec::<&str>::new(), "{host}");
        }
    }
}

#[test]
fn a_text_scores_the_same_again_and_in_capitals() {
    let themes = Themes::shipped();
    let (mut scratch, mut other) = (Scratch::default(), Scratch::default());
    for (_, text) in cases() {
        let first: Vec<_> = themes.score_typed(&text, &mut scratch).scores().collect();
        let again: Vec<_> = themes.score_typed(&text, &mut scratch).scores().collect();
        assert_eq!(first, again, "{text}");
        let loud: Vec<_> = themes.score_typed(&text.to_uppercase(), &mut other).scores().collect();
        assert_eq!(first, loud, "{text}");
    }
}

#[test]
fn no_address_of_help_or_of_a_lesson_is_of_a_theme() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    for (host, path) in [
        ("revengepornhelpline.org.uk", "/how-can-we-help/if-someone-is-threatening-you/"),
        ("www.brook.org.uk", "/your-life/sex-and-consent/"),
        ("www.bishuk.com", "/sex/how-to-have-sex/"),
        ("www.nhs.uk", "/live-well/sexual-health/sex-activities-and-risk/"),
        ("www.sexwise.org.uk", "/contraception/condoms"),
        ("www.scarleteen.com", "/article/sex_sexuality/ready_or_not_first_sex"),
        (
            "www.mind.org.uk",
            "/information-support/types-of-mental-health-problems/suicidal-feelings/",
        ),
        ("www.papyrus-uk.org", "/i-want-to-kill-myself/"),
        ("www.selfinjurysupport.org.uk", "/self-harm-distractions"),
        ("www.nspcc.org.uk", "/what-is-child-abuse/types-of-abuse/child-sexual-exploitation/"),
        ("www.talktofrank.com", "/drug/ketamine?a=buying#ketamine"),
        ("www.drugwise.org.uk", "/cocaine-and-crack/"),
        ("www.bbc.co.uk", "/bitesize/guides/z2ycj6f/revision/3?topic=nazi-propaganda"),
        ("www.bbc.co.uk", "/bitesize/topics/zcyjyrd/macbeth-murder-of-duncan"),
        ("en.wikipedia.org", "/wiki/Suicide_in_literature"),
        ("en.wikipedia.org", "/wiki/Breast_cancer"),
        ("www.tate.org.uk", "/art/artworks/reclining-nude-woman-n0123"),
        ("www.holocaust.org.uk", "/blog/nazi-extermination-camps"),
        ("www.historylearningsite.example", "/gunpowder-plot/how-guy-fawkes-made-bombs.html"),
        ("www.rspb.org.uk", "/birds/great-tit/"),
        ("fonts.gstatic.example", "/s/nunito/v26/XRXV3I6Li01BKofINeaB-suIcide-1kill.woff2"),
        ("cdn.adverts.example", "/rtb/dXNlcg-UGLY_fAtk1d/9f2d?cb=killyourself&sz=300x250"),
    ] {
        let found = themes.score_address(host, path, &mut scratch);
        assert_eq!(found.themes_from(100).collect::<Vec<_>>(), Vec::<&str>::new(), "{host}{path}");
    }
}

#[test]
fn an_address_that_says_what_it_is_is_of_its_theme() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    for (host, path, theme) in [
        ("forum.example", "/t/how-to-tie-a-noose-and-hang-myself", "suicide"),
        ("free-porn-videos.example", "/hardcore-sex-videos/", "pornography"),
        ("shop.example", "/?q=buy+ketamine+and+cocaine+online", "drugs"),
    ] {
        let found = themes.score_address(host, path, &mut scratch);
        assert!(found.themes_from(100).any(|name| name == theme), "{host}{path}");
    }
}

/// Looks for help, for oneself or for somebody else, and what somebody says of themselves beside one.
const HELP: [(&str, &[&str], &[&str]); 7] = [
    (
        "en",
        &["how do i stop self harming", "my friend wants to die what can i do"],
        &["i am going to kill myself tonight help", "childline number i want to die"],
    ),
    (
        "cy",
        &[
            "sut i helpu ffrind sy'n hunan-niweidio",
            "mae fy mrawd yn sôn am ladd ei hun be ddylwn i neud",
            "taflen am hunanladdiad i rieni",
            "sut mae stopio hunan-niweidio",
        ],
        &[
            "llinell gymorth dwi'n mynd i ladd fy hun",
            "rhif y samariaid dwi isio marw",
            "dwi isio marw rhywun i siarad plis",
            "mae fy ffrind isio marw be i neud dwi isio lladd fy hun hefyd",
        ],
    ),
    (
        "pl",
        &[
            "koleżanka chce się zabić jak jej pomóc",
            "brat mówi że nie chce żyć co robić",
            "ulotka o samobójstwach dla rodziców",
            "jak przestać się okaleczać",
        ],
        &[
            "telefon zaufania chcę się zabić",
            "muszę się zabić gdzie szukać pomocy",
            "chcę umrzeć z kim pogadać",
            "kolega chce umrzeć co robić ja też chcę umrzeć",
        ],
    ),
    (
        "ro",
        &[
            "fratele meu vrea să se omoare ce să fac",
            "cum vorbesc cu o prietenă care vrea să moară",
            "pliant despre sinucidere pentru părinți",
            "cum mă opresc din automutilare",
        ],
        &[
            "telefonul copilului vreau să mă omor",
            "vreau să mor unde cer ajutor",
            "mă sinucid azi cine mă poate ajuta",
            "prietena mea vrea să moară ce fac și eu vreau să mor",
        ],
    ),
    (
        "ur",
        &[
            "میرا دوست خودکشی کرنا چاہتا ہے اس کی مدد کیسے کروں",
            "بہن کہتی ہے جینا نہیں چاہتی کیا کریں",
            "خودکشی سے بچاؤ والدین کے لیے کتابچہ",
            "خود کو کاٹنا کیسے چھوڑوں",
        ],
        &[
            "ہیلپ لائن میں خودکشی کرنا چاہتا ہوں",
            "میں مرنا چاہتی ہوں کس سے بات کروں",
            "دوست مرنا چاہتا ہے کیا کروں میں بھی مرنا چاہتا ہوں",
        ],
    ),
    (
        "ur-Latn",
        &[
            "mera dost khudkushi karna chahta hai uski madad kaise karun",
            "khud ko kaatna kaise chhorun",
        ],
        &[
            "kis se baat karun khudkushi karna chahta hun",
            "marna chahti hoon madad kahan se milegi",
        ],
    ),
    (
        "ar",
        &[
            "أخي يريد أن ينتحر كيف أساعده",
            "صاحبتي بدها تموت شو بعمل",
            "نشرة عن الانتحار للأهل",
            "كيف أبطل أجرح نفسي",
        ],
        &[
            "خط المساعدة أريد أن أقتل نفسي",
            "بدي أموت مع مين أحكي",
            "أريد أن أنتحر كيف أطلب المساعدة",
            "رفيقتي بدها تموت شو بعمل وأنا كمان بدي أموت",
        ],
    ),
];

#[test]
fn a_look_for_help_is_no_sign_in_any_language_and_excuses_nothing_that_is_said_of_oneself() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    let mut wrong = Vec::new();
    for (language, help, said) in HELP {
        for (line, is_said) in
            help.iter().map(|line| (line, false)).chain(said.iter().map(|line| (line, true)))
        {
            let found = themes.score_typed(line, &mut scratch);
            let of: Vec<&str> = found.themes_from(100).collect();
            if of.contains(&"suicide") != is_said || !is_said && !of.is_empty() {
                wrong.push(format!("{language}: {line}: {of:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Who names a helpline, or asks for somebody to talk to, is not refused for what they say beside it.
#[test]
fn a_look_for_somebody_to_talk_to_is_one_for_help_in_any_language() {
    let themes = Themes::shipped();
    let mut scratch = Scratch::default();
    let mut is_help =
        |line: &str| themes.score_typed(line, &mut scratch).findings().any(|it| it.is_help);
    for line in [
        "childline number",
        "llinell gymorth i bobl ifanc",
        "z kim pogadać wieczorem",
        "telefonul copilului program",
        "چائلڈ لائن اردو",
        "kis se baat karun",
        "خط مساعدة للشباب",
    ] {
        assert!(is_help(line), "{line}");
    }
    for line in ["how do volcanoes form", "jak powstają wulkany", "كيف تتكون البراكين"]
    {
        assert!(!is_help(line), "{line}");
    }
}
