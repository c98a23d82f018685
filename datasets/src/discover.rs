//! The classes or labels of a training file: its distinct labels, numbers in their order.

use std::collections::HashMap;

use crate::files::Files;
use crate::labels::{labels_in, list};
use crate::spelling::{Key, Spellings, is_missing};
use crate::table::{Cell, Table};
use crate::{AnswerType, Error, Split, Target};

/// More classes than that are not classes.
const MOST_CLASSES: usize = 1000;
/// A label of more characters is a text.
const LONGEST_LABEL: usize = 64;
/// What a list is told where one label is expected.
pub(crate) const SEVERAL: &str =
    "a list of labels; for any number of labels a text say --problem-type multi_label (in files of your own)";

/// What the answers of files are, by their training file.
pub(crate) fn discover(files: &Files) -> Result<Target, Error> {
    let table = Table::read(files.of(Split::Train)?)?;
    let column = table.column(&files.columns(&table)?.label)?;
    let mut found = Found::default();
    let several = files.answers == Some(AnswerType::MultiLabel);
    for row in &table.rows {
        table.check_width(row)?;
        let cell = table.cell(row, column)?;
        let labels = if several { labels_in(cell, files.delimiter) } else { one_label(cell) };
        let expected = if several { "a list of labels" } else { "a label" };
        let in_column = || format!("{expected} in column `{}`", table.columns[column]);
        found.add(labels.map_err(|got| table.wrong(row.line, in_column(), got))?);
    }
    let names = found.names(&table, column, several)?;
    Ok(if several { Target::Labels(names) } else { Target::Classes(names) })
}

fn one_label(cell: &Cell) -> Result<Vec<String>, &'static str> {
    match cell {
        Cell::Text(text) if text.trim().is_empty() => Err("nothing"),
        Cell::Text(text) if is_missing(text.trim()) => Err("nan, a missing value"),
        Cell::Text(text) if list(text).is_some() => Err(SEVERAL),
        Cell::Text(text) => Ok(vec![text.trim().to_string()]),
        Cell::List(_) => Err(SEVERAL),
        other => Err(other.kind()),
    }
}

/// Every label with its spellings, in the order in which they were seen.
#[derive(Default)]
struct Found {
    places: HashMap<Key, usize>,
    labels: Vec<(Key, Spellings)>,
    rows: usize,
    /// Labels of all rows together.
    given: usize,
}

impl Found {
    fn add(&mut self, labels: Vec<String>) {
        self.rows += 1;
        self.given += labels.len();
        for label in labels {
            let key = Key::of(&label);
            let next = self.labels.len();
            let place = *self.places.entry(key.clone()).or_insert(next);
            if place == next {
                self.labels.push((key, Spellings::default()));
            }
            self.labels[place].1.add(&label);
        }
    }

    /// The names of all labels, if they can be labels.
    fn names(self, table: &Table, column: usize, several: bool) -> Result<Vec<String>, Error> {
        let column = &table.columns[column];
        let unusable = |message: String| Error::Unusable { path: table.path.clone(), message };
        let numbers: Option<Vec<i64>> = self
            .labels
            .iter()
            .map(|(key, _)| if let Key::Whole(number) = key { Some(*number) } else { None })
            .collect();
        let name = |(key, spellings): &(Key, Spellings)| match (key, &numbers) {
            (Key::Whole(number), Some(_)) => {
                spellings.most_frequent_integer().map_or_else(|| number.to_string(), str::to_string)
            }
            _ => spellings.most_frequent().unwrap_or_default().to_string(),
        };
        let mut names: Vec<String> = self.labels.iter().map(name).collect();
        let (count, task) = (names.len(), if several { "several labels" } else { "classes" });
        if count < 2 {
            let message = format!("column `{column}` holds {count} different labels; a task of {task} has at least 2");
            return Err(unusable(message));
        }
        if names.iter().any(|name| name.chars().count() > LONGEST_LABEL) {
            let cure = "these are texts, not labels; name another column with --label-column";
            return Err(unusable(format!(
                "column `{column}` holds labels of more than {LONGEST_LABEL} characters: {cure}"
            )));
        }
        let are_numbers = names.iter().all(|name| name.parse::<f64>().is_ok());
        if count > MOST_CLASSES || (are_numbers && numbers.is_none()) {
            let cure =
                if are_numbers { "; for numbers say --regression" } else { "; name another with --label-column" };
            let message =
                format!("column `{column}` holds {count} different labels, too many or too broken for classes{cure}");
            return Err(unusable(message));
        }
        if several && self.rows > 1 && self.given == count * self.rows {
            let message = format!(
                "column `{column}` gives every text every label; if these are zeros and ones, write the names or numbers of the \
                 labels that hold"
            );
            return Err(unusable(message));
        }
        match numbers {
            Some(_) => names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default()),
            None => names.sort(),
        }
        Ok(names)
    }
}
