//! The shapes are those of the large services as their documents describe them; the words are made up.

use crate::page::extract::{Extractor, Format};
use crate::page::text::Text;

fn text_of(format: Format, body: &str, size: usize) -> String {
    let (mut extractor, mut text) = (Extractor::new(format), Text::default());
    let mut read = String::new();
    for piece in body.as_bytes().chunks(size) {
        extractor.push(piece, &mut text);
        text.read(&mut |part| read.push_str(part));
    }
    extractor.end(&mut text);
    text.read_last(&mut |part| read.push_str(part));
    read
}

#[test]
fn pieces_of_a_word_join_in_the_shapes_of_the_large_services() {
    let completions = r#"data: {"id":"c1","model":"made-up","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}

data: {"id":"c1","model":"made-up","choices":[{"index":0,"delta":{"content":"The su"}}]}

data: {"id":"c1","model":"made-up","choices":[{"index":0,"delta":{"content":"ici"}}]}

data: {"id":"c1","model":"made-up","choices":[{"index":0,"delta":{"content":"de note"},"finish_reason":"stop"}]}

data: [DONE]

"#;
    let responses = r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"m1","delta":"The su","obfuscation":"x1"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"m1","delta":"ici","obfuscation":"y23"}

data: {"type":"response.output_text.delta","item_id":"m1","delta":"de note","obfuscation":"zz"}

"#;
    let deltas = "event: delta\r\ndata: {\"p\":\"/message/content/parts/0\",\"o\":\"append\",\"v\":\"The su\"}\r\n\r\nevent: delta\r\ndata: {\"v\":\"ici\"}\r\n\r\ndata: {\"v\":\"de note\"}\r\n\r\n";
    let blocks = r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"The su"}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ici"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"de note"}}

"#;
    let candidates = r#"data: {"candidates":[{"content":{"parts":[{"text":"The su"}],"role":"model"}}],"modelVersion":"m"}

data: {"candidates":[{"content":{"parts":[{"text":"ici"}],"role":"model"}}],"modelVersion":"m"}

data: {"candidates":[{"content":{"parts":[{"text":"de note"}],"role":"model"}}],"modelVersion":"m"}

"#;
    let plain = "data: The su\n\ndata: ici\n\ndata: de note\n\n";
    let quoted = "data: \"The su\"\n\ndata:\"ici\"\n\ndata: \"de note\"\n\n";
    for body in [completions, responses, deltas, blocks, candidates, plain, quoted] {
        for size in [1, 5, 4096] {
            let text = text_of(Format::Events, body, size);
            assert!(text.contains("The suicide note"), "{text}");
        }
    }
    let array = r#"[{"candidates":[{"content":{"parts":[{"text":"The su"}]}}]}
,
{"candidates":[{"content":{"parts":[{"text":"ici"}]}}]},{"candidates":[{"content":{"parts":[{"text":"de note"}]}}]}]"#;
    let lines = "{\"response\":\"The su\",\"done\":false}\n{\"response\":\"ici\",\"done\":false}\n{\"response\":\"de note\"}\n";
    // The text so far, as JSON in a string of JSON, behind lengths.
    let nested = ")]}'\n\n40\n[[\"w\",null,\"[null,[[\\\"r1\\\",[\\\"The su\\\"]]]]\"]]\n44\n[[\"w\",null,\"[null,[[\\\"r1\\\",[\\\"The suici\\\"]]]]\"]]\n45\n[[\"w\",null,\"[null,[[\\\"r1\\\",[\\\"The suicide note\\\"]]]]\"]]\n";
    for body in [array, lines, nested] {
        for size in [1, 5, 4096] {
            let text = text_of(Format::JsonStream, body, size);
            assert!(text.contains("The suicide note"), "{text}");
        }
    }
}

#[test]
fn messages_of_web_sockets_join() {
    let messages = [
        r#"{"event":"appendText","messageId":"a","text":"The su"}"#,
        r#"{"event":"appendText","messageId":"a","text":"icide note"}"#,
        r#"42["token",{"text":"The su"}]"#,
        r#"42["token",{"text":"icide note"}]"#,
        "The su",
        "icide note",
    ];
    for pair in messages.chunks(2) {
        let (mut extractor, mut text) = (Extractor::new(Format::Messages), Text::default());
        let mut read = String::new();
        for message in pair {
            message.bytes().for_each(|byte| extractor.push(&[byte], &mut text));
            extractor.end_message(&mut text);
            text.read(&mut |part| read.push_str(part));
        }
        assert!(read.contains("The suicide note"), "{read}");
    }
}

#[test]
fn what_stays_the_same_is_read_once_and_what_is_repeated_is_not_lost() {
    let event = |text: &str| format!("data: {{\"model\":\"made-up\",\"t\":\"{text}\"}}\n\n");
    let body: String = ["ha", "ha", "ha", " bye", " bye"].map(event).concat();
    let text = text_of(Format::Events, &body, 4096);
    assert_eq!(text.matches("made-up").count(), 1);
    assert!(text.contains("hahaha bye bye"), "{text}");
}

#[test]
fn the_text_so_far_is_read_once() {
    let words = "how to make a paper boat that swims";
    let body: String = (1..=words.len())
        .map(|end| format!("data: {{\"text\":\"{}\"}}\n\n", &words[..end]))
        .collect();
    let text = text_of(Format::Events, &body, 4096);
    assert!(text.ends_with("how to make a paper boat that swims\n"), "{text}");
    assert_eq!(text.matches("boat").count(), 1);
}

#[test]
fn lanes_that_take_turns_keep_their_phrases() {
    let words = ["how", " to", " make", " a", " pa", "per", " boat"];
    let body: String = words
        .iter()
        .enumerate()
        .map(|(at, word)| format!("data: {{\"text\":\"{word}\",\"nonce\":\"n{at}\"}}\n\n"))
        .collect();
    let text = text_of(Format::Events, &body, 4096);
    assert!(text.contains("make a paper boat"), "{text}");
}

#[test]
fn values_of_one_document_stand_by_themselves() {
    let text = text_of(Format::Json, r#"{"a":["su","icide"],"b":"x"}"#, 3);
    assert_eq!(text, "su\nicide\nx\n");
    let text = text_of(Format::JsonStream, r#"{"a":["su","icide"],"b":"x"}"#, 3);
    assert_eq!(text, "su\nicide\nx\n");
}

#[test]
fn megabytes_of_events_are_read_within_bounds() {
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "word ".repeat(50_000));
    let pieces = [
        "data: {\"a\":\"x\",\"b\":\"y\"}\n\n",
        "data:x\n\n",
        "data: {\"a\":\"",
        "data",
        "\n",
        "data: \"[\\\"[\\\\\\\"a\\\\\\\"]\\\"]\"\n\n",
        &long,
    ];
    for piece in pieces {
        let body = piece.repeat((1 << 20) / piece.len());
        for format in [Format::Events, Format::JsonStream] {
            let (mut extractor, mut text) = (Extractor::new(format), Text::default());
            let mut most = 0;
            for chunk in body.as_bytes().chunks(16 << 10) {
                extractor.push(chunk, &mut text);
                most = most.max(text.waiting_bytes());
                text.read(&mut |_| ());
            }
            extractor.end(&mut text);
            // A lane's last words come again where lanes take turns.
            assert!(most <= 512 << 10, "{piece:.40}: {most}");
        }
    }
}

#[test]
fn letters_among_what_only_fills_are_read_as_words_and_not_again_and_again() {
    let reply = "how to tie a noose, which pills to take, where to jump, and what to write in a note about it";
    let mut body = String::new();
    for (number, letter) in reply.chars().enumerate() {
        let fills = format!("{:x}{:x}", number * 48_271 + 7, number * 7_919);
        body += &format!(
            "{{\"at\":\"2026-11-30T12:00:00.{number:06}Z\",\"v\":\"{letter}\",\"fills\":\"{fills}\"}}\n"
        );
    }
    for size in [1, 40, usize::MAX] {
        let read = text_of(Format::JsonStream, &body, size);
        for phrase in ["tie a noose", "pills to take", "in a note about it"] {
            assert!(read.contains(phrase), "{phrase}: {read}");
        }
        let words = read.split_whitespace().count();
        assert!(words < 60, "{words} for {}: {read}", reply.split(' ').count());
    }
}

#[test]
fn what_has_not_ended_is_read_as_far_as_it_came() {
    let sentence = "how to tie a noose and where to jump ".repeat(10);
    for begun in ["data: ", "data: {\"v\":\""] {
        let (mut extractor, mut text) = (Extractor::new(Format::Events), Text::default());
        let mut read = String::new();
        for piece in [begun, &sentence] {
            extractor.push(piece.as_bytes(), &mut text);
            text.read(&mut |part| read.push_str(part));
        }
        assert!(read.len() > 250, "{begun}: {read}");
    }
    // What may still be JSON, or the text so far again, waits.
    let packed = format!("data: {{\"v\":\"{{\\\"a\\\":\\\"{sentence}");
    assert_eq!(
        text_of(Format::Events, &format!("{packed}\\\"}}\"}}\n\n"), 7).trim(),
        sentence.trim()
    );
    let so_far = format!(
        "data: {sentence}\n\ndata: {sentence}and {sentence}\n\ndata: {sentence}and {sentence}\n\n"
    );
    assert_eq!(
        text_of(Format::Events, &so_far, 7).trim(),
        format!("{sentence}and {sentence}").trim()
    );
}

#[test]
fn words_without_blanks_are_read_beside_what_changes_and_has_some() {
    let reply = ["noose", "rope", "cord", "belt", "scarf", "sheet"].map(|with| {
        format!("how_to_tie_a_{with},_which_pills_to_take,_where_to_jump,_what_to_write_in_a_{with}_note,_")
    });
    let reply = reply.concat();
    // As it is, with as many digits between as times have, and as words of few letters.
    let numbered = reply.replace('_', "_4711_");
    let letters: Vec<char> = reply.chars().collect();
    let parted = letters.chunks(9).map(String::from_iter).collect::<Vec<_>>().join("00");
    for reply in [&reply, &numbered, &parted] {
        for siblings in ["2026-11-30 12:00:00.", "2026-11-30T12:00:00."] {
            let mut body = String::new();
            for (number, piece) in reply.as_bytes().chunks(7).enumerate() {
                let piece = std::str::from_utf8(piece).unwrap_or_default();
                body +=
                    &format!("data: {{\"at\":\"{siblings}{number:06}\",\"v\":\"{piece}\"}}\n\n");
            }
            for size in [1, 100, usize::MAX] {
                let read = text_of(Format::Events, &body, size);
                for at in (0..reply.len() - 40).step_by(10) {
                    let phrase = &reply[at..at + 40];
                    assert!(read.contains(phrase), "{phrase} beside {siblings}: {read}");
                }
            }
        }
    }
}

#[test]
fn what_is_read_of_a_long_value_does_not_hang_on_how_it_is_cut() {
    let number = "0123456789".repeat(7_000);
    let long = [number.clone(), "[1_".to_owned() + &number, "how_to_".repeat(10_000)];
    let mut body = String::new();
    for (at, value) in (0..12).flat_map(|_| long.iter()).enumerate() {
        body += &format!(
            "{{\"at\":\"2026-11-30 12:00:00.{at:06}\",\"v\":\"{value}\",\"n\":\"{at}\"}}\n"
        );
    }
    let whole = text_of(Format::JsonStream, &body, usize::MAX);
    assert!(whole.len() > 12 * 210_000, "all of it is read: {}", whole.len());
    for size in [100, 255, 4_099] {
        assert!(text_of(Format::JsonStream, &body, size) == whole, "in pieces of {size}");
    }
}

#[test]
fn what_waits_for_more_is_read_where_nothing_comes() {
    let (mut extractor, mut text) = (Extractor::new(Format::Messages), Text::default());
    let mut read = String::new();
    let tell = |extractor: &mut Extractor, text: &mut Text, at: usize, piece: &str| {
        let message = format!("{{\"at\":\"it is now 12:00:00.{at:06}\",\"v\":\"{piece}\"}}");
        extractor.push(message.as_bytes(), text);
        extractor.end_message(text);
    };
    for at in 0..12 {
        tell(&mut extractor, &mut text, at, ["ha ", "ho "][at % 2]);
    }
    tell(&mut extractor, &mut text, 12, "where to ju");
    text.read(&mut |part| read.push_str(part));
    assert!(!read.contains("where to ju"), "{read}");
    extractor.rest(&mut text);
    text.read(&mut |part| read.push_str(part));
    assert!(read.ends_with("where to ju"), "{read}");
    extractor.rest(&mut text);
    tell(&mut extractor, &mut text, 13, "mp");
    text.read(&mut |part| read.push_str(part));
    assert!(read.ends_with("where to jump"), "{read}");
}
