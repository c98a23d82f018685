//! A table's file as text: unpacked, and held against what files are that only have a table's ending.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::is_packed;
use crate::Error;

/// How files begin that are no text, and what they are.
const BEGINNINGS: [(&[u8], &str, &str); 13] = [
    (GZIP, "a gzip file", "call it .csv.gz, .tsv.gz or .jsonl.gz, whichever it holds"),
    (b"PK\x03\x04", "a zip file or an Excel workbook", "unpack it, or save the sheet as csv in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as csv in UTF-8"),
    (b"\xff\xfe", "UTF-16", "save the file as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save the file as UTF-8"),
    (b"PAR1\x15", "a parquet file", "call it .parquet"),
    (b"ARROW1\0\0", "an arrow or feather file", "write it as parquet, csv or jsonl"),
    (b"BZh", "a bzip2 file", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "an xz file", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file", "unpack it, or pack it with gzip"),
    (b"SQLite format 3", "an SQLite database", "write the table as csv or jsonl"),
    (b"%PDF-", "a PDF", "write the texts as csv or jsonl"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: git lfs pull"),
];
const GZIP: &[u8] = b"\x1f\x8b";
/// The longest text that is unpacked in memory.
const MOST_UNPACKED: u64 = 1 << 32;
/// Bytes in which a zero is looked for: no text has one.
const LOOKED_AT: usize = 4096;

/// A file's text; a byte-order mark is taken off, and `.gz` is unpacked.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let unusable = |message: String| Error::Unusable { path: path.into(), message };
    if is_packed(path) {
        if !bytes.starts_with(GZIP) {
            return Err(unusable("no gzip file; take .gz off its name, or fetch it again".into()));
        }
        let mut unpacked = Vec::new();
        let read = MultiGzDecoder::new(bytes.as_slice()).take(MOST_UNPACKED + 1).read_to_end(&mut unpacked);
        read.map_err(|_| unusable("a gzip file that is cut off or broken; fetch or write it again".into()))?;
        if unpacked.len() as u64 > MOST_UNPACKED {
            return Err(unusable("a gzip file of more than 4 GB; unpack it, or give a part of it".into()));
        }
        bytes = unpacked;
    }
    if let Some((what, cure)) = look(&bytes) {
        return Err(unusable(format!("this looks like {what}; {cure}")));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        unusable(format!("not UTF-8 at byte {at}; save the file as UTF-8"))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}

/// What a file is, where it is no table's text, and what to do.
fn look(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some((_, what, cure)) = BEGINNINGS.iter().find(|(beginning, ..)| bytes.starts_with(beginning)) {
        return Some((what, cure));
    }
    if bytes.iter().take(LOOKED_AT).any(|byte| *byte == 0) {
        return Some(("UTF-16 or a binary file: it has zero bytes", "save it as text in UTF-8"));
    }
    let marked = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |word: &str| marked.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
    let page = ["<!doctype", "<html", "<?xml"].into_iter().any(begins);
    page.then_some(("a web page or XML", "fetch the data itself: the address may need a login or another link"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use crate::table::Table;

    fn written(name: &str, bytes: &[u8]) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Table::read(&path).map_err(|error| error.to_string())
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packed_files_are_unpacked_by_the_ending_before_gz() {
        for (name, text) in [
            ("a.csv.gz", "text,label\nfine,1\n"),
            ("a.tsv.GZ", "text\tlabel\nfine\t1\n"),
            ("a.jsonl.gz", "{\"text\":\"fine\",\"label\":1}\n"),
            ("a.json.gz", "[{\"text\":\"fine\",\"label\":1}]"),
        ] {
            let table = written(name, &gzip(text)).unwrap();
            assert_eq!(table.text(&table.rows[0], table.column("text").unwrap()).unwrap(), "fine", "{name}");
        }
        // as gzip and cat make one of two
        let two = [gzip("text,label\nfine,1\n"), gzip("dull,0\n")].concat();
        assert_eq!(written("a.csv.gz", &two).unwrap().rows.len(), 2);
        let whole = gzip("text,label\nfine,1\n");
        let cases: [(&str, &[u8], &str); 5] = [
            ("a.csv.gz", &whole[..whole.len() - 5], "cut off or broken"),
            ("a.csv.gz", b"text,label\n", "no gzip file"),
            ("a.parquet.gz", &whole, "gunzip"),
            ("a.gz", &whole, "expected one of .csv"),
            ("a.csv.gz", &gzip("PAR1\x15"), "looks like a parquet file"),
        ];
        for (name, bytes, says) in cases {
            let error = written(name, bytes).unwrap_err();
            assert!(error.contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn a_file_under_anothers_ending_is_named_for_what_it_is() {
        let wide: Vec<u8> = "text,label\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&b"\xff\xfe"[..], &wide].concat();
        let cases: [(&[u8], &str); 7] = [
            (&gzip("text,label\n"), "a gzip file; call it .csv.gz"),
            (b"PK\x03\x04more", "a zip file or an Excel workbook"),
            (b"PAR1\x15more", "call it .parquet"),
            (&marked, "UTF-16; save the file as UTF-8"),
            (&wide, "UTF-16 or a binary file"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a web page"),
        ];
        for (bytes, says) in cases {
            for name in ["a.csv", "a.tsv", "a.jsonl"] {
                let error = written(name, bytes).unwrap_err();
                assert!(error.contains("this looks like ") && error.contains(says), "{name}: {error}");
            }
        }
        let error = written("a.csv", b"{\"text\":\"secret\"}\n").unwrap_err();
        assert!(error.contains("this looks like JSON; call it .jsonl") && !error.contains("secret"), "{error}");
        let error = written("a.csv", b"text;label\nsecret;1\n").unwrap().column("text").unwrap_err().to_string();
        assert!(error.contains("semicolons") && !error.contains("secret"), "{error}");
    }
}
