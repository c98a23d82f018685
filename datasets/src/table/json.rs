//! Tables of JSON objects: one a line, one after the other over several lines, or all in a list.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Deserializer, Map, Value};

use super::{Cell, Row, Table, text};
use crate::Error;

/// More different keys than that are no names of columns.
const MOST_KEYS: usize = 1000;
const OBJECT: &str = "one JSON object";

/// Reads the file; the columns are the keys of all objects together.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let text = text(path)?;
    let mut rows = Rows { table: Table { path: path.into(), keyed: true, ..Table::default() }, ..Rows::default() };
    let start = text.trim_start();
    let first = start.lines().next().unwrap_or_default();
    // an object that goes over several lines does not end on its first
    let goes_on = || serde_json::from_str::<Value>(first).is_err_and(|error| error.is_eof());
    match start.as_bytes().first() {
        Some(b'[') => rows.list(&text)?,
        Some(b'{') if goes_on() => rows.spread(&text)?,
        _ => rows.lines(&text)?,
    }
    rows.table()
}

/// What is read so far.
#[derive(Default)]
struct Rows {
    table: Table,
    places: HashMap<String, usize>,
    /// The only object, as long as there is one.
    only: Option<Map<String, Value>>,
}

impl Rows {
    /// One object a line.
    fn lines(&mut self, text: &str) -> Result<(), Error> {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            self.value(at + 1, line)?;
        }
        Ok(())
    }

    /// Objects that go over several lines each.
    fn spread(&mut self, text: &str) -> Result<(), Error> {
        let mut values = Deserializer::from_str(text).into_iter::<Value>();
        let (mut line, mut counted) = (1, 0);
        loop {
            let before = values.byte_offset();
            let begin = before + text[before..].len() - text[before..].trim_start().len();
            line += breaks(&text[counted..begin]);
            counted = begin;
            match values.next() {
                None => return Ok(()),
                Some(Ok(value)) => self.object(line, value)?,
                Some(Err(error)) => {
                    let got = if error.is_eof() { "one that is cut off" } else { not_json(text) };
                    return Err(self.table.wrong(error.line().max(line), OBJECT, got));
                }
            }
        }
    }

    /// Objects in one list.
    fn list(&mut self, text: &str) -> Result<(), Error> {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            if error.is_eof() {
                let message = "the list of rows has no end; write or fetch the file again".into();
                return Err(Error::Unusable { path: self.table.path.clone(), message });
            }
            // a list a line is told by its line
            if text.lines().next().is_some_and(|first| serde_json::from_str::<Value>(first).is_ok()) {
                self.lines(text)?;
            }
            return Err(self.table.wrong(error.line(), "a list of JSON objects", not_json(text)));
        }
        let items = items(text);
        // where several objects share a line, only their numbers tell them apart
        self.table.counts_rows = items.windows(2).any(|pair| pair[0].0 == pair[1].0);
        for (at, (line, item)) in items.into_iter().enumerate() {
            self.value(if self.table.counts_rows { at + 1 } else { line }, item)?;
        }
        self.only = None;
        Ok(())
    }

    fn value(&mut self, line: usize, text: &str) -> Result<(), Error> {
        match serde_json::from_str(text) {
            Ok(value) => self.object(line, value),
            Err(_) => Err(self.table.wrong(line, OBJECT, not_json(text))),
        }
    }

    fn object(&mut self, line: usize, value: Value) -> Result<(), Error> {
        let Value::Object(object) = value else {
            return Err(self.table.wrong(line, OBJECT, "another kind of value"));
        };
        self.only = self.table.rows.is_empty().then(|| object.clone());
        let mut cells = Vec::with_capacity(self.places.len());
        for (key, value) in object {
            let next = self.places.len();
            let place = *self.places.entry(key).or_insert_with_key(|key| {
                self.table.columns.push(key.clone());
                next
            });
            if cells.len() <= place {
                cells.resize(place + 1, Cell::Absent);
            }
            cells[place] = value.into();
        }
        if self.places.len() > MOST_KEYS {
            let got = format!("more than {MOST_KEYS} in all; write what differs from row to row as a value");
            return Err(self.table.wrong(line, "the same keys in every object", got));
        }
        self.table.rows.push(Row { line, cells });
        Ok(())
    }

    /// The table, unless its only object is a table of another make.
    fn table(self) -> Result<Table, Error> {
        let Some(only) = self.only.filter(|only| !only.is_empty()) else { return Ok(self.table) };
        let is_column = |value: &Value| value.is_object() || value.is_array();
        let is_rows = |value: &&Value| value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
        let what = match only.values().find(is_rows) {
            Some(_) => "one object with the list of rows inside it; write the list alone, or one object a line",
            None if only.len() > 1 && only.values().all(is_column) => {
                "one object of columns; write one object a row, one a line (pandas: to_json(FILE, orient=\"records\", lines=True))"
            }
            None => return Ok(self.table),
        };
        Err(Error::Unusable { path: self.table.path, message: format!("this is {what}") })
    }
}

fn not_json(text: &str) -> &'static str {
    match ["NaN", "Infinity"].iter().any(|word| text.contains(word)) {
        true => "no JSON, which has neither NaN nor Infinity; leave such a row out",
        false => "no JSON",
    }
}

fn breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The values of a list that is known to be one, each with its line.
fn items(text: &str) -> Vec<(usize, &str)> {
    let (mut items, mut depth, mut within, mut escaped) = (Vec::new(), 0, false, false);
    let (mut line, mut begin) = (1, 0);
    for (at, byte) in text.bytes().enumerate() {
        let ends = depth == 1 && !within && matches!(byte, b',' | b']');
        if ends {
            let item = &text[begin..at];
            if !item.trim().is_empty() {
                let blank = &item[..item.len() - item.trim_start().len()];
                items.push((line - breaks(item) + breaks(blank), item.trim()));
            }
        }
        match byte {
            b'\n' => line += 1,
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b'[' | b'{' if !within => depth += 1,
            b']' | b'}' if !within => depth -= 1,
            _ => {}
        }
        if ends || (depth == 1 && begin == 0) {
            begin = at + 1;
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Table, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    /// Line and text of every row.
    fn texts(text: &str) -> Vec<(usize, String)> {
        let table = table(text).unwrap();
        let column = table.column("text").unwrap();
        table.rows.iter().map(|row| (row.line, table.text(row, column).unwrap().to_string())).collect()
    }

    #[test]
    fn an_object_is_a_row() {
        let rows = texts("{\"text\":\"fine \\u00e9\",\"label\":1}\n\n{\"label\":0.5,\"more\":[],\"text\":null}\n");
        assert_eq!(rows, [(1, "fine é".to_string()), (3, String::new())]);
    }

    #[test]
    fn a_key_that_a_row_lacks_is_missed_only_where_it_is_asked_for() {
        let table = table("{\"text\":\"fine\",\"note\":\"x\"}\n{\"label\":{\"a\":1},\"text\":\"secret\"}\n").unwrap();
        let column = |name| table.column(name).unwrap();
        assert_eq!(table.text(&table.rows[1], column("text")).unwrap(), "secret");
        for (row, name, says) in [
            (1, "note", "line 2: expected the key `note`, got an object without it"),
            (0, "label", "line 1: expected the key `label`, got an object without it"),
            (1, "label", "line 2: expected a text in column `label`, got an object"),
        ] {
            let error = table.text(&table.rows[row], column(name)).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
        let error = table.column("none").unwrap_err().to_string();
        assert!(error.contains("there are: ") && error.contains("note") && error.contains("label"), "{error}");
    }

    #[test]
    fn lists_are_read_however_they_are_laid_out() {
        let row = |line: usize, text: &str| (line, text.to_string());
        let one = "[{\"text\": \"a ] } , \\\" film\", \"label\": [1, 2]}, {\"text\":\"b\"}]";
        assert_eq!(texts(one), [row(1, "a ] } , \" film"), row(2, "b")]);
        let pretty = "\n[\n  {\n    \"text\": \"a\",\n    \"x\": {\"y\": []}\n  },\n  {\n    \"text\": \"b\"\n  }\n]\n";
        assert_eq!(texts(pretty), [row(3, "a"), row(7, "b")]);
        assert_eq!(texts("{\n \"text\": \"a\"\n}\n{\n \"text\":\n \"b\"\n}\n\n"), [row(1, "a"), row(4, "b")]);
        assert!(table("[]").unwrap().rows.is_empty());
    }

    #[test]
    fn what_is_no_object_is_named_by_place_without_its_text() {
        for (text, expected) in [
            ("{\"a\":1}\nsecret\n", "line 2: expected one JSON object, got no JSON"),
            ("{\"a\":1}\n[1]\n", "got another kind of value"),
            ("[1]\n[2]\n", "line 1: expected one JSON object, got another kind of value"),
            ("[\n{\"a\":\"secret\"}", "the list of rows has no end"),
            ("[\n{\"a\":\"secret\"},\n{\"a\":1}}]", "line 3: expected a list of JSON objects, got no JSON"),
            ("[{\"a\":\"secret\"}, 5]", "row 2: expected one JSON object, got another kind of value"),
            ("{\n\"a\":\"secret\"\n}\n{\n", "line 5: expected one JSON object, got one that is cut off"),
            (
                "{\"text\":\"secret\",\"label\":NaN}\n",
                "line 1: expected one JSON object, got no JSON, which has neither NaN",
            ),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_object_of_columns_is_named_for_what_it_is() {
        for text in [
            "{\"text\":[\"secret\",\"b\"],\"label\":[0,1]}",
            "{\"text\":{\"0\":\"secret\"},\"label\":{\"0\":1}}\n",
            "{\n  \"text\": [\"secret\"],\n  \"label\": [0]\n}",
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains("one object of columns") && error.contains("orient=\"records\""), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = table("{\"version\":\"1\",\"data\":[{\"text\":\"secret\"}]}").unwrap_err().to_string();
        assert!(error.contains("the list of rows inside it") && !error.contains("secret"), "{error}");
        // a single row is one
        assert_eq!(table("{\"text\":\"a\",\"label\":[\"x\"]}").unwrap().rows.len(), 1);
    }

    #[test]
    fn keys_that_differ_from_row_to_row_are_no_columns() {
        let rows: String = (0..1100).map(|n| format!("{{\"key{n}\":1}}\n")).collect();
        assert!(table(&rows).unwrap_err().to_string().contains("line 1001: expected the same keys"));
    }
}
