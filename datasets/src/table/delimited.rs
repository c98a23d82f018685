//! Tables with one row a line, or a few, and a mark between cells.

use std::path::Path;

use super::quoted::{self, Record};
use super::{Cell, Row, Table, text};
use crate::Error;

/// Tabs between cells. Quotes are only quotes, as in GLUE's files, unless the file as a whole tells that they are csv's,
/// as pandas writes them. Without a header columns are called by their numbers, from 0.
pub(super) fn tab_separated(path: &Path, has_header: bool) -> Result<Table, Error> {
    let text = table_text(path)?;
    let lines = plain(&text);
    let (mut rows, mut notes) = (lines, Vec::new());
    match quoting(&text, &rows, has_header) {
        Quoting::None => {}
        Quoting::Csv(records, why) => {
            notes.push(format!("note: {}: {why}, so its cells are read as quoted, as in csv", path.display()));
            let row = |record: Record| Row {
                line: record.line,
                cells: record.cells.into_iter().map(Cell::Text).collect(),
            };
            rows = records.into_iter().map(row).collect();
        }
        Quoting::Unknown(line) => notes.push(format!(
            "warning: {}, line {line}: a cell stands in quotes, which are taken as part of the text, as in GLUE's files; if \
             they are csv's, quote every cell of the column (pandas: quoting=csv.QUOTE_ALL) or write a .csv",
            path.display()
        )),
    }
    let mut rows = rows.into_iter();
    let columns = match has_header {
        true => {
            let names = rows.next().map(|row| row.cells).unwrap_or_default();
            names
                .into_iter()
                .map(|name| if let Cell::Text(name) = name { name.trim().into() } else { String::new() })
                .collect()
        }
        false => rows.as_slice().first().map_or(0..0, |first| 0..first.cells.len()).map(|n| n.to_string()).collect(),
    };
    Ok(Table { path: path.into(), columns, rows: rows.collect(), notes, ..Table::default() })
}

/// Lines cut at every tab.
fn plain(text: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(at, line)| Row { line: at + 1, cells: line.split('\t').map(Cell::from).collect() }).collect()
}

/// What quotes are in a file with tabs.
enum Quoting {
    /// Letters.
    None,
    /// The marks of csv, and what tells so.
    Csv(Vec<Record>, &'static str),
    /// Either: the line of the first cell that stands in quotes.
    Unknown(usize),
}

/// Quotes are csv's where every cell with a quote is quoted strictly, every record has as many cells as the first, and
/// something could not be otherwise: lines that are no rows by themselves, a doubled quote, a quoted header, a column with
/// every cell in quotes.
fn quoting(text: &str, lines: &[Row], has_header: bool) -> Quoting {
    if !text.contains('"') {
        return Quoting::None;
    }
    let Some(records) = quoted::records(text, b'\t') else { return Quoting::None };
    let Some(first) = records.first() else { return Quoting::None };
    let width = first.cells.len();
    // Two bare quotes, one at a cell's beginning and one at a later cell's end, make one cell of whole rows; a cell that
    // really goes over lines leaves both its first and its last line without some of their cells.
    let is_row = |line: usize| {
        let at = lines.binary_search_by_key(&line, |row| row.line);
        at.is_ok_and(|at| lines[at].cells.len() == width)
    };
    let swallows = |record: &Record| {
        width > 1 && record.line < record.last_line && is_row(record.line) && is_row(record.last_line)
    };
    if records.iter().any(|record| record.cells.len() != width || swallows(record)) {
        return Quoting::None;
    }
    let plainly = lines.iter().all(|row| row.cells.len() == lines[0].cells.len());
    let rows = &records[usize::from(has_header)..];
    let whole_column = |column: usize| rows.len() > 1 && rows.iter().all(|record| record.quoted[column]);
    if !plainly {
        return Quoting::Csv(records, "a quoted cell holds a tab or a line's end");
    }
    if records.iter().any(|record| record.doubled) {
        return Quoting::Csv(records, "quotes within quoted cells are doubled");
    }
    if has_header && first.quoted.contains(&true) {
        return Quoting::Csv(records, "the names of its columns are quoted");
    }
    if (0..width).any(whole_column) {
        return Quoting::Csv(records, "every cell of a column is quoted");
    }
    records.iter().find(|record| record.quoted.contains(&true)).map_or(Quoting::None, |r| Quoting::Unknown(r.line))
}

/// Commas between cells, quoted as RFC 4180 says.
pub(super) fn csv(path: &Path) -> Result<Table, Error> {
    let text = table_text(path)?;
    let unusable = |message: String| Error::Unusable { path: path.into(), message };
    if let Some(line) = quoted::unclosed(&text, b',') {
        return Err(unusable(format!(
            "line {line}: a quote opens a cell and nothing closes it; close it, or double it"
        )));
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    // the library's own message quotes the record, which may be secret
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, |position| position.line());
        unusable(format!("line {line} is not csv as RFC 4180 has it"))
    };
    let columns = reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_string()).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        // after CR LF the library's position stands before the LF, on the line that has ended
        let late = |at: &csv::Position| at.line() + u64::from(text.as_bytes().get(at.byte() as usize) == Some(&b'\n'));
        let line = record.position().map_or(0, late) as usize;
        rows.push(Row { line, cells: record.iter().map(Cell::from).collect() });
    }
    Ok(Table { path: path.into(), columns, rows, ..Table::default() })
}

/// A file's text, which must not be JSON.
fn table_text(path: &Path) -> Result<String, Error> {
    let text = text(path)?;
    let start = text.trim_start();
    match start.starts_with("{\"") || start.starts_with("[{") {
        true => Err(Error::Unusable { path: path.into(), message: "this looks like JSON; call it .jsonl".into() }),
        false => Ok(text),
    }
}

#[cfg(test)]
#[path = "delimited_tests.rs"]
mod tests;
