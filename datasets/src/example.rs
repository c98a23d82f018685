//! A labelled text, from a row of a table.

use std::fmt;

use crate::table::Table;
use crate::target::{Label, Target};
use crate::task::Layout;
use crate::{Error, Task};

/// One labelled text, or a pair of texts.
#[derive(Clone, PartialEq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The second text of a task over pairs.
    pub text_pair: Option<String>,
    /// The true answer.
    pub label: Label,
}

impl Example {
    /// The text, and the second one of a pair.
    pub fn texts(&self) -> (&str, Option<&str>) {
        (&self.text, self.text_pair.as_deref())
    }
}

impl fmt::Debug for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = if self.text_pair.is_some() { "a pair" } else { "a text" };
        write!(f, "Example {{ {pair}, secret, label: {:?} }}", self.label)
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The examples, in the order of their rows.
    pub examples: Vec<Example>,
    /// Rows that were left out: QQP is known to hold broken ones.
    pub skipped: usize,
}

/// The columns that hold texts and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
    pub(crate) label: String,
}

impl From<Layout> for Columns {
    fn from(layout: Layout) -> Columns {
        Columns { text: layout.text.into(), pair: layout.pair.map(Into::into), label: layout.label.into() }
    }
}

/// The examples of a table. With a `task`, a number is the task's class, whatever the order of `target`, and broken rows
/// of QQP are left out.
pub(crate) fn examples(table: &Table, columns: &Columns, target: &Target, task: Option<Task>) -> Result<Loaded, Error> {
    let text = table.column(&columns.text)?;
    let pair = columns.pair.as_deref().map(|name| table.column(name)).transpose()?;
    let label = table.column(&columns.label)?;
    let asked = task.map_or_else(|| target.clone(), Task::target);
    let places = asked.places_in(target);
    let mut loaded = Loaded::default();
    for row in &table.rows {
        if row.cells.len() != table.columns.len() {
            if task == Some(Task::Qqp) {
                loaded.skipped += 1;
                continue;
            }
            let names = table.named();
            let expected = format!("{} fields ({names})", table.columns.len());
            return Err(table.wrong(row.line, expected, row.cells.len().to_string()));
        }
        let sentence = |column: usize| {
            let text = row.cells[column].trim();
            match text.is_empty() {
                true if task == Some(Task::Qqp) => Ok(None),
                true => Err(table.wrong(row.line, format!("a text in column `{}`", table.columns[column]), "nothing")),
                false => Ok(Some(text.to_string())),
            }
        };
        let pair = pair.map(sentence).transpose()?;
        let (Some(text), None | Some(Some(_))) = (sentence(text)?, &pair) else {
            loaded.skipped += 1;
            continue;
        };
        let label = match asked.read(&row.cells[label]) {
            Ok(Label::Class(class)) => Label::Class(places[class]),
            Ok(number) => number,
            Err(wrong) => return Err(table.wrong(row.line, wrong.expected, wrong.got)),
        };
        loaded.examples.push(Example { text, text_pair: pair.flatten(), label });
    }
    match loaded.examples.is_empty() {
        true => Err(table.wrong(table.first_line(), "at least one example", "none")),
        false => Ok(loaded),
    }
}
