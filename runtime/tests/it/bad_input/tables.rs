//! Mistakes in tables of a user's own.

use std::fs;

use super::{Case, World};

const ROWS: &str = "distill --teacher {root}/teacher --train-file {root}/rows.jsonl --validation-file {root}/rows.jsonl --max-seq-length 16 --output-dir {root}/out";
const CSV: &str = "distill --teacher {root}/teacher --train-file {root}/rows.csv --validation-file {root}/rows.csv --max-seq-length 16 --output-dir {root}/out";
const SEVERAL: &str = "distill --teacher {root}/teacher --train-file {root}/rows.jsonl --validation-file {root}/rows.jsonl --problem-type multi_label --max-seq-length 16 --output-dir {root}/out";
const MARKED: &str = "distill --teacher {root}/teacher --train-file {root}/rows.csv --validation-file {root}/rows.csv --problem-type multi_label --max-seq-length 16 --output-dir {root}/out";
const DELIMITER: &str = "distill --teacher {root}/teacher --train-file {root}/rows.csv --validation-file {root}/rows.csv --label-delimiter ; --max-seq-length 16 --output-dir {root}/out";

fn jsonl(world: &World, rows: &str) {
    fs::write(world.path("rows.jsonl"), rows).unwrap();
}

fn csv(world: &World, rows: &[u8]) {
    fs::write(world.path("rows.csv"), rows).unwrap();
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |wrong, prepare: fn(&World), run, says| Case { wrong, prepare, run, code: 3, says };
    vec![
        case(
            "several labels a text, and nobody said so",
            |w| jsonl(w, "{\"text\":\"w5\",\"label\":[\"a\",\"b\"]}\n{\"text\":\"w6\",\"label\":[\"a\"]}\n"),
            ROWS,
            &["line 1", "--problem-type multi_label"],
        ),
        case(
            "zeros and ones in place of labels",
            |w| jsonl(w, "{\"text\":\"w5\",\"label\":[1,0,0]}\n{\"text\":\"w6\",\"label\":[0,1,1]}\n"),
            SEVERAL,
            &["line 1", "zeros and ones"],
        ),
        case(
            "labels with a mark between them that is not named",
            |w| csv(w, b"text,label\nw5,a;b\nw6,a\n"),
            MARKED,
            &["line 2", "--label-delimiter"],
        ),
        Case {
            wrong: "a mark between labels, where one is asked for",
            prepare: |w| csv(w, b"text,label\nw5,a\nw6,b\n"),
            run: DELIMITER,
            code: 2,
            says: &["--label-delimiter", "--problem-type multi_label"],
        },
        case("a label that is missing", |w| csv(w, b"text,label\nw5,1\nw6,nan\nw7,0\n"), CSV, &["line 3", "nan"]),
        case(
            "a key that a row lacks",
            |w| jsonl(w, "{\"text\":\"w5\",\"label\":\"a\"}\n{\"text\":\"w6\"}\n"),
            ROWS,
            &["line 2", "the key `label`"],
        ),
        case(
            "a table as JSON of columns",
            |w| jsonl(w, "{\"text\":{\"0\":\"w5\",\"1\":\"w6\"},\"label\":{\"0\":1,\"1\":0}}"),
            ROWS,
            &["one object of columns", "orient=\"records\""],
        ),
        case("a gzip file under another ending", |w| csv(w, b"\x1f\x8b\x08\0"), CSV, &["gzip", ".csv.gz"]),
        case("a web page in place of a table", |w| csv(w, b"<!DOCTYPE html>\n"), CSV, &["a web page"]),
        case(
            "a quote that nothing closes",
            |w| csv(w, b"label,text\n1,w5\n0,\"w6\n1,w7\n"),
            CSV,
            &["line 3", "nothing closes it"],
        ),
    ]
}
