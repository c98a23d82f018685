//! The labels of a row that may have several: a list in JSON or as Python prints it, or labels with a mark between them.

use serde_json::Value;

use crate::spelling::{is_missing, whole};
use crate::table::Cell;

/// The labels in a cell, each once as it is written, or in which way it holds none.
pub(crate) fn labels_in(cell: &Cell, delimiter: Option<char>) -> Result<Vec<String>, &'static str> {
    let labels = match (cell, delimiter) {
        (Cell::List(labels), _) => labels.clone(),
        (Cell::Text(text), delimiter) => match (list(text), delimiter) {
            (Some(labels), _) => labels,
            (None, Some(_)) if text.trim().is_empty() => Vec::new(),
            (None, Some(mark)) => text.split(mark).map(str::to_string).collect(),
            (None, None) if text.trim().is_empty() => return Err("nothing; a row without any label has the list []"),
            (None, None) => return Err("a text that is no list; with a mark between labels say --label-delimiter"),
        },
        (other, _) => return Err(other.kind()),
    };
    let labels: Vec<String> = labels.iter().map(|label| label.trim().to_string()).collect();
    if labels.iter().any(String::is_empty) {
        return Err("a label that is empty");
    }
    if labels.iter().any(|label| is_missing(label)) {
        return Err("a label that is nan, a missing value");
    }
    let mut once: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        match once.contains(&label) {
            // what a row of zeros and ones has, and a list of labels has not
            true if matches!(whole(&label), Some(0 | 1)) || is_truth(&label) => {
                return Err("zeros and ones; write the names or numbers of the labels that hold");
            }
            true => {}
            false => once.push(label),
        }
    }
    Ok(once)
}

fn is_truth(label: &str) -> bool {
    ["true", "false"].iter().any(|truth| label.eq_ignore_ascii_case(truth))
}

/// The list that a text is.
pub(crate) fn list(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if !(text.starts_with('[') && text.ends_with(']')) {
        return None;
    }
    match serde_json::from_str::<Vec<Value>>(text) {
        Ok(values) => match Cell::from(Value::Array(values)) {
            Cell::List(labels) => Some(labels),
            _ => None,
        },
        Err(_) => python(&text[1..text.len() - 1]),
    }
}

/// What stands between the brackets of a list as Python prints it, and pandas writes it into csv.
fn python(inner: &str) -> Option<Vec<String>> {
    let (mut labels, mut rest) = (Vec::new(), inner.trim());
    while !rest.is_empty() {
        let (label, after) = match rest.chars().next()? {
            quote @ ('\'' | '"') => quoted(&rest[1..], quote)?,
            _ => {
                let (label, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                let label = label.trim();
                let is_value = label.parse::<f64>().is_ok() || ["True", "False"].contains(&label);
                (is_value.then(|| label.to_string())?, after)
            }
        };
        labels.push(label);
        rest = match after.trim_start().strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.trim().is_empty() => "",
            None => return None,
        };
    }
    Some(labels)
}

/// A text up to its closing quote, and what comes after that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut label, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next()?.1 {
                escaped @ ('\\' | '\'' | '"') => label.push(escaped),
                _ => return None,
            },
            _ if letter == quote => return Some((label, &text[at + 1..])),
            _ => label.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str, delimiter: Option<char>) -> Result<Vec<String>, &'static str> {
        labels_in(&cell.into(), delimiter)
    }

    #[test]
    fn lists_are_read_as_json_and_python_write_them() {
        for (cell, expected) in [
            ("[\"a\", \"b c\"]", &["a", "b c"][..]),
            ("['a', \"it's\", 'l\\'air']", &["a", "it's", "l'air"]),
            (" [3, 1.0, true] ", &["3", "1.0", "true"]),
            ("['a',]", &["a"]),
            ("[1, False]", &["1", "False"]),
            ("[\"a\", \"a\"]", &["a"]),
            ("[]", &[]),
        ] {
            assert_eq!(read(cell, None).unwrap(), expected, "{cell}");
            assert_eq!(read(cell, Some(',')).unwrap(), expected, "a list is one, whatever the mark: {cell}");
        }
        assert_eq!(labels_in(&Cell::List(vec!["a".into()]), None).unwrap(), ["a"]);
    }

    #[test]
    fn a_mark_parts_labels() {
        assert_eq!(read("a| b c |d", Some('|')).unwrap(), ["a", "b c", "d"]);
        assert_eq!(read("a", Some('|')).unwrap(), ["a"]);
        assert!(read(" ", Some('|')).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_of_labels_is_refused() {
        for (cell, delimiter, says) in [
            ("a, b", None, "--label-delimiter"),
            ("", None, "[]"),
            ("[PAD]", None, "no list"),
            ("['a' 'b']", None, "no list"),
            ("['a", None, "no list"),
            ("[[1]]", None, "no list"),
            ("[true, false, false]", None, "zeros and ones"),
            ("[True, True, False]", None, "zeros and ones"),
            ("[null]", None, "no list"),
            ("a||b", Some('|'), "empty"),
            ("[\"\"]", None, "empty"),
            ("[\"a\", \"NaN\"]", None, "missing"),
            ("[0, 1, 1, 0]", None, "zeros and ones"),
            ("[1.0, 0.0, 0.0]", None, "zeros and ones"),
        ] {
            assert!(read(cell, delimiter).unwrap_err().contains(says), "{cell}");
        }
        assert_eq!(labels_in(&Cell::Other("an object"), Some('|')).unwrap_err(), "an object");
    }
}
