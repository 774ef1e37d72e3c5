//! Finding values in a text, also in parts and in other encodings.

use std::collections::{BTreeMap, HashMap};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

/// How many characters of a value are a part that should not be seen. A fingerprint has as many,
/// but it is a part of a hash.
const PART: usize = 12;

/// What is looked for: parts of all encodings of all values.
pub(crate) struct Needles(HashMap<[u8; PART], &'static str>);

impl Needles {
    /// Takes the random digits of owner values.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a String>) -> Self {
        let mut needles = Self(HashMap::new());
        for value in values {
            let bytes = bytes_of(value);
            needles.add("as it is", value);
            needles.add("in upper case", &value.to_uppercase());
            needles.add("backwards", &value.chars().rev().collect::<String>());
            needles.add("as a number", &u128::from_be_bytes(bytes).to_string());
            for (form, bytes) in [
                ("of its bytes", &bytes[..]),
                ("of its text", value.as_bytes()),
            ] {
                needles.add_bytes(form, bytes);
            }
        }
        needles
    }

    fn add_bytes(&mut self, form: &'static str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
        self.add(form, &hex);
        self.add(form, &hex.to_uppercase());
        self.add(form, &escaped);
        self.add(form, &escaped.to_uppercase().replace("\\X", "\\x"));
        self.add(form, &list.join(", "));
        self.add(form, &list.join(","));
        // Base64 of a text in which the value begins anywhere.
        for before in 0..3 {
            let whole = bytes.len().saturating_sub(before) / 3 * 3;
            let bytes = &bytes[before..before + whole];
            self.add(form, &STANDARD.encode(bytes));
            self.add(form, &URL_SAFE.encode(bytes));
        }
    }

    fn add(&mut self, form: &'static str, text: &str) {
        for part in text.as_bytes().windows(PART) {
            self.0.insert(part.try_into().expect("its length"), form);
        }
    }

    /// Returns the lines of a text in which something is found, one for each form.
    pub(crate) fn find(&self, text: &str) -> Vec<String> {
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        for line in text.lines() {
            let parts = line.as_bytes().windows(PART);
            let forms = parts.filter_map(|part| self.0.get(part).copied());
            for form in forms {
                found
                    .entry(form)
                    .or_insert_with(|| format!("an owner value {form}: {line}"));
            }
        }
        found.into_values().collect()
    }
}

fn bytes_of(value: &str) -> [u8; 16] {
    u128::from_str_radix(value, 16)
        .expect("hexadecimal digits")
        .to_be_bytes()
}

#[test]
fn a_value_is_found_in_each_form() {
    let value = "0f9c4a7be2d81536f0a1b2c3d4e5f607".to_owned();
    let needles = Needles::of([&value]);
    let bytes = bytes_of(&value);
    let ascii = value.as_bytes();
    for text in [
        format!("value={value}"),
        format!("value=pod-7#{value}"),
        format!("part={}", &value[5..17]),
        value.to_uppercase(),
        format!("{bytes:?}"),
        format!("{ascii:?}"),
        format!("{bytes:02x?}").replace(", ", ""),
        format!("{}", u128::from_str_radix(&value, 16).unwrap()),
        "\\x0f\\x9c\\x4a\\x7b\\xe2".to_owned(),
        "\\x30\\x66\\x39\\x63".to_owned(),
        // Of `pod-7#` and the value, and of the sixteen bytes.
        "cG9kLTcjMGY5YzRhN2JlMmQ4MTUzNmYwYTFiMmMzZDRlNWY2MDc=".to_owned(),
        "D5xKe+LYFTbwobLD1OX2Bw==".to_owned(),
        "D5xKe-LYFTbwobLD1OX2Bw".to_owned(),
    ] {
        assert_eq!(needles.find(&text).len(), 1, "{text}");
    }
    for text in [
        "a949a0e1b3ab",
        "name:0 token=1764130000000064",
        "OwnerValue(..)",
        &value[..11],
    ] {
        assert!(needles.find(text).is_empty(), "{text}");
    }
}
