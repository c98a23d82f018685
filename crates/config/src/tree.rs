//! Values with their places, of the file and of what is laid over it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::origin::{Fault, Origin};

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Its place.
    pub(crate) origin: Origin,
}

/// What a configuration is made of.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// True or false.
    Switch(bool),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
    /// What no key takes, by its name.
    Other(&'static str),
    /// Of a variable or a flag: what it is depends on what is wanted.
    Raw(String),
}

/// Keys with their values.
pub(crate) type Table = BTreeMap<String, Entry>;

/// A value under a key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) key: Origin,
    /// The value.
    pub(crate) node: Node,
}

impl Value {
    /// As errors call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) | Value::Raw(_) => "a text",
            Value::Whole(_) => "a whole number",
            Value::Switch(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(name) => name,
        }
    }

    fn of(value: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> Origin) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(on) => Value::Switch(*on),
            DeValue::Integer(number) => {
                let whole = i64::from_str_radix(number.as_str(), number.radix());
                whole.map_or(Value::Other("a number beyond all limits"), Value::Whole)
            }
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date or time"),
            DeValue::Array(items) => Value::List(items.iter().map(|item| Node::of(item, place)).collect()),
            DeValue::Table(table) => Value::Table(table_of(table, place)),
        }
    }
}

impl Node {
    fn of(value: &Spanned<DeValue<'_>>, place: &dyn Fn(Range<usize>) -> Origin) -> Node {
        Node { value: Value::of(value.get_ref(), place), origin: place(value.span()) }
    }

    /// The value of a variable or a flag read as TOML, where it is some; of the file it is as it stands.
    pub(crate) fn read(&self) -> Option<Value> {
        let Value::Raw(text) = &self.value else { return Some(self.value.clone()) };
        let value = DeValue::parse(text).ok()?;
        Some(Value::of(value.get_ref(), &|_| self.origin.clone()))
    }
}

fn table_of(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Origin) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: place(key.span()),
        node: Node::of(value, place),
    };
    table.iter().map(|(key, value)| (key.get_ref().to_string(), entry((key, value)))).collect()
}

/// The table that a file's text is.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Table, Fault> {
    // a text can have as many values as lines: where lines begin is found once
    let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let place = |span: Range<usize>| {
        let line = starts.partition_point(|start| *start <= span.start);
        let before = text.get(starts[line - 1]..span.start).unwrap_or_default();
        Origin::Place(path.to_path_buf(), line, before.chars().count() + 1)
    };
    let table = DeTable::parse(text).map_err(|error| {
        // of several lines, without the text itself
        let message = error.message().replace('\n', ", ");
        let at = error.span().map_or(Origin::File(path.to_path_buf()), &place);
        Fault::new(&at, format!("not TOML: {message}; write lines like `listen = \"0.0.0.0:7100\"`"))
    })?;
    Ok(table_of(table.get_ref(), &place))
}

/// Lays one value of a variable or a flag over a table.
pub(crate) fn lay(table: &mut Table, path: &[String], text: String, origin: &Origin) -> Result<(), Fault> {
    let Some((last, levels)) = path.split_last() else {
        return Err(Fault::new(origin, "names no key; name one, such as `listen` or `run.deadline`"));
    };
    let mut table = table;
    for (depth, key) in levels.iter().enumerate() {
        let fresh =
            || Entry { key: origin.clone(), node: Node { value: Value::Table(Table::new()), origin: origin.clone() } };
        let entry = table.entry(key.clone()).or_insert_with(fresh);
        let Value::Table(next) = &mut entry.node.value else {
            let (name, there) = (path[..=depth].join("."), &entry.node.origin);
            let what = format!("`{name}` is no table, as {there} sets it; leave one of the two out");
            return Err(Fault::new(origin, what));
        };
        table = next;
    }
    if table.get(last).is_some_and(|entry| matches!(entry.node.value, Value::Table(_))) {
        let name = path.join(".");
        return Err(Fault::new(origin, format!("`{name}` is a table; set one key of it, such as `{name}.KEY`")));
    }
    let node = Node { value: Value::Raw(text), origin: origin.clone() };
    table.insert(last.clone(), Entry { key: origin.clone(), node });
    Ok(())
}
