//! Cells quoted strictly as RFC 4180 says: what a file of bare quotes cannot be by chance.

/// One record, which may go over several lines.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Its first line, from 1.
    pub(super) line: usize,
    /// Its last line.
    pub(super) last_line: usize,
    pub(super) cells: Vec<String>,
    /// Which of the cells are quoted.
    pub(super) quoted: Vec<bool>,
    /// Whether a quote within a cell is doubled.
    pub(super) doubled: bool,
}

/// All records; none where a quote stands in a cell that is not quoted, or a quoted cell does not end with its quote.
pub(super) fn records(text: &str, delimiter: u8) -> Option<Vec<Record>> {
    let bytes = text.as_bytes();
    let (mut at, mut line) = (0, 1);
    let mut records = Vec::new();
    while at < bytes.len() {
        let mut record = Record { line, ..Record::default() };
        loop {
            let (cell, quoted, end) = match bytes.get(at) {
                Some(b'"') => quoted_cell(text, at, &mut record.doubled)?,
                _ => bare_cell(text, at, delimiter)?,
            };
            line += bytes[at..end].iter().filter(|byte| **byte == b'\n').count();
            record.cells.push(cell);
            record.quoted.push(quoted);
            at = end;
            match bytes.get(at) {
                Some(mark) if *mark == delimiter => at += 1,
                _ => break,
            }
        }
        record.last_line = line;
        at += match &bytes[at..] {
            [] => 0,
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return None,
        };
        line += 1;
        let is_blank = record.cells.len() == 1 && record.cells[0].is_empty() && !record.quoted[0];
        if !is_blank {
            records.push(record);
        }
    }
    Some(records)
}

/// The cell whose quote is at a place, and where it ends.
fn quoted_cell(text: &str, begin: usize, doubled: &mut bool) -> Option<(String, bool, usize)> {
    let (mut at, mut cell) = (begin + 1, String::new());
    loop {
        let end = at + text[at..].find('"')?;
        cell.push_str(&text[at..end]);
        at = end + 1;
        if text.as_bytes().get(at) != Some(&b'"') {
            return Some((cell, true, at));
        }
        cell.push('"');
        *doubled = true;
        at += 1;
    }
}

fn bare_cell(text: &str, begin: usize, delimiter: u8) -> Option<(String, bool, usize)> {
    let rest = &text.as_bytes()[begin..];
    let length = rest.iter().position(|byte| *byte == delimiter || *byte == b'\n').unwrap_or(rest.len());
    let before_break = rest.get(length) == Some(&b'\n') && rest[..length].ends_with(b"\r");
    let end = begin + length - usize::from(before_break);
    let cell = &text[begin..end];
    (!cell.contains('"')).then(|| (cell.to_string(), false, end))
}

/// The line of a quote that nothing closes, in a file whose quotes open at a cell's beginning.
pub(super) fn unclosed(text: &str, delimiter: u8) -> Option<usize> {
    let (mut open, mut begins, mut line) = (None, true, 1);
    for byte in text.bytes() {
        match (open, byte) {
            // a doubled quote closes and opens again
            (Some(_), b'"') => (open, begins) = (None, true),
            (Some(_), _) => {}
            (None, b'"') if begins => open = Some(line),
            (None, _) => begins = byte == delimiter || byte == b'\n' || byte == b'\r',
        }
        line += usize::from(byte == b'\n');
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_know_their_lines() {
        for text in ["a\tb\n\"x \"\"y\"\"\nz\t\"\t1\n\n\"\"\t2", "a\tb\r\n\"x \"\"y\"\"\nz\t\"\t1\r\n\r\n\"\"\t2\r\n"] {
            let records = records(text, b'\t').unwrap();
            let cells: Vec<_> = records.iter().map(|record| record.cells.join("|")).collect();
            assert_eq!(cells, ["a|b", "x \"y\"\nz\t|1", "|2"]);
            let lines: Vec<_> = records.iter().map(|record| (record.line, record.last_line)).collect();
            assert_eq!(lines, [(1, 1), (2, 3), (5, 5)], "{text:?}");
            assert_eq!(
                (&records[1].quoted[..], records[1].doubled, records[2].doubled),
                (&[true, false][..], true, false)
            );
        }
    }

    #[test]
    fn bare_quotes_are_no_quoting() {
        for text in ["a \"b\" c\t1\n", "\"a\" b\t1\n", "\"a\t1\n", "\"a \"b\"\"\t1\n", "a\"\t1\n"] {
            assert!(records(text, b'\t').is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_quote_without_its_end_is_found() {
        assert_eq!(unclosed("a,\"b\n\"\"c\"\nit is 6\",\"\"\n", b','), None);
        assert_eq!(unclosed("a,b\nc,\"d\ne,f\n", b','), Some(2));
        assert_eq!(unclosed("a,\"b\"\"\n", b','), Some(1));
    }
}
