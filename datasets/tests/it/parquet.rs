//! Parquet files, whole and broken.

use std::path::Path;
use std::sync::Arc;

use datasets::{AnswerType, Files, Label, Source, Split, Target, Task};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::standin::glue;

fn load(path: &Path) -> Result<Vec<datasets::Example>, datasets::Error> {
    let files = Files { train: Some(path.into()), ..Files::default() };
    let target = Target::Classes(["bad", "fine"].map(String::from).into());
    Ok(Source::Files(files).load(Split::Train, &target)?.examples)
}

#[test]
fn every_task_is_read_as_the_hub_has_it() {
    for task in Task::ALL {
        let root = tempfile::tempdir().unwrap();
        let second = task.is_pair().then_some("b é");
        let rows = [("a \"fine\"\tfilm\n", second, 1.0), ("c", second, 0.0)];
        let stem = match task {
            Task::Mnli => "validation_matched",
            Task::MnliMismatched => "validation_mismatched",
            _ => "validation",
        };
        for part in [0, 1] {
            let path = root.path().join(format!("{stem}-0000{part}-of-00002.parquet"));
            std::fs::write(path, glue::parquet(task.key(), &rows)).unwrap();
        }
        let source = Source::Glue { task, folder: Some(root.path().into()) };
        let examples = source.load(Split::Dev, &task.target()).unwrap().examples;
        assert_eq!(examples.len(), 4, "{task}: both parts");
        assert_eq!((examples[0].text.as_str(), examples[0].text_pair.as_deref()), ("a \"fine\"\tfilm", second));
        let expected = if task == Task::Stsb { Label::Number(1.0) } else { Label::Class(1) };
        assert_eq!(examples[2].label, expected, "{task}");
    }
}

/// Rows of a text and a list of labels: two, none, one.
fn lists() -> Vec<u8> {
    let schema = "message rows { REQUIRED BYTE_ARRAY text (UTF8); OPTIONAL GROUP labels (LIST) { REPEATED GROUP list { \
                  OPTIONAL BYTE_ARRAY element (UTF8); } } REQUIRED GROUP inner { REQUIRED INT32 a; } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["a", "b", "c"].map(ByteArray::from), None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    // 3 is an element, 1 an empty list; 0 begins a row
    let labels = ["joy", "Fear", "fear"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&labels, Some(&[3, 3, 1, 3]), Some(&[0, 1, 0, 0])).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[1, 2, 3], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_column_of_lists_holds_several_labels() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.parquet");
    std::fs::write(&path, lists()).unwrap();
    let files = Files { train: Some(path), answers: Some(AnswerType::MultiLabel), ..Files::default() };
    let source = Source::Files(files.clone());
    let target = source.target(None).unwrap();
    assert_eq!(target, Target::Labels(["Fear", "joy"].map(String::from).into()));
    let labels: Vec<Label> =
        source.load(Split::Train, &target).unwrap().examples.into_iter().map(|example| example.label).collect();
    assert_eq!(labels, [[true, true], [false, false], [true, false]].map(|set| Label::Set(set.into())));
    let said = |files: Files| Source::Files(files).target(None).unwrap_err().to_string();
    let one = said(Files { answers: None, ..files.clone() });
    assert!(one.contains("row 1: expected a label") && one.contains("--problem-type multi_label"), "{one}");
    let inner = said(Files { label: Some("inner".into()), ..files });
    assert!(inner.contains("no column `inner`; there are: text, labels"), "{inner}");
}

#[test]
fn a_text_that_is_no_utf8_is_not_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.parquet");
    let mut bytes = glue::parquet("sst2", &[("secretQ", None, 1.0)]);
    let places: Vec<usize> = bytes.windows(7).enumerate().filter(|(_, w)| *w == b"secretQ").map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at + 6] = 0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = load(&path).unwrap_err().to_string();
    // neither as letters nor as numbers of bytes
    assert!(error.contains("a.parquet") && !error.contains("secret") && !error.contains("115, 101"), "{error}");
}

#[test]
fn a_broken_file_is_named_and_never_ends_the_program() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.parquet");
    let rows: Vec<(&str, Option<&str>, f32)> = (0..12).map(|n| ("a fine film, really", None, (n % 2) as f32)).collect();
    let whole = glue::parquet("sst2", &rows);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(load(&path).unwrap().len(), 12);
    let broken = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(&path).err().map(|error| (error.to_string(), error.exit_code()))
    };
    for length in 0..whole.len() {
        let (error, code) = broken(&whole[..length]).unwrap();
        assert!(error.contains("a.parquet: no parquet file, or a broken one") && code == 3, "{length}: {error}");
    }
    assert!(broken(b"text,label\na,1\n").is_some());
    // what wrong bits do is not always seen, but it is always survived
    for at in 0..whole.len() {
        for bits in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            broken(&bytes);
        }
    }
}

/// Needs `HUB_PYTHON`, a Python that has pyarrow.
#[test]
#[ignore = "needs HUB_PYTHON"]
fn what_pyarrow_writes_is_read_and_the_other_way_round() {
    let Some(python) = std::env::var_os("HUB_PYTHON") else {
        eprintln!("skipped: HUB_PYTHON does not name a Python with pyarrow");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let script = r#"
import pyarrow as pa, pyarrow.parquet as pq
table = pa.table({
    "text": pa.array(["a fine film", None, "é"], pa.large_string()),
    "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
    "list": pa.array([[1], [], None]),
    "inner": pa.array([{"a": 1}, None, {"a": 2}]),
    "flag": pa.array([True, False, None]),
    "score": pa.array([0.5, 1.0, 2.25], pa.float64()),
    "label": pa.array([1, 0, 1], pa.int8()),
})
for codec in ["none", "snappy", "zstd", "gzip"]:
    for version in ["1.0", "2.0"]:
        pq.write_table(table, f"{codec}{version}.parquet", compression=codec, row_group_size=2, data_page_version=version)
pq.write_table(table, "brotli.parquet", compression="brotli")
print(pq.read_table("ours.parquet").to_pylist())
"#;
    std::fs::write(root.path().join("ours.parquet"), glue::parquet("stsb", &[("a", Some("b"), 2.5)])).unwrap();
    let output = std::process::Command::new(python).args(["-c", script]).current_dir(root.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), "[{'sentence1': 'a', 'sentence2': 'b', 'label': 2.5, 'idx': 0}]");
    for name in
        ["none", "snappy", "zstd", "gzip"].iter().flat_map(|codec| [format!("{codec}1.0"), format!("{codec}2.0")])
    {
        let path = root.path().join(format!("{name}.parquet"));
        let column = |text: &str, label: &str| Files {
            train: Some(path.clone()),
            text: Some(text.into()),
            label: Some(label.into()),
            ..Files::default()
        };
        let load = |files: Files| {
            let source = Source::Files(files);
            let target = source.target(None)?;
            Ok(source.load(Split::Train, &target)?.examples)
        };
        let examples: Result<_, datasets::Error> = load(column("kind", "label"));
        let examples: Vec<datasets::Example> = examples.unwrap();
        assert_eq!(
            (examples.len(), examples[1].text.as_str(), examples[2].label.clone()),
            (3, "y", Label::Class(1)),
            "{name}"
        );
        let scored = load(Files { answers: Some(AnswerType::Regression), ..column("kind", "score") }).unwrap();
        assert_eq!(scored[2].label, Label::Number(2.25));
        let error = load(column("text", "label")).unwrap_err().to_string();
        assert!(error.contains("row 2: expected a text in column `text`, got nothing"), "{error}");
        let error = load(column("list", "label")).unwrap_err().to_string();
        assert!(error.contains("row 1: expected a text in column `list`, got a list"), "{error}");
        let error = load(column("inner", "label")).unwrap_err().to_string();
        assert!(error.contains("no column `inner`; there are: text, kind, list, flag, score, label"), "{error}");
    }
    let error = load(&root.path().join("brotli.parquet")).unwrap_err().to_string();
    assert!(error.to_lowercase().contains("brotli"), "{error}");
}
