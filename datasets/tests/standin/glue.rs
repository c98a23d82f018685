//! GLUE's tasks as the hub's parquet files have them: the same columns, types and compression.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A row: the text, the second text of a task over pairs, the class's number or the score.
pub type Row<'a> = (&'a str, Option<&'a str>, f32);

/// The columns of a task by its key (`sst2`): texts, then the second text.
fn columns(task: &str) -> (&'static str, Option<&'static str>) {
    match task {
        "cola" | "sst2" => ("sentence", None),
        "mnli" | "mnli-mm" => ("premise", Some("hypothesis")),
        "qnli" => ("question", Some("sentence")),
        "qqp" => ("question1", Some("question2")),
        "mrpc" | "rte" | "stsb" | "wnli" => ("sentence1", Some("sentence2")),
        _ => panic!("no such task: {task}"),
    }
}

/// A parquet file of a task.
pub fn parquet(task: &str, rows: &[Row<'_>]) -> Vec<u8> {
    let (text, pair) = columns(task);
    let second = pair.map_or(String::new(), |pair| format!("OPTIONAL BYTE_ARRAY {pair} (UTF8);"));
    let label = if task == "stsb" { "FLOAT" } else { "INT64" };
    let schema = format!(
        "message schema {{ OPTIONAL BYTE_ARRAY {text} (UTF8); {second} OPTIONAL {label} label; OPTIONAL INT32 idx; }}"
    );
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let there = vec![1i16; rows.len()];
    macro_rules! column {
        ($kind:ty, $values:expr) => {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<$kind>().write_batch(&$values.collect::<Vec<_>>(), Some(&there), None).unwrap();
            column.close().unwrap();
        };
    }
    column!(ByteArrayType, rows.iter().map(|row| ByteArray::from(row.0)));
    if pair.is_some() {
        column!(ByteArrayType, rows.iter().map(|row| ByteArray::from(row.1.expect("a second text"))));
    }
    match task {
        "stsb" => {
            column!(FloatType, rows.iter().map(|row| row.2));
        }
        _ => {
            column!(Int64Type, rows.iter().map(|row| row.2 as i64));
        }
    }
    column!(Int32Type, 0..rows.len() as i32);
    group.close().unwrap();
    writer.into_inner().unwrap()
}
