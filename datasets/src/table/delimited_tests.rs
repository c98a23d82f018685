//! Quotes in tables with tabs or commas, and the numbers of lines.

use super::*;

fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(name: &str, text: &str) -> Result<Table, Error> {
    let (_folder, path) = file(name, text);
    Table::read(&path)
}

/// Line and texts of every row.
fn cells(table: &Table) -> Vec<(usize, Vec<&str>)> {
    fn text(cell: &Cell) -> &str {
        if let Cell::Text(text) = cell { text } else { "no text" }
    }
    table.rows.iter().map(|row| (row.line, row.cells.iter().map(text).collect())).collect()
}

#[test]
fn quotes_are_letters_between_tabs() {
    let (_folder, path) = file("a.tsv", "\u{feff}sentence\tlabel\n\"a fine film\t1\n\nit 's \"dull\"\t0\r\n");
    let table = Table::read(&path).unwrap();
    assert_eq!(table.columns, ["sentence", "label"]);
    assert_eq!(cells(&table), [(2, vec!["\"a fine film", "1"]), (4, vec!["it 's \"dull\"", "0"])]);
    assert!(table.notes.is_empty());
}

#[test]
fn a_table_without_a_header_counts_its_columns() {
    let (_folder, path) = file("a.tsv", "gj04\t1\t\tThe sailors rode.\n");
    let table = Table::glue(&path, false).unwrap();
    assert_eq!((table.columns.len(), table.column("3").unwrap(), table.rows[0].line), (4, 3, 1));
}

#[test]
fn quotes_that_csv_has_made_are_taken_off_between_tabs() {
    for (text, first, why) in [
        ("text\tlabel\n\"a \"\"fine\"\" film, really\"\t1\ndull\t0\n", "a \"fine\" film, really", "doubled"),
        ("text\tlabel\n\"a\nfine\tfilm\"\t1\ndull\t0\n", "a\nfine\tfilm", "a tab or a line's end"),
        ("text\tlabel\r\n\"a\r\n\r\nfine film\"\t1\r\ndull\t0\r\n", "a\r\n\r\nfine film", "a line's end"),
        ("\"text\"\t\"label\"\n\"fine\"\t\"1\"\ndull\t0\n", "fine", "names of its columns"),
        ("text\tlabel\n\"fine\"\t1\n\"dull\"\t0\n", "fine", "every cell of a column"),
        ("text\tlabel\n\"a\tfine film\"\t1\ndull\t0\n", "a\tfine film", "a tab"),
    ] {
        let table = read("a.tsv", text).unwrap();
        assert_eq!(cells(&table)[0], (2, vec![first, "1"]), "{text:?}");
        assert_eq!(table.columns, ["text", "label"]);
        assert!(
            matches!(&table.notes[..], [note] if note.starts_with("note: ") && note.contains(why)),
            "{:?}",
            table.notes
        );
    }
    // the line of a row is that of an editor
    let table = read("a.tsv", "text\tlabel\n\"a\nfine film\"\t1\ndull\t0\n").unwrap();
    assert_eq!(cells(&table).iter().map(|row| row.0).collect::<Vec<_>>(), [2, 4]);
    let (_folder, path) = file("a.tsv", "x\t1\t\t\"He said \"\"no\"\".\"\ny\t0\t*\tHe rode.\n");
    assert_eq!(cells(&Table::glue(&path, false).unwrap())[0].1[3], "He said \"no\".");
}

#[test]
fn quoting_that_cannot_be_told_is_plain_and_said() {
    let table = read("a.tsv", "text\tlabel\nfine\t1\n\"dull\"\t0\n").unwrap();
    assert_eq!(cells(&table)[1], (3, vec!["\"dull\"", "0"]));
    let [warning] = &table.notes[..] else { panic!("{:?}", table.notes) };
    assert!(
        warning.starts_with("warning: ") && warning.contains("line 3") && warning.contains("QUOTE_ALL"),
        "{warning}"
    );
    assert!(!warning.contains("dull"), "{warning}");
    // one row is no column
    assert!(read("a.tsv", "text\tlabel\n\"fine\"\t1\n").unwrap().notes[0].starts_with("warning: "));
}

#[test]
fn two_bare_quotes_swallow_no_lines() {
    for text in [
        "text\tlabel\n\"a fine film\t1\ndull\t0\nso good\"\t1\n",
        "text\tlabel\n\"a fine film\t1\ndull\t0\nso good\"\t1\nmore\t0\n",
        "text\tlabel\n\"\"\"a fine film\t1\ndull\t0\nso good\"\"\"\t1\n",
        "label\ttext\n1\t\"a fine film\n0\tdull\n1\tso good\"\n",
    ] {
        let table = read("a.tsv", text).unwrap();
        assert_eq!(table.rows.len(), text.lines().count() - 1, "{text:?}");
        assert!(table.rows.iter().all(|row| row.cells.len() == 2), "{text:?}");
    }
    // a broken line between them is told by its own number
    let table = read("a.tsv", "a\tb\tlabel\n\"x\ty\t1\nbroken\t2\nx\"\ty\t0\n").unwrap();
    assert_eq!(table.rows.len(), 3);
    assert!(table.check_width(&table.rows[1]).unwrap_err().to_string().contains("line 3"));
}

#[test]
fn csv_is_quoted() {
    let table = read("a.CSV", "text,label\n\"a \"\"fine\"\"\nfilm, really\",1\nplain,0\n").unwrap();
    assert_eq!(cells(&table), [(2, vec!["a \"fine\"\nfilm, really", "1"]), (4, vec!["plain", "0"])]);
}

#[test]
fn a_quote_that_nothing_closes_swallows_no_rows() {
    let error = read("a.csv", "label,text\n1,fine\n0,\"secret\n1,more\n").unwrap_err().to_string();
    assert!(
        error.contains("line 3: a quote opens a cell and nothing closes it") && !error.contains("secret"),
        "{error}"
    );
    assert_eq!(read("a.csv", "label,text\n1,a 6\" film\n0,\"\"\n").unwrap().rows.len(), 2);
}

#[test]
fn lines_are_counted_as_an_editor_does() {
    let text = "text,label\n\"two\nlines\",1\nplain,0\n";
    for text in [text.to_string(), text.replace('\n', "\r\n")] {
        let lines: Vec<usize> = read("a.csv", &text).unwrap().rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 4], "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_named_by_place() {
    let (_folder, path) = file("a.tsv", b"sentence\tlabel\nfine \xff\t1\n");
    let error = Table::read(&path).unwrap_err().to_string();
    assert!(error.contains("not UTF-8 at byte 20"), "{error}");
    assert!(read("a.doc", "x").unwrap_err().to_string().contains(".csv, .tsv, .jsonl, .json, .parquet"));
}
