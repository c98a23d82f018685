//! A labelled text, from a row of a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::spelling::{Spellings, may_be_missing};
use crate::table::{Cell, Table};
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
    /// What a user should know of how they were read: lines that begin with `note: ` or `warning: `.
    pub notes: Vec<String>,
}

/// Who asks: that says what a label may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A task: a number is its class, whatever the order of the model's, and broken rows of QQP are left out.
    Task(Task),
    /// The user's own files, and what stands between labels there.
    Own(Option<char>),
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

/// The examples of a table.
pub(crate) fn examples(table: &Table, columns: &Columns, target: &Target, by: Asked) -> Result<Loaded, Error> {
    let text = table.column(&columns.text)?;
    let pair = columns.pair.as_deref().map(|name| table.column(name)).transpose()?;
    let label = table.column(&columns.label)?;
    let (task, delimiter) = match by {
        Asked::Task(task) => (Some(task), None),
        Asked::Own(delimiter) => (None, delimiter),
    };
    let asked = task.map_or_else(|| target.clone(), Task::target);
    let places = asked.places_in(target);
    let mut loaded = Loaded { notes: table.notes.clone(), ..Loaded::default() };
    let mut spellings = Classes::default();
    for row in &table.rows {
        if task == Some(Task::Qqp) && !table.is_whole(row) {
            loaded.skipped += 1;
            continue;
        }
        table.check_width(row)?;
        let sentence = |column: usize| match table.text(row, column)? {
            "" if task == Some(Task::Qqp) => Ok(None),
            "" => Err(table.wrong(row.line, format!("a text in column `{}`", table.columns[column]), "nothing")),
            text => Ok(Some(text.to_string())),
        };
        let pair = pair.map(sentence).transpose()?;
        let (Some(text), None | Some(Some(_))) = (sentence(text)?, &pair) else {
            loaded.skipped += 1;
            continue;
        };
        let cell = table.cell(row, label)?;
        let label = match asked.read(cell, delimiter) {
            Ok(Label::Class(class)) => {
                if task.is_none() {
                    spellings.add(class, cell);
                }
                Label::Class(places[class])
            }
            Ok(other) => other,
            Err(wrong) => return Err(table.wrong(row.line, wrong.expected, wrong.got)),
        };
        loaded.examples.push(Example { text, text_pair: pair.flatten(), label });
    }
    loaded
        .notes
        .extend(spellings.notes(&asked, &table.columns[label]).map(|n| format!("note: {}: {n}", table.path.display())));
    match loaded.examples.is_empty() {
        true => Err(table.wrong(table.first_line(), "at least one example", "none")),
        false => Ok(loaded),
    }
}

/// How each class is spelled in a table.
#[derive(Default)]
struct Classes(BTreeMap<usize, Spellings>);

impl Classes {
    fn add(&mut self, class: usize, cell: &Cell) {
        if let Cell::Text(text) = cell {
            self.0.entry(class).or_default().add(text.trim());
        }
    }

    /// What to say of several spellings of one class, and of a name that may mean that there is none.
    fn notes<'a>(&'a self, target: &'a Target, column: &'a str) -> impl Iterator<Item = String> + 'a {
        let names = target.names();
        self.0.iter().filter_map(move |(class, spellings)| {
            let name = &names[*class];
            match spellings.all().len() {
                1 if may_be_missing(name) => Some(format!(
                    "`{name}` in column `{column}` is taken as a class of that name; leave such rows out if they have no label"
                )),
                1 => None,
                _ => {
                    let all: Vec<&str> = spellings.all().collect();
                    Some(format!("{} in column `{column}` are one class, {name}", all.join(", ")))
                }
            }
        })
    }
}
