//! Reads JSON from outside in bounded memory, and searches broken JSON for members.

use std::fmt;
use std::iter;

use memchr::memmem;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The byte-order mark, which some programs write in front of a text.
const MARK: &[u8] = "\u{feff}".as_bytes();
/// The most values that are read at each depth.
const VALUES: usize = 2_000;
/// The most values that are read of one list.
const ITEMS: usize = 200;
/// The number of depths that are read.
const DEPTH: usize = 16;

/// Reads JSON in memory that does not grow with the number of values. The text may begin with a byte-order mark.
///
/// A value takes up to a hundred times the memory of its text, so only a part of a long reply is read. The number of
/// values is limited at each depth, so a long list never displaces a value above it, such as the id of a task.
///
/// # Errors
///
/// Fails if the text is not JSON.
pub fn json(text: &[u8]) -> serde_json::Result<Value> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = bounded(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Reads JSON like [`json`], from any deserializer.
pub(crate) fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Part {
        left: &mut [VALUES; DEPTH],
    }
    .deserialize(deserializer)
}

/// Finds every text and every whole number in a member of this name, in order. The body can be a part of a JSON
/// document: a broken reply to a paid request can still have the id of a task. A value that is cut short is left out,
/// since a cut id names another task or none.
pub fn members<'a>(body: &'a [u8], name: &str) -> impl Iterator<Item = String> + use<'a> {
    values(body, name).filter_map(|value| text(value).or_else(|| digits(value)))
}

/// Finds only the texts that [`members`] finds.
pub fn member_texts<'a>(body: &'a [u8], name: &str) -> impl Iterator<Item = String> + use<'a> {
    values(body, name).filter_map(text)
}

/// Finds the places at which the values of a member begin.
fn values<'a>(body: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let name = format!("\"{name}\"");
    let mut rest = body;
    let after_name = iter::from_fn(move || {
        rest = &rest[memmem::find(rest, name.as_bytes())? + name.len()..];
        Some(rest)
    });
    after_name.filter_map(|text| {
        Some(
            text.trim_ascii_start()
                .strip_prefix(b":")?
                .trim_ascii_start(),
        )
    })
}

/// Reads the whole text at the start.
fn text(start: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(start);
    if start.starts_with(b"\"") {
        String::deserialize(&mut json).ok()
    } else {
        None
    }
}

/// Reads the whole number at the start, of any length. A number at the end of the body may be cut, so it is left out.
fn digits(start: &[u8]) -> Option<String> {
    let count = start
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let is_whole = start
        .get(count)
        .is_some_and(|end| b",}] \t\r\n".contains(end));
    (count > 0 && is_whole).then(|| String::from_utf8_lossy(&start[..count]).into_owned())
}

/// A value to read, and the number of values that may still be read at its depth and at each depth below.
struct Part<'a> {
    left: &'a mut [usize],
}

impl Part<'_> {
    /// Returns the part for the next value inside a list or an object, if one more may be read at its depth.
    fn below(&mut self) -> Option<Part<'_>> {
        let left = self.left.get_mut(1..)?;
        (*left.first()? > 0).then_some(Part { left })
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if let Some(left) = self.left.first_mut() {
            *left -= 1;
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(boolean.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < ITEMS
            && let Some(part) = self.below()
        {
            match items.next_element_seed(part)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(part) = self.below() {
            match members.next_key()? {
                Some(name) => drop(object.insert(name, members.next_value_seed(part)?)),
                None => return Ok(object.into()),
            }
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_short_is_read_whole() {
        let text = r#" {"a":[null,true,-1,18446744073709551615,1.5,"é\n"],"b":{"c":{}},"a":[]} "#;
        assert_eq!(
            json(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        assert_eq!(
            json("\u{feff}{}".as_bytes()).unwrap(),
            serde_json::json!({})
        );
        for wrong in [
            "",
            "\u{feff}",
            "{",
            "[1,]",
            "{} x",
            r#"{"a":1e999}"#,
            "nul",
            r#"{"a" 1}"#,
        ] {
            assert!(json(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    /// A long value does not displace the values beside it and above it.
    #[test]
    fn what_is_long_costs_nothing_above_it() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let many = format!("[{}0]", "{\"a\":{\"b\":[]}},".repeat(10_000));
        let names: String = (0..10_000)
            .map(|number| format!("\"{number}\":{{}},"))
            .collect();
        for long in [deep, many, format!("{{{names}\"end\":0}}")] {
            let value =
                json(format!(r#"{{"first":{{"id":"t1"}},"long":{long},"last":"x"}}"#).as_bytes())
                    .unwrap();
            assert_eq!(
                (&value["first"], &value["last"]),
                (&json!({ "id": "t1" }), &json!("x"))
            );
            assert!(
                value.to_string().len() < 100_000,
                "{}",
                &value.to_string()[..1000]
            );
            // Each list is short enough that the value after it, at the same depth, is read too.
            let value =
                json(format!(r#"{{"long":{long},"data":{{"id":"t1"}}}}"#).as_bytes()).unwrap();
            assert!(
                value["data"]["id"] == "t1" || long.starts_with('{'),
                "{}",
                &value.to_string()[..1000]
            );
        }
    }

    #[test]
    fn members_are_found_in_what_is_no_json() {
        let table: [(&str, &[&str]); 14] = [
            (r#"{"id":"t1"}"#, &["t1"]),
            (r#"<html>{ "id" : "t1" , "id":"t2"#, &["t1"]),
            (r#"{"id":"a\"b\\c\u002dd"}"#, &["a\"b\\c-d"]),
            (r#"{"id":"é"}"#, &["é"]),
            (
                r#"{"id":123456789012345678901234567890}"#,
                &["123456789012345678901234567890"],
            ),
            (r#"{"id":12 ,"id":3}"#, &["12", "3"]),
            (r#"{"id":12"#, &[]),
            (r#"{"id":1.5}"#, &[]),
            (
                r#"{"id":-1,"id":null,"id":true,"id":[],"id":{"id":"t1"}}"#,
                &["t1"],
            ),
            (r#"{"id":""}"#, &[""]),
            (r#"{"id":"cut \"#, &[]),
            (r#"{"id":"bad \x escape"}"#, &[]),
            (r#"{"msg":"{\"id\":\"t1\"}","the id":"t2","ID":"t3"}"#, &[]),
            (r#"{"id" "t1"} {"id"}"#, &[]),
        ];
        for (body, wanted) in table {
            assert_eq!(
                members(body.as_bytes(), "id").collect::<Vec<_>>(),
                wanted,
                "{body}"
            );
        }
        assert_eq!(
            members(b"\xff\"id\":\"t1\"\xff", "id").collect::<Vec<_>>(),
            ["t1"]
        );
    }
}
