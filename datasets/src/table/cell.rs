//! What stands in a row under a column.

use serde_json::Value;

/// A cell as its file has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A text, or a number or truth value as it is written; nothing is an empty text.
    Text(String),
    /// A list of such values.
    List(Vec<String>),
    /// Something that is neither, in words. Whether that matters is known when the column is asked for.
    Other(&'static str),
    /// The row does not have the key.
    Absent,
}

impl Cell {
    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Cell::Text(_) => "a text",
            Cell::List(_) => "a list",
            Cell::Other(kind) => kind,
            Cell::Absent => "nothing",
        }
    }

    /// A list of values, where each is one; none of them may be nothing.
    pub(crate) fn list(values: impl IntoIterator<Item = Cell>, has_nothing: bool) -> Cell {
        let texts: Option<Vec<String>> = values
            .into_iter()
            .map(|value| match value {
                Cell::Text(text) => Some(text),
                _ => None,
            })
            .collect();
        match texts {
            _ if has_nothing => Cell::Other("a list with null in it"),
            Some(texts) => Cell::List(texts),
            None => Cell::Other("a list of lists or objects"),
        }
    }
}

/// A cell is a user's, and secret.
impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, secret", self.kind())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.into())
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Cell {
        match value {
            Value::String(text) => Cell::Text(text),
            Value::Null => Cell::Text(String::new()),
            Value::Number(_) | Value::Bool(_) => Cell::Text(value.to_string()),
            Value::Array(values) => {
                let has_nothing = values.contains(&Value::Null);
                Cell::list(values.into_iter().map(Cell::from), has_nothing)
            }
            Value::Object(_) => Cell::Other("an object"),
        }
    }
}
