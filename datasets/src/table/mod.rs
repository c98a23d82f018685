//! Tables as files hold them: GLUE's tab-separated ones, csv, tsv, json, parquet.

mod cell;
mod delimited;
mod json;
mod open;
#[cfg(feature = "hub")]
mod parquet;
mod quoted;

use std::path::{Path, PathBuf};

pub(crate) use cell::Cell;
pub(crate) use open::text;

use crate::Error;

/// Rows of named columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// What a user should know of how the file was read.
    pub(crate) notes: Vec<String>,
    /// Whether a row names its cells, and may leave some out.
    keyed: bool,
    /// Whether the file's rows are counted, because it has no lines.
    counts_rows: bool,
}

/// One row. It has as many cells as the file gives it, which may be too many or too few.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line of the file, or number of the row where a file has no lines, from 1.
    pub(crate) line: usize,
    pub(crate) cells: Vec<Cell>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row {{ line: {}, cells: {} secret }}", self.line, self.cells.len())
    }
}

/// The kinds of files, by their endings.
pub(crate) const KINDS: [&str; 5] = ["csv", "tsv", "jsonl", "json", "parquet"];
/// The ending of a packed file, after that of its kind.
pub(crate) const PACKED: &str = "gz";

/// What a row's key that it lacks is to [`Table::cell`].
const ABSENT: &Cell = &Cell::Absent;

impl Table {
    /// Reads a file of the user's own by its ending; the first line of csv and tsv names the columns.
    pub(crate) fn read(path: &Path) -> Result<Table, Error> {
        match (kind(path).as_str(), is_packed(path)) {
            ("csv", _) => delimited::csv(path),
            ("tsv", _) => delimited::tab_separated(path, true),
            ("jsonl" | "json", _) => json::read(path),
            #[cfg(feature = "hub")]
            ("parquet", false) => parquet::read(path),
            #[cfg(not(feature = "hub"))]
            ("parquet", false) => Table::parquet(path),
            ("parquet", true) => {
                let message = "a parquet file is packed by itself; unpack it: gunzip FILE";
                Err(Error::Unusable { path: path.into(), message: message.into() })
            }
            _ => {
                let kinds = KINDS.join(", .");
                let message = format!("the ending says what a file is; expected one of .{kinds}");
                Err(Error::Unusable { path: path.into(), message })
            }
        }
    }

    /// Whether a file's name is one of a table.
    pub(crate) fn is_named(path: &Path) -> bool {
        KINDS.contains(&kind(path).as_str())
    }

    /// Reads a file as GLUE has them: tabs, no quoting unless all of the file tells of it, perhaps no header.
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
            true => self.columns.join(", ") + self.other_mark(),
            false => format!("{} columns without names; does the first line name them?", self.columns.len()),
        }
    }

    /// What to say of a single column whose name holds what stands between cells elsewhere.
    fn other_mark(&self) -> &'static str {
        match self.columns.as_slice() {
            [only] if only.contains(';') => {
                " (one column; are the cells separated by semicolons? write commas or tabs)"
            }
            [only] if only.contains('\t') => " (one column; are the cells separated by tabs? call the file .tsv)",
            [only] if only.contains(',') => " (one column; are the cells separated by commas? call the file .csv)",
            _ => "",
        }
    }

    /// Refuses a row that has more or fewer cells than there are columns.
    pub(crate) fn check_width(&self, row: &Row) -> Result<(), Error> {
        if self.is_whole(row) {
            return Ok(());
        }
        let expected = format!("{} fields ({})", self.columns.len(), self.named());
        Err(self.wrong(row.line, expected, row.cells.len().to_string()))
    }

    /// Whether a row has a cell for each column, as far as it needs one.
    pub(crate) fn is_whole(&self, row: &Row) -> bool {
        self.keyed || row.cells.len() == self.columns.len()
    }

    /// What a row has in a column; an error where it lacks the key.
    pub(crate) fn cell<'a>(&self, row: &'a Row, column: usize) -> Result<&'a Cell, Error> {
        match row.cells.get(column).unwrap_or(ABSENT) {
            Cell::Absent => {
                let expected = format!("the key `{}`", self.columns[column]);
                Err(self.wrong(row.line, expected, "an object without it"))
            }
            cell => Ok(cell),
        }
    }

    /// The text that a row has in a column, without what is blank around it.
    pub(crate) fn text<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str, Error> {
        match self.cell(row, column)? {
            Cell::Text(text) => Ok(text.trim()),
            other => Err(self.wrong(row.line, format!("a text in column `{}`", self.columns[column]), other.kind())),
        }
    }

    pub(crate) fn wrong(&self, line: usize, expected: impl Into<String>, got: impl Into<String>) -> Error {
        let (path, expected, got) = (self.path.clone(), expected.into(), got.into());
        match self.counts_rows {
            true => Error::Row { path, row: line, expected, got },
            false => Error::Line { path, line, expected, got },
        }
    }

    /// Where the first row is, or should be.
    pub(crate) fn first_line(&self) -> usize {
        let first = if self.keyed || self.counts_rows { 1 } else { 2 };
        self.rows.first().map_or(first, |row| row.line)
    }
}

/// What a file is by its name: its ending in small letters, or the one before that of a packed file.
fn kind(path: &Path) -> String {
    let inner = unpacked_name(path);
    Path::new(&inner).extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// A file's name as it is after unpacking.
pub(crate) fn unpacked_name(path: &Path) -> std::ffi::OsString {
    let name = if is_packed(path) { path.file_stem() } else { path.file_name() };
    name.unwrap_or_default().to_os_string()
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(PACKED))
}
