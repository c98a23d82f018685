//! Tables with one JSON object a line.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Row, Table, text};
use crate::Error;

/// Reads the file; the columns are the keys of the first object.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let text = text(path)?;
    let mut table = Table { path: path.into(), columns: Vec::new(), rows: Vec::new() };
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line_number = at + 1;
        let wrong = |got: &str| table.wrong(line_number, "one JSON object", got);
        let object: Map<String, Value> = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(wrong("another kind of value")),
            Err(error) if line.trim_start().starts_with('[') && error.is_eof() => {
                return Err(wrong("the beginning of a list; write one object a line (jsonl)"));
            }
            Err(_) => return Err(wrong("no JSON")),
        };
        if table.columns.is_empty() {
            table.columns = object.keys().cloned().collect();
        }
        let mut cells = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            cells.push(match object.get(column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) => String::new(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                // whether that matters is known when the column is asked for
                Some(_) => String::new(),
                None => return Err(table.wrong(line_number, format!("the key `{column}`"), "an object without it")),
            });
        }
        table.rows.push(Row { line: line_number, cells });
    }
    Ok(table)
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

    #[test]
    fn an_object_is_a_row() {
        let table =
            table("{\"text\":\"fine \\u00e9\",\"label\":1}\n\n{\"label\":0.5,\"more\":[],\"text\":null}\n").unwrap();
        let (text, label) = (table.column("text").unwrap(), table.column("label").unwrap());
        assert_eq!((table.rows[0].cells[text].as_str(), table.rows[0].cells[label].as_str()), ("fine é", "1"));
        assert_eq!((table.rows[1].cells[text].as_str(), table.rows[1].line), ("", 3));
    }

    #[test]
    fn what_is_no_object_is_named_by_line_without_its_text() {
        for (text, expected) in [
            ("{\"a\":1}\nsecret\n", "line 2: expected one JSON object, got no JSON"),
            ("{\"a\":1}\n[1]\n", "got another kind of value"),
            ("[\n{\"a\":\"secret\"}]\n", "one object a line"),
            ("{\"a\":1}\n{\"b\":\"secret\"}\n", "line 2: expected the key `a`"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
