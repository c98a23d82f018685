//! Tables as files hold them: GLUE's tab-separated ones, csv, tsv, json lines, parquet.

mod delimited;
mod jsonl;
#[cfg(feature = "hub")]
mod parquet;

use std::path::{Path, PathBuf};

use crate::Error;

/// Rows of named columns.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// One row. It has as many cells as the file gives it, which may be too many or too few.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line of the file, or number of the row where a file has no lines, from 1.
    pub(crate) line: usize,
    pub(crate) cells: Vec<String>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row {{ line: {}, cells: {} secret }}", self.line, self.cells.len())
    }
}

/// The kinds of files, by their endings.
pub(crate) const KINDS: [&str; 5] = ["csv", "tsv", "jsonl", "json", "parquet"];

impl Table {
    /// Reads a file of the user's own by its ending; the first line of csv and tsv names the columns.
    pub(crate) fn read(path: &Path) -> Result<Table, Error> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "csv" => delimited::csv(path),
            "tsv" => delimited::tab_separated(path, true),
            "jsonl" | "json" => jsonl::read(path),
            #[cfg(feature = "hub")]
            "parquet" => parquet::read(path),
            #[cfg(not(feature = "hub"))]
            "parquet" => Table::parquet(path),
            _ => {
                let kinds = KINDS.join(", .");
                let message = format!("the ending says what a file is; expected one of .{kinds}");
                Err(Error::Unusable { path: path.into(), message })
            }
        }
    }

    /// Reads a file as GLUE has them: tabs, no quoting, perhaps no header.
    pub(crate) fn glue(path: &Path, has_header: bool) -> Result<Table, Error> {
        delimited::tab_separated(path, has_header)
    }

    #[cfg(not(feature = "hub"))]
    fn parquet(path: &Path) -> Result<Table, Error> {
        let message =
            "this program was built without parquet; build it with `--features hub`, or give csv, tsv or jsonl";
        Err(Error::Unusable { path: path.into(), message: message.into() })
    }

    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Result<usize, Error> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| Error::Column {
            path: self.path.clone(),
            name: name.into(),
            columns: self.named(),
        })
    }

    /// None of the usual columns for something is there, and no flag names another.
    pub(crate) fn lacks(&self, what: &str, flag: &str, names: &[&str]) -> Error {
        Error::Column {
            path: self.path.clone(),
            name: names.join("` or `"),
            columns: format!("{}; {what} may be named with {flag}", self.named()),
        }
    }

    /// The names of the columns. Where the first line is no header it holds a text, which is not told.
    pub(crate) fn named(&self) -> String {
        let is_name = |name: &String| name.chars().count() <= 32 && name.split_whitespace().count() <= 2;
        match self.columns.iter().all(is_name) {
            true if self.columns.is_empty() => "none, for the file is empty".into(),
            true => self.columns.join(", "),
            false => format!("{} columns without names; does the first line name them?", self.columns.len()),
        }
    }

    pub(crate) fn wrong(&self, line: usize, expected: impl Into<String>, got: impl Into<String>) -> Error {
        Error::Line { path: self.path.clone(), line, expected: expected.into(), got: got.into() }
    }

    /// Where the first row is, or should be.
    pub(crate) fn first_line(&self) -> usize {
        self.rows.first().map_or(2, |row| row.line)
    }
}

/// A file's text; a byte-order mark is taken off.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::Unusable { path: path.into(), message: format!("not UTF-8 at byte {at}; save the file as UTF-8") }
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}
