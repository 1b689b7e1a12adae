//! The repair: what is mended, what is left alone, and that neither depends on how the input comes.

use proptest::prelude::*;

use super::*;

/// Serves its bytes in the given portions, over and over.
struct Portions<'a>(&'a [u8], Vec<usize>, usize);

impl Read for Portions<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let portion = self.1[self.2 % self.1.len()];
        self.2 += 1;
        let portion = portion.min(into.len());
        self.0.read(&mut into[..portion])
    }
}

fn repaired(text: &str) -> String {
    let mut out = String::new();
    Repair::new(text.as_bytes()).read_to_string(&mut out).unwrap();
    out
}

#[test]
fn a_control_character_becomes_valid_and_an_escaped_backslash_stays() {
    for (raw, valid) in [
        (r#""a\x1Eb""#, r#""a\u001Eb""#),
        (r#""\x00\x1f""#, r#""\u0000\u001f""#),
        (r#""\\x80""#, r#""\\x80""#),
        (r#""\\\x1E""#, r#""\\\u001E""#),
        (r#""\"\x1E""#, r#""\"\u001E""#),
        (r#""\xZZ \x1""#, r#""\xZZ \x1""#),
        (r#"\x1E "\x1E" \x1E"#, r#"\x1E "\u001E" \x1E"#),
        (r#""a\"#, r#""a\"#),
        (r#""a\x1"#, r#""a\u001"#),
        (r#""a\x"#, r#""a\u00"#),
    ] {
        assert_eq!(repaired(raw), valid);
    }
}

#[test]
fn an_unquoted_document_id_becomes_a_string() {
    for (raw, valid) in [
        ("video_files/sticker (2).webm", r#""video_files/sticker (2).webm""#),
        ("video_files/sticker.webm,", r#""video_files/sticker.webm","#),
        ("a, b.webm, ", r#""a, b.webm", "#),
        (r#"a"b\c.webm"#, r#""a\"b\\c.webm""#),
        ("12 (2).webm", r#""12 (2).webm""#),
        ("nullable.webm", r#""nullable.webm""#),
        (
            "(File not included. Change data exporting settings to download.)",
            r#""(File not included. Change data exporting settings to download.)""#,
        ),
    ] {
        let text = |value: &str| format!("{{\n \"document_id\": {value}\n}}");
        assert_eq!(repaired(&text(raw)), text(valid));
    }
    assert_eq!(repaired("{\"document_id\": ,\n\"a\": 1}"), "{\"document_id\":\"\" ,\n\"a\": 1}");
    assert_eq!(repaired("{\"document_id\": \n }"), "{\"document_id\":\"\" \n }");
    assert_eq!(repaired("{\"document_id\": a.webm\r\n}"), "{\"document_id\": \"a.webm\"\r\n}");
}

#[test]
fn a_valid_document_id_stays_as_it_is() {
    for text in [
        "{\"document_id\": \"53\"\n}",
        "{\"document_id\": \"5\\x1E\n".replace("\\x1E", "3").as_str(),
        "{\"document_id\": 5368324170671202286,\n\"a\": 1}",
        "{\"document_id\": -1.5e3}\n",
        "{\"document_id\":null,\"text\":\"x\"}\n",
        "{\"document_id\": true }\n",
        "{\"document_id\":\n \"53\"\n}",
        "{\"document_id\": {\"a\": 1}}\n",
        "[\"document_id\", 5]\n",
        "[\"document_id\"\n]",
        "{\"text\": \"\\\"document_id\\\": x\"\n}",
        "{\"my_document_id\": x\n}",
    ] {
        assert_eq!(repaired(text), text);
    }
}

#[test]
fn the_place_is_one_of_the_original() {
    let text = "\u{feff}{\n\"a\": \"\\x1E\",\n \"document_id\": x.webm\n} !";
    let mut repair = Repair::new(text.as_bytes());
    let position = repair.position();
    let mut byte = [0];
    let mut seen = Vec::new();
    while repair.read(&mut byte).unwrap() == 1 {
        seen.push((byte[0], position.place()));
    }
    let place = |wanted: u8| seen.iter().rfind(|(byte, _)| *byte == wanted).unwrap().1;
    assert_eq!(place(b'{'), Place { line: 1, byte: 3 });
    assert_eq!(place(b','), Place { line: 2, byte: text.find(',').unwrap() as u64 });
    assert_eq!(place(b'}'), Place { line: 4, byte: text.rfind('}').unwrap() as u64 });
    assert_eq!(place(b'!'), Place { line: 4, byte: text.len() as u64 - 1 });
    assert_eq!(repair.end(), Place { line: 4, byte: text.len() as u64 });
    assert_eq!(repair.repairs(), 2);
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r"\x1E".to_owned()),
        Just(r"\\".to_owned()),
        Just(r"\".to_owned()),
        Just(r#"\""#.to_owned()),
        Just("\"".to_owned()),
        Just("\"document_id\"".to_owned()),
        Just("\"document_id\": video_files/a \"b\".webm,\n".to_owned()),
        Just("\"document_id\": 5,\n".to_owned()),
        Just("\"document_id\": ".to_owned()),
        Just("\n}".to_owned()),
        "[ a-f0-9:,{}\n]{0,9}",
        (30_000_usize..70_000).prop_map(|length| "z".repeat(length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_output_does_not_depend_on_how_the_input_comes(
        pieces in prop::collection::vec(piece(), 0..24),
        input in prop::collection::vec(1_usize..9000, 1..6),
        output in prop::collection::vec(1_usize..900, 1..6),
    ) {
        let text = pieces.concat();
        let expected = repaired(&text);
        let mut repair = Repair::new(Portions(text.as_bytes(), input, 0));
        let mut got = Vec::new();
        let mut buffer = vec![0; 900];
        for size in output.iter().cycle() {
            match repair.read(&mut buffer[..*size]).unwrap() {
                0 => break,
                read => got.extend_from_slice(&buffer[..read]),
            }
        }
        prop_assert!(got == expected.as_bytes());
        prop_assert_eq!(repair.end().byte, text.len() as u64);
        prop_assert_eq!(repair.end().line, text.matches('\n').count() as u64 + 1);
    }

    #[test]
    fn valid_json_passes_unchanged(text in "[a-z\\\\\"\u{1}-\u{1f}é]{0,40}", pretty: bool) {
        let value = serde_json::json!({"document_id": text, "b": [text, {"document_id": null}, {"document_id": 5}]});
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(repaired(&text), text);
    }
}
