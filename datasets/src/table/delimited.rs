//! Tables with one row a line and a mark between cells.

use std::path::Path;

use super::{Row, Table, text};
use crate::Error;

/// Tabs between cells, quotes that are only quotes. Without a header columns are called by their numbers, from 0.
pub(super) fn tab_separated(path: &Path, has_header: bool) -> Result<Table, Error> {
    let text = text(path)?;
    let cells = |line: &str| line.split('\t').map(str::to_string).collect::<Vec<_>>();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let mut columns: Vec<String> = Vec::new();
    if has_header {
        columns = lines.next().map(|(_, line)| cells(line)).unwrap_or_default();
        columns.iter_mut().for_each(|name| *name = name.trim().to_string());
    }
    let rows: Vec<Row> = lines.map(|(at, line)| Row { line: at + 1, cells: cells(line) }).collect();
    if let (false, Some(first)) = (has_header, rows.first()) {
        columns = (0..first.cells.len()).map(|number| number.to_string()).collect();
    }
    Ok(Table { path: path.into(), columns, rows })
}

/// Commas between cells, quoted as RFC 4180 says.
pub(super) fn csv(path: &Path) -> Result<Table, Error> {
    let text = text(path)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    // the library's own message quotes the record, which may be secret
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, |position| position.line());
        let message = format!("line {line} is not csv as RFC 4180 has it");
        Error::Unusable { path: path.into(), message }
    };
    let columns = reader.headers().map_err(wrong)?.iter().map(|name| name.trim().to_string()).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        // after CR LF the library's position stands before the LF, on the line that has ended
        let late = |at: &csv::Position| at.line() + u64::from(text.as_bytes().get(at.byte() as usize) == Some(&b'\n'));
        let line = record.position().map_or(0, late) as usize;
        rows.push(Row { line, cells: record.iter().map(str::to_string).collect() });
    }
    Ok(Table { path: path.into(), columns, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn quotes_are_letters_between_tabs() {
        let (_folder, path) = file("a.tsv", "\u{feff}sentence\tlabel\n\"a fine film\t1\n\nit 's \"dull\"\t0\r\n");
        let table = Table::read(&path).unwrap();
        assert_eq!(table.columns, ["sentence", "label"]);
        assert_eq!(table.rows[0], Row { line: 2, cells: vec!["\"a fine film".into(), "1".into()] });
        assert_eq!(table.rows[1], Row { line: 4, cells: vec!["it 's \"dull\"".into(), "0".into()] });
    }

    #[test]
    fn a_table_without_a_header_counts_its_columns() {
        let (_folder, path) = file("a.tsv", "gj04\t1\t\tThe sailors rode.\n");
        let table = Table::glue(&path, false).unwrap();
        assert_eq!((table.columns.len(), table.column("3").unwrap(), table.rows[0].line), (4, 3, 1));
    }

    #[test]
    fn csv_is_quoted() {
        let (_folder, path) = file("a.CSV", "text,label\n\"a \"\"fine\"\"\nfilm, really\",1\nplain,0\n");
        let table = Table::read(&path).unwrap();
        assert_eq!(table.rows[0].cells, ["a \"fine\"\nfilm, really", "1"]);
        assert_eq!((table.rows[0].line, table.rows[1].line), (2, 4));
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let text = "text,label\n\"two\nlines\",1\nplain,0\n";
        for text in [text.to_string(), text.replace('\n', "\r\n")] {
            let (_folder, path) = file("a.csv", &text);
            let lines: Vec<usize> = Table::read(&path).unwrap().rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 4], "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_place() {
        let (_folder, path) = file("a.tsv", b"sentence\tlabel\nfine \xff\t1\n");
        let error = Table::read(&path).unwrap_err().to_string();
        assert!(error.contains("not UTF-8 at byte 20"), "{error}");
        let (_folder, path) = file("a.doc", "x");
        assert!(Table::read(&path).unwrap_err().to_string().contains(".csv, .tsv, .jsonl, .json, .parquet"));
    }
}
