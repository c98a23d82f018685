//! Test sets: texts to be answered, whose answers are nobody's business here.

use crate::source::find;
use crate::table::Table;
use crate::{Error, Source, Split, Task};

/// A text, and the second one of a pair.
pub type Text = (String, Option<String>);

/// Texts to be answered.
#[derive(Clone, Default)]
pub struct Unlabelled {
    /// The texts, in the order of their rows.
    pub texts: Vec<Text>,
    /// What a user should know of how they were read, as in [`crate::Loaded`].
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Unlabelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unlabelled {{ {} texts, secret, notes: {:?} }}", self.texts.len(), self.notes)
    }
}

impl Source {
    /// Reads the texts of the test set, every row of it, in order: answers are told by their rows' numbers.
    pub fn load_test(&self, quiet: bool) -> Result<Unlabelled, Error> {
        let (task, paths) = match self {
            Source::Glue { task, folder: Some(folder) } => (*task, find(*task, folder, Split::Test)?),
            Source::Glue { task, folder: None } => (*task, crate::hub_files(*task, Split::Test, quiet)?),
            Source::Files(files) => {
                let table = Table::read(files.of(Split::Test)?)?;
                let (text, pair) = files.text_columns(&table)?;
                return Ok(Unlabelled { texts: texts(&table, &text, pair.as_deref(), None)?, notes: table.notes });
            }
        };
        let mut all = Unlabelled::default();
        for path in paths {
            let parquet = path.extension().is_some_and(|ending| ending == "parquet");
            // CoLA's test set has a header, unlike its other parts, and the hub's name for the text
            let mut table = if parquet { Table::read(&path)? } else { Table::glue(&path, true)? };
            let layout = if parquet || task == Task::Cola { task.parquet_layout() } else { task.tsv_layout() };
            all.texts.append(&mut texts(&table, layout.text, layout.pair, Some(task))?);
            all.notes.append(&mut table.notes);
        }
        Ok(all)
    }
}

/// The texts of a table. In a task an empty text is one, for no row may be left out.
fn texts(table: &Table, text: &str, pair: Option<&str>, task: Option<Task>) -> Result<Vec<Text>, Error> {
    let columns = [Some(text), pair];
    let mut places = Vec::new();
    for name in columns.into_iter().flatten() {
        places.push(table.column(name)?);
    }
    let mut all = Vec::new();
    for row in &table.rows {
        table.check_width(row)?;
        let mut cells = Vec::with_capacity(places.len());
        for &place in &places {
            let text = table.text(row, place)?;
            if text.is_empty() && task.is_none() {
                let expected = format!("a text in column `{}`", table.columns[place]);
                return Err(table.wrong(row.line, expected, "nothing"));
            }
            cells.push(text.to_string());
        }
        let mut cells = cells.into_iter();
        all.push((cells.next().unwrap_or_default(), cells.next()));
    }
    match all.is_empty() {
        true => Err(table.wrong(table.first_line(), "at least one text", "none")),
        false => Ok(all),
    }
}
