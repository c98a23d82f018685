//! Texts whose answers are nobody's business here: test sets, and those that a model is only observed over.

use std::path::Path;

use crate::source::find;
use crate::table::{Table, text};
use crate::{Error, Files, Source, Split, Task};

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

impl Unlabelled {
    /// Reads a file of the user's own: a table where its ending says so, of which `files` names the columns; else one text a
    /// line, or two with a tab between, in every line alike.
    pub fn read(path: &Path, files: Files) -> Result<Unlabelled, Error> {
        if Table::is_named(path) {
            return Source::Files(Files { test: Some(path.into()), ..files }).load_test(true);
        }
        if let Some(flag) = files.text.map(|_| "--text-column").or(files.pair.map(|_| "--text-pair-column")) {
            let path = path.display();
            let message =
                format!("{flag} is for tables, and {path} is read as one text a line: its ending is none of a table");
            return Err(Error::Usage(message));
        }
        let all = text(path)?;
        // blank lines at the end are no texts
        let all = all.trim_end_matches(['\n', '\r']);
        if all.trim_start().starts_with("{\"") || all.trim_start().starts_with("[{") {
            let message = "this looks like JSON; call it .jsonl, or write one text a line".into();
            return Err(Error::Unusable { path: path.into(), message });
        }
        let pairs = all.lines().next().is_some_and(|line| line.matches('\t').count() == 1);
        let texts = all.lines().enumerate().map(|(at, line)| {
            one_line(line, pairs).map_err(|(expected, got)| {
                let (expected, got) = (expected.into(), got.into());
                Error::Line { path: path.into(), line: at + 1, expected, got }
            })
        });
        let texts: Vec<Text> = texts.collect::<Result<_, _>>()?;
        if texts.is_empty() {
            return Err(Error::Unusable { path: path.into(), message: "no text; expected one a line".into() });
        }
        Ok(Unlabelled { texts, notes: Vec::new() })
    }
}

/// A line of a file of texts; else what is expected, and what stands there.
fn one_line(line: &str, pairs: bool) -> Result<Text, (&'static str, &'static str)> {
    let (text, second) = match (pairs, line.split_once('\t')) {
        (false, None) => (line, None),
        (true, Some((text, second))) if !second.contains('\t') => (text, Some(second)),
        (true, None) => return Err(("two texts with one tab between, as in the first line", "no tab")),
        (true, Some(_)) => return Err(("two texts with one tab between, as in the first line", "several tabs")),
        (false, Some(_)) => {
            return Err(("one text, or in every line two with one tab between (write other tabs as blanks)", "a tab"));
        }
    };
    if text.trim().is_empty() || second.is_some_and(|second| second.trim().is_empty()) {
        return Err(("at least one word in every text", "an empty one"));
    }
    Ok((text.to_string(), second.map(str::to_string)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &str, files: Files) -> Result<Vec<Text>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Unlabelled::read(&path, files).map(|read| read.texts).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_texts_has_one_a_line_or_two_with_a_tab_between() {
        let texts = |pairs: &[(&str, Option<&str>)]| -> Result<Vec<Text>, String> {
            Ok(pairs.iter().map(|(text, second)| (text.to_string(), second.map(str::to_string))).collect())
        };
        let plain = |bytes| read("texts.txt", bytes, Files::default());
        assert_eq!(
            plain("\u{feff}a fine film\r\ndull, \"really\"\n\n"),
            texts(&[("a fine film", None), ("dull, \"really\"", None)])
        );
        assert_eq!(plain("a\tb\nc\td"), texts(&[("a", Some("b")), ("c", Some("d"))]));
        for (bytes, says) in [
            ("a\nb\tc\n", "line 2: expected one text"),
            ("a\tb\nc\n", "line 2: expected two texts with one tab between"),
            ("a\tb\nc\td\te\n", "got several tabs"),
            ("a\n\nb\n", "line 2: expected at least one word"),
            ("a\t \n", "line 1: expected at least one word"),
            ("\n", "no text"),
            ("{\"text\": \"secret\"}\n", "call it .jsonl"),
            ("PK\u{3}\u{4}", "a zip file"),
        ] {
            let error = plain(bytes).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn a_table_is_known_by_its_ending_and_needs_no_answers() {
        let named = |text: &str| Files { text: Some(text.into()), ..Files::default() };
        assert_eq!(read("t.csv", "text\nfine\n", Files::default()).unwrap().len(), 1);
        assert_eq!(
            read("t.jsonl", "{\"sentence1\":\"a\",\"sentence2\":\"b\"}\n", Files::default()).unwrap()[0].1.as_deref(),
            Some("b")
        );
        assert_eq!(read("t.tsv", "review\tx\nfine\t1\n", named("review")).unwrap()[0].0, "fine");
        assert!(read("t.csv", "review\nfine\n", Files::default()).unwrap_err().contains("--text-column"));
        assert!(read("t.txt", "review\nfine\n", named("review")).unwrap_err().contains("is for tables"));
    }
}
